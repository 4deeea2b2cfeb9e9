"""A post in, an action and its reason out, inside the deadline.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: action, policy, scores, evidence; its impression in the log, where the author's next post finds it.
Choice: one snapshot of the live store for all that is read of author and reactions; without the store, words and pixels are judged alone.
Else:   judging in batches beside the request, where a post may wait a minute before it is seen.
Breaks: a stage that is late, fails or hangs: the next rung answers and `degraded` names it; if no rung does, the post is queued, never allowed.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, Floats, Platform, Why
from common.serving.app import route
from common.serving.deadline import Deadline, Stages
from common.serving.fallback import ladder
from common.serving.platform import record, require
from common.serving.snapshot import Unopened, snapshot
from common.training import seeding
from harmful_content import baseline, features, model, policy
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.policy import Context, Decision, Scored
from harmful_content.schema import ACTIONS, EXAMPLE, Answer, Images, Request, Rows, load_catalog
from harmful_content.serve.decode import picture

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.features.snapshot import Snapshot
    from common.lifecycle.registry import Artifact

ROUTE = "/harmful_content/moderate"
SHARES = {"store": 0.2, "features": 0.2, "model": 0.3, "baseline": 0.1, "log": 0.1}
"""The most of the deadline each stage may take; together less than all of it, so that the last rung has time left."""


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log and the live store."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        self.catalog = load_catalog(folder / "catalog")
        self.features, self.model = features.load(folder / "features"), model.load(folder / "model")
        self.baseline, self.policy = baseline.load(folder / "baseline"), policy.load(folder / "policy")
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        seeding.limit(seeding.serving_threads())
        self._warm()

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure. A picture that is none is refused (InputError): its author can send another."""
        now, request_id = self.platform.clock.now(), secrets.randbits(52)
        images = picture(request.image)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            row = self._row(request, images, now, store.position)
            inputs = self._inputs(row, store, deadline)
        gaps = self._gaps(row, inputs, deadline)
        scores = self._score(inputs, deadline)
        decision = self._decide(request, row, inputs, scores, deadline)
        event = self._impression(request_id, row, scores, decision, gaps, deadline)
        self.stages.run("log", deadline, lambda: record(self.platform, [event]), lambda: None)
        return self._answer(request, request_id, inputs, scores, decision, deadline)

    def router(self) -> APIRouter:
        return route(self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms)

    def _warm(self) -> None:
        """The first call of a network costs many times the next; no author should be the one to wait."""
        with self.platform.store.snapshot() as store:
            row = self._row(Request(**EXAMPLE), picture(""), 0, store.position)
            inputs = self.features.inputs(row, store)
        for scorer in (self.model, self.baseline):
            scorer.score(inputs)

    def _row(self, request: Request, images: Images, now: int, moment: int) -> Rows:
        unknown = np.full((1, len(self.catalog)), np.nan)
        return Rows(
            post_id=np.array([request.post_id]),
            user_id=np.array([request.user_id]),
            event_time=np.array([now]),
            moment=np.array([moment]),
            text=np.array([request.text]),
            image=np.array([len(images) - 1]),
            images=images,
            natural_label=unknown,
            hand_label=unknown,
            numbers={name: np.array([value]) for name, value in request.numbers.items()},
            categories={name: np.array([value]) for name, value in request.categories.items()},
        )

    def _inputs(self, row: Rows, store: Snapshot | Unopened, deadline: Deadline) -> Inputs:
        """A store that did not open is its own stage's miss; it must not open the breaker of the stage that would have read from it."""
        read = None if isinstance(store, Unopened) else store
        return self.stages.run(
            "features", deadline, lambda: self.features.inputs(row, read), lambda: self.features.inputs(row, None)
        )

    def _gaps(self, row: Rows, inputs: Inputs, deadline: Deadline) -> tuple[int, int]:
        """Labels what the request did not say, what training never saw, and an author of whom nothing is known; -> how many of the first two."""
        missing, unknown = self.features.gaps(row)
        if missing:
            deadline.degrade("context", f"missing: {', '.join(missing)}")
        if unknown:
            deadline.degrade("context", f"unknown value: {', '.join(unknown)}")
        if self.features.is_new_author(inputs)[0]:
            deadline.degrade("author", "new: this author has posted nothing before")
        return len(missing), len(unknown)

    def _score(self, inputs: Inputs, deadline: Deadline) -> Floats | None:
        """[num_policies] by the best rung that answers in time; None where none does."""
        rungs = {"model": lambda: self.model.score(inputs)[0], "baseline": lambda: self.baseline.score(inputs)[0]}
        scores: Floats | None = ladder(self.stages, deadline, rungs, last=lambda: None)[1]
        return scores

    def _decide(
        self, request: Request, row: Rows, inputs: Inputs, scores: Floats | None, deadline: Deadline
    ) -> Decision:
        """What another rung than the model judged, or nothing did, a person judges: the thresholds are the model's."""
        nothing = np.full(len(self.catalog), np.nan)
        faults = [
            f"{stage} did not answer" for stage in deadline.degraded if stage in ("features", "model", "baseline")
        ]
        faults += [f"the {name} is unknown" for name in self.features.gaps(row)[1] if name == "language"]
        unreported = scores if scores is None or faults else self._unreported(inputs, scores, deadline)
        scored = Scored(
            score=nothing if scores is None else scores,
            unreported=nothing if unreported is None else unreported,
            version=self.version,
        )
        return self.policy.decide(request, scored, Context(faults=faults, policies=self.catalog.policy.tolist()))

    def _unreported(self, inputs: Inputs, scores: Floats, deadline: Deadline) -> Floats | None:
        """The scores without reports: asked of the model once more only where there are any."""
        without = self.features.unreported(inputs)
        if (without.numbers == inputs.numbers).all():
            return scores
        again: Floats | None = self.stages.run("model", deadline, lambda: self.model.score(without)[0], lambda: None)
        return again

    def _impression(
        self,
        request_id: int,
        row: Rows,
        scores: Floats | None,
        decision: Decision,
        gaps: tuple[int, int],
        deadline: Deadline,
    ) -> Event:
        return Event(
            event_id=f"impression-{request_id}",
            kind="impression",
            event_time=int(row.event_time[0]),
            keys={"request_id": request_id, "post_id": int(row.post_id[0]), "user_id": int(row.user_id[0])},
            values={
                "action": decision.action,
                "policy": max(decision.policy, 0),
                "probability_ppm": 0 if scores is None else round(1e6 * float(scores.max())),
                "removed": int(ACTIONS[decision.action] == "remove"),
                "num_missing": gaps[0],
                "num_unknown": gaps[1],
                "degraded": int(any(stage in SHARES for stage in deadline.degraded)),
            },
            moment=int(row.moment[0]),
        )

    def _answer(
        self,
        request: Request,
        request_id: int,
        inputs: Inputs,
        scores: Floats | None,
        decision: Decision,
        deadline: Deadline,
    ) -> Answer:
        names = self.catalog.policy.tolist()
        action = ACTIONS[decision.action]
        acted = action in ("demote", "remove")
        return Answer(
            request_id=request_id,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=self._why(request, inputs, scores, decision),
            post_id=request.post_id,
            action=action,
            policy=names[decision.policy] if decision.policy >= 0 else "",
            score=0.0 if scores is None else float(scores[decision.policy]),
            scores={} if scores is None else dict(zip(names, scores.tolist(), strict=True)),
            notice=str(self.catalog.notice[decision.policy]) if acted else "",
        )

    def _why(self, request: Request, inputs: Inputs, scores: Floats | None, decision: Decision) -> list[Why]:
        """The policy's reasons, and of the policy named the words that speak for it; where none does, it was the picture or who posted it."""
        if scores is None:
            return decision.why
        said = self.baseline.evidence(inputs.tokens[0], decision.policy)
        words = [self.features.words.token(number) or "(unknown word)" for number in said.tolist()]
        evidence = f"words: {', '.join(words)}" if words else "picture, author or reactions"
        reason, score = str(self.catalog.policy[decision.policy]), float(scores[decision.policy])
        return [*decision.why, Why(item=request.post_id, stage="model", reason=reason, effect=score, evidence=evidence)]
