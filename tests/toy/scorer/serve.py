"""One letter in, one probability out.

In:     an artifact and a platform.
Out:    Service.respond: the probability, and whether to announce the letter; a letter that was deleted is refused.
Choice: features and model in one stage; the training share when it does not come in time.
Else:   batching, once a request carries many letters.
Breaks: features read at one moment and logged with another: the check that repeats the reads offline catches it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, Platform
from common.errors import InputError
from common.serving.app import route
from common.serving.current import Current
from common.serving.deadline import Deadline, Stages
from common.serving.fallback import ladder
from common.serving.platform import record, require
from common.serving.snapshot import snapshot
from tests.toy.scorer import baseline, features, model, policy
from tests.toy.scorer.config import DEFAULT
from tests.toy.scorer.schema import Answer, Item, Request, Rows, load_catalog

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact

ROUTE = "/toy_scorer/open"


def start(artifact: Artifact, platform: Platform) -> Service:
    require(platform, features.VIEWS)
    return Service(artifact, platform)


class Service:
    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.features, self.model = features.load(folder / "features"), model.load(folder / "model")
        self.baseline, self.policy = baseline.load(folder / "baseline"), policy.load(folder / "policy")
        self.stages = Stages({"items": 10, "store": 40, "model": 40})
        letters = frozenset(load_catalog(folder / "catalog").letter_id.tolist())
        self.current = Current(platform.items, Item, letters, _changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        letters = self.current.now(self.stages, deadline)
        if letters.gone(np.array([request.letter_id]))[0]:
            raise InputError(f"Letter {request.letter_id} was deleted, or put this moment. Ask for another, or again.")
        with snapshot(self.stages, deadline, self.platform.store) as store:
            row = _row(request, self.platform.clock.now(), store.position)
            rungs = {"model": lambda: self.features.inputs(row, store)}
            _, inputs = ladder(self.stages, deadline, rungs, last=lambda: None)
        if request.letter_id not in letters.known:
            deadline.degrade("catalog", "nobody has said that there is such a letter")
        if inputs is not None and self.features.is_unknown(inputs)[0]:
            deadline.degrade("features", "nothing is known of this person or this letter")
        scores = self.baseline.score(row.label) if inputs is None else self.model.score(inputs)
        answer = Answer(
            request_id=secrets.randbits(52),
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[],
            probability=float(scores[0]),
            announce=bool(self.policy.decide(scores)[0]),
        )
        record(self.platform, [_impression(answer, row)])
        return answer

    def router(self) -> APIRouter:
        return route(self, ROUTE, Request, Answer, deadline_ms=DEFAULT.deadline_ms)


def _changed(letters: frozenset[int], changes: Mapping[int, Item | None]) -> frozenset[int]:
    return letters - changes.keys() | {letter for letter, item in changes.items() if item is not None}


def _row(request: Request, now: int, moment: int) -> Rows:
    columns = (np.array([value]) for value in (request.user_id, request.letter_id, now, moment))
    user_id, letter_id, event_time, moments = columns
    return Rows(user_id=user_id, letter_id=letter_id, event_time=event_time, moment=moments, label=np.array([np.nan]))


def _impression(answer: Answer, row: Rows) -> Event:
    return Event(
        event_id=f"impression-{answer.request_id}",
        kind="impression",
        event_time=int(row.event_time[0]),
        keys={"request_id": answer.request_id, "user_id": int(row.user_id[0]), "letter_id": int(row.letter_id[0])},
        values={"probability_ppm": round(answer.probability * 1e6)},
        moment=int(row.moment[0]),
    )
