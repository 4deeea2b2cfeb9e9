"""Experiments on encoders run small and give finite numbers with a row that loses; what has a planted answer finds it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.contract import Ranking
from common.errors import InputError
from common.eval.chart import flips
from visual_search import world
from visual_search.config import SMOKE
from visual_search.experiments import CHARTS, active_learning, captions, lab, ladder, negatives, positives, pretraining
from visual_search.experiments.active_learning import Pool, Sight
from visual_search.experiments.lab import Lab
from visual_search.experiments.negatives import HardAlone
from visual_search.model.encoders.training import Teacher
from visual_search.world.wording import ORDER, WORDS

TINY = replace(SMOKE, num_users=300, num_images=400, num_searches=500, num_photos=200, num_pairs=1_000, num_judged=80)
MODULES = (ladder, positives, negatives, pretraining, active_learning, captions)
OURS = {name: experiment for module in MODULES for name, experiment in module.EXPERIMENTS.items()}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "SMALLEST", 2)
    monkeypatch.setattr(lab, "STEPS", 2)
    monkeypatch.setattr(pretraining, "SIZES", (50, 200))
    monkeypatch.setattr(active_learning, "BUDGETS", (60, 120))
    monkeypatch.setattr(active_learning, "SEEDS", 1)
    monkeypatch.setattr(positives, "SIZES", (30,))


@pytest.mark.slow
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", OURS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str) -> None:
    table = OURS[name](TINY)
    assert all(math.isfinite(value) for row in table for value in row.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(row) == set(table[0]) for row in table)
    bounds = {column[: -len("low")] for column in table[0] if column.endswith("low")}
    assert all(row[f"{name}low"] <= row[f"{name}high"] for row in table for name in bounds)
    if name in CHARTS:
        flips(table, CHARTS[name])  # an InputError where the chart asks for what is not there


def test_what_only_the_world_knows_is_not_asked_of_other_data() -> None:
    with pytest.raises(InputError, match="--data"):
        Lab.read(replace(TINY, data="images:/nowhere"))


@pytest.fixture(scope="module")
def taught() -> Lab:
    return Lab.read(TINY)


def test_pairs_are_what_was_said_and_an_augmented_one_is_a_picture_with_itself(taught: Lab) -> None:
    truth, judged = world.make(TINY), taught.dataset.judged
    said = {
        (photo, image)
        for photo, image, grade in zip(
            judged.photo.tolist(), judged.image_id.tolist(), judged.grade.tolist(), strict=True
        )
        if grade >= 0.75
    }
    first = len(taught.lesson.photos)
    found = taught.pairs("judged")
    assert {(photo, image - first) for photo, image in found.tolist()} == said
    alone = taught.pairs("augmented")
    assert (alone[:, 0] == alone[:, 1]).all()
    test_photos = np.arange(TINY.num_photos, TINY.num_photos + TINY.num_judged)
    assert len(truth.photos) == first and not np.isin(test_photos, alone).any(), "nobody learns from what is judged"


def test_a_judgment_that_says_unlike_teaches_nothing(taught: Lab) -> None:
    unlike = np.flatnonzero(taught.dataset.judged.grade < 0.5)
    assert len(taught.alike(unlike)) == 0 and len(taught.alike(np.arange(len(taught.dataset.judged)))) > 0


def test_a_batch_is_half_pairs_and_half_named_images_or_all_of_one(
    taught: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    class Counts(Teacher):
        def loss(self, rows: np.ndarray) -> torch.Tensor:
            seen.append((int((self.lesson.bags.size[rows] > 0).sum()), len(rows)))
            return super().loss(rows)

    pairs = taught.pairs("judged")[:20]
    for kept, texts, share in ((pairs, True, 0.5), (pairs, False, 1.0), (pairs[:0], True, 0.0)):
        seen.clear()
        taught.taught(kept, texts=texts, steps=3, by=Counts)
        assert sum(count for count, _ in seen) == share * sum(size for _, size in seen) == share * 3 * lab.BATCH


def test_learning_goes_on_from_where_another_stands(taught: Lab) -> None:
    pairs = taught.pairs("judged")
    begin = taught.taught(pairs, steps=2)
    again = taught.taught(pairs, begin=begin, steps=1, learning_rate=0.0)
    other = taught.taught(pairs, steps=1, learning_rate=0.0)
    held = {name: value for name, value in begin.network.state_dict().items() if "weight" in name}
    assert all(torch.equal(again.network.state_dict()[name], value) for name, value in held.items())
    assert not all(torch.equal(other.network.state_dict()[name], value) for name, value in held.items())


def test_gains_are_those_of_a_scan_by_hand(taught: Lab) -> None:
    encoder = taught.taught(taught.pairs("judged"), steps=1)
    case, seen = taught.case, taught.seen
    photos, said = encoder.images(seen.pixels), encoder.texts(case.test.text.tolist())
    asked = said + np.where((seen.which >= 0)[:, None], photos[seen.which], 0)
    scores = (asked @ encoder.images(taught.dataset.catalog.images.pixels).T).astype(np.float64)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : TINY.num_candidates]
    scores = np.take_along_axis(scores, order, axis=1)
    somewhere = asked.any(axis=1)
    by_hand = case.gains(Ranking(ids=taught.dataset.catalog.image_id[order], scores=scores))
    same = np.isclose(taught.gains(encoder)[somewhere], by_hand[somewhere])
    assert same.mean() > 0.95, "but for two images that are equally near, to the last digit"


def test_pairs_that_people_judged_alike_are_planted_alike_and_dealt_out_by_lot_they_are_not(taught: Lab) -> None:
    ways = positives.pairs(taught)
    alike = {
        kind: positives.alike(taught, ways[kind, positives.ALL]) for kind in (positives.JUDGED, positives.SHUFFLED)
    }
    assert alike[positives.JUDGED] > 0.75 and alike[positives.SHUFFLED] < 0.4
    assert positives.alike(taught, ways[positives.AUGMENTED, positives.ALL]) == 1
    truth, judged = world.make(TINY), taught.dataset.judged
    found = taught.alike(np.arange(len(judged)))
    exact = found[found[:, 0] < len(truth.shot)]
    own = {
        (photo, image): grade for photo, image, grade in zip(judged.photo, judged.image_id, judged.grade, strict=True)
    }
    said = [own[photo, image - len(taught.lesson.photos)] for photo, image in exact.tolist()]
    assert positives.alike(taught, exact) == pytest.approx(np.mean(said), abs=0.05), (
        "a rating is the grade in quarters, seldom a step off"
    )


def test_worth_reads_judged_pairs_off_their_own_curve() -> None:
    curve = [(0, 0.2), (100, 0.3), (500, 0.28), (2_000, 0.4)]
    assert positives.worth(0.3, curve) in (pytest.approx(100), pytest.approx(500))
    assert positives.worth(0.1, curve) == 0 and positives.worth(0.9, curve) == pytest.approx(2_000)
    assert 500 < positives.worth(0.35, curve) < 2_000


def test_hard_alone_costs_what_a_softmax_over_the_partner_and_the_hardest_says(taught: Lab) -> None:
    """By hand; and while the memory is empty it is the usual loss."""
    pairs = taught.pairs("judged")[:6]
    config = replace(taught.config, num_hard=3, batch_size=6, epochs=1)
    network = taught.taught(pairs, steps=1).network
    teachers = [
        by(network, taught.words, taught.lessons(pairs, 6, 0), lab._nothing(taught.dataset), config)
        for by in (Teacher, HardAlone)
    ]
    vectors = torch.nn.functional.normalize(torch.randn(12, config.dim, generator=torch.Generator().manual_seed(1)))
    left, right = vectors[:6], vectors[6:]
    usual, early = (teacher.paired(pairs[:, 0], left, pairs[:, 1], right) for teacher in teachers)
    assert torch.allclose(usual, early)
    hard = teachers[1]
    hard.steps_left = 0
    hard.memory[len(hard.lesson.photos) :] = torch.nn.functional.normalize(
        torch.randn(len(hard.lesson.gallery), config.dim)
    )
    found = hard.paired(pairs[:, 0], left, pairs[:, 1], right)
    nearest = hard.nearest(left, pairs[:, 0])
    own = (left * right).sum(dim=1) / config.temperature
    by_hand = -(own.exp() / (own.exp() + (nearest / config.temperature).exp().sum(dim=1))).log().mean()
    assert torch.allclose(found, by_hand, atol=1e-4)


@pytest.mark.parametrize("by", [Teacher, HardAlone])
def test_hard_negatives_are_learnt_from_while_the_memory_changes(taught: Lab, by: lab.Teaches) -> None:
    pairs = taught.pairs("judged")
    plain, hard = taught.taught(pairs, steps=4).network, taught.taught(pairs, steps=4, by=by, num_hard=4).network
    weights = [torch.cat([of.flatten() for of in network.parameters()]) for network in (plain, hard)]
    assert all(torch.isfinite(of).all() for of in weights) and not torch.equal(*weights)


def pool(near: list[float], photo: list[int]) -> tuple[Pool, Sight]:
    rng, num = np.random.default_rng(0), len(near)
    vectors = rng.standard_normal((2, num, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    whole = Pool(photo=np.array(photo), image=np.arange(num) + 100, truth=np.array(near))
    return whole, Sight(photo=vectors[0], image=vectors[1], near=np.array(near), alike=np.array(near))


def test_each_way_chooses_what_it_says() -> None:
    rng = np.random.default_rng(0)
    whole, sight = pool([0.9, 0.5, 0.1, 0.3, 0.55, 0.8], [0, 0, 0, 1, 1, 2])
    rest = np.array([1, 2, 3, 4, 5])
    ways = active_learning.WAYS
    assert set(ways["uncertain"](whole, sight, rest, 2, rng).tolist()) == {1, 4}
    assert ways["surest (foil)"](whole, sight, rest, 2, rng).tolist() == [5, 4]
    assert ways["hardest"](whole, sight, rest, 2, rng).tolist() == [1, 2], "photo 0's nearest that is left is farthest"
    assert len(set(ways["by lot"](whole, sight, rest, 4, rng).tolist())) == 4


def test_diverse_takes_the_pair_farthest_from_all_that_is_judged() -> None:
    whole, sight = pool(np.linspace(0, 1, 40).tolist(), list(range(40)))
    judged, rest = np.arange(3), np.arange(3, 40)
    chosen = active_learning.WAYS["diverse"](whole, sight, rest, 5, np.random.default_rng(1)).tolist()
    place = np.concatenate([sight.photo, sight.image], axis=1)
    seen = judged.tolist()
    for row in chosen:
        distance = ((place[:, None] - place[seen]) ** 2).sum(axis=2).min(axis=1)
        assert row == rest[distance[rest].argmax()]
        seen.append(row)


def test_the_truth_of_a_pair_is_read_only_once_it_is_judged() -> None:
    """Negative control: a truth that is NaN but where it was judged changes no choice."""
    whole, sight = pool([0.9, 0.5, 0.1, 0.3, 0.55, 0.8], [0, 0, 0, 1, 1, 2])
    hidden = Pool(photo=whole.photo, image=whole.image, truth=np.full(6, np.nan))
    rest = np.arange(6)
    for name, pick in active_learning.WAYS.items():
        if name != "diverse":
            chosen = [pick(one, sight, rest, 3, np.random.default_rng(2)).tolist() for one in (whole, hidden)]
            assert chosen[0] == chosen[1]


def test_captions_name_what_is_there_as_often_as_stated() -> None:
    truth = world.make(replace(TINY, num_images=2_000))
    of = truth.pictures.thing
    values = (of.shape, of.material, of.pattern, of.colour)
    right = np.stack([np.array([forms.split("/")[0] for forms in WORDS[at]])[values[at]] for at in ORDER], axis=1)
    for wrong in (0.0, 0.3, 1.0):
        said = np.array([text.split() for text in captions.caption(truth, wrong, 0).tolist()])
        chance = np.array([len(WORDS[at]) for at in ORDER])
        expected = 1 - wrong + wrong / chance
        assert np.allclose((said == right).mean(axis=0), expected, atol=0.04)


def test_lists_are_fused_by_place() -> None:
    one = Ranking(ids=np.array([[4, 7, 9]]), scores=np.array([[3.0, 2, 1]]))
    other = Ranking(ids=np.array([[9, 5, -1]]), scores=np.array([[3.0, 2, -np.inf]]))
    found = captions.fused(one, other, 5)
    assert found.ids.tolist() == [[9, 4, 5, 7, -1]]
    assert found.scores[0, 0] == pytest.approx(1 / 61 + 1 / 63) and found.scores[0, -1] == -np.inf
