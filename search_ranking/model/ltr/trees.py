"""Boosted trees as scorer: LambdaMART, which is told NDCG, or a regression on the grade, which is not.

In:     Groups to learn from, Groups to stop by, a Setting; `position` [n], if the grades are clicks and the place of each was logged.
Out:    Trees: LightGBM's text, and the sum of its bytes.
Choice: LightGBM's lambdarank (Burges 2010, MSR-TR-2010-82, section 7) with gains 2^g - 1, stopped by the same NDCG@10 as the networks.
Else:   the regression, where grades are no whole numbers or LambdaMART's lists are too short to learn from.
Breaks: LightGBM's text reader trusts its input: a child that points nowhere is a crash. `load` refuses what is not a tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats, Ints
from common.data.reading import expect_sha256, sha256
from common.errors import InputError, did_you_mean
from common.serving.trees import MOST_LEAVES, QuickTrees
from common.training.seeding import lightgbm_threads
from search_ranking.model.ltr import TOP_GRADE, Groups, mean_ndcg

OBJECTIVES = ("lambdarank", "regression", "binary")
ONE_REQUEST = 2_000  # rows; above, LightGBM's own walk is quicker
GAINS = [2**grade - 1 for grade in range(int(TOP_GRADE) + 1)]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The defaults are LightGBM's own, but for `patience`: the first trees of a regression may tell easy queries from hard ones, and no order within
    any, so that a short one stops them before they have begun. truncation: pairs count in which one of the two is among so many first (lambdarank alone); normalise:
    the lambdas of every query add up to about the same. monotone: of each feature 1 where the score may only rise with it, -1 where it may only
    fall, 0 where it may do either; empty leaves all free."""

    objective: str = "lambdarank"
    num_trees: int = 100
    num_leaves: int = 31
    learning_rate: float = 0.1
    min_leaf: int = 20
    l2: float = 0.0
    feature_fraction: float = 1.0
    truncation: int = 30
    normalise: bool = True
    patience: int = 100
    seed: int = 0
    monotone: tuple[int, ...] = ()


def fit(groups: Groups, valid: Groups | None, setting: Setting, position: Ints | None = None) -> Trees:
    """`valid` stops the trees at its best NDCG@10; without it all `num_trees` are grown. `position` [n]: where each row was shown; LightGBM
    learns a bias for each place beside the trees, which `score` leaves out (its position-debiased lambdarank; lambdarank alone)."""
    import lightgbm

    _refuse(groups, setting, position)
    table = lightgbm.Dataset(
        groups.features, groups.grades, weight=groups.weights, group=groups.sizes, position=position
    )
    if valid is None:
        booster = lightgbm.train(_parameters(setting), table, setting.num_trees)
        return Trees(str(booster.model_to_string()), groups.features.shape[1])
    booster = lightgbm.train(
        _parameters(setting), table, setting.num_trees, feval=_judge(valid),
        valid_sets=[lightgbm.Dataset(valid.features, valid.grades, group=valid.sizes, reference=table)],
        callbacks=[lightgbm.early_stopping(setting.patience, verbose=False)],
    )  # fmt: skip
    return Trees(str(booster.model_to_string(num_iteration=booster.best_iteration)), groups.features.shape[1])


def load(folder: Path) -> Trees:
    """Refuses trees that are not those that were saved, or are none."""
    path = folder / "trees.json"
    try:
        saved = json.loads(path.read_text())
        digest, num_features = str(saved["sha256"]), int(saved["num_features"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: does not say which trees belong to it ({error}). Publish the model again."
        ) from error
    expect_sha256(folder / "trees.txt", digest)
    text = (folder / "trees.txt").read_text()
    check(text, num_features)
    return Trees(text, num_features)


@dataclass(frozen=True, eq=False)
class Trees:
    """text: LightGBM's; num_features: d of what was learned from."""

    text: str
    num_features: int

    def score(self, features: Floats) -> Floats:
        """[n, d] -> [n]: raw scores; few rows by QuickTrees, the same numbers bit for bit."""
        assert features.shape[1] == self.num_features, (features.shape, self.num_features)
        if 0 < len(features) <= ONE_REQUEST:
            return self._quick.score(features)
        found: Floats = self._booster.predict(features, num_threads=lightgbm_threads(), raw_score=True)
        return found

    def contributions(self, features: Floats) -> Floats:
        """[n, d] -> [n, d]: how far each feature moved each score from the usual one (Lundberg and Lee 2017). Dear: for a page, not for all candidates."""
        found: Floats = self._booster.predict(features, num_threads=1, pred_contrib=True)
        return found[:, :-1]

    def save(self, folder: Path) -> None:
        (folder / "trees.txt").write_text(self.text)
        saved = {"sha256": sha256(folder / "trees.txt"), "num_features": self.num_features}
        (folder / "trees.json").write_text(json.dumps(saved))

    def num_bytes(self) -> int:
        return len(self.text)

    @property
    def num_trees(self) -> int:
        return int(self._booster.num_trees())

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    @cached_property
    def _quick(self) -> QuickTrees:
        return QuickTrees(self._booster)


def check(text: str, num_features: int) -> None:
    """InputError unless `text` is trees of one output over `num_features` numbers, each of them one tree: every split and every leaf is the child
    of one earlier split. Then walking it ends, inside its arrays."""
    head, *trees = text.partition("end of trees")[0].split("\nTree=")
    said = _fields(head)
    if not head.startswith("tree") or said.get("max_feature_idx") != str(num_features - 1):
        raise InputError(f"Not LightGBM's text of trees over {num_features} features. Publish the model again.")
    sound = said.get("num_tree_per_iteration") == "1" and bool(trees)
    for place, tree in enumerate(trees):
        if not sound or not _is_tree(_fields(tree), num_features):
            raise InputError(f"Tree {place} of {len(trees)} is not whole. Publish the model again.")


def _is_tree(said: Mapping[str, str], num_features: int) -> bool:
    try:
        num_leaves = int(said["num_leaves"])
        values, cuts = ([float(word) for word in said.get(name, "").split()] for name in ("leaf_value", "threshold"))
        columns, left, right = (
            [int(word) for word in said.get(name, "").split()]
            for name in ("split_feature", "left_child", "right_child")
        )
    except (KeyError, ValueError):
        return False
    num_splits = num_leaves - 1
    whole = sorted(left + right) == [*range(-num_leaves, 0), *range(1, num_splits)] if num_splits else not left + right
    return (
        0 < num_leaves <= MOST_LEAVES
        and said.get("num_cat") == "0"
        and len(values) == num_leaves
        and len(columns) == len(cuts) == len(left) == len(right) == num_splits
        and whole
        and all(0 <= column < num_features for column in columns)
        and all(child < 0 or child > at for children in (left, right) for at, child in enumerate(children))
    )


def _fields(section: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in section.splitlines())
    return {name: value for name, _, value in pairs}


def _judge(valid: Groups) -> Callable[[Floats, Any], tuple[str, float, bool]]:
    return lambda scores, _: ("ndcg@10", mean_ndcg(scores, valid), True)


def _parameters(setting: Setting) -> dict[str, Any]:
    """The same bytes for the same rows."""
    ranking = {
        "lambdarank_truncation_level": setting.truncation,
        "lambdarank_norm": setting.normalise,
        "label_gain": GAINS,
    }
    return {
        "objective": setting.objective,
        "metric": "None",
        "num_leaves": setting.num_leaves,
        "learning_rate": setting.learning_rate,
        "min_data_in_leaf": setting.min_leaf,
        "lambda_l2": setting.l2,
        "feature_fraction": setting.feature_fraction,
        "seed": setting.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
        **({"monotone_constraints": list(setting.monotone)} if setting.monotone else {}),
        **(ranking if setting.objective == "lambdarank" else {}),
    }


def _refuse(groups: Groups, setting: Setting, position: Ints | None) -> None:
    assert setting.num_leaves <= MOST_LEAVES, setting.num_leaves
    if setting.objective not in OBJECTIVES:
        raise InputError(
            f"There is no objective {setting.objective!r} here. {did_you_mean(setting.objective, OBJECTIVES)}"
        )
    if position is not None and setting.objective != "lambdarank":
        raise InputError(f"Positions are understood by lambdarank alone, not by {setting.objective}: leave them out.")
    odd = groups.grades != np.round(groups.grades)
    if setting.objective == "binary":
        odd = (groups.grades != 0) & (groups.grades != 1)
    if setting.objective != "regression" and odd.any():
        row = int(np.flatnonzero(odd)[0])
        wanted = "0 or 1" if setting.objective == "binary" else "whole grades"
        raise InputError(
            f"Row {row} has grade {groups.grades[row]}; {setting.objective} wants {wanted}. Round them, or use regression."
        )
