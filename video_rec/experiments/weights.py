"""What the feed is asked for: one score from business weights, and what viewers then click, complete and hide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Ranking, Table
from common.errors import InputError
from common.eval import intervals
from video_rec import data
from video_rec.config import Config
from video_rec.experiments.lab import feed, judge, trained
from video_rec.experiments.rankers import NO_RANKER, against_first, dense_of, ordered
from video_rec.schema import Dataset

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the weight that is on completed, the rest is on clicked
VIEWINGS = 20  # of each feed, when viewers are asked


def weights(config: Config) -> Table:
    """What does a click cost in satisfaction? The score is (1 - share) x P(clicked) + share x P(completed | clicked): from a feed asked for
    clicks alone, the first row, to one asked for completed videos alone. Of a feed of 20: gain and its paired difference from the first
    row, then what viewers of the world click, complete and hide. Beside it the product of the two, the weights of the config, and no ranker,
    the foil."""
    if config.data != "world":
        raise InputError(
            f"weights asks what viewers would do with feeds nobody saw; only the world says that, not {config.data}."
        )
    dataset, fitted, better = trained(config)
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    dense = dense_of(better.sources, dataset, candidates)
    predicted = better.ranker.predict(dense) | {"score": better.ranker.score(dense)}
    predicted = {task: column.reshape(candidates.ids.shape) for task, column in predicted.items()}
    clicked, completed = predicted["clicked"], predicted["completed"]
    scores = {f"{share:g}": (1 - share) * clicked + share * completed for share in SHARES}
    scores["clicked x completed"] = clicked * completed
    scores["as configured"] = predicted["score"]
    scores[NO_RANKER] = candidates.scores
    feeds = {name: feed(dataset, fitted, ordered(candidates.ids, score), config) for name, score in scores.items()}
    reports = {name: judge(found, config) for name, found in feeds.items()}
    first = reports[f"{SHARES[0]:g}"]
    return [
        against_first(name, reports[name], first, "weight of completed") | _reactions(feeds[name], dataset, config)
        for name in feeds
    ]


def _reactions(feed: Ranking, dataset: Dataset, config: Config) -> dict[str, float]:
    """What viewers of the world do with a feed, each feed looked at VIEWINGS times with the same luck for all: counts a feed."""
    from video_rec.world import nature

    ids = feed.ids[:, : config.feed_size]
    rows, slot = np.nonzero(ids >= 0)
    gain = data.judgments(config).gain(dataset.test, ids)[rows, slot]
    videos = nature.videos(config.seed, ids[rows, slot], config.days)
    rng = np.random.default_rng([config.seed, 11])
    draws = rng.random((VIEWINGS, *ids.shape, 8))  # more columns than any reaction asks for
    found = [nature.react(gain, videos, slot, one[rows, slot]) for one in draws]
    per_feed = {
        name: np.array([np.bincount(rows, getattr(one, name), len(ids)) for one in found]).mean(axis=0)
        for name in ("clicked", "completed", "hidden")
    }
    table: dict[str, float] = {}
    for name, count in per_feed.items():
        one = intervals.mean(count, dataset.test.user_id)
        assert one.low is not None and one.high is not None
        table |= {name: one.value, f"{name} low": one.low, f"{name} high": one.high}
    return table


EXPERIMENTS: Mapping[str, Experiment] = {"weights": weights}
