"""Every rule as a sentence, and the function that tries to break it on random candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Invariant, Ranking
from search_ranking.schema import Request

if TYPE_CHECKING:
    from search_ranking.policy import Context, Decision, Policy

DAY = 86_400


def draw(rng: np.random.Generator, most: int = 40) -> tuple[Ranking, Context, Request]:
    """A random list of candidates, unknown ids and copies among them, somebody who searches, and a page of it."""
    from search_ranking.policy import Context

    k = int(rng.integers(1, most))
    ids, now = rng.permutation(most + 20)[:k], 100 * DAY
    ids[rng.random(k) < 0.1] = -1
    context = Context(
        known=(ids >= 0) & (rng.random(k) < 0.95),
        explicit=rng.random(k) < 0.2,
        min_age=rng.choice([0, 0, 0, 13, 18], k),
        barred_in=rng.choice([0, 0, 0, 2, 6], k),
        group=np.where(rng.random(k) < 0.3, rng.integers(0, 6, k), -1),
        languages=rng.integers(-1, 3, k),
        uploaded=np.where(rng.random(k) < 0.1, np.nan, now - rng.uniform(0, 60 * DAY, k)),
        age=int(rng.choice([-1, 9, 15, 40])),
        country=int(rng.integers(-1, 3)),
        language=int(rng.choice([-1, -1, 0, 1])),
        max_age_days=int(rng.choice([0, 0, 30])),
        now=now,
    )
    request = Request(user_id=1, query="", page_size=int(rng.integers(1, 12)), offset=int(rng.choice([0, 0, 3, 10])))
    return Ranking(ids=ids[None], scores=-np.sort(rng.random((1, k)))), context, request


def broken(candidates: Ranking, context: Context, request: Request, decision: Decision) -> Mapping[str, str]:
    """Sentence -> how it was broken, "" where it held. What is right is not asked of what is tested: no rule of `policy` is called."""
    ids, kept = candidates.ids[0], decision.kept.tolist()
    found = {
        sentence: next((f"{ids[place]} is shown" for place in kept if name in _against(place, int(ids[place]), context)), "")
        for name, sentence in _NEVER.items()
    }  # fmt: skip
    page = _best(ids.tolist(), context)
    lesser = [place for place in kept if place not in page and not _against(place, int(ids[place]), context)]
    found[COPIES] = f"{ids[lesser[0]]} is shown" if lesser else ""
    expected = page[request.offset : request.offset + request.page_size]
    found[SHORT] = f"{len(kept)} results where {len(expected)} were possible" if len(kept) != len(expected) else ""
    found[ORDER] = f"places {kept}, expected {expected}" if len(kept) == len(expected) and kept != expected else ""
    found[TOTAL] = f"{decision.total} are said, {len(page)} there are" if decision.total != len(page) else ""
    return found


def _against(place: int, doc_id: int, context: Context) -> set[str]:
    """What forbids this candidate."""
    barred, uploaded = int(context.barred_in[place]), float(context.uploaded[place])
    forbids = {
        "known": doc_id < 0 or not context.known[place],
        "explicit": bool(context.explicit[place]),
        "age": context.min_age[place] > max(context.age, 0),
        "country": barred > 0 and (context.country < 0 or barred // 2**context.country % 2 == 1),
        "language": context.language >= 0 and context.languages[place] != context.language,
        "max_age_days": context.max_age_days > 0 and not context.now - uploaded <= context.max_age_days * DAY,
    }
    return {name for name, forbidden in forbids.items() if forbidden}


def _best(ids: list[int], context: Context) -> list[int]:
    """All places that may be shown, over all pages."""
    seen: set[int] = set()
    found = []
    for place, doc_id in enumerate(ids):
        group = int(context.group[place])
        if not _against(place, doc_id, context) and group not in seen:
            found.append(place)
            seen |= {group} - {-1}
    return found


_NEVER: Mapping[str, str] = {
    "known": "a document nobody knows is never shown",
    "explicit": "an explicit document is never shown",
    "age": "a document is never shown to somebody too young for it",
    "country": "a document is never shown where it is barred",
    "language": "a document in another language than was asked for is never shown",
    "max_age_days": "a document older than was asked for is never shown",
}
COPIES = "of copies none but the highest is shown"
SHORT = "a page is never shorter than it has to be"
ORDER = "results stand in the order of their scores, and no page repeats another's"
TOTAL = "what is said to be there in all is there"


def _invariant(sentence: str) -> Invariant:
    def holds(policy: Policy, rng: np.random.Generator) -> str:
        candidates, context, request = draw(rng)
        return broken(candidates, context, request, policy.decide(request, candidates, context))[sentence]

    return holds


INVARIANTS: Mapping[str, Invariant] = {
    sentence: _invariant(sentence) for sentence in (*_NEVER.values(), COPIES, SHORT, ORDER, TOTAL)
}
