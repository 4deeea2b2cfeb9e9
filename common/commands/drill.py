"""`mlsd drill [CASE] [NAME]`: switches a failure on in a served case and looks: was every answer in time, labelled, and noticed?"""

from __future__ import annotations

import itertools
import logging
import re
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common import cases
from common.cases import Case
from common.commands import options, output
from common.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from common.commands.opened import Here
    from common.commands.traffic import Asked
    from common.contract import Drill

NUM_REQUESTS = 40
RECOVERY_SECONDS = 5.0
QUESTIONS = ("Which stages will be named in `degraded`?", "What will p99 be, in ms?", "Who will notice first?")


def command(
    case: Annotated[str, typer.Argument(metavar="[CASE]", help="The case; without it the drills are listed.")] = "",
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One drill; without it all of the case's.")] = "",
    predict: Annotated[bool, typer.Option("--predict", help="Say what will happen before you see it.")] = False,
    out: options.Out = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """Break a stage on purpose. Exit 1 if an answer came late or did not say what it lacks."""
    if not case:
        output.show("drills", [row for found in cases.find().values() for row in _listed(found)], as_json=as_json)
        return
    found = cases.get(case)
    drills = chosen(found, name)
    predictions = {name: _ask(name, drill) for name, drill in drills.items()} if predict else {}
    with home_with_artifact(found, out) as home:
        rows = [row | predictions.get(row["drill"], {}) for row in run(found, drills, home)]
    if as_json:
        output.show_json({"drills": rows})
    else:
        output.write(output.table([{key: row[key] for key in row if key != "looks"} for row in rows]) + "\n")
        looks = [f"{row['drill']}: {row['looks']}" for row in rows if row["looks"]]
        output.write("\n".join(textwrap.fill(line, output.WIDTH, subsequent_indent="  ") for line in looks))
    if any(row["late"] or row["unlabelled"] or row["errors"] for row in rows):
        output.say("An answer was late, missing, or did not say what it lacks.")
        raise SystemExit(1)


def chosen(case: Case, name: str) -> dict[str, Drill]:
    drills: dict[str, Drill] = dict(case.stage("drills").DRILLS)
    if name and name not in drills:
        raise InputError(f"{case.name} has no drill {name!r}. {did_you_mean(name, drills)}")
    return {name: drills[name]} if name else drills


@contextmanager
def home_with_artifact(case: Case, out: Path) -> Iterator[Path]:
    """`out` where the case has been trained there; else a home of its own, with a small run in it, gone afterwards."""
    from common.commands.run import train
    from common.lifecycle.registry import Registry

    if Registry(out).versions(case.name):
        yield out
        return
    output.say(
        f"{out}/ holds no {case.name} yet: training it at SMOKE for this drill. To keep one: mlsd run {case.name}"
    )
    with tempfile.TemporaryDirectory() as folder:
        train(case, case.preset("smoke"), Path(folder))
        yield Path(folder)


def run(case: Case, drills: Mapping[str, Drill], home: Path) -> list[dict[str, Any]]:
    """One row for the healthy service, then one a drill."""
    import httpx2

    from common.commands.opened import here
    from common.commands.traffic import TIMEOUT_SECONDS, Asked

    logging.getLogger("common.serving.deadline").setLevel(logging.CRITICAL)  # a drill's own failures need no traceback
    with here(case, home, "latest") as opened, httpx2.Client(base_url=opened.url, timeout=TIMEOUT_SECONDS) as http:
        asked = Asked(opened, http, opened.clock, opened.token)
        rows = [{"drill": "(healthy)", "stage": "", **watched(asked, ""), "recovered_s": None, "looks": ""}]
        for name, drill in drills.items():
            output.say(f"{case.name}: {name} ({drill.stage} {drill.fault})")
            with broken(opened, drill):
                seen = watched(asked, drill.stage)
            again = {
                "recovered_s": recovered(asked, drill.stage),
                "looks": f"{drill.looks}; noticed by {drill.notices}",
            }
            rows.append({"drill": name, "stage": drill.stage, **seen, **again})
    return rows


@contextmanager
def broken(opened: Here, drill: Drill) -> Iterator[None]:
    """The fault is on while the block runs. Slow means twice the whole deadline: no stage can be waited for that long."""
    from common.serving.deadline import Fault

    faults = opened.service.stages.faults
    faults[drill.stage] = Fault(drill.fault, 2 * opened.config.deadline_ms)
    try:
        yield
    finally:
        del faults[drill.stage]


def watched(asked: Asked, stage: str) -> dict[str, Any]:
    """Sends requests and counts: late ones, and those in which the broken stage took part and is not named in `degraded`."""
    from common.commands.opened import percentiles
    from common.commands.traffic import ask

    opened = asked.opened
    since, before, limit = opened.log.end, counters(asked.http), opened.config.deadline_ms
    answers = [ask(asked, visit) for visit in opened.visits(NUM_REQUESTS)]
    given = [answer for answer in answers if answer is not None]
    total_ms = [answer["timings_ms"]["total"] for answer in given]
    moved = {name: after - before.get(name, 0) for name, after in counters(asked.http).items()}
    metrics = [f"/metrics {name} +{by:.0f}" for name, by in moved.items() if by and stage in (name, "")]
    return {
        **percentiles(total_ms),
        "deadline_ms": limit,
        "late": sum(ms > limit for ms in total_ms),
        "unlabelled": sum(took_part(answer, stage) and stage not in answer["degraded"] for answer in given),
        "errors": len(answers) - len(given),
        "degraded": sorted({label for answer in given for label in answer["degraded"]}),
        "noticed": metrics + [alert.name for alert in opened.alerts(since)],
    }


def took_part(answer: Mapping[str, Any], stage: str) -> bool:
    return any(timing["name"] == stage for timing in answer["timings_ms"]["stages"])


def counters(http: Any) -> dict[str, float]:
    """The server's counts of answers that lost quality, by stage."""
    lines = re.findall(r'^mlsd_degraded_total\{.*stage="(.+?)".*\} (\S+)$', http.get("/metrics").text, re.MULTILINE)
    return {stage: float(value) for stage, value in lines}


def recovered(asked: Asked, stage: str) -> float | None:
    """Seconds until an answer has the stage whole again; None if that takes longer than a breaker may stay open."""
    from common.commands.traffic import ask

    visits, start = itertools.cycle(asked.opened.visits(NUM_REQUESTS)), time.monotonic()
    while time.monotonic() - start < RECOVERY_SECONDS:
        answer = ask(asked, next(visits))
        if answer and stage not in answer["degraded"]:
            return round(time.monotonic() - start, 2)
        time.sleep(0.05)
    return None


def _listed(case: Case) -> list[dict[str, Any]]:
    drills: Mapping[str, Drill] = case.stage("drills").DRILLS
    return [
        {
            "case": case.name,
            "drill": name,
            "stage": drill.stage,
            "fault": drill.fault,
            "looks": drill.looks,
            "notices": drill.notices,
        }
        for name, drill in drills.items()
    ]


def _ask(name: str, drill: Drill) -> dict[str, str]:
    """The reader's predictions, asked on stderr so that a table or JSON stays whole."""
    output.say(f"{name}: the stage {drill.stage!r} is made to {drill.fault}.")
    return {f"you: {question}": typer.prompt(question, default="-", err=True) for question in QUESTIONS}
