"""What the model is made of, against planted answers: towers joined early and late, the line stacked in, losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from common.checks import Trial
from common.eval.classification import auc
from common.features.text import PAD
from harmful_content import baseline
from harmful_content.config import SMOKE
from harmful_content.experiments.lab import recall_at
from harmful_content.experiments.labels import LEAST, propensity
from harmful_content.model import losses
from harmful_content.model.late import Late
from harmful_content.model.lesson import Lesson, cross_entropy, learn, network_for, scores, targets
from harmful_content.model.network import TOWERS, Heads
from harmful_content.model.reader import Reader, out_of_fold

FAST = replace(SMOKE, epochs=25, batch_size=64, learning_rate=5e-3, drop_modality=0.0)


def planted(kind: str, num_rows: int = 1_200, seed: int = 0) -> Lesson:
    """Word 2 or 3 among others, a picture whose first number is up or down; harm where the word says so, the picture, or either but not both."""
    rng = np.random.default_rng(seed)
    warm, up = rng.integers(0, 2, (2, num_rows))
    tokens = rng.integers(4, 12, (num_rows, 5))
    tokens[:, 2] = 2 + warm
    seen = rng.normal(size=(num_rows, 4))
    seen[:, 0] = 2.0 * up - 1
    harm = {"text": warm, "image": up, "both": warm ^ up}[kind].astype(np.float64)
    label = np.stack([harm, 1 - harm], axis=1)
    columns = {
        "tokens": torch.from_numpy(tokens), "seen": torch.from_numpy(seen.astype(np.float32)),
        "has_image": torch.ones(num_rows, dtype=torch.bool), "numbers": torch.zeros(num_rows, 2),
        "codes": torch.ones(num_rows, 1, dtype=torch.int64), "said": torch.zeros(num_rows, 2),
        **targets(label, np.ones_like(label)),
    }  # fmt: skip
    half = num_rows // 2
    parts = [{name: column[at] for name, column in columns.items()} for at in (slice(half), slice(half, None))]
    nothing = np.zeros(0, np.float32)
    reader = Reader(None, None, nothing, nothing)  # type: ignore[arg-type]
    shape = {
        "num_words": 12,
        "num_tokens": 5,
        "num_seen": 4,
        "num_numbers": 2,
        "num_policies": 2,
        "width": 16,
        "head_width": 0,
    }
    return Lesson(reader=reader, train=parts[0], valid=parts[1], shape=shape, sizes=(2,))


# -------------------------------------------------------------------------------------------------------------------------- fusion


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "image", "both"])
def test_early_sees_what_lies_in_both_and_late_cannot(kind: str) -> None:
    lesson = planted(kind)
    harm = lesson.valid["label"][:, 0].numpy()
    early = scores(learn(lesson, FAST), lesson.valid)[:, 0]
    late = Late.fit(lesson, FAST).scores(lesson.valid)[:, 0]
    assert auc(harm, early) > 0.97
    assert auc(harm, late) < 0.65 if kind == "both" else auc(harm, late) > 0.97


def test_what_is_missing_is_a_placeholder_and_changes_nothing_else() -> None:
    lesson = planted("both", 80)
    network = network_for(lesson, FAST).eval()
    blind = {**lesson.valid, "has_image": torch.zeros(40, dtype=torch.bool)}
    other = {**blind, "seen": 100 * torch.randn(40, 4)}
    assert np.array_equal(scores(network, blind), scores(network, other)), "a picture that is not there says nothing"
    mute = {**blind, "tokens": torch.zeros(40, 5, dtype=torch.int64)}
    found = scores(network, mute)
    assert np.isfinite(found).all() and np.allclose(found, found[0]), "nothing there: every post is alike"
    assert not np.allclose(scores(network, blind), scores(network, lesson.valid))


def test_a_modality_is_left_out_only_where_the_other_is_there() -> None:
    network = network_for(planted("both", 80), replace(FAST, drop_modality=0.3)).train()
    torch.manual_seed(0)
    text, image = torch.rand(2, 4_000) < 0.7
    tokens = torch.where(text[:, None], torch.full((4_000, 2), 5), PAD)
    left, kept_image = network._kept(tokens, image)
    kept_text = (left != PAD).any(dim=1)
    assert not (kept_text & ~text).any() and not (kept_image & ~image).any()
    assert (kept_text | kept_image)[text | image].all(), "never both"
    assert (kept_text == text)[~image].all() and (kept_image == image)[~text].all()
    for kept in (kept_text, kept_image):
        assert 0.65 < float(kept[text & image].float().mean()) < 0.75
    assert (network.eval()._kept(tokens, image)[0] == tokens).all()
    alone = network_for(planted("text", 80), replace(FAST, drop_modality=0.3), ("words",)).train()
    assert (alone._kept(tokens, image)[0] == tokens).all(), "one modality has no other to make up for it"


def test_heads_of_their_own_share_no_hidden_unit() -> None:
    torch.manual_seed(0)
    heads = Heads(8, 3, 4)
    torch.nn.init.ones_(heads.last)
    heads(torch.randn(5, 8))[:, 1].sum().backward()
    assert heads.own is not None and heads.own.weight.grad is not None
    moved = heads.own.weight.grad.view(3, 4, 8).abs().sum(dim=(1, 2))
    assert moved[1] > 0 and moved[0] == moved[2] == 0
    assert Heads(8, 3, 0)(torch.randn(5, 8)).shape == (5, 3)


def test_every_tower_is_taught_from_the_first_step() -> None:
    """The control: heads that begin at 0, as residual branches often do, teach no tower anything in it."""
    lesson = planted("image", 80)
    for is_control in (False, True):
        network = network_for(lesson, FAST).train()
        if is_control:
            torch.nn.init.zeros_(network.heads.last)
        cross_entropy(network, lesson.train).backward()  # type: ignore[no-untyped-call]
        for weight in (network.text.words.weight, network.picture.weight, network.numbers.bias):
            assert weight.grad is not None and (float(weight.grad.abs().max()) == 0) == is_control


def test_what_the_line_says_is_added_to_every_head() -> None:
    lesson = planted("text", 80)
    said = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    columns = {**lesson.valid, "said": said}
    begun, deaf = network_for(lesson, FAST).eval(), network_for(lesson, FAST, TOWERS).eval()
    torch.nn.init.zeros_(begun.heads.last)  # the network itself says nothing
    assert np.allclose(scores(begun, columns), torch.sigmoid(said).numpy(), atol=1e-6)
    assert np.array_equal(scores(deaf, columns), scores(deaf, lesson.valid))


def test_a_lesson_of_some_policies_and_of_any(trial: Trial) -> None:
    from harmful_content import features

    dataset, config = trial.dataset, trial.config
    lesson = Lesson.read(dataset, features.fit(dataset, config), config)
    some = lesson.of(np.array([4, 1]))
    assert some.num_outputs == 2 and torch.equal(some.train["label"][:, 1], lesson.train["label"][:, 1])
    any_label = lesson.any().valid["label"][:, 0]
    assert torch.equal(any_label, (lesson.valid["label"].sum(dim=1) > 0).float())
    assert scores(network_for(lesson.any(), config).eval(), lesson.any().valid).shape == (len(dataset.valid), 1)


def test_a_line_speaks_of_rows_it_has_not_seen() -> None:
    """Every row a word of its own and a label by chance: a line knows its own rows by heart, out of fold nothing can be known."""
    rng = np.random.default_rng(0)
    tokens = 2 + np.arange(400)[:, None].repeat(3, axis=1)
    label = (rng.random((400, 1)) < 0.5).astype(float)
    own = baseline.lines(tokens, label, np.ones_like(label), 410, FAST).logits(tokens)
    assert auc(label[:, 0], own[:, 0]) > 0.99
    assert abs(auc(label[:, 0], out_of_fold(tokens, label, np.ones_like(label), 410, FAST)[:, 0]) - 0.5) < 0.1


def test_learning_is_a_function_of_its_arguments() -> None:
    lesson, once = planted("text", 200), replace(FAST, epochs=2)
    first, second = (scores(learn(lesson, once), lesson.valid) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, scores(learn(lesson, replace(once, seed=1)), lesson.valid))


# -------------------------------------------------------------------------------------------------------------------------- losses


def test_focal_is_the_written_formula_and_at_zero_the_cross_entropy() -> None:
    lesson = planted("both", 60)
    network = network_for(lesson, FAST).eval()
    with torch.no_grad():
        plain, none, two = (float(loss(network, lesson.train)) for loss in (cross_entropy, losses.focal(0.0), losses.focal(2.0)))  # fmt: skip
    assert plain == pytest.approx(none, rel=1e-6)
    chance, label = scores(network, lesson.train), lesson.train["label"].numpy()
    right = np.where(label == 1, chance, 1 - chance)
    assert two == pytest.approx(float((-((1 - right) ** 2) * np.log(right)).mean(axis=0).sum()), rel=1e-4)


def test_rare_positives_weigh_the_root_of_their_rarity() -> None:
    lesson = planted("text", 200)
    label = torch.zeros(100, 2)
    label[:10, 0] = label[:50, 1] = 1.0
    lesson = replace(lesson, train={**lesson.train, **targets(label.numpy(), np.ones((100, 2)))})
    network = network_for(lesson, FAST).eval()
    with torch.no_grad():
        found = float(losses.weighted(lesson)(network, lesson.train))
    chance, y = scores(network, lesson.train), label.numpy()
    parts = -(y * np.array([3.0, 1.0]) * np.log(chance) + (1 - y) * np.log(1 - chance))
    assert found == pytest.approx(float(parts.mean(axis=0).sum()), rel=1e-4)


def test_blending_gives_most_to_what_gains_without_overfitting() -> None:
    assert losses.blend((1.0, 1.0), (0.6, 0.8)) == pytest.approx(0.2 / 0.2**2)
    assert losses.blend((1.0, 1.0), (0.2, 1.1)) == 0.0, "what validation does not gain by has no say"
    assert losses.blend((1.0, 1.0), (0.6, 0.7)) > losses.blend((1.0, 1.0), (0.3, 0.7))


@pytest.mark.slow
def test_the_tower_that_knows_gets_the_larger_share() -> None:
    lesson = planted("image")
    few = replace(FAST, batch_size=32)
    parts = {name: network_for(lesson, few, (name,)) for name in ("words", "image")}
    found = losses.shares(lesson, few, parts)
    assert sum(found.values()) == pytest.approx(1.0) and found["image"] > 0.9
    blended = losses.Blended(network_for(lesson, few), {"joint": 1.0, **dict.fromkeys(TOWERS, 0.0)}).eval()
    with torch.no_grad():
        same = float(blended.loss(blended, lesson.valid)), float(cross_entropy(blended, lesson.valid))
    assert same[0] == pytest.approx(same[1], rel=1e-6), "all to the joint answer is the plain loss"


# ------------------------------------------------------------------------------------------------------------------------ measures


def test_recall_at_a_precision_is_the_best_threshold_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        label, score = (rng.random(40) < 0.4).astype(float), rng.integers(0, 12, 40) / 12
        if not label.sum():
            continue
        tried = [(label[score >= t].mean(), label[score >= t].sum() / label.sum()) for t in np.unique(score)]
        best = max((recall for precision, recall in tried if precision >= 0.8), default=0.0)
        assert recall_at(0.8, label, score) == pytest.approx(best)
    twice = np.repeat(np.arange(40), 2)
    assert recall_at(0.8, label, score, np.full(40, 2.0)) == recall_at(0.8, label[twice], score[twice])


def test_a_propensity_that_was_planted_is_found() -> None:
    from types import SimpleNamespace

    rng = np.random.default_rng(0)
    fame = rng.normal(size=6_000)
    chance = 1 / (1 + np.exp(-(1.5 * fame)))
    harmful, reported = rng.random(6_000) < 0.5, rng.random(6_000) < chance
    rows = SimpleNamespace(hand_label=harmful[:, None] * 1.0, natural_label=(harmful & reported)[:, None] * 1.0)

    class Posts(SimpleNamespace):
        def __len__(self) -> int:
            return 6_000

    dataset = SimpleNamespace(train=Posts(**vars(rows)))
    found = propensity(dataset, np.column_stack([fame, rng.normal(size=6_000)]))  # type: ignore[arg-type]
    assert np.abs(found - np.maximum(chance, LEAST)).mean() < 0.05
