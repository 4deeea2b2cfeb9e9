"""The claims ledger: every number in a page is written by a command between markers, and a test compares the two.

    <!-- claim ad_click.demo.model.log_loss -->0.0812 `world`<!-- /claim -->          value and origin
    <!-- claim ad_click.demo.model.log_loss:interval -->...<!-- /claim -->             value [low, high] and origin
    <!-- claim ad_click.demo.seconds:.0f -->14 `machine`<!-- /claim -->                any Python number format
    <!-- table results ad_click.demo video_rec.demo --> ... <!-- /table -->            baseline, model and ceiling of these results
    <!-- table rows feature_reads --> ... <!-- /table -->                              the list of rows a result file holds
    <!-- table rows ad_click.experiments.calibration --> ... <!-- /table -->           the same: the table of an experiment, with origins
    <!-- claim ad_click.experiments.calibration[trees, Platt].log_loss -->...          one cell: the row by its first column, then a column
    <!-- claim ad_click.experiments.new_ads[0.5][trees].difference:interval -->...     rows that share the first column: by the second too
    <!-- claim ad_click.experiments.new_ads.flip:interval -->...                       where the curve of a chart crosses zero
    <!-- claim calc ad_click.peak_qps / 60:,.0f -->19,271 `calc`<!-- /claim -->        a sum, done anew (common/capacity.py: calculate)
    <!-- table capacity ad_click --> ... <!-- /table -->                               the sums of a case's capacity plan

NAME is a file of docs/results/ or benchmarks/results/ without `.json`, a dot for each folder: `mlsd experiment CASE NAME --write` stores
CASE.experiments/NAME.json, with --data frappe:DIR it stores CASE.experiments/NAME.frappe.json, and where the case's CHARTS names NAME a
picture NAME.svg beside it (common/eval/chart.py). `:interval` on a cell wants the columns `low` and `high` right behind it. PATH walks its JSON by keys; `model.log_loss` is short for
`reports.model.metrics.log_loss` and `model.primary` for its primary metric. `write_all` fills every marker, `check` reports every marker
whose text differs and every bare number: bare_numbers.py says what counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common.contract import Table
from common.data.durable import write_bytes
from common.errors import InputError, did_you_mean
from common.eval.bare_numbers import bare_numbers, read_facts
from common.eval.tables import bounds, cell, experiment, is_timed, markdown, number, results

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ("docs/results", "benchmarks/results")
NOT_CHECKED = ("docs/LOG.md", "benchmarks/results/*", "docs/compare/*")
"""A dated notebook keeps the figures of its day; the others are generated whole."""

CLAIM = re.compile(r"(<!-- claim ((?:\[[^\]]*\]|[^\[\n])+?)(?::(\S+))? -->)(.*?)(<!-- /claim -->)", re.DOTALL)
CELL = re.compile(r"([^\[\]]+)((?:\[[^\]]*\])+)\.(.+)")
TABLE = re.compile(r"(<!-- table ([^>]+?) -->)(.*?)(<!-- /table -->)", re.DOTALL)


def write_all(root: Path = ROOT) -> list[Path]:
    """Fills the markers of every page; -> the pages that changed."""
    return [page for page in pages(root) if write(page, root)]


def check_all(root: Path = ROOT) -> list[str]:
    return [problem for page in pages(root) for problem in check(page, root)]


def pages(root: Path = ROOT) -> list[Path]:
    """Every Markdown page of the project: at the top, in a case, under docs/, benchmarks/ and tests/."""
    found = {*root.glob("*.md"), *root.glob("[!.]*/*.md"), *root.glob("docs/**/*.md"), *root.glob("tests/**/*.md")}
    outside = {path for pattern in ("runs/*", "build/*", *NOT_CHECKED) for path in root.glob(pattern)}
    return sorted(found - outside)


def write(page: Path, root: Path = ROOT) -> bool:
    """Fills the markers of one page, whole or not at all; -> whether it changed. Raises InputError on an unknown claim or table."""
    old = page.read_text()
    new = CLAIM.sub(lambda found: found[1] + claim(found[2], found[3], root) + found[5], old)
    new = TABLE.sub(lambda found: f"{found[1]}\n{block(found[2], root)}\n{found[4]}", new)
    if new != old:
        write_bytes(page, new.encode())
    return new != old


def check(page: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with a page, one line each: a marker whose text is not what its result says, an unknown claim, a bare number."""
    text = page.read_text()
    name = page.relative_to(root)
    differing = [
        f"{name}:{_line(text, found.start())}: {problem}" for found, problem in _differences(text, root) if problem
    ]
    bare = [f"{name}:{line}: bare number {number!r}" for line, number in bare_numbers(text, read_facts(root))]
    hint = "mark it as a claim (common/eval/ledger.py) or list it with its source in docs/facts.yaml"
    return differing + [f"{problem}: {hint}" for problem in bare]


def _differences(text: str, root: Path) -> Iterator[tuple[re.Match[str], str]]:
    for found in CLAIM.finditer(text):
        yield found, _compare(found[4], partial(claim, found[2], found[3], root))
    for found in TABLE.finditer(text):
        yield found, _compare(found[3].strip("\n"), partial(block, found[2], root))


def _compare(written: str, render: Callable[[], str]) -> str:
    try:
        wanted = render()
    except InputError as error:
        return str(error)
    return "" if written == wanted else f"reads {written[:60]!r}, the result says {wanted[:60]!r}; run `make report`"


def claim(reference: str, form: str | None = None, root: Path = ROOT) -> str:
    """The text of one claim: its number in a format, then its origin. Raises InputError naming what is known beside the unknown."""
    value, origin = lookup(reference, root)
    interval = value if isinstance(value, Mapping) and "value" in value else {"value": value}
    plain = interval["value"]
    if not isinstance(plain, int | float) or isinstance(plain, bool):
        raise InputError(f"{reference!r} is {plain!r}: a claim is a number. Give the path of one.")
    if form == "interval":
        return f"{number(plain)}{bounds(interval)} `{origin}`"
    return f"{number(plain) if form is None else format(plain, form)} `{origin}`"


def lookup(reference: str, root: Path = ROOT) -> tuple[Any, str]:
    """-> (what stands at NAME.PATH, its origin: that of the nearest object around it that states one, else `machine`)."""
    if reference.startswith("calc "):
        from common.capacity import calculate

        return calculate(reference.removeprefix("calc ")), "calc"
    if one := CELL.fullmatch(reference):
        return _lookup_cell(one[1], re.findall(r"\[([^\]]*)\]", one[2]), one[3], root)
    known = _files(root)
    name = max((name for name in known if reference.startswith(f"{name}.")), key=len, default=None)
    if name is None:
        raise InputError(f"No result file for the claim {reference!r}. {did_you_mean(reference, known)}")
    found: Any = json.loads(known[name].read_text())
    origin = found.get("origin", "machine")
    for key in _expand(reference[len(name) + 1 :].split("."), found):
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            keys = (
                found if isinstance(found, Mapping) else map(str, range(len(found))) if isinstance(found, list) else ()
            )
            raise InputError(f"The claim {reference!r} finds no {key!r}. {did_you_mean(key, keys)}")
        origin = "machine" if is_timed(key) else _origin(found, origin)
    return found, origin


def _lookup_cell(name: str, keys: Sequence[str], column: str, root: Path) -> tuple[Any, str]:
    """The cell of the one row whose first columns read `keys`."""
    whole = _whole(name, root)
    rows, place = _rows(whole), f"{name}{''.join(f'[{key}]' for key in keys)}"
    for i, key in enumerate(keys):
        known = dict.fromkeys(_key(row, i) for row in rows)
        if key not in known:
            raise InputError(f"The claim {place!r} finds no row {key!r}. {did_you_mean(key, known)}")
        rows = [row for row in rows if _key(row, i) == key]
    if len(rows) > 1:
        known = dict.fromkeys(_key(row, len(keys)) for row in rows)
        raise InputError(f"{len(rows)} rows are {place!r}. Add the next column, {place}[...]: {', '.join(known)}.")
    if column not in rows[0]:
        raise InputError(f"The claim {place!r} finds no column {column!r}. {did_you_mean(column, rows[0])}")
    found = cell(rows[0], column, whole.get("origin", "machine"))
    return found, found["origin"]


def _key(row: Mapping[str, Any], i: int) -> str:
    """A cell as a claim names it: 0.5, 10000, trees."""
    value = list(row.values())[i] if i < len(row) else ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _origin(found: Any, inherited: str) -> str:
    if not isinstance(found, Mapping):
        return inherited
    return str(found.get("origin", (found.get("primary") or {}).get("origin", inherited)))


def _expand(path: Sequence[str], found: Mapping[str, Any]) -> list[str]:
    """The short paths of a run: model.log_loss, model.primary, model-baseline."""
    reports, first = found.get("reports", {}), path[0]
    if first in found.get("paired", {}):
        return ["paired", *path]
    if first not in reports or first in found:
        return list(path)
    inside = ["reports", first]
    return [*inside, *path[1:]] if path[1:2] and path[1] in reports[first] else [*inside, "metrics", *path[1:]]


def _files(root: Path) -> dict[str, Path]:
    found = [(path, root / folder) for folder in RESULTS for path in sorted((root / folder).rglob("*.json"))]
    return {".".join(path.relative_to(folder).with_suffix("").parts): path for path, folder in found}


def block(order: str, root: Path = ROOT) -> str:
    """The Markdown of a table marker: `results NAME ...`, `rows NAME[.PATH]` or `capacity CASE`."""
    kind, *names = order.split()
    if kind == "results" and names:
        return markdown(results({name: _whole(name, root) for name in names}))
    if kind == "rows" and len(names) == 1:
        return markdown(_shown(_whole(names[0], root)))
    if kind == "capacity" and len(names) == 1:
        from common import capacity, cases

        return markdown(capacity.table(cases.get(names[0]).stage("config").CAPACITY))
    raise InputError(f"There is no table {order!r}. Known: results NAME ..., rows NAME, capacity CASE.")


def _whole(name: str, root: Path) -> Any:
    known = _files(root)
    return json.loads(known[name].read_text()) if name in known else lookup(name, root)[0]


def _shown(found: Any) -> Table:
    is_experiment = isinstance(found, Mapping) and "experiment" in found
    return experiment(found["rows"], found["origin"]) if is_experiment else _rows(found)


def _rows(found: Any) -> Table:
    if isinstance(found, Mapping) and "rows" in found:
        return list(found["rows"])
    lists = [found] if isinstance(found, list) else [part for part in found.values() if isinstance(part, list)]
    if len(lists) != 1:
        raise InputError(
            f"A `rows` table wants an object with one list of rows, this one has {len(lists)}. Name the list: rows NAME.KEY."
        )
    return list(lists[0])


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
