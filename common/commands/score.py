"""`mlsd score CASE`: a file of requests answered in one go by the code that serves, row for row what HTTP would answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common import cases
from common.cases import Case
from common.commands import options, output
from common.errors import InputError

if TYPE_CHECKING:
    from common.contract import Service
    from common.lifecycle.home import Home
    from common.lifecycle.registry import Artifact
    from common.lifecycle.score import Answered, Tally
    from common.serving.requests import Requests


def command(
    case: options.CaseName,
    requests: Annotated[
        Path,
        typer.Option("--in", metavar="FILE", help="The requests: .jsonl, .csv or .parquet; numbers.age is a field."),
    ],
    answers: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The answers, .jsonl; FILE.progress.json says how far it is.")
    ],
    version: Annotated[str, typer.Option("--version", help="A version or an alias, such as latest.")] = "live",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Answers written at once; a kill costs no more.")] = 500,
    restart: Annotated[bool, typer.Option("--restart", help="Begin again where an earlier job wrote.")] = False,
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where artifacts and logs are kept.")
    ] = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """Answer a file of requests as of now. Killed half-way, the same command goes on. Exit 1 if a stage failed in an answer."""
    from common.lifecycle.home import Home

    found = cases.get(case)
    if answers.suffix != ".jsonl" or answers.resolve() == requests.resolve():
        raise InputError(f"--out {answers}: expected another file than --in, and one that ends in .jsonl.")
    opened = Home(home)
    row = score(found, opened, opened.registry.open(case, version), requests, answers, batch=batch, restart=restart)
    output.show("score", [row], as_json=as_json)
    if row["failed"]:
        output.say(
            f"Rows answered without a stage that failed: {row['failed']:,}; `degraded` names it. Mend it, then --restart."
        )
        raise SystemExit(1)


def score(
    case: Case, home: Home, artifact: Artifact, source: Path, out: Path, *, batch: int = 500, restart: bool = False
) -> dict[str, Any]:
    """-> one row: how many, how fast, how many degraded. Every request is looked at before the first one is answered."""
    from common.commands.opened import Opened, serve
    from common.data.reading import sha256
    from common.lifecycle.score import Job, patient
    from common.serving.clock import SimulatedClock
    from common.serving.requests import Requests
    from common.training.progress import step

    requests: Requests[Any] = Requests(source, case.stage("schema").Request)
    with step(f"look at {source}"):
        digest, num_rows = sha256(source), sum(1 for _ in requests)
    if not num_rows:
        raise InputError(f"{source}: holds no request. Expected one a line.")
    clock = SimulatedClock(0)
    with home.still(artifact, case.stage("features").VIEWS, clock) as platform:
        of = {"in_sha256": digest, "case": case.name, "version": artifact.version, "position": platform.log.end}
        job = Job(out, of, num_rows)
        with job.held():
            tally = job.begun(restart)
            before, seconds = tally.rows_done, 0.0
            if before == num_rows:
                output.say(f"nothing to do: {out} holds all {num_rows:,} answers. --restart begins again.")
            else:
                clock.set(Opened(case, artifact, platform.log).time())
                service = serve(case, artifact, platform).service
                patient(service)
                start = time.perf_counter()
                try:
                    job.write(answered(service, requests, num_rows, before, case.name), batch, tally)
                finally:
                    service.stages.close()
                seconds = time.perf_counter() - start
    if sha256(source) != digest:
        raise InputError(f"{source} was changed while it was scored. Score it again with --restart.")
    return summary(of, tally, before, seconds)


def answered(
    service: Service[Any, Any], requests: Requests[Any], num_rows: int, since: int, name: str
) -> Iterator[Answered]:
    """The answers from row `since` on. A request that validation let in and the service refuses ends the job there, by its place."""
    from common.lifecycle.score import answer
    from common.training.progress import bar

    for where, request in bar(islice(requests, since, num_rows), num_rows - since, f"{name} score"):
        try:
            yield answer(service, request)
        except InputError as error:
            raise InputError(f"{requests.path}, {where}: {error}") from error


def summary(of: dict[str, Any], tally: Tally, before: int, seconds: float) -> dict[str, Any]:
    now = tally.rows_done - before
    return {
        "case": of["case"],
        "version": of["version"],
        "position": of["position"],
        "rows": tally.rows_done,
        "answered_now": now,
        "rows_per_second": round(now / seconds, 1) if now else None,
        "origin": "machine",
        "degraded": tally.degraded,
        "stages": dict(tally.stages),
        "failed": tally.failed,
    }
