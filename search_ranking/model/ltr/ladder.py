"""The families of learning to rank on the same rows in one table: what each wins over logistic regression, and what it costs.

In:     Groups to learn from, to choose and stop by, to judge on; how many settings each rung may try.
Out:    a table, a row a rung, from the plainest to the dearest.
Choice: random search (Bergstra and Bengio 2012), the same number of settings a rung, its usual one first: fair to those with more to set.
Else:   the papers' own settings, when the question is whether a paper's figure comes out.
Breaks: settings chosen on the test queries: `test` is read once, when every choice has been made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Floats
from common.errors import InputError
from common.eval import intervals
from common.size import num_lines
from common.training.progress import say
from search_ranking.model.ltr import Groups, losses, mean_ndcg, ndcg, networks, trees

FIRST, TUNED, FOIL = "pointwise logistic", "LambdaMART", "LambdaMART, LightGBM's defaults"
CANDIDATES = 200  # rows scored together, as a request has them
Model = networks.Network | trees.Trees


@dataclass(frozen=True, kw_only=True)
class Rung:
    """`draw` makes a setting up; `usual` is the first one tried. `stops`: on valid, else it is grown to the end."""

    name: str
    usual: networks.Setting | trees.Setting
    draw: Callable[[np.random.Generator], dict[str, Any]]
    code: Sequence[object]
    stops: bool = True


def ladder(train: Groups, valid: Groups, test: Groups, trials: int, seed: int) -> list[dict[str, Any]]:
    """One row a rung: `ndcg@10` on test with the interval over queries; `against_logistic` and `against_foil`, the paired differences to the first rung and to the last row; `valid`, what
    its setting was chosen by; train_s, CPU seconds of the setting kept; score_us, CPU time of a row when CANDIDATES are scored together;
    size_mb; trials; lines, of the rung's own code. Queries without a relevant row are left out of every mean: `no_relevant` counts them,
    `one_grade` those of the others in which every order is perfect. The last row is the foil: LambdaMART as LightGBM comes,
    without a choice."""
    if trials < 1:
        raise InputError(f"trials = {trials}: every rung needs one setting at least.")
    fitted = {rung.name: tuned(rung, train, valid, trials, seed) for rung in rungs(seed)}
    fitted[FOIL] = tuned(foil(seed), train, valid, 1, seed)
    units = {name: ndcg(one.model.score(test.features), test)[test.counted] for name, one in fitted.items()}
    return [_row(one, units[name], units[FIRST], units[FOIL], test) for name, one in fitted.items()]


def rungs(seed: int) -> list[Rung]:
    return [
        _network(FIRST, seed, "bce", hidden=()),
        _trees("pointwise trees", seed, "regression"),
        _network("RankNet", seed, "ranknet"),
        _network("LambdaRank", seed, "lambdarank"),
        _network("ListNet", seed, "listnet"),
        _network("ApproxNDCG", seed, "approx_ndcg"),
        _trees(TUNED, seed, "lambdarank"),
    ]


@dataclass(frozen=True)
class Fitted:
    rung: Rung
    model: Model
    valid: float
    seconds: float
    trials: int


def tuned(rung: Rung, train: Groups, valid: Groups, trials: int, seed: int) -> Fitted:
    """The setting of highest NDCG@10 on valid; of equals the earlier."""
    rng = np.random.default_rng(seed)
    settings = [rung.usual] + [_changed(rung.usual, rung.draw(rng)) for _ in range(trials - 1)]
    found = []
    for place, setting in enumerate(settings):
        start = time.process_time()
        model = _fit(train, valid if rung.stops else None, setting)
        seconds = time.process_time() - start
        worth = mean_ndcg(model.score(valid.features), valid)
        say(f"{rung.name}, trial {place + 1}: valid ndcg@10 {worth:.4f}, {seconds:.1f} s{_plateau(model)}")
        found.append(Fitted(rung, model, worth, seconds, trials))
    return max(found, key=lambda one: one.valid)


def _fit(train: Groups, valid: Groups | None, setting: networks.Setting | trees.Setting) -> Model:
    if isinstance(setting, trees.Setting):
        return trees.fit(train, valid, setting)
    assert valid is not None, "a network is stopped by something"
    return networks.fit(train, valid, setting)


def _plateau(model: Model) -> str:
    """Where a network stopped getting better."""
    if isinstance(model, trees.Trees):
        return f", {model.num_trees} trees"
    values = [-row["valid"] for row in model.history]
    return f", {len(values)} epochs: " + " ".join(f"{value:.4f}" for value in values[:: max(1, len(values) // 6)])


def _row(one: Fitted, units: Floats, first: Floats, foil: Floats, test: Groups) -> dict[str, Any]:
    queries = np.arange(len(units))
    level, against, other = (intervals.mean(part, queries) for part in (units, units - first, units - foil))
    return {
        "model": one.rung.name,
        "ndcg@10": level.value,
        "low": level.low,
        "high": level.high,
        "against_logistic": against.value,
        "against_low": against.low,
        "against_high": against.high,
        "against_foil": other.value,
        "foil_low": other.low,
        "foil_high": other.high,
        "valid": one.valid,
        "trials": one.trials,
        "train_s": one.seconds,
        "score_us": _microseconds(one.model, test.features[:CANDIDATES]),
        "size_mb": one.model.num_bytes() / 1e6,
        "lines": num_lines(*one.rung.code),
        "queries": len(units),
        "no_relevant": int((~test.counted).sum()),
        "one_grade": int((test.counted & test.one_grade).sum()),
    }


def _microseconds(model: Model, features: Floats) -> float:
    """CPU time of a row: the median of seven."""
    model.score(features)
    times = []
    for _ in range(7):
        start = time.process_time()
        model.score(features)
        times.append(time.process_time() - start)
    return float(np.median(times)) / len(features) * 1e6


def _network(name: str, seed: int, loss: str, **usual: Any) -> Rung:
    def draw(rng: np.random.Generator) -> dict[str, Any]:
        drawn: dict[str, Any] = {
            "learning_rate": float(np.exp(rng.uniform(np.log(2e-3), np.log(3e-2)))),
            "weight_decay": float(rng.choice([0.0, 0.01, 0.1, 0.5])),
            "batch_size": int(rng.choice([16, 32, 64])),
        }
        if "hidden" not in usual:
            drawn["hidden"] = (int(rng.choice([16, 32, 64])),) * int(rng.choice([1, 2]))
        if loss == "approx_ndcg":
            drawn["temperature"] = float(rng.choice([0.1, 0.3, 1.0]))
        return drawn

    code = (networks, losses.LOSSES[loss])
    return Rung(name=name, usual=networks.Setting(loss=loss, seed=seed, **usual), draw=draw, code=code)


def _trees(name: str, seed: int, objective: str) -> Rung:
    def draw(rng: np.random.Generator) -> dict[str, Any]:
        drawn = {
            "num_leaves": int(rng.choice([4, 8, 16, 31])),
            "learning_rate": float(rng.choice([0.03, 0.06, 0.1])),
            "min_leaf": int(rng.choice([20, 50, 100])),
            "l2": float(rng.choice([0.0, 1.0, 10.0])),
            "feature_fraction": float(rng.choice([0.5, 0.8, 1.0])),
        }
        if objective == "lambdarank":
            drawn |= {"truncation": int(rng.choice([10, 20, 30])), "normalise": bool(rng.choice([True, False]))}
        return drawn

    usual = trees.Setting(objective=objective, num_trees=600, seed=seed)
    return Rung(name=name, usual=usual, draw=draw, code=(trees,))


def foil(seed: int) -> Rung:
    return Rung(name=FOIL, usual=trees.Setting(seed=seed), draw=lambda _: {}, code=(trees,), stops=False)


def _changed(setting: networks.Setting | trees.Setting, drawn: dict[str, Any]) -> networks.Setting | trees.Setting:
    return type(setting)(**(vars(setting) | drawn))
