"""Scores -> a page: what may not be shown is not, however like it is; of copies only the best stands, and no owner fills the page.

In:     candidates in order of score; what the rules ask of each, and of whoever searches.
Out:    Policy.decide(request, candidates, context) -> Decision: the page, and what was left out and why.
Choice: hard rules alone: exclusions, one of each set of copies, at most `owner_cap` of an owner. Copies and owners are two partitions, and greedy from the top
        takes the best that still fits.
Else:   variety by likeness (MMR), where people browse rather than look for something.
Breaks: explicit or somebody else's private images, the query itself, two copies, a page shorter than it had to be: INVARIANTS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, Ints, Ranking, Why
from visual_search.config import Config
from visual_search.features import Features
from visual_search.policy.invariants import INVARIANTS
from visual_search.schema import Request, Requests, Rows


def fit(predictions: Ranking, rows: Rows, config: Config) -> Policy:
    """Nothing is learnt: the rules are the law's, the owners' and the searcher's."""
    return Policy(page_size=config.page_size, owner_cap=config.owner_cap)


def load(folder: Path) -> Policy:
    read = json.loads((folder / "policy.json").read_text())
    return Policy(**read | {"off": tuple(read["off"])})


@dataclass(frozen=True, kw_only=True)
class Context:
    """Of one request's candidates [k] and whoever searches; `query_id`: the gallery's image asked with, -1 none."""

    known: Bools
    owner: Ints  # -1 unknown
    explicit: Bools
    private: Bools
    shop: Bools
    group: Ints  # copies share one, -1 has no copy
    user_id: int = -1
    query_id: int = -1
    shop_only: bool = False

    @staticmethod
    def of(features: Features, ids: Ints, *, user_id: int, query_id: int, shop_only: bool) -> Context:
        index, of = features.find(ids), features.pictures
        return Context(
            known=index >= 0,
            owner=np.where(index >= 0, of.owner_id[index], -1),
            explicit=of.explicit[index] > 0,
            private=of.private[index] > 0,
            shop=of.shop[index] > 0,
            group=np.where(index >= 0, features.groups[index], -1),
            user_id=user_id,
            query_id=query_id,
            shop_only=shop_only,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`kept`: places among the candidates, in order."""

    kept: Ints
    why: list[Why]


RULES: Mapping[str, Callable[[Ints, Context], Bools]] = {
    "known": lambda ids, context: (ids >= 0) & context.known,
    "explicit": lambda ids, context: ~context.explicit,
    "private": lambda ids, context: ~context.private | (context.owner == context.user_id) & (context.owner >= 0),
    "query": lambda ids, context: ids != context.query_id,
    "shop_only": lambda ids, context: context.shop | (not context.shop_only),
}
"""Which candidates may be shown at all."""
FITS = ("copies", "owner_cap")
"""Rules between candidates: which of them may stand beside each other."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """`off` names rules that do not hold, to learn what they cost."""

    page_size: int
    owner_cap: int
    off: tuple[str, ...] = ()

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        """candidates [1, k] of one request, best first -> the page."""
        ids = candidates.ids[0]
        size = request.page_size if request is not None else self.page_size
        kept: list[int] = []
        why: list[Why] = []
        groups: set[int] = set()
        owners: dict[int, int] = {}
        for place in np.flatnonzero(self.may_be_shown(ids, context)).tolist():
            if len(kept) == size:
                break
            group, owner = int(context.group[place]), int(context.owner[place])
            if group >= 0 and group in groups and "copies" not in self.off:
                why.append(_left_out(int(ids[place]), "copy", "a copy of a better result"))
            elif owner >= 0 and owners.get(owner, 0) >= self.owner_cap and "owner_cap" not in self.off:
                why.append(_left_out(int(ids[place]), "owner_cap", f"{self.owner_cap} of its owner stand above"))
            else:
                kept.append(place)
                groups.add(group)
                owners[owner] = owners.get(owner, 0) + 1
        return Decision(kept=np.array(kept, dtype=np.int64), why=why[:3])

    def apply(self, rankings: Ranking, given: Sequence[Context]) -> Ranking:
        """The same rules over many requests: rankings [n, k] and a context for each -> [n, page_size]."""
        ids = np.full((len(given), self.page_size), -1)
        scores = np.full(ids.shape, -np.inf)
        for row, context in enumerate(given):
            one = Ranking(ids=rankings.ids[[row]], scores=rankings.scores[[row]])
            kept = self.decide(None, one, context).kept
            ids[row, : len(kept)], scores[row, : len(kept)] = rankings.ids[row, kept], rankings.scores[row, kept]
        return Ranking(ids=ids, scores=scores)

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps(asdict(self)))

    def may_be_shown(self, ids: Ints, context: Context) -> Bools:
        """[k], of each candidate by itself."""
        allowed = np.ones(len(ids), bool)
        for name, rule in RULES.items():
            if name not in self.off:
                allowed &= rule(ids, context)
        return allowed


def contexts(features: Features, requests: Requests, rankings: Ranking) -> list[Context]:
    """What the rules need to know of each request's candidates [n, k]."""
    whose = zip(
        requests.user_id.tolist(),
        requests.query_id.tolist(),
        (requests.shop_only > 0).tolist(),
        rankings.ids,
        strict=True,
    )
    return [
        Context.of(features, ids, user_id=user_id, query_id=query_id, shop_only=shop_only)
        for user_id, query_id, shop_only, ids in whose
    ]


def _left_out(item: int, reason: str, evidence: str) -> Why:
    return Why(item=item, stage="rules", reason=reason, effect=0.0, evidence=f"{evidence}, left out")


__all__ = ["FITS", "INVARIANTS", "RULES", "Context", "Decision", "Policy", "contexts", "fit", "load"]
