"""An ad auction over 500 candidates over HTTP, features included, beside pandas and LightGBM's predict in a plain FastAPI route.

Run: python -m benchmarks.auction [--quick] [--home FOLDER]   (FOLDER: of `mlsd run ad_click`; without it the case is trained first)

Both answer the same requests with the same candidates, the same model and the same auction, each in a process of its own behind a socket of
this machine; the client is a third. Their probabilities are compared bit for bit before anything is timed. Ours reads what is true now,
logs what it showed and keeps a deadline; the plain route looks up tables computed once, and does none of that.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from pydantic import BaseModel

from ad_click.features import DERIVED, MODELLED, NEW_HOURS, SPEND, TOPIC
from ad_click.schema import Request
from ad_click.serve import ROUTE, Found, Service, spent_of
from benchmarks.harness import Child, Row, open_loop, paired_rounds, quantile, write_result
from common import cases
from common.commands.opened import Opened, here, platform
from common.commands.opened import serve as start
from common.contract import Floats, Ints
from common.features.views import View, unpair
from common.lifecycle.home import Home
from common.serving.clock import SimulatedClock
from common.serving.deadline import Fault
from common.serving.run import listen

CASE = "ad_click"
PLAIN = ("merge", "reindex", "rows")
DEADLINE_MS = 50.0  # and how long a fault lasts
NOTES = (
    "Server, plain route and client are three processes on loopback, one request at a time unless said otherwise; probabilities of all "
    "candidates were equal bit for bit. Ours reads live features, logs its impressions durably and keeps a deadline of 50 ms; the plain route "
    "does none of that. times_ours: their median over ours, round by round. Stages are medians inside one answer. The machine's load average "
    "was {before:.1f} before and {after:.1f} after: it was shared."
)
FAULTS = ("none", "features slow", "candidates hang", "model busy")


class Frames:
    """The same inputs by pandas, from one table a view with the features of every entity it has seen, computed once. Three ways to write it:
    a merge a table; a reindex a table; a dict a candidate, looked up in plain dicts, and a frame of those."""

    def __init__(self, service: Service, path: Path) -> None:
        self.service, self.features, catalog = service, service.features, service.catalog
        self.tables = {view: self._table(view, path) for view in (*MODELLED, TOPIC, SPEND)}
        self.ads = pd.DataFrame({name: getattr(catalog, name) for name in ("campaign_id", "advertiser_id", "topic_id")})
        self.ads[[f"ad.{name}" for name in self.features.ad_numbers]] = np.column_stack(
            [catalog.numbers[name] for name in self.features.ad_numbers] or [np.empty((len(catalog), 0))]
        )
        self.ads["ad.text_prior"], self.ads["start"] = self.features.text_prior, catalog.numbers["start_time"]
        for name, words in self.features.vocabularies.items():
            column = name.removeprefix("ad.")
            known = catalog.categories.get(column, getattr(catalog, column, None))
            if known is not None:
                self.ads[f"code.{name}"] = words.encode(known)
        self.ads.index = pd.Index(catalog.ad_id, name="ad_id")
        self.dicts = {view: table.to_dict("index") for view, (table, _) in self.tables.items()}
        self.ad_dicts = self.ads.to_dict("index")
        model, names = service.model, list(self.features.vocabularies)
        numbers = self.features._number_names()
        self.used = [numbers[at] for at in model.seen] + [f"code.{names[at]}" for at in model.few]

    def _table(self, view: View, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """-> the table, and what a newcomer has."""
        import sqlite3

        connection = sqlite3.connect(path)
        keys = np.array([key for (key,) in connection.execute(f"SELECT key FROM view_{view.fingerprint}")])
        connection.close()
        values = self.service.platform.store.read(view, np.append(keys, -1), np.zeros(len(keys) + 1, dtype=np.int64))
        index = (
            pd.Index(keys, name=view.entity[0])
            if len(view.entity) == 1
            else pd.MultiIndex.from_arrays(unpair(keys), names=view.entity)
        )
        newcomer: dict[Any, Any] = dict(zip(view.columns, values[-1].tolist(), strict=True))
        return pd.DataFrame(values[:-1], index=index, columns=list(view.columns)), newcomer

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """As a store, for whose budget is spent: the tables say one thing, whatever the moment."""
        table, newcomer = self.tables[view]
        found: Floats = table.reindex(keys).fillna(newcomer).to_numpy()
        return found

    def merge(self, request: Request, ad_id: Ints) -> pd.DataFrame:
        frame = pd.DataFrame({"user_id": request.user_id, "ad_id": ad_id})
        frame = frame.merge(self.ads, left_on="ad_id", right_index=True, how="left")
        for view, (table, newcomer) in self.tables.items():
            frame = frame.merge(table, left_on=list(view.entity), right_index=True, how="left").fillna(newcomer)
        return frame

    def reindex(self, request: Request, ad_id: Ints) -> pd.DataFrame:
        frame = self.ads.reindex(ad_id).reset_index()
        frame["user_id"] = request.user_id
        for view, (table, newcomer) in self.tables.items():
            single = len(view.entity) == 1
            keys = pd.Index(frame[view.entity[0]]) if single else pd.MultiIndex.from_frame(frame[list(view.entity)])
            frame[list(view.columns)] = table.reindex(keys).fillna(newcomer).to_numpy()
        return frame

    def rows(self, request: Request, ad_id: Ints) -> pd.DataFrame:
        return pd.DataFrame([self._row(request.user_id, one) for one in ad_id.tolist()])

    def _row(self, user_id: int, ad_id: int) -> dict[Any, Any]:
        row: dict[Any, Any] = {"user_id": user_id, "ad_id": ad_id, **self.ad_dicts[ad_id]}
        for view, (_, newcomer) in self.tables.items():
            key = tuple(row[name] for name in view.entity)
            row |= self.dicts[view].get(key if len(key) > 1 else key[0], newcomer)
        return row

    def context(self, frame: pd.DataFrame, request: Request, now: int) -> None:
        """Adds what the request says and what time it is."""
        given = {**request.numbers, "slot": 0.0}
        for name in self.features.row_numbers:
            frame[name] = given.get(name, np.nan)
        for name in self.features.row_categories:
            known = {word: code for code, word in enumerate(self.features.vocabularies[name].known.tolist(), start=1)}
            frame[f"code.{name}"] = known.get(request.categories.get(name, ""), 0)
        topic = TOPIC.columns
        frame["topic.trend"] = np.log(frame[topic[1]].to_numpy() / frame[topic[0]].to_numpy())
        frame["ad.hours"] = np.minimum((now - frame["start"]) // 3600, NEW_HOURS)
        frame["hour"], frame["weekday"] = now // 3600 % 24, (now // 86_400 + 3) % 7

    def predict(self, frame: pd.DataFrame) -> Floats:
        model = self.service.model
        raw = np.asarray(model._booster.predict(frame[self.used], num_threads=1, raw_score=True)) + model.start[0]
        probability: Floats = 1 / (1 + np.exp(-raw))
        assert model.negative_rate == 1 and model.calibration is not None
        return model.calibration.apply(probability)

    def respond(self, how: str, request: Request, now: int) -> dict[str, Any]:
        service = self.service
        place, _, left_out = service._able(service._wanted(request, now), self, 0)
        frame = getattr(self, how)(request, service.catalog.ad_id[place])
        self.context(frame, request, now)
        probability = self.predict(frame)
        found = Found(
            place,
            spent_of(frame[list(SPEND.columns)].to_numpy()),
            frame["user_ad.hide"].to_numpy() > 0,
            frame["user_ad.impression_24"].to_numpy().astype(np.int64),
            frame["ad.rate_hide_per_impression"].to_numpy(),
            left_out,
        )
        decision = service._auction(request, found, probability)
        return {
            "ads": [asdict(ad) for ad in service._shown(found, decision)],
            "why": [asdict(why) for why in decision.why],
        }


assert set(DERIVED) == {"topic.trend", "ad.hours", "hour", "weekday"}, DERIVED


class Body(BaseModel):
    """A request as the plain route takes it."""

    user_id: int
    num_slots: int = 3
    numbers: dict[str, float] = {}
    categories: dict[str, str] = {}


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Opened, Service, SimulatedClock]]:
    case, home, clock = cases.get(CASE), Home(folder), SimulatedClock()
    artifact = home.registry.open(CASE)
    with platform(case, artifact, home, clock) as found:
        case_opened = Opened(case, artifact, found.log)
        clock.set(case_opened.time())
        service = start(case, artifact, found).service
        assert isinstance(service, Service)
        yield case_opened, service, clock


def serve_ours(folder: Path) -> None:
    """Says where it is, then switches on the faults it is told of, until its input ends."""
    with here(cases.get(CASE), folder) as found:
        print(found.url, flush=True)
        for line in sys.stdin:
            found.service.stages.faults.clear()
            stage, _, kind = line.strip().partition(" ")
            if kind:
                found.service.stages.faults[stage] = Fault(kind, DEADLINE_MS)
            print("ok", flush=True)


def serve_plain(folder: Path) -> None:
    """What a user would write first. FastAPI checks the body and writes the answer."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()
    with opened(folder) as (_, service, clock):
        frames = Frames(service, service.platform.store.path)

        @app.post("/{how}")
        def auction(how: str, body: Body) -> dict[str, Any]:
            return frames.respond(how, Request(**body.model_dump()), clock.now())

        listener = listen("127.0.0.1", 0)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")).run([listener])


def check(folder: Path, num: int) -> tuple[list[bytes], str]:
    """All candidates' probabilities, ours and by pandas, bit for bit. -> bodies to ask, and how large the auctions are."""
    with opened(folder) as (case, service, clock):
        requests = [visit.request() for visit in case.visits(num)]
        frames, now, candidates = Frames(service, service.platform.store.path), clock.now(), []
        for request in requests[:30]:
            place = service._wanted(request, now)[: service.config.num_candidates]
            candidates.append(len(place))
            with service.platform.store.snapshot() as store:
                inputs = service.features.inputs(service._rows(request, place, now, store.position), store)
            expected = service.model.score(inputs)
            for how in PLAIN:
                frame = getattr(frames, how)(request, service.catalog.ad_id[place])
                frames.context(frame, request, now)
                assert np.array_equal(frames.predict(frame), expected), how
        trees = service.model._booster.num_trees()
        size = f"{min(candidates)} candidates of {len(service.catalog)} ads, {trees} trees"
    return [orjson.dumps(asdict(request)) for request in requests], size


def breakdown(answers: list[Mapping[str, Any]]) -> dict[str, float]:
    """Median ms of each stage, and of the rest inside the answer."""
    stages: dict[str, list[float]] = {}
    for answer in answers:
        timings = answer["timings_ms"]
        spent = {stage["name"]: stage["end"] - stage["start"] for stage in timings["stages"]}
        spent["rest"] = timings["total"] - sum(spent.values())
        for name, ms in spent.items():
            stages.setdefault(name, []).append(ms)
    return {f"{name}_ms": float(np.median(ms)) for name, ms in stages.items()}


@dataclass
class Asked:
    """What one side was asked and answered."""

    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # a request, round by round
    answers: list[bytes] = field(default_factory=list)

    def asker(self, child: Child, path: str, bodies: list[bytes], num: int) -> Callable[[], float]:
        """-> a function that asks `num` times, one after the other, and returns the median ms."""

        def measure() -> float:
            child.connection.close()  # opened by the first request: a server ends one that was idle for seconds
            before, first = child.cpu_ms(), len(self.ms)
            for at in range(first, first + num):
                ms, answer = child.ask(path, bodies[at % len(bodies)])
                self.ms.append(ms)
                self.answers.append(answer)
            self.cpu_ms.append((child.cpu_ms() - before) / num)
            return quantile(self.ms[first:], 0.5)

        return measure

    def row(self, what: str) -> dict[str, Any]:
        return {
            "what": what,
            "p50_ms": quantile(self.ms, 0.5),
            "p99_ms": quantile(self.ms, 0.99),
            "requests": len(self.ms),
            "cpu_ms": quantile(self.cpu_ms, 0.5),
        }


def measure(folder: Path, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        homes = {name: Path(shutil.copytree(folder, Path(temporary) / name)) for name in ("check", "ours", "plain")}
        bodies, size = check(homes["check"], 500)
        ours, plain = (Child("benchmarks.auction", what, str(homes[what])) for what in ("ours", "plain"))
        try:
            return [*side_by_side(ours, plain, bodies, size, quick), *under_faults(ours, bodies, quick)]
        finally:
            ours.close()
            plain.close()


def side_by_side(ours: Child, plain: Child, bodies: list[bytes], size: str, quick: bool) -> list[Row]:
    same = json.loads(plain.ask("/merge", bodies[0])[1])["ads"]
    first: dict[str, Any] = {"ads": []}
    while not first["ads"]:  # a busy machine may cut the first answers short
        first = json.loads(ours.ask(ROUTE, bodies[0])[1])
    assert first["degraded"] or first["ads"] == same, (first["ads"], same)
    rounds, num = (3, 20) if quick else (23, 30)
    mine, rows = Asked(), []
    for path in PLAIN:
        theirs = Asked()
        for child, route in ((ours, ROUTE), (plain, f"/{path}")):
            Asked().asker(child, route, bodies, num)()  # warm
        ratio = paired_rounds(
            theirs.asker(plain, f"/{path}", bodies, num), mine.asker(ours, ROUTE, bodies, num), rounds
        )
        row = theirs.row(f"plain FastAPI, pandas by {path}, {size}")
        rows.append(row | {"times_ours": ratio.median, "range": f"{ratio.low:.2f} ... {ratio.high:.2f}"})
    answers = [json.loads(answer) for answer in mine.answers]
    degraded = sum(bool(answer["degraded"]) for answer in answers) / len(answers)
    row = mine.row(f"ours, {size}") | {"degraded": degraded}
    return [row, {"what": "of it, by stage", **breakdown(answers)}, *rows]


def under_faults(ours: Child, bodies: list[bytes], quick: bool) -> list[Row]:
    rows: list[Row] = []
    for fault in FAULTS:
        ours.tell(fault)
        load = asyncio.run(open_loop(ours.url + ROUTE, 20.0, 2.0 if quick else 10.0, bodies))
        rows.append(
            {
                "what": f"ours, 20 requests/s whoever waits, fault: {fault}",
                "p50_ms": quantile(load.latency_ms, 0.5),
                "p99_ms": quantile(load.latency_ms, 0.99),
                "requests": load.sent,
                "in_deadline": sum(ms <= DEADLINE_MS for ms in load.latency_ms) / load.sent,
            }
        )
    ours.tell("none")
    return rows


def trained(folder: Path) -> None:
    from common.commands.run import train

    case = cases.get(CASE)
    train(case, case.preset("default"), folder)


def main() -> None:
    if sys.argv[1:2] in (["ours"], ["plain"]):
        (serve_ours if sys.argv[1] == "ours" else serve_plain)(Path(sys.argv[2]))
        return
    quick, load = "--quick" in sys.argv, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[sys.argv.index("--home") + 1]) if "--home" in sys.argv else Path(temporary) / "home"
        if not folder.exists():
            trained(folder)
        rows = measure(folder, quick)
    for row in rows:
        print(
            "  ".join(f"{key}: {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items())
        )
    if not quick:
        print(write_result("auction", rows, NOTES.format(before=load, after=os.getloadavg()[0]), seed=0))


if __name__ == "__main__":
    main()
