"""The rules against brute force, on twenty thousand random candidate lists; and each rule's test against a policy that breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from common.contract import Ints, Ranking
from video_rec import policy
from video_rec.config import DEFAULT
from video_rec.features import Rulings
from video_rec.policy import Context, Decision, Policy, feed, invariants
from video_rec.policy.spacing import reach
from video_rec.schema import Request, Rows

PLAIN = Policy(feed_size=4, creator_cap=2)
FULL = Policy(
    feed_size=10, creator_cap=2, creator_spacing=3, fresh_every=4, explore_slot=6, popularity_dial=0.2, mute=0.5
)


def context(creators: list[int], **changed: object) -> Context:
    """Nothing is barred unless `changed` says so."""
    k = len(creators)
    nothing, none = np.zeros(k, np.int64), np.empty(0, np.int64)
    rulings = Rulings(
        creators=np.array(creators), known=nothing == 0, explicit=nothing > 0, min_age=nothing, barred_in=nothing,
        groups=nothing - 1, uploaded=np.full(k, np.nan), put=nothing > 0,
    )  # fmt: skip
    ruled = {name: value for name, value in changed.items() if hasattr(rulings, name)}
    others = {name: value for name, value in changed.items() if name not in ruled}
    whole: dict[str, object] = {"popularity": np.zeros(k), "watched": none, "watched_groups": none, "hidden": none}
    whole |= {"alike": np.zeros(k), "rulings": replace(rulings, **ruled)} | others  # type: ignore[arg-type]
    return Context(**whole)  # type: ignore[arg-type]


def ranked(k: int) -> Ranking:
    return Ranking(ids=np.arange(k)[None], scores=-np.arange(k, dtype=float)[None])


@pytest.mark.slow
def test_twenty_thousand_lists_keep_every_rule_and_some_of_them_cannot_give_what_is_asked() -> None:
    short = 0
    for seed in range(20_000):
        candidates, given = invariants.draw(np.random.default_rng(seed))
        decision = FULL.decide(None, candidates, given)
        found = {name: how for name, how in invariants.broken(FULL, candidates, given, decision).items() if how}
        assert not found, (seed, found)
        short += any("places" in reason for reason in decision.infeasible)
    assert short > 1_000, "no list was too poor: what is infeasible was never asked"


@dataclass(frozen=True, kw_only=True)
class Lawless(Policy):
    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        kept = np.arange(candidates.ids.shape[1])[: self.feed_size]
        return Decision(kept=kept, propensity=np.full(len(kept), 0.5), why=[], infeasible=[])


@dataclass(frozen=True, kw_only=True)
class Shy(Policy):
    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        found = Policy.decide(self, request, candidates, context)
        return replace(found, kept=found.kept[:-1], propensity=found.propensity[:-1])


@dataclass(frozen=True, kw_only=True)
class Silent(Policy):
    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        return replace(Policy.decide(self, request, candidates, context), infeasible=[])


@dataclass(frozen=True, kw_only=True)
class Liar(Policy):
    """No places for the fresh, none by lot, and it says that there was nobody to take them."""

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        found = Policy.decide(replace(self, fresh_every=0, explore_slot=-1), request, candidates, context)
        said = [f"place {slot} is for a video of 3 days: no candidate is so young" for slot in range(self.feed_size)]
        return replace(found, infeasible=[*found.infeasible, *said])


@pytest.mark.slow
def test_a_policy_that_says_there_was_none_where_there_was_is_noticed() -> None:
    liar = Liar(**vars(FULL))
    noticed = {
        name
        for seed in range(300)
        for name, holds in policy.INVARIANTS.items()
        if holds(liar, np.random.default_rng(seed))
    }
    assert {
        "a place for the fresh is theirs, or it is said that there are none",
        "what came by lot says how likely that was",
    } <= noticed


@pytest.mark.parametrize("rule", ["age", "country", "explicit", "watched", "hidden creator"])
def test_a_rule_that_lets_everything_through_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.RULES, rule, lambda ids, context: np.ones(len(ids), bool))
    assert any(holds(FULL, np.random.default_rng(seed)) for seed in range(100) for holds in policy.INVARIANTS.values())


@pytest.mark.parametrize("sentence", policy.INVARIANTS)
def test_every_invariant_notices_a_policy_that_breaks_it(sentence: str) -> None:
    broken = [twin(feed_size=30, creator_cap=1, creator_spacing=3, fresh_every=3) for twin in (Lawless, Shy, Silent)]
    holds = policy.INVARIANTS[sentence]
    assert any(holds(rules, np.random.default_rng(seed)) for rules in broken for seed in range(100))


def feeds(creators: list[int], size: int, cap: int, spacing: int) -> Iterator[tuple[int, ...]]:
    """Every lawful feed of every length, in every order."""
    for length in range(size + 1):
        for places in permutations(range(len(creators)), length):
            at: dict[int, list[int]] = {}
            for slot, place in enumerate(places):
                if creators[place] >= 0:
                    at.setdefault(creators[place], []).append(slot)
            if all(len(slots) <= cap and min(np.diff(slots), default=spacing) >= spacing for slots in at.values()):
                yield places


def test_no_lawful_feed_is_longer_and_without_spacing_none_is_worth_more() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        creators = rng.integers(-1, 3, int(rng.integers(1, 7))).tolist()
        cap, spacing = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        rules = Policy(feed_size=5, creator_cap=cap, creator_spacing=spacing)
        scores = -np.sort(-rng.random(len(creators)))
        kept = rules.decide(
            None, Ranking(ids=np.arange(len(creators))[None], scores=scores[None]), context(creators)
        ).kept
        every = list(feeds(creators, 5, cap, spacing))
        assert tuple(kept.tolist()) in every
        assert len(kept) == max(map(len, every))
        if spacing == 1:
            assert scores[kept].sum() == pytest.approx(max(scores[list(places)].sum() for places in every))


def test_reach_is_what_trying_everything_reaches() -> None:
    """Any state a walk may be in: what is left of each creator, when its next may come, how many stand anywhere."""
    rng = np.random.default_rng(1)
    for _ in range(1_500):
        spacing, place = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        left = tuple(rng.integers(0, 4, int(rng.integers(1, 5))).tolist())
        ready = tuple(rng.integers(0, place + spacing, len(left)).tolist())
        free, size = int(rng.integers(0, 3)), int(rng.integers(place, 10))

        @cache
        def best(left: tuple[int, ...], ready: tuple[int, ...], free: int, place: int) -> int:
            if place == size:  # noqa: B023  (called at once)
                return place
            found = [best(left, ready, free - 1, place + 1)] if free else [place]
            for at, some in enumerate(left):
                if some and ready[at] <= place:
                    later = (*ready[:at], place + spacing, *ready[at + 1 :])  # noqa: B023
                    found.append(best((*left[:at], some - 1, *left[at + 1 :]), later, free, place + 1))
            return max(found)

        given = dict(enumerate(left)), dict(enumerate(ready))
        assert reach(*given, free, spacing, place, size) == best(left, ready, free, place)


def kept(rules: Policy, given: Context, k: int, request: Request | None = None) -> list[int]:
    found: list[int] = rules.decide(request, ranked(k), given).kept.tolist()
    return found


def test_unknown_creators_are_not_capped_and_order_is_kept() -> None:
    given = context([-1] * 6, watched=np.array([2]))
    assert kept(replace(PLAIN, creator_cap=1), given, 6) == [0, 1, 3, 4]
    assert kept(PLAIN, given, 6, Request(user_id=1, feed_size=2)) == [0, 1]


@pytest.mark.parametrize(
    ("ruling", "viewer", "shown"),
    [
        ({"min_age": np.array([0, 16, 18])}, {"age": 17}, [0, 1]),
        ({"min_age": np.array([0, 16, 18])}, {}, [0]),  # nobody's age is a child's
        ({"barred_in": np.array([0, 1 << 3, 1 << 5])}, {"country": 3}, [0, 2]),
        ({"barred_in": np.array([0, 1 << 3, 1 << 5])}, {}, [0]),  # nowhere is where the strictest law holds
        ({"explicit": np.array([False, True, False])}, {}, [0, 2]),
        ({"known": np.array([False, True, True])}, {}, [1, 2]),
        ({"groups": np.array([7, -1, 7])}, {}, [0, 1]),
        ({"groups": np.array([7, -1, 7])}, {"watched_groups": np.array([7])}, [1]),
        ({}, {"hidden": np.array([1])}, [0, 2]),
    ],
)
def test_each_rule_bars_what_it_names(ruling: dict[str, Ints], viewer: dict[str, object], shown: list[int]) -> None:
    assert kept(PLAIN, context([0, 1, 2], **ruling, **viewer), 3) == shown


@pytest.mark.parametrize("rule", [*feed.RULES])
def test_a_rule_that_is_off_bars_nothing_more(rule: str) -> None:
    rng = np.random.default_rng(3)
    more = 0
    for _ in range(200):
        candidates, given = invariants.draw(rng)
        on, off = (feed.lawful_places(rules, candidates.ids[0], given) for rules in (FULL, replace(FULL, off=(rule,))))
        assert not (on & ~off).any()
        more += int((off & ~on).sum())
    assert more, "switching the rule off let nothing through: it holds nothing"


def test_the_fresh_have_their_places_and_one_goes_by_lot() -> None:
    day = 86_400
    young = np.where(np.arange(12) == 9, 100.0 * day, 0.0)
    given = context([-1] * 12, uploaded=young, now=101 * day, chance=0.999)
    rules = Policy(feed_size=6, creator_cap=2, fresh_every=3, explore_slot=3)
    decision = rules.decide(None, ranked(12), given)
    assert decision.kept.tolist() == [0, 1, 9, 11, 2, 3]
    assert decision.propensity.tolist() == [1, 1, 1, 1 / 5, 1, 1]  # of 6, 7, 8, 10 and 11
    assert decision.infeasible == ["place 5 is for a video of 3 days: no candidate is so young"]
    assert [(why.item, why.reason) for why in decision.why] == [(9, "fresh"), (11, "exploration")]


def test_the_lot_is_fair() -> None:
    rules = Policy(feed_size=4, creator_cap=2, explore_slot=3)
    drawn = [kept(rules, context([-1] * 10, chance=float(u)), 10)[3] for u in np.random.default_rng(0).random(3_000)]
    counts = np.bincount(drawn, minlength=10)
    assert counts[:4].sum() == 0 and counts[4:].min() > 400


def test_the_dial_turns_from_the_score_to_what_everybody_watches_and_a_hide_dims_what_is_alike() -> None:
    popular = np.array([0.0, 5, 50, 500])
    given = context([-1] * 4, popularity=popular)
    assert kept(PLAIN, given, 4) == [0, 1, 2, 3]
    assert kept(replace(PLAIN, popularity_dial=1.0), given, 4) == [3, 2, 1, 0]
    dimmed = context([-1] * 4, alike=np.array([1.0, 0, 0, 0]), hidden=np.array([9]))
    assert kept(replace(PLAIN, mute=0.5), dimmed, 4) == [1, 0, 2, 3]
    assert kept(replace(PLAIN, mute=0.0), dimmed, 4) == [0, 1, 2, 3]


def test_spacing_looks_ahead_where_greedy_would_end_early() -> None:
    """1, 2, then 1 again is not allowed yet: the feed of four there is begins with the creator of most videos all the same."""
    creators = [2, 1, 1, -1]
    rules = Policy(feed_size=4, creator_cap=2, creator_spacing=3)
    decision = rules.decide(None, ranked(4), context(creators))
    assert len(decision.kept) == 4 and not decision.infeasible
    assert [creators[place] for place in decision.kept] == [1, 2, -1, 1]


def test_a_reason_names_whom_the_cap_raised() -> None:
    why = Policy(feed_size=3, creator_cap=2).decide(None, ranked(4), context([1, 1, 1, 2])).why
    assert [(reason.item, reason.reason, reason.effect) for reason in why] == [(3, "creator cap and spacing", 1.0)]


def test_a_saved_policy_is_the_same_policy(tmp_path: Path) -> None:
    one = np.arange(1)
    rows = Rows(user_id=one, video_id=one, event_time=one, moment=one)
    fitted = replace(policy.fit(ranked(1), rows, DEFAULT), off=("watched",))
    fitted.save(tmp_path)
    assert policy.load(tmp_path) == fitted
