"""Every rule as a sentence, and the function that tries to break it on random candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Bools, Ints, Invariant, Ranking
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
    found = {_NEVER[name]: _named(ids[kept][~may[kept]]) for name, may in _may(ids, context).items()}
    counts = np.bincount(creators[creators >= 0], minlength=1)
    found["no creator stands in a feed more often than the cap"] = (
        f"{counts.max()} of one creator, the cap is {policy.creator_cap}" if counts.max() > policy.creator_cap else ""
    )
    near = min((np.diff(np.flatnonzero(creators == one)).min(initial=policy.creator_spacing) for one in set(creators[creators >= 0].tolist())), default=policy.creator_spacing)  # fmt: skip
    found["videos of one creator stand apart"] = f"{near} places apart" if near < policy.creator_spacing else ""
    found["of copies none but the highest is shown"] = _lesser_copy(policy, candidates, context, decision)
    found["a feed is never shorter than it has to be"] = _shorter(policy, candidates, context, decision)
    found["a place for the fresh is theirs, or it is said that there are none"] = _stale(
        policy, candidates, context, decision
    )
    found["what came by lot says how likely that was"] = _unsaid(policy, candidates, context, decision)
    return found


def _may(ids: Ints, context: Context) -> dict[str, Bools]:
    """The law and the courtesies once more, candidate by candidate, by other means than feed.RULES: what is right is not asked of what is tested."""
    of, age = context.rulings, max(context.age, 0)
    watched, groups, hidden = (set(some.tolist()) for some in (context.watched, context.watched_groups, context.hidden))
    by: dict[str, list[bool]] = {
        "known": [video >= 0 and bool(known) for video, known in zip(ids.tolist(), of.known, strict=True)],
        "explicit": [not flag for flag in of.explicit.tolist()],
        "age": [least <= age for least in of.min_age.tolist()],
        "country": [mask == 0 or (context.country >= 0 and not mask // 2**context.country % 2) for mask in of.barred_in.tolist()],
        "watched": [video not in watched for video in ids.tolist()],
        "copy of a watched one": [group not in groups for group in of.groups.tolist()],
        "hidden creator": [creator not in hidden for creator in of.creators.tolist()],
    }  # fmt: skip
    return {name: np.array(column, dtype=bool) for name, column in by.items()}


def _lawful(ids: Ints, context: Context) -> Bools:
    lawful: Bools = np.all(list(_may(ids, context).values()), axis=0)
    return lawful


_NEVER: Mapping[str, str] = {
    "known": "a video nobody knows is never shown",
    "explicit": "an explicit video is never shown",
    "age": "a video is never shown to somebody too young for it",
    "country": "a video is never shown where it is barred",
    "watched": "a watched video is never shown",
    "copy of a watched one": "a copy of a watched video is never shown",
    "hidden creator": "a creator who was hidden is never shown",
}


def _named(ids: Ints) -> str:
    return f"{ids[0]} is shown" if len(ids) else ""


def _videos(policy: Policy, candidates: Ranking, context: Context) -> list[int]:
    """Places, by worth, of the videos that may be shown: of each set of copies the lawful one that stands first, the others are not there."""
    lawful, groups = _lawful(candidates.ids[0], context), context.rulings.groups
    seen: set[int] = set()
    found = []
    for place in feed.by_worth(policy, candidates.scores[0], context).tolist():
        group = int(groups[place])
        if lawful[place] and (group < 0 or group not in seen):
            seen.add(group)
            found.append(place)
    return found


def _lesser_copy(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    lesser = set(decision.kept.tolist()) - set(_videos(policy, candidates, context))
    copied = [place for place in lesser if context.rulings.groups[place] >= 0]
    return f"{candidates.ids[0, copied[0]]} is shown" if copied else ""


def _longest(policy: Policy, places: list[int], context: Context, begun: list[int]) -> int:
    """How many places can be filled in all with these videos, when the feed has begun with some of them."""
    left: dict[int, int] = {}
    ready: dict[int, int] = {}
    free = 0
    for place in places:
        creator = int(context.rulings.creators[place])
        free += creator < 0
        if creator >= 0:
            left[creator] = min(policy.creator_cap, left.get(creator, 0) + 1)
    for slot, place in enumerate(begun):
        creator = int(context.rulings.creators[place])
        free -= creator < 0
        if creator >= 0:
            left[creator] -= 1
            ready[creator] = slot + policy.creator_spacing
    return reach(left, ready, free, policy.creator_spacing, len(begun), policy.feed_size)


def _shorter(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    """Shorter than the longest there is, or shorter than asked for and nothing is said."""
    possible = _longest(policy, _videos(policy, candidates, context), context, [])
    if len(decision.kept) != possible:
        return f"{len(decision.kept)} videos where {possible} were possible"
    said = any(reason.startswith(f"{possible} of {policy.feed_size} places") for reason in decision.infeasible)
    return "" if said is (possible < policy.feed_size) else f"{possible} of {policy.feed_size}, and it is not said"


def _stale(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    """A place for the fresh that is not theirs, and nothing is said; or that is said to have none where one would have stood."""
    if not policy.fresh_every:
        return ""
    fresh, kept, videos = policy.is_fresh(context), decision.kept.tolist(), _videos(policy, candidates, context)
    for slot in range(policy.fresh_every - 1, len(kept), policy.fresh_every):
        if slot == policy.explore_slot or fresh[kept[slot]]:
            continue
        if not any(reason.startswith(f"place {slot} is for") for reason in decision.infeasible):
            return f"place {slot} holds an old video, and nothing is said"
        for place in set(videos) - set(kept[:slot]):
            if fresh[place] and _stands(policy, videos, context, [*kept[:slot], place], len(kept)):
                return f"place {slot} holds an old video, and {candidates.ids[0, place]} would have stood there"
    return ""


def _stands(policy: Policy, videos: list[int], context: Context, begun: list[int], length: int) -> bool:
    """Whether a feed may begin so: its last video keeps cap and spacing, and the feed can still become so long."""
    creators = context.rulings.creators[begun].tolist()
    before = [slot for slot, creator in enumerate(creators[:-1]) if creator == creators[-1] >= 0]
    apart = not before or len(begun) - 1 - before[-1] >= policy.creator_spacing
    return apart and len(before) < policy.creator_cap and _longest(policy, videos, context, begun) >= length


def _unsaid(policy: Policy, candidates: Ranking, context: Context, decision: Decision) -> str:
    slot, said = policy.explore_slot, any("by lot" in reason for reason in decision.infeasible)
    if 0 <= slot < len(decision.kept) and not said:
        beyond = set(decision.kept.tolist()) - set(_videos(policy, candidates, context)[: len(decision.kept)])
        if int(decision.kept[slot]) not in beyond:
            return f"place {slot} is given by lot and holds one of the best"
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
