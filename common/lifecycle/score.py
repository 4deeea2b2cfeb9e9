"""A table of requests answered by a service, row for row as over HTTP, into a file that is continued where a killed job left it.

OUT holds one answer a line, without what differs from call to call; OUT.progress.json says of which requests, by which version, as of which
position of the event log, and how far it is. A batch of lines is on the disk before the progress file counts it.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from common.contract import Service
from common.data.durable import sync, write_bytes
from common.errors import InputError
from common.lifecycle.locks import try_hold
from common.serving.deadline import Deadline
from common.serving.guards import answer_json
from common.serving.lanes import OPEN_SECONDS

OF_THE_CALL = ("request_id", "timings_ms")
PATIENT_MS = 600_000.0  # a batch job has time: what is cut off there hangs
TRIES = 3


class Answered(NamedTuple):
    line: bytes
    degraded: list[str]
    failed: bool  # a stage gave no answer; `degraded` names it, and may name other losses


def patient(service: Service[Any, Any]) -> None:
    """Stages have their limits from the case's deadline, which is a user's; here nobody waits."""
    service.stages.limits_ms.update(dict.fromkeys(service.stages.limits_ms, PATIENT_MS))


def answer(service: Service[Any, Any], request: Any) -> Answered:
    """Five rows on which a stage fails open its breaker, and the rows after them would pay: a row that meets an open breaker waits."""
    for _ in range(TRIES):
        deadline = Deadline(PATIENT_MS)
        given = service.respond(request, deadline)
        statuses = {stage.status for stage in deadline.timings().stages}
        if "open" not in statuses:
            break
        time.sleep(OPEN_SECONDS)
    found = orjson.loads(bytes(answer_json(given).body))  # as HTTP would send it
    line = {name: part for name, part in found.items() if name not in OF_THE_CALL}
    return Answered(orjson.dumps(line) + b"\n", found["degraded"], bool(statuses - {"ok"}))


@dataclass
class Tally:
    """What OUT holds: so many rows, in `num_bytes`; of them `degraded`, by stage, and those in which a stage failed."""

    rows_done: int = 0
    num_bytes: int = 0
    degraded: int = 0
    failed: int = 0
    stages: Counter[str] = field(default_factory=Counter)

    def add(self, line: bytes, degraded: Iterable[str], failed: bool) -> None:
        self.rows_done += 1
        self.num_bytes += len(line)
        self.degraded += bool(degraded)
        self.failed += failed
        self.stages.update(degraded)


class Job:
    """One OUT. `of` is what its answers depend on: another `of` is another job."""

    def __init__(self, out: Path, of: Mapping[str, Any], num_rows: int) -> None:
        self.out, self.of, self.num_rows = out, dict(of), num_rows
        self.progress = out.with_name(f"{out.name}.progress.json")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes OUT meanwhile. An OUT that no job wrote is left alone."""
        if not self.out.parent.is_dir():
            raise InputError(f"{self.out}: there is no folder {self.out.parent}. Make it first, or name another --out.")
        if self.out.exists() and not self.progress.exists():
            raise InputError(
                f"{self.out} is there and no job of ours wrote it (no {self.progress.name}). Move it, or name another --out."
            )
        if not self.progress.exists():
            self._save(Tally())
        self.out.touch()
        held = try_hold(self.out)
        if held is None:
            raise InputError(f"{self.out} is being written by another mlsd score. Wait for it, or name another --out.")
        try:
            yield
        finally:
            os.close(held)

    def begun(self, restart: bool = False) -> Tally:
        """What an earlier start of this job left, cut after its last whole line, or its last whole batch if that is less."""
        tally = Tally() if restart else self._kept()
        with self.out.open("r+b") as file:
            file.truncate(tally.num_bytes)
        self._save(tally)
        return tally

    def write(self, answers: Iterator[Answered], batch: int, tally: Tally) -> None:
        """Appends the answers; `tally` is what was there."""
        with self.out.open("ab") as file:
            while some := list(islice(answers, batch)):
                file.write(b"".join(one.line for one in some))
                file.flush()
                sync(self.out)
                for one in some:
                    tally.add(*one)
                self._save(tally)

    def _kept(self) -> Tally:
        saved = self._saved()
        tally = Tally()
        with self.out.open("rb") as file:
            for line in islice(file, saved["rows_done"]):
                if not line.endswith(b"\n"):
                    break
                tally.add(line, self._degraded(line, tally.rows_done + 1), False)
        tally.failed = saved["failed"] if tally.rows_done else 0
        return tally

    def _saved(self) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = json.loads(self.progress.read_bytes())
            counts = [saved["rows_done"], saved["failed"]]
            differs = [name for name, value in self.of.items() if saved[name] != value]
        except (ValueError, KeyError, TypeError):
            counts = []
        if not counts or not all(isinstance(count, int) and count >= 0 for count in counts):
            raise InputError(f"{self.progress} is not as a job of ours leaves it. Start over with --restart.")
        if differs:
            told = "; ".join(f"{name} was {saved[name]}, is {self.of[name]}" for name in differs)
            raise InputError(
                f"{self.out} was begun with something else: {told}. Its rows would not agree with each other. Start over with "
                f"--restart, or name another --out."
            )
        return saved

    def _degraded(self, line: bytes, number: int) -> list[str]:
        """Of an answer in OUT."""
        try:
            found = orjson.loads(line)
            degraded: list[str] = found["degraded"]
            version = found["model_version"]
        except (ValueError, KeyError, TypeError):
            version = None
        if version != self.of["version"]:
            raise InputError(f"{self.out}, line {number:,}: not an answer of this job. Start over with --restart.")
        return degraded

    def _save(self, tally: Tally) -> None:
        counts = {
            "rows": self.num_rows,
            "rows_done": tally.rows_done,
            "degraded": tally.degraded,
            "failed": tally.failed,
        }
        state = {**self.of, **counts, "done": tally.rows_done == self.num_rows}
        write_bytes(self.progress, json.dumps(state, indent=1).encode() + b"\n")
