"""Which of two rankers do people prefer? Interleaving, where one page holds answers of both, and the A/B test, where each user sees one of them.

    team draft   the rankers pick in turn as captains pick players, a coin a round says who is first; a click counts for who picked what was clicked
                 (Radlinski, Kurup and Joachims 2008, "How does clickthrough data reflect retrieval quality?")
    balanced     one coin a request, then the lists are merged like a zip (Joachims 2002). The foil: a ranker that only moves one document
                 down can win by it, though every document is as good as any other (test_interleaving.py plants it)
    ab           users are split; the difference of the mean over sessions, by the delta method over users (Deng, Knoblich and Lu 2018, arXiv:1803.06336)

Which: team draft to choose between rankers: each user is his own control, so it takes a small part of the sessions (common/eval/power.py counts
them). The A/B test to know what a change is worth: interleaving says who is preferred, never by how many clicks, nor what latency or the rest
of the page did. Every interval resamples users, not sessions or clicks: the clicks of one user are not independent.

Breaks: team draft is blind where a better order gives neither ranker a better pick: (1, 2, 3) against (2, 3, 1) with 3 alone relevant ends
even. A lost share of one arm's users makes an A/B test answer another question: `sample_ratio`
first. And where one user is a tenth of all sessions, no interval over users is honest.
"""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval


def team_draft(a: Ints, b: Ints, draws: Floats) -> tuple[Ints, Ints]:
    """Two lists a request [n, k], -1 pads, and draws [n, (k + 1) // 2] in (0, 1), a coin a round -> (ids, team) [n, k].

    team: 1 picked by a, -1 by b. 0: a pad, or a filler: once one ranker has nothing left the page is filled from the other, and a click
    there says nothing, because the first could not answer it.
    """
    assert a.shape == b.shape and draws.shape == (len(a), (a.shape[1] + 1) // 2), (a.shape, b.shape, draws.shape)
    ids, team, rows = np.full(a.shape, -1), np.zeros(a.shape, np.int64), np.arange(len(a))
    left_a, left_b = a >= 0, b >= 0
    for place in range(a.shape[1]):
        next_a, next_b = left_a.argmax(axis=1), left_b.argmax(axis=1)
        has_a, has_b = left_a[rows, next_a], left_b[rows, next_b]
        a_begins = draws[:, place // 2] < 0.5
        from_a = np.where(has_a & has_b, a_begins if place % 2 == 0 else ~a_begins, has_a)
        ids[:, place] = np.where(has_a | has_b, np.where(from_a, a[rows, next_a], b[rows, next_b]), -1)
        team[:, place] = np.where(has_a & has_b, np.where(from_a, 1, -1), 0)
        left_a &= a != ids[:, place, None]
        left_b &= b != ids[:, place, None]
    return ids, team


def contested(a: Ints, b: Ints, team: Ints) -> Ints:
    """team, with 0 as far down as the lists begin alike: who picked there was the coin's choice alone, and clicks there are noise. Lerot does the same."""
    alike = np.logical_and.accumulate(a == b, axis=1)
    left: Ints = np.where(alike, 0, team)
    return left


def credit(team: Ints, clicks: Bools) -> Floats:
    """[n, k] each -> [n]: 1 if a's picks were clicked more often than b's, -1 if less, 0 for a tie. A pad is never clicked."""
    won: Floats = np.sign((team * clicks).sum(axis=1)).astype(float)
    return won


def preference(won: Floats, users: Ints) -> Interval:
    """Share of requests that a wins minus share that b wins, in [-1, 1], with the interval over users. A tie counts as a request."""
    return intervals.mean(won, users)


def balanced(a: Ints, b: Ints, draws: Floats) -> Ints:
    """As team_draft, but draws [n] and no teams -> ids [n, k]: a1 b1 a2 b2 ... or b1 a1 b2 a2 ..., without what was there before."""
    first = np.where((draws < 0.5)[:, None, None], np.stack([a, b], 2), np.stack([b, a], 2)).reshape(len(a), -1)
    again = np.tril(first[:, :, None] == first[:, None, :], -1).any(axis=2) | (first < 0)
    order = np.argsort(again, axis=1, kind="stable")[:, : a.shape[1]]
    ids: Ints = np.where(np.take_along_axis(again, order, 1), -1, np.take_along_axis(first, order, 1))
    return ids


def balanced_credit(a: Ints, b: Ints, ids: Ints, clicks: Bools) -> Floats:
    """[n, k] each -> [n], as `credit`: who has more of the clicked among its first d, d the least depth at which either list holds the lowest click."""
    num, k = ids.shape
    in_a, in_b = (_depth(ids, ranked) for ranked in (a, b))  # depth at which each shown document stands, [n, k]
    lowest = k - 1 - clicks[:, ::-1].argmax(axis=1)
    depth = np.minimum(in_a, in_b)[np.arange(num), lowest][:, None]
    won: Floats = np.sign((clicks & (in_a <= depth)).sum(axis=1) - (clicks & (in_b <= depth)).sum(axis=1)).astype(float)
    return won


def _depth(ids: Ints, ranked: Ints) -> Ints:
    """The place of each of ids [n, k] in ranked [n, k], counted from 1; k + 1 if it is not there."""
    same = ids[:, :, None] == ranked[:, None, :]
    depth: Ints = np.where(same.any(axis=2), same.argmax(axis=2) + 1, ranked.shape[1] + 1)
    return depth


def ab(units: Floats, users: Ints, in_a: Bools) -> Interval:
    """Mean of units [n] over the rows in arm a minus the mean over those in b, with the interval over users. A row is a session or an impression.

    Linear around its value, as the ratios of off_policy: variance = G / (G - 1) * sum over users of (residuals of his rows / rows of his arm)^2,
    the delta method of Deng, Knoblich and Lu. It stays right if a user has rows in both arms. Raises InputError on an arm of fewer than two users.
    """
    for name, arm in (("a", in_a), ("b", ~in_a)):
        if not arm.any() or np.ptp(users[arm]) == 0:
            raise InputError(
                f"Arm {name} holds fewer than two users, in {arm.sum()} rows; their spread takes at least two."
            )
    n, value_a, value_b = len(units), float(units[in_a].mean()), float(units[~in_a].mean())
    influence = np.where(in_a, (units - value_a) * n / in_a.sum(), (value_b - units) * n / (~in_a).sum())
    return intervals.mean(value_a - value_b + influence, users)


def cuped(units: Floats, before: Floats, users: Ints) -> Floats:
    """units [n] less what is explained by `before` [n], a number of the row's user from before the test; `ab` of it has the same expectation and a
    shorter interval (Deng, Xu, Kohavi and Walker 2013). The slope is that of users' sums, whose variance is the one that counts.

    Breaks: a number taken during the test holds part of the effect, and takes it away."""
    _, index = np.unique(users, return_inverse=True)
    y, x = (np.bincount(index, column - column.mean()) for column in (units, before))
    slope = float(x @ y) / max(float(x @ x), np.finfo(float).tiny)
    less: Floats = units - slope * (before - before.mean())
    return less


def sample_ratio(counts: Ints, shares: Floats) -> float:
    """Users that arrived in each arm [num_arms] against the shares [num_arms] they were drawn with -> p of Pearson's chi-square test.

    Count what was randomised: users. Sessions come in bunches, and their ratio is off without a fault. Below 0.001, by custom, no other number of
    the test is read (Fabijan et al. 2019). Raises InputError on shares that are none, or on nobody at all.
    """
    from scipy.special import chdtrc

    if not (np.all(shares > 0) and abs(shares.sum() - 1) < 1e-9):
        raise InputError(f"Arms are drawn with shares {shares.tolist()}; expected positive numbers that sum to 1.")
    if counts.sum() == 0 or (counts < 0).any():
        raise InputError(f"The arms hold {counts.tolist()} users; expected at least one, and none below 0.")
    expected = counts.sum() * shares
    return float(chdtrc(len(counts) - 1, float(((counts - expected) ** 2 / expected).sum())))
