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
from ad_click.model import columns_seen, matrix, parameters
from ad_click.model.fields import Seen
from ad_click.model.linear import minimise
from common.contract import Floats, Ints
from common.training.seeding import lightgbm_threads

MOST_TREES = 150
"""Under the regression: each is one more column of it."""


@dataclass(frozen=True)
class Growth:
    """What is tried: leaves of a tree, and for the regression over them its l2. objective: cross_entropy where labels are chances."""

    num_leaves: int
    l2: float = 0.0
    objective: str = "binary"


def gbdt(seen: Seen, growth: Growth, config: Config) -> Trees:
    """LightGBM with the config's own regularisation, until validation log loss has not improved for 30 trees. The trees begin from the log-odds
    of the training rows, which LightGBM would hide in the leaves of the first tree, where a refit takes it for something to unlearn."""
    import lightgbm

    numbers, few = columns_seen(seen.inputs, config)
    start = float(np.log(seen.label.mean() / (1 - seen.label.mean())))
    nothing = Trees(None, numbers, few, start)
    train = nothing.table(seen.inputs, seen.label)
    valid = nothing.table(seen.held_out, seen.held_label, reference=train)
    stop = lightgbm.early_stopping(30, verbose=False)
    grown = parameters(replace(config, num_leaves=growth.num_leaves))
    grown["objective"] = growth.objective
    booster = lightgbm.train(grown, train, config.num_trees, valid_sets=[valid], callbacks=[stop])
    kept = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return replace(nothing, booster=kept)


def gbdt_lr(seen: Seen, growth: Growth, config: Config) -> Leaves:
    trees = gbdt(seen, growth, replace(config, num_trees=min(config.num_trees, MOST_TREES)))
    found = trees.leaves(seen.inputs)
    sizes = np.array([tree["num_leaves"] for tree in trees.booster.dump_model()["tree_info"]])
    weights, intercept = minimise(one_hot(found, sizes), int(sizes.sum()), seen.label, growth.l2)
    return Leaves(trees, sizes, weights, intercept)


def one_hot(leaves: Ints, sizes: Ints) -> Ints:
    """leaves [n, trees], each below its tree's size -> [n, trees] places of the ones in a row as wide as all leaves together."""
    return leaves + np.cumsum(sizes) - sizes


@dataclass(frozen=True, eq=False)
class Trees:
    """start: the log-odds the trees begin from; numbers, few: the columns of numbers and of codes they see."""

    booster: Any
    numbers: tuple[int, ...]
    few: tuple[int, ...]
    start: float

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        found: Floats = 1 / (1 + np.exp(-self.start - self._predict(inputs, raw_score=True)))
        return found

    def leaves(self, inputs: Inputs) -> Ints:
        """[n, trees] the leaf of each tree."""
        return self._predict(inputs, pred_leaf=True).astype(np.int64).reshape(len(inputs), -1)

    def table(self, inputs: Inputs, label: Floats, reference: Any = None) -> Any:
        """The rows as LightGBM trains on them."""
        import lightgbm

        return lightgbm.Dataset(
            matrix(inputs, self.numbers, self.few),
            label,
            init_score=np.full(len(label), self.start),
            categorical_feature=self.categories,
            reference=reference,
        )

    @property
    def categories(self) -> list[int]:
        """Which columns of the matrix are codes."""
        return list(range(len(self.numbers), len(self.numbers) + len(self.few)))

    def num_bytes(self) -> int:
        return len(self.booster.model_to_string())

    def _predict(self, inputs: Inputs, **what: bool) -> Floats:
        threads = lightgbm_threads() if len(inputs) > 5_000 else 1
        columns = matrix(inputs, self.numbers, self.few)
        return np.asarray(self.booster.predict(columns, num_threads=threads, **what), dtype=np.float64)


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
