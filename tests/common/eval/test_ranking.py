"""ir_measures (trec_eval) is the oracle; worked examples show what each metric sees and what it does not."""

from __future__ import annotations

from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG

from common.contract import Floats, Ints
from common.errors import InputError
from common.eval import ranking


def _random(seed: int) -> tuple[Ints, Ints, Floats]:
    """Answers of up to 12 of 30 items with padding, 1 to 6 relevant items with padding, their grades."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(30)[:12] for _ in range(20)])
    for row, length in enumerate(rng.integers(0, 13, 20)):
        ids[row, length:] = -1
    relevant = np.stack([rng.permutation(30)[:6] for _ in range(20)])
    for row, length in enumerate(rng.integers(1, 7, 20)):
        relevant[row, length:] = -1
    return ids, relevant, np.where(relevant >= 0, rng.integers(1, 4, relevant.shape), 0).astype(float)


def _oracle(measure: Any, ids: Ints, relevant: Ints, grades: Floats) -> Floats:
    qrels = [
        ir_measures.Qrel(str(q), str(item), int(grade))
        for q, row in enumerate(relevant)
        for item, grade in zip(row, grades[q], strict=True)
        if item >= 0
    ]
    run = [
        ir_measures.ScoredDoc(str(q), str(item), -float(place))
        for q, row in enumerate(ids)
        for place, item in enumerate(row)
        if item >= 0
    ]
    found = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)}
    return np.array([found.get(str(q), 0.0) for q in range(len(ids))])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_agrees_with_the_library(seed: int, k: int) -> None:
    ids, relevant, grades = _random(seed)
    theirs = {
        f"precision@{k}": P @ k,
        f"recall@{k}": R @ k,
        f"hit_rate@{k}": Success @ k,
        f"map@{k}": AP @ k,
        f"ndcg@{k}": nDCG @ k,
        "mrr": RR,
    }
    ours = ranking.judge(ids, relevant, theirs)
    for key, measure in theirs.items():
        np.testing.assert_allclose(
            ours[key], _oracle(measure, ids, relevant, (relevant >= 0).astype(float)), atol=1e-9, err_msg=key
        )
    worth = np.zeros((len(ids), 31))
    np.put_along_axis(worth, relevant, grades, axis=1)  # -1 lands in the last column, where grades are 0
    gains = np.take_along_axis(worth, ids, axis=1)
    np.testing.assert_allclose(ranking.ndcg(gains, grades, k), _oracle(nDCG @ k, ids, relevant, grades), atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_binary_ndcg_is_graded_ndcg_of_marks(seed: int) -> None:
    ids, relevant, _ = _random(seed)
    graded = ranking.ndcg(ranking.hits(ids, relevant), relevant >= 0, 10)
    np.testing.assert_allclose(ranking.judge(ids, relevant, ["ndcg@10"])["ndcg@10"], graded)


def test_padding_never_counts_and_missing_answers_are_wrong() -> None:
    ids, relevant = np.array([[3, -1, -1]]), np.array([[3, -1]])
    found = ranking.judge(ids, relevant, ["precision@5", "recall@5", "ndcg@5", "map@5", "mrr"])
    assert [float(value[0]) for value in found.values()] == [0.2, 1, 1, 1, 1]
    assert ranking.expected_gain(np.array([[2.0, 0, 0]]), 5)[0] == pytest.approx(0.4)
    assert ranking.hits(np.array([[-1]]), np.array([[-1]])).sum() == 0


def test_an_id_twice_in_one_answer_is_refused() -> None:
    with pytest.raises(InputError, match="Answer 1 holds id 4 twice"):
        ranking.hits(np.array([[1, 2], [4, 4]]), np.array([[1], [4]]))
    with pytest.raises(InputError, match="Did you mean 'ndcg'"):
        ranking.judge(np.array([[1]]), np.array([[1]]), ["ndgc@5"])


def test_five_metrics_of_one_relevant_answer() -> None:
    """One relevant item on place 2 or 5 of 10: precision is capped at 1/10, recall is blind to the place, the others are not."""
    ids, early, late = np.arange(10)[None, :], np.array([[1]]), np.array([[4]])
    keys = ["precision@10", "recall@10", "mrr", "map@10", "ndcg@10"]
    at_two, at_five = (
        {key: float(value[0]) for key, value in ranking.judge(ids, relevant, keys).items()}
        for relevant in (early, late)
    )
    assert at_two["precision@10"] == at_five["precision@10"] == 0.1
    assert at_two["recall@10"] == at_five["recall@10"] == 1
    assert (at_two["mrr"], at_five["mrr"]) == (1 / 2, 1 / 5) == (at_two["map@10"], at_five["map@10"])
    assert at_two["ndcg@10"] == pytest.approx(1 / np.log2(3)) and at_five["ndcg@10"] == pytest.approx(1 / np.log2(6))


def test_mrr_sees_only_the_first_relevant() -> None:
    first_only, all_of_them = np.array([[0, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert ranking.mrr(first_only)[0] == ranking.mrr(all_of_them)[0] == 0.5
    assert ranking.mrr(np.zeros((1, 4), bool))[0] == 0


def test_recall_is_bounded_by_a_huge_denominator() -> None:
    """Ten thousand similar images, ten on the page, all of them right: recall@10 is a thousandth."""
    perfect = np.ones((1, 10), bool)
    assert ranking.recall(perfect, np.array([10_000]), 10)[0] == pytest.approx(0.001)
    assert ranking.precision(perfect, 10)[0] == 1


def test_precision_does_not_see_order() -> None:
    best, worst = np.array([[1, 1, 0, 0]], bool), np.array([[0, 0, 1, 1]], bool)
    assert ranking.precision(best, 4)[0] == ranking.precision(worst, 4)[0] == 0.5
    assert ranking.precision(best, 2)[0] == 1 and ranking.precision(worst, 2)[0] == 0


def test_map_sees_order_but_not_grades() -> None:
    """A near copy and a faint likeness are both `relevant`: to map swapping them is nothing, to ndcg it is something."""
    best, worst, two = np.array([[1, 1, 0, 0]], bool), np.array([[0, 0, 1, 1]], bool), np.array([2])
    assert ranking.average_precision(best, two, 4)[0] == 1
    assert ranking.average_precision(worst, two, 4)[0] == pytest.approx((1 / 3 + 2 / 4) / 2)
    copy_first, copy_last = np.array([[3.0, 1, 0, 0]]), np.array([[1.0, 3, 0, 0]])
    same = [ranking.average_precision(gains > 0, two, 4)[0] for gains in (copy_first, copy_last)]
    assert same[0] == same[1]
    assert ranking.ndcg(copy_first, copy_first, 4)[0] > ranking.ndcg(copy_last, copy_first, 4)[0]


def test_ndcg_sees_grades() -> None:
    """With graded truth the order of grades decides; with binary truth all orders of equals are the same, and map or recall do as well."""
    graded = np.array([[3.0, 2.0, 1.0]])
    assert ranking.ndcg(graded, graded, 3)[0] == 1
    backwards = (1 + 2 / np.log2(3) + 3 / 2) / (3 + 2 / np.log2(3) + 1 / 2)
    assert ranking.ndcg(graded[:, ::-1], graded, 3)[0] == pytest.approx(backwards)
    binary = graded > 0
    assert ranking.ndcg(binary[:, ::-1], binary, 3)[0] == ranking.ndcg(binary, binary, 3)[0] == 1


def test_ann_recall_is_the_share_of_exact_neighbours() -> None:
    exact, found = np.array([[1, 2, 3, 4]]), np.array([[4, 9, 1, 2]])
    assert ranking.ann_recall(found, exact, 4)[0] == 0.75
    assert ranking.ann_recall(found, exact, 2)[0] == 0


def test_exposure_over_the_catalogue() -> None:
    assert ranking.coverage(np.array([[0, 1], [0, -1]]), 4) == 0.5
    assert ranking.gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0)
    assert ranking.gini(np.array([[0], [0], [0]]), 100) == pytest.approx(0.99)
    counts = np.array([5, 0, 1, 2])
    differences = np.abs(counts[:, None] - counts[None, :]).sum() / (2 * 4 * counts.sum())
    assert ranking.gini(np.repeat(np.arange(4), counts)[:, None], 4) == pytest.approx(differences)


def test_diversity_is_one_minus_the_mean_pairwise_cosine() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, 5, 8))
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    pairs = np.array([[(answer[i] * answer[j]).sum() for i in range(5) for j in range(i)] for answer in unit])
    np.testing.assert_allclose(ranking.diversity(vectors), 1 - pairs.mean(axis=1))
    assert ranking.diversity(np.ones((1, 3, 2)))[0] == pytest.approx(0)


def test_diversity_alone_rewards_a_random_list() -> None:
    """A list of what the user likes is alike; a random one is diverse, and worthless. Precision and map see that, diversity does not."""
    rng = np.random.default_rng(1)
    topic = np.arange(200) // 20
    vectors = np.eye(10)[topic] + 0.1 * rng.standard_normal((200, 10))
    liked, anything = np.arange(10)[None, :], rng.permutation(200)[None, :10]
    relevant = np.arange(20)[None, :]
    assert ranking.diversity(vectors[anything])[0] > ranking.diversity(vectors[liked])[0] + 0.5
    good, random = (ranking.judge(ids, relevant, ["precision@10", "map@10"]) for ids in (liked, anything))
    assert good["precision@10"][0] == 1 > random["precision@10"][0]
    assert good["map@10"][0] == 0.5 > random["map@10"][0]
