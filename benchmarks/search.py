"""Hybrid search over a hundred thousand documents, and the whole answer around it, beside a cross-encoder over a hundred candidates.

Run: python -m benchmarks.search [--quick] [--docs 100000] [--home FOLDER]   (FOLDER: kept from an earlier run, so nothing is built again)

Hybrid search: the query understood, BM25 over three fields, vectors, and one list out of both. The whole answer: that, features from the live
store, LambdaMART, rules, reasons and a durable log. All three take turns in one process, one thread each, one query at a time; then the whole
answer once more over HTTP, from a second process. The cross-encoder has the shape of MiniLM-L6 and random weights: its time is that of the
trained one, its order is none. It reads what a searcher of these documents would have it read, so most pairs are far shorter than its cut.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch

from benchmarks.harness import Child, Row, paired_rounds, quantile, write_result
from common.cases import Case
from common.commands.opened import here, platform, reading
from common.commands.opened import serve as start
from common.commands.output import table
from common.contract import Ranking
from common.data import columns
from common.lifecycle.home import Home
from common.lifecycle.registry import Artifact
from common.serving.clock import SimulatedClock
from common.serving.deadline import Deadline
from common.training import formats, seeding
from search_ranking import data, features, model, monitor, policy
from search_ranking.config import DEFAULT, SMOKE, Config
from search_ranking.model import cross
from search_ranking.model.cross import MINILM_L6, Cross
from search_ranking.model.retrieval import fusion
from search_ranking.schema import Catalog, Request
from search_ranking.serve import ROUTE, SHARES, Service

CASE = Case("search_ranking", "search_ranking")
CANDIDATES = 100  # of the cross-encoder
ROUNDS, A_ROUND, PAIRED = (
    11,
    40,
    2,
)  # rounds; queries of ours a round; of the cross-encoder, which is timed on the same ones
OVER_HTTP = 1_000
NOTES = (
    "{docs} documents of the world, trained at DEFAULT otherwise; {built}. "
    "One query at a time, one thread; times_hybrid and times_whole: the cross-encoder's median over ours, round by round, with its range. "
    "Cross-encoder: the shape of MiniLM-L6 (6 layers, 384 wide, cut at 256 tokens), random weights, {tokens:.0f} tokens a pair on average. "
    "Over HTTP: one request after the other, from another process on this machine. The machine's load average was {before:.1f} before and "
    "{after:.1f} after."
)


def published(folder: Path, config: Config) -> Artifact:
    """Trains the case and publishes it into an empty folder, with the log it goes on from. Nothing is judged."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    better = model.fit(dataset, fitted, config)
    none = Ranking(ids=np.empty((0, 1), np.int64), scores=np.empty((0, 1)))
    parts: dict[str, Any] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": better.legs.words,
        "model": better,
        "policy": policy.fit(none, dataset.valid, config),
        "reference": monitor.reference(none, dataset.valid, config),
    }
    home = Home(folder)
    artifact = home.registry.publish(CASE.name, parts=parts, config=config, reports={})
    home.seed(artifact, dataset.history.events)
    return artifact


def serve(folder: Path) -> None:
    """Says where it is, and answers until its input ends."""
    with here(CASE, folder) as found:
        print(found.url, flush=True)
        sys.stdin.read()


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Artifact, Service]]:
    home, clock = Home(folder), SimulatedClock()
    artifact = home.registry.open(CASE.name)
    with reading(CASE, home) as read:
        clock.set(read.time())
    with platform(CASE, artifact, home, clock) as found:
        service = start(CASE, artifact, found).service
        assert isinstance(service, Service)
        yield artifact, service


@dataclass
class Timed:
    """One side: what it does with a request, and how long each took."""

    call: Callable[[Any], Any]
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # of the process: what a neighbour on the machine hardly changes

    def __call__(self, given: Any) -> Any:
        cpu, begin = time.process_time(), time.perf_counter()
        made = self.call(given)
        self.ms.append((time.perf_counter() - begin) * 1e3)
        self.cpu_ms.append((time.process_time() - cpu) * 1e3)
        return made

    def next(self, requests: Sequence[Request], num: int) -> Callable[[], float]:
        """-> a function that makes the next `num` requests, one after the other, and returns the median ms."""
        for request in requests[:3]:
            self.call(request)  # warm

        def measure() -> float:
            first = len(self.ms)
            for at in range(first, first + num):
                self(requests[at % len(requests)])
            return quantile(self.ms[first:], 0.5)

        return measure

    def row(self, what: str) -> dict[str, Any]:
        return {**latencies(what, self.ms), "cpu_ms": quantile(self.cpu_ms, 0.5)}


def latencies(what: str, ms: Sequence[float]) -> dict[str, Any]:
    return {"what": what, "p50_ms": quantile(ms, 0.5), "p99_ms": quantile(ms, 0.99), "requests": len(ms)}


def hybrid(service: Service) -> dict[str, Callable[[Any], Any]]:
    """Its steps, each on what the one before made of a request."""
    legs, k, weight = service.model.legs, service.config.num_candidates, service.model.fusion_weight
    return {
        "understanding": lambda request: [" ".join(service.features.understand([request.query])[0].corrected)],
        "lexical": lambda queries: (queries, legs.lexical(queries, k)),
        "dense": lambda found: {"lexical": found[1], "dense": legs.dense(found[0], k)},
        "fusion": lambda both: fusion.named(legs.fusion, both, weight, k),
    }


def whole(service: Service) -> Callable[[Request], object]:
    return lambda request: service.respond(request, Deadline(service.config.deadline_ms))


@dataclass
class Reader:
    """A cross-encoder over the candidates of each request, found and looked up beforehand: what is timed is reading them."""

    cross: Cross
    texts: dict[int, str]
    service: Service
    found: dict[str, list[str]] = field(default_factory=dict)

    def prepare(self, requests: Sequence[Request]) -> None:
        legs, k = self.service.model.legs, self.service.config.num_candidates
        for query in {request.query for request in requests}:
            ids = legs.fused(self.service.features, [query], k, self.service.model.fusion_weight).ids[0, :CANDIDATES]
            self.found[query] = [self.texts[doc_id] for doc_id in ids.tolist() if doc_id >= 0]

    def read(self, request: Request) -> object:
        said = self.found[request.query]
        return self.cross.score([request.query] * len(said), said)

    def tokens(self) -> float:
        pairs = [(query, text) for query, said in self.found.items() for text in said]
        queries, said = zip(*pairs, strict=True)
        return float(np.mean([len(row) for row in self.cross.read(queries, said)["input_ids"]]))


def stages(service: Service, requests: Sequence[Request], num: int) -> list[Row]:
    """Each step of hybrid search and each stage of the whole answer, over the same requests."""
    steps = {name: Timed(call) for name, call in hybrid(service).items()}
    took: dict[str, list[float]] = {}
    for request in requests[:num]:
        so_far: Any = request
        for step in steps.values():
            so_far = step(so_far)
        for stage in service.respond(request, Deadline(service.config.deadline_ms)).timings_ms.stages:
            took.setdefault(stage.name, []).append(stage.end - stage.start)
    rows: list[Row] = [step.row(f"hybrid: {name}") for name, step in steps.items()]
    return [*rows, *(latencies(f"whole: {name}", ms) for name, ms in took.items())]


def side_by_side(service: Service, reader: Reader, requests: Sequence[Request], quick: bool) -> list[Row]:
    """Ours twice, each beside the cross-encoder, in every number format the processor multiplies."""
    steps = list(hybrid(service).values())

    def search(request: Request) -> Any:
        so_far: Any = request
        for step in steps:
            so_far = step(so_far)
        return so_far

    ours = {"hybrid": Timed(search), "whole": Timed(whole(service))}
    rounds = 3 if quick else ROUNDS
    rows: list[Row] = []
    for dtype in dict.fromkeys((torch.float32, formats.number_format())):
        reader.cross.model.to(dtype)
        theirs, row = Timed(reader.read), dict[str, Any]()
        for name, mine in ours.items():
            ratio = paired_rounds(theirs.next(requests, PAIRED), mine.next(requests, A_ROUND), rounds)
            row |= {f"times_{name}": ratio.median, f"range_{name}": f"{ratio.low:.0f} ... {ratio.high:.0f}"}
        rows.append({**theirs.row(f"cross-encoder over {CANDIDATES}, {str(dtype).removeprefix('torch.')}"), **row})
    names = {"hybrid": "hybrid search", "whole": "whole answer, features and LambdaMART included"}
    return [*(mine.row(names[name]) for name, mine in ours.items()), *rows]


def over_http(folder: Path, requests: Sequence[Request], num: int) -> Row:
    bodies = [
        orjson.dumps({name: value for name, value in asdict(one).items() if value is not None}) for one in requests
    ]
    with closing(Child("benchmarks.search", "serve", str(folder))) as child:
        for body in bodies[:20]:
            child.ask(ROUTE, body)  # warm
        ms, told = zip(*(child.ask(ROUTE, bodies[at % len(bodies)]) for at in range(num)), strict=True)
    cut = sum(any(stage in SHARES for stage in orjson.loads(answer)["degraded"]) for answer in told)
    return {**latencies("whole answer, over HTTP", ms), "cut": cut / num}


def measure(folder: Path, quick: bool) -> tuple[list[Row], float]:
    """-> rows, and the mean tokens of a pair."""
    with reading(CASE, Home(folder)) as case:
        requests: list[Request] = [visit.request() for visit in case.visits(500)]
    few = requests[: 20 if quick else 200]
    with opened(folder) as (artifact, service):
        seeding.limit(1)
        texts = texts_of(artifact)
        reader = Reader(cross.untrained(list(texts.values())[:5_000], MINILM_L6), texts, service)
        reader.prepare(few)
        rows = side_by_side(service, reader, few, quick)
        rows += stages(service, requests, 20 if quick else len(requests))
        tokens = reader.tokens()
    return [*rows, over_http(folder, requests, 50 if quick else OVER_HTTP)], tokens


def sizes(artifact: Artifact) -> list[Row]:
    """Bytes of the indexes and of what is known of the documents, as they lie on disk."""
    names = {"lexical index": "baseline", "vectors, encoder and trees": "model", "features": "features"}
    return [
        {
            "what": f"on disk: {what}",
            "mb": sum(path.stat().st_size for path in (artifact.folder / part).rglob("*")) / 1e6,
        }
        for what, part in names.items()
    ]


def in_a_child(folder: Path, num_docs: int, quick: bool) -> None:
    """What building holds must not stand in memory beside what is measured."""
    words = [sys.executable, "-m", "benchmarks.search", "publish", str(folder), str(num_docs)]
    subprocess.run(words + ["--quick"] * quick, check=True)


def option(name: str, otherwise: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


def texts_of(artifact: Artifact) -> dict[int, str]:
    catalog = columns.load_dataclass(artifact.folder / "catalog" / "catalog.parquet", Catalog)
    return dict(zip(catalog.doc_id.tolist(), model.texts(catalog), strict=True))


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["publish"]:
        published(Path(sys.argv[2]), replace(SMOKE if "--quick" in sys.argv else DEFAULT, num_docs=int(sys.argv[3])))
        return
    quick, before = "--quick" in sys.argv, os.getloadavg()[0]
    num_docs = int(option("--docs", "3000" if quick else "100000"))
    with tempfile.TemporaryDirectory() as temporary:
        folder, seconds = Path(option("--home", f"{temporary}/home")), 0.0
        if not (folder / CASE.name).exists():
            begin = time.perf_counter()
            in_a_child(folder, num_docs, quick)
            seconds = time.perf_counter() - begin
        rows, tokens = measure(folder, quick)
        artifact = Home(folder).registry.open(CASE.name)
        rows += sizes(artifact)
    print(table(rows))
    notes = NOTES.format(
        docs=artifact.manifest["config"]["num_docs"], built=f"built in {seconds:.0f} s" if seconds else "built before", tokens=tokens, before=before,
        after=os.getloadavg()[0],
    )  # fmt: skip
    print(notes)
    if not quick:
        print(write_result("search" if num_docs == 100_000 else f"search_{num_docs}", rows, notes, seed=0))


if __name__ == "__main__":
    main()
