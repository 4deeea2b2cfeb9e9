"""Off-policy estimators against planted bandits, against every log there can be, and in worlds that break their assumptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest

from common.contract import Floats, Ints
from common.errors import InputError
from common.eval import intervals, off_policy
from common.eval.off_policy import Estimate, Logged

ESTIMATORS: dict[str, Callable[[Logged], Estimate]] = {
    "replay": off_policy.replay,
    "ips": off_policy.ips,
    "clipped": lambda logged: off_policy.clipped_ips(logged, 2.0),
    "snips": off_policy.snips,
}


@dataclass(frozen=True)
class Bandit:
    """Contexts x actions: P(reward), the logging and the target policy. What the target earns is a sum."""

    rewards: Floats
    logging: Floats
    target: Floats

    @property
    def truth(self) -> float:
        return float((self.rewards * self.target).sum(axis=1).mean())

    def log(self, num_users: int, rng: np.random.Generator) -> tuple[Logged, Ints, Ints]:
        """A user is of one context, decides three times and is pleased with all or none at equal odds: rows of one user are not independent.
        -> (log, context, action)."""
        context = np.repeat(rng.integers(0, len(self.rewards), num_users), 3)
        users = np.repeat(np.arange(num_users), 3)
        chosen = self.logging[context].cumsum(axis=1)
        action = np.minimum((rng.random((num_users, 1))[users] > chosen).sum(axis=1), chosen.shape[1] - 1)
        reward = (rng.random(num_users)[users] < self.rewards[context, action]).astype(float)
        at = (context, action)
        found = Logged(reward=reward, propensity=self.logging[at], target=self.target[at], clusters=users)
        return found, context, action


BANDIT = Bandit(
    rewards=np.array([[0.7, 0.2, 0.4], [0.1, 0.3, 0.8], [0.5, 0.5, 0.1]]),
    logging=np.array([[0.6, 0.3, 0.1], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]),
    target=np.array([[0.2, 0.1, 0.7], [0.3, 0.1, 0.6], [0.5, 0.4, 0.1]]),
)
FAR = replace(BANDIT, logging=np.array([[0.899, 0.1, 0.001]] * 3), target=np.array([[0.0, 0.0, 1.0]] * 3))


def coverage(bandit: Bandit, estimate: Callable[[Logged, Ints, Ints], Estimate], reps: int = 400, num_users: int = 250) -> tuple[float, float]:  # fmt: skip
    """-> (share of 95 % intervals that hold the truth, mean error in standard errors of that mean)."""
    held, errors = [], []
    for seed in range(reps):
        found = estimate(*bandit.log(num_users, np.random.default_rng(seed))).interval
        assert found.low is not None and found.high is not None
        held.append(found.low <= bandit.truth <= found.high)
        errors.append(found.value - bandit.truth)
    return float(np.mean(held)), float(np.mean(errors) / (np.std(errors) / reps**0.5))


@pytest.mark.parametrize("name", ["ips", "snips"])
def test_the_right_propensities_give_the_truth_and_honest_intervals(name: str) -> None:
    held, bias = coverage(BANDIT, lambda logged, *_: ESTIMATORS[name](logged))
    assert 0.92 <= held <= 0.98 and abs(bias) < 3.5


@pytest.mark.parametrize("name", ["replay", "clipped"])
def test_what_ignores_the_propensities_or_cuts_them_is_sure_of_a_wrong_value(name: str) -> None:
    held, bias = coverage(BANDIT, lambda logged, *_: ESTIMATORS[name](logged), reps=200, num_users=2_500)
    assert held < 0.6 and abs(bias) > 10


def test_replay_is_right_on_a_log_drawn_uniformly() -> None:
    held, bias = coverage(replace(BANDIT, logging=np.full((3, 3), 1 / 3)), lambda logged, *_: off_policy.replay(logged))
    assert 0.92 <= held <= 0.98 and abs(bias) < 3.5


WRONG_MODEL = BANDIT.rewards[::-1] * 0.5 + 0.2


def doubly(model: Floats, factor: Floats | float = 1.0) -> Callable[[Logged, Ints, Ints], Estimate]:
    def estimate(logged: Logged, context: Ints, action: Ints) -> Estimate:
        told = replace(logged, propensity=np.clip(logged.propensity * (factor * np.ones(3))[action], 0, 1))
        return off_policy.doubly_robust(told, model[context, action], (model * BANDIT.target)[context].sum(axis=1))

    return estimate


@pytest.mark.parametrize(("model", "factor"), [(BANDIT.rewards, np.array([1.5, 1, 0.4])), (WRONG_MODEL, 1.0), (BANDIT.rewards, 1.0)])  # fmt: skip
def test_doubly_robust_needs_one_of_the_two_to_be_right(model: Floats, factor: Floats | float) -> None:
    held, bias = coverage(BANDIT, doubly(model, factor))
    assert 0.92 <= held <= 0.98 and abs(bias) < 3.5


def test_doubly_robust_is_wrong_when_both_are() -> None:
    held, bias = coverage(BANDIT, doubly(WRONG_MODEL, np.array([1.5, 1, 0.4])), reps=200, num_users=2_500)
    assert held < 0.6 and abs(bias) > 10


def test_a_good_model_shortens_the_interval_and_a_bad_one_does_not_bias_it() -> None:
    logged, context, action = BANDIT.log(5_000, np.random.default_rng(0))
    width = {}
    for name, found in (("ips", off_policy.ips(logged)), ("doubly", doubly(BANDIT.rewards)(logged, context, action))):
        assert found.interval.high is not None
        width[name] = found.interval.high - found.interval.value
    assert width["doubly"] < 0.8 * width["ips"]


def test_every_log_of_two_decisions_averages_to_the_closed_form() -> None:
    """The oracle: all logs of two decisions with their probabilities, the estimators written out row by row as their papers (and Open Bandit
    Pipeline) have them, in plain Python. IPS and doubly robust average to the truth to the last digit; SNIPS does not, with two rows."""
    contexts, actions = range(3), range(3)
    decisions = [
        (x, a, r, BANDIT.logging[x, a] * (BANDIT.rewards[x, a] if r else 1 - BANDIT.rewards[x, a]) / 3)
        for x, a, r in product(contexts, actions, (0.0, 1.0))
    ]
    expected = dict.fromkeys(("ips", "clipped", "snips", "doubly"), 0.0)
    for log in product(decisions, repeat=2):
        chance = log[0][3] * log[1][3]
        x, a, r = (np.array([decision[column] for decision in log]) for column in range(3))
        logged = Logged(reward=r, propensity=BANDIT.logging[x, a], target=BANDIT.target[x, a], clusters=np.arange(2))
        by_hand = _by_hand(log)
        found = {name: ESTIMATORS[name](logged).interval.value for name in ("ips", "clipped")}
        found["doubly"] = doubly(WRONG_MODEL)(logged, x, a).interval.value
        if logged.target.sum() > 0:
            found["snips"] = off_policy.snips(logged).interval.value
        for name, value in found.items():
            assert value == pytest.approx(by_hand[name], abs=1e-12)
            expected[name] += chance * value
    assert sum(one[3] * two[3] for one, two in product(decisions, repeat=2)) == pytest.approx(1.0)
    assert expected["ips"] == pytest.approx(BANDIT.truth, abs=1e-12)
    assert expected["doubly"] == pytest.approx(BANDIT.truth, abs=1e-12)
    kept = np.minimum(BANDIT.target / BANDIT.logging, 2.0) * BANDIT.logging
    assert expected["clipped"] == pytest.approx(float((kept * BANDIT.rewards).sum(axis=1).mean()), abs=1e-12)
    assert abs(expected["snips"] - BANDIT.truth) > 0.01


def _by_hand(log: tuple[tuple[int, int, float, float], ...]) -> dict[str, float]:
    terms: dict[str, list[float]] = {"ips": [], "clipped": [], "doubly": [], "weight": []}
    for x, a, r, _ in log:
        weight = BANDIT.target[x, a] / BANDIT.logging[x, a]
        expected = sum(BANDIT.target[x, b] * WRONG_MODEL[x, b] for b in range(3))
        terms["weight"].append(weight)
        terms["ips"].append(weight * r)
        terms["clipped"].append((2.0 if weight > 2.0 else weight) * r)
        terms["doubly"].append(expected + weight * (r - WRONG_MODEL[x, a]))
    found = {name: sum(values) / len(values) for name, values in terms.items()}
    found["snips"] = sum(terms["ips"]) / sum(terms["weight"]) if sum(terms["weight"]) else 0.0
    return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_interval_is_that_of_a_bootstrap_over_users(name: str) -> None:
    logged = BANDIT.log(400, np.random.default_rng(5))[0]
    found = ESTIMATORS[name](logged).interval

    def again(index: Floats, weights: Floats | None = None) -> float:
        rows = np.repeat(index.astype(int), 1 if weights is None else weights.astype(int))
        drawn = {column: getattr(logged, column)[rows] for column in ("reward", "propensity", "target")}
        return float(ESTIMATORS[name](Logged(**drawn, clusters=rows)).interval.value)

    oracle = intervals.bootstrap(
        again, (np.arange(len(logged.reward)).astype(float),), logged.clusters, seed=1, reps=300
    )
    assert found.high is not None and oracle.high is not None
    assert found.value == pytest.approx(oracle.value)
    assert found.high - found.value == pytest.approx(oracle.high - oracle.value, rel=0.15)


def test_intervals_over_rows_are_too_short() -> None:
    """The negative control of the clusters: the same rows, each taken for a user of its own."""
    alone = coverage(BANDIT, lambda logged, *_: off_policy.ips(replace(logged, clusters=np.arange(len(logged.reward)))))
    assert alone[0] < coverage(BANDIT, lambda logged, *_: off_policy.ips(logged))[0] - 0.1


def test_snips_does_not_move_with_a_factor_on_the_propensities_or_a_constant_on_the_reward() -> None:
    logged = BANDIT.log(500, np.random.default_rng(2))[0]
    found = off_policy.snips(logged).interval.value
    scaled = replace(logged, propensity=0.5 * logged.propensity)
    raised = replace(logged, reward=logged.reward + 10)
    assert off_policy.snips(scaled).interval.value == pytest.approx(found)
    assert off_policy.snips(raised).interval.value == pytest.approx(found + 10)
    assert off_policy.ips(scaled).interval.value == pytest.approx(2 * off_policy.ips(logged).interval.value)
    assert abs(off_policy.ips(raised).interval.value - off_policy.ips(logged).interval.value - 10) > 0.05


def test_the_mean_weight_refutes_wrong_propensities_and_a_target_out_of_reach() -> None:
    logged, _, action = BANDIT.log(3_000, np.random.default_rng(3))
    assert not off_policy.diagnose(logged).refuted
    wrong = replace(logged, propensity=np.clip(logged.propensity * np.array([1.5, 1, 0.4])[action], 0, 1))
    assert off_policy.diagnose(wrong).refuted
    never = replace(BANDIT, logging=np.array([[0.6, 0.4, 0.0]] * 3)).log(3_000, np.random.default_rng(3))[0]
    found = off_policy.diagnose(never)
    assert found.refuted and found.mean_weight.value == pytest.approx(BANDIT.target[:, :2].sum() / 3, abs=0.03)


def test_right_propensities_are_refuted_one_time_in_twenty() -> None:
    refuted = [off_policy.diagnose(BANDIT.log(250, np.random.default_rng(seed))[0]).refuted for seed in range(400)]
    assert 0.02 < np.mean(refuted) < 0.09


def test_a_target_far_away_leaves_few_rows_and_intervals_that_are_too_short() -> None:
    logged = FAR.log(1_000, np.random.default_rng(0))[0]
    assert off_policy.diagnose(logged).ess < 10 < 0.1 * len(logged.reward)
    assert coverage(FAR, lambda logged, *_: off_policy.ips(logged), reps=300, num_users=1_000)[0] < 0.9


def test_the_effective_sample_is_the_number_of_equal_weights() -> None:
    assert off_policy.effective(np.full(7, 3.0)) == pytest.approx(7)
    assert off_policy.effective(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert off_policy.effective(np.zeros(3)) == 0
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights = rng.exponential(size=20) ** 3
        assert 1 <= off_policy.effective(weights) <= 20


@pytest.mark.parametrize(("column", "value"), [("propensity", 0.0), ("propensity", 1.5), ("target", -0.1), ("reward", np.nan)])  # fmt: skip
def test_a_row_that_cannot_be_is_refused(column: str, value: float) -> None:
    columns = {"reward": np.ones(3), "propensity": np.full(3, 0.5), "target": np.full(3, 0.5)}
    columns[column] = np.array([0.5, value, 0.5])
    with pytest.raises(InputError, match=f"Row 1 has {column}"):
        Logged(**columns, clusters=np.arange(3))


def test_a_target_that_agrees_nowhere_has_no_ratio() -> None:
    nowhere = Logged(reward=np.ones(4), propensity=np.full(4, 0.5), target=np.zeros(4), clusters=np.arange(4))
    with pytest.raises(InputError, match="says nothing"):
        off_policy.snips(nowhere)
