"""Two self-contained pages: what is served, with its results, and every route with a call that works. Nothing is loaded from elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import orjson

from common.eval.report import column

REFRESH_SECONDS = 3
COLUMNS = ("baseline", "model", "ceiling", "published")

STYLE = """<style>
:root { color-scheme: light dark; --line: #8884; --soft: #888; --good: #2a9d5c; --wait: #d08700 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin: 0 }
header p, small { color: var(--soft); margin-top: .2rem }
section { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem; margin: 1.2rem 0 }
table { border-collapse: collapse; margin: .8rem 0 } td, th { padding: .25rem 1.2rem .25rem 0; text-align: left }
td { font-variant-numeric: tabular-nums } th { font-weight: 600; border-bottom: 1px solid var(--line) }
pre { background: #8881; padding: .7rem .9rem; border-radius: .4rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }
.ready { color: var(--good) } .waiting { color: var(--wait) } a { color: inherit }
nav a { margin-right: 1rem }
</style>"""
HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'


def status(cases: Sequence[Mapping[str, Any]], url: str) -> str:
    """The page at /: each case with its state, its results and a curl line. Reloads itself while a case is waited for."""
    waiting = any(case["state"] != "ready" for case in cases)
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if waiting else ""
    sections = "".join(section(case, url) for case in cases) or "<p>No case is served.</p>"
    links = "".join(f'<a href="/{name}">/{name}</a>' for name in ("docs", "cases", "ready", "health", "metrics"))
    return (
        f"{HEAD}{refresh}<title>mlsd</title>{STYLE}</head><body><header><h1>mlsd</h1>"
        f"<p>Machine-learning systems from the system-design whiteboard, running here.</p><nav>{links}</nav></header>"
        f"{sections}</body></html>"
    )


def section(case: Mapping[str, Any], url: str) -> str:
    state = case["state"]
    head = f'<h2>{escape(case["name"])} <span class="{escape(state)}">&#9679; {escape(state)}</span></h2>'
    if state != "ready":
        return f"<section>{head}<small>Nothing to serve yet: its first version is taken in as soon as it is trained. This page reloads by itself.</small></section>"
    call = f"<pre>{escape(curl(url + case['route'], case['example']))}</pre>" if case["example"] else ""
    version = f"<small>version {escape(str(case['version']))}, POST {escape(case['route'])}</small>"
    look = f'<p><a href="{escape(case["look"])}">Look and search</a></p>' if case["look"] else ""
    return f"<section>{head}{version}{look}{results(case['summary'])}{call}</section>"


def results(summary: Mapping[str, Any]) -> str:
    """The primary metric of every report in a table, and the paired differences under it."""
    reports = summary.get("reports", {})
    shown = [name for name in COLUMNS if name in reports]
    if not shown:
        return ""
    primary = reports[shown[0]]["primary"]
    rows = "".join(
        f"<tr><td>{escape(column(name, reports[name]['primary']['name']))}</td><td>{interval(reports[name]['primary'])}</td>"
        f"<td>{escape(str(reports[name]['primary'].get('origin', '')))}</td></tr>"
        for name in shown
    )
    origin = escape(str(primary.get("origin", "")))
    paired = "".join(
        f"<tr><td>{escape(name.replace('-', ' − '))}, paired</td><td>{interval(value)}</td><td>{origin}</td></tr>"
        for name, value in summary.get("paired", {}).items()
    )
    title = f"{escape(str(primary['name']))} ({escape(str(primary.get('direction', '')))} is better)"
    return f"<table><tr><th></th><th>{title}</th><th>origin</th></tr>{rows}{paired}</table>"


def interval(value: Mapping[str, Any]) -> str:
    text = f"{value['value']:.4f}"
    if value.get("low") is None:
        return text
    return f"{text} <small>[{value['low']:.4f}, {value['high']:.4f}]</small>"


def curl(url: str, body: Mapping[str, Any]) -> str:
    return (
        f"curl -s {shlex.quote(url)} -H 'content-type: application/json' -d {shlex.quote(orjson.dumps(body).decode())}"
    )


DOCS = (
    HEAD
    + "<title>mlsd: routes</title>"
    + STYLE
    + """</head><body><header><h1>Routes</h1><p>Made from <a href="/openapi.json">openapi.json</a>. <a href="/">Back</a></p></header>
<main></main><script>
const main = document.querySelector("main")
const element = (tag, text, parent) => {
  const made = document.createElement(tag); made.textContent = text; parent.append(made); return made }
const resolve = (api, schema) => schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema
const sample = (api, schema, depth = 0) => {
  schema = resolve(api, schema)
  if (schema.anyOf) schema = resolve(api, schema.anyOf[0])
  if (schema.type === "object") return Object.fromEntries((depth < 4 ? schema.required || [] : [])
    .map(name => [name, sample(api, schema.properties[name], depth + 1)]))
  if (schema.type === "array") return [sample(api, schema.items, depth + 1)]
  return { integer: schema.minimum ?? 0, number: 0, boolean: false }[schema.type] ?? "text" }
const quote = text => "'" + text.replaceAll("'", "'\\\\''") + "'"
const show = async () => {
  const api = await (await fetch("/openapi.json")).json()
  const { cases } = await (await fetch("/cases")).json()
  const example = Object.fromEntries(cases.filter(one => one.route).map(one => [one.route, one.example]))
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, operation] of Object.entries(methods)) {
    const box = element("section", "", main)
    element("h2", method.toUpperCase() + " " + path, box)
    element("small", operation.summary || "", box)
    const { schema, example: given } = operation.requestBody?.content["application/json"] ?? {}
    const body = schema && JSON.stringify(example[path] ?? given ?? sample(api, schema))
    element("pre", "curl -s " + (["get", "post"].includes(method) ? "" : "-X " + method.toUpperCase() + " ") + location.origin + path +
      (schema ? " -H 'content-type: application/json' -d " + quote(body) : ""), box)
    if (schema) {
      const more = element("details", "", box); element("summary", "schema and answers", more)
      element("pre", JSON.stringify(resolve(api, schema), null, 1), more)
      const answers = element("table", "", more)
      for (const [status, answer] of Object.entries(operation.responses)) {
        const row = element("tr", "", answers); element("td", status, row); element("td", answer.description, row) } } } }
show()
</script></body></html>"""
)
