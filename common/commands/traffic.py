"""`mlsd traffic CASE`: simulated people ask, look, click and leave, against a running server or one in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from common import cases
from common.cases import Case
from common.commands import options, output

if TYPE_CHECKING:
    from common.commands.opened import Opened
    from common.lifecycle.traffic import Played, SettableClock

TIMEOUT_SECONDS = 10.0
FOREVER = 10 * 365 * 86_400  # longer than any play


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
    """Play simulated visits and count what happens. Also how fast it was, what is measured of it, and what the monitor says."""
    with asking(cases.get(case), out, url, token_file) as asked:
        row = played(asked, num_visits)
    if as_json:
        output.show_json({"traffic": [row]})
        return
    alerts, measured = row.pop("alerts"), row.pop("measured")
    output.write(output.table([row]))
    if measured:
        output.write("\n" + output.table(measured))
    output.write("\n" + (output.table(alerts) if alerts else "The monitor is quiet."))


class Asked(NamedTuple):
    """A served case, from outside."""

    opened: Opened
    http: Any
    clock: SettableClock
    token: str


@contextmanager
def asking(case: Case, out: Path, url: str = "", token_file: Path | None = None) -> Iterator[Asked]:
    """The server at `url`, whose clock is moved with its token; without a url, one in this process while the block runs."""
    import httpx2

    from common.commands.opened import here, reading
    from common.lifecycle.home import Home
    from common.lifecycle.traffic import RemoteClock

    if not url:
        with here(case, out) as opened, httpx2.Client(base_url=opened.url, timeout=TIMEOUT_SECONDS) as http:
            yield Asked(opened, http, opened.clock, opened.token)
        return
    from common.commands.serve import read_token

    with reading(case, Home(out)) as read, httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS) as http:
        token = read_token(token_file or out / "token")
        yield Asked(read, http, RemoteClock(http, token), token)


def played(asked: Asked, num_visits: int) -> dict[str, Any]:
    """Plays the next visits; -> one row of counts, latency, shares of degraded answers, what is measured and the monitor's alerts."""
    from dataclasses import asdict

    from common.lifecycle.traffic import play
    from common.training.progress import bar

    opened = asked.opened
    since, name = opened.log.end, opened.case.name
    visits = bar(opened.visits(num_visits), num_visits, f"{name} traffic")
    done = play(opened.case, visits, asked.http, asked.clock, coming(opened), asked.token)
    measured = [{"measured": key, **asdict(found)} for key, found in opened.measured(since).items()]
    alerts = [asdict(alert) for alert in opened.alerts(since)]
    return {"case": name, **counts(done), "measured": measured, "alerts": alerts}


def coming(opened: Opened) -> Iterator[tuple[int, Any]]:
    """The items that come from the end of the log on, where simulated users add any: made as they are asked for."""
    uploads, since = getattr(opened.case.stage("simulate"), "uploads", None), opened.time()
    return iter(()) if uploads is None else uploads(opened.config, since, since + FOREVER)


def counts(done: Played) -> dict[str, Any]:
    from common.commands.opened import percentiles

    answered = len(done.total_ms)
    shares = {stage: round(times / answered, 4) for stage, times in done.degraded.items()} if answered else {}
    return {
        "visits": done.visits,
        "answered": answered,
        "events": done.events,
        **({"errands": done.errands} if done.errands else {}),
        **({"items": done.items} if done.items else {}),
        **percentiles(done.total_ms),
        "degraded": shares,
        "errors": done.errors,
    }


def ask(asked: Asked, visit: Any) -> dict[str, Any] | None:
    """One visit's request, at its time; -> its answer, None where there was none."""
    import httpx2
    import orjson

    asked.clock.set(visit.event_time)
    route = asked.opened.case.stage("serve").ROUTE
    body = orjson.dumps(visit.request(), option=orjson.OPT_SERIALIZE_NUMPY)
    try:
        got = asked.http.post(route, content=body, headers={"content-type": "application/json"})
    except httpx2.HTTPError:
        return None
    return dict(got.json()) if got.status_code == 200 else None
