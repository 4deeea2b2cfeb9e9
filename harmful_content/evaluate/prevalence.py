"""How much harm stands, from few hand labels that are sometimes wrong.

In:     a Frame (all posts), a Sample of it with its labels, and how often such labels are wrong.
Out:    the share and the total of what is harmful, each with a 95 % interval.
Choice: every label counts as many times as it stands for posts (Horvitz and Thompson 1952); then the errors of the labels are taken out (Rogan and
        Gladen 1978). The interval is Wilson's at the number of labels a simple sample would have needed for the same variance.
Else:   a bootstrap inside strata, which needs no formula and takes a stratum without harm among its labels for a stratum without harm.
Breaks: labels that were not drawn by chance (the review queue), labels whose weights were lost, labels taken for truth: at three harmful posts in a
        hundred, two wrong labels in a hundred are most of an error. Each is a foil in `mlsd experiment harmful_content prevalence`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.eval.report import Interval
from harmful_content.evaluate.sampling import Frame, Sample

Z = 1.959964  # standard errors that leave 2.5 % out on either side


@dataclass(frozen=True, kw_only=True)
class Raters:
    """How often a label is right: the share of harmful posts that are called so, and of fine ones that are not. `num_harmful`, `num_fine`: on how
    many posts of known truth each was counted; infinitely many if it is simply known."""

    sensitivity: float
    specificity: float
    num_harmful: float = np.inf
    num_fine: float = np.inf

    def __post_init__(self) -> None:
        if not 0 < self.gain <= 1 or min(self.num_harmful, self.num_fine) <= 0:
            raise InputError(
                f"Labels with sensitivity {self.sensitivity:g} and specificity {self.specificity:g}, counted on {self.num_harmful:g} and "
                f"{self.num_fine:g} posts, say nothing of the truth: the two must add up to more than 1. Train the raters, or ask others."
            )

    @property
    def gain(self) -> float:
        """By how much the share of positive labels rises from all fine to all harmful."""
        return self.sensitivity + self.specificity - 1

    def noise(self, share: Floats) -> Floats:
        """The variance of a label of a post of which the truth is known, where this share of the posts is harmful."""
        found: Floats = share * _coin(self.sensitivity) + (1 - share) * _coin(self.specificity)
        return found

    def corrected(self, observed: Floats) -> Floats:
        """Share of positive labels -> share of harmful posts, cut to [0, 1] (Rogan and Gladen, Am. J. Epidemiology 107, 1978)."""
        found: Floats = np.clip((observed - 1 + self.specificity) / self.gain, 0, 1)
        return found

    def uncertainty(self, share: float) -> float:
        """The variance that not knowing the two rates exactly adds to the observed share, with one success and one failure more than were counted
        (Lang and Reiczigel, Preventive Veterinary Medicine 113, 2014), so that a hundred of a hundred right is not certainty."""
        return share**2 * _counted(self.sensitivity, self.num_harmful) + (1 - share) ** 2 * _counted(
            self.specificity, self.num_fine
        )


PERFECT = Raters(sensitivity=1.0, specificity=1.0)


def count(harmful: Bools, labels: Bools) -> Raters:
    """What labels [n] of posts are worth whose truth [n] somebody else has settled."""
    if not 0 < harmful.sum() < len(harmful):
        raise InputError(
            f"{harmful.sum()} of {len(harmful)} settled posts are harmful: both rates need posts. Settle more posts."
        )
    return Raters(
        sensitivity=float(labels[harmful].mean()),
        specificity=float(1 - labels[~harmful].mean()),
        num_harmful=int(harmful.sum()),
        num_fine=int((~harmful).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """`share` of the frame's weight that is harmful (posts, or views); `total`: the weight itself. n counts labels."""

    share: Interval
    total: Interval


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """A sample as the intervals need it. [num_strata]: `share` of the weight, `rate` of positive labels, `expected` by the scores. [m]: `stratum`, `chance`; `stands_for`, the
    weight behind it over its chance; `label`: 0 or 1, or, where the truth is `settled`, what labels of such posts are on average."""

    share: Floats
    rate: Floats
    expected: Floats
    stratum: Ints
    label: Floats
    chance: Floats
    stands_for: Floats
    settled: Bools

    @property
    def observed(self) -> float:
        return float(self.share @ self.rate)

    @property
    def part(self) -> Floats:
        """[m] of its stratum's weight that a label speaks for; they add up to 1 in each."""
        found: Floats = self.stands_for / np.bincount(self.stratum, self.stands_for)[self.stratum]
        return found


Method = Callable[[Weighed, Raters, np.random.Generator], tuple[float, float]]


def estimate(
    frame: Frame,
    sample: Sample,
    labels: Bools,
    raters: Raters = PERFECT,
    settled: Bools | None = None,
    method: Method | None = None,
    seed: int = 0,
) -> Estimate:
    """labels [m], True for harmful, in the order of sample.rows; `settled` [m]: which of them a panel made sure of. The weight of `frame` need not
    be the one the sample was drawn by: one sample answers for posts and for views. `method`: one of INTERVALS, Wilson's by default."""
    weighed = _weighed(frame, sample, labels, raters, np.zeros(len(labels), bool) if settled is None else settled)
    value = _value(weighed, raters)
    low, high = (method or wilson)(weighed, raters, np.random.default_rng(seed))
    share = Interval(value=value, low=min(low, value), high=max(high, value), n=len(labels))
    whole = float(frame.weight.sum())
    total = Interval(value=value * whole, low=share.low and share.low * whole, high=share.high and share.high * whole, n=len(labels))  # fmt: skip
    return Estimate(share=share, total=total)


def wilson(weighed: Weighed, raters: Raters, rng: np.random.Generator) -> tuple[float, float]:
    """Wilson (1927) at the effective number of labels (Kish 1965; Korn and Graubard 1998 have it so for rare events). A stratum's variance is
    that of its rate had one positive label more been found, after as many labels as the scores expect that to take: no harm among ten labels is
    not no variance."""
    crowding = np.bincount(weighed.stratum, weighed.part**2, minlength=len(weighed.share))
    effective = np.divide(1, crowding, out=np.zeros(len(crowding)), where=crowding > 0)
    rate = (effective * weighed.rate + 1) / (effective + 1 / weighed.expected)
    usual = float(weighed.share @ rate)
    variance = _variance(weighed, rate, raters) + raters.uncertainty(_value(weighed, raters))
    if variance == 0:
        return _value(weighed, raters), _value(weighed, raters)
    low, high = raters.corrected(np.array(_score(weighed.observed, _coin(usual) / variance))).tolist()
    return low, high


def wald(weighed: Weighed, raters: Raters, rng: np.random.Generator) -> tuple[float, float]:
    """The textbook's: value +- 1.96 standard errors, each stratum's variance from its own labels alone."""
    variance = _variance(weighed, weighed.rate, raters) + raters.uncertainty(_value(weighed, raters))
    reach = Z * np.sqrt(variance)
    low, high = raters.corrected(np.array([weighed.observed - reach, weighed.observed + reach])).tolist()
    return low, high


def bootstrap(weighed: Weighed, raters: Raters, rng: np.random.Generator, reps: int = 200) -> tuple[float, float]:
    """Quantiles over resamples inside strata, one label fewer each time (Rao and Wu 1988), and over what the raters' rates may be. Posts that
    were certain to be drawn are kept."""
    observed = np.zeros(reps)
    for stratum, share in enumerate(weighed.share.tolist()):
        rows = np.flatnonzero(weighed.stratum == stratum)
        drawn = np.tile(weighed.stands_for[rows], (reps, 1))
        loose = np.flatnonzero(weighed.chance[rows] < 1)
        if len(loose) > 1:
            drawn[:, loose] *= rng.multinomial(len(loose) - 1, np.full(len(loose), 1 / len(loose)), reps) * len(loose) / (len(loose) - 1)  # fmt: skip
        if share:
            observed += share * (drawn @ weighed.label[rows]) / drawn.sum(axis=1)
    right = [
        rng.binomial(int(num), rate, reps) / num if np.isfinite(num) else np.full(reps, rate)
        for rate, num in ((raters.sensitivity, raters.num_harmful), (raters.specificity, raters.num_fine))
    ]
    shares = np.clip((observed - 1 + right[1]) / np.maximum(right[0] + right[1] - 1, 1e-9), 0, 1)
    low, high = np.quantile(shares, (0.025, 0.975)).tolist()
    return low, high


INTERVALS: dict[str, Method] = {"wilson": wilson, "wald": wald, "bootstrap": bootstrap}


def binomial(count: int, num: int) -> Interval:
    """count of num independent tries, Wilson's interval."""
    low, high = _score(count / num, num)
    return Interval(value=count / num, low=min(low, count / num), high=max(high, count / num), n=num)


def difference(first: Interval, second: Interval) -> Interval:
    """first - second of independent samples, from their own intervals (Newcombe, Statistics in Medicine 17, 1998, method 10)."""
    assert first.low is not None and first.high is not None and second.low is not None and second.high is not None
    value = first.value - second.value
    down = np.hypot(first.value - first.low, second.high - second.value)
    up = np.hypot(first.high - first.value, second.value - second.low)
    return Interval(value=value, low=float(value - down), high=float(value + up), n=first.n + second.n)


def _weighed(frame: Frame, sample: Sample, labels: Bools, raters: Raters, settled: Bools) -> Weighed:
    assert len(labels) == len(settled) == len(sample.rows) == len(sample.chance)
    share, stratum = frame.share, frame.stratum[sample.rows]
    missing = (share > 0) & (np.bincount(stratum, minlength=len(share)) == 0)
    if missing.any():
        raise InputError(
            f"Strata {np.flatnonzero(missing).tolist()} hold {share[missing].sum():.3%} of the weight and no label: nothing is known of them. "
            f"Draw with a floor of 1 or more, or merge strata."
        )
    # A stratum that weighs nothing adds nothing; its labels count alike, so that no 0 is divided by.
    stands_for = np.where(share[stratum] > 0, frame.weight[sample.rows], 1.0) / sample.chance
    label = np.where(settled, 1 - raters.specificity + raters.gain * labels, labels)
    positive, whole = (np.bincount(stratum, one, minlength=len(share)) for one in (stands_for * label, stands_for))
    rate = np.divide(positive, whole, out=np.zeros(len(share)), where=whole > 0)
    return Weighed(
        share=share,
        rate=rate,
        expected=1 - raters.specificity + raters.gain * frame.expected,
        stratum=stratum,
        label=label,
        chance=sample.chance,
        stands_for=stands_for,
        settled=settled,
    )


def _value(weighed: Weighed, raters: Raters) -> float:
    return float(raters.corrected(np.array(weighed.observed)))


def _variance(weighed: Weighed, rate: Floats, raters: Raters) -> float:
    """Of the observed share, where rate [num_strata] of the labels is positive. What was certain to be drawn varies by its label alone."""
    at, within = weighed.stratum, rate * (1 - rate)
    noise = np.minimum(raters.noise(raters.corrected(rate)), within)
    posts = (1 - weighed.chance) * (within - noise)[at]
    return float(((weighed.share[at] * weighed.part) ** 2 * (posts + np.where(weighed.settled, 0.0, noise[at]))).sum())


def _score(observed: float, num: float) -> tuple[float, float]:
    """Where a share would have to lie for `observed` of num labels to be within Z of its own standard errors (Wilson 1927)."""
    middle = (observed + Z**2 / (2 * num)) / (1 + Z**2 / num)
    reach = Z / (1 + Z**2 / num) * float(np.sqrt(_coin(observed) / num + Z**2 / (4 * num**2)))
    return middle - reach, middle + reach


def _coin(rate: float) -> float:
    return rate * (1 - rate)


def _counted(rate: float, num: float) -> float:
    return _coin((rate + 1 / num) / (1 + 2 / num)) / (num + 2)
