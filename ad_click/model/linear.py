"""The linear rungs: rates, logistic regression, crosses made by hand, FTRL online. What the served trees are measured against.

In:     Seen; a setting of each rung.
Out:    Rates or Linear, each a Scorer.
Choice: one weight a value of each field; pairs that a person named are hashed into one bounded table.
Else:   the served baseline, which is `lr` without its trials; Vowpal Wabbit, where one machine reads billions of rows.
Breaks: a cross nobody thought of; hashed pairs that share a weight (fewer buckets, more of them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ad_click.features import Inputs
from ad_click.model.fields import Fields, Seen
from common.contract import Floats, Ints
from common.features.encoders import hash_bucket

BUCKETS = 2**18
CROSSES = (  # what a person who knows the product would write down, for the world's columns and for Frappe's
    ("topic_id", "device"), ("topic_id", "hour"), ("topic_id", "age"), ("topic_id", "country"), ("user_id", "topic_id"),
    ("ad_id", "slot"), ("user_id", "ad_id"), ("ad_id", "daytime"), ("ad_id", "weather"), ("ad_id", "city"), ("ad_id", "country"),
)  # fmt: skip


def rate(seen: Seen, strength: float) -> Rates:
    """The clicks of each ad over its impressions, with `strength` impressions at everybody's rate beside its own; infinity: everybody's alone."""
    overall = float(seen.label.mean())
    if strength == np.inf:
        return Rates(np.array([overall]))
    ad = seen.inputs.codes[:, seen.inputs.code_names.index("ad_id")]
    size = seen.inputs.sizes[seen.inputs.code_names.index("ad_id")]
    clicks, shown = np.bincount(ad, seen.label, size), np.bincount(ad, minlength=size)
    return Rates((clicks + strength * overall) / (shown + strength))


def lr(seen: Seen, l2: float) -> Linear:
    """Newton-like steps (L-BFGS) on the log loss plus l2 / 2 * |weights|^2."""
    return logistic(seen.inputs, seen.label, l2)


def crosses(seen: Seen, l2: float) -> Linear:
    """The same with the pairs of CROSSES that these rows have."""
    return logistic(seen.inputs, seen.label, l2, CROSSES)


@dataclass(frozen=True)
class Step:
    """Of FTRL-Proximal: alpha, beta set the learning rate of a coordinate, alpha / (beta + sqrt(sum of squared gradients))."""

    alpha: float
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 1.0


def ftrl(seen: Seen, step: Step) -> Linear:
    """One pass over the rows in their order, each seen once: FTRL-Proximal, Algorithm 1 of McMahan et al. 2013 (Ad Click Prediction: a
    View from the Trenches), every feature 1 or 0. A day's rows later, the pass goes on from z and n: nothing is fitted anew."""
    fields = Fields.fit(seen.inputs)
    z, n = np.zeros(fields.width + 1), np.zeros(fields.width + 1)
    follow(z, n, fields.places(seen.inputs), seen.label, step)
    return as_of_now(fields, z, n, step)


def follow(z: Floats, n: Floats, places: Ints, label: Floats, step: Step) -> None:
    """Goes on from z and n [width], which it moves; the last coordinate is the intercept, there in every row."""
    for at, y in zip(np.column_stack([places, np.full(len(places), len(z) - 1)]), label, strict=True):
        weight = proximal(z[at], n[at], step)
        gradient = 1 / (1 + np.exp(-weight.sum())) - y
        after = n[at] + gradient * gradient
        z[at] += gradient - (np.sqrt(after) - np.sqrt(n[at])) / step.alpha * weight
        n[at] = after


def as_of_now(fields: Fields, z: Floats, n: Floats, step: Step) -> Linear:
    """The line that z and n have come to."""
    weights = proximal(z, n, step)
    return Linear(fields, (), weights[:-1], float(weights[-1]))


def proximal(z: Floats, n: Floats, step: Step) -> Floats:
    """The weight that minimises z w + (beta + sqrt(n)) / alpha w^2 / 2 + l1 |w| + l2 w^2 / 2."""
    shrunk = np.sign(z) * np.maximum(np.abs(z) - step.l1, 0.0)
    weight: Floats = -shrunk / ((step.beta + np.sqrt(n)) / step.alpha + step.l2)
    return weight


@dataclass(frozen=True, eq=False)
class Rates:
    """rates [ads], or one for all."""

    rates: Floats

    def score(self, inputs: Inputs) -> Floats:
        ad = inputs.codes[:, inputs.code_names.index("ad_id")] if len(self.rates) > 1 else np.zeros(len(inputs), int)
        found: Floats = self.rates[ad]
        return found

    def num_bytes(self) -> int:
        return self.rates.nbytes


@dataclass(frozen=True, eq=False)
class Linear:
    """weights [width of the fields, then BUCKETS if there are pairs]."""

    fields: Fields
    pairs: tuple[tuple[int, int], ...]
    weights: Floats
    intercept: float

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        logits = self.weights[design(self.fields, self.pairs, inputs)].sum(axis=1) + self.intercept
        found: Floats = 1 / (1 + np.exp(-logits))
        return found

    def num_bytes(self) -> int:
        return self.weights.nbytes


def logistic(inputs: Inputs, label: Floats, l2: float, named: Sequence[tuple[str, str]] = ()) -> Linear:
    """One weight a value of each field, and one a pair of values of each named pair of fields."""
    fields = Fields.fit(inputs)
    known = fields.names
    pairs = tuple((known.index(one), known.index(two)) for one, two in named if one in known and two in known)
    width = fields.width + BUCKETS * bool(pairs)
    weights, intercept = minimise(design(fields, pairs, inputs), width, label, l2)
    return Linear(fields, pairs, weights, intercept)


def design(fields: Fields, pairs: Sequence[tuple[int, int]], inputs: Inputs) -> Ints:
    """[n, f + pairs] which weights a row has. Two codes are told apart below 2^24; the pair's own place keeps pairs apart."""
    codes, places = fields.codes(inputs), fields.places(inputs)
    crossed = [
        fields.width + hash_bucket(codes[:, one] << 24 | codes[:, two], BUCKETS, seed=place)
        for place, (one, two) in enumerate(pairs)
    ]
    return np.column_stack([places, *crossed])


def minimise(places: Ints, width: int, label: Floats, l2: float) -> tuple[Floats, float]:
    """-> weights [width], intercept of a logistic regression on rows of ones at `places` [n, k]; as patient as the baseline."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    num_rows, per_row = places.shape
    starts = np.arange(0, num_rows * per_row + 1, per_row)
    ones = csr_matrix((np.ones(places.size), places.ravel().astype(np.int32), starts), shape=(num_rows, width))
    line = LogisticRegression(C=1 / l2, max_iter=1000, tol=1e-5).fit(ones, label)
    return line.coef_[0], float(line.intercept_[0])
