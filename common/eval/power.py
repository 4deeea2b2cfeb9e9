"""How many sessions does an online comparison need, and does it cry wolf? Planted traffic in which the answer is known.

Users come a heavy-tailed number of times, click as readily as is their own, and have a taste: ranker a leans to one side of it, b to the other, so
one user prefers a again and again and the next one b. Clicks are position-based: seen with a chance of 1 / place, clicked if it pleases.
Each query has a twin with lists and sides exchanged, so that at effect 0 neither ranker is better, exactly, though their lists differ. That is a harder null
than a ranker against itself: a coin a request makes that one right whatever users do, and hides that sessions of one user go the same way.

    power_table        sessions for 80 % power at a planted difference, team draft beside A/B
    false_positives    how often each test sees a difference at effect 0, beside the foils that count clicks or sessions as if each were a user

Breaks: no novelty, no learning, nobody leaves for a bad page. What interleaving saves depends on how much users differ and rankers agree: it is a
figure of this world. With visits of infinite variance (no `most`) few users decide, and 5 % is not kept: test_interleaving.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.interleaving import ab, contested, credit, cuped, preference, team_draft
from common.eval.report import Interval

QUERIES, DOCUMENTS, K = 400, 8, 5
ALONE = 1.959964  # standard errors that leave 0 out of a 95 % interval
BOTH = ALONE + 0.841621  # between 0 and an effect that is seen four times in five


@dataclass(frozen=True)
class Rankers:
    """relevance and side [QUERIES, DOCUMENTS]; the lists of a and b [QUERIES, K]."""

    relevance: Floats
    side: Floats
    a: Ints
    b: Ints


@dataclass(frozen=True)
class Traffic:
    """A row a session [n]: its user, query, and its user's readiness (log odds), taste and clicks a session before the test."""

    users: Ints
    queries: Ints
    readiness: Floats
    taste: Floats
    before: Floats


def rankers(effect: float, seed: int, lean: float = 1.0) -> Rankers:
    """Two equally noisy rankers; in a share `effect` of the queries a has the best order there is. `lean`: how far each follows a taste."""
    rng = np.random.default_rng(seed)
    relevance, side, one, other = rng.normal(size=(4, QUERIES // 2, DOCUMENTS))
    first = _top(relevance + one + lean * side), _top(relevance + other - lean * side)
    a, b = np.vstack(first), np.vstack(first[::-1])
    relevance, side = np.vstack([relevance, relevance]), np.vstack([side, -side])
    mended = np.arange(QUERIES) % (QUERIES // 2) < effect * QUERIES / 2
    return Rankers(relevance, side, np.where(mended[:, None], _top(relevance), a), b)


def traffic(num_users: int, rng: np.random.Generator, most: int = 50) -> Traffic:
    """A user comes 1 + a Pareto number (tail 1.5) of times, at most `most`."""
    visits = 1 + np.minimum(rng.pareto(1.5, num_users), most - 1).astype(np.int64)
    users = np.repeat(np.arange(num_users), visits)
    readiness, taste = rng.normal(size=(2, num_users))
    before = rng.poisson(np.exp(0.5 * readiness) * visits) / visits
    queries = rng.integers(0, QUERIES, len(users))
    return Traffic(users, queries, readiness[users], taste[users], before[users])


def pleases(pair: Rankers, found: Traffic, ids: Ints) -> Floats:
    """[n, K] -> chance of a click on each, [n, K]."""
    at = (found.queries[:, None], ids)
    odds = found.readiness[:, None] + pair.relevance[at] + found.taste[:, None] * pair.side[at] - 1.5
    chance: Floats = 1 / (1 + np.exp(-odds)) / np.arange(1, ids.shape[1] + 1)
    return chance


def lift(pair: Rankers) -> float:
    """By how much a is better in truth: clicks a session more than under b, in percent of b's. Exact: a sum over queries and normal users."""
    point, weight = np.polynomial.hermite_e.hermegauss(15)
    query = np.arange(QUERIES).repeat(15 * 15)
    ready, taste = np.tile(point.repeat(15), QUERIES), np.tile(point, QUERIES * 15)
    found = Traffic(users=query, queries=query, readiness=ready, taste=taste, before=ready)
    weights = np.tile(np.outer(weight, weight).ravel(), QUERIES)
    a, b = (float(weights @ pleases(pair, found, ranked[query]).sum(axis=1)) for ranked in (pair.a, pair.b))
    return 100 * (a - b) / b


def draft(pair: Rankers, found: Traffic, rng: np.random.Generator) -> dict[str, Interval]:
    """One interleaved comparison, read as the paper has it, without the places no one contests, and twice as a foil."""
    a, b = pair.a[found.queries], pair.b[found.queries]
    ids, team = team_draft(a, b, rng.random((len(a), (K + 1) // 2)))
    clicks = rng.random(ids.shape) < pleases(pair, found, ids)
    fought = contested(a, b, team)
    return {
        "team draft": preference(credit(team, clicks), found.users),
        "team draft, contested places": preference(credit(fought, clicks), found.users),
        "team draft, a click a user": _by_row(team[clicks].astype(float)),
        "team draft, a session a user": _by_row(credit(team, clicks)),
    }


def split(pair: Rankers, found: Traffic, rng: np.random.Generator) -> dict[str, Interval]:
    """One A/B test on clicks a session, half of the users in each arm, read plain, with CUPED, and as a foil."""
    in_a = (rng.random(found.users[-1] + 1) < 0.5)[found.users]
    ids = np.where(in_a[:, None], pair.a[found.queries], pair.b[found.queries])
    clicks = (rng.random(ids.shape) < pleases(pair, found, ids)).sum(axis=1).astype(float)
    return {
        "A/B": ab(clicks, found.users, in_a),
        "A/B, CUPED": ab(cuped(clicks, found.before, found.users), found.users, in_a),
        "A/B, a session a user": ab(clicks, np.arange(len(clicks)), in_a),
    }


Comparison = Callable[[Rankers, Traffic, np.random.Generator], dict[str, Interval]]
HONEST: Mapping[str, Comparison] = {
    "A/B": split,
    "A/B, CUPED": split,
    "team draft": draft,
    "team draft, contested places": draft,
}


def sessions_needed(name: str, effect: float, reps: int = 200, seed: int = 0, lean: float = 1.0) -> dict[str, float]:
    """Sessions after which the interval of one of HONEST lies wholly on a's side four times in five -> {sessions, power}, power as counted there.

    By simulation: value / standard error grows with the root of the users, so two rounds of `reps` comparisons say where it is BOTH in the mean; a
    third counts. At 200 sessions come out within about 10 %. Raises InputError at an effect of 0 or below: nothing finds what is not there.
    """
    if effect <= 0:
        raise InputError(
            f"A planted effect of {effect} cannot be found by any number of sessions; expected one in (0, 1]."
        )
    pair, users, product, square = rankers(effect, seed, lean), 1000, 0.0, 0.0
    for step in range(2):
        _, errors = _compared(name, pair, users, reps, seed + step)
        product, square = product + errors.mean() * users**0.5, square + users  # least squares through 0
        slope = max(product / square, BOTH / (16 * users) ** 0.5)  # a round of bad luck multiplies by 16 at most
        users = max(30, round((BOTH / slope) ** 2))
    sessions, errors = _compared(name, pair, users, reps, seed + 2)
    return {"sessions": sessions, "power": float((errors > ALONE).mean())}


def power_table(effects: Sequence[float] = (0.5, 1.0), reps: int = 200, seed: int = 0, lean: float = 1.0) -> Table:
    """A row for each planted effect and test: the true lift, sessions for 80 % power, and how many times those the plain A/B test takes.

    Half the effect takes four times the sessions and the time: both defaults together 20 seconds of one core, 0.25 another 45.
    """
    rows: Table = []
    for effect in effects:
        true = lift(rankers(effect, seed, lean))
        needed = {name: sessions_needed(name, effect, reps, seed, lean) for name in HONEST}
        for name, found in needed.items():
            fewer = needed["A/B"]["sessions"] / found["sessions"]
            rows.append({"effect": effect, "lift_percent": true, "test": name, **found, "times_fewer_than_ab": fewer})
    return rows


def false_positives(
    num_tests: int = 2000, num_users: int = 1000, seed: int = 0, lean: float = 1.0, most: int = 50
) -> Table:
    """A row a reading: in what share of comparisons at effect 0 its 95 % interval leaves 0 out, with the 95 % interval of that share.

    Each on fresh users; the readings of `draft`, then those of `split`, honest ones and foils."""
    pair, rng, seen = rankers(0.0, seed, lean), np.random.default_rng(seed), dict[str, list[float]]()
    for _ in range(num_tests):
        found = traffic(num_users, rng, most)
        for name, interval in (draft(pair, found, rng) | split(pair, found, rng)).items():
            seen.setdefault(name, []).append(float(abs(_errors(interval)) > ALONE))
    rates = {name: intervals.mean(np.array(alarms), np.arange(num_tests)) for name, alarms in seen.items()}
    return [{"test": name, "rate": rate.value, "low": rate.low, "high": rate.high, "tests": num_tests} for name, rate in rates.items()]  # fmt: skip


def _compared(name: str, pair: Rankers, num_users: int, reps: int, seed: int) -> tuple[float, Floats]:
    """-> (sessions in the mean, value in standard errors [reps])."""
    rng, sessions, errors = np.random.default_rng((seed, num_users)), [], []
    for _ in range(reps):
        found = traffic(num_users, rng)
        sessions.append(len(found.users))
        errors.append(_errors(HONEST[name](pair, found, rng)[name]))
    return float(np.mean(sessions)), np.array(errors)


def _errors(interval: Interval) -> float:
    """The value in standard errors, as if the interval were a normal one: beyond ALONE where it leaves 0 out."""
    assert interval.high is not None
    return ALONE * interval.value / max(interval.high - interval.value, np.finfo(float).tiny)


def _by_row(units: Floats) -> Interval:
    return intervals.mean(units, np.arange(len(units)))


def _top(scores: Floats) -> Ints:
    return np.argsort(-scores, axis=1)[:, :K]
