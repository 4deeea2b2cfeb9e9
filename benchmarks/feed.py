"""The video feed end to end at two million videos: unloaded, at 20 requests/s whoever waits, and with a stage slow, asleep or busy.

Run: python -m benchmarks.feed [--quick] [--videos 2000000] [--home FOLDER]   (FOLDER: kept from an earlier run, so nothing is built again)

The server is `mlsd serve`'s own, in a process of its own behind a socket of this machine; the requests come from this one, and each is timed
from when it was meant to leave. Nobody trains on millions of videos here: the case is trained at DEMO and grown (experiments/millions.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.harness import Child, Load, Row, open_loop, quantile, write_result
from common import cases
from common.commands.opened import Here, here, reading
from common.commands.output import table
from common.contract import Ranking
from common.lifecycle.home import Home
from common.lifecycle.registry import Artifact
from common.serving.deadline import Fault
from video_rec import policy
from video_rec.config import DEMO, Config
from video_rec.experiments import lab, millions
from video_rec.serve import ROUTE

CASE = "video_rec"
DEADLINE_MS = 150.0
RATE, SECONDS, ALONE = 20.0, 60.0, 1_000  # requests a second, for how long; requests one after the other
SLOWER = 10  # times
NOTES = (
    "Synthetic: vectors of the trained tower over generated videos; trained at DEMO, only the videos of that catalogue were ever watched. "
    "Server and client are two processes on loopback; latency counts from when a request was meant to leave. p99 is printed, not asserted. "
    "late: share not answered within the deadline of 150 ms. The server started in {start:.0f} s. The machine's load average was {before:.1f} before and {after:.1f} after."
)


def published(folder: Path, config: Config, num_videos: int) -> Artifact:
    """Trains the case, grows it to `num_videos`, and publishes that into an empty folder, with the log it goes on from."""
    home = Home(folder)
    dataset, _, small = lab.trained(config)
    large = millions.grow(dataset, small, config, num_videos)
    parts: dict[str, Any] = {
        "catalog": large.catalog,
        "features": large.model.sources.features,
        "model": large.model,
        "policy": policy.fit(Ranking(ids=np.empty((0, 0), np.int64), scores=np.empty((0, 0))), dataset.valid, config),
    }
    artifact = home.registry.publish(CASE, parts=parts, config=replace(config, num_videos=num_videos), reports={})
    home.seed(artifact, dataset.history.events)
    return artifact


def serve(folder: Path) -> None:
    """Says where it is, then switches on the faults it is told of (STAGE KIND MS), until its input ends."""
    begin = time.perf_counter()
    with here(cases.get(CASE), folder) as found:
        print(found.url, f"{time.perf_counter() - begin:.1f}", f"{held_mb(found):.0f}", flush=True)
        for line in sys.stdin:
            found.service.stages.faults.clear()
            stage, _, rest = line.strip().partition(" ")
            if rest:
                kind, ms = rest.split()
                found.service.stages.faults[stage] = Fault(kind, float(ms))
            print("ok", flush=True)


def held_mb(found: Here) -> float:
    """The index and the catalogue in memory: what is known of every video, its title, and its vector with its place."""
    service: Any = found.service
    columns = [column for column in vars(service.features).values() if isinstance(column, np.ndarray)]
    index = (found.artifact.folder / "model" / "videos.faiss").stat().st_size
    return float(sum(column.nbytes for column in columns) + service.titles.nbytes + index) / 1e6


class Server(Child):
    """What says where it is, how long it took to start and how much it holds."""

    def __init__(self, folder: Path) -> None:
        super().__init__("benchmarks.feed", "serve", str(folder))
        _, self.start_seconds, self.held_mb = self.told

    def memory(self) -> list[Row]:
        """What it holds now and held at most, where the system tells (Linux)."""
        told = Path(f"/proc/{self.process.pid}/status")
        lines = dict(line.split(":", 1) for line in told.read_text().splitlines()) if told.exists() else {}
        names = {"the server, now": "VmRSS", "the server, at most": "VmHWM"}
        held = {ours: int(lines[theirs].split()[0]) / 1e3 for ours, theirs in names.items() if theirs in lines}
        return [{"what": what, "mb": mb} for what, mb in {"index and catalogue": float(self.held_mb), **held}.items()]


def measure(folder: Path, quick: bool) -> tuple[dict[str, list[Row]], float]:
    """-> the rows of each result: how long answers take, the stages of one, and what it all weighs; seconds the server took to start."""
    with reading(cases.get(CASE), Home(folder)) as case:
        bodies = [orjson.dumps(asdict(visit.request())) for visit in case.visits(2_000)]
        weights = sizes(case.artifact)
    with closing(Server(folder)) as child:
        alone, stages = unloaded(child, bodies, 50 if quick else ALONE)
        rows = [alone]
        for name, fault in faults(stages).items():
            rows.append(under(child, name, fault, bodies, 3.0 if quick else SECONDS))
        held = [*child.memory(), *weights]
    took: list[Row] = [{"stage": name, "p50_ms": ms} for name, ms in stages.items()]
    return {"": rows, "_stages": took, "_memory": held}, float(child.start_seconds)


def sizes(artifact: Artifact) -> list[Row]:
    """Bytes in the artifact, part by part: compressed as it lies on disk."""
    files = sorted(path for path in artifact.folder.rglob("*") if path.is_file() and path.stat().st_size > 1e5)
    num = artifact.manifest["config"]["num_videos"]
    return [
        {
            "what": str(path.relative_to(artifact.folder)),
            "mb": path.stat().st_size / 1e6,
            "bytes_per_video": path.stat().st_size / num,
        }
        for path in files
    ]


def unloaded(child: Server, bodies: Sequence[bytes], num: int) -> tuple[Row, dict[str, float]]:
    """One request after the other. -> its row, and the median ms of each stage."""
    for body in bodies[:20]:
        child.ask(ROUTE, body)  # warm
    ms, told = zip(*(child.ask(ROUTE, bodies[i % len(bodies)]) for i in range(num)), strict=True)
    answers = [json.loads(answer) for answer in told]
    stages: dict[str, list[float]] = {}
    for answer in answers:
        for stage in answer["timings_ms"]["stages"]:
            stages.setdefault(stage["name"], []).append(stage["end"] - stage["start"])
    cut = sum(any(stage in stages for stage in answer["degraded"]) for answer in answers) / num
    row = {"load": "one request after the other", **latencies(ms), "requests": num, "late": late(ms, num), "cut": cut}
    return row, {name: float(np.median(found)) for name, found in stages.items()}


def faults(stages: dict[str, float]) -> dict[str, str]:
    """None; the stage that takes longest ten times slower; a source asleep; a source that computes past every deadline."""
    longest = max(stages, key=lambda name: stages[name])
    slower = (SLOWER - 1) * stages[longest]
    return {
        "no fault": "none",
        f"{longest} ten times slower": f"{longest} slow {slower:.1f}",
        "towers asleep": f"towers hang {DEADLINE_MS:g}",
        "co_watch busy": f"co_watch busy {DEADLINE_MS:g}",
    }


def under(child: Server, name: str, fault: str, bodies: Sequence[bytes], seconds: float) -> Row:
    child.tell(fault)
    load: Load = asyncio.run(open_loop(child.url + ROUTE, RATE, seconds, bodies))
    child.tell("none")
    not_ok = {status: num for status, num in load.statuses.items() if status != "200"}
    row = {"load": f"{RATE:g} a second, {name}", **latencies(load.latency_ms), "requests": load.sent}
    return {**row, "late": late(load.latency_ms, load.sent), "not 200": str(not_ok or "")}


def late(ms: Sequence[float], num_sent: int) -> float:
    """The share of those sent that were not answered within the deadline; what was never answered has no time in `ms`."""
    return 1 - sum(one <= DEADLINE_MS for one in ms) / num_sent


def latencies(ms: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": quantile(ms, 0.5), "p99_ms": quantile(ms, 0.99), "max_ms": max(ms)}


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["publish"]:
        published(Path(sys.argv[2]), DEMO, int(sys.argv[3]))
        return
    quick, load = "--quick" in sys.argv, os.getloadavg()[0]
    num_videos = int(option("--videos", "50000" if quick else "2000000"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(option("--home", f"{temporary}/home"))
        if not (folder / CASE).exists():
            child_published(folder, num_videos)
        found, start = measure(folder, quick)
    name = "feed" if num_videos == 2_000_000 else f"feed_{num_videos / 1e6:g}m"
    notes = NOTES.format(start=start, before=load, after=os.getloadavg()[0])
    for part, rows in found.items():
        print(table(rows))
        if not quick:
            print(write_result(name + part, rows, notes, seed=0))


def child_published(folder: Path, num_videos: int) -> None:
    """In a process that ends: what building holds must not stand in memory beside the server."""
    words = [sys.executable, "-m", "benchmarks.feed", "publish", str(folder), str(num_videos)]
    subprocess.run(words, check=True)


def option(name: str, otherwise: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


if __name__ == "__main__":
    main()
