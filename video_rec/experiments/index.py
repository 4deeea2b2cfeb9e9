"""How to search millions of vectors: from which size on an index pays, what it costs, and what the feed loses to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from common.contract import Experiment, Ranking, Table
from common.eval.chart import Chart
from common.eval.report import paired
from common.training import seeding
from video_rec import model
from video_rec.config import Config
from video_rec.experiments import lab, millions
from video_rec.model import index as stage
from video_rec.model.index import Vectors
from video_rec.schema import Dataset

SIZES = (5_000, 20_000, 50_000, 200_000, 500_000)  # videos; two million are in benchmarks/candidates.py
ROUNDS, A_ROUND = 9, 20  # timing rounds, and queries in each
JUDGED = 300  # queries
LARGE = 250_000  # videos of the feeds compared, most of which nobody has watched


def index(config: Config) -> Table:
    """From how many videos on does an index pay? Milliseconds it saves a request beside a scan, at 95 % of the neighbours found.

    One query, one thread, every index in turn; `low` and `high` are the range over the rounds: a timing, so it holds for this machine. The
    lists are cut where viewers look; cut by faiss alone (the foil) they have to be read three times as far."""
    dataset, _, small = lab.trained(config)
    tune = small.sources.towers.viewer(millions.queries(dataset, small))
    judged = small.sources.towers.viewer(small.sources.features.recent(dataset.test, dataset.history))[:JUDGED]
    features = millions.described(
        dataset, config, (millions.catalogue(config, ids) for ids in millions.blocks(max(SIZES)))
    )
    every = millions.vectors(millions.grown(small.sources.towers.towers, features))
    seeding.limit(1)
    return [row for num in SIZES for row in _sized(every[:num], tune, judged)]


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
    """What does the feed lose when the index finds less? Planted gain beside that of a scan of every video; one list alone is the foil."""
    dataset, fitted, small = lab.trained(config)
    reports = {"scan": lab.judge(lab.feed(dataset, fitted, lab.answers(dataset, small, config), config), config)}
    found: dict[str, float] = {"scan": 1.0}
    for recall in (0.99, 0.95, 0.8, 0.5, 0.0):
        searched, reached = _searched(dataset, small, recall)
        name = f"{recall:g} of the neighbours" if recall else "one list"
        answers = lab.answers(dataset, searched, config)
        reports[name], found[name] = lab.judge(lab.feed(dataset, fitted, answers, config), config), reached
    return [
        row | {"ann_recall@500": found[row["index"]], "percent_lost": _percent(reports[row["index"]], reports["scan"])}
        for row in lab.against("index", reports, "scan")
    ]


def _searched(dataset: Dataset, small: model.TwoStage, recall: float) -> tuple[model.TwoStage, float]:
    """The model with an index that finds so much of the neighbours of viewers in validation; -> and what it finds of those of the test."""
    towers = small.sources.towers
    built: Any = stage.lists(towers.vectors, towers.viewer(millions.queries(dataset, small)), recall)
    judged = towers.viewer(small.sources.features.recent(dataset.test, dataset.history))
    truth = stage.exact_neighbours(towers.vectors, judged, stage.K)
    reached = stage.ann_recall(built.search(judged, truth.shape[1])[1], truth)
    return replace(small, sources=replace(small.sources, towers=replace(towers, index=built))), reached


def _percent(report: Any, base: Any) -> float:
    return float(-100 * paired(report, base).value / base.metrics[base.primary].value)


def index_gain(config: Config) -> Table:
    """The same at a quarter of a million videos, most of them new: gain of the feed by scan, by the index, and with candidates drawn at random."""
    dataset, _, small = lab.trained(config)
    large = millions.grow(dataset, small, config, LARGE)
    towers = large.model.sources.towers
    queries = towers.viewer(millions.queries(dataset, large.model))
    searched = {"scan": stage.exact(towers.vectors), "index": stage.lists(towers.vectors, queries)}
    reports = {}
    for name, built in searched.items():
        sources = replace(large.model.sources, towers=replace(towers, index=built))
        answers = lab.answers(dataset, replace(large.model, sources=sources), config)
        reports[name] = lab.judge(lab.feed(dataset, sources.features, answers, config), config)
    drawn = np.random.default_rng(config.seed).integers(0, LARGE, (len(dataset.test), config.num_candidates))
    random = large.model.rerank(dataset.test, Ranking(ids=drawn, scores=np.zeros(drawn.shape)), dataset.history)
    reports["at random"] = lab.judge(lab.feed(dataset, large.model.sources.features, random, config), config)
    return [
        row | {"percent_lost": _percent(reports[row["candidates"]], reports["scan"])}
        for row in lab.against("candidates", reports, "scan")
    ]


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
