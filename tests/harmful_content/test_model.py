"""The parts of the model: the frozen encoder, the lines, the network; what is missing, what is empty, and one row beside many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.checks import Trial
from common.errors import InputError
from common.eval.classification import auc, pr_auc
from harmful_content import baseline, model
from harmful_content.config import SMOKE, Config
from harmful_content.features import Features, Inputs
from harmful_content.model.patches import Patches
from harmful_content.schema import NO_IMAGES, SIDE, Dataset
from harmful_content.world import World
from harmful_content.world.posts import PICTURE


@pytest.fixture(scope="module")
def inputs(trial: Trial) -> Inputs:
    dataset: Dataset = trial.dataset
    found: Inputs = trial.part("features").inputs(dataset.test, dataset.history)
    return found


@pytest.mark.slow
def test_frozen_patches_tell_a_sign_from_other_pictures(planted: World) -> None:
    """A line over what the encoder says finds signs it was not fitted on; over the mean colour it does not."""
    from sklearn.linear_model import LogisticRegression

    pixels = planted.images.pixels
    is_sign = (planted.posts.form[planted.posts.has_image] == PICTURE).astype(float)
    half = len(pixels) // 2
    encoded = Patches.fit(pixels[:half], 64, seed=0).encode(pixels)
    encoded = (encoded - encoded.mean(axis=0)) / (encoded.std(axis=0) + 1e-3)
    found = {}
    for name, seen in (("patches", encoded), ("colour", pixels.mean(axis=(1, 2)) / 255)):
        line = LogisticRegression(C=0.05, max_iter=300).fit(seen[:half], is_sign[:half])
        found[name] = pr_auc(is_sign[half:], line.decision_function(seen[half:]))
    assert found["patches"] > 0.85 and found["colour"] < 0.6


def test_a_picture_is_encoded_alone_as_among_others(planted: World) -> None:
    pixels = planted.images.pixels[:300]
    patches = Patches.fit(pixels, 16, seed=0)
    assert np.allclose(patches.encode(pixels)[[7]], patches.encode(pixels[[7]]), atol=1e-4)


def test_an_encoder_without_pictures_says_nothing() -> None:
    patches = Patches.fit(NO_IMAGES.pixels, 8, seed=0)
    said = patches.encode(np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE, 3)).astype(np.uint8))
    assert said.shape == (3, 16) and not said.any()


def test_a_line_finds_the_words_that_were_planted() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(2, 200, (2_000, 8))
    label = (tokens == 17).any(axis=1).astype(float)[:, None]
    line = baseline.lines(tokens, label, np.ones(label.shape), 200, SMOKE)
    fresh = rng.integers(2, 200, (1_000, 8))
    assert auc((fresh == 17).any(axis=1).astype(float), line.logits(fresh)[:, 0]) > 0.99
    with_it = np.array([17, 40, 41, 42, 0, 0, 0, 0])
    assert line.evidence(with_it, 0)[0] == 17
    assert 17 not in line.evidence(np.array([40, 41, 42, 43, 0, 0, 0, 0]), 0)


def test_a_policy_nobody_violated_is_never_said() -> None:
    tokens = np.random.default_rng(0).integers(2, 50, (100, 4))
    line = baseline.lines(tokens, np.zeros((100, 2)), np.ones((100, 2)), 50, SMOKE)
    assert (line.logits(tokens) < -4).all()


@pytest.mark.slow
def test_scores_are_probabilities_whatever_is_missing(trial: Trial, inputs: Inputs) -> None:
    fitted = trial.part("model")
    bare = {
        "pictures": replace(inputs, image=np.full(len(inputs), -1), images=NO_IMAGES),
        "words": replace(inputs, tokens=np.zeros_like(inputs.tokens)),
        "everything": replace(
            inputs, image=np.full(len(inputs), -1), tokens=np.zeros_like(inputs.tokens), numbers=0 * inputs.numbers, codes=0 * inputs.codes
        ),
    }  # fmt: skip
    whole = fitted.score(inputs)
    for name, some in bare.items():
        scores = fitted.score(some)
        assert (
            scores.shape == (len(inputs), 7)
            and np.isfinite(scores).all()
            and (scores >= 0).all()
            and (scores <= 1).all()
        )
        assert not np.allclose(scores, whole), f"{name} changes nothing"


@pytest.mark.slow
def test_one_post_scores_as_it_does_among_many(trial: Trial, inputs: Inputs) -> None:
    fitted = trial.part("model")
    alone = replace(inputs, **{name: getattr(inputs, name)[[5]] for name in ("tokens", "image", "numbers", "codes")})
    assert np.allclose(fitted.score(alone)[0], fitted.score(inputs)[5], atol=1e-5)


@pytest.mark.slow
def test_a_torn_model_is_refused(trial: Trial, tmp_path: Path) -> None:
    trial.part("model").save(tmp_path)
    whole = (tmp_path / model.WEIGHTS).read_bytes()
    (tmp_path / model.WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole model"):
        model.load(tmp_path)


def test_features_know_who_is_new_and_what_is_missing(trial: Trial, tiny: Config) -> None:
    from harmful_content import features

    dataset: Dataset = trial.dataset
    fitted: Features = features.fit(dataset, tiny)
    rows = dataset.test
    new = fitted.is_new_author(fitted.inputs(rows, dataset.history))
    log = dataset.history.events
    first = [
        not (log.keys["user_id"][:moment] == user)[log.kind[:moment] == "impression"].any()
        for user, moment in zip(rows.user_id.tolist(), rows.moment.tolist(), strict=True)
    ]
    assert np.array_equal(new, first) and 0.05 < new.mean() < 0.95
    assert not fitted.is_new_author(fitted.inputs(rows, None)).any()
    bare = replace(rows.take(np.array([0])), numbers={}, categories={"language": np.array(["xx"])})
    missing, unknown = fitted.gaps(bare)
    assert set(missing) == {"account_days", "followers", "age_hours", "device"} and unknown == ["language"]
