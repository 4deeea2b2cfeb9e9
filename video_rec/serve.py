"""Request to feed inside the deadline, cut off stage by stage: who asks, what to look at, what is known of it, in which order, by which rules.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: a feed and why; its impressions in the log.
Choice: the sources run side by side, each under its own limit; a stage that is missing costs quality, which `degraded` says. What the law
        says (explicit, age, country) needs no store and holds whatever breaks; a video seen twice is a courtesy missed: where nobody can say
        what was watched, the feed still goes out.
        A video that is put or deleted makes a service over other features, beside the one that answers; what training made is shared.
Else:   feeds computed ahead of time for everybody: cheap, and a day behind the viewer.
Breaks: a stage that is late, fails or hangs: `mlsd drill video_rec`; features read at one moment and logged with another: the parity check.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common.contract import Event, FeatureStore, Floats, Ints, Platform, Ranking, Why
from common.serving.app import route
from common.serving.current import Current, Held
from common.serving.deadline import Deadline, Stages
from common.serving.platform import record, require
from common.serving.snapshot import snapshot
from common.training import seeding
from video_rec import features, model, policy
from video_rec.config import Config
from video_rec.features.shelf import listed
from video_rec.policy import Context, Decision
from video_rec.schema import SHOWN, Answer, Item, Request, Requests, ShownVideo, load_titles

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.lifecycle.registry import Artifact

ROUTE = "/video_rec/feed"
SHARES = {
    "items": 0.05,
    "store": 0.1,
    "watched": 0.14,
    "history": 0.14,
    **dict.fromkeys(model.QUOTAS, 0.2),
    "features": 0.26,
    "ranker": 0.12,
    "log": 0.11,
}
"""The most of the deadline each stage may take. Watched and history run side by side, and so do the sources: together less than all.
Watched, history and features read one snapshot, so they queue on its one connection: one that hangs takes those behind it along."""
SPARE = 500  # popular videos behind every feed, so that the rules never leave it short


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


@dataclass(frozen=True)
class Ordered:
    """Candidates of one request, best first, [k] each; `sources` says which brought it."""

    ids: Ints
    scores: Floats
    sources: list[str]


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log, the live store, and what
    `current` gives: the service over the videos there are by now. Each answer is one such service's from its first step to its last."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        self.model = model.load(folder / "model")
        self.features = self.model.sources.features
        self.policy = policy.load(folder / "policy")
        self.titles = load_titles(folder / "catalog")
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        self._spare = self._popular({})
        seeding.limit(seeding.serving_threads())
        self._warm()
        self.current = Current(platform.items, Item, _Videos(self, {}), self._changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure: each has a worse answer ready, and the worst is what everybody watches."""
        held = self.current.now(self.stages, deadline)
        return held.known.service._answer(request, deadline, held)

    def router(self) -> APIRouter:
        return route(self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms)

    def _changed(self, videos: _Videos, changes: Mapping[int, Item | None]) -> _Videos:
        """This version over the videos of training and all that changed since. Nothing of this service changes, nor of the one before."""
        now, items, other = self.platform.clock.now(), dict(videos.items), copy.copy(self)
        for video_id, item in changes.items():
            items[video_id] = item and replace(
                item, uploaded=min(item.uploaded, now)
            )  # nothing is fresh before its time, or for ever
        other.features = videos.service.features.over(listed([item for item in items.values() if item is not None]))
        other.model = self.model.over(other.features)
        other._spare = self._popular(items)
        return _Videos(other, items)

    def _popular(self, items: Mapping[int, Item | None]) -> Ints:
        """The SPARE most popular that were not deleted."""
        gone = [video_id for video_id, item in items.items() if item is None]
        nobody = np.full((1, features.HISTORY), -1)
        ids: Ints = self.model.sources.co_watch.nearest(nobody, SPARE + len(gone)).ids[0]
        return ids[~np.isin(ids, gone)][:SPARE]

    def _answer(self, request: Request, deadline: Deadline, held: Held[_Videos]) -> Answer:
        now, request_id = self.platform.clock.now(), secrets.randbits(52)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            asked = _asked(request, now, store.position)
            seen, recent = self._viewer(asked, store, deadline)
            found = self._candidates(recent, deadline)
            ordered = self._order(asked, found, store, deadline, held)
        decision = self._rules(request, asked, ordered, seen)
        videos = self._shown(ordered, decision)
        cold = bool((recent < 0).all()) and not {"store", "history"} & set(deadline.degraded)  # not read is not unknown
        events = self._impressions(request_id, asked, videos, decision, cold, deadline)
        self.stages.run("log", deadline, lambda: record(self.platform, events), lambda: None)
        return Answer(
            request_id=request_id,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[*decision.why, *(_brought(video) for video in videos)],
            infeasible=decision.infeasible,
            videos=videos,
        )

    def _warm(self) -> None:
        """The first call of a network and of an index costs many times the next; no viewer should be the one to pay."""
        recent = self.features.find(self._spare[None, : features.HISTORY])
        recent = np.pad(recent, ((0, 0), (0, features.HISTORY - recent.shape[1])), constant_values=-1)
        ids = model.merge(self.model.sources.calls(recent, self.config.num_candidates), self.config.num_candidates).ids
        with self.platform.store.snapshot() as store:
            asked = Requests(
                user_id=np.zeros(1, np.int64), event_time=np.zeros(1, np.int64), moment=np.array([store.position])
            )
            self.model.ranker.score(self.model.sources.dense(asked, ids[ids >= 0][None], store))

    def _viewer(self, asked: Requests, store: FeatureStore, deadline: Deadline) -> tuple[tuple[Ints, Ints], Ints]:
        """-> (ids that may not be shown again, creators who may not), the last watches [1, h]."""
        reads: dict[str, Callable[[], Any]] = {
            "watched": lambda: self.features.watched(asked, store),
            "history": lambda: self.features.recent(asked, store),
        }
        # a store that did not open is one stage's failure: were the readers asked too, their breakers would open and outlast it
        came = self.stages.side_by_side(deadline, reads) if asked.moment[0] >= 0 else {}
        recent = came.get("history", np.full((1, features.HISTORY), -1))
        if "history" in came and (recent < 0).all():
            deadline.degrade(
                "user", "cold: this viewer has watched nothing the catalogue knows, the feed is what everybody watches"
            )
        if "watched" in came:
            watched, hidden = came["watched"]
            return (watched[0], hidden[0]), recent
        some = f"only the last {features.HISTORY} watches" if "history" in came else "nothing of what was watched"
        deadline.degrade("rules", f"{some} and no hidden creator could be checked: one may come again")
        return (self.features.at("video_id", recent[recent >= 0]), np.empty(0, np.int64)), recent

    def _candidates(self, recent: Ints, deadline: Deadline) -> Mapping[str, Ranking]:
        """Sources that have nothing for a viewer without a history are not asked."""
        names = model.COLD if (recent < 0).all() else list(model.QUOTAS)
        k, sources = self.config.num_candidates, self.model.sources
        calls = {name: (lambda name=name: sources.call(name, recent, k)) for name in names}
        return self.stages.side_by_side(deadline, calls)

    def _order(
        self,
        asked: Requests,
        found: Mapping[str, Ranking],
        store: FeatureStore,
        deadline: Deadline,
        held: Held[_Videos],
    ) -> Ordered:
        """Merged by quota, then by the ranker if its features and it come in time; popular videos stand behind, for the rules to fill up with.
        Every candidate comes through here, so what is gone ends here, whichever source or rung brought it."""
        spare = self._spare[~held.gone(self._spare)]
        if not found:
            deadline.degrade("candidates", "no source came in time: the feed is what everybody watches")
            return Ordered(spare, np.zeros(len(spare)), ["spare"] * len(spare))
        found = {name: _without(ranking, held) for name, ranking in found.items()}
        ids = model.merge(found, self.config.num_candidates).ids
        ids, scores = ids[ids >= 0], np.zeros((ids >= 0).sum())
        dense = None
        if asked.moment[0] >= 0:
            dense = self.stages.run(
                "features", deadline, lambda: self.model.sources.dense(asked, ids[None], store), lambda: None
            )
        if dense is not None:
            scores = self.stages.run("ranker", deadline, lambda: self.model.ranker.score(dense), lambda: scores)
        best = np.argsort(-scores, kind="stable")
        spare = spare[~np.isin(spare, ids)]
        return Ordered(
            np.concatenate([ids[best], spare]),
            np.concatenate([scores[best], np.full(len(spare), scores.min(initial=0.0))]),
            [*_sources(found, ids[best]), *(["spare"] * len(spare))],
        )

    def _rules(self, request: Request, asked: Requests, ordered: Ordered, seen: tuple[Ints, Ints]) -> Decision:
        context = Context.of(
            self.features,
            ordered.ids,
            self.model.sources.co_watch.popularity,
            watched=seen[0],
            hidden=seen[1],
            age=int(asked.age[0]),
            country=int(asked.country[0]),
            now=int(asked.event_time[0]),
            chance=_lot(asked),
        )
        return self.policy.decide(request, Ranking(ids=ordered.ids[None], scores=ordered.scores[None]), context)

    def _shown(self, ordered: Ordered, decision: Decision) -> list[ShownVideo]:
        index = self.features.find(ordered.ids[decision.kept])
        columns = (
            index,
            ordered.ids[decision.kept],
            self.features.at("creator_id", index),
            ordered.scores[decision.kept],
        )
        shown = zip(*(column.tolist() for column in columns), decision.kept.tolist(), strict=True)
        return [
            ShownVideo(
                video_id=video,
                creator_id=creator,
                slot=slot,
                title=self._title(at),
                score=score,
                source=ordered.sources[place],
            )
            for slot, (at, video, creator, score, place) in enumerate(shown)
        ]

    def _title(self, index: int) -> str:
        late = index - len(self.titles)
        return str(self.features.shelf.catalog.title[late] if late >= 0 else self.titles[index])

    def _impressions(
        self,
        request_id: int,
        asked: Requests,
        videos: list[ShownVideo],
        decision: Decision,
        cold: bool,
        deadline: Deadline,
    ) -> list[Event]:
        user_id, degraded = int(asked.user_id[0]), int(any(stage in SHARES for stage in deadline.degraded))
        return [
            Event(
                event_id=f"impression-{request_id}-{video.slot}",
                kind="impression",
                event_time=int(asked.event_time[0]),
                keys=dict(zip(SHOWN, (request_id, user_id, video.video_id, video.creator_id), strict=True)),
                values={
                    "slot": video.slot,
                    "propensity_ppm": round(1e6 * decision.propensity[video.slot]),
                    "score_ppm": round(1e6 * video.score),
                    "cold": int(cold),
                    "degraded": degraded,
                },
                moment=int(asked.moment[0]),
            )
            for video in videos
        ]


@dataclass(frozen=True)
class _Videos:
    """The service over the videos there are, and what it has taken in: all that changed since training."""

    service: Service
    items: Mapping[int, Item | None]


def _without(ranking: Ranking, held: Held[_Videos]) -> Ranking:
    gone = held.gone(ranking.ids)
    return Ranking(ids=np.where(gone, -1, ranking.ids), scores=np.where(gone, -np.inf, ranking.scores))


def _asked(request: Request, now: int, moment: int) -> Requests:
    age, country = (-1 if given is None else given for given in (request.age, request.country))
    return Requests(**{name: np.array([value]) for name, value in (("user_id", request.user_id), ("event_time", now), ("moment", moment), ("age", age), ("country", country))})  # fmt: skip


def _lot(asked: Requests) -> float:
    """In [0, 1), drawn from who asks, when, and at which moment of the log: asked again of the same log, the answer is the same one."""
    drawn = int(asked.user_id[0]), int(asked.event_time[0]), int(asked.moment[0]) + 1
    return float(np.random.default_rng(drawn).random())


def _sources(found: Mapping[str, Ranking], ids: Ints) -> list[str]:
    """The source in which each video stood highest; of two in the same place the one named first."""
    names, widths = list(found), [ranking.ids.shape[1] for ranking in found.values()]
    which, every = np.repeat(np.arange(len(names)), widths), np.concatenate([r.ids[0] for r in found.values()])
    order = np.argsort(np.concatenate([np.arange(width) for width in widths]), kind="stable")
    known, first = np.unique(every[order], return_index=True)
    return [names[source] for source in which[order][first[np.searchsorted(known, ids)]].tolist()]


def _brought(video: ShownVideo) -> Why:
    return Why(
        item=video.video_id,
        stage=video.source,
        reason="candidate",
        effect=video.score,
        evidence=f"brought by {video.source}, score {video.score:.3f}",
    )
