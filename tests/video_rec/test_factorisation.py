"""Matrix factorisation against brute force, and its three losses against what the textbook says of them, on a planted matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from common.contract import Bools, Floats
from video_rec.config import SMOKE
from video_rec.features import TITLE_DIM, Features
from video_rec.features.catalogue import Videos
from video_rec.model import factorisation
from video_rec.model.factorisation import Factors, Loss
from video_rec.schema import Rows

WEIGHTED = Loss(observed=1.0, unobserved=0.05, ridge=0.5)


def random_matrix(rng: np.random.Generator, shape: tuple[int, int] = (40, 30)) -> csr_array:
    tried = rng.random(shape) < 0.15
    tried[3] = False  # a row with nothing: its vector is 0, and nothing divides by it
    return csr_array(np.where(tried, 1.0 + 3.0 * rng.random(shape), 0.0))


def catalogue(num: int) -> Features:
    """Videos 0, 10, 20 ... of which nothing is known but that they are."""
    columns: dict[str, Any] = {name: np.zeros(num, np.int64) for name in Videos.__dataclass_fields__}
    columns |= {"video_id": 10 * np.arange(num), "title": np.zeros((num, TITLE_DIM), np.float32)}
    return Features(**columns)


def ridge_by_brute_force(dense: Floats, other: Floats, loss: Loss) -> Floats:
    """Each row as a weighted ridge regression over every pair, the unobserved ones written out."""
    found = []
    for row in dense:
        weight = np.where(row > 0, loss.observed * row, loss.unobserved)
        left = (other * weight[:, None]).T @ other + loss.ridge * np.eye(other.shape[1])
        found.append(np.linalg.solve(left, (other * weight[:, None]).T @ (row > 0)))
    return np.array(found)


@pytest.mark.parametrize("loss", [WEIGHTED, Loss(1.0, 0.0, 0.3), Loss(1.0, 1.0, 2.0)])
@pytest.mark.parametrize("cells", [1, 200, 2**21])
def test_a_half_step_is_the_ridge_regression_over_every_pair(
    loss: Loss, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factorisation, "CELLS", cells)  # in whatever blocks it is solved
    rng = np.random.default_rng(0)
    matrix = random_matrix(rng)
    other = rng.normal(size=(30, 5))
    expected = ridge_by_brute_force(matrix.toarray(), other, loss)
    assert np.allclose(factorisation.solve(matrix, other, loss), expected)
    assert not np.allclose(
        factorisation.solve(matrix, other, Loss(loss.observed, loss.unobserved + 0.1, loss.ridge)), expected
    )


def test_a_fixed_point_of_wals_solves_both_sides_at_once() -> None:
    matrix = random_matrix(np.random.default_rng(1))
    viewers, videos = factorisation.wals(matrix, WEIGHTED, dim=3, rounds=400, seed=0)
    assert np.allclose(ridge_by_brute_force(matrix.toarray(), videos, WEIGHTED), viewers, atol=1e-4)
    assert np.allclose(ridge_by_brute_force(matrix.toarray().T, viewers, WEIGHTED), videos, atol=1e-4)
    assert videos.any() and viewers.any(), "zeros are a fixed point too"


def test_the_objective_is_the_sum_over_all_pairs_and_no_half_step_raises_it() -> None:
    rng = np.random.default_rng(2)
    matrix = random_matrix(rng)
    dense = matrix.toarray()
    viewers, videos = factorisation.start(matrix, 4, seed=0)
    before = np.inf
    for _ in range(15):
        for side in ("viewers", "videos"):
            if side == "viewers":
                viewers = factorisation.solve(matrix, videos, WEIGHTED)
            else:
                videos = factorisation.solve(matrix.T.tocsr(), viewers, WEIGHTED)
            weight = np.where(dense > 0, dense, WEIGHTED.unobserved)
            penalty = WEIGHTED.ridge * ((viewers**2).sum() + (videos**2).sum())
            written_out = (weight * ((dense > 0) - viewers @ videos.T) ** 2).sum() + penalty
            now = factorisation.objective(matrix, viewers, videos, WEIGHTED)
            assert now == pytest.approx(written_out)
            assert now <= before + 1e-9
            before = now


def planted(rng: np.random.Generator, sizes: tuple[int, ...] = (80, 60, 50, 40, 30, 25, 20, 15)) -> tuple[Bools, Bools]:
    """A group of viewers a size, each likes the 20 videos of its group and watched four in ten of them, and one video in a hundred by
    accident. -> watched, liked."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    likes = group[:, None] == np.repeat(np.arange(len(sizes)), 20)[None, :]
    return likes & (rng.random(likes.shape) < 0.4) | (rng.random(likes.shape) < 0.01), likes


def recall(scores: Floats, seen: Bools, likes: Bools, k: int = 20) -> float:
    """Of what was liked and never watched, the share among the k best that were never watched."""
    best = np.argsort(-np.where(seen, -np.inf, scores), axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(likes & ~seen, best, 1).sum() / (likes & ~seen).sum())


def test_a_planted_matrix_of_low_rank_is_recovered_and_a_shuffled_one_is_not() -> None:
    rng = np.random.default_rng(3)
    seen, likes = planted(rng)
    viewers, videos = factorisation.wals(csr_array(seen.astype(float)), WEIGHTED, dim=8, rounds=30, seed=0)
    assert recall(viewers @ videos.T, seen, likes) > 0.97
    shuffled = rng.permuted(seen, axis=1)
    viewers, videos = factorisation.wals(csr_array(shuffled.astype(float)), WEIGHTED, dim=8, rounds=30, seed=0)
    assert recall(viewers @ videos.T, shuffled, likes) < 0.3


def test_the_three_losses_do_what_the_textbook_says() -> None:
    """Eight groups in four dimensions: a catalogue has more tastes than a vector has numbers. Observed only has nothing against liking
    everything: near 1 everywhere, everybody's order that of popularity. All pairs: zeros outvote the ones, products shrink, and the small
    groups are given up for the large. Weighted: what was never watched but liked comes first. (With a dimension a group, the order of all
    pairs survives its shrinking: it is the size of the products that is wrong then, not who stands first.)"""
    seen, likes = planted(np.random.default_rng(4))
    matrix, scores = csr_array(seen.astype(float)), {}
    for name, unobserved in {"observed only": 0.0, "all pairs": 1.0, "weighted": 0.05}.items():
        viewers, videos = factorisation.wals(matrix, Loss(1.0, unobserved, 1.0), dim=4, rounds=60, seed=0)
        scores[name] = viewers @ videos.T
    liked = {name: float(score[likes & ~seen].mean()) for name, score in scores.items()}
    found = {name: recall(score, seen, likes) for name, score in scores.items()}
    popular = recall(np.tile(seen.sum(axis=0), (len(seen), 1)).astype(float), seen, likes)
    assert scores["observed only"][~likes].mean() > 0.8 and found["observed only"] < popular + 0.03
    assert liked["all pairs"] < 0.3 and liked["weighted"] > 0.6
    assert found["weighted"] > found["all pairs"] + 0.08 > popular + 0.3


def test_sgd_comes_within_a_few_percent_of_wals_and_a_short_run_does_not() -> None:
    matrix = csr_array(planted(np.random.default_rng(5), (40, 30, 20, 10))[0].astype(float))
    best = factorisation.objective(matrix, *factorisation.wals(matrix, WEIGHTED, 4, 40, seed=0), WEIGHTED)
    reached = factorisation.objective(matrix, *factorisation.sgd(matrix, WEIGHTED, 4, 800, seed=0, rate=0.05), WEIGHTED)
    short = factorisation.objective(matrix, *factorisation.sgd(matrix, WEIGHTED, 4, 5, seed=0), WEIGHTED)
    assert reached < 1.03 * best and short > 1.2 * best, (reached / best, short / best)


def factors_of(seen: Bools, loss: Loss, dim: int) -> tuple[Factors, Floats]:
    viewers, videos = factorisation.wals(csr_array(seen.astype(float)), loss, dim, 30, seed=0)
    return factorisation.indexed(catalogue(seen.shape[1]), videos, loss), viewers


def test_a_viewer_folded_in_has_the_vector_wals_would_give() -> None:
    seen, _ = planted(np.random.default_rng(6))
    factors, _ = factors_of(seen, WEIGHTED, 8)
    solved = factorisation.solve(csr_array(seen.astype(float)), factors.videos, WEIGHTED)
    width = int(seen.sum(axis=1).max())
    recent = np.array([np.append(np.flatnonzero(row), np.full(width - row.sum(), -1)) for row in seen])
    assert np.allclose(factors.fold_in(recent), solved, atol=1e-5)
    twice = np.concatenate([recent, recent[:, :2]], axis=1)
    assert np.allclose(factors.fold_in(twice), solved, atol=1e-5), "a video watched again is still one pair"
    assert not factors.fold_in(np.full((1, 5), -1)).any(), "nothing watched, nothing known"


def test_the_nearest_are_the_greatest_products_and_nothing_unwatched(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    seen, _ = planted(rng)
    seen = np.concatenate([seen, np.zeros((len(seen), 6), bool)], axis=1)  # six videos nobody has watched
    factors, _ = factors_of(seen, WEIGHTED, 4)
    recent = np.append(rng.integers(0, 160, (9, 1)), rng.integers(-1, seen.shape[1], (9, 4)), axis=1)
    found = factors.nearest(recent, seen.shape[1])
    products = factors.fold_in(recent) @ factors.videos.T
    for row in range(len(recent)):
        wanted = np.flatnonzero(products[row] > 0)
        mine = found.ids[row][found.ids[row] >= 0] // 10
        assert set(mine) == set(wanted) and mine.max() < 160 and len(mine) > 7
        assert np.allclose(found.scores[row, : len(mine)], -np.sort(-products[row, wanted]), atol=1e-5)
        assert (found.ids[row, len(mine) :] == -1).all() and np.isneginf(found.scores[row, len(mine) :]).all()
    index = found.ids[:, :7] // 10
    assert np.allclose(factors.score(recent, index), found.scores[:, :7], atol=1e-5)
    assert (factors.score(recent, np.full((9, 2), -1)) == 0).all()
    assert (factors.nearest(np.full((1, 5), -1), 3).ids == -1).all(), "nothing is near to nobody"
    factors.save(tmp_path)
    again = factorisation.load(tmp_path, factors.features)
    assert np.array_equal(again.videos, factors.videos) and again.loss == factors.loss
    assert np.array_equal(again.nearest(recent, 5).ids, factors.nearest(recent, 5).ids)


def test_feedback_counts_what_was_said_and_what_was_done() -> None:
    """Explicit misses who watched and said nothing; implicit misses who liked it; combined misses neither. A hide, an impression: no pair."""
    ids = np.array([0, 10, 20, 30, 40, 99])  # 99 is not in the catalogue
    labels = {
        "clicked": np.array([1.0, 1, 1, 0, 0, 1]),
        "completed": np.array([0.0, 1, 0, np.nan, np.nan, 1]),
        "liked": np.array([0.0, 0, 1, np.nan, np.nan, 1]),
        "hidden": np.array([0.0, 0, 0, 0, 1, 0]),
    }
    nothing = np.zeros(6, np.int64)
    rows = Rows(user_id=nothing + 7, video_id=ids, event_time=nothing, moment=nothing, labels=labels)
    found = {kind: factorisation.feedback(catalogue(5), [rows], kind) for kind in ("explicit", "implicit", "combined")}
    assert found["explicit"].toarray().tolist() == [[0, 0, 2, 0, 0]]
    assert found["implicit"].toarray().tolist() == [[1, 3, 1, 0, 0]]
    assert found["combined"].toarray().tolist() == [[1, 3, 3, 0, 0]]
    watched = Rows(user_id=nothing, video_id=ids, event_time=nothing, moment=nothing, labels={"clicked": np.ones(6)})
    assert factorisation.feedback(catalogue(5), [watched], "explicit").nnz == 0, (
        "a log of watches has no explicit feedback"
    )
    assert factorisation.fit(catalogue(5), [watched], SMOKE).videos.shape == (5, SMOKE.mf_dim)
