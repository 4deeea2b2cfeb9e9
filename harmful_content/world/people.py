"""Authors: the platform's people, a few of whom break the rules again and again."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Floats, Ints
from common.population import DAY, Population, choice, normal, uniform
from harmful_content.config import Config

START = 1_736_121_600  # Monday 2025-01-06 00:00 UTC
NUM_TOPICS = 16
TRAIN, VALID = 0.7, 0.8  # of the days: where validation and test begin

# The frozen strengths. Changing one changes every number of the case.
OFFENDERS, OFFEND = (
    0.04,
    9.0,
)  # share of the authors; how many times the average share of their posts is harmful, up to MOST_HARM
MOST_HARM = 0.6
DIALECT = 0.2  # share of the speakers of the first language
NEWCOMERS = 0.25  # share of the authors who come with the test
NEWCOMER_POSTS = 0.5  # share of the test posts that are theirs
LANGUAGE = np.array([0, 0, 0, 0, 2, 1])  # of the platform's six; the others' speakers write in one of these three


def times(config: Config, post_id: Ints) -> Ints:
    """[n] when each post of the log was written: evenly over the days, more of them in the evening."""
    day = (np.arange(config.num_posts) + 0.5) / config.num_posts * config.days
    hour = np.arange(24 * 60) * 60
    of_day = np.cumsum(Population(config.seed).daily(hour))
    second = np.interp(day % 1, np.concatenate([[0], of_day / of_day[-1]]), np.append(hour, DAY))
    written: Ints = START + (np.floor(day) * DAY + second).astype(np.int64)
    return written[post_id]


def boundary(config: Config, share: float) -> int:
    """The second at which this share of the days is over."""
    return START + round(share * config.days * DAY)


def authors(config: Config, post_id: Ints, event_time: Ints) -> Ints:
    """[n] who writes. Before the test those who were always there; in it, half of the posts are of people nobody knows."""
    everybody = np.arange(config.num_users)
    activity = Population(config.seed).activity(everybody)
    new = is_newcomer(config, everybody)
    draw = uniform(config.seed, "harmful.author", post_id, 2)
    regular = everybody[~new][choice(draw[:, 0], activity[~new])]
    newcomer = everybody[new][choice(draw[:, 0], activity[new])]
    late = (event_time >= boundary(config, VALID)) & (draw[:, 1] < NEWCOMER_POSTS)
    return np.where(late, newcomer, regular)


def is_newcomer(config: Config, user_id: Ints) -> Bools:
    return np.asarray(uniform(config.seed, "harmful.newcomer", user_id)[:, 0] < NEWCOMERS)


def offends(config: Config, user_id: Ints) -> Floats:
    """[n] the share of this author's posts that is harmful; `harm_share` over all authors."""
    most = min(MOST_HARM, OFFEND * config.harm_share)
    rest = (config.harm_share - OFFENDERS * most) / (1 - OFFENDERS)
    return np.where(is_offender(config.seed, user_id), most, rest)


def is_offender(seed: int, user_id: Ints) -> Bools:
    return np.asarray(uniform(seed, "harmful.offender", user_id)[:, 0] < OFFENDERS)


def language(seed: int, user_id: Ints) -> Ints:
    """[n] place in LANGUAGES."""
    return LANGUAGE[Population(seed).language(user_id)]


def speaks_dialect(seed: int, user_id: Ints) -> Bools:
    drawn = uniform(seed, "harmful.dialect", user_id)[:, 0] < DIALECT
    return np.asarray(drawn & (language(seed, user_id) == 0))


def account_days(seed: int, user_id: Ints) -> Floats:
    """[n] age of the account, median 300 days; an offender's is younger, as accounts are closed and opened anew."""
    days = np.exp(np.log(300) + 1.0 * normal(seed, "harmful.account", user_id)[:, 0])
    aged: Floats = np.floor(np.where(is_offender(seed, user_id), days / 3, days))
    return aged


def followers(seed: int, user_id: Ints) -> Floats:
    """[n], heavy-tailed, median 80."""
    counted: Floats = np.floor(np.exp(np.log(80) + 1.3 * normal(seed, "harmful.followers", user_id)[:, 0]))
    return counted
