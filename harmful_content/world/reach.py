"""What happens to a post in its first two days: who sees it, likes it, shares it, comments on it, objects and reports; and what the incumbent did.

Reports are noisy (some name another policy), late (they come with the views), biased (friendly words of a dialect are reported by those who do
not speak it) and sometimes a campaign (a crowd reports a harmless post). None of it knows more than the chances: the draw of the panel moves
nobody but the reviewers, who come after the last look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints
from common.population import normal, uniform
from harmful_content.config import Config
from harmful_content.schema import POLICIES
from harmful_content.world import people
from harmful_content.world.lexicon import TERMS
from harmful_content.world.posts import FRIENDLY, PLAIN, STRUCK, TWIN, Posts, truth

HOUR = 3600
TICKS = np.array([1, 4, 12, 48]) * HOUR  # after a post was written: when its reactions are counted
OF_VIEWS = np.array([0.25, 0.3, 0.3, 0.15])  # of all views, by each count
LOOK_AGAIN, AGAIN_SHARE = 2 * HOUR, 0.25  # of the posts: judged once more, when the first reactions are known

# The frozen strengths. Changing one changes every number of the case.
VIEWS, OF_FOLLOWERS, SPREAD = (
    2.2,
    0.35,
    0.9,
)  # log of the expected views: middle, slope in log followers, standard deviation
LIKES, SHARES_RATE, COMMENTS = 0.06, 0.012, 0.025  # a view
HARM_LIKES, HARM_SHARES = -0.5, 1.0  # what harm does to them, in logs
OBJECTS, OBJECTS_TO_HARM = 0.05, 0.4  # of the comments
REPORTS, STRAY_REPORTS = 0.05, 0.0006  # a view, of what is surely harmful; of anything
OTHER_POLICY = 0.15  # of the reports name a policy by chance
SEEN_IN_FRIENDLY, SEEN_IN_TWIN = 0.3, 0.12  # how harmful it looks to those who report
BOMBED, BOMB = 0.004, 10.0  # share of the plain posts that a campaign reports; reports of it in the first hour
KEYWORDS = 3  # of each policy's terms are on the incumbent's list, in the first language only
ENOUGH = 3  # reports that send a post to review
REVIEWED = 0.7  # of what is sent
REVIEW_DELAY = np.array([3, 8]) * HOUR  # least, most
REVIEW_ERROR, FRIENDLY_ERROR = 0.05, 0.3  # of a reviewer; with friendly words in a dialect that is not theirs
MISSED_BY_HAND, FOUND_BY_HAND = 0.04, 0.002  # errors of the careful labels: of a violation, of none


@dataclass(frozen=True)
class Tick:
    """One count, [n] each; reports [n, num_policies]."""

    views: Ints
    likes: Ints
    shares: Ints
    comments: Ints
    objections: Ints
    reports: Ints


@dataclass(frozen=True)
class History:
    """What the platform knows of its posts, by place in Posts. Times are -1 where nothing happened."""

    look: Ints  # [n] when it was judged
    demoted: Bools  # [n] by the list of keywords
    ticks: tuple[Tick, ...]  # one for each of TICKS
    review_time: Ints  # [n]
    review_policy: Ints  # [n]
    upheld: Bools  # [n]
    hand_label: Floats  # [n, num_policies], NaN where nobody looked with care


def history(config: Config, made: Posts) -> History:
    """Plays the incumbent. Keywords demote and send to review at once, reports do when there are enough; what a reviewer upholds is gone."""
    rng = np.random.default_rng([config.seed, 11])
    happened, panel = truth(config, made), np.arange(len(made))
    expected, demoted = expected_views(config, made), has_keyword(made)
    review_time, review_policy = np.full(len(made), -1), made.policy.copy()
    sent, upheld, reports = demoted.copy(), np.zeros(len(made), bool), np.zeros((len(made), len(POLICIES)), np.int64)
    ticks = []
    for place, after in enumerate(TICKS.tolist()):
        new = (sent | (reports.sum(axis=1) >= ENOUGH)) & (review_time < 0)
        new &= uniform(config.seed, "harmful.reviewed", made.post_id)[:, 0] < REVIEWED
        begins = made.written + (TICKS[place - 1] if place else 0)
        wait = rng.integers(REVIEW_DELAY[0], REVIEW_DELAY[1], len(made))
        review_policy = np.where(new & (reports.sum(axis=1) > 0), reports.argmax(axis=1), review_policy)
        wrong = rng.random(len(made)) < np.where(made.form == FRIENDLY, FRIENDLY_ERROR, REVIEW_ERROR)
        violates = happened[panel, review_policy] > 0
        upheld = np.where(new, violates ^ wrong, upheld)
        review_time = np.where(new, begins + wait, review_time)
        gone = upheld & (review_time >= 0) & (review_time <= made.written + after)
        ticks.append(tick(config, made, expected * np.where(gone, 0.0, np.where(demoted, 0.5, 1.0)), place, rng))
        reports = reports + ticks[-1].reports
    again = uniform(config.seed, "harmful.look", made.post_id)[:, 0] < AGAIN_SHARE
    return History(
        look=made.written + np.where(again, LOOK_AGAIN, 0),
        demoted=demoted,
        ticks=tuple(ticks),
        review_time=review_time,
        review_policy=review_policy,
        upheld=upheld,
        hand_label=_by_hand(config, made, happened),
    )


def expected_views(config: Config, made: Posts) -> Floats:
    """[n] if nobody acts on it: a heavy tail of fame and luck."""
    fame = np.log1p(people.followers(config.seed, made.user_id))
    luck = normal(config.seed, "harmful.luck", made.post_id)[:, 0]
    expected: Floats = np.exp(VIEWS + OF_FOLLOWERS * fame + SPREAD * luck)
    return expected


def tick(config: Config, made: Posts, expected: Floats, place: int, rng: np.random.Generator) -> Tick:
    """The count at TICKS[place] of posts whose views would be `expected` in all."""
    harm = made.chance.max(axis=1)
    views = rng.poisson(expected * OF_VIEWS[place])
    comments = rng.poisson(views * COMMENTS)
    bombs, target = uniform(config.seed, "harmful.bomb", made.post_id, 2).T
    bombed = (bombs < BOMBED) & (made.form == PLAIN) & (place == 0) & (views > 0)
    reports = rng.poisson(views[:, None] * _report_rate(made))
    reports[np.flatnonzero(bombed), np.floor(len(POLICIES) * target[bombed]).astype(np.int64)] += rng.poisson(
        BOMB, int(bombed.sum())
    )
    return Tick(
        views=views,
        likes=rng.poisson(views * LIKES * np.exp(HARM_LIKES * harm)),
        shares=rng.poisson(views * SHARES_RATE * np.exp(HARM_SHARES * harm)),
        comments=comments,
        objections=rng.binomial(comments, OBJECTS + OBJECTS_TO_HARM * harm),
        reports=reports,
    )


def has_keyword(made: Posts) -> Bools:
    """[n] does the text hold a word of the incumbent's list?"""
    listed = re.compile("|".join(term for terms, _ in TERMS.values() for term in terms[:KEYWORDS]))
    return np.array([listed.search(text) is not None for text in made.text.tolist()], dtype=bool)


def _report_rate(made: Posts) -> Floats:
    """[n, num_policies] reports a view."""
    looks = made.chance.copy()
    looks[np.arange(len(made)), made.policy] += np.select(
        [made.form == FRIENDLY, np.isin(made.form, (TWIN, STRUCK))], [SEEN_IN_FRIENDLY, SEEN_IN_TWIN], 0.0
    )
    named = (1 - OTHER_POLICY) * looks + OTHER_POLICY * looks.mean(axis=1, keepdims=True)
    rate: Floats = REPORTS * named + STRAY_REPORTS / len(POLICIES)
    return rate


def _by_hand(config: Config, made: Posts, happened: Floats) -> Floats:
    chance = uniform(config.seed, "harmful.hand", made.post_id, 1 + len(POLICIES))
    error = chance[:, 1:] < np.where(happened == 1, MISSED_BY_HAND, FOUND_BY_HAND)
    drawn = chance[:, :1] < config.hand_share
    labels: Floats = np.where(drawn, np.where(error, 1 - happened, happened), np.nan)
    return labels
