"""The ladder of learning to rank: every loss against its formula written out in loops, every scorer against what was planted.

Two worlds: in `additive` relevance is a sum over features, in `interactions` it is not. What they say about each other at full size:
python -c "from tests.search_ranking.test_ltr import measured; measured('additive', trials=4, seed=0)"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from torch import Tensor

from common.contract import Floats, Ints
from common.errors import InputError
from search_ranking.model.ltr import Groups, ladder, mean_ndcg, ndcg, networks, planted, trees
from search_ranking.model.ltr.losses import LOSSES, Loss, approx_ndcg
from search_ranking.model.ltr.planted import world

# ---------------------------------------------------------------------------------------------------------------------- the worlds


def truth(kind: str, groups: Groups) -> Floats:
    return planted.truth(kind, groups.features)


def measured(
    kind: str, trials: int, seed: int, sizes: tuple[int, int, int] = (800, 300, 1_500)
) -> list[dict[str, Any]]:
    """The ladder at the size the report quotes, with the planted truth under it."""
    train, valid, test = (world(kind, size, 10 * seed + place) for place, size in enumerate(sizes))
    rows = ladder.ladder(train, valid, test, trials, seed)
    for row in rows:
        print(  # noqa: T201
            f"{row['model']:32} {row['ndcg@10']:.4f} [{row['low']:.4f}, {row['high']:.4f}]  "
            f"{row['against_logistic']:+.4f} [{row['against_low']:+.4f}, {row['against_high']:+.4f}]  "
            f"{row['against_foil']:+.4f} [{row['foil_low']:+.4f}, {row['foil_high']:+.4f}]  valid {row['valid']:.4f}  "
            f"{row['train_s']:6.1f} s {row['score_us']:6.2f} us {row['size_mb']:.3f} MB {row['trials']} trials {row['lines']} lines"
        )
    counts = {name: rows[0][name] for name in ("queries", "no_relevant", "one_grade")}
    print(f"truth {mean_ndcg(truth(kind, test), test):.4f}", counts)  # noqa: T201
    return rows


# ---------------------------------------------------------------------------------------------------------------------- the metric


def small(seed: int, num_queries: int = 12, ties: bool = True) -> tuple[Groups, Floats]:
    """Groups of 1 to 6 rows and scores for them, many of them equal."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, num_queries)
    rows = int(sizes.sum())
    groups = Groups(features=np.zeros((rows, 1)), grades=rng.integers(0, 5, rows).astype(float), sizes=sizes)
    return groups, (rng.integers(0, 3, rows).astype(float) if ties else rng.normal(size=rows))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 3, 10])
def test_ndcg_is_that_of_ir_measures(seed: int, k: int) -> None:
    groups, scores = small(seed, ties=False)
    names = [(str(query), str(row)) for row, query in enumerate(groups.query)]
    qrels = [ir_measures.Qrel(*name, int(grade)) for name, grade in zip(names, groups.grades, strict=True)]
    run = [ir_measures.ScoredDoc(*name, score) for name, score in zip(names, scores, strict=True)]
    measure = ir_measures.nDCG @ k
    theirs = {found.query_id: found.value for found in ir_measures.iter_calc([measure], qrels, run)}
    ours = ndcg(scores, groups, k)
    np.testing.assert_allclose(ours, [theirs[str(query)] for query in range(len(ours))], atol=1e-9)


def test_tied_scores_have_the_mean_of_all_their_orders() -> None:
    groups, scores = small(5)
    for query, (start, size) in enumerate(zip(groups.starts, groups.sizes, strict=True)):
        rows = slice(start, start + size)
        alone = Groups(features=groups.features[rows], grades=groups.grades[rows], sizes=np.array([size]))
        orders = [np.array(order) for order in permutations(range(size))]
        broken = [ndcg(scores[rows] + 1e-6 * order, alone, 3)[0] for order in orders]
        assert ndcg(scores, groups, 3)[query] == pytest.approx(float(np.mean(broken)))


def test_a_constant_scorer_gains_nothing_from_the_order_of_the_rows() -> None:
    groups = world("additive", 300, 0)
    sorted_rows = np.lexsort((-groups.grades, groups.query))
    best_first = replace(groups, features=groups.features[sorted_rows], grades=groups.grades[sorted_rows])
    flat = np.zeros(len(groups.grades))
    np.testing.assert_allclose(ndcg(flat, groups), ndcg(flat, best_first))
    assert mean_ndcg(flat, groups) < 0.6 < mean_ndcg(groups.grades, groups) == 1


def test_queries_without_a_relevant_row_do_not_count_and_those_of_one_grade_say_nothing() -> None:
    groups = Groups(features=np.zeros((6, 1)), grades=np.array([0, 0, 2, 2, 1, 0.0]), sizes=np.array([2, 2, 2]))
    assert groups.counted.tolist() == [False, True, True] and groups.one_grade.tolist() == [True, True, False]
    up, down = np.arange(6.0), -np.arange(6.0)
    np.testing.assert_allclose(ndcg(up, groups), [0, 1, 1 / np.log2(3)])
    np.testing.assert_allclose(ndcg(down, groups), [0, 1, 1])
    assert mean_ndcg(down, groups) == 1
    with pytest.raises(InputError, match="None of 1 queries has a row of a grade above 0"):
        mean_ndcg(np.zeros(2), Groups(features=np.zeros((2, 1)), grades=np.zeros(2), sizes=np.array([2])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": np.array([3, 0])}, "1 of 2 queries have no rows"),
        ({"sizes": np.array([2, 2])}, "groups of 4 rows"),
        ({"grades": np.array([0, 5, 1.0])}, "Row 1 has grade 5.0"),
        ({"grades": np.array([0, np.nan, 1.0])}, "Row 1 has grade nan"),
        ({"features": np.array([[0.0], [1.0], [np.inf]])}, "Row 2, feature 0 is inf"),
        ({"weights": np.array([1, 1, -1.0])}, "Row 2 has weight -1.0"),
    ],
)
def test_groups_refuse_what_cannot_be_ranked(change: dict[str, Any], message: str) -> None:
    lawful: dict[str, Any] = {"features": np.zeros((3, 1)), "grades": np.zeros(3), "sizes": np.array([1, 2])}
    with pytest.raises(InputError, match=message):
        Groups(**(lawful | change))


# ---------------------------------------------------------------------------------------------------------------------- the losses


def _num_pairs(g: Floats) -> int:
    return sum(g[i] > g[j] for i in range(len(g)) for j in range(len(g)))


def _over_pairs(s: Floats, g: Floats, w: Floats, worth: Callable[[int, int], float]) -> float:
    rows = range(len(s))
    return float(sum(w[i] * worth(i, j) * np.log(1 + np.exp(s[j] - s[i])) for i in rows for j in rows if g[i] > g[j]))


def _dcg(g: Floats, places: Floats) -> float:
    return float(sum((2**grade - 1) / np.log2(1 + place) for grade, place in zip(g, places, strict=True)))


def _best(g: Floats) -> float:
    return _dcg(-np.sort(-g), np.arange(1.0, len(g) + 1))


def _swap(s: Floats, g: Floats, i: int, j: int) -> float:
    """NDCG before and after i and j have changed places: no formula for the difference."""
    places = 1 + np.array([sum(s > own) for own in s]).astype(float)
    swapped = places.copy()
    swapped[[i, j]] = places[[j, i]]
    return abs(_dcg(g, swapped) - _dcg(g, places)) / _best(g)


def _approx(s: Floats, g: Floats, w: Floats, temperature: float = 0.1) -> float:
    if _num_pairs(g) == 0:
        return 0.0
    total = 0.0
    for i in range(len(s)):
        place = 1 + sum(1 / (1 + np.exp((s[i] - s[j]) / temperature)) for j in range(len(s)) if j != i)
        total += w[i] * (2 ** g[i] - 1) / np.log2(1 + place)
    return float(1 - total / _best(g))


ORACLES: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "bce": lambda s, g, w: float(np.mean(w * (np.log1p(np.exp(s)) - g / 4 * s))),
    "mse": lambda s, g, w: float(np.mean(w * (s - g) ** 2)),
    "ranknet": lambda s, g, w: _over_pairs(s, g, w, lambda i, j: 1.0) / max(1, _num_pairs(g)),
    "lambdarank": lambda s, g, w: _over_pairs(s, g, w, lambda i, j: _swap(s, g, i, j)),
    "listnet": lambda s, g, w: (
        -sum(w[i] * np.exp(g[i]) / np.exp(g).sum() * np.log(np.exp(s[i]) / np.exp(s).sum()) for i in range(len(s)))
    ),
    "approx_ndcg": _approx,
}


def padded(groups: Groups, scores: Floats, weights: Floats, extra: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """[q, m] in doubles; padding holds numbers that must not matter."""
    longest = int(groups.sizes.max()) + extra
    mask = np.arange(longest) < groups.sizes[:, None]
    found = []
    for column in (scores, groups.grades, weights):
        table = np.full(mask.shape, 3.0)
        table[mask] = column
        found.append(torch.from_numpy(table))
    return found[0], found[1], torch.from_numpy(mask), found[2]


def case(seed: int) -> tuple[Groups, Floats, Floats]:
    groups, scores = small(seed, ties=False)
    return groups, scores, np.random.default_rng(seed + 100).uniform(0.2, 3, len(scores))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(4))
def test_a_loss_is_its_formula_written_out(name: str, seed: int) -> None:
    groups, scores, weights = case(seed)
    found = LOSSES[name](*padded(groups, scores, weights, extra=seed)).numpy()
    rows = [slice(start, start + size) for start, size in zip(groups.starts, groups.sizes, strict=True)]
    expected = [ORACLES[name](scores[row], groups.grades[row], weights[row]) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_lambdas_are_those_of_burges() -> None:
    """lambda_i by hand, pair by pair: minus |swap| / (1 + exp(s_i - s_j)) to the better, plus to the worse (Burges 2010, equations 3 to 5)."""
    groups, scores, weights = case(2)
    table, grades, mask, _ = padded(groups, scores, weights)
    table.requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES["lambdarank"](table, grades, mask, torch.ones_like(table)).sum(), table)
    for query, (start, size) in enumerate(zip(groups.starts, groups.sizes, strict=True)):
        s, g = scores[start : start + size], groups.grades[start : start + size]
        lambdas = np.zeros(size)
        for i, j in permutations(range(size), 2):
            if g[i] > g[j]:
                push = _swap(s, g, i, j) / (1 + np.exp(s[i] - s[j]))
                lambdas[i] -= push
                lambdas[j] += push
        np.testing.assert_allclose(gradient[query, :size].numpy(), lambdas, atol=1e-12)
        assert not gradient[query, size:].any()


def slope_is_right(loss: Loss, seed: int) -> bool:
    groups, scores, weights = case(seed)
    table, grades, mask, weigh = padded(groups, scores, weights)
    table.requires_grad_()
    return bool(
        torch.autograd.gradcheck(lambda s: loss(s, grades, mask, weigh), (table,), eps=1e-7, raise_exception=False)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_slope(name: str) -> None:
    """lambdarank too: its weights of pairs are steps of the scores, flat between them."""
    assert all(slope_is_right(LOSSES[name], seed) for seed in range(2))


@pytest.mark.parametrize("name", LOSSES)
def test_adding_a_number_to_a_query_changes_nothing_but_in_pointwise_losses(name: str) -> None:
    groups, scores, weights = case(3)
    one = LOSSES[name](*padded(groups, scores, weights))
    other = LOSSES[name](*padded(groups, scores + groups.query - 4.0, weights))
    assert torch.allclose(one, other) == (name not in ("bce", "mse"))


@pytest.mark.parametrize("name", LOSSES)
def test_rows_in_another_order_have_their_own_gradients(name: str) -> None:
    groups, scores, weights = case(4)
    table, grades, mask, weigh = padded(groups, scores, weights)
    order = torch.from_numpy(np.random.default_rng(0).permutation(table.shape[1]))

    def slopes(*columns: Tensor) -> Tensor:
        leaf = columns[0].clone().requires_grad_()
        return torch.autograd.grad(LOSSES[name](leaf, *columns[1:]).sum(), leaf)[0]

    moved = slopes(*(column[:, order] for column in (table, grades, mask, weigh)))
    assert torch.allclose(slopes(table, grades, mask, weigh)[:, order], moved)


def mixed(seed: int) -> Groups:
    groups = small(seed, 40)[0]
    keep = ~groups.one_grade
    rows = keep[groups.query]
    return Groups(features=groups.features[rows], grades=groups.grades[rows], sizes=groups.sizes[keep])


def right(groups: Groups, steep: float) -> Floats:
    """The grades times `steep`. Spread apart, rows of one grade are too: tied ones are half in each other's way for approx_ndcg."""
    found: Floats = steep * (groups.grades + 0.1 * (steep != 1) * np.linspace(0, 1, len(groups.grades)))
    return found


def prefers_the_right_order(loss: Loss, seed: int, steep: float) -> bool:
    """Of the right scores, the same upside down and ten at random, do the first have the least loss in every query?"""
    groups = mixed(seed)
    rng, ones = np.random.default_rng(seed), np.ones(len(groups.grades))
    least = loss(*padded(groups, right(groups, steep), ones))
    others = [-right(groups, steep), *(steep * rng.uniform(0, 4, len(ones)) for _ in range(10))]
    return all(bool((least <= loss(*padded(groups, other, ones)) + 1e-6).all()) for other in others)


@pytest.mark.parametrize("name", ["ranknet", "lambdarank", "approx_ndcg"])
def test_a_perfect_order_spread_apart_has_no_loss(name: str) -> None:
    assert prefers_the_right_order(LOSSES[name], 1, steep=2_000.0)
    groups = mixed(1)
    ones = np.ones(len(groups.grades))
    costs = [float(LOSSES[name](*padded(groups, right(groups, steep), ones)).mean()) for steep in (0.05, 0.9, 2_000)]
    assert costs[0] > costs[1] > costs[2] and costs[2] < 1e-3


@pytest.mark.parametrize("name", ["mse", "listnet"])
def test_the_grades_themselves_have_the_least_loss(name: str) -> None:
    """mse and listnet want levels, not distance: spread apart, the perfect order costs more than at its grades."""
    groups, ones = mixed(1), np.ones(len(mixed(1).grades))
    assert prefers_the_right_order(LOSSES[name], 1, steep=1.0)
    at, apart = (LOSSES[name](*padded(groups, steep * groups.grades, ones)).sum() for steep in (1.0, 40.0))
    assert at < apart


@pytest.mark.parametrize("name", ["ranknet", "lambdarank", "listnet", "approx_ndcg"])
def test_a_loss_with_the_sign_of_its_pairs_flipped_is_caught(name: str) -> None:
    """The control: upside down a loss keeps its slope and its invariances, but not its formula, and no longer the right order."""

    def flipped(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
        return LOSSES[name](-scores, grades, mask, weights)

    assert slope_is_right(flipped, 0)
    assert not prefers_the_right_order(flipped, 1, steep=2_000.0 if name != "listnet" else 1.0)
    groups, scores, weights = case(0)
    there = padded(groups, scores, weights)
    assert not torch.allclose(flipped(*there), LOSSES[name](*there))


def test_approx_ndcg_comes_to_ndcg_as_it_cools() -> None:
    groups, scores, _ = case(6)
    exact = [
        1 - _dcg(g, 1 + np.array([sum(s > own) for own in s]).astype(float)) / _best(g) if _num_pairs(g) else 0.0
        for s, g in _each(groups, scores)
    ]
    errors = [
        float(
            np.abs(approx_ndcg(*padded(groups, scores, np.ones(len(scores))), temperature=warm).numpy() - exact).max()
        )
        for warm in (1.0, 0.1, 1e-4)
    ]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-6


def _each(groups: Groups, scores: Floats) -> list[tuple[Floats, Floats]]:
    parts = [slice(start, start + size) for start, size in zip(groups.starts, groups.sizes, strict=True)]
    return [(scores[part], groups.grades[part]) for part in parts]


# ---------------------------------------------------------------------------------------------------------------------- the scorers

QUICK = networks.Setting(epochs=8, hidden=(16,), learning_rate=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_learns_the_planted_order_with_any_loss(loss: str) -> None:
    train, valid, test = (world("additive", size, seed) for seed, size in enumerate((150, 60, 200)))
    network = networks.fit(train, valid, replace(QUICK, loss=loss, epochs=25))
    assert mean_ndcg(network.score(test.features), test) > mean_ndcg(truth("additive", test), test) - 0.05
    assert 1 <= len(network.history) <= 25


def test_a_network_is_the_same_again_and_after_a_save(tmp_path: Path) -> None:
    train, valid = world("additive", 60, 0), world("additive", 30, 1)
    one, two = (networks.fit(train, valid, QUICK) for _ in range(2))
    np.testing.assert_array_equal(one.score(valid.features), two.score(valid.features))
    one.save(tmp_path)
    np.testing.assert_array_equal(networks.load(tmp_path).score(valid.features), one.score(valid.features))
    for name in ("network.json", "network.safetensors"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="not a whole network"):
            networks.load(tmp_path)
        (tmp_path / name).write_bytes(whole)


def test_units_of_a_feature_do_not_matter_to_a_network() -> None:
    train, valid = world("additive", 60, 0), world("additive", 30, 1)
    factor, shift = np.array([1e3, 1, 1e-4, 1, 1, 1, 1, 1, 1]), np.array([0, 5, 0, 0, 0, 0, -7, 0, 0])
    moved = [replace(part, features=part.features * factor + shift) for part in (train, valid)]
    one, two = networks.fit(train, valid, QUICK), networks.fit(moved[0], moved[1], QUICK)
    np.testing.assert_allclose(one.score(valid.features), two.score(moved[1].features), rtol=0.02, atol=0.02)


def test_padding_and_the_other_queries_of_a_batch_do_not_matter() -> None:
    """The loss of a batch is the mean over its queries, each alone in a batch of one."""
    groups = world("additive", 12, 0)
    network = networks.fit(groups, groups, replace(QUICK, epochs=1))
    table = networks._Padded(groups, network.standard(groups.features))
    together = LOSSES["ranknet"](*table.scored(network.module, torch.arange(12)))
    alone = [LOSSES["ranknet"](*table.scored(network.module, torch.tensor([query])))[0] for query in range(12)]
    assert torch.allclose(together, torch.stack(alone), atol=1e-6)


@pytest.mark.parametrize("fit", ["network", "trees"])
def test_weights_decide_whom_a_scorer_believes(fit: str) -> None:
    """Two features that want opposite orders, each right in half of the queries: the half that weighs more wins."""
    rng = np.random.default_rng(0)
    sizes = np.full(200, 10)
    x = rng.normal(size=(2_000, 2))
    first = np.repeat(np.arange(200) % 2 == 0, 10)
    grades = (np.where(first, x[:, 0], x[:, 1]) > 0).astype(float)
    test = Groups(features=x, grades=(x[:, 0] > 0).astype(float), sizes=sizes)

    def worth(heavy: bool) -> float:
        groups = Groups(features=x, grades=grades, sizes=sizes, weights=np.where(first == heavy, 20.0, 1.0))
        if fit == "network":
            return mean_ndcg(networks.fit(groups, test, replace(QUICK, epochs=3)).score(x), test)
        return mean_ndcg(trees.fit(groups, None, trees.Setting(num_trees=20)).score(x), test)

    assert worth(True) > worth(False) + 0.1


def test_queries_without_two_grades_teach_a_pairwise_loss_nothing() -> None:
    flat = Groups(features=np.ones((4, 1)), grades=np.ones(4), sizes=np.array([2, 2]))
    with pytest.raises(InputError, match="All 2 queries are of one grade: ranknet"):
        networks.fit(flat, flat, QUICK)
    with pytest.raises(InputError, match=r"There is no loss 'ranket'\. Did you mean 'ranknet'"):
        networks.fit(flat, flat, replace(QUICK, loss="ranket"))


FEW = trees.Setting(num_trees=30, num_leaves=8)


@pytest.mark.parametrize("objective", ["lambdarank", "regression"])
def test_trees_learn_what_was_planted_and_are_the_same_after_a_save(tmp_path: Path, objective: str) -> None:
    train, valid, test = (world("interactions", size, seed) for seed, size in enumerate((200, 60, 200)))
    grown = trees.fit(train, valid, replace(FEW, objective=objective))
    assert mean_ndcg(grown.score(test.features), test) > mean_ndcg(np.zeros(len(test.grades)), test) + 0.2
    grown.save(tmp_path)
    again = trees.load(tmp_path)
    np.testing.assert_array_equal(again.score(test.features), grown.score(test.features))
    assert grown.text == trees.fit(train, valid, replace(FEW, objective=objective)).text
    one_by_one = np.concatenate([again.score(row[None]) for row in test.features[:5]])
    np.testing.assert_array_equal(one_by_one, grown._booster.predict(test.features[:5], raw_score=True))


def test_binary_trees_on_marks_and_the_grades_trees_refuse() -> None:
    groups = world("additive", 60, 0)
    marks = replace(groups, grades=(groups.grades > 0).astype(float))
    assert mean_ndcg(trees.fit(marks, None, replace(FEW, objective="binary")).score(groups.features), marks) > 0.8
    halves = replace(groups, grades=groups.grades / 2)
    for objective, message in (("binary", "binary wants 0 or 1"), ("lambdarank", "lambdarank wants whole grades")):
        with pytest.raises(InputError, match=message):
            trees.fit(halves, None, replace(FEW, objective=objective))
    trees.fit(halves, None, replace(FEW, objective="regression"))
    with pytest.raises(InputError, match="no objective 'lambdamart'"):
        trees.fit(groups, None, replace(FEW, objective="lambdamart"))
    with pytest.raises(InputError, match="lambdarank alone"):
        trees.fit(groups, None, replace(FEW, objective="regression"), position=np.zeros(len(groups.grades), np.int64))


def clicked(seed: int) -> tuple[Groups, Ints, Groups]:
    """Clicks on lists that feature 0 has ordered; only feature 1 is relevance. -> (clicks, place of each row, the truth)."""
    rng = np.random.default_rng(seed)
    sizes = np.full(1_200, 10)
    query = np.repeat(np.arange(1_200), 10)
    x = rng.normal(size=(12_000, 2))
    place = np.empty(12_000, dtype=np.int64)
    place[np.lexsort((-x[:, 0] - rng.normal(0, 1, 12_000), query))] = np.arange(12_000) % 10
    relevant = x[:, 1] + rng.normal(0, 0.5, 12_000) > 0.8
    clicks = relevant & (rng.random(12_000) < 1 / (1.0 + place))
    asked = partial(Groups, features=x, sizes=sizes)
    return asked(grades=clicks.astype(float)), place, asked(grades=relevant.astype(float))


def test_positions_take_the_blame_that_the_feature_of_the_incumbent_would_get() -> None:
    clicks, place, real = clicked(0)
    bare, told = (trees.fit(clicks, None, FEW, position=position).score(real.features) for position in (None, place))
    assert mean_ndcg(told, real) > mean_ndcg(bare, real) + 0.005


DAMAGE: dict[str, tuple[str, str]] = {
    "a child far away": ("left_child=", "left_child=4000 "),
    "a feature there is not": ("split_feature=", "split_feature=77 "),
    "a leaf too many": ("leaf_value=", "leaf_value=0.5 "),
    "more leaves than there are": ("num_leaves=", "num_leaves=1"),
    "categories": ("num_cat=0", "num_cat=1"),
    "a word for a number": ("threshold=", "threshold=abc "),
    "other features": ("max_feature_idx=8", "max_feature_idx=9"),
    "several outputs": ("num_tree_per_iteration=1", "num_tree_per_iteration=3"),
    "not trees": ("tree\n", "tres\n"),
}


@pytest.fixture(scope="module")
def text() -> str:
    return trees.fit(world("additive", 60, 0), None, FEW).text


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_trees_are_refused_before_lightgbm_reads_them(text: str, name: str) -> None:
    trees.check(text, 9)
    before, after = DAMAGE[name]
    assert before in text
    with pytest.raises(InputError, match="Publish the model again"):
        trees.check(text.replace(before, after, 1), 9)


def test_a_loop_in_a_tree_is_refused(text: str) -> None:
    """Every child in range and named once, and yet no walk from the root ends: splits 1 and 2 lead to each other."""
    said = {"num_leaves": "4", "num_cat": "0", "leaf_value": "1 2 3 4", "threshold": "0 0 0", "split_feature": "0 0 0"}
    assert trees._is_tree(said | {"left_child": "1 2 -3", "right_child": "-1 -2 -4"}, 1)
    assert not trees._is_tree(said | {"left_child": "-3 2 1", "right_child": "-1 -2 -4"}, 1)


def test_trees_that_are_not_those_that_were_saved_are_refused(tmp_path: Path, text: str) -> None:
    trees.Trees(text, 9).save(tmp_path)
    (tmp_path / "trees.txt").write_text(text.replace("leaf_value=", "leaf_value= ", 1))
    with pytest.raises(InputError, match="sha256"):
        trees.load(tmp_path)
    (tmp_path / "trees.json").write_text("{")
    with pytest.raises(InputError, match="does not say which trees"):
        trees.load(tmp_path)


# ---------------------------------------------------------------------------------------------------------------------- the ladder


@pytest.mark.slow
def test_a_small_ladder_has_every_rung_and_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "rungs", lambda seed: [_short(rung) for rung in RUNGS(seed)])
    groups = [world("additive", size, seed) for seed, size in enumerate((40, 20, 40))]
    rows = ladder.ladder(groups[0], groups[1], groups[2], trials=2, seed=0)
    assert [row["model"] for row in rows] == [*(rung.name for rung in RUNGS(0)), ladder.FOIL]
    assert {row["trials"] for row in rows[:-1]} == {2} and rows[-1]["trials"] == 1
    assert rows[0]["against_logistic"] == rows[-1]["against_foil"] == 0
    for row in rows:
        assert row["low"] < row["ndcg@10"] < row["high"] and row["train_s"] > 0 and row["size_mb"] > 0
        assert row["queries"] + row["no_relevant"] == 40
        assert row["against_logistic"] == pytest.approx(row["ndcg@10"] - rows[0]["ndcg@10"])
    with pytest.raises(InputError, match="trials = 0"):
        ladder.ladder(groups[0], groups[1], groups[2], trials=0, seed=0)


RUNGS = ladder.rungs


def _short(rung: ladder.Rung) -> ladder.Rung:
    if isinstance(rung.usual, trees.Setting):
        return replace(rung, usual=replace(rung.usual, num_trees=10))
    return replace(rung, usual=replace(rung.usual, epochs=2))


@pytest.mark.slow
def test_the_test_queries_choose_nothing() -> None:
    """Other grades on test: the same settings, the same models, other numbers."""
    train, valid, test = (world("additive", size, seed) for seed, size in enumerate((40, 20, 40)))
    other = replace(test, grades=np.roll(test.grades, 3))
    rung = ladder.rungs(0)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "rungs", lambda seed: [_named_first(rung)])
        one, two = (ladder.ladder(train, valid, asked, trials=3, seed=0) for asked in (test, other))
    assert [row["valid"] for row in one] == [row["valid"] for row in two]
    assert [row["size_mb"] for row in one] == [row["size_mb"] for row in two]
    assert one[0]["ndcg@10"] != two[0]["ndcg@10"]


def _named_first(rung: ladder.Rung) -> ladder.Rung:
    return replace(rung, name=ladder.FIRST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["additive", "interactions"])
def test_who_wins_is_what_was_planted(kind: str) -> None:
    """Where relevance adds up a line is not beaten by trees; where it does not, trees beat it by far. Tuned LambdaMART does not lose to LightGBM as it
    comes, and nobody beats the truth by more than chance."""
    sizes = (300, 150, 600)
    train, valid, test = (world(kind, size, 50 + place) for place, size in enumerate(sizes))
    rows = {row["model"]: row for row in ladder.ladder(train, valid, test, trials=3, seed=0)}
    best = mean_ndcg(truth(kind, test), test)
    assert all(row["ndcg@10"] < best + 0.005 for row in rows.values())
    tuned = rows[ladder.TUNED]
    assert tuned["foil_high"] > 0
    if kind == "additive":
        assert tuned["against_high"] < 0
    else:
        assert tuned["against_low"] > 0.1
