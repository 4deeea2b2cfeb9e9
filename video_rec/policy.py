"""Scores -> feed: hard rules that no score can buy off.

In:     candidates in order of score; what the viewer has watched, who made each candidate, which are explicit.
Out:    Policy.decide(request, candidates, context) -> Decision: the feed, and why something stands higher than its score would have it.
Choice: greedy from the top. The rules are a cap a creator and exclusions (a partition matroid), for which greedy is also the best feed by sum
        of scores, and the longest.
Else:   re-ranking for diversity by similarity (MMR, DPP): when near-duplicates come from different creators.
Breaks: a watched video (of the last features.WATCHED that the context holds) or an explicit one, one by a creator above the cap, a feed
        shorter than it had to be: INVARIANTS; a feed worth less than another lawful one: test_policy.py, against brute force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, Ints, Invariant, Ranking, Why
from video_rec.config import Config
from video_rec.schema import Request, Requests, Rows


def fit(predictions: Ranking, rows: Rows, config: Config) -> Policy:
    """Nothing is learnt: the rules are the config's."""
    return Policy(feed_size=config.feed_size, creator_cap=config.creator_cap)


def load(folder: Path) -> Policy:
    return Policy(**json.loads((folder / "policy.json").read_text()))


@dataclass(frozen=True, kw_only=True)
class Context:
    """Of one request's candidates [k]: who made each (-1 unknown: no cap), which may not be recommended; `watched` ids, any order, -1 pads."""

    creators: Ints
    explicit: Bools
    watched: Ints


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`kept` [<= feed_size] places among the candidates, in order."""

    kept: Ints
    why: list[Why]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """At most `feed_size` videos, at most `creator_cap` of them by one creator; nothing barred."""

    feed_size: int
    creator_cap: int

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        """candidates [1, k] of one request, best first -> the feed."""
        size = request.feed_size if request is not None else self.feed_size
        ids = candidates.ids[0]
        barred = (ids < 0) | context.explicit | np.isin(ids, context.watched[context.watched >= 0])
        shown: dict[int, int] = {}
        kept: list[int] = []
        why: list[Why] = []
        capped = 0
        for place in np.flatnonzero(~barred).tolist():
            if len(kept) == size:
                break
            creator = int(context.creators[place])
            if creator >= 0 and shown.get(creator, 0) >= self.creator_cap:
                capped += 1
                continue
            shown[creator] = shown.get(creator, 0) + 1
            kept.append(place)
            if capped and place - len(kept) + 1 > 0:
                why.append(_raised(int(ids[place]), place, len(kept) - 1, self.creator_cap))
                capped = 0
        return Decision(kept=np.array(kept, dtype=np.int64), why=why)

    def apply(self, requests: Requests, rankings: Ranking, watched: Ints, creators: Ints, explicit: Bools) -> Ranking:
        """The same rules over many requests: rankings, creators, explicit [n, k], watched [n, m] -> [n, feed_size]."""
        ids = np.full((len(requests), self.feed_size), -1)
        scores = np.full(ids.shape, -np.inf)
        for row in range(len(requests)):
            one = Ranking(ids=rankings.ids[[row]], scores=rankings.scores[[row]])
            kept = self.decide(
                None, one, Context(creators=creators[row], explicit=explicit[row], watched=watched[row])
            ).kept
            ids[row, : len(kept)], scores[row, : len(kept)] = rankings.ids[row, kept], rankings.scores[row, kept]
        return Ranking(ids=ids, scores=scores)

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps({"feed_size": self.feed_size, "creator_cap": self.creator_cap}))


def _raised(item: int, place: int, slot: int, cap: int) -> Why:
    return Why(
        item=item,
        stage="rules",
        reason="creator cap",
        effect=float(place - slot),
        evidence=f"candidate {place} stands at {slot}: a better one had {cap} of its creator above it",
    )


def _case(rng: np.random.Generator) -> tuple[Ranking, Context]:
    k = int(rng.integers(1, 40))
    ids = rng.permutation(60)[:k]
    ids[rng.random(k) < 0.1] = -1
    creators, explicit = rng.integers(-1, 8, k), rng.random(k) < 0.2
    candidates = Ranking(ids=ids[None], scores=-np.sort(rng.random((1, k))))
    return candidates, Context(creators=creators, explicit=explicit, watched=rng.integers(-1, 60, 15))


def _never_watched(policy: Policy, rng: np.random.Generator) -> str:
    candidates, context = _case(rng)
    again = np.intersect1d(candidates.ids[0, policy.decide(None, candidates, context).kept], context.watched)
    return f"video {again[0]} was watched and is shown again" if len(again) else ""


def _never_explicit(policy: Policy, rng: np.random.Generator) -> str:
    candidates, context = _case(rng)
    kept = policy.decide(None, candidates, context).kept
    return (
        f"explicit video {candidates.ids[0, kept][context.explicit[kept]][0]} is shown"
        if context.explicit[kept].any()
        else ""
    )


def _never_above_cap(policy: Policy, rng: np.random.Generator) -> str:
    candidates, context = _case(rng)
    shown = context.creators[policy.decide(None, candidates, context).kept]
    most = np.unique(shown[shown >= 0], return_counts=True)[1].max(initial=0)
    return f"{most} videos of one creator, the cap is {policy.creator_cap}" if most > policy.creator_cap else ""


def _never_shorter(policy: Policy, rng: np.random.Generator) -> str:
    """As many as could be shown: the sum over creators of min(cap, allowed), those of unknown creators all."""
    candidates, context = _case(rng)
    ids = candidates.ids[0]
    allowed = [
        place
        for place in range(len(ids))
        if ids[place] >= 0 and not context.explicit[place] and ids[place] not in context.watched
    ]
    counts: dict[int, int] = {}
    for place in allowed:
        creator = int(context.creators[place])
        counts[creator] = counts.get(creator, 0) + 1
    feasible = sum(count if creator < 0 else min(policy.creator_cap, count) for creator, count in counts.items())
    length, expected = len(policy.decide(None, candidates, context).kept), min(feasible, policy.feed_size)
    return f"{length} videos where {expected} were possible" if length != expected else ""


INVARIANTS: Mapping[str, Invariant] = {
    "a watched video is never shown": _never_watched,
    "an explicit video is never shown": _never_explicit,
    "no creator stands in a feed more often than the cap": _never_above_cap,
    "a feed is never shorter than it has to be": _never_shorter,
}
