"""A person in, a page of books out.

In:     an artifact and a platform.
Out:    Service.respond: the page.
Choice: features and model in one stage; what everybody reads when it does not come in time. The book that was put last stands first:
        nobody can have read it yet.
Else:   retrieve and rerank as two stages, once the second is slow.
Breaks: features read at one moment and logged with another: the check that repeats the reads offline catches it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, FeatureStore, Ints, Platform, Ranking
from common.serving.app import route
from common.serving.current import Current, Held
from common.serving.deadline import Deadline, Stages
from common.serving.fallback import ladder
from common.serving.platform import record, require
from common.serving.snapshot import snapshot
from tests.toy.ranker import baseline, features, model, policy
from tests.toy.ranker.config import DEFAULT
from tests.toy.ranker.schema import Answer, Item, Request, Requests, ShownBook

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact

ROUTE = "/toy_ranker/page"
Books = tuple[int, ...]  # put since training, the last one last


def start(artifact: Artifact, platform: Platform) -> Service:
    require(platform, features.VIEWS)
    return Service(artifact, platform)


class Service:
    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.features, self.model = features.load(folder / "features"), model.load(folder / "model")
        self.baseline, self.policy = baseline.load(folder / "baseline"), policy.load(folder / "policy")
        self.stages = Stages({"items": 10, "store": 40, "retrieve": 40})
        nothing: Books = ()
        self.current = Current(platform.items, Item, nothing, _changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        books = self.current.now(self.stages, deadline)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            asked = _asked(request, self.platform.clock.now(), store.position)
            rungs = {"retrieve": lambda: self._candidates(asked, store)}
            last = lambda: (self.baseline.retrieve(asked, DEFAULT.num_candidates), np.full((1, 1), -1))  # noqa: E731
            rung, (candidates, just_read) = ladder(self.stages, deadline, rungs, last=last)
        if rung == "retrieve" and just_read.max() < 0:
            deadline.degrade("features", "nothing is known of this person: the page is what everybody reads")
        page = self.policy.decide(request, _shelved(candidates, books), just_read)
        shown = [
            (slot, book, score)
            for slot, (book, score) in enumerate(zip(page.ids[0], page.scores[0], strict=True))
            if book >= 0
        ]
        answer = Answer(
            request_id=secrets.randbits(52),
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[],
            books=[ShownBook(book_id=int(book), slot=slot, score=float(score)) for slot, book, score in shown],
        )
        record(self.platform, [_impression(answer, asked, book) for book in answer.books])
        return answer

    def router(self) -> APIRouter:
        return route(self, ROUTE, Request, Answer, deadline_ms=DEFAULT.deadline_ms)

    def _candidates(self, asked: Requests, store: FeatureStore) -> tuple[Ranking, Ints]:
        return self.model.retrieve(asked, DEFAULT.num_candidates, store), self.features.inputs(asked, store)


def _changed(books: Books, changes: Mapping[int, Item | None]) -> Books:
    kept = [book for book in books if book not in changes]
    return (*kept, *(book for book, item in changes.items() if item is not None))


def _shelved(candidates: Ranking, books: Held[Books]) -> Ranking:
    """With the newest book in front, and without what is gone: whichever rung brought it, this is the last step before the rules."""
    newest = np.array(books.known[-1:], dtype=np.int64)
    ids = np.append(newest, candidates.ids[0][~np.isin(candidates.ids[0], newest)])
    scores = np.append(
        np.full(len(newest), candidates.scores.max()), candidates.scores[0][~np.isin(candidates.ids[0], newest)]
    )
    there = ~books.gone(ids)
    return Ranking(ids=ids[there][None], scores=scores[there][None])


def _asked(request: Request, now: int, moment: int) -> Requests:
    return Requests(user_id=np.array([request.user_id]), event_time=np.array([now]), moment=np.array([moment]))


def _impression(answer: Answer, asked: Requests, book: ShownBook) -> Event:
    return Event(
        event_id=f"impression-{answer.request_id}-{book.book_id}",
        kind="impression",
        event_time=int(asked.event_time[0]),
        keys={"request_id": answer.request_id, "user_id": int(asked.user_id[0]), "book_id": book.book_id},
        values={"slot": book.slot, "score_ppm": round(book.score * 1e6)},
        moment=int(asked.moment[0]),
    )
