"""Request to answer inside the deadline: who may be shown, what is known, how likely a click is, who wins.

In:     an artifact, and a platform (live store, event log, clock).
Out:    Service.respond: ads with slots and prices; their impressions in the log.
Choice: one snapshot of the live store for everything a request reads; its position is logged with the impressions, so training can repeat it.
Else:   a candidate index, once targeting leaves more ads than can be scored; batching of requests, on an accelerator.
        An ad that is put or deleted makes a service over another catalogue, beside the one that answers.
Breaks: a stage that is late, fails or hangs: the next rung answers and `degraded` names it (`mlsd drill ad_click`).
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ad_click import baseline, features, model, policy
from ad_click.config import Config
from ad_click.features import AD, SPEND, USER_AD, Inputs
from ad_click.features.items import merged
from ad_click.policy import Candidates, Context, Decision, out_of_budget
from ad_click.schema import SHOWN, Answer, Catalog, Item, Request, Rows, ShownAd, load_catalog, pricing
from common.contract import Bools, Event, FeatureStore, Floats, Ints, Platform
from common.features.views import pair
from common.serving.app import route
from common.serving.current import Current, Held
from common.serving.deadline import Deadline, Stages
from common.serving.fallback import ladder
from common.serving.platform import record, require
from common.serving.snapshot import Unopened, snapshot

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.features.snapshot import Snapshot
    from common.lifecycle.registry import Artifact

ROUTE = "/ad_click/auction"
SHARES = {
    "items": 0.06,
    "store": 0.12,
    "candidates": 0.14,
    "features": 0.24,
    "model": 0.18,
    "baseline": 0.08,
    "log": 0.16,
}
"""The most of the deadline each stage may take; together less than all of it, so the last rung has time left.
Reads of the store queue on its one connection: one that hangs takes those behind it along."""


def start(artifact: Artifact, platform: Platform) -> Service:
    """Opens the artifact's parts. NotReady if the live store lacks a view."""
    require(platform, features.VIEWS)
    return Service(artifact, platform)


@dataclass(frozen=True)
class Found:
    """The candidates of one request, [n] each, and what the auction has to know of them."""

    place: Ints  # in the catalogue
    spent_micros: Ints
    hidden: Bools
    num_seen: Ints
    hide_probability: Floats
    left_out: Ints  # places of those whose campaigns are spent, dearest first


NOBODY = np.empty(0, np.int64)
NOTHING = Found(NOBODY, NOBODY, NOBODY.astype(bool), NOBODY, NOBODY.astype(np.float64), NOBODY)


class Service:
    """One version of the case, answering. Safe for many threads: nothing changes after the start but the log, the live store, and what
    `current` gives: the service over the ads there are by now. Each answer is one such service's from its first step to its last."""

    def __init__(self, artifact: Artifact, platform: Platform) -> None:
        self.version, self.platform, folder = artifact.version, platform, artifact.folder
        self.config = Config(**artifact.manifest["config"])
        self.features, self.model = features.load(folder / "features"), model.load(folder / "model")
        self.baseline, self.policy = baseline.load(folder / "baseline"), policy.load(folder / "policy")
        self.stages = Stages({name: share * self.config.deadline_ms for name, share in SHARES.items()})
        self._over(load_catalog(folder / "catalog"))
        self._warm()
        self.current = Current(platform.items, Item, _Ads(self, {}), self._changed)

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        """Never raises for a stage's failure: each has a worse answer ready, and the worst is an answer without ads."""
        held = self.current.now(self.stages, deadline)
        return held.known.service._answer(request, deadline, held)

    def router(self) -> APIRouter:
        return route(self, ROUTE, Request, Answer, deadline_ms=self.config.deadline_ms)

    def _changed(self, ads: _Ads, changes: Mapping[int, Item | None]) -> _Ads:
        """This version over the ads as of training and all that changed since. Nothing of this service changes, nor of the one before."""
        items = {ad_id: item for ad_id, item in ads.items.items() if ad_id not in changes} | dict(changes)
        catalog, other = merged(self.catalog, items), copy.copy(self)
        other.features = self.features.over(catalog, np.array(list(items), dtype=np.int64))
        other._over(catalog)
        return _Ads(other, items)

    def _over(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._cpm = pricing(catalog) == "cpm"
        target = catalog.categories.get("target_country", np.full(len(catalog), ""))
        self._in_country = {name: (target == "") | (target == name) for name in {"", *target.tolist()}}
        self._worth = np.where(self._cpm, catalog.bid_micros / 1000, catalog.bid_micros * self.baseline.rate)
        self._by_worth = np.argsort(-self._worth, kind="stable")  # of an impression, were all clicked alike

    def _answer(self, request: Request, deadline: Deadline, held: Held[_Ads]) -> Answer:
        now, request_id = self.platform.clock.now(), secrets.randbits(52)
        with snapshot(self.stages, deadline, self.platform.store) as store:
            found = self._candidates(request, now, store, deadline, held)
            rows = self._rows(request, found.place, now, store.position)
            inputs = None
            if len(rows):
                inputs = self.stages.run("features", deadline, lambda: self.features.inputs(rows, store), lambda: None)
        missing, unknown = self._gaps(rows, inputs, deadline)
        probability = self._score(inputs, len(rows), deadline)
        decision = self._auction(request, found, probability)
        ads = self._shown(found, decision)
        events = self._impressions(request, request_id, ads, rows, (missing, unknown), deadline)
        self.stages.run("log", deadline, lambda: record(self.platform, events), lambda: None)
        return Answer(
            request_id=request_id,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[*decision.why, *out_of_budget(self.catalog.ad_id[found.left_out], self._worth[found.left_out])],
            ads=ads,
        )

    def _warm(self) -> None:
        """The first call of the trees costs many times the next; no user should be the one to pay."""
        with self.platform.store.snapshot() as store:
            rows = self._rows(Request(user_id=0), self._by_worth[: self.config.num_candidates], 0, store.position)
            inputs = self.features.inputs(rows, store)
        for scorer in (self.model, self.baseline):
            scorer.score(inputs)

    def _candidates(
        self, request: Request, now: int, store: Snapshot | Unopened, deadline: Deadline, held: Held[_Ads]
    ) -> Found:
        """An ad that is gone is no candidate, so no rung below can show it and it sets no price. A spent budget and a hidden ad are promises: unread, they cannot be kept, and nobody is shown. A store that did not open is its
        own stage's miss; it must not open the breakers of those that would have read from it."""
        if isinstance(store, Unopened):
            return NOTHING
        wanted = self._wanted(request, now)
        wanted = wanted[~held.gone(self.catalog.ad_id[wanted])]
        return self.stages.run("candidates", deadline, lambda: self._look_up(request, wanted, store), lambda: NOTHING)

    def _wanted(self, request: Request, now: int) -> Ints:
        """Places of the ads whose targeting fits, dearest first: by bid, as if all were clicked alike. Where more ads fit than are scored, a
        cheap one that is clicked often is never scored. Its own click rate would put it right, but reading 20,000 of them takes longer than a
        request has, whenever the hour turns and rates read before are old. Unknown age or country: only ads that do not ask."""
        numbers = self.catalog.numbers
        fits = self._in_country.get(request.categories.get("country", ""), self._in_country[""]).copy()
        if "min_age" in numbers:
            age = request.numbers.get("age")
            open_to_all = (numbers["min_age"] <= 13) & (numbers["max_age"] >= 120)
            fits &= open_to_all if age is None else (numbers["min_age"] <= age) & (age <= numbers["max_age"])
        if "start_time" in numbers:
            fits &= numbers["start_time"] <= now
        wanted: Ints = self._by_worth[fits[self._by_worth]]
        return wanted

    def _look_up(self, request: Request, wanted: Ints, store: Snapshot | Unopened) -> Found:
        """The dearest `num_candidates` that can still pay: a spent campaign leaves its place to the next. Spend and hides come from the
        events alone, so a restart or a second server knows them too."""
        place, spent_micros, left_out = self._able(wanted, store, store.position)
        ad_id, moment = self.catalog.ad_id[place], np.full(len(place), store.position)
        mine = store.read(USER_AD, pair(np.full(len(place), request.user_id), ad_id), moment)
        hides, seen = mine[:, _column(USER_AD.columns, "hide")], mine[:, _column(USER_AD.columns, "impression_24")]
        hide_rate = store.read(AD, ad_id, moment)[:, _column(AD.columns, "rate_hide_per_impression")]
        return Found(place, spent_micros, hides > 0, seen.astype(np.int64), hide_rate, left_out)

    def _able(self, wanted: Ints, store: FeatureStore, moment: int) -> tuple[Ints, Ints, Ints]:
        """-> those who can pay, what their campaigns have spent, and the dearer ones who cannot. Looks on, step by step, until `num_candidates`
        can or none is left: however many campaigns are spent, as many ads are scored."""
        most, spent, able = self.config.num_candidates, NOBODY, NOBODY
        budget = self.catalog.budget_micros[wanted]
        for first in range(0, len(wanted), 2 * most):
            campaign = self.catalog.campaign_id[wanted[first : first + 2 * most]]
            read = store.read(SPEND, campaign, np.full(len(campaign), moment))
            spent = np.append(spent, spent_of(read))
            able = np.flatnonzero(spent < budget[: len(spent)])[:most]
            if len(able) == most:
                break
        last = able[-1] if len(able) == most else len(spent)
        return wanted[able], spent[able], wanted[:last][spent[:last] >= budget[:last]]

    def _rows(self, request: Request, place: Ints, now: int, moment: int) -> Rows:
        """Every candidate as if in slot 0: the auction knows what a lower slot costs."""
        n = len(place)
        return Rows(
            user_id=np.broadcast_to(np.int64(request.user_id), n),  # read and coded once, for all of them
            ad_id=self.catalog.ad_id[place],
            event_time=np.full(n, now),
            moment=np.full(n, moment),
            label=np.full(n, np.nan),
            numbers={name: np.full(n, value) for name, value in {**request.numbers, "slot": 0.0}.items()},
            categories={name: np.broadcast_to(value, n) for name, value in request.categories.items()},
        )

    def _gaps(self, rows: Rows, inputs: Inputs | None, deadline: Deadline) -> tuple[int, int]:
        """Labels what the request did not say and what training never saw; -> how many of each."""
        missing, unknown = self.features.gaps(rows) if len(rows) else ([], [])
        if missing:
            deadline.degrade("context", f"missing: {', '.join(missing)}")
        if unknown:
            deadline.degrade("context", f"unknown value: {', '.join(unknown)}")
        if (
            inputs is not None
            and len(inputs)
            and np.isnan(inputs.numbers[0, _column(inputs.number_names, "user.last_impression_age")])
        ):
            deadline.degrade("user", "cold: this person was shown nothing within a week")
        if not len(rows) and not deadline.degraded:
            deadline.degrade("candidates", "no ad fits this request")
        return len(missing), len(unknown)

    def _score(self, inputs: Inputs | None, n: int, deadline: Deadline) -> Floats:
        """P(click in slot 0) by the best rung that answers in time: model, baseline, the share of training rows that were clicked."""
        rate = np.full(n, self.baseline.rate)
        if inputs is None or not n:
            return rate
        rungs = {"model": lambda: self.model.score(inputs), "baseline": lambda: self.baseline.score(inputs)}
        return ladder(self.stages, deadline, rungs, last=lambda: rate)[1]

    def _auction(self, request: Request, found: Found, probability: Floats) -> Decision:
        ads, place = self.catalog, found.place
        candidates = Candidates(
            ad_id=ads.ad_id[place],
            campaign_id=ads.campaign_id[place],
            advertiser_id=ads.advertiser_id[place],
            probability=probability,
            hide_probability=found.hide_probability,
            bid_micros=ads.bid_micros[place],
            cpm=self._cpm[place],
        )
        context = Context(
            budget_micros=ads.budget_micros[place],
            spent_micros=found.spent_micros,
            hidden=found.hidden,
            num_seen=found.num_seen,
        )
        return self.policy.decide(request, candidates, context)

    def _shown(self, found: Found, decision: Decision) -> list[ShownAd]:
        ads, place = self.catalog, found.place[decision.index]
        columns = {
            "ad_id": ads.ad_id[place],
            "campaign_id": ads.campaign_id[place],
            "advertiser_id": ads.advertiser_id[place],
            "topic_id": ads.topic_id[place],
            "slot": np.arange(len(place)),
            "probability": decision.probability,
            "pricing": np.where(self._cpm[place], "cpm", "cpc"),
            "bid_micros": ads.bid_micros[place],
            "price_micros": decision.price_micros,
            "charge_micros": decision.charge_micros,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [ShownAd(**dict(zip(columns, row, strict=True))) for row in rows]

    def _impressions(
        self,
        request: Request,
        request_id: int,
        ads: list[ShownAd],
        rows: Rows,
        gaps: tuple[int, int],
        deadline: Deadline,
    ) -> list[Event]:
        return [
            Event(
                event_id=f"impression-{request_id}-{ad.ad_id}",
                kind="impression",
                event_time=int(rows.event_time[0]),
                keys={"request_id": request_id, "user_id": request.user_id}
                | {name: getattr(ad, name) for name in SHOWN[2:]},
                values={
                    "slot": ad.slot,
                    "probability_ppm": round(1e6 * ad.probability),
                    "price_micros": ad.price_micros,
                    "charge_micros": ad.charge_micros,
                    "expected_micros": round(ad.probability * ad.price_micros),
                    "num_missing": gaps[0],
                    "num_unknown": gaps[1],
                    "degraded": int(any(stage in SHARES for stage in deadline.degraded)),
                },
                moment=int(rows.moment[0]),
            )
            for ad in ads
        ]


@dataclass(frozen=True)
class _Ads:
    """The service over the ads there are, and what it has taken in: all that changed since training, the last put last."""

    service: Service
    items: Mapping[int, Item | None]


def spent_of(spend: Floats) -> Ints:
    """[n, columns of SPEND] -> [n] micros that are owed, and what is still set aside. A click that comes when its own reservation has lapsed
    takes back some of another's, and never anything that is owed."""
    clicks, impressions, aside, back = spend.T.astype(np.int64)
    spent: Ints = clicks + impressions + np.maximum(aside - back, 0)
    return spent


def _column(columns: tuple[str, ...], name: str) -> int:
    """The place of a column by its full name or by what comes after the view's name."""
    return next(place for place, column in enumerate(columns) if name in (column, column.partition(".")[2]))
