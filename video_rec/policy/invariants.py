"""Every rule as a sentence, and the function that tries to break it on random candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Invariant, Ranking
from video_rec.features import Rulings
from video_rec.policy import feed
from video_rec.policy.feed import Context, Decision
from video_rec.policy.spacing import reach

if TYPE_CHECKING:
    from video_rec.policy import Policy

DAY = 86_400


def draw(rng: np.random.Generator, most: int = 40) -> tuple[Ranking, Context]:
    """A random list: unknown ids and creators, copies, laws, hides; some lists are so poor that the rules leave next to nothing."""
    k = int(rng.integers(1, most))
    ids, poor = rng.permutation(most + 20)[:k], rng.random() < 0.3
    ids[rng.random(k) < 0.1] = -1
    now = 100 * DAY
    rulings = Rulings(
        creators=rng.integers(-1, 3 if poor else 15, k),
        known=(ids >= 0) & (rng.random(k) < 0.95),
        explicit=rng.random(k) < 0.2,
        min_age=rng.choice([0, 0, 0, 13, 18], k),
        barred_in=rng.choice([0, 0, 0, 2, 6], k),
        groups=np.where(rng.random(k) < 0.3, rng.integers(0, 6, k), -1),
        uploaded=np.where(rng.random(k) < 0.1, np.nan, now - rng.uniform(0, 12 * DAY, k)),
        put=rng.random(k) < 0.1,
    )
    hidden = rng.integers(0, 15, int(rng.integers(0, 3)))
    context = Context(
        rulings=rulings,
        popularity=rng.integers(0, 100, k).astype(float),
        watched=rng.integers(0, most + 20, 8),
        watched_groups=rng.integers(0, 6, int(rng.integers(0, 2))),
        hidden=hidden,
        alike=rng.random(k) if len(hidden) else np.zeros(k),
        age=int(rng.choice([-1, 9, 15, 40])),
        country=int(rng.integers(-1, 3)),
        now=now,
        chance=float(rng.random()),
    )
    return Ranking(ids=ids[None], scores=-np.sort(rng.random((1, k)))), context


def broken(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> Mapping[str, str]:
    """Sentence -> how it was broken, "" where it held."""
    ids, kept, of = candidates.ids[0], decision.kept, context.rulings
    creators = of.creators[kept]
    found = {_NEVER[name]: _named(ids[kept][~rule(ids, context)[kept]]) for name, rule in feed.RULES.items()}
    counts = np.bincount(creators[creators >= 0], minlength=1)
    found["no creator stands in a feed more often than the cap"] = (
        f"{counts.max()} of one creator, the cap is {policy.creator_cap}" if counts.max() > policy.creator_cap else ""
    )
    near = min((np.diff(np.flatnonzero(creators == one)).min(initial=policy.creator_spacing) for one in set(creators[creators >= 0].tolist())), default=policy.creator_spacing)  # fmt: skip
    found["videos of one creator stand apart"] = f"{near} places apart" if near < policy.creator_spacing else ""
    found["of copies none but the highest is shown"] = _lesser_copy(policy, candidates, context, decision)
    found["a feed is never shorter than it has to be"] = _shorter(policy, candidates, context, decision)
    found["a place for the fresh is theirs, or it is said that there are none"] = _stale(policy, ids, context, decision)
    found["what came by lot says how likely that was"] = _unsaid(policy, decision)
    return found


_NEVER: Mapping[str, str] = {
    "known": "a video nobody knows is never shown",
    "explicit": "an explicit video is never shown",
    "age": "a video is never shown to somebody too young for it",
    "country": "a video is never shown where it is barred",
    "watched": "a watched video is never shown",
    "copy of a watched one": "a copy of a watched video is never shown",
    "hidden creator": "a creator who was hidden is never shown",
}


def _named(ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    return f"{ids[0]} is shown" if len(ids) else ""


def _lesser_copy(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    """Of each set of copies the lawful one that stands first by worth is the video; the others are not there."""
    lawful, groups = feed.lawful_places(policy, candidates.ids[0], context), context.rulings.groups
    highest: dict[int, int] = {}
    for place in feed.by_worth(policy, candidates.scores[0], context).tolist():
        if lawful[place] and groups[place] >= 0:
            highest.setdefault(int(groups[place]), place)
    lesser = [
        place for place in decision.kept.tolist() if groups[place] >= 0 and highest.get(int(groups[place])) != place
    ]
    return f"{candidates.ids[0, lesser[0]]} is shown" if lesser else ""


def _shorter(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    """The longest there is, by counting: the best of each set of copies, then the cap, then the spacing. Shorter than asked for is said."""
    left: dict[int, int] = {}
    free, seen = 0, set()
    lawful = feed.lawful_places(policy, candidates.ids[0], context)
    for place in feed.by_worth(policy, candidates.scores[0], context).tolist():
        if not lawful[place]:
            continue
        group, creator = int(context.rulings.groups[place]), int(context.rulings.creators[place])
        if group >= 0 and group in seen:
            continue
        seen.add(group)
        free += creator < 0
        if creator >= 0:
            left[creator] = min(policy.creator_cap, left.get(creator, 0) + 1)
    possible = reach(left, {}, free, policy.creator_spacing, 0, policy.feed_size)
    if len(decision.kept) != possible:
        return f"{len(decision.kept)} videos where {possible} were possible"
    said = any(reason.startswith(f"{possible} of {policy.feed_size} places") for reason in decision.infeasible)
    return "" if said is (possible < policy.feed_size) else f"{possible} of {policy.feed_size}, and it is not said"


def _stale(
    policy: Policy, ids: np.ndarray[tuple[int], np.dtype[np.int64]], context: Context, decision: Decision
) -> str:
    if not policy.fresh_every:
        return ""
    fresh = policy.is_fresh(context)
    for slot, place in enumerate(decision.kept.tolist()):
        if (slot + 1) % policy.fresh_every or slot == policy.explore_slot:
            continue
        if not fresh[place] and not any(reason.startswith(f"place {slot} is for") for reason in decision.infeasible):
            return f"place {slot} holds an old video, and nothing is said"
    return ""


def _unsaid(policy: Policy, decision: Decision) -> str:
    for slot, odds in enumerate(decision.propensity.tolist()):
        if not 0 < odds <= 1 or (odds < 1 and slot != policy.explore_slot):
            return f"place {slot} has a propensity of {odds}"
    return "" if len(decision.propensity) == len(decision.kept) else "a video without a propensity"


def _invariant(sentence: str) -> Invariant:
    def holds(policy: Policy, rng: np.random.Generator) -> str:
        candidates, context = draw(rng)
        return broken(policy, candidates, context, policy.decide(None, candidates, context))[sentence]

    return holds


INVARIANTS: Mapping[str, Invariant] = {
    sentence: _invariant(sentence)
    for sentence in (
        *_NEVER.values(),
        "no creator stands in a feed more often than the cap",
        "videos of one creator stand apart",
        "of copies none but the highest is shown",
        "a feed is never shorter than it has to be",
        "a place for the fresh is theirs, or it is said that there are none",
        "what came by lot says how likely that was",
    )
}
