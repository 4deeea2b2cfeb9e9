"""Request to page inside the deadline, cut off stage by stage: what is meant, what may answer it, in which order, by which rules.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: a page and why; its impressions in the log. Beside it, what to offer while a query is typed.
Choice: the legs run side by side, each under its own limit; one that is late costs what it alone would have found, which `degraded` says. A
        page is a stretch of one list: the first page makes it, the next ones are cut from it (lists.py).
        A document that is put or deleted makes a service over other documents, beside the one that answers.
        The legs look among what the rules and filters allow: over candidates alone, a narrow filter would leave few.
Else:   filters after the legs, which fetch more the narrower they are: where an index cannot be asked among some.
Breaks: a stage that is late, fails or hangs: `mlsd drill search_ranking`; features read at one moment and logged with another: the parity
        check; a next page asked of another server, which makes another list.
"""

from __future__ import annotations

import copy
import secrets
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread
from pydantic import TypeAdapter

from common.contract import FeatureStore, Floats, Ints, Platform, Ranking
from common.features.text import normalise, words
from common.serving.app import json_post, route
from common.serving.current import Current, Held
from common.serving.deadline import Deadline, Stages
from common.serving.platform import record, require
from common.serving.snapshot import snapshot
from common.training import seeding
from search_ranking import features, model, policy
from search_ranking.baseline import filled
from search_ranking.config import Config
from search_ranking.features import shelf as shelves
from search_ranking.features.among import EachAmong
from search_ranking.features.shelf import Shelf
from search_ranking.features.understanding import Understood
from search_ranking.model.retrieval import fusion
from search_ranking.policy import Decision
from search_ranking.schema import Answer, Item, Request, Requests, Suggested, Typed, load_titles, query_id
from search_ranking.serve.changed import searched
from search_ranking.serve.explained import brought, moved
from search_ranking.serve.lists import Lists, Ordered, places
from search_ranking.serve.shown import impressions, said, shown

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact
    from common.monitoring.prometheus import Metrics

ROUTE = "/search_ranking/search"
SUGGEST = "/search_ranking/suggest"
SHARES = {
    "items": 0.05,
    "store": 0.1,
    "understanding": 0.08,
    "lexical": 0.2,
    "dense": 0.2,
    "features": 0.26,
    "ranker": 0.08,
    "why": 0.06,
    "log": 0.1,
}
"""The most of the deadline each stage may take; the two legs run side by side. What is left is held back for the rules."""


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log, the live store, the lists kept
    for next pages, and what `current` gives: the service over the documents there are by now. Each answer is one such service's from its
    first step to its last."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        self.model = model.load(folder / "model")
        self.features = self.model.features
        self.policy = policy.load(folder / "policy")
        titles = zip(self.features.documents.doc_id.tolist(), load_titles(folder / "catalog"), strict=True)
        self.titles: MutableMapping[int, str] = dict(titles)
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        self.lists = Lists()
        seeding.limit(seeding.serving_threads())
        self._warm()
        self.current = Current(platform.items, Item, _Known(self, shelves.empty(self.features.names)), self._changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure: each has a worse answer ready, and the worst is what is watched most."""
        held = self.current.now(self.stages, deadline)
        return held.known.service._answer(request, deadline, held)

    def suggest(self, typed: Typed) -> Suggested:
        return Suggested(suggestions=self.features.suggestions.suggest(typed.prefix, typed.k))

    def router(self) -> APIRouter:
        router = route(self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms)
        offer = json_post(SUGGEST, TypeAdapter(Typed), Suggested, self._offer, in_flight=8)
        router.routes.extend(offer.routes)
        return router

    async def _offer(self, typed: Typed, metrics: Metrics) -> Suggested:
        return await to_thread.run_sync(self.suggest, typed)

    def _changed(self, known: _Known, changes: Mapping[int, Item | None]) -> _Known:
        """This version over the documents of training and all that changed since. Nothing of this service changes, nor of the one before."""
        now, other = self.platform.clock.now(), copy.copy(self)
        dated = {
            doc_id: item and replace(item, uploaded=min(item.uploaded, now))  # nothing is fresh before its time
            for doc_id, item in changes.items()
        }
        shelf = known.shelf.after(dated, self.features.names)
        other.features = self.features.over(shelf)
        other.model = searched(known.service.model, other.features, dated)
        other.titles = ChainMap(shelf.title, self.titles)
        return _Known(other, shelf)

    def _warm(self) -> None:
        """The first call of the encoder and of the trees costs many times the next; nobody who searches should be the one to pay."""
        query = str(next(iter(self.features.queries.text.tolist()), "a"))
        understood, legs = self.features.understand([query])[0], self.model.legs
        ids = legs.fused(self.features, [query], self.config.num_candidates, self.model.fusion_weight).ids[0]
        ids = ids if (ids >= 0).any() else self.features.popular[: self.config.num_candidates]
        with self.platform.store.snapshot() as store:
            rows = self._rows(query, understood, ids[ids >= 0], 0, store.position, store)
        self.model.ranker.score(rows)
        self.model.ranker.contributions(rows[: self.config.page_size])
        self.names = self.model.columns  # of `rows`
        assert len(self.names) == rows.shape[1], (self.names, rows.shape)

    def _answer(self, request: Request, deadline: Deadline, held: Held[_Known]) -> Answer:
        now, request_id = self.platform.clock.now(), secrets.randbits(52)
        ordered = self.lists.find(request, now) or self._made(request, now, deadline)
        for stage, lost in ordered.lost:
            if stage not in deadline.degraded:
                deadline.degrade(stage, lost)  # of the first page's list, and so of this one
        decision = self._decided(request, ordered, held)
        place = decision.kept
        if ordered.listed is None:
            self.lists.keep(request, replace(ordered, listed=decision.listed))
        results = shown(self.features, self.titles, ordered, place, request.offset)
        why = [] if decision.total else self.policy.emptied(self.features, _asked(request, ordered.made))
        why += brought(ordered, place)
        why += self.stages.run("why", deadline, lambda: moved(self.model, self.names, ordered, place), lambda: [])
        degraded = any(stage in SHARES for stage in deadline.degraded)
        cold = not np.isin(query_id(ordered.understood.text), self.features.queries.query_id)
        events = impressions(request_id, request.user_id, results, ordered, now, cold=bool(cold), degraded=degraded)
        self.stages.run("log", deadline, lambda: record(self.platform, events), lambda: None)
        return Answer(
            request_id=request_id,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[*decision.why, *why],
            understood=said(ordered.understood),
            total=decision.total,
            results=results,
        )

    def _made(self, request: Request, now: int, deadline: Deadline) -> Ordered:
        before = len(deadline.reasons)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            understood = self._understood(request.query, deadline)
            among = self.policy.among(self.features, _asked(request, now))
            found = self._candidates(understood, among, deadline)
            ordered = self._ordered(request.query, understood, found, among, now, store, deadline)
        return replace(ordered, lost=tuple(deadline.reasons[before:]))

    def _understood(self, query: str, deadline: Deadline) -> Understood:
        """Where it does not come in time, the words as they were typed."""
        typed = tuple(words(query))
        plain = Understood(normalise(query), typed, typed, (), "", "", "")
        if not typed:
            deadline.degrade("query", "there is no word in it: the page is what is watched most")
            return plain
        return self.stages.run("understanding", deadline, lambda: self.features.understand([query])[0], lambda: plain)

    def _candidates(self, understood: Understood, among: EachAmong, deadline: Deadline) -> Mapping[str, Ranking]:
        if not understood.corrected:
            return {}
        query, k, legs = [" ".join(understood.corrected)], self.config.num_candidates, self.model.legs
        calls = {"lexical": lambda: legs.lexical(query, k, among), "dense": lambda: legs.dense(query, k, among)}
        found = self.stages.side_by_side(deadline, calls)
        if not any((leg.ids >= 0).any() for leg in found.values()) and not among(0).allowed.any():
            return {}  # a filter's doing and not the query's: the answer is empty, and `why` names the rule
        if "lexical" in found and not (found["lexical"].ids >= 0).any():
            deadline.degrade("query", "none of its words stands in a document that may be shown")
        if any((leg.ids >= 0).any() for leg in found.values()):
            return found
        deadline.degrade("candidates", "no leg came that found anything: the page is what is watched most")
        return {}

    def _ordered(
        self,
        query: str,
        understood: Understood,
        found: Mapping[str, Ranking],
        among: EachAmong,
        now: int,
        store: FeatureStore,
        deadline: Deadline,
    ) -> Ordered:
        """By the ranker if its features and it come in time, else as the legs that came say together; one alone says it alone."""
        moment = getattr(store, "position", -1)
        k = self.config.num_candidates
        fused = (
            self._fused(found, k) if found else filled(_nothing(k), np.zeros(1, np.int64), self.features.popular, among)
        )
        ids, scores = fused.ids[fused.ids >= 0], fused.scores[fused.ids >= 0]
        rows = ranked = None
        if found and moment >= 0:
            rows = self.stages.run(
                "features", deadline, lambda: self._rows(query, understood, ids, now, moment, store), lambda: None
            )
        if rows is not None:
            ranked = self.stages.run("ranker", deadline, lambda: self.model.ranker.score(rows), lambda: None)
        scores = scores if ranked is None else ranked
        best = np.argsort(-scores, kind="stable")
        return Ordered(
            ids=ids[best],
            scores=scores[best],
            ranks=places(ids[best], found),
            rows=None if rows is None or ranked is None else rows[best],
            understood=understood,
            made=now,
            moment=moment,
        )

    def _fused(self, found: Mapping[str, Ranking], k: int) -> Ranking:
        return fusion.named(self.config.fusion, found, self.model.fusion_weight, k)

    def _rows(
        self, query: str, understood: Understood, ids: Ints, now: int, moment: int, store: FeatureStore
    ) -> Floats:
        """What the ranker reads of the candidates [k] -> [k, d]."""
        ids = ids.ravel()
        same = np.zeros(len(ids), np.int64)
        asked = same + query_id(normalise(query))
        known = self.features.having(understood)
        legs, names = self.model.legs, self.model.columns
        return model.scored(known, legs, [query], same, asked, ids, same + now, same + moment, store, names)

    def _decided(self, request: Request, ordered: Ordered, held: Held[_Known]) -> Decision:
        """Every candidate comes through here, so what is gone ends here, whichever leg or rung brought it, and in whichever list."""
        candidates = Ranking(ids=ordered.ids[None], scores=ordered.scores[None])
        context = policy.contexts(self.features, _asked(request, ordered.made), candidates)[0]
        there = replace(context, known=context.known & ~held.gone(ordered.ids))
        return self.policy.decide(request, candidates, there, ordered.listed)


@dataclass(frozen=True)
class _Known:
    """The service over the documents there are, and what it has taken in since training."""

    service: Service
    shelf: Shelf


def _nothing(k: int) -> Ranking:
    return Ranking(ids=np.full((1, k), -1), scores=np.full((1, k), -np.inf))


def _asked(request: Request, now: int) -> Requests:
    """The one request as the offline track has it."""
    return Requests(
        user_id=np.array([request.user_id]),
        query_id=np.array([query_id(normalise(request.query))]),
        query=np.array([request.query]),
        event_time=np.array([now]),
        moment=np.array([-1]),
        age=np.array([-1 if request.age is None else request.age]),
        country=np.array([-1 if request.country is None else request.country]),
        language=np.array([request.language or ""]),
        max_age_days=np.array([request.max_age_days or 0]),
    )
