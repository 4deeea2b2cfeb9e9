"""The log: what the old search engine showed and what people did with it.

The old engine is imperfect on purpose: it matches the searcher's words with titles, breaks ties by popularity (which its own clicks feed)
and shakes every list a little. What shares no word with a query is shown by accident only. A share of the requests has its first ten put
into a random order (`swapped`), at a price: the intervention that tells position from merit.

People read from the top and examine place p with probability p ** -steepness; what they examine they click on as it is relevant or catchy.
`cascade` (nobody reads on after a satisfying click) and `trust` (high places are clicked on for being high) are other people, for worlds in
which an estimator's assumption is false.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import Population, normal
from search_ranking.world.incumbent import Incumbent
from search_ranking.world.nature import START, TEST_FROM, Documents
from search_ranking.world.needs import Queries, gains_of, grades_of
from search_ranking.world.words import LANGUAGES

# The frozen strengths: changing one changes every number of the case.
STEEPNESS, SWAPPED = 0.9, 0.1  # eta; share of requests in random order
CLICK, CLICK_GRADE, CLICK_CATCHY, CLICK_USER = -3.0, 4.5, 0.6, 0.4  # log odds; the last: some people click more
TRUST_FADE = 0.7  # of trust is left a place further down
DWELL, DWELL_GAIN, DWELL_CHANCE = 0.05, 0.8, 0.15  # shares of the length watched


@dataclass(frozen=True)
class Behaviour:
    """The knobs of the log."""

    steepness: float = STEEPNESS  # eta: place p is examined with probability p ** -eta
    cascade: bool = False
    trust: float = 0.0  # in [0, 1]: the chance that the first place is clicked on for being first
    swapped: float = SWAPPED


PLANTED = Behaviour()


@dataclass(frozen=True, kw_only=True)
class Log:
    """One row a result shown, by request in order of time, then by slot."""

    request_id: Ints
    query_id: Ints
    user_id: Ints
    doc_id: Ints
    slot: Ints  # 0-based: place p of the formulas is slot + 1
    clicked: Bools
    dwell: Floats  # seconds watched, 0 without a click
    event_time: Ints
    swapped: Bools

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Of the same rows, what no log shows."""

    examined: Bools
    grade: NDArray[np.int8]
    gain: Floats


def simulate(seed: int, num_users: int, num_sessions: int, days: int, of: Documents, titles: NDArray[np.str_], queries: Queries, query_texts: NDArray[np.str_], behaviour: Behaviour) -> tuple[Log, Truth]:  # fmt: skip
    """Plays the old engine day by day; queries and documents by their place in `queries` and `of`, whose ids count from 0."""
    rng = np.random.default_rng([seed, 78])
    users, times, asked = _asked(seed, num_users, num_sessions, days, queries, rng)
    engine = Incumbent(of, titles, query_texts)
    people = Population(seed)
    age, country = people.age(users), people.country(users)
    parts: list[dict[str, NDArray[np.generic]]] = []
    for day in range(days):
        rows = np.arange(*np.searchsorted(times, START + 86_400 * np.array([day, day + 1])))
        if not len(rows):  # a quiet day of a tiny world
            continue
        lists = engine.answer(asked[rows], times[rows], age[rows], country[rows], rng)
        swapped = rng.random(len(rows)) < behaviour.swapped
        lists[swapped] = _shuffled(lists[swapped], rng)
        part = _play(seed, rows, lists, users, asked, of, queries, behaviour, rng)
        part |= {"swapped": swapped[part["request_id"].astype(np.int64) - rows[0]]}
        engine.learn(part["doc_id"].astype(np.int64)[part["clicked"].astype(bool)])
        parts.append(part)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    request = columns["request_id"].astype(np.int64)
    columns |= {"query_id": queries.query_id[asked[request]], "user_id": users[request], "event_time": times[request]}
    return (
        Log(**{field.name: columns[field.name] for field in fields(Log)}),
        Truth(**{field.name: columns[field.name] for field in fields(Truth)}),
    )


def examination(places: Ints, steepness: float) -> Floats:
    """The probability with which place p = 1, 2, ... is examined."""
    curve: Floats = np.asarray(places, float) ** -steepness
    return curve


def react(rng: np.random.Generator, grade: Floats, catchy: Floats, clicky: Floats, behaviour: Behaviour) -> tuple[Bools, Bools]:  # fmt: skip
    """`grade` and `catchy` [n, k] of lists as shown, `clicky` [n] -> examined, clicked [n, k]. A satisfying click is one on grade 3 or 4."""
    n, k = grade.shape
    places = np.arange(1, k + 1)
    examined = rng.random((n, 1)) < examination(
        places, behaviour.steepness
    )  # one lot a request: they read from the top
    merit = CLICK + CLICK_GRADE * grade / 4 + CLICK_CATCHY * catchy + clicky[:, None]
    attracted = 1 / (1 + np.exp(-merit))
    trusting = behaviour.trust * TRUST_FADE ** (places - 1)
    clicked = examined & (rng.random((n, k)) < 1 - (1 - attracted) * (1 - trusting))
    if behaviour.cascade:
        done = np.cumsum(clicked & (grade >= 3), axis=1)
        before = np.concatenate([np.zeros((n, 1), np.int64), done[:, :-1]], axis=1)
        examined, clicked = examined & (before == 0), clicked & (before == 0)
    return examined, clicked


def clicky(seed: int, users: Ints) -> Floats:
    """[n] log odds: some people click more."""
    more: Floats = CLICK_USER * normal(seed, "user.clicky", users)[:, 0]
    return more


def dwell(rng: np.random.Generator, gain: Floats, length: Floats) -> Floats:
    """[n] seconds watched after a click, in whole ones: the better the longer, and by chance."""
    share = np.clip(DWELL + DWELL_GAIN * gain + DWELL_CHANCE * rng.standard_normal(len(gain)), 0.02, 1.0)
    seconds: Floats = np.maximum(1.0, np.round(share * length))
    return seconds


def _play(seed: int, rows: Ints, lists: Ints, users: Ints, asked: Ints, of: Documents, queries: Queries, behaviour: Behaviour, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """One day's requests `rows` with what was shown [n, k], -1 pads at the end: columns of one row a result."""
    shown, slot = np.nonzero(lists >= 0)
    doc, request = lists[shown, slot], rows[shown]
    need, found = queries.take(asked[request]), of.take(doc)
    grade, gain = grades_of(need, found), gains_of(need, found)
    grades, catchy = np.zeros(lists.shape), np.zeros(lists.shape)
    grades[shown, slot], catchy[shown, slot] = grade, found.catchy
    examined, clicked = (x[shown, slot] for x in react(rng, grades, catchy, clicky(seed, users[rows]), behaviour))
    return {
        "request_id": request, "doc_id": of.document_id[doc], "slot": slot, "clicked": clicked,
        "dwell": np.where(clicked, dwell(rng, gain, found.length), 0.0),
        "examined": examined, "grade": grade, "gain": gain,
    }  # fmt: skip


def _asked(seed: int, num_users: int, num_sessions: int, days: int, queries: Queries, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """-> users, times in order, places in `queries` [num_sessions]. A person asks about topics of their taste and of the season (`trend`), in
    no language but their own; new needs in the last days only; among those queries by traffic."""
    people = Population(seed)
    hours = START + 3_600 * np.arange(24 * days)
    traffic = people.daily(hours)
    times = np.sort(rng.choice(hours, num_sessions, p=traffic / traffic.sum()) + rng.integers(0, 3_600, num_sessions))
    active = people.activity(np.arange(num_users))
    users = rng.choice(num_users, num_sessions, p=active / active.sum())
    liking = people.tastes(np.arange(num_users))[users] * np.exp(people.trend(times))
    liking *= np.isin(np.arange(people.num_topics), queries.topic[(queries.language < 0) & ~queries.fresh])
    edges = (liking / liking.sum(axis=1, keepdims=True)).cumsum(axis=1)
    topic = np.minimum((rng.random((num_sessions, 1)) > edges).sum(axis=1), people.num_topics - 1)
    late = times >= START + TEST_FROM * days * 86_400
    group = (topic * len(LANGUAGES) + people.language(users)) * 2 + late
    asked = np.empty(num_sessions, np.int64)
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        spoken = one // 2 % len(LANGUAGES)
        can = (queries.topic == one // 2 // len(LANGUAGES)) & ((queries.language < 0) | (queries.language == spoken))
        can &= ~queries.fresh | bool(one % 2)
        places = np.flatnonzero(can)
        shares = queries.traffic[places].cumsum()
        asked[mine] = places[np.searchsorted(shares, rng.random(len(mine)) * shares[-1], side="right")]
    return users, times, asked


def _shuffled(lists: Ints, rng: np.random.Generator) -> Ints:
    """Each row in a random order of its own, pads still last."""
    lots = np.where(lists >= 0, rng.random(lists.shape), 2.0)
    return np.take_along_axis(lists, np.argsort(lots, axis=1), axis=1)
