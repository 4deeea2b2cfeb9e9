"""What a policy that was never shown would have earned, from the log of another: five estimators, and a diagnosis of whether to believe any.

A log row is one decision: a reward, the probability with which the logging policy took what it took, and the probability with which the target
policy would have taken the same. Their ratio is the row's weight. Intervals are over clusters (users), never rows: each estimator is a mean of
units [n] up to terms of order 1 / n, and the units carry its variance (the influence function; Cochran, Sampling Techniques, 6.3, for ratios).

    replay    sum(t r) / sum(t)                  unbiased only if the log was drawn uniformly (Li et al. 2011, arXiv:1003.5956)
    ips       mean(w r), w = t / p               unbiased if p is right and never 0 where t is not (Horvitz and Thompson 1952)
    clipped   mean(min(w, M) r)                  biased towards 0 by what is cut off, less variance (Ionides 2008)
    snips     sum(w r) / sum(w)                  biased by order 1 / n; unmoved by a constant added to r or a factor on p (Swaminathan and Joachims 2015)
    doubly    mean(m_target + w (r - m_logged))  unbiased if p is right or the model m is (Dudik, Langford and Li 2011, arXiv:1103.4601)

Which: doubly robust where there is a model, else snips, while the effective sample is in the hundreds and `diagnose` refutes nothing. Replay on a
uniform log alone. Clipped weights to order targets, not to price them. None of them where one decision changes the reward of the next (viewers
tire): that takes an A/B test. `mlsd experiment video_rec off_policy` measures all but the uniform log.

Breaks: a target that does what logging never does. No weight shows it row by row; the mean weight falls below 1, and `diagnose` says so. The
intervals trust the central limit: at an effective sample of a few dozen rows they are too short (test_off_policy.py counts how often).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval


@dataclass(frozen=True, kw_only=True)
class Logged:
    """[n] each. `propensity` in (0, 1]: of what was logged, under the logging policy. `target` in [0, 1]: of the same, under the target
    (0 or 1 if it is deterministic). `clusters`: whose decision it was. Raises InputError on anything else."""

    reward: Floats
    propensity: Floats
    target: Floats
    clusters: Ints

    def __post_init__(self) -> None:
        lengths = {len(column) for column in vars(self).values()}
        assert len(lengths) == 1, f"columns of unequal length: {sorted(lengths)}"
        _refuse("propensity", self.propensity, (self.propensity > 0) & (self.propensity <= 1), "in (0, 1]")
        _refuse("target", self.target, (self.target >= 0) & (self.target <= 1), "in [0, 1]")
        _refuse("reward", self.reward, np.isfinite(self.reward), "finite")

    @cached_property
    def weights(self) -> Floats:
        found: Floats = self.target / self.propensity
        return found


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """`units` [n]: their mean is the value, so the difference of two estimates over one log is `intervals.mean(a.units - b.units, clusters)`.
    `ess`: as many equally weighted rows would know as much (Kong 1992); at most n."""

    interval: Interval
    units: Floats
    ess: float


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """`mean_weight` is 1 in expectation for every target, if the propensities are right and cover it: an interval without 1 refutes them.
    One that holds 1 proves nothing. `largest`: the heaviest row's share of all weight."""

    mean_weight: Interval
    largest: float
    ess: float
    num_rows: int

    @property
    def refuted(self) -> bool:
        assert self.mean_weight.low is not None and self.mean_weight.high is not None
        return not self.mean_weight.low <= 1 <= self.mean_weight.high


def replay(logged: Logged) -> Estimate:
    """The mean reward where the log happens to agree with the target; blind to why it agrees."""
    return _ratio(logged, logged.target)


def ips(logged: Logged) -> Estimate:
    return _mean(logged, logged.weights * logged.reward, logged.weights)


def clipped_ips(logged: Logged, most: float) -> Estimate:
    """Weights above `most` count as `most`."""
    weights = np.minimum(logged.weights, most)
    return _mean(logged, weights * logged.reward, weights)


def snips(logged: Logged) -> Estimate:
    return _ratio(logged, logged.weights)


def doubly_robust(logged: Logged, of_logged: Floats, of_target: Floats) -> Estimate:
    """A model's reward of what was logged [n], and its mean reward of what the target would take [n] (averaged over the target's choice). The
    model must not have seen these rewards, or what it memorised is taken for knowledge: fit it on other clusters."""
    corrected = of_target + logged.weights * (logged.reward - of_logged)
    return _mean(logged, corrected, logged.weights)


def direct(logged: Logged, of_target: Floats) -> Estimate:
    """The model alone: the foil of the doubly robust one. Its interval knows nothing of how wrong the model is."""
    return _mean(logged, of_target, np.ones(len(of_target)))


def diagnose(logged: Logged) -> Diagnosis:
    weights = logged.weights
    return Diagnosis(
        mean_weight=intervals.mean(weights, logged.clusters),
        largest=float(weights.max() / max(weights.sum(), np.finfo(float).tiny)),
        ess=effective(weights),
        num_rows=len(weights),
    )


def effective(weights: Floats) -> float:
    """(sum w)^2 / sum w^2, 0 if nothing weighs anything."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _mean(logged: Logged, units: Floats, weights: Floats) -> Estimate:
    return Estimate(interval=intervals.mean(units, logged.clusters), units=units, ess=effective(weights))


def _ratio(logged: Logged, weights: Floats) -> Estimate:
    """sum(w r) / sum(w), linear around its value: units v + w (r - v) / mean(w), whose mean is v exactly."""
    usual = float(weights.mean())
    if usual == 0:
        raise InputError(
            f"None of the {len(weights)} logged decisions is one the target would ever take: this log says nothing of it. "
            f"Log with more exploration, or ask about a target nearer to the logging policy."
        )
    value = float(weights @ logged.reward) / float(weights.sum())
    return _mean(logged, value + weights * (logged.reward - value) / usual, weights)


def _refuse(name: str, column: Floats, lawful: Bools, expected: str) -> None:
    if not lawful.all():
        row = int(np.flatnonzero(~lawful)[0])
        raise InputError(f"Row {row} has {name} {column[row]}; expected a number {expected}.")
