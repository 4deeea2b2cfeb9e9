"""Small worlds of one order of interaction each: which rung wins is known before anybody trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ad_click.config import Config
from ad_click.features import Inputs
from ad_click.model import leaves, linear
from ad_click.model.fields import Rung, Seen, rows
from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.classification import log_loss_units
from common.eval.report import Interval
from common.training.progress import say

RUNGS = ("LR", "FM", "DCN", "GBDT")
SIZES: Mapping[str, tuple[int, ...]] = {  # values of each field; the first is the user, whose rows belong together
    "linear": (500, 200, 50, 20, 10),
    "pairwise": (500, 400, 20),
    "third": (60, 20, 20),
}
CLAIMS: Mapping[
    str, tuple[str, tuple[str, ...]]
] = {  # order -> who wins, over whom; on the line it is enough that nobody beats LR
    "linear": ("LR", ("FM", "DCN", "GBDT")),
    "pairwise": ("FM", ("LR",)),
    "third": ("DCN", ("FM",)),
}


def planted_orders(config: Config) -> Table:
    """Does each rung win where its order of interaction is planted? Three small worlds of rows with 20 to 40 % clicks, five seeds: log loss
    by rung, and in the seed where it went worst the difference of who should win to who should lose, with its interval over users. Every rung has one setting for all worlds. The foil is in each row: a rung of too low an order."""
    small = config.preset == "smoke"
    return [_row(order, 20_000 if small else 200_000, range(1 if small else 5), config) for order in CLAIMS]


def _row(order: str, num_rows: int, seeds: range, config: Config) -> dict[str, object]:
    winner, losers = CLAIMS[order]
    found = []
    for seed in seeds:
        world = plant(order, num_rows, seed)
        units = {"truth": log_loss_units(world.label, world.probability)}
        units |= {name: log_loss_units(world.label, fit(name, world.seen, config).score(world.test)) for name in RUNGS}
        best = min(losers, key=lambda name, units=units: units[name].mean())  # type: ignore[misc]
        difference = intervals.mean(units[winner] - units[best], world.user_id)
        found.append((difference, {name: float(one.mean()) for name, one in units.items()}, float(world.label.mean())))
        say(
            f"{order}, seed {seed}: {winner} - {best} {difference.value:+.5f} [{difference.low:+.5f}, {difference.high:+.5f}]"
        )
    worst = max((difference for difference, _, _ in found), key=lambda one: one.value)
    held = sum(holds(order, difference) for difference, _, _ in found)
    return {
        "world": order,
        "claim": f"{winner} over {losers[0]}" if len(losers) == 1 else f"{winner} within the interval of the best",
        "holds": f"{held} of {len(seeds)}",
        "worst_difference": worst.value,
        "low": worst.low,
        "high": worst.high,
        **{name: float(np.mean([losses[name] for _, losses, _ in found])) for name in (*RUNGS, "truth")},
        "clicked": float(np.mean([share for _, _, share in found])),
    }


def holds(order: str, difference: Interval) -> bool:
    """The whole interval below zero; on the line, not wholly above it."""
    assert difference.low is not None and difference.high is not None
    return difference.low <= 0 if order == "linear" else difference.high < 0


def fit(name: str, seen: Seen, config: Config) -> Rung:
    """One setting a rung for all three worlds."""
    if name == "LR":
        return linear.lr(seen, l2=1.0)
    if name == "GBDT":
        eager = replace(
            config, num_trees=150, learning_rate=0.1, min_leaf=20, min_hessian=5.0, min_group=20, most_values=1_000
        )
        return leaves.gbdt(seen, leaves.Growth(num_leaves=31), eager)
    from ad_click.model import neural

    setting = neural.Setting(
        size=8, hidden=(32,), dropout=0.0, penalty=1e-5, learning_rate=1e-2, batch_size=2048, epochs=15, patience=3, bins=0, seed=config.seed
    )  # fmt: skip
    return neural.fit(seen, neural.KINDS[name], setting)


@dataclass(frozen=True, eq=False)
class Small:
    """70 % of the rows to train, 10 % to validate, 20 % to test. probability: of the test rows, as planted."""

    seen: Seen
    test: Inputs
    label: Floats
    user_id: Ints
    probability: Floats


def plant(order: str, num_rows: int, seed: int) -> Small:
    """Clicks of one order: a weight a value, an inner product of each pair of fields, or the product of three fields; no lower order helps,
    as every weight is centred."""
    rng = np.random.default_rng([seed, 7])
    sizes = SIZES[order]
    codes = np.column_stack([rng.integers(1, size + 1, num_rows) for size in sizes])
    logit = STRENGTH[order][0] * _signal(order, codes, sizes, rng) + STRENGTH[order][1]
    probability = 1 / (1 + np.exp(-logit))
    label = (rng.random(num_rows) < probability).astype(np.float64)
    names = ("user_id", "ad_id", "topic_id", "device", "country")[: len(sizes)]
    inputs = Inputs(np.empty((num_rows, 0)), codes, (), names, tuple(size + 1 for size in sizes))
    train, valid = int(0.7 * num_rows), int(0.8 * num_rows)
    parts = slice(train), slice(train, valid), slice(valid, None)
    seen = Seen(rows(inputs, parts[0]), label[parts[0]], rows(inputs, parts[1]), label[parts[1]])
    return Small(seen, rows(inputs, parts[2]), label[parts[2]], codes[parts[2], 0], probability[parts[2]])


STRENGTH: Mapping[str, tuple[float, float]] = {"linear": (0.6, -1.0), "pairwise": (0.8, -1.0), "third": (2.0, -1.0)}
"""What the signal is multiplied by, and the intercept: about three rows in ten are clicked."""


def _signal(order: str, codes: Ints, sizes: tuple[int, ...], rng: np.random.Generator) -> Floats:
    if order == "linear":
        parts = [_weights(rng, size)[code] for size, code in zip(sizes, codes.T - 1, strict=True)]
        return np.sum(parts, axis=0)  # type: ignore[no-any-return]
    if order == "third":
        parts = [_signs(rng, size)[code] for size, code in zip(sizes, codes.T - 1, strict=True)]
        return np.prod(parts, axis=0)  # type: ignore[no-any-return]
    vectors = [_weights(rng, size, 4)[code] for size, code in zip(sizes, codes.T - 1, strict=True)]
    parts = [(vectors[i] * vectors[j]).sum(axis=1) / 2 for i in range(len(sizes)) for j in range(i)]
    return np.sum(parts, axis=0)  # type: ignore[no-any-return]


def _weights(rng: np.random.Generator, *shape: int) -> Floats:
    drawn = rng.normal(size=shape)
    centred: Floats = drawn - drawn.mean(axis=0)
    return centred


def _signs(rng: np.random.Generator, size: int) -> Floats:
    """As many -1 as 1: were one more frequent, two fields would say something without the third."""
    return rng.permutation(np.where(np.arange(size) % 2, 1.0, -1.0))


EXPERIMENTS: Mapping[str, Experiment] = {"planted_orders": planted_orders}
