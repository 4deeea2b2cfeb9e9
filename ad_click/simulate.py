"""The platform's people, from outside: they ask for a page, look at its ads, click, hide, and tire.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its request and how it will react to an answer.
Choice: clicks by the planted truth for whatever ad is shown, so a new policy meets people who react to it.
Else:   a replay of the log, which knows nothing of ads it did not show.
Breaks: people tire of an ad they have seen, which no log showed: predictions run high for repeats, and the monitor sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ad_click.config import Config
from ad_click.schema import SHOWN, Answer, Request
from common.contract import Event, Floats
from common.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ad_click.world import Truth

DRIFTS: Mapping[str, str] = {
    "none": "people go on as in the log",
    "taste_shift": "everyone's device habits turn around: what was clicked on the phone is now clicked at the desk",
    "clicks_lost": "two clicks in three never arrive: the tracking is broken",
    "device_missing": "the page no longer says which device it is on",
    "new_country": "people come from countries the log never showed",
}
TIRES = 0.97  # P(click) is multiplied by this for each time this person saw this ad before
HIDE_DELAY = 5  # seconds until an annoyed person hides an ad
COLD = 0.03  # share of visits by people who never came before
DAY = 86_400


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many a day as the log had, day by day, from `since` up to but without `until` (seconds UTC)."""
    from ad_click import world

    if config.drift not in DRIFTS:
        raise InputError(f"drift={config.drift!r}. {did_you_mean(config.drift, DRIFTS)}")
    truth, seen = world.plant(config), Counter[tuple[int, int]]()
    activity = truth.population.activity(np.arange(config.num_users))
    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        num_visits = rng.poisson(config.num_impressions / len(world.EXAMINED) / config.days * stretch / DAY)
        cold = rng.random(num_visits) < COLD
        usual = rng.choice(config.num_users, num_visits, p=activity / activity.sum())
        users = np.where(cold, config.num_users + rng.integers(0, 10**6, num_visits), usual)
        times = np.sort(start + rng.integers(0, stretch, num_visits))
        devices = truth.devices_of(users, rng)
        for user_id, time, device, seed in zip(
            users.tolist(), times.tolist(), devices.tolist(), rng.integers(0, 2**62, num_visits).tolist(), strict=True
        ):
            yield Visit(time, user_id, device, seed, config, truth, seen)


@dataclass(frozen=True)
class Visit:
    """One person, one page. `seed` decides everything that chance decides; `seen` is what everybody has seen so far."""

    event_time: int
    user_id: int
    device: str
    seed: int
    config: Config
    truth: Truth
    seen: Counter[tuple[int, int]]

    def request(self) -> Request:
        country, drift = f"c{self._person[1]}", self.config.drift
        categories = {"country": country if drift != "new_country" else f"x{country}", "device": self.device}
        if drift == "device_missing":
            del categories["device"]
        return Request(
            user_id=self.user_id,
            num_slots=self.config.num_slots,
            numbers={"age": float(self._person[0])},
            categories=categories,
        )

    def react(self, answer: Answer) -> list[Event]:
        """Clicks, hides and conversions of the ads shown; a click comes seconds or hours later, a conversion hours after it."""
        if not answer.ads:
            return []
        rng = np.random.default_rng(self.seed)
        ad_id = np.array([ad.ad_id for ad in answer.ads])
        users, times = np.full(len(ad_id), self.user_id), np.full(len(ad_id), self.event_time)
        clicked = rng.random(len(ad_id)) < self._click_probability(answer)
        hidden = rng.random(len(ad_id)) < self.truth.hide_probability(users, ad_id)
        converted = clicked & (rng.random(len(ad_id)) < self.truth.conversion_probability(users, ad_id))
        delay = self.truth.click_delay(ad_id, times, rng)
        later = delay + self.truth.conversion_delay(ad_id, rng)
        for ad in ad_id.tolist():
            self.seen[self.user_id, ad] += 1
        happened = {
            "click": (clicked, delay),
            "hide": (hidden, np.full(len(ad_id), HIDE_DELAY)),
            "conversion": (converted, later),
        }
        return [
            self._event(kind, answer.request_id, int(ad_id[place]), int(after[place]))
            for kind, (which, after) in happened.items()
            for place in np.flatnonzero(which)
        ]  # fmt: skip

    @cached_property
    def _person(self) -> tuple[int, int]:
        """Age and country."""
        one, people = np.array([self.user_id]), self.truth.population
        return int(people.age(one)[0]), int(people.country(one)[0])

    def _click_probability(self, answer: Answer) -> Floats:
        drift, n = self.config.drift, len(answer.ads)
        other = {"desktop": "mobile", "mobile": "desktop"} if drift == "taste_shift" else {}
        ad_id, slot = np.array([ad.ad_id for ad in answer.ads]), np.array([ad.slot for ad in answer.ads])
        tired = TIRES ** np.array([self.seen[self.user_id, ad] for ad in ad_id.tolist()])
        users, times = np.full(n, self.user_id), np.full(n, self.event_time)
        clicks = self.truth.click_probability(
            users, ad_id, times, slot, np.full(n, other.get(self.device, self.device))
        )
        return clicks * tired / (3 if drift == "clicks_lost" else 1)

    def _event(self, kind: str, request_id: int, ad_id: int, delay: int) -> Event:
        """The server joins the rest from the impression it logged."""
        return Event(
            event_id=f"{kind}-{request_id}-{ad_id}",
            kind=kind,
            event_time=self.event_time + delay,
            keys=dict(zip(SHOWN, (request_id, self.user_id, ad_id), strict=False)),
        )
