"""Scores -> feed: hard rules that no score can buy off, and a few places that are not for the best score.

In:     candidates in order of score; what the rules ask of each, and of the viewer.
Out:    Policy.decide(request, candidates, context) -> Decision: the feed, why something stands higher than its score would have it, and what
        could not be had.
Choice: copies are one video, and only the one that stands highest may be shown; then greedy from the top. Exclusions and a cap a creator are
        a partition matroid, for which greedy is also the best feed by sum of scores, and the longest. Spacing is no matroid: where greedy
        would end early, a look ahead keeps the feed as long as it can be.
Else:   re-ranking for diversity by similarity (MMR, DPP): when what bores is likeness that no creator and no fingerprint gives away.
Breaks: a video the rules bar, a feed shorter than it had to be, a promise not kept and not reported: INVARIANTS; a feed worth less than
        another lawful one: test_policy.py, against brute force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Floats, Invariant, Ranking
from video_rec.config import Config
from video_rec.features import Features
from video_rec.policy import feed, invariants
from video_rec.policy.feed import Context, Decision
from video_rec.schema import Request, Requests, Rows

__all__ = ["INVARIANTS", "Context", "Decision", "Policy", "contexts", "fit", "load"]
DAY = 86_400


def fit(predictions: Ranking, rows: Rows, config: Config) -> Policy:
    """Nothing is learnt: the rules are the config's."""
    return Policy(
        feed_size=config.feed_size,
        creator_cap=config.creator_cap,
        creator_spacing=config.creator_spacing,
        fresh_every=config.fresh_every,
        fresh_days=config.fresh_days,
        explore_slot=config.explore_slot,
        popularity_dial=config.popularity_dial,
        mute=config.mute,
    )


def load(folder: Path) -> Policy:
    read = json.loads((folder / "policy.json").read_text())
    return Policy(**read | {"off": tuple(read["off"])})


@dataclass(frozen=True, kw_only=True)
class Policy:
    """At most `feed_size` videos; `off` names rules of feed.RULES that do not hold, to learn what they cost."""

    feed_size: int
    creator_cap: int  # videos of one creator
    creator_spacing: int = 1  # places from one video of a creator to the next, at least
    fresh_every: int = 0  # every so many places one is for a fresh video; 0: none
    fresh_days: float = 3.0  # since its upload a video is fresh
    explore_slot: int = -1  # the place that is given by lot; -1: none
    popularity_dial: float = 0.0  # 0: the ranker's order; 1: what everybody watches
    mute: float = 0.0  # of its score a video loses, at most, that is like those of a hidden creator
    off: tuple[str, ...] = ()

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        """candidates [1, k] of one request, best first -> the feed."""
        size = request.feed_size if request is not None else self.feed_size
        return feed.decide(self, candidates.ids[0], candidates.scores[0], context, size)

    def apply(self, rankings: Ranking, given: Sequence[Context]) -> Ranking:
        """The same rules over many requests: rankings [n, k] and a context for each -> [n, feed_size]."""
        ids = np.full((len(given), self.feed_size), -1)
        scores = np.full(ids.shape, -np.inf)
        for row, context in enumerate(given):
            one = Ranking(ids=rankings.ids[[row]], scores=rankings.scores[[row]])
            kept = self.decide(None, one, context).kept
            ids[row, : len(kept)] = rankings.ids[row, kept]
            scores[row, : len(kept)] = -np.arange(
                len(kept)
            )  # a place by lot or for the fresh need not have the next best score
        return Ranking(ids=ids, scores=scores)

    def is_fresh(self, context: Context) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        age = context.now - context.rulings.uploaded  # NaN is not fresh, and neither is what will be uploaded
        fresh: np.ndarray[tuple[int], np.dtype[np.bool_]] = (age >= 0) & (age <= self.fresh_days * DAY)
        return fresh

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps(asdict(self)))


def contexts(
    features: Features, requests: Requests, rankings: Ranking, store: FeatureStore, popularity: Floats
) -> list[Context]:
    """What the rules need to know of each request's candidates [n, k]; the lot is drawn by place in the list of requests, the same in
    every comparison of feeds. `popularity` [num_videos]."""
    watched, hidden = features.watched(requests, store)
    chance = np.random.default_rng(11).random(len(requests))
    found = []
    for row in range(len(requests)):
        context = Context.of(
            features,
            rankings.ids[row],
            popularity,
            watched=watched[row],
            hidden=hidden[row],
            age=int(requests.age[row]),
            country=int(requests.country[row]),
            now=int(requests.event_time[row]),
            chance=float(chance[row]),
        )
        found.append(context)
    return found


INVARIANTS: Mapping[str, Invariant] = invariants.INVARIANTS
