"""Every rule as a sentence, and the function that tries to break it on random candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Invariant, Ranking
from visual_search.schema import Request

if TYPE_CHECKING:
    from visual_search.policy import Context, Decision, Policy


def draw(rng: np.random.Generator, most: int = 40) -> tuple[Ranking, Context, Request]:
    """A random list of candidates, unknown ids and copies among them, somebody who searches, and a page of it."""
    from visual_search.policy import Context

    k = int(rng.integers(1, most))
    ids = rng.permutation(most + 20)[:k]
    ids[rng.random(k) < 0.1] = -1
    context = Context(
        known=(ids >= 0) & (rng.random(k) < 0.95),
        owner=rng.integers(-1, 6, k),
        explicit=rng.random(k) < 0.2,
        private=rng.random(k) < 0.3,
        shop=rng.random(k) < 0.5,
        group=np.where(rng.random(k) < 0.3, rng.integers(0, 6, k), -1),
        user_id=int(rng.integers(0, 6)),
        query_id=int(rng.choice([-1, ids[0]])),
        shop_only=bool(rng.random() < 0.3),
    )
    request = Request(user_id=context.user_id, text="chair", page_size=int(rng.integers(1, 12)))
    return Ranking(ids=ids[None], scores=-np.sort(rng.random((1, k)))), context, request


def broken(
    policy: Policy, candidates: Ranking, context: Context, request: Request, decision: Decision
) -> Mapping[str, str]:
    """Sentence -> how it was broken, "" where it held. What is right is not asked of what is tested: no rule of `policy` is called."""
    ids, kept = candidates.ids[0].tolist(), decision.kept.tolist()
    found = {
        sentence: next((f"{ids[place]} is shown" for place in kept if name in _against(place, ids[place], context)), "")
        for name, sentence in _NEVER.items()
    }
    groups = [int(context.group[place]) for place in kept if context.group[place] >= 0]
    found[COPIES] = f"groups {sorted(groups)}" if len(set(groups)) < len(groups) else ""
    owners = [int(context.owner[place]) for place in kept if context.owner[place] >= 0]
    crowded = [owner for owner in set(owners) if owners.count(owner) > policy.owner_cap]
    found[OWNERS] = f"{owners.count(crowded[0])} images of owner {crowded[0]}" if crowded else ""
    found[ORDER] = f"places {kept}" if kept != sorted(kept) else ""
    better = _skipped(policy, ids, kept, context, request.page_size)
    found[SHORT] = f"{ids[better[0]]} was left out, and could have stood there" if better else ""
    return found


def _skipped(policy: Policy, ids: list[int], kept: list[int], context: Context, size: int) -> list[int]:
    """Places left out that were lawful beside those shown above them: the page is neither shorter nor worse than it had to be."""
    end = kept[-1] if len(kept) == size else len(ids)
    missed = []
    for place in range(end):
        above = [other for other in kept if other < place]
        is_copy = context.group[place] >= 0 and any(context.group[other] == context.group[place] for other in above)
        same = sum(context.owner[other] == context.owner[place] for other in above)
        is_full = context.owner[place] >= 0 and same >= policy.owner_cap
        if place not in kept and not _against(place, ids[place], context) and not is_copy and not is_full:
            missed.append(place)
    return missed


def _against(place: int, image_id: int, context: Context) -> set[str]:
    """What forbids this candidate."""
    forbids = {
        "known": image_id < 0 or not context.known[place],
        "explicit": bool(context.explicit[place]),
        "private": bool(context.private[place]) and int(context.owner[place]) != context.user_id,
        "query": image_id == context.query_id,
        "shop_only": context.shop_only and not context.shop[place],
    }
    return {name for name, forbidden in forbids.items() if forbidden}


_NEVER: Mapping[str, str] = {
    "known": "an image nobody knows is never shown",
    "explicit": "an explicit image is never shown",
    "private": "a private image is shown to its owner alone",
    "query": "the image asked with is no answer",
    "shop_only": "what cannot be bought is never shown to somebody who would buy",
}
COPIES = "of copies one is shown"
OWNERS = "of one owner no more images are shown than the cap"
ORDER = "results stand in the order of their scores"
SHORT = "whatever is left out would have broken a rule"


def _invariant(sentence: str) -> Invariant:
    def holds(policy: Policy, rng: np.random.Generator) -> str:
        candidates, context, request = draw(rng)
        decision = policy.decide(request, candidates, context)
        return broken(policy, candidates, context, request, decision)[sentence]

    return holds


INVARIANTS: Mapping[str, Invariant] = {
    sentence: _invariant(sentence) for sentence in (*_NEVER.values(), COPIES, OWNERS, ORDER, SHORT)
}
