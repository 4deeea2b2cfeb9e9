"""Request to page inside the deadline, cut off stage by stage: what is meant, what is like it, in which order, by which rules.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: a page and why; its impressions in the log. Beside it, thumbnails.
Choice: embedding, neighbours, re-ranking, each its own stage with a worse answer ready: without the proposal the whole photo, without encoder or index
        the baseline's colours and words, without those what is clicked most. What the law says needs no store and holds whatever breaks.
        An image that is put or deleted makes a service over other images, beside the one that answers; the index is shared.
Else:   pages computed ahead of time for the gallery's own images, where people go from image to image.
Breaks: a stage that is late, fails or hangs: `mlsd drill visual_search`; features read at one moment and logged with another: the parity check; a crafted
        picture: refused by its header.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common.contract import FeatureStore, Platform, Ranking
from common.data.pictures import unfolded
from common.errors import InputError
from common.serving.app import route
from common.serving.current import Current, Held
from common.serving.deadline import Deadline, Stages
from common.serving.platform import record, require
from common.serving.snapshot import snapshot
from common.training import seeding
from visual_search import baseline, features, model, policy
from visual_search.config import Config
from visual_search.features import Features, Seen, album, is_whole
from visual_search.features.histogram import DIM
from visual_search.features.preparation import WHOLE
from visual_search.model import NEIGHBOURS, Asked, kinds
from visual_search.policy import Context
from visual_search.schema import EXAMPLE, Answer, Images, Item, Pixels, Request, Requests
from visual_search.serve import changed, form, look, thumbnails, watched
from visual_search.serve.shown import Ordered, impressions, reasons, shown

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact

ROUTE = "/visual_search/search"
SHARES = {
    "items": 0.04,
    "store": 0.08,
    "decode": 0.2,
    "propose": 0.07,
    "encode": 0.17,
    "neighbours": NEIGHBOURS,
    "words": NEIGHBOURS,
    "histogram": 0.1,
    "features": 0.1,
    "rerank": 0.04,
    "log": 0.1,
}
"""The most of the deadline each stage may take; neighbours and words run side by side. What is left is held back for the rules."""

NO_PICTURE = "bm8="


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log, the live store, and what `current` gives:
    the service over the images there are by now. Each answer is one such service's from its first step to its last."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        known = features.load(folder / "features")
        self.model, self.baseline = model.load(folder / "model", known), baseline.load(folder / "baseline", known)
        self.policy, self.album = policy.load(folder / "policy"), album.load(folder / "catalog")
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        self.shelf, self.measured = changed.empty(known), watched.as_built(self.model.gallery)
        seeding.limit(seeding.serving_threads())
        self._warm()
        self.current = Current(platform.items, Item, self, self._changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure: each has a worse answer ready, and the worst is what is clicked most. A picture that is none is refused
        (InputError): its sender can send another."""
        held = self.current.now(self.stages, deadline)
        return held.known._answer(request, deadline, held)

    def router(self) -> APIRouter:
        router = route(
            self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms, read=form.read, kinds=form.KINDS
        )
        router.include_router(thumbnails.router(self._thumbnail))
        router.routes.extend(look.router().routes)
        router.include_router(watched.router(self._index))
        return router

    @property
    def features(self) -> Features:
        return self.model.features

    def _changed(self, known: Service, changes: Mapping[int, Item | None]) -> Service:
        """This version over the images of training and all that changed since. Nothing of this service changes, nor of the one before."""
        other = copy.copy(self)
        other.model, other.shelf = changed.taken(
            self.model, known.model, known.shelf, changes, self.platform.clock.now()
        )
        other.baseline = replace(self.baseline, features=other.model.features)
        other.measured = watched.after(known.measured, other.model.gallery, len(changes))
        return other

    def _warm(self) -> None:
        """The first picture waits for a library, the first that is none for all of it, and the first call of a network and of an index costs many times the
        next."""
        _picture_or_error(NO_PICTURE, self.features.side)
        request = Request(**EXAMPLE)
        asked = self._asked(request, unfolded(request.image, self.features.side), 0, 0)
        with self.platform.store.snapshot() as store:
            asked = replace(asked, moment=np.array([store.position]))
            found = self.model.retrieve(asked, self.config.num_candidates, store)
            self.model.rerank(asked, found, store)
        self.baseline.retrieve(asked, self.config.num_candidates, store)
        _ = self.features.groups, self.features.popular

    def _answer(self, request: Request, deadline: Deadline, held: Held[Service]) -> Answer:
        now, request_id = self.platform.clock.now(), secrets.randbits(52)
        photo = self._photo(request, deadline, held)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            asked = self._asked(request, photo, now, store.position)
            seen = self._seen(asked, deadline)
            embedded = self.stages.run("encode", deadline, lambda: self.model.asked(seen, asked.text), lambda: None)
            ordered = self._ordered(asked, seen, embedded, store, deadline, held)
        place = self._rules(request, ordered, held)
        images = shown(self.features, ordered, place.kept, request.user_id)
        events = impressions(
            request_id, request.user_id, int(asked.query_id[0]), images, now, int(asked.moment[0]),
            {
                "cold": self._is_cold(seen, asked, ordered), "degraded": any(stage in SHARES for stage in deadline.degraded),
                "words": bool(asked.photo[0] < 0), "whole": bool(request.crop is None and is_whole(seen)[0]),
            },
        )  # fmt: skip
        self.stages.run("log", deadline, lambda: record(self.platform, events), lambda: None)
        return Answer(
            request_id=request_id,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[*place.why, *reasons(ordered, place.kept, _part(request, seen))],
            crop=[round(float(edge), 4) for edge in seen.crops[0]] if len(seen.crops) else [],
            images=images,
        )

    def _photo(self, request: Request, deadline: Deadline, held: Held[Service]) -> Pixels | None:
        """What the sender did wrong is no failure of the stage: it comes back as a value, and opens no breaker for the others."""
        if request.image_id is not None:
            jpeg = None if held.gone(np.array([request.image_id]))[0] else self._jpeg(request.image_id, request.user_id)
            if jpeg is None:
                raise InputError("image_id: no such image is in the gallery, or none that may be shown. Send a photo.")
            return self.stages.run("decode", deadline, lambda: album.decoded(jpeg), lambda: None)
        if not request.image:
            return None
        side = self.features.side
        photo = self.stages.run("decode", deadline, lambda: _picture_or_error(request.image, side), lambda: None)
        if isinstance(photo, InputError):
            raise photo
        return photo

    def _asked(self, request: Request, photo: Pixels | None, now: int, moment: int) -> Requests:
        """The one request as the offline track has it."""
        side = self.features.side
        pixels = np.empty((0, side, side, 3), np.uint8) if photo is None else photo[None]
        return Requests(
            user_id=np.array([request.user_id]),
            photo=np.array([len(pixels) - 1]),
            photos=Images(pixels),
            event_time=np.array([now]),
            moment=np.array([moment]),
            text=np.array([request.text]),
            crop=np.array([request.crop or [np.nan] * 4], dtype=np.float32),
            query_id=np.array([-1 if request.image_id is None else request.image_id]),
            shop_only=np.array([int(request.shop_only)]),
        )

    def _seen(self, asked: Requests, deadline: Deadline) -> Seen:
        whole = replace(asked, crop=np.array([WHOLE], np.float32))
        return self.stages.run(
            "propose", deadline, lambda: self.features.seen(asked), lambda: self.features.seen(whole)
        )

    def _ordered(
        self, asked: Requests, seen: Seen, embedded: Asked | None, store: FeatureStore, deadline: Deadline, held: Held[Service]
    ) -> Ordered:  # fmt: skip
        """Candidates by the ranker if its features and it come in time, else as they were found. Every candidate comes through here, so what is gone ends
        here, whichever rung brought it."""
        found, by = self._found(asked, seen, embedded, deadline)
        there = (found.ids[0] >= 0) & ~held.gone(found.ids[0])
        ids, near = found.ids[0][there], found.scores[0][there]
        plain = Ordered(ids, near, near, by)
        if by != "neighbours" or embedded is None or asked.moment[0] < 0 or not len(ids):
            return plain
        row = np.zeros(len(ids), np.int64)
        photo, moment = row + seen.which[0], row + asked.moment[0]
        dense = self.stages.run(
            "features",
            deadline,
            lambda: self.features.dense(seen.histogram, photo, asked.text, row, ids, moment, store),
            lambda: None,
        )
        if dense is None:
            return plain
        scores = self.stages.run(
            "rerank",
            deadline,
            lambda: self.model.ranker.score(self.model.values(embedded, row, ids, dense)),
            lambda: None,
        )
        if scores is None:
            return plain
        best = np.argsort(-scores, kind="stable")
        return Ordered(ids[best], scores[best], near[best], by, dense[best])

    def _found(self, asked: Requests, seen: Seen, embedded: Asked | None, deadline: Deadline) -> tuple[Ranking, str]:
        """-> candidates, and the stage that brought them."""
        k, shop_only = self.config.num_candidates, asked.shop_only
        came = self._near(asked, embedded, k, deadline) if embedded is not None else {}
        if embedded is not None and "neighbours" in came:
            called = came.get("words", np.empty((1, 0), np.int64))
            found = self.model.together(embedded, came["neighbours"], called, shop_only)
            if not embedded.query.any() and not (called >= 0).any():
                what = "none of its words is known" if asked.text[0].strip() else "the photo was not unfolded in time"
                deadline.degrade("query", f"{what}: the page is what is clicked most")
                return found, "popular"
            return found, "neighbours"
        colours = seen.histogram[seen.which] if seen.which[0] >= 0 else np.zeros((1, DIM), np.float32)
        rung = self.stages.run(
            "histogram",
            deadline,
            lambda: self.baseline.nearest(colours, asked.text, k, bool(shop_only[0])),
            lambda: None,
        )
        if rung is not None:
            return rung, "histogram"
        deadline.degrade("candidates", "nothing like it was found in time: the page is what is clicked most")
        popular = self.features.popular[None, :k]
        return Ranking(ids=popular, scores=-np.arange(popular.shape[1])[None].astype(float)), "popular"

    def _near(self, asked: Requests, embedded: Asked, k: int, deadline: Deadline) -> Mapping[str, Any]:
        """Those that came of: a Ranking of neighbours; ids [1, j] of what is called so, which is asked where there are words."""
        calls: dict[str, Callable[[], Any]] = {
            "neighbours": lambda: self.model.neighbours(embedded, asked.shop_only, k)
        }
        if asked.text[0].strip():
            calls["words"] = lambda: self.model.called(asked.text, k)
        return self.stages.side_by_side(deadline, calls)

    def _rules(self, request: Request, ordered: Ordered, held: Held[Service]) -> policy.Decision:
        query_id = -1 if request.image_id is None else request.image_id
        context = Context.of(
            self.features, ordered.ids, user_id=request.user_id, query_id=query_id, shop_only=request.shop_only
        )
        return self.policy.decide(request, Ranking(ids=ordered.ids[None], scores=ordered.scores[None]), context)

    def _is_cold(self, seen: Seen, asked: Requests, ordered: Ordered) -> bool:
        """Nothing in the gallery is like it. Where the index did not answer nobody knows."""
        if ordered.by != "neighbours" or not len(ordered.near):
            return False
        return self.model.is_unlike(str(kinds(seen, asked.text)[0]), float(ordered.near.max()))

    def _index(self) -> watched.Index:
        known = self.current.now(self.stages, Deadline(self.config.deadline_ms)).known
        return watched.shown(self.version, known.model.gallery, known.measured)

    def _thumbnail(self, image_id: int, user_id: int) -> bytes | None:
        held = self.current.now(self.stages, Deadline(self.config.deadline_ms))
        return None if held.gone(np.array([image_id]))[0] else held.known._jpeg(image_id, user_id)

    def _jpeg(self, image_id: int, user_id: int) -> bytes | None:
        """Of an image that may be shown to this person."""
        context = Context.of(self.features, np.array([image_id]), user_id=user_id, query_id=-1, shop_only=False)
        if not self.policy.may_be_shown(np.array([image_id]), context)[0]:
            return None
        return self.shelf.jpeg.get(image_id) or self.album.find(image_id)


def _part(request: Request, seen: Seen) -> str:
    if not len(seen.crops):
        return "the words"
    where = "the marked part of the photo" if request.crop else "what stands out in the photo"
    return where + (" and the words" if request.text.strip() else "")


def _picture_or_error(encoded: str, side: int) -> Pixels | InputError:
    try:
        return unfolded(encoded, side)
    except InputError as error:
        return error
