"""`mlsd run CASE`: one case through its whole pipeline, from data to an artifact in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import cases
from common.cases import Case
from common.commands import options, output, results

if TYPE_CHECKING:
    from common.contract import Result


def command(
    case: options.CaseName,
    preset: options.Preset = "default",
    data: options.Data = "",
    settings: options.Settings = None,
    out: options.Out = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """Train, evaluate and register one case. The preset counts least, then what --data changes, then --set."""
    found = cases.get(case)
    config = configure(found, preset, data, settings or [])
    result = train(found, config, out)
    if as_json:
        output.show_json(results.as_json(result))
        return
    output.write(output.table(results.rows(results.as_json(result))))
    output.write(f"artifact {result.artifact.folder} in {result.seconds:.1f} s")
    output.write(next_step(result, out))


def configure(case: Case, preset: str, data: str, settings: list[str]) -> Any:
    """The Config asked for; what --data changed is said, because those knobs were not turned by the reader."""
    from common.config import override, with_data

    config = case.preset(preset)
    if data:
        overrides = case.stage("config").OVERRIDES
        config = with_data(config, data, overrides)
        changed = overrides[data.partition(":")[0]]
        told = ", ".join(f"{key}={value}" for key, value in changed.items()) or "no knobs changed"
        output.say(f"data {data}: {told}")
    return override(config, settings)


def train(case: Case, config: Any, out: Path) -> Result:
    """Runs the pipeline and starts the event log that the artifact goes on from."""
    from common.lifecycle.home import Home

    home = Home(out)
    result: Result = case.stage("pipeline").run(config, home.registry)
    home.seed(result.artifact, result.history)
    return result


def next_step(result: Result, out: Path) -> str:
    """Which version is live now, and how to serve this one."""
    from common.lifecycle.registry import Registry

    where = "" if out == options.HOME else f" --out {out}"
    live = Registry(out).aliases(result.case).get("live")
    if live == result.artifact.version:
        return f"It is live: mlsd serve {result.case}{where}"
    point = f"mlsd registry {result.case} --point live={result.artifact.version} --reason '...'{where}"
    return f"Live is still {live}. To serve this one: {point}"
