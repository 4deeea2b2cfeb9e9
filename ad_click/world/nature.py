"""What is true of people and ads, and how likely a click, a hide and a conversion are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ad_click.config import Config
from ad_click.schema import Catalog
from ad_click.world.titles import appeal, titles
from common.contract import Bools, Floats, Ints
from common.errors import InputError, did_you_mean
from common.population import Population, normal, uniform

START = 1_736_121_600  # Monday 2025-01-06 00:00 UTC
DAY = 86_400
NUM_TOPICS = 16
ADS_PER_CAMPAIGN = 4
DEVICES = np.array(["desktop", "mobile", "tablet"])
FORMATS = np.array(["image", "text", "video"])
EXAMINED = np.array([1.0, 0.62, 0.41])  # share of people who look at slot 0, 1, 2

# The frozen strengths. Changing one changes every number of the case: docs/LOG.md holds the hash of what they make and the reasons.
INTERCEPT = -4.7
TASTE, PROPENSITY, MOOD, TREND = 0.75, 0.35, 0.3, 0.25
OF_CAMPAIGN, OF_WORDS, OF_AD = 0.22, 0.25, 0.28  # how good an ad is comes from all three
DEVICE_TOPIC, HOUR_TOPIC, AGE_TOPIC, FORMAT_DEVICE = 1.4, 0.6, 0.8, 0.4
DEVICE_SIGN = np.array([1.0, -1.0, 0.2])
FAST_DELAY, SLOW_DELAY = 300.0, 14 * 3600.0  # mean seconds of the two kinds of click
WEAKLY = 0.3
HIDE = 0.004
CONVERSION, CONVERSION_TASTE, CONVERSION_CAMPAIGN = -2.6, 0.5, 0.7
CONVERSION_DELAY = 5 * 3600.0  # mean seconds from click to conversion
BID, CPM_SHARE = 4e5, 0.25  # micros a click; share of campaigns that pay for impressions
BUDGET_CLICKS = 8.0  # median of what a campaign's 24 hours can pay for

DELAYS = {
    "mixture": "most clicks within minutes, some hours later; how many depends on the topic",
    "exponential": "one exponential delay a topic: what a delay model assumes",
    "mornings": "slow clicks wait for eight in the morning: no delay model knows",
}


@dataclass(frozen=True, eq=False)
class Truth:
    """Users and ads with what nobody can see of them. Users are functions of (seed, id), so any id has an answer."""

    config: Config
    population: Population
    catalog: Catalog
    quality: Floats  # [num_ads], latent, log-odds

    def click_probability(
        self, user_id: Ints, ad_id: Ints, event_time: Ints, slot: Ints, device: NDArray[np.str_]
    ) -> Floats:
        """[n] P(the ad is ever clicked | shown to this user at that time in that slot on that device)."""
        seed, topic = self.config.seed, self.catalog.topic_id[ad_id]
        users, of_user = np.unique(user_id, return_inverse=True)
        hours, of_hour = np.unique(event_time // 3600, return_inverse=True)
        mood = normal(seed, "ad_click.mood", user_id * 1_000_003 + event_time // 3600)[:, 0]
        logit = INTERCEPT + PROPENSITY * normal(seed, "ad_click.propensity", users)[of_user, 0]
        logit += TASTE * np.log1p(NUM_TOPICS * self.population.tastes(users))[of_user, topic]
        logit += self.quality[ad_id] + MOOD * mood
        logit += TREND * self.population.trend(hours * 3600, self.config.trend)[of_hour, topic]
        age, hour = self.population.age(users)[of_user], hours[of_hour] % 24
        logit += self.config.interaction * self._together(ad_id, age, hour, np.searchsorted(DEVICES, device))
        clicks: Floats = EXAMINED[np.minimum(slot, len(EXAMINED) - 1)] / (1 + np.exp(-logit))
        return clicks

    def _together(self, ad_id: Ints, age: Ints, hour: Ints, device_id: Ints) -> Floats:
        """[n] what no sum over single columns can say: topics liked on one device, at one hour, at one age, and formats on a device."""
        seed, topic = self.config.seed, self.catalog.topic_id[ad_id]
        format_id = np.searchsorted(FORMATS, self.catalog.categories["format"][ad_id])
        logit = DEVICE_TOPIC * DEVICE_SIGN[device_id] * _loading(seed, "device", topic)
        logit += HOUR_TOPIC * np.cos((hour - 20) * np.pi / 12) * _loading(seed, "hour", topic)
        logit += AGE_TOPIC * np.tanh((age - 35) / 8) * _loading(seed, "age", topic)
        logit += FORMAT_DEVICE * DEVICE_SIGN[device_id] * (1.0 - format_id)
        return logit

    def hide_probability(self, user_id: Ints, ad_id: Ints) -> Floats:
        """[n]: what one does not care for is hidden more often."""
        users, of_user = np.unique(user_id, return_inverse=True)
        interest: Floats = self.population.tastes(users)[of_user, self.catalog.topic_id[ad_id]]
        hides: Floats = HIDE * np.exp(-4 * interest)
        return hides

    def conversion_probability(self, user_id: Ints, ad_id: Ints) -> Floats:
        """[n] P(a conversion | a click): taste, and how good the campaign's own shop is, which says nothing about its ads."""
        users, of_user = np.unique(user_id, return_inverse=True)
        campaign = self.catalog.campaign_id[ad_id]
        logit = (
            CONVERSION
            + CONVERSION_TASTE
            * np.log1p(NUM_TOPICS * self.population.tastes(users))[of_user, self.catalog.topic_id[ad_id]]
        )
        logit += CONVERSION_CAMPAIGN * normal(self.config.seed, "ad_click.shop", campaign)[:, 0]
        conversions: Floats = 1 / (1 + np.exp(-logit))
        return conversions

    def click_delay(self, ad_id: Ints, event_time: Ints, rng: np.random.Generator) -> Ints:
        """[n] whole seconds, at least 1, from impression to click, as `config.delays` says."""
        kind, share = self.config.delays, self.slow_share(ad_id)
        if kind == "exponential":
            return _seconds(rng.exponential(share * SLOW_DELAY))
        slow = rng.random(len(ad_id)) < share
        delay = _seconds(rng.exponential(np.where(slow, SLOW_DELAY, FAST_DELAY)))
        morning = 8 * 3600 - event_time % DAY
        return np.where(slow, np.where(morning > 0, morning, morning + DAY), delay) if kind == "mornings" else delay

    def arrives_within(self, ad_id: Ints, event_time: Ints, seconds: int) -> Floats:
        """[n] P(delay <= seconds), of what `click_delay` draws from."""
        kind, share = self.config.delays, self.slow_share(ad_id)
        if kind == "exponential":
            return -np.expm1(-seconds / (share * SLOW_DELAY))
        slow: Floats = -np.expm1(-seconds / np.full(len(ad_id), SLOW_DELAY))
        if kind == "mornings":
            slow = ((8 * 3600 - event_time - 1) % DAY + 1 <= seconds).astype(np.float64)
        within: Floats = -(1 - share) * np.expm1(-seconds / FAST_DELAY) + share * slow
        return within

    def conversion_delay(self, ad_id: Ints, rng: np.random.Generator) -> Ints:
        """[n] whole seconds from click to conversion."""
        return _seconds(rng.exponential(CONVERSION_DELAY, len(ad_id)))

    def slow_share(self, ad_id: Ints) -> Floats:
        draw: Floats = uniform(self.config.seed, "ad_click.slow", self.catalog.topic_id[ad_id])[:, 0]
        return 0.1 + 0.4 * draw

    def devices_of(self, user_id: Ints, rng: np.random.Generator) -> NDArray[np.str_]:
        """[n] each person's usual device, and now and then another."""
        usual = uniform(self.config.seed, "ad_click.device", user_id)[:, 0]
        device = np.searchsorted([0.4, 0.9], usual)
        other = rng.integers(0, len(DEVICES), len(user_id))
        devices: NDArray[np.str_] = DEVICES[np.where(rng.random(len(user_id)) < 0.2, other, device)]
        return devices

    def joined(self, user_id: Ints) -> Ints:
        """[n] when a person first comes by; four in five were there before the log began."""
        late = uniform(self.config.seed, "ad_click.joined", user_id)[:, 0] * 5 - 4
        since: Ints = np.floor(np.maximum(late, 0) * self.config.days * DAY).astype(np.int64)
        return START + since

    def eligible(self, ad_id: Ints, age: Ints, country: Ints, event_time: Ints) -> Bools:
        """Whether the advertiser wants this person (arrays that broadcast against each other) and the ad has started."""
        ads = self.catalog
        target = ads.categories["target_country"][ad_id]
        wanted = (target == "") | (target == country_names(country))
        of_age = (ads.numbers["min_age"][ad_id] <= age) & (age <= ads.numbers["max_age"][ad_id])
        eligible: Bools = wanted & of_age & (ads.numbers["start_time"][ad_id] <= event_time)
        return eligible


@lru_cache(maxsize=4)
def plant(config: Config) -> Truth:
    """The truth alone, without a log: what `ceiling` and the simulated users need. An ad is a function of (seed, id) and of how many
    advertisers and days there are."""
    if config.delays not in DELAYS:
        raise InputError(f"delays={config.delays!r}. {did_you_mean(config.delays, DELAYS)}")
    seed, ad_id = config.seed, np.arange(config.num_ads)
    catalog = _catalog(config, ad_id)
    quality = OF_CAMPAIGN * normal(seed, "ad_click.campaign_quality", catalog.campaign_id)[:, 0]
    quality += OF_WORDS * appeal(seed, ad_id) + OF_AD * normal(seed, "ad_click.quality", ad_id)[:, 0]
    return Truth(config, Population(seed, NUM_TOPICS), catalog, quality)


def _catalog(config: Config, ad_id: Ints) -> Catalog:
    """Advertiser, topic, targeting, bid and budget belong to the campaign; words, format and first day to the ad."""
    seed, campaign = config.seed, ad_id // ADS_PER_CAMPAIGN
    of_campaign, of_ad = uniform(seed, "ad_click.campaign", campaign, 9), uniform(seed, "ad_click.ad", ad_id, 2)
    topic_id = np.floor(NUM_TOPICS * of_campaign[:, 0]).astype(np.int64)
    min_age = np.where(of_campaign[:, 1] < 0.3, 18 + 10 * np.floor(3 * of_campaign[:, 2]), 13)
    narrow = of_campaign[:, 3] < 0.15
    cpm = of_campaign[:, 4] < CPM_SHARE
    money = normal(seed, "ad_click.money", campaign, 2)
    a_click = BID * np.exp(0.6 * money[:, 0])
    bids = np.where(cpm, a_click * 20, a_click)  # for a thousand impressions, as if one in fifty were clicked
    return Catalog(
        ad_id=ad_id,
        campaign_id=campaign,
        advertiser_id=np.floor(config.num_advertisers * of_campaign[:, 5] ** 1.5).astype(np.int64),
        topic_id=topic_id,
        bid_micros=np.rint(bids).astype(np.int64),
        budget_micros=np.rint(a_click * BUDGET_CLICKS * np.exp(money[:, 1])).astype(np.int64),
        numbers={
            "start_time": START + np.floor(np.maximum(of_ad[:, 1] * 1.5 - 0.5, 0) * config.days * DAY),
            "min_age": min_age,
            "max_age": np.where(of_campaign[:, 6] < 0.2, min_age + 25, 120.0),
        },
        categories={
            "format": FORMATS[np.floor(3 * of_ad[:, 0]).astype(np.int64)],
            "pricing": np.where(cpm, "cpm", "cpc"),
            "subcategory": np.char.add(_text("t", topic_id), _text(".", np.floor(4 * of_campaign[:, 7]))),
            "target_country": np.where(narrow, country_names(np.floor(3 * of_campaign[:, 8])), ""),
            "title": titles(seed, ad_id, topic_id),
        },
    )


def country_names(country: Ints | Floats) -> NDArray[np.str_]:
    return _text("c", country)


def _text(prefix: str, number: Ints | Floats) -> NDArray[np.str_]:
    return np.char.add(prefix, number.astype(np.int64).astype(np.str_))


def _seconds(delay: Floats) -> Ints:
    whole: Ints = np.maximum(np.ceil(delay), 1).astype(np.int64)
    return whole


def _loading(seed: int, name: str, topic: Ints) -> Floats:
    """[n] how strongly a topic takes part in an interaction: between 0.7 and 1.3 for half of the topics, weakly the other way for the rest.
    Were both halves equal, neither column would say anything alone, and no greedy split would ever begin. The halves are the same for
    every seed, so that no seed is a world without interactions."""
    opposite = topic >> ("device", "hour", "age").index(name) & 1
    return np.where(opposite, -WEAKLY, 1.0) * (0.7 + 0.6 * uniform(seed, f"ad_click.{name}_topic", topic)[:, 0])
