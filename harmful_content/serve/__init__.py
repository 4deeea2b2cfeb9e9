"""Posts in, for each an action and its reason out, inside the deadline.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: action, policy, scores, evidence; its impression in the log, where the author's next post finds it. Beside it, batches,
        and the desk: reviews, appeals, notices, strikes.
Choice: requests that would wait for each other are answered together, from one snapshot of the live store. Whatever a stage misses, a post may be
        held for a person, never let pass: what the model did not judge whole is queued.
Else:   the next rung's word taken for it (late pictures, text alone), where reviewers are fewer than the posts of one bad minute.
Breaks: a stage that is late, fails or hangs: `degraded` names it and the queue grows; crafted pictures and texts (benchmarks/moderation.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Floats, Platform
from common.errors import InputError
from common.features.text import PAD, UNKNOWN
from common.serving.app import route
from common.serving.batching import Batcher
from common.serving.deadline import Deadline, Stages
from common.serving.platform import record, require
from common.serving.snapshot import Unopened, snapshot
from common.training import seeding
from harmful_content import baseline, features, model, policy
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.policy import Decision
from harmful_content.schema import EXAMPLE, NO_IMAGES, Answer, Images, Request, Rows, load_catalog
from harmful_content.serve import batches, desk
from harmful_content.serve.answers import Known, Outcome, answer, decided, impression, known, unjudged
from harmful_content.serve.batches import Answers, Posts
from harmful_content.serve.decode import GREY, picture
from harmful_content.serve.docket import Docket
from harmful_content.serve.hidden import is_hidden
from harmful_content.serve.scoring import best_rung

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact

ROUTE = "/harmful_content/moderate"
SHARES = {
    "decode": 0.2,
    "store": 0.1,
    "features": 0.16,
    "match": 0.08,
    "model": 0.18,
    "baseline": 0.06,
    "policy": 0.08,
    "log": 0.1,
}
"""The most of the deadline each stage may take; together less than all of it, so that the last rung has time left."""
JUDGES = tuple(
    stage for stage in SHARES if stage not in ("policy", "log")
)  # without one of them a post was not judged whole
IN_FLIGHT, MOST_TOGETHER, WAIT_MS = 32, 16, 3.0


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


@dataclass(frozen=True)
class Asked:
    """A post on its way, its picture unfolded."""

    request: Request
    images: Images
    deadline: Deadline
    came_ms: float


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log, the live store and the docket, which
    follows the log."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        self.catalog = load_catalog(folder / "catalog")
        self.features, self.model = features.load(folder / "features"), model.load(folder / "model")
        self.baseline, self.policy = baseline.load(folder / "baseline"), policy.load(folder / "policy")
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        self.docket = Docket(platform, self.config, self.features.reviewed)
        self._batcher = Batcher[Asked, Answer](self._together, most=MOST_TOGETHER, wait_ms=WAIT_MS)
        seeding.limit(seeding.serving_threads())
        self._warm()

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure. A picture that is none is refused (InputError): its author can send another."""
        return self._batcher.ask(self._asked(request, deadline))

    def respond_all(self, posts: Posts, deadline: Deadline) -> Answers:
        """One answer a post, all inside the one deadline. A picture that is none refuses the batch, and the error says which post's it was."""
        asked = batches.each(posts, deadline, self._asked)
        answers = self._together(asked)
        batches.gather(deadline, [one.deadline for one in asked])
        return Answers(answers=answers)

    def router(self) -> APIRouter:
        router = route(self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms, in_flight=IN_FLIGHT)
        router.include_router(batches.router(f"{ROUTE}/batch", self.respond_all, self.config.deadline_ms))
        router.include_router(
            desk.router(desk.Desk(self.docket, self.platform, self.catalog, self.config, self.version))
        )
        return router

    def _warm(self) -> None:
        """The first picture waits for a library, and the first call of a network costs many times the next; no author should be the one to wait."""
        with self.platform.store.snapshot() as store:
            rows = batches.rows([Request(**EXAMPLE)], [picture(GREY)], self.features, 0, store.position)
            inputs = self.features.inputs(rows, store)
        for scorer in (self.model, self.baseline):
            scorer.score(inputs)

    def _asked(self, request: Request, deadline: Deadline) -> Asked:
        """What the author did wrong is no failure of the stage: it comes back as a value, and opens no breaker for the others."""
        images: Images | InputError = NO_IMAGES
        if request.image:
            images = self.stages.run("decode", deadline, lambda: _picture_or_error(request.image), lambda: NO_IMAGES)
        if isinstance(images, InputError):
            raise images
        if is_hidden(request.text):
            deadline.degrade("text", "most of its characters are such as nobody sees")
        return Asked(request, images, deadline, deadline.elapsed_ms())

    def _together(self, asked: Sequence[Asked]) -> list[Answer]:
        """One snapshot, one call of each stage, one commit, under the deadline of whoever has least time left."""
        now, shared = self.platform.clock.now(), Deadline(min(one.deadline.left_ms() for one in asked))
        for one in asked:
            one.deadline.record("batch", one.came_ms, one.deadline.elapsed_ms(), "ok")
        requests, images = [one.request for one in asked], [one.images for one in asked]
        with snapshot(self.stages, shared, self.platform.store) as store:
            rows = batches.rows(requests, images, self.features, now, store.position)
            read = None if isinstance(store, Unopened) else store
            inputs = self.stages.run(
                "features", shared, lambda: self.features.inputs(rows, read), lambda: self.features.inputs(rows, None)
            )
        found = self.stages.run("match", shared, lambda: self._known(asked, rows), lambda: [Known()] * len(asked))
        scored = best_rung(self.stages, shared, self.model, self.baseline, self.features, inputs)
        outcomes = self._decided(asked, found, scored, inputs, shared)
        moment, views = int(rows.moment[0]), self.policy.costs.views
        events = [impression(one, moment, now, self.version, views) for one in outcomes]
        self.stages.run("log", shared, lambda: record(self.platform, events), lambda: None)
        for one in asked:
            one.deadline.take(shared)
        return [answer(one, self.catalog, self.version) for one in outcomes]

    def _known(self, asked: Sequence[Asked], rows: Rows) -> list[Known]:
        """What people decided of each post, or of its like. Of a picture that was not unfolded in time nothing is said: another post's words alone would
        be taken for it."""
        self.docket.follow()
        decided = [self.docket.find(one.request.post_id) for one in asked]
        found = known(self.features.printed(rows), decided, self.docket.shelf)
        return [
            Known() if one.request.image and not len(one.images) else each
            for one, each in zip(asked, found, strict=True)
        ]

    def _decided(
        self, asked: Sequence[Asked], known: Sequence[Known], scored: tuple[Floats, Floats] | None, inputs: Inputs, shared: Deadline
    ) -> list[Outcome]:  # fmt: skip
        nothing = np.full((len(asked), len(self.catalog)), np.nan)
        score, unreported = (nothing, nothing) if scored is None else scored
        gaps = [batches.gaps(self.features, one.request) for one in asked]
        faults = [self._faults(one, unknown, shared) for one, (_, unknown) in zip(asked, gaps, strict=True)]
        requests = [one.request for one in asked]

        def decide() -> list[Decision]:
            return decided(self.policy, requests, score, unreported, known, faults, self.catalog, self.version)

        decisions = self.stages.run(
            "policy", shared, decide, lambda: [unjudged(one, "policy did not answer") for one in requests]
        )
        is_new = self.features.is_new_author(inputs)
        outcomes = []
        for at, (one, decision, (missing, unknown)) in enumerate(zip(asked, decisions, gaps, strict=True)):
            _label(one.deadline, missing, unknown, bool(is_new[at]))
            words = () if decision.policy < 0 else self.baseline.evidence(inputs.tokens[at], decision.policy)
            outcomes.append(
                Outcome(
                    request=one.request, request_id=secrets.randbits(52), deadline=one.deadline, decision=decision,
                    scores=None if scored is None else score[at], known=known[at], num_missing=len(missing), num_unknown=len(unknown),
                    num_words=int((inputs.tokens[at] != PAD).sum()), unknown_words=int((inputs.tokens[at] == UNKNOWN).sum()),
                    words=[self.features.words.token(int(number)) or "(unknown word)" for number in words],
                    is_degraded=any(stage in SHARES for stage in (*one.deadline.degraded, *shared.degraded)),
                )
            )  # fmt: skip
        return outcomes

    def _faults(self, one: Asked, unknown: Sequence[str], shared: Deadline) -> list[str]:
        """Why the post was not judged whole."""
        missed = [stage for stage in (*one.deadline.degraded, *shared.degraded) if stage in JUDGES]
        faults = [f"{stage} did not answer" for stage in dict.fromkeys(missed)]
        faults += ["most of the text is hidden from readers"] * ("text" in one.deadline.degraded)
        return faults + ["the language is unknown"] * ("language" in unknown)


def _label(deadline: Deadline, missing: Sequence[str], unknown: Sequence[str], is_new: bool) -> None:
    """What the request did not say, what training never saw, and an author of whom nothing is known."""
    for what, names in (("missing", missing), ("unknown value", unknown)):
        if names:
            deadline.degrade("context", f"{what}: {', '.join(names)}")
    if is_new:
        deadline.degrade("author", "new: this author has posted nothing before")


def _picture_or_error(encoded: str) -> Images | InputError:
    try:
        return picture(encoded)
    except InputError as error:
        return error
