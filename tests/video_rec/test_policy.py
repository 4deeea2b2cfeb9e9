"""The rules against brute force, on thousands of random candidate lists; and each rule's test against a policy that breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from common.contract import Ints, Ranking
from video_rec import policy
from video_rec.policy import Context, Decision, Policy
from video_rec.schema import Request, Requests


def case(rng: np.random.Generator, most: int) -> tuple[Ranking, Context]:
    k = int(rng.integers(1, most))
    ids = rng.permutation(most + 10)[:k]
    context = Context(
        creators=rng.integers(-1, 4, k), explicit=rng.random(k) < 0.2, watched=rng.integers(-1, most + 10, 5)
    )
    return Ranking(ids=ids[None], scores=-np.sort(rng.random((1, k)))), context


def lawful(ids: Ints, context: Context, places: tuple[int, ...], cap: int) -> bool:
    creators = [int(context.creators[place]) for place in places]
    return all(not context.explicit[place] and ids[place] not in context.watched.tolist() for place in places) and all(
        creators.count(creator) <= cap for creator in creators if creator >= 0
    )


def test_no_lawful_feed_is_longer_or_worth_more() -> None:
    """Brute force over every subset of up to nine candidates."""
    rng = np.random.default_rng(0)
    for _ in range(400):
        candidates, context = case(rng, 9)
        ids, scores = candidates.ids[0], -np.sort(-np.random.default_rng(1).random(candidates.ids.shape[1]))
        rules = Policy(feed_size=4, creator_cap=2)
        kept = rules.decide(None, Ranking(ids=ids[None], scores=scores[None]), context).kept
        assert lawful(ids, context, tuple(kept.tolist()), 2)
        feeds = [
            places
            for size in range(5)
            for places in combinations(range(len(ids)), min(size, len(ids)))
            if lawful(ids, context, places, 2)
        ]
        assert len(kept) == max(len(places) for places in feeds)
        best = max(scores[list(places)].sum() for places in feeds)
        assert scores[kept].sum() == pytest.approx(best)


def test_every_invariant_holds_thousands_of_times() -> None:
    rules = Policy(feed_size=10, creator_cap=2)
    for sentence, holds in policy.INVARIANTS.items():
        for seed in range(1_000):
            assert not holds(rules, np.random.default_rng(seed)), sentence


@dataclass(frozen=True, kw_only=True)
class Lawless(Policy):
    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        return Decision(kept=np.flatnonzero(candidates.ids[0] >= 0)[: self.feed_size], why=[])


@dataclass(frozen=True, kw_only=True)
class Shy(Policy):
    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        kept = Policy.decide(self, request, candidates, context)
        return Decision(kept=kept.kept[:-1], why=[])


@pytest.mark.parametrize("sentence", policy.INVARIANTS)
def test_every_invariant_notices_a_policy_that_breaks_it(sentence: str) -> None:
    broken = [Lawless(feed_size=30, creator_cap=1), Shy(feed_size=30, creator_cap=1)]
    holds = policy.INVARIANTS[sentence]
    assert any(holds(rules, np.random.default_rng(seed)) for rules in broken for seed in range(50))


def test_unknown_creators_are_not_capped_and_order_is_kept() -> None:
    ids = np.arange(6)
    context = Context(creators=np.full(6, -1), explicit=np.zeros(6, bool), watched=np.array([2, -1]))
    ranking = Ranking(ids=ids[None], scores=-ids[None].astype(float))
    assert Policy(feed_size=4, creator_cap=1).decide(None, ranking, context).kept.tolist() == [0, 1, 3, 4]
    assert Policy(feed_size=4, creator_cap=1).decide(
        Request(user_id=1, feed_size=2), ranking, context
    ).kept.tolist() == [0, 1]


def test_one_at_a_time_and_many_at_once_agree() -> None:
    rng, rules = np.random.default_rng(2), Policy(feed_size=5, creator_cap=2)
    cases = [case(rng, 30) for _ in range(50)]
    width = max(ranking.ids.shape[1] for ranking, _ in cases)
    ids, creators, explicit = np.full((50, width), -1), np.full((50, width), -1), np.zeros((50, width), bool)
    for row, (ranking, context) in enumerate(cases):
        k = ranking.ids.shape[1]
        ids[row, :k], creators[row, :k], explicit[row, :k] = ranking.ids[0], context.creators, context.explicit
    watched = np.stack([context.watched for _, context in cases])
    nothing = np.zeros(50, np.int64)
    asked = Requests(user_id=np.arange(50), event_time=nothing, moment=nothing)
    feeds = rules.apply(asked, Ranking(ids=ids, scores=np.zeros(ids.shape)), watched, creators, explicit)
    for row, (ranking, context) in enumerate(cases):
        kept = ranking.ids[0, rules.decide(None, ranking, context).kept]
        assert feeds.ids[row][feeds.ids[row] >= 0].tolist() == kept.tolist()


def test_a_reason_names_whom_the_cap_raised() -> None:
    context = Context(creators=np.array([1, 1, 1, 2]), explicit=np.zeros(4, bool), watched=np.array([-1]))
    ranking = Ranking(ids=np.array([[10, 11, 12, 13]]), scores=np.array([[4.0, 3, 2, 1]]))
    why = Policy(feed_size=3, creator_cap=2).decide(None, ranking, context).why
    assert [(reason.item, reason.reason, reason.effect) for reason in why] == [(13, "creator cap", 1.0)]
