"""The planted truth: how these users really react to an ad, and the log an imperfect incumbent left behind.

In:     a Config (seed, sizes, days).
Out:    make(config) -> World (the tables a platform would have), ceiling(config) -> the truth as a Scorer over Rows.
Choice: a logit with rank-one interactions (device x topic, hour x topic, age x topic), so one-hot logistic regression is wrong and
        trees can be right; latent taste, quality and mood, so that nobody can be perfect.
Else:   replaying a public log: real, but without a truth to be compared with and without users who react to a new policy.
Breaks: a feature equal to a latent variable (tests/ad_click/test_world.py), a model that beats the ceiling (a leak).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ad_click.config import Config
from ad_click.schema import Catalog, Rows
from common.contract import Bools, Floats, Ints
from common.population import Population, normal, uniform

START = 1_736_121_600  # Monday 2025-01-06 00:00 UTC
DAY = 86_400
NUM_TOPICS = 16
DEVICES = np.array(["desktop", "mobile", "tablet"])
FORMATS = np.array(["image", "text", "video"])
EXAMINED = np.array([1.0, 0.62, 0.41])  # share of people who look at slot 0, 1, 2

# The frozen strengths. Changing one changes every number of the case: docs/LOG.md holds their hash and the reasons (test_world.py).
INTERCEPT = -5.0
TASTE, PROPENSITY, QUALITY, MOOD, TREND = 0.75, 0.35, 0.45, 0.3, 1.0
DEVICE_TOPIC, HOUR_TOPIC, AGE_TOPIC, FORMAT_DEVICE = 1.4, 0.6, 0.8, 0.4
FAST_DELAY, SLOW_DELAY = 300.0, 14 * 3600.0  # mean seconds of the two kinds of click
HIDE = 0.004
SESSION = 2.25  # requests a session leaves on average: one to four, a tenth of them by people who had not joined yet
POOL = 24  # ads the incumbent looks at for one request


@dataclass(frozen=True)
class Impressions:
    """What was shown and what came of it, [n] each, by request and slot. click_time and hide_time are -1 where nothing happened."""

    request_id: Ints
    user_id: Ints
    ad_id: Ints
    slot: Ints
    event_time: Ints
    device: NDArray[np.str_]
    probability_ppm: Ints
    price_micros: Ints
    click_time: Ints
    hide_time: Ints


@dataclass(frozen=True, eq=False)
class World:
    truth: Truth
    impressions: Impressions

    @property
    def catalog(self) -> Catalog:
        return self.truth.catalog

    @property
    def end(self) -> int:
        return START + self.truth.days * DAY


def make(config: Config) -> World:
    """The truth and `num_impressions` (about) logged by the incumbent over `days`; kept, because data, judgments and experiments over the
    model's knobs all look at the same one. Same config, same bytes."""
    ads = (config.num_ads, config.num_advertisers)
    return _make(config.seed, config.num_users, *ads, config.num_impressions, config.days)


@lru_cache(maxsize=2)
def _make(seed: int, num_users: int, num_ads: int, num_advertisers: int, num_impressions: int, days: int) -> World:
    rng = np.random.default_rng([seed, 1])
    truth = _plant(seed, num_ads, num_advertisers, days)
    user_id, event_time = _requests(truth, num_users, num_impressions, rng)
    device = truth.devices_of(user_id, rng)
    ad_id, estimate = _incumbent(truth, user_id, event_time, rng)
    num_slots = ad_id.shape[1]
    request = np.repeat(np.arange(len(user_id)), num_slots)
    shown = ad_id.ravel()
    context = (user_id[request], shown, event_time[request], np.tile(np.arange(num_slots), len(user_id)))
    clicked = rng.random(len(shown)) < truth.click_probability(*context, device[request])
    hidden = rng.random(len(shown)) < truth.hide_probability(context[0], shown)
    delay = truth.click_delay(shown, rng)
    impressions = Impressions(
        request_id=request,
        user_id=context[0],
        ad_id=shown,
        slot=context[3],
        event_time=context[2],
        device=device[request],
        probability_ppm=np.rint(1e6 * estimate.ravel()).astype(np.int64),
        price_micros=truth.catalog.bid_micros[shown],  # the incumbent charged the full bid
        click_time=np.where(clicked, context[2] + delay, -1),
        hide_time=np.where(hidden, context[2] + rng.integers(1, 60, len(shown)), -1),
    )
    return World(truth, impressions)


def ceiling(config: Config) -> Ceiling:
    """The truth as a scorer: P(click within the window) of any Rows. It knows tastes and moods no model can observe."""
    return Ceiling(plant(config), config.click_window_hours * 3600)


@dataclass(frozen=True)
class Ceiling:
    truth: Truth
    window: int  # seconds

    def score(self, rows: Rows) -> Floats:
        slot = rows.numbers["slot"].astype(np.int64)
        truth = self.truth
        clicks = truth.click_probability(rows.user_id, rows.ad_id, rows.event_time, slot, rows.categories["device"])
        clicks *= truth.arrives_within(rows.ad_id, self.window)
        return clicks


@dataclass(frozen=True, eq=False)
class Truth:
    """Users and ads with what nobody can see of them. Users are functions of (seed, id), so any id has an answer."""

    seed: int
    days: int  # of the log
    population: Population
    catalog: Catalog
    quality: Floats  # [num_ads], latent

    def click_probability(
        self, user_id: Ints, ad_id: Ints, event_time: Ints, slot: Ints, device: NDArray[np.str_]
    ) -> Floats:
        """[n] P(the ad is ever clicked | shown to this user at that time in that slot on that device)."""
        seed, topic = self.seed, self.catalog.topic_id[ad_id]
        users, of_user = np.unique(user_id, return_inverse=True)
        device_id = np.searchsorted(DEVICES, device)
        format_id = np.searchsorted(FORMATS, self.catalog.categories["format"][ad_id])
        hours, of_hour = np.unique(event_time // 3600, return_inverse=True)
        mood = normal(seed, "ad_click.mood", user_id * 1_000_003 + event_time // 3600)[:, 0]
        logit = INTERCEPT + PROPENSITY * normal(seed, "ad_click.propensity", users)[of_user, 0]
        logit += TASTE * np.log1p(NUM_TOPICS * self.population.tastes(users))[of_user, topic]
        logit += QUALITY * self.quality[ad_id] + MOOD * mood
        logit += TREND * self.population.trend(hours * 3600)[of_hour, topic]
        logit += DEVICE_TOPIC * DEVICE_SIGN[device_id] * _loading(seed, "device", topic)
        logit += HOUR_TOPIC * np.cos((hours[of_hour] % 24 - 20) * np.pi / 12) * _loading(seed, "hour", topic)
        logit += AGE_TOPIC * np.tanh((self.population.age(users)[of_user] - 35) / 8) * _loading(seed, "age", topic)
        logit += FORMAT_DEVICE * DEVICE_SIGN[device_id] * (1.0 - format_id)
        clicks: Floats = EXAMINED[np.minimum(slot, len(EXAMINED) - 1)] / (1 + np.exp(-logit))
        return clicks

    def hide_probability(self, user_id: Ints, ad_id: Ints) -> Floats:
        """[n]: what one does not care for is hidden more often."""
        users, of_user = np.unique(user_id, return_inverse=True)
        interest: Floats = self.population.tastes(users)[of_user, self.catalog.topic_id[ad_id]]
        hides: Floats = HIDE * np.exp(-4 * interest)
        return hides

    def click_delay(self, ad_id: Ints, rng: np.random.Generator) -> Ints:
        """[n] seconds from impression to click: at once, or after thinking it over, which some topics ask for more often."""
        slow = rng.random(len(ad_id)) < self.slow_share(ad_id)
        delay: Ints = np.ceil(rng.exponential(np.where(slow, SLOW_DELAY, FAST_DELAY))).astype(np.int64)
        return delay

    def slow_share(self, ad_id: Ints) -> Floats:
        draw: Floats = uniform(self.seed, "ad_click.slow", self.catalog.topic_id[ad_id])[:, 0]
        return 0.1 + 0.4 * draw

    def arrives_within(self, ad_id: Ints, seconds: int) -> Floats:
        """[n] P(delay <= seconds), of the mixture `click_delay` draws from (whole seconds, at least 1)."""
        slow = self.slow_share(ad_id)
        late: Floats = (1 - slow) * np.exp(-seconds / FAST_DELAY) + slow * np.exp(-seconds / SLOW_DELAY)
        return 1 - late

    def devices_of(self, user_id: Ints, rng: np.random.Generator) -> NDArray[np.str_]:
        """[n] each person's usual device, and now and then another."""
        usual = uniform(self.seed, "ad_click.device", user_id)[:, 0]
        device = np.searchsorted([0.4, 0.9], usual)
        other = rng.integers(0, len(DEVICES), len(user_id))
        devices: NDArray[np.str_] = DEVICES[np.where(rng.random(len(user_id)) < 0.2, other, device)]
        return devices

    def joined(self, user_id: Ints) -> Ints:
        """[n] when a person first comes by; four in five were there before the log began."""
        late = uniform(self.seed, "ad_click.joined", user_id)[:, 0] * 5 - 4
        since: Ints = np.floor(np.maximum(late, 0) * self.days * DAY).astype(np.int64)
        return START + since

    def eligible(self, ad_id: Ints, age: Ints, country: Ints, event_time: Ints) -> Bools:
        """Whether the advertiser wants this person (arrays that broadcast against each other) and the ad has started."""
        ads = self.catalog
        target = ads.categories["target_country"][ad_id]
        wanted = (target == "") | (target == country_names(country))
        of_age = (ads.numbers["min_age"][ad_id] <= age) & (age <= ads.numbers["max_age"][ad_id])
        eligible: Bools = wanted & of_age & (ads.numbers["start_time"][ad_id] <= event_time)
        return eligible


DEVICE_SIGN = np.array([1.0, -1.0, 0.2])


def plant(config: Config) -> Truth:
    """The truth alone, without a log: what `ceiling` and the simulated users need. An ad is a function of (seed, id) and of how many
    advertisers there are."""
    return _plant(config.seed, config.num_ads, config.num_advertisers, config.days)


@lru_cache(maxsize=2)
def _plant(seed: int, num_ads: int, num_advertisers: int, days: int) -> Truth:
    ids = np.arange(num_ads)
    draw = uniform(seed, "ad_click.ad", ids, 10)
    bids = np.exp(np.log(4e5) + 0.6 * normal(seed, "ad_click.bid", ids)[:, 0])
    narrow = draw[:, 4] < 0.15
    min_age = np.where(draw[:, 5] < 0.3, 18 + 10 * np.floor(3 * draw[:, 6]), 13)
    started = START + np.floor(np.maximum(draw[:, 3] * 1.5 - 0.5, 0) * days * DAY)
    catalog = Catalog(
        ad_id=ids,
        advertiser_id=np.floor(num_advertisers * draw[:, 0] ** 1.5).astype(np.int64),
        topic_id=np.floor(NUM_TOPICS * draw[:, 1]).astype(np.int64),
        bid_micros=np.rint(bids).astype(np.int64),
        budget_micros=np.rint(bids * (5 + 20 / (draw[:, 7] + 0.05))).astype(np.int64),
        numbers={
            "start_time": started,
            "min_age": min_age,
            "max_age": np.where(draw[:, 8] < 0.2, min_age + 25, 120.0),
        },
        categories={
            "format": FORMATS[np.floor(3 * draw[:, 2]).astype(np.int64)],
            "target_country": np.where(narrow, country_names(np.floor(3 * draw[:, 9]).astype(np.int64)), ""),
        },
    )
    return Truth(seed, days, Population(seed, NUM_TOPICS), catalog, normal(seed, "ad_click.quality", ids)[:, 0])


def country_names(country: Ints) -> NDArray[np.str_]:
    return np.char.add("c", country.astype(np.str_))


def _loading(seed: int, name: str, topic: Ints) -> Floats:
    """[n] how strongly a topic takes part in an interaction: between 0.7 and 1.3 for half of the topics, the opposite for the others.
    The halves are the same for every seed, so that no seed is a world without interactions."""
    opposite = topic >> ("device", "hour", "age").index(name) & 1
    return (1.0 - 2.0 * opposite) * (0.7 + 0.6 * uniform(seed, f"ad_click.{name}_topic", topic)[:, 0])


def _requests(truth: Truth, num_users: int, num_impressions: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """user_id and event_time of every request, in order of time: people come in sessions of one to four requests."""
    num_requests = -(-num_impressions // len(EXAMINED))
    users = np.arange(num_users)
    activity = truth.population.activity(users)
    user_id = rng.choice(users, size=round(num_requests / SESSION), p=activity / activity.sum())
    hours = START + 3600 * np.arange(truth.days * 24)
    daily = truth.population.daily(hours)
    event_time = rng.choice(hours, size=len(user_id), p=daily / daily.sum()) + rng.integers(0, 3600, len(user_id))
    length = rng.integers(1, 5, len(user_id))
    step = np.concatenate([np.arange(n) for n in range(1, 5)])  # steps of a session of each length, one after the other
    start = np.array([0, 0, 1, 3, 6])[length]
    session = np.repeat(np.arange(len(user_id)), length)
    within = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    when = event_time[session] + 70 * step[start[session] + within]
    there = (when >= truth.joined(user_id)[session]) & (when < START + truth.days * DAY)
    order = np.argsort(when[there], kind="stable")
    return user_id[session][there][order], when[there][order]


def _incumbent(truth: Truth, user_id: Ints, event_time: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """[num_requests, num_slots] ads and click estimates of the policy that wrote the log: bid, a noisy idea of each ad's quality and
    a coarse idea of taste, among the POOL ads that came up."""
    ads, seed, num_slots = truth.catalog, truth.seed, len(EXAMINED)
    noisy = 0.6 * truth.quality + 0.6 * normal(seed, "ad_click.incumbent", ads.ad_id)[:, 0]
    chosen, estimates = [], []
    for block in np.array_split(np.arange(len(user_id)), max(1, len(user_id) // 50_000)):
        users, of_user = np.unique(user_id[block], return_inverse=True)
        pool = rng.integers(0, len(ads), (len(block), POOL))
        taste = truth.population.tastes(users)[of_user[:, None], ads.topic_id[pool]]
        wanted = truth.eligible(
            pool,
            truth.population.age(users)[of_user][:, None],
            truth.population.country(users)[of_user][:, None],
            event_time[block][:, None],
        )
        estimate = 0.02 * np.exp(0.4 * noisy[pool] + 1.5 * taste)
        score = np.log(estimate * ads.bid_micros[pool]) + rng.gumbel(0, 0.5, pool.shape)
        score = np.where(_first(pool), score, -np.inf) - np.where(wanted, 0, 1e3)
        best = np.argsort(-score, axis=1, kind="stable")[:, :num_slots]
        chosen.append(np.take_along_axis(pool, best, axis=1))
        estimates.append(np.take_along_axis(estimate, best, axis=1))
    return np.concatenate(chosen), np.concatenate(estimates)


def _first(pool: Ints) -> Bools:
    """True where an ad stands for the first time in its row of the pool."""
    order = np.argsort(pool, axis=1, kind="stable")
    ordered = np.take_along_axis(pool, order, axis=1)
    first = np.ones(pool.shape, dtype=bool)
    np.put_along_axis(first, order, np.diff(ordered, axis=1, prepend=-1) != 0, axis=1)
    return first
