"""Fusion: the formulas by hand, the trap of raw scores, and a layer that finds which leg to believe."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from common.contract import Ints, Ranking
from common.errors import InputError
from common.eval import ranking
from search_ranking.model.retrieval import fusion

WORDS = Ranking(ids=np.array([[7, 3, 9], [5, -1, -1]]), scores=np.array([[24.5, 20.0, 4.5], [3.0, -np.inf, -np.inf]]))
MEANING = Ranking(ids=np.array([[3, 8], [6, 5]]), scores=np.array([[0.82, 0.42], [0.5, 0.5]]))
LEGS = [WORDS, MEANING]


def test_a_pool_holds_what_any_leg_returned_with_its_scores_and_ranks() -> None:
    pooled = fusion.pool(LEGS)
    assert pooled.ids.tolist() == [[3, 7, 8, 9], [5, 6, -1, -1]]
    assert pooled.ranks[0].tolist() == [[2, 1], [1, 0], [0, 2], [3, 0]]
    assert pooled.scores[0, 0].tolist() == [20.0, 0.82] and np.isnan(pooled.scores[0, 1, 1])
    assert not pooled.returned[1, 2:].any()


def test_each_way_of_fusing_is_its_formula() -> None:
    summed = fusion.weighted_sum(LEGS, [0.5, 0.5], 3)
    assert summed.ids.tolist() == [[7, 3, 9], [5, 6, -1]]
    assert summed.scores[0].tolist() == pytest.approx([12.25, 10.41, 2.25])
    stretched = fusion.min_max(LEGS, [0.3, 0.7], 4)
    assert stretched.ids.tolist() == [[3, 7, 8, 9], [5, 6, -1, -1]]
    assert stretched.scores[0].tolist() == pytest.approx([0.3 * 15.5 / 20 + 0.7, 0.3, 0, 0])
    assert stretched.scores[1, :2].tolist() == pytest.approx([1.0, 0.7]), "a leg whose scores are all the same says 1"
    ranks = fusion.rrf(LEGS, 5)
    assert ranks.ids.tolist() == [[3, 7, 8, 9, -1], [5, 6, -1, -1, -1]]
    assert ranks.scores[0, :4].tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])
    assert np.isneginf(ranks.scores[0, 4])


def test_raw_scores_let_bm25_decide_alone() -> None:
    """SRC-51: 24.5 beside .82 at a half each is 96.8 % words; after min-max each leg holds what its weight says."""
    legs = [Ranking(ids=np.array([[1]]), scores=np.array([[score]])) for score in (24.5, 0.82)]
    assert fusion.share_of_decision(legs, [0.5, 0.5]).tolist() == pytest.approx([0.968, 0.032], abs=5e-4)
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((200, 50)), axis=1)
    words = Ranking(ids=ids, scores=-np.sort(-rng.gamma(4, 4, (200, 50)), axis=1))
    meaning = Ranking(ids=ids[:, ::-1].copy(), scores=-np.sort(-rng.uniform(0.1, 0.9, (200, 50)), axis=1))
    assert fusion.share_of_decision([words, meaning], [0.5, 0.5])[0] > 0.93
    top = fusion.weighted_sum([words, meaning], [0.5, 0.5], 10).ids
    assert np.mean(top == words.ids[:, :10]) > 0.8, "and so the vectors change next to nothing"
    even = Ranking(ids=ids, scores=meaning.scores)
    assert fusion.share_of_decision([even, meaning], [0.5, 0.5])[0] == pytest.approx(0.5, abs=0.05), (
        "the control: one unit"
    )
    assert np.mean(fusion.min_max([words, meaning], [0.5, 0.5], 10).ids == words.ids[:, :10]) < 0.5


def drawn(rng: np.random.Generator, num: int, noise: tuple[float, ...]) -> tuple[list[Ranking], Ints]:
    """`num` queries over 300 documents, three of them relevant; each leg sees relevance through noise, in its own unit, 60 deep."""
    relevant = np.stack([rng.choice(300, 3, replace=False) for _ in range(num)])
    truth = np.zeros((num, 300))
    np.put_along_axis(truth, relevant, 2.0, 1)
    legs = []
    for at, spread in enumerate(noise):
        seen = (truth + spread * rng.standard_normal(truth.shape)) * 30.0**at + 5 * at
        order = np.argsort(-seen, axis=1)[:, :60]
        legs.append(Ranking(ids=order, scores=np.take_along_axis(seen, order, 1)))
    return legs, relevant


def ndcg(answer: Ranking, relevant: Ints) -> float:
    return float(ranking.judge(answer.ids, relevant, ["ndcg@10"])["ndcg@10"].mean())


def test_the_learned_layer_finds_which_leg_to_believe() -> None:
    """A sharp leg in a small unit, a dull one in a large unit and pure noise: the layer is near the sharp one and above what knows no better."""
    rng = np.random.default_rng(1)
    noise = (0.6, 1.2, 50.0)
    legs, relevant = drawn(rng, 150, noise)
    layer = fusion.fit(legs, relevant)
    asked, wanted = drawn(rng, 300, noise)
    found = ndcg(layer.fuse(asked, 10), wanted)
    assert found > max(ndcg(leg, wanted) for leg in asked)
    assert found > ndcg(fusion.rrf(asked, 10), wanted) + 0.02
    assert found > ndcg(fusion.weighted_sum(asked, [1, 1, 1], 10), wanted) + 0.2
    shuffled = fusion.fit(legs, rng.permutation(relevant))
    assert ndcg(shuffled.fuse(asked, 10), wanted) < found - 0.1, "the control: judgments of other queries teach nothing"


def test_the_learned_layer_refuses_other_legs() -> None:
    legs, relevant = drawn(np.random.default_rng(2), 40, (0.6, 1.2))
    layer = fusion.fit(legs, relevant)
    with pytest.raises(InputError, match="fitted over 2 legs was given 3"):
        layer.fuse([*legs, legs[0]], 10)


def test_what_cannot_be_fused_or_learned_is_refused() -> None:
    with pytest.raises(InputError, match=r"answer \[1, 2\] queries"):
        fusion.pool([WORDS, Ranking(ids=np.array([[1]]), scores=np.array([[1.0]]))])
    with pytest.raises(InputError, match="at least one leg"):
        fusion.pool([])
    with pytest.raises(InputError, match="No leg returned a relevant document"):
        fusion.fit(LEGS, np.array([[1000], [1001]]))


@pytest.mark.parametrize("seed", range(5))
def test_answers_hold_each_id_once_in_falling_order_whatever_the_legs_lack(seed: int) -> None:
    rng = np.random.default_rng(seed)
    legs = []
    for _ in range(3):
        ids = np.argsort(rng.random((20, 30)), axis=1)[:, :8]
        ids[np.arange(8) >= rng.integers(0, 9, 20)[:, None]] = -1  # some legs found nothing at all
        legs.append(Ranking(ids=ids, scores=np.where(ids >= 0, -np.sort(-rng.normal(size=ids.shape), axis=1), -np.inf)))
    everything = [set(np.concatenate([leg.ids[row] for leg in legs]).tolist()) - {-1} for row in range(20)]
    layer = fusion.fit(legs, np.zeros((20, 1), np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = [fusion.rrf(legs, 30), fusion.min_max(legs, [1, 2, 3], 30), layer.fuse(legs, 30)]
        answers.append(fusion.weighted_sum(legs, [1, 2, 3], 30))
        assert fusion.share_of_decision(legs, [1, 1, 1]).sum() == pytest.approx(1)
    for answer in answers:
        for row, known in zip(answer.ids.tolist(), everything, strict=True):
            held = [doc for doc in row if doc >= 0]
            assert sorted(held) == sorted(known) and row == held + [-1] * (30 - len(held))
        shown = np.where(answer.ids >= 0, answer.scores, -1e9)
        assert (np.diff(shown, axis=1) <= 0).all() and not np.isnan(answer.scores).any()
