"""Planted drifts fire and say what they mean; healthy samples are quiet as often as stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.contract import Floats, Ints
from common.errors import InputError
from common.monitoring import alerts
from common.monitoring.alerts import Alert, triage
from common.monitoring.reference import CategoryReference, NumberReference, RateReference, References

NUM_NUMBERS = 10


def sample(rng: np.random.Generator, n: int) -> tuple[dict[str, np.ndarray | tuple[Floats, Floats]], Ints]:
    """Fifteen columns as a case has them: skewed, with ties, with missing values, correlated within a user."""
    user = rng.integers(0, n // 5, n)
    taste = rng.normal(size=n // 5)[user]
    live: dict[str, np.ndarray | tuple[Floats, Floats]] = {}
    for i in range(NUM_NUMBERS):
        values: np.ndarray = taste * (i % 3) + rng.normal(size=n)
        values = np.round(np.exp(values / 2)) if i % 2 else values
        live[f"number_{i}"] = np.where(rng.random(n) < 0.01 * (i % 4), np.nan, values)
    for i in range(3):
        live[f"category_{i}"] = np.char.add("c", rng.zipf(1.5 + i / 2, n).astype(str))
    probability = 1 / (1 + np.exp(2 - taste / 2))
    clicked = (rng.random(n) < probability).astype(float)
    live["ctr"] = (clicked, np.ones(n))
    live["calibration_ratio"] = (probability, clicked)
    return live, user


def reference_of(live: dict[str, np.ndarray | tuple[Floats, Floats]], user: Ints) -> References:
    parts: dict[str, NumberReference | CategoryReference | RateReference] = {}
    for name, values in live.items():
        if isinstance(values, tuple):
            parts[name] = RateReference.of(name, *values, user)
        elif name.startswith("number"):
            parts[name] = NumberReference.of(name, values, user)
        else:
            parts[name] = CategoryReference.of(name, values, user)
    return References(parts)


@pytest.fixture(scope="module")
def reference() -> References:
    return reference_of(*sample(np.random.default_rng(0), 20_000))


@pytest.mark.parametrize("n", [400, pytest.param(3000, marks=pytest.mark.slow)])
def test_healthy_samples_stay_within_the_stated_rate(reference: References, n: int) -> None:
    """Stated: at most 1 % of checks. 200 checks give more than 7 with a chance below one in a thousand."""
    rng = np.random.default_rng(1)
    fired = [bool(reference.check(*sample(rng, n))) for _ in range(200)]
    assert sum(fired) <= 7


def fire(
    reference: References, name: str, values: np.ndarray | tuple[Floats, Floats], live: object, user: Ints
) -> Alert:
    assert isinstance(live, dict)
    found = reference.check({**live, name: values}, user)
    assert [alert.name.split(".")[-1] for alert in found] == [name]
    return found[0]


def test_planted_drifts_fire_alone_and_say_what_they_are(reference: References) -> None:
    rng = np.random.default_rng(2)
    live, user = sample(rng, 3000)
    number, clicks = live["number_0"], live["ctr"]
    assert isinstance(number, np.ndarray)
    assert isinstance(clicks, tuple)
    assert reference.check(live, user) == []
    moved = fire(reference, "number_0", number + 1.0, live, user)
    assert (moved.name, moved.means) == ("drift.number_0", alerts.DATA_DRIFT)
    gone = fire(reference, "number_0", np.where(rng.random(3000) < 0.3, np.nan, number), live, user)
    assert (gone.name, gone.means) == ("missing.number_0", alerts.PIPELINE_FAILED)
    empty = fire(reference, "number_0", np.full(3000, np.nan), live, user)
    assert (empty.name, empty.value) == ("missing.number_0", 1.0)
    stuck = fire(reference, "number_0", np.zeros(3000), live, user)
    assert (stuck.name, stuck.means) == ("stuck.number_0", alerts.PIPELINE_FAILED)
    strangers = fire(reference, "category_0", np.full(3000, "never seen"), live, user)
    assert strangers.means == alerts.DATA_DRIFT
    dropped = fire(reference, "ctr", (clicks[0] * (rng.random(3000) < 0.6), clicks[1]), live, user)
    assert (dropped.name, dropped.means) == ("ctr", alerts.CONCEPT_DRIFT)
    assert dropped.value < reference.parts["ctr"].value  # type: ignore[union-attr]


def test_a_column_that_is_not_there_is_missing_and_a_rate_may_wait(reference: References) -> None:
    live, user = sample(np.random.default_rng(5), 1000)
    found = reference.check({name: live[name] for name in live if name not in {"number_2", "ctr"}}, user)
    assert [(alert.name, alert.means) for alert in found] == [("missing.number_2", alerts.PIPELINE_FAILED)]


def test_no_label_at_all_fires_and_divides_by_nothing(reference: References) -> None:
    ratio = reference.parts["calibration_ratio"]
    assert isinstance(ratio, RateReference)
    alert = ratio.check(np.full(2000, 0.12), np.zeros(2000))
    assert alert is not None
    assert alert.value == np.inf


def test_a_constant_column_may_stay_constant_and_may_not_move() -> None:
    reference = NumberReference.of("c", np.full(1000, 2.0))
    assert reference.check(np.full(300, 2.0)) is None
    assert reference.check(np.full(300, 1.0)) is not None
    assert reference.check(np.full(300, 3.0)) is not None


def test_empty_and_tiny_samples_are_quiet(reference: References) -> None:
    number = reference.parts["number_1"]
    assert isinstance(number, NumberReference)
    assert number.check(np.zeros(0)) is None
    assert number.check(np.array([50.0])) is None


def test_a_significant_but_small_shift_is_quiet() -> None:
    """Negative control for `min_psi`: significance alone would fire here."""
    rng = np.random.default_rng(3)
    reference = NumberReference.of("x", rng.normal(size=100_000))
    shifted = rng.normal(size=100_000) + 0.05
    assert reference.check(shifted) is None
    assert reference.check(shifted, min_psi=0.0) is not None


def test_rate_level_and_clusters() -> None:
    """z at 5 %, over users who differ: about 5 % of healthy samples; without clusters far more."""
    rng = np.random.default_rng(4)

    def users(n: int) -> tuple[Floats, Ints]:
        rate = rng.beta(0.5, 4.5, n)
        return (rng.random((n, 20)) < rate[:, None]).astype(float).ravel(), np.repeat(np.arange(n), 20)

    clicks, user = users(2000)
    of = RateReference.of("ctr", clicks, np.ones(len(clicks)), user, min_change=0.0)
    naive = RateReference.of("ctr", clicks, np.ones(len(clicks)), None, min_change=0.0)
    fired = control = 0
    for _ in range(400):
        live, whose = users(200)
        fired += of.check(live, np.ones(len(live)), whose, alpha=0.05) is not None
        control += naive.check(live, np.ones(len(live)), alpha=0.05) is not None
    assert fired <= 36
    assert control >= 60


def test_saved_and_loaded_is_the_same(reference: References, tmp_path: Path) -> None:
    reference.save(tmp_path)
    assert References.load(tmp_path) == reference


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="denominator of 0"):
        RateReference.of("ctr", np.zeros(3), np.zeros(3))


def alert(means: str, name: str) -> Alert:
    return Alert(name=name, value=1.0, expected="", means=means, action="")


def test_triage_suspects_the_pipeline_first() -> None:
    broken, moved = alert(alerts.PIPELINE_FAILED, "missing.age"), alert(alerts.DATA_DRIFT, "drift.country")
    concept, late = alert(alerts.CONCEPT_DRIFT, "ctr"), alert(alerts.LABELS_LATE, "label_age")
    assert triage([]) is None
    for seen, cause in [
        ([concept], alerts.CONCEPT_DRIFT),
        ([concept, moved], alerts.DATA_DRIFT),
        ([concept, late], alerts.LABELS_LATE),
        ([concept, moved, late, broken], alerts.PIPELINE_FAILED),
    ]:
        found = triage(seen)
        assert found is not None
        assert found.means == cause
    found = triage([concept, broken])
    assert found is not None
    assert "missing.age" in found.action
    assert "explain ctr" in found.action
