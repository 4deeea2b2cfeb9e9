"""The log: whom the old auction showed which ads, and what they did, hour by hour, because a budget spent at noon is spent in the evening.

The old auction is imperfect on purpose: it knows bids, a noisy idea of each ad's quality and a coarse idea of taste; it charges the full
bid; it looks at POOL ads a request and leaves out campaigns whose last 24 hours are spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ad_click.world.nature import DAY, EXAMINED, START, Truth
from common.contract import Bools, Floats, Ints
from common.population import normal

SESSION = 2.25  # requests a session leaves on average: one to four, a tenth of them by people who had not joined yet
POOL = 24  # ads the incumbent looks at for one request
HOUR = 3600


@dataclass(frozen=True)
class Impressions:
    """What was shown and what came of it, [n] each, by request and slot. Times are -1 where nothing happened; price_micros is owed for a
    click, charge_micros for the impression itself."""

    request_id: Ints
    user_id: Ints
    ad_id: Ints
    slot: Ints
    event_time: Ints
    device: NDArray[np.str_]
    probability_ppm: Ints
    price_micros: Ints
    charge_micros: Ints
    click_time: Ints
    hide_time: Ints
    conversion_time: Ints


def simulate(truth: Truth) -> Impressions:
    """Plays the incumbent for `days` days. Same config, same bytes."""
    rng = np.random.default_rng([truth.config.seed, 1])
    user_id, event_time = _requests(truth, rng)
    device = truth.devices_of(user_id, rng)
    noisy = truth.quality / 0.45 + normal(truth.config.seed, "ad_click.incumbent", truth.catalog.ad_id)[:, 0]
    hours = (event_time - START) // HOUR
    edges = np.searchsorted(hours, np.arange(truth.config.days * 24 + 1))
    num_campaigns = int(truth.catalog.campaign_id.max()) + 1
    spent = np.zeros((truth.config.days * 24 + 1, num_campaigns))  # by the hour in which the money was owed
    stretches = []
    for hour, (first, last) in enumerate(pairwise(edges.tolist())):
        left_out = spent[max(0, hour - 24) : hour].sum(axis=0) >= _budgets(truth, num_campaigns)
        block = slice(first, last)
        ad_id, estimate = _incumbent(truth, noisy, user_id[block], event_time[block], left_out, rng)
        stretch = _react(truth, user_id[block], event_time[block], device[block], ad_id, estimate, rng)
        _charge(spent, truth, stretch)
        stretches.append(stretch | {"request_id": first + stretch["request_id"]})
    columns = {name: np.concatenate([stretch[name] for stretch in stretches]) for name in stretches[0]}
    return Impressions(**columns)


def _react(
    truth: Truth,
    user_id: Ints,
    event_time: Ints,
    device: NDArray[np.str_],
    ads: Ints,
    estimate: Floats,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    """One hour: what was shown, row by row, and what came of it."""
    num_slots = ads.shape[1]
    request, slot = np.repeat(np.arange(len(user_id)), num_slots), np.tile(np.arange(num_slots), len(user_id))
    user, ad, time, on = user_id[request], ads.ravel(), event_time[request], device[request]
    clicked = rng.random(len(ad)) < truth.click_probability(user, ad, time, slot, on)
    hidden = rng.random(len(ad)) < truth.hide_probability(user, ad)
    converted = clicked & (rng.random(len(ad)) < truth.conversion_probability(user, ad))
    click_time = np.where(clicked, time + truth.click_delay(ad, time, rng), -1)
    bid, cpm = truth.catalog.bid_micros[ad], truth.catalog.categories["pricing"][ad] == "cpm"
    return {
        "request_id": request,
        "user_id": user,
        "ad_id": ad,
        "slot": slot,
        "event_time": time,
        "device": on,
        "probability_ppm": np.rint(1e6 * estimate.ravel()).astype(np.int64),
        "price_micros": np.where(cpm, 0, bid),
        "charge_micros": np.where(cpm, bid // 1000, 0),
        "click_time": click_time,
        "hide_time": np.where(hidden, time + rng.integers(1, 60, len(ad)), -1),
        "conversion_time": np.where(converted, click_time + truth.conversion_delay(ad, rng), -1),
    }


def _charge(spent: Floats, truth: Truth, stretch: dict[str, NDArray[np.generic]]) -> None:
    """Adds what this hour's impressions cost, and their clicks in the hour in which they come."""
    columns = {name: column for name, column in stretch.items() if name != "device"}
    campaign = truth.catalog.campaign_id[columns["ad_id"]]
    for time, money in (("event_time", "charge_micros"), ("click_time", "price_micros")):
        hour = (columns[time].astype(np.int64) - START) // HOUR
        there = (hour >= 0) & (hour < len(spent))
        np.add.at(spent, (hour[there], campaign[there]), columns[money][there].astype(np.float64))


def _budgets(truth: Truth, num_campaigns: int) -> Floats:
    budget = np.zeros(num_campaigns)
    budget[truth.catalog.campaign_id] = truth.catalog.budget_micros
    return budget


def _requests(truth: Truth, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """user_id and event_time of every request, in order of time: people come in sessions of one to four requests."""
    config = truth.config
    num_requests = -(-config.num_impressions // len(EXAMINED))
    users = np.arange(config.num_users)
    activity = truth.population.activity(users)
    user_id = rng.choice(users, size=round(num_requests / SESSION), p=activity / activity.sum())
    hours = START + HOUR * np.arange(config.days * 24)
    daily = truth.population.daily(hours)
    event_time = rng.choice(hours, size=len(user_id), p=daily / daily.sum()) + rng.integers(0, HOUR, len(user_id))
    length = rng.integers(1, 5, len(user_id))
    step = np.concatenate([np.arange(n) for n in range(1, 5)])  # steps of a session of each length, one after the other
    start = np.array([0, 0, 1, 3, 6])[length]
    session = np.repeat(np.arange(len(user_id)), length)
    within = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    when = event_time[session] + 70 * step[start[session] + within]
    there = (when >= truth.joined(user_id)[session]) & (when < START + config.days * DAY)
    order = np.argsort(when[there], kind="stable")
    return user_id[session][there][order], when[there][order]


def _incumbent(
    truth: Truth, noisy: Floats, user_id: Ints, event_time: Ints, left_out: Bools, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """[num_requests, num_slots] ads and click estimates of the policy that wrote the log."""
    ads = truth.catalog
    users, of_user = np.unique(user_id, return_inverse=True)
    pool = rng.integers(0, len(ads), (len(user_id), POOL))
    taste = truth.population.tastes(users)[of_user[:, None], ads.topic_id[pool]]
    age, country = truth.population.age(users)[of_user], truth.population.country(users)[of_user]
    wanted = truth.eligible(pool, age[:, None], country[:, None], event_time[:, None])
    wanted &= ~left_out[ads.campaign_id[pool]]
    estimate = 0.02 * np.exp(0.25 * noisy[pool] + 1.5 * taste)
    value = np.where(ads.categories["pricing"][pool] == "cpm", 1e-3, estimate) * ads.bid_micros[pool]
    score = np.log(value) + rng.gumbel(0, 0.5, pool.shape)
    score = np.where(_first(pool), score, -np.inf) - np.where(wanted, 0, 1e3)
    best = np.argsort(-score, axis=1, kind="stable")[:, : len(EXAMINED)]
    return np.take_along_axis(pool, best, axis=1), np.take_along_axis(estimate, best, axis=1)


def _first(pool: Ints) -> Bools:
    """True where an ad stands for the first time in its row of the pool."""
    order = np.argsort(pool, axis=1, kind="stable")
    ordered = np.take_along_axis(pool, order, axis=1)
    first = np.ones(pool.shape, dtype=bool)
    np.put_along_axis(first, order, np.diff(ordered, axis=1, prepend=-1) != 0, axis=1)
    return first
