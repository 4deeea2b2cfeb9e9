"""How to search millions of vectors: from which size on an index pays, what it costs, and what the feed loses to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from common.contract import Experiment, Table
from common.eval.chart import Chart
from common.eval.report import Report
from common.training import seeding
from video_rec import model
from video_rec.config import Config
from video_rec.experiments import lab, millions
from video_rec.model import index as stage
from video_rec.model.index import Vectors
from video_rec.schema import Dataset

SIZES = (5_000, 20_000, 60_000, 200_000)  # videos; two million are in benchmarks/candidates.py
ROUNDS, A_ROUND = 7, 20  # timing rounds, and queries in each
JUDGED = 300  # queries
LARGE = 250_000  # videos of the feeds compared, most of which nobody has watched


def index(config: Config) -> Table:
    """From how many videos on does an index pay? Milliseconds it saves a request beside a scan, at 95 % of the neighbours found.

    One query, one thread, every index in turn; `low` and `high` are the range over the rounds: a timing, so it holds for this machine. The
    lists are cut where viewers look; cut by faiss alone (the foil) they have to be read up to twice as far."""
    dataset, _, small = lab.trained(config)
    tune = small.sources.towers.viewer(millions.queries(dataset, small))
    judged = small.sources.towers.viewer(small.sources.features.recent(dataset.test, dataset.history))[:JUDGED]
    features = millions.described(
        small.sources.features, (millions.catalogue(config, ids) for ids in millions.blocks(max(SIZES)))
    )
    every = millions.vectors(millions.grown(small.sources.towers.towers, features))
    seeding.limit(1)
    try:
        return [row for num in SIZES for row in _sized(every[:num], tune, judged)]
    finally:
        seeding.limit(seeding.num_threads())


def _sized(vectors: Vectors, tune: Vectors, judged: Vectors) -> Table:
    k = min(stage.K, len(vectors))
    truth, scan = stage.exact_neighbours(vectors, judged, k), stage.exact(vectors)
    table: Table = []
    for name, build in BUILDERS.items():
        begin = time.perf_counter()
        built: Any = build(vectors, tune)
        seconds = time.perf_counter() - begin
        pairs = [(_ms(scan, judged, k), _ms(built, judged, k)) for _ in range(ROUNDS)]
        saved = [slow - quick for slow, quick in pairs]
        found = built.search(judged, k)[1]
        table.append({
            "index": name, "videos": len(vectors), "saved_ms": float(np.median(saved)), "low": min(saved), "high": max(saved),
            "exact_ms": float(np.median([slow for slow, _ in pairs])), "index_ms": float(np.median([quick for _, quick in pairs])),
            "ann_recall@500": stage.ann_recall(found, truth), "share_of_lists": built.nprobe / built.nlist,
            "bytes_per_vector": len(faiss.serialize_index(built)) / len(vectors), "build_seconds": seconds,
        })  # fmt: skip
    return table


def _ms(built: Any, queries: Vectors, k: int) -> float:
    """The median of single queries."""
    spent = []
    for at in range(A_ROUND):
        begin = time.perf_counter()
        built.search(queries[at % len(queries)][None], k)
        spent.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(spent))


def _plain(vectors: Vectors, tune: Vectors) -> Any:
    """Lists cut by the videos' own spread."""
    return stage.lists(vectors, tune, shape=np.eye(vectors.shape[1], dtype=np.float32))


BUILDERS: Mapping[str, Callable[[Vectors, Vectors], Any]] = {
    "where viewers look": stage.lists,
    "by the videos alone": _plain,
}
"""Of the lists: how they are cut."""


def index_recall(config: Config) -> Table:
    """What does the feed lose when the index finds less? Planted gain beside that of a scan of every video; the foil finds the neighbours of
    somebody else's vectors. An index that finds very few loses less than one that finds half: other sources take the empty places."""
    dataset, _, small = lab.trained(config)
    towers = small.sources.towers
    tune = towers.viewer(millions.queries(dataset, small))
    judged = towers.viewer(small.sources.features.recent(dataset.test, dataset.history))
    truth = stage.exact_neighbours(towers.vectors, judged, stage.K)
    built: dict[str, Any] = {"scan": stage.exact(towers.vectors)}
    for recall in (0.99, 0.95, 0.8, 0.5):
        built[f"{recall:g} of the neighbours"] = stage.lists(towers.vectors, tune, recall)
    built |= {"one list": stage.lists(towers.vectors, tune, 0.0), FOIL: _foil(towers.vectors)}
    reports = _reports(dataset, small, built, config)
    found = {name: stage.ann_recall(one.search(judged, truth.shape[1])[1], truth) for name, one in built.items()}
    return [row | {"ann_recall@500": found[row["index"]]} for row in _lost(reports)]


def index_gain(config: Config) -> Table:
    """What does the feed lose to the index at a quarter of a million videos, most of which nobody has watched? Planted gain beside a scan's."""
    dataset, _, small = lab.trained(config)
    large = millions.grow(dataset, small, config, LARGE).model
    vectors = large.sources.towers.vectors
    tune = large.sources.towers.viewer(millions.queries(dataset, large))
    built = {"scan": stage.exact(vectors), "lists": stage.lists(vectors, tune), FOIL: _foil(vectors)}
    return _lost(_reports(dataset, large, built, config))


def _reports(dataset: Dataset, better: model.TwoStage, built: Mapping[str, Any], config: Config) -> dict[str, Report]:
    """The feeds of one model with each index behind its towers, judged."""
    reports = {}
    for name, one in built.items():
        sources = replace(better.sources, towers=replace(better.sources.towers, index=one))
        answers = lab.answers(dataset, replace(better, sources=sources), config)
        reports[name] = lab.judge(lab.feed(dataset, sources.features, answers, config), config)
    return reports


def _lost(reports: Mapping[str, Report]) -> Table:
    base = reports["scan"]
    scan = base.metrics[base.primary].value
    return [row | {"percent_lost": -100 * row["against scan"] / scan} for row in lab.against("index", reports, "scan")]


FOIL = "of somebody else's vectors"


def _foil(vectors: Vectors) -> Any:
    return stage.exact(vectors[np.random.default_rng(0).permutation(len(vectors))])


EXPERIMENTS: Mapping[str, Experiment] = {"index": index, "index_recall": index_recall, "index_gain": index_gain}
CHARTS: Mapping[str, Chart] = {
    "index": Chart(
        title="What an index saves beside a scan, as the catalogue grows",
        x="videos",
        y="saved_ms",
        series="index",
        x_label="videos in the catalogue",
        y_label="ms a request, scan minus index (above zero: build an index)",
        log_x=True,
    ),
}
