"""Scores -> a page: what may not be shown is not, whatever its score; of copies only the best stands.

In:     candidates in order of score; what the rules ask of each, and of whoever searches.
Out:    Policy.decide(request, candidates, context) -> Decision: the page, what was left out and why, what could be shown in all.
        Policy.among: the same rules over the whole catalogue, for the legs to look among what may be shown.
Choice: hard rules and nothing else: somebody who searches said what they want. Exclusions and "one of each set of copies" are a partition
        matroid: greedy from the top is the best page, and the longest.
Else:   a cap a channel and re-ranking for variety, where queries are vague and a page is browsed.
Breaks: a page that shows what is barred, two copies, a page shorter than it had to be: INVARIANTS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Bools, Ints, Ranking, Why
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.features.among import Among, EachAmong
from search_ranking.policy.invariants import INVARIANTS
from search_ranking.schema import Request, Requests, Rows

DAY = 86_400


def fit(predictions: Ranking, rows: Rows, config: Config) -> Policy:
    """Nothing is learnt: the rules are the law's and the searcher's."""
    return Policy(page_size=config.page_size)


def load(folder: Path) -> Policy:
    read = json.loads((folder / "policy.json").read_text())
    return Policy(**read | {"off": tuple(read["off"])})


@dataclass(frozen=True, kw_only=True)
class Context:
    """Of one request's candidates [k] and whoever searches: `age` in years and `country`, -1 unknown; `language` a code of the features, -1 any;
    `max_age_days` 0 any."""

    known: Bools
    explicit: Bools
    min_age: Ints
    barred_in: Ints
    group: Ints  # copies share one, -1 has no copy
    languages: Ints
    uploaded: np.ndarray[tuple[int], np.dtype[np.float64]]
    age: int = -1
    country: int = -1
    language: int = -1
    max_age_days: int = 0
    now: int = 0

    @staticmethod
    def of(
        features: Features, ids: Ints, *, age: int, country: int, language: str, max_age_days: int, now: int
    ) -> Context:
        index, of = features.find(ids), features.documents
        names = features.names.languages
        return Context(
            known=index >= 0,
            explicit=of.explicit[index] > 0,
            min_age=of.min_age[index],
            barred_in=of.barred_in[index],
            group=np.where(index >= 0, features.groups[index], -1),
            languages=of.language[index],
            uploaded=of.uploaded[index],
            age=age,
            country=country,
            language=names.index(language) if language in names else (-1 if not language else len(names)),
            max_age_days=max_age_days,
            now=now,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Places among the candidates, in order: `kept` of this page, `listed` over all pages."""

    kept: Ints
    listed: Ints
    why: list[Why]

    @property
    def total(self) -> int:
        return len(self.listed)


RULES: Mapping[str, Callable[[Ints, Context], Bools]] = {
    "known": lambda ids, context: (ids >= 0) & context.known,
    "explicit": lambda ids, context: ~context.explicit,
    "age": lambda ids, context: context.min_age <= max(context.age, 0),
    "country": lambda ids, context: (
        (context.barred_in >> context.country) & 1 == 0 if context.country >= 0 else context.barred_in == 0
    ),
    "language": lambda ids, context: (
        np.ones(len(ids), bool) if context.language < 0 else context.languages == context.language
    ),
    "max_age_days": lambda ids, context: (
        np.ones(len(ids), bool)
        if not context.max_age_days
        else context.now - context.uploaded <= context.max_age_days * DAY
    ),
}
"""Which candidates may be shown. Nobody's age is a child's age, nowhere is where the strictest law holds; a time of upload nobody knows (NaN)
is not within any number of days."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """`off` names rules that do not hold, to learn what they cost; "copies" is one of them."""

    page_size: int
    off: tuple[str, ...] = ()

    def decide(
        self, request: Request | None, candidates: Ranking, context: Context, listed: Ints | None = None
    ) -> Decision:
        """candidates [1, k] of one request, best first -> the page that was asked for. `listed`: what the first page's decision said of the same
        candidates; what may no longer be shown then leaves its page shorter, and moves no other."""
        ids = candidates.ids[0]
        order = np.flatnonzero(self._allowed(ids, context))
        lawful = order if "copies" in self.off else _first_copies(order, context.group)
        offset, size = (request.offset, request.page_size) if request is not None else (0, self.page_size)
        listed = lawful if listed is None else listed
        page = listed[offset : offset + size]
        kept = page[np.isin(page, lawful)]
        begin, end = page[0] if offset and len(page) else 0, page[-1] if len(page) == size else len(ids)
        copies = np.setdiff1d(order, lawful)
        why = [
            Why(
                item=int(ids[place]),
                stage="rules",
                reason="copy",
                effect=0.0,
                evidence="a copy of a better result, left out",
            )
            for place in copies[(copies >= begin) & (copies < end)][:3].tolist()
        ]
        return Decision(kept=kept, listed=listed, why=why)

    def among(self, features: Features, requests: Requests) -> EachAmong:
        """What may be shown for each request, copies aside: a narrow filter then leaves a full list where there is one. The page is decided by
        the same rules again: a document may have changed since."""
        doc_id, whose = features.documents.doc_id, _whose(requests)
        return lambda row: Among(doc_id, self._allowed(doc_id, Context.of(features, doc_id, **whose[row])))

    def emptied(self, features: Features, requests: Requests) -> list[Why]:
        """Where nothing in the catalogue may be shown to the one who asks: the rule that left nothing of what those before it had left, told of
        the document that is watched most of these."""
        ids, who = features.popular, _whose(requests)[0]
        before = np.ones(len(ids), bool)
        for name, left in self._left(ids, Context.of(features, ids, **who)):
            if before.any() and not left.any():
                evidence = f"none of the {int(before.sum())} documents that the rules before it leave passes"
                return [Why(item=int(ids[before][0]), stage="rules", reason=name, effect=0.0, evidence=evidence)]
            before = left
        return []

    def _allowed(self, ids: Ints, context: Context) -> Bools:
        allowed = np.ones(len(ids), bool)
        for _, left in self._left(ids, context):
            allowed = left
        return allowed

    def _left(self, ids: Ints, context: Context) -> Iterator[tuple[str, Bools]]:
        """Rule by rule, what it and those before it allow."""
        left = np.ones(len(ids), bool)
        for name, rule in RULES.items():
            if name not in self.off:
                left = left & rule(ids, context)
                yield name, left

    def apply(self, rankings: Ranking, given: Sequence[Context]) -> Ranking:
        """The same rules over many requests: rankings [n, k] and a context for each -> [n, page_size], first pages."""
        ids = np.full((len(given), self.page_size), -1)
        scores = np.full(ids.shape, -np.inf)
        for row, context in enumerate(given):
            one = Ranking(ids=rankings.ids[[row]], scores=rankings.scores[[row]])
            kept = self.decide(None, one, context).kept
            ids[row, : len(kept)], scores[row, : len(kept)] = rankings.ids[row, kept], rankings.scores[row, kept]
        return Ranking(ids=ids, scores=scores)

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps(asdict(self)))


def contexts(features: Features, requests: Requests, rankings: Ranking) -> list[Context]:
    """What the rules need to know of each request's candidates [n, k]."""
    return [Context.of(features, ids, **who) for ids, who in zip(rankings.ids, _whose(requests), strict=True)]


def _whose(requests: Requests) -> list[dict[str, Any]]:
    """Of each request what its context says of whoever searches."""
    names = {
        "age": "age",
        "country": "country",
        "language": "language",
        "max_age_days": "max_age_days",
        "now": "event_time",
    }
    columns = (getattr(requests, column).tolist() for column in names.values())
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _first_copies(order: Ints, group: Ints) -> Ints:
    """Of each set of copies the one that stands highest."""
    name = np.where(group[order] >= 0, group[order], -1 - np.arange(len(order)))
    return order[np.sort(np.unique(name, return_index=True)[1])]


__all__ = ["INVARIANTS", "RULES", "Context", "Decision", "Policy", "contexts", "fit", "load"]
