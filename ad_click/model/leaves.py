"""The tree rungs: boosted trees on every column, and a logistic regression over the leaves a row falls into.

In:     Seen; how many leaves, how much shrinkage.
Out:    Trees or Leaves, each a Scorer.
Choice: leaves as the crosses nobody had to name (He et al. 2014, Practical Lessons from Predicting Clicks on Ads at Facebook, section 3.1).
Else:   the trees alone, which is what is served: one part to refit instead of two.
Breaks: trees and regression fitted on the same rows: the regression trusts leaves that memorised, and only l2 holds it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.features import Inputs
from ad_click.model import matrix, parameters
from ad_click.model.fields import Seen
from ad_click.model.linear import minimise
from common.contract import Floats, Ints
from common.training.seeding import lightgbm_threads

MOST_TREES = 150
"""Under the regression: each is one more column of it."""


@dataclass(frozen=True)
class Growth:
    """What is tried: leaves of a tree, and for the regression over them its l2."""

    num_leaves: int
    l2: float = 0.0


def gbdt(seen: Seen, growth: Growth, config: Config) -> Trees:
    """LightGBM with the config's own regularisation, until validation log loss has not improved for 30 trees."""
    import lightgbm

    few = tuple(column for column, size in enumerate(seen.inputs.sizes) if 2 < size <= config.most_values)
    unseen = tuple(config.unseen.split())
    numbers = tuple(at for at, name in enumerate(seen.inputs.number_names) if not name.startswith(unseen))
    crossed = list(range(len(numbers), len(numbers) + len(few)))
    train = lightgbm.Dataset(matrix(seen.inputs, numbers, few), seen.label, categorical_feature=crossed)
    valid = lightgbm.Dataset(matrix(seen.held_out, numbers, few), seen.held_label, reference=train)
    stop = lightgbm.early_stopping(30, verbose=False)
    grown = parameters(replace(config, num_leaves=growth.num_leaves))
    booster = lightgbm.train(grown, train, config.num_trees, valid_sets=[valid], callbacks=[stop])
    return Trees(booster, numbers, few)


def gbdt_lr(seen: Seen, growth: Growth, config: Config) -> Leaves:
    trees = gbdt(seen, growth, replace(config, num_trees=min(config.num_trees, MOST_TREES)))
    found = trees.leaves(seen.inputs)
    sizes = np.array([tree["num_leaves"] for tree in trees.booster.dump_model()["tree_info"]][: found.shape[1]])
    weights, intercept = minimise(one_hot(found, sizes), int(sizes.sum()), seen.label, growth.l2)
    return Leaves(trees, sizes, weights, intercept)


def one_hot(leaves: Ints, sizes: Ints) -> Ints:
    """leaves [n, trees], each below its tree's size -> [n, trees] places of the ones in a row as wide as all leaves together."""
    return leaves + np.cumsum(sizes) - sizes


@dataclass(frozen=True, eq=False)
class Trees:
    booster: Any
    numbers: tuple[int, ...]
    few: tuple[int, ...]

    def score(self, inputs: Inputs) -> Floats:
        return np.asarray(self._predict(inputs), dtype=np.float64)

    def leaves(self, inputs: Inputs) -> Ints:
        """[n, trees] the leaf of each tree."""
        found = np.asarray(self._predict(inputs, pred_leaf=True), dtype=np.int64)
        return found.reshape(len(inputs), -1)

    def num_bytes(self) -> int:
        return len(self.booster.model_to_string(num_iteration=self.booster.best_iteration))

    def _predict(self, inputs: Inputs, pred_leaf: bool = False) -> Any:
        threads = lightgbm_threads() if len(inputs) > 5_000 else 1
        return self.booster.predict(matrix(inputs, self.numbers, self.few), num_threads=threads, pred_leaf=pred_leaf)


@dataclass(frozen=True, eq=False)
class Leaves:
    trees: Trees
    sizes: Ints
    weights: Floats
    intercept: float

    def score(self, inputs: Inputs) -> Floats:
        logits = self.weights[one_hot(self.trees.leaves(inputs), self.sizes)].sum(axis=1) + self.intercept
        found: Floats = 1 / (1 + np.exp(-logits))
        return found

    def num_bytes(self) -> int:
        return self.trees.num_bytes() + self.weights.nbytes
