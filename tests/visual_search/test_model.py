"""Outlines by hand, both parts as one vector, candidates of two sources, and weights learnt each where it can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from common.contract import Ints
from tests.visual_search.test_features import SIDE, catalog, log, made
from visual_search.features.histogram import histograms
from visual_search.features.preparation import WHOLE
from visual_search.model import Model, edges, gallery, ranker
from visual_search.model.joint import Joint
from visual_search.model.parts import Vectors
from visual_search.model.ranker import LIKE, PLAIN, READ, Linear
from visual_search.schema import Images, Pixels, Requests

NUM = 60


@dataclass(frozen=True)
class Means:
    """An Encoder of this file alone: mean colours, and two words."""

    dim: int = 6
    fingerprint: str = "means"

    def images(self, pixels: Pixels) -> Vectors:
        halves = np.concatenate(
            [pixels[:, :, : SIDE // 2].mean(axis=(1, 2)), pixels[:, :, SIDE // 2 :].mean(axis=(1, 2))], 1
        )
        unit: Vectors = (halves / np.linalg.norm(halves, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def texts(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), 6), np.float32)
        for row, text in enumerate(texts):
            found[row, [0, 3]] = np.sqrt(0.5) * ("red" in text)
        return found

    def save(self, folder: Path) -> None:
        raise NotImplementedError


# ---------------------------------------------------------------------------------------------------------------- outlines


def shapes(num: int, seed: int) -> tuple[Pixels, Ints]:
    """A bar that stands, lies or leans, in any colours, moved and stained -> pictures, which of the three."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, num)
    down, across = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    far = np.stack([np.abs(across), np.abs(down), np.abs(across - down) / np.sqrt(2)])
    pixels = np.empty((num, SIDE, SIDE, 3), np.uint8)
    for at in range(num):
        inside = np.roll(far[kind[at]] < 4, rng.integers(-3, 4, 2), axis=(0, 1))
        colours = rng.uniform(0, 255, (2, 3))
        if np.abs(colours[0] - colours[1]).sum() < 150:
            colours[1] = 255 - colours[0]
        pixels[at] = np.clip(np.where(inside[..., None], *colours) + rng.normal(0, 6, (SIDE, SIDE, 3)), 0, 255)
    return pixels, kind


def test_outlines_tell_shapes_whatever_the_colours() -> None:
    pixels, kind = shapes(300, 0)
    hand = edges.fit(pixels[:150], 16)
    of = hand.of(pixels)
    assert of.shape == (300, 16) and np.allclose(np.linalg.norm(of, axis=1), 1, atol=1e-5)
    near = (of[150:] @ of[:150].T).argmax(axis=1)
    assert (kind[near] == kind[150:]).mean() > 0.95
    colours = histograms(pixels)
    by_colour = (colours[150:] @ colours[:150].T).argmax(axis=1)
    assert (kind[by_colour] == kind[150:]).mean() < 0.6, "the control: colours do not"


def test_outlines_lie_along_the_axes_of_greatest_spread() -> None:
    pixels, _ = shapes(80, 1)
    hand, raw = edges.fit(pixels, 8), edges.oriented(pixels).astype(np.float64)
    _, _, axes = np.linalg.svd(raw - raw.mean(axis=0), full_matrices=False)
    same = np.abs(np.einsum("kd,dk->k", axes[:8], hand.axes.astype(np.float64)))
    assert np.allclose(same, 1, atol=1e-3), "the first eight right singular vectors, up to sign"


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_likeness_is_the_weighted_mean_of_what_both_parts_say(share: float) -> None:
    pixels, _ = shapes(40, 2)
    hand = edges.fit(pixels, 8)
    both, learnt = Joint(Means(), hand, share), Means().images(pixels)
    of = both.images(pixels)
    assert of.shape == (40, both.dim) and np.allclose(np.linalg.norm(of, axis=1), 1, atol=1e-5)
    wanted = (1 - share) * learnt @ learnt.T + share * hand.of(pixels) @ hand.of(pixels).T
    assert np.allclose(of @ of.T, wanted, atol=1e-5)
    words = both.texts(["red", "zebra"])
    assert np.allclose(words @ of.T, np.sqrt(1 - share) * Means().texts(["red", "zebra"]) @ learnt.T, atol=1e-6)


def test_the_fingerprint_changes_with_either_part_and_with_the_share() -> None:
    pixels, _ = shapes(40, 3)
    hand = edges.fit(pixels, 8)
    made_ = [
        Joint(Means(), hand, 0.5),
        Joint(Means(), hand, 0.4),
        Joint(Means(fingerprint="other"), hand, 0.5),
        Joint(Means(), edges.fit(pixels[:20], 8), 0.5),
    ]
    assert len({one.fingerprint for one in made_}) == 4
    assert Joint(Means(), edges.fit(pixels, 8), 0.5).fingerprint == made_[0].fingerprint


# ------------------------------------------------------------------------------------------------------------- the two sources


@pytest.fixture(scope="module")
def model() -> Model:
    of = replace(catalog(NUM), shop=(np.arange(NUM) % 3 == 0).astype(np.int64))
    hand = edges.fit(of.images.pixels, 4)
    both = Joint(Means(), hand, 0.2)
    vectors = both.images(of.images.pixels)
    return Model(made(of), both, gallery.build(both.fingerprint, of.image_id, vectors, vectors, 0.9, 100.0), PLAIN, 1.0)


def requests(photo: Sequence[int], text: Sequence[str], shop_only: int = 0) -> Requests:
    n = len(photo)
    return Requests(
        user_id=np.arange(n), photo=np.array(photo), photos=Images(catalog(NUM).images.pixels), event_time=np.zeros(n, np.int64),
        moment=np.zeros(n, np.int64), text=np.array(text), crop=np.tile(np.array(WHOLE, np.float32), (n, 1)),
        shop_only=np.full(n, shop_only),
    )  # fmt: skip


def test_an_image_asked_with_is_found_first_and_scores_fall(model: Model) -> None:
    found = model.retrieve(requests([0, 7, 31], [""] * 3), 10, log(["click"], [0], [0]))
    assert found.ids[:, 0].tolist() == [0, 14, 62] and np.allclose(found.scores[:, 0], 1, atol=1e-5)
    assert (np.diff(found.scores, axis=1) <= 0).all() and all(len(set(row)) == 10 for row in found.ids.tolist())


def test_words_bring_what_is_called_so_though_the_encoder_does_not_know_them(model: Model) -> None:
    found = model.retrieve(requests([-1], ["striped"]), 20, log(["click"], [0], [0]))
    ids = found.ids[0][found.ids[0] >= 0]
    assert len(ids) == 10 and all("striped" in str(model.features.pictures.text[at]) for at in model.features.find(ids))
    both = model.retrieve(requests([4], ["striped"]), 20, log(["click"], [0], [0])).ids[0]
    assert (
        8 in both and sum("striped" in str(model.features.pictures.text[at]) for at in model.features.find(both)) >= 10
    )


def test_words_nobody_knows_are_answered_with_what_is_clicked_most(model: Model) -> None:
    found = model.retrieve(requests([-1], ["zebra"]), 5, log(["click"], [0], [0]))
    assert found.ids[0].tolist() == model.features.popular[:5].tolist()


def test_a_filter_leaves_as_many_as_there_are(model: Model) -> None:
    found = model.retrieve(requests([5, -1], ["", "red"], shop_only=1), 15, log(["click"], [0], [0]))
    shown = model.features.find(found.ids)
    assert (model.features.pictures.shop[shown[found.ids >= 0]] == 1).all() and (found.ids[0] >= 0).sum() == 15


def test_reranking_keeps_the_candidates_and_scores_fall(model: Model) -> None:
    store = log(["impression", "click"], [0, 0], [1_000_000, 0])
    asked = requests([3, -1], ["red", "red vase"])
    candidates = model.retrieve(asked, 12, store)
    ranked = model.rerank(asked, candidates, store)
    assert np.array_equal(np.sort(ranked.ids, axis=1), np.sort(candidates.ids, axis=1))
    assert (np.diff(ranked.scores, axis=1)[ranked.ids[:, 1:] >= 0] <= 0).all() and (
        ranked.scores[ranked.ids < 0] == -np.inf
    ).all()


# --------------------------------------------------------------------------------------------------------------- the ranker


def test_weights_are_those_a_library_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    values = np.column_stack([rng.normal(size=(3_000, 3)), np.ones(3_000)])
    label = (rng.random(3_000) < 1 / (1 + np.exp(-values @ np.array([1.0, -2.0, 0.0, -1.0])))).astype(float)
    theirs = LogisticRegression(C=1 / ranker.PENALTY, tol=1e-10, max_iter=1_000).fit(values[:, :3], label)
    ours = ranker.logistic(values, label)
    assert np.allclose(ours, [*theirs.coef_[0], theirs.intercept_[0]], atol=1e-4)


def test_a_log_that_showed_only_what_its_colours_liked_does_not_hide_that_colours_count() -> None:
    """Planted: likeness and colours both make an image alike; the incumbent shows what has the right colours, where they cannot tell any more."""
    rng = np.random.default_rng(5)
    pairs = rng.random((4_000, len(READ))) * np.array([1, 1, 0, 0, 0])
    odds = 4 * pairs[:, 0] + 3 * pairs[:, 1] - 4
    alike = (rng.random(4_000) < 1 / (1 + np.exp(-odds))).astype(float)
    shown = rng.random((4_000, len(READ)))
    shown[:, 1] = 0.9 + 0.001 * rng.random(4_000)
    slot = rng.integers(0, 10, 4_000).astype(float)
    clicks = 4 * shown[:, 0] + 3 * shown[:, 1] + 2 * shown[:, 3] + 1 * shown[:, 4] - 6 - np.log1p(slot)
    label = (rng.random(4_000) < 1 / (1 + np.exp(-clicks))).astype(float)
    found = ranker.fit(pairs, alike, shown, slot, label).weights
    wanted = {"alike": 4, "histogram": 3, "named": 0, "words": 2, "rate": 1}
    assert all(found[name] == pytest.approx(value, abs=0.7) for name, value in wanted.items()), found
    from_clicks = ranker.logistic(np.column_stack([shown, np.log1p(slot), np.ones(4_000)]), label)
    assert abs(from_clicks[1] - 3) > 1, f"the control: the log alone says {from_clicks[1]:.2f} of colours"


def test_nothing_learnt_leaves_likeness_and_no_weight_is_below_zero() -> None:
    none, rng = np.empty((0, len(READ))), np.random.default_rng(6)
    assert ranker.fit(none, np.empty(0), none, np.empty(0), np.empty(0)) == PLAIN
    pairs = rng.random((500, len(READ)))
    against = (rng.random(500) < pairs[:, 1] * 0.2 + (1 - pairs[:, 0]) * 0.6).astype(float)
    found = ranker.fit(pairs, against, none, np.empty(0), np.empty(0)).weights
    assert found["alike"] == 0 and all(weight >= 0 for weight in found.values()) and set(LIKE) < set(found)


def test_a_score_orders_as_its_odds_do() -> None:
    values = np.array([[0.9, 0, 0, 0, 0], [0.1, 0, 0, 0, 0], [0.1, 0, 0, 1, 0]])
    score = Linear({**PLAIN.weights, "words": 10.0}, 0.0).score(values)
    assert score.argsort().tolist() == [1, 0, 2] and ((score > 0) & (score < 1)).all()
