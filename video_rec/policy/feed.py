"""From candidates to a feed, place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Bools, Floats, Ints, Why
from video_rec.features import Features, Rulings
from video_rec.policy.spacing import reach

if TYPE_CHECKING:
    from video_rec.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Context:
    """Of one request's candidates [k] and its viewer. `watched` and `hidden` ids in any order, -1 pads; `age` in years and `country`, -1
    unknown; `chance` in [0, 1) draws the lot."""

    rulings: Rulings
    popularity: Floats  # [k]
    watched: Ints
    watched_groups: Ints  # of what was watched, those that have copies
    hidden: Ints  # creators
    alike: Floats  # [k] 0..1: how like the work of a hidden creator
    age: int = -1
    country: int = -1
    now: int = 0
    chance: float = 0.0

    @staticmethod
    def of(
        features: Features, ids: Ints, popularity: Floats, *, watched: Ints, hidden: Ints, age: int, country: int, now: int, chance: float
    ) -> Context:  # fmt: skip
        """ids [k], popularity [num_videos] -> all of it."""
        rulings, hidden = features.rulings(ids), hidden[hidden >= 0]
        seen = features.find(watched[watched >= 0])
        groups = features.groups(seen[seen >= 0])
        index = features.trained(features.find(ids))
        return Context(
            rulings=rulings,
            popularity=np.where(index >= 0, popularity[index], 0.0),
            watched=watched[watched >= 0],
            watched_groups=groups[groups >= 0],
            hidden=hidden,
            alike=features.alike(rulings.creators, hidden) if len(hidden) else np.zeros(len(ids)),
            age=age,
            country=country,
            now=now,
            chance=chance,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`kept` [<= size] places among the candidates, in order; `propensity` [<= size] with which each came to stand there; `infeasible`:
    what the rules ask for and the candidates did not hold."""

    kept: Ints
    propensity: Floats
    why: list[Why]
    infeasible: list[str]


RULES: Mapping[str, Callable[[Ints, Context], Bools]] = {
    "known": lambda ids, context: (ids >= 0) & context.rulings.known,
    "explicit": lambda ids, context: ~context.rulings.explicit,
    "age": lambda ids, context: context.rulings.min_age <= max(context.age, 0),
    "country": lambda ids, context: (
        (context.rulings.barred_in >> context.country) & 1 == 0
        if context.country >= 0
        else context.rulings.barred_in == 0
    ),
    "watched": lambda ids, context: ~np.isin(ids, context.watched),
    "copy of a watched one": lambda ids, context: ~np.isin(context.rulings.groups, context.watched_groups),
    "hidden creator": lambda ids, context: ~np.isin(context.rulings.creators, context.hidden),
}
"""Which candidates may be shown at all. Nobody's age is a child's age, nowhere is where the strictest law holds."""


def decide(policy: Policy, ids: Ints, scores: Floats, context: Context, size: int) -> Decision:
    order = by_worth(policy, scores, context)
    lawful = lawful_places(policy, ids, context)
    order = _first_copies(order[lawful[order]], context.rulings.groups, "copies" in policy.off)
    walked = _walk(policy, ids, order, context, size)
    if len(walked.kept) == size:
        return walked
    longest = _room(policy, order, context.rulings.creators).reach(size)
    if len(walked.kept) < longest:
        walked = _walk(policy, ids, order, context, longest, careful=True)
    if longest == size:
        return walked
    short = f"{longest} of {size} places: {len(order)} of {len(ids)} candidates may be shown, and the creators' cap and spacing leave no more"
    return replace(walked, infeasible=[*walked.infeasible, short])


def lawful_places(policy: Policy, ids: Ints, context: Context) -> Bools:
    """[k]: which candidates may be shown."""
    lawful = np.ones(len(ids), bool)
    for name, rule in RULES.items():
        if name not in policy.off:
            lawful &= rule(ids, context)
    return lawful


def by_worth(policy: Policy, scores: Floats, context: Context) -> Ints:
    """[k] places, best first. Where the dial or a hide says so, by the score scaled to 0..1 within the request."""
    if not policy.popularity_dial and not (policy.mute and context.alike.any()):
        return np.arange(len(scores))  # as they came
    rank = np.argsort(np.argsort(context.popularity, kind="stable"), kind="stable")  # a count or a share: the same dial
    worth = (1 - policy.popularity_dial) * _scaled(scores) + policy.popularity_dial * _scaled(rank.astype(float))
    return np.argsort(-worth * (1 - policy.mute * context.alike), kind="stable")


def _scaled(values: Floats) -> Floats:
    known = np.isfinite(values)
    low, high = values[known].min(initial=np.inf), values[known].max(initial=-np.inf)
    scaled: Floats = (
        np.where(known, (values - low) / max(high - low, 1e-12), 0.0) if known.any() else np.zeros(len(values))
    )
    return scaled


def _first_copies(order: Ints, groups: Ints, all_of_them: bool) -> Ints:
    """Of each set of copies the one that stands highest."""
    group = np.where(groups[order] >= 0, groups[order], -1 - np.arange(len(order)))
    _, first = np.unique(group, return_index=True)
    return order if all_of_them else order[np.sort(first)]


@dataclass
class _Room:
    """What a creator may still get: `left` videos by cap and by what there is, not before place `ready`; `free` videos of unknown creators."""

    spacing: int
    left: dict[int, int] = field(default_factory=dict)
    ready: dict[int, int] = field(default_factory=dict)
    free: int = 0
    place: int = 0

    def fits(self, creator: int) -> bool:
        return creator < 0 or (self.left[creator] > 0 and self.ready.get(creator, 0) <= self.place)

    def take(self, creator: int) -> None:
        if creator < 0:
            self.free -= 1
        else:
            self.left[creator] -= 1
            self.ready[creator] = self.place + self.spacing
        self.place += 1

    def reach(self, size: int) -> int:
        """How many places can be filled in all."""
        return reach(self.left, self.ready, self.free, self.spacing, self.place, size)

    def after(self, creator: int) -> _Room:
        room = _Room(self.spacing, dict(self.left), dict(self.ready), self.free, self.place)
        room.take(creator)
        return room


def _room(policy: Policy, order: Ints, creators: Ints) -> _Room:
    cap = len(order) if "creator cap" in policy.off else policy.creator_cap
    room = _Room(spacing=1 if "creator spacing" in policy.off else policy.creator_spacing)
    creator, count = np.unique(creators[order], return_counts=True)
    room.free = int(count[creator < 0].sum())
    known = creator >= 0
    room.left = dict(zip(creator[known].tolist(), np.minimum(count[known], cap).tolist(), strict=True))
    return room


def _walk(policy: Policy, ids: Ints, order: Ints, context: Context, size: int, careful: bool = False) -> Decision:
    """The best that fits, place by place; `careful`: only what leaves `size` within reach."""
    room = _room(policy, order, context.rulings.creators)
    creators, fresh = context.rulings.creators.tolist(), policy.is_fresh(context)
    best = set(order[:size].tolist())
    left, kept, propensity, why, infeasible = order.tolist(), [], [], [], []

    def fitting() -> Iterator[int]:
        for place in left:
            creator = creators[place]
            if room.fits(creator) and not (careful and room.after(creator).reach(size) < size):
                yield place

    for slot in range(size):
        found, odds, reason = next(fitting(), None), 1.0, "creator cap and spacing"
        if found is None:
            break
        if slot == policy.explore_slot:
            reason, pool = "exploration", [place for place in fitting() if place not in best]
            if pool:
                found, odds = pool[int(context.chance * len(pool))], 1 / len(pool)
            else:
                infeasible.append(f"place {slot} is given by lot: no candidate beyond the best {size}")
        elif policy.fresh_every and (slot + 1) % policy.fresh_every == 0:
            # one that was put since training before others: its score says nothing yet, and without a place it never will
            wanted = [who for who in (fresh & context.rulings.put, fresh) if who.any()]
            young = next((place for who in wanted for place in fitting() if who[place]), None)
            if young is None:
                infeasible.append(
                    f"place {slot} is for a video of {policy.fresh_days:g} days: no candidate is so young"
                )
            elif young != found:
                found, reason = young, "fresh"
        above = left.index(found)
        if above:
            why.append(_moved(int(ids[found]), reason, above, slot))
        left.pop(above)
        room.take(creators[found])
        kept.append(found)
        propensity.append(odds)
    return Decision(
        kept=np.array(kept, dtype=np.int64), propensity=np.array(propensity), why=why, infeasible=infeasible
    )


def _moved(item: int, reason: str, above: int, slot: int) -> Why:
    return Why(
        item=item,
        stage="rules",
        reason=reason,
        effect=float(above),
        evidence=f"at {slot}, before {above} with a better score: {reason}",
    )
