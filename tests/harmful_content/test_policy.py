"""Thresholds are where mistakes cost least; the rules hold, and a policy that breaks one is caught."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from common.contract import Floats
from harmful_content.config import SMOKE
from harmful_content.policy import INVARIANTS, Decision, Policy, cheapest, fit
from harmful_content.schema import NO_IMAGES, Rows


def cost(threshold: float, score: Floats, label: Floats, removal: float, harm: float) -> float:
    removed = score >= threshold
    return float((removed & (label == 0)).sum() * removal + (~removed & (label == 1)).sum() * harm)


@pytest.mark.parametrize("harm", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("digits", [6, 1])
def test_no_threshold_costs_less(harm: float, digits: int) -> None:
    """The oracle tries them all."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        label = (rng.random(200) < 0.2).astype(float)
        score: Floats = np.round(0.5 * rng.random(200) + 0.4 * label * rng.random(200), digits)
        ours = cheapest(score, label, np.ones(200), 1.0, harm)
        least = min(cost(threshold, score, label, 1.0, harm) for threshold in [*np.unique(score), 1.1])
        assert cost(ours, score, label, 1.0, harm) == least


def test_dearer_harm_never_raises_a_threshold() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(500) < 0.2).astype(float)
    score = 0.6 * rng.random(500) + 0.4 * label * rng.random(500)
    found = [cheapest(score, label, np.ones(500), 1.0, harm) for harm in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)]
    assert found == sorted(found, reverse=True)


def test_with_hardly_a_positive_the_costs_alone_decide() -> None:
    label, score = np.zeros(50), np.linspace(0, 1, 50)
    label[-3:] = 1
    assert cheapest(score, label, np.ones(50), 1.0, 3.0) == 0.25


def test_what_nobody_labelled_counts_for_nothing() -> None:
    rng = np.random.default_rng(1)
    label, score = (rng.random((300, 1)) < 0.3).astype(float), rng.random((300, 1))
    rows = some_rows(label)
    unknown = replace(rows, natural_label=np.where(np.arange(300)[:, None] < 150, label, np.nan))
    assert fit(score, unknown, SMOKE) == fit(score[:150], rows.take(np.arange(150)), SMOKE)


def test_a_hand_label_takes_the_place_of_a_natural_one_and_weighs_more() -> None:
    rows = some_rows(np.array([[1.0], [0.0]]))
    label, weight = replace(rows, hand_label=np.array([[0.0], [np.nan]])).targets(hand_weight=3.0)
    assert label.tolist() == [[0.0], [0.0]] and weight.tolist() == [[3.0], [1.0]]


def test_the_policy_that_is_most_surely_violated_is_named() -> None:
    policy = Policy((0.5, 0.1))
    assert policy.decide(np.array([0.6, 0.3])) == Decision("remove", 1, 0.3)
    assert policy.decide(np.array([0.4, 0.01])).action == "allow"
    assert policy.decide(None) == Decision("queue", -1, 0.0)


@dataclass(frozen=True)
class Lenient(Policy):
    def decide(self, scores: Floats | None) -> Decision:
        return Decision("allow", -1, 0.0)


@dataclass(frozen=True)
class Backwards(Policy):
    def decide(self, scores: Floats | None) -> Decision:
        return super().decide(None if scores is None else 1 - scores)


@pytest.mark.parametrize("kind", [Lenient, Backwards])
def test_a_policy_that_breaks_a_rule_is_caught(kind: type[Policy]) -> None:
    policy = kind((0.5, 0.5, 0.5))
    seen = {
        sentence
        for sentence, rule in INVARIANTS.items()
        for seed in range(20)
        if rule(policy, np.random.default_rng(seed))
    }
    assert seen
    assert not any(
        rule(Policy((0.5, 0.5, 0.5)), np.random.default_rng(seed)) for rule in INVARIANTS.values() for seed in range(20)
    )


def some_rows(natural: Floats) -> Rows:
    n = len(natural)
    ints, unknown = np.arange(n), np.full(natural.shape, np.nan)
    return Rows(
        post_id=ints, user_id=ints, event_time=ints, moment=ints, text=np.full(n, "x"), image=np.full(n, -1), images=NO_IMAGES,
        natural_label=natural, hand_label=unknown,
    )  # fmt: skip
