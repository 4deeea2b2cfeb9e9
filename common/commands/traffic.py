"""`mlsd traffic CASE`: simulated people ask, look, click and leave, against a running server or one in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common import cases
from common.commands import options, output

if TYPE_CHECKING:
    from common.commands.opened import Opened
    from common.lifecycle.traffic import Played

TIMEOUT_SECONDS = 10.0


def command(
    case: options.CaseName,
    num_visits: Annotated[int, typer.Option("--visits", min=1, help="How many visits to play.")] = 500,
    url: Annotated[str, typer.Option("--url", help="A running server; without it, one in this process.")] = "",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="With --url: its token.")
    ] = None,
    out: options.Out = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """Play simulated visits; count what happened, how fast it was, and what the monitor says."""
    from common.commands.opened import here, open_case
    from common.lifecycle.home import Home
    from common.lifecycle.traffic import RemoteClock
    from common.serving.clock import SystemClock

    found = cases.get(case)
    if url:
        from common.commands.serve import read_token

        opened = open_case(found, Home(out), SystemClock())
        with client(url) as http:
            row = played(opened, num_visits, http, RemoteClock(http, read_token(token_file or out / "token")))
    else:
        with here(found, out) as opened, client(opened.url) as http:
            row = played(opened, num_visits, http, opened.clock)
    _show(row, as_json)


def client(url: str) -> Any:
    import httpx2

    return httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS)


def played(opened: Opened, num_visits: int, http: Any, clock: Any) -> dict[str, Any]:
    """Plays the next visits; -> one row of counts, latency, shares of degraded answers and the monitor's alerts."""
    from dataclasses import asdict

    from common.lifecycle.traffic import play
    from common.training.progress import bar

    since = opened.platform.log.end
    visits = bar(opened.visits(num_visits), num_visits, f"{opened.case.name} traffic")
    done = play(opened.case, visits, http, clock)
    return counts(done) | {"case": opened.case.name, "alerts": [asdict(alert) for alert in opened.alerts(since)]}


def counts(done: Played) -> dict[str, Any]:
    from common.commands.opened import percentiles

    answered = len(done.total_ms)
    shares = {stage: round(times / answered, 4) for stage, times in done.degraded.items()} if answered else {}
    return {
        "visits": done.visits,
        "answered": answered,
        "events": done.events,
        **percentiles(done.total_ms),
        "degraded": shares,
        "errors": done.errors,
    }


def _show(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.show_json({"traffic": [row]})
        return
    alerts = row.pop("alerts")
    output.write(output.table([{"case": row.pop("case"), **row}]))
    output.write("\n" + (output.table(alerts) if alerts else "The monitor is quiet."))
