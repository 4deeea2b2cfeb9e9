"""What the ranker is taught, and by what: planted answers, and what each guard is there against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.checks import Trial
from common.contract import Floats, Ranking
from common.errors import InputError
from search_ranking import data, features, model
from search_ranking.baseline import NOBODY, filled
from search_ranking.config import SMOKE
from search_ranking.model.clicks import by_ctr
from search_ranking.model.clicks.weights import a_list_a_click
from search_ranking.model.ltr import Groups, trees
from search_ranking.model.retrieval import looks
from search_ranking.world.history import examination

WORDS = ("guitar", "fretboard", "bread", "sourdough")  # the first two look alike, and the last two


def pictured(rng: np.random.Generator, mixed: bool = False) -> looks.Looks:
    """Documents that never say two words for one thing, each with a blurred picture of it; `mixed`: the pictures of other documents."""
    concepts = np.eye(8)[:2]
    which = rng.integers(0, 4, 400)
    said = [[WORDS[word], f"filler{rng.integers(20)}"] for word in which]
    frames = concepts[which // 2] + 0.3 * rng.normal(size=(400, 8))
    return looks.fit(said, (rng.permutation(frames) if mixed else frames).astype(np.float32))


def test_words_for_what_looks_alike_lie_together_though_no_document_says_both() -> None:
    vectors = pictured(np.random.default_rng(0)).encode(list(WORDS))
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.9 and alike[2, 3] > 0.9
    assert alike[:2, 2:].max() < 0.3, "another thing lies elsewhere"
    strange = pictured(np.random.default_rng(0), mixed=True).encode(list(WORDS))
    assert (strange @ strange.T)[0, 1] < 0.9, "with the pictures of others nothing says what means the same"


def test_looks_are_saved_bit_for_bit_and_refused_when_torn(tmp_path: Path) -> None:
    seen = pictured(np.random.default_rng(1))
    seen.save(tmp_path)
    again = looks.load(tmp_path)
    texts = ["guitar fretboard", "nothing known", "", "Bread, bread"]
    assert again.fingerprint == seen.fingerprint and np.array_equal(again.encode(texts), seen.encode(texts))
    assert not seen.encode(texts)[1:3].any() and np.array_equal(seen.encode(["bread"])[0], seen.encode(texts)[3])
    path = tmp_path / looks.FILE
    whole = path.read_bytes()
    for torn in (b"", whole[: len(whole) // 2], whole.replace(b"places", b"plaices")):
        path.write_bytes(torn)
        with pytest.raises(InputError, match="not a whole encoder"):
            looks.load(tmp_path)


def test_each_click_has_a_list_of_its_own_and_no_other_click_in_it() -> None:
    """Against a loop over pages."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        request = np.repeat(np.arange(8) * 3, rng.integers(1, 6, 8))
        clicked = rng.random(len(request)) < 0.4
        row, click = a_list_a_click(request, clicked)
        expected = [
            (at, int(one))
            for one in np.flatnonzero(clicked)
            for at in np.flatnonzero(request == request[one]).tolist()
            if at == one or not clicked[at]
        ]
        assert list(zip(row.tolist(), click.tolist(), strict=True)) == expected


def test_the_curve_is_the_planted_one_within_a_tenth_and_click_rates_are_not() -> None:
    rows = data.load(SMOKE).train
    slot, clicked = rows.numbers["slot"].astype(np.int64), rows.labels["clicked"] > 0
    planted = examination(np.arange(1, 11), SMOKE.steepness)

    def off(curve: Floats) -> float:
        return float(np.abs(curve / planted - 1)[1:].mean())

    assert off(model.curve(rows, SMOKE)) < 0.1
    assert off(by_ctr(slot, clicked, rows.user_id, reps=0).examination) > 0.25
    assert (model.curve(rows, replace(SMOKE, debias="none")) == 1).all()


def noisy(rng: np.random.Generator) -> Groups:
    """Few lists, many columns: trees find much that is not there."""
    inputs = rng.normal(size=(600, 6))
    grades = (inputs[:, 0] + 2 * rng.normal(size=600) > 1.5).astype(float)
    return Groups(features=inputs, grades=grades, sizes=np.full(60, 10))


def falls(ranker: trees.Trees, inputs: Floats) -> float:
    """The most that a score goes down when one column goes up."""
    most = 0.0
    for column in range(inputs.shape[1]):
        more = inputs.copy()
        more[:, column] += 1.0
        most = max(most, float((ranker.score(inputs) - ranker.score(more)).max()))
    return most


def test_where_more_may_not_be_worse_it_is_not() -> None:
    rng = np.random.default_rng(3)
    groups, fresh = noisy(rng), rng.normal(size=(500, 6))
    setting = trees.Setting(num_trees=30)
    assert falls(trees.fit(groups, None, replace(setting, monotone=(1,) * 6)), fresh) <= 1e-9
    assert falls(trees.fit(groups, None, setting), fresh) > 0.1, (
        "free trees say of some words that they had better be missing"
    )


def test_what_the_old_engine_sorted_by_is_not_learnt_from() -> None:
    for name in ("views", "age_days", "length", "doc_seen", "doc_coec", "pair_seen", "query_asked"):
        assert name not in model.LEARNT
    assert {"pair_coec", "pair_satisfied", "cosine", "bm25_title"} <= set(model.LEARNT)


def test_an_unknown_encoder_and_an_unknown_cure_are_refused() -> None:
    dataset = data.load(SMOKE)
    with pytest.raises(InputError, match=r"encoder=.look.*looks"):
        model.meaning(dataset, replace(SMOKE, encoder="look"))
    with pytest.raises(InputError, match=r"debias=.ipw.*ips"):
        model.curve(dataset.train, replace(SMOKE, debias="ipw"))


@pytest.mark.slow
def test_an_encoder_taught_by_clicks_leaves_the_ranker_others() -> None:
    """Its cosines of the pairs it was taught are better than those of any other: a ranker that saw them would trust it for that."""
    config = replace(SMOKE, encoder="own")
    dataset = data.load(config)
    _, vectors, rows = model.meaning(dataset, config)
    assert vectors.shape == (len(dataset.catalog), config.dim)
    assert 0.4 < len(rows) / len(dataset.train) < 0.6 and rows.event_time.min() > dataset.train.event_time.min()
    _, _, every = model.meaning(dataset, SMOKE)
    assert every is dataset.train, "what no click has taught leaves all of them"


@pytest.mark.slow
def test_a_list_weighs_as_its_click_does_and_holds_one_grade(trial: Trial) -> None:
    config, dataset, fitted = trial.config, trial.dataset, features.load(trial.artifact.folder / "features")
    legs = trial.part("model").legs
    groups, slot = model.lessons(dataset.train, legs, fitted, dataset, config)
    assert groups.weights is not None and len(slot) == len(groups.grades)
    graded = np.add.reduceat((groups.grades > 0).astype(int), groups.starts)
    assert (graded == 1).all() and set(np.unique(groups.grades)) == {0.0, 1.0}
    assert (
        np.minimum.reduceat(groups.weights, groups.starts) == np.maximum.reduceat(groups.weights, groups.starts)
    ).all()
    first = (groups.grades > 0) & (slot == 0)
    assert np.allclose(groups.weights[first], 1.0) and groups.weights.max() > 3


@pytest.mark.slow
def test_a_reloaded_model_gives_the_same_page(trial: Trial) -> None:
    some = trial.dataset.test.take(slice(0, 20))
    store = trial.dataset.history
    first, second = (
        one.rerank(some, one.retrieve(some, 100), store) for one in (trial.part("model"), trial.part("model"))
    )
    assert np.array_equal(first.ids, second.ids) and np.array_equal(first.scores, second.scores)
    assert (np.diff(np.where(first.ids >= 0, first.scores, -1e9), axis=1) <= 0).all()


@pytest.mark.slow
def test_what_nobody_found_stays_as_it_stands_and_a_score_below_zero_does_not_say_so(trial: Trial) -> None:
    """A cosine may be negative: only a whole list at NOBODY and below was found by nobody."""
    ranker, store = trial.part("model"), trial.dataset.history
    some = trial.dataset.test.take(slice(0, 2))
    found = ranker.retrieve(some, 50)
    low = Ranking(ids=found.ids, scores=found.scores - 0.5)
    assert np.array_equal(ranker.rerank(some, low, store).ids, ranker.rerank(some, found, store).ids)
    nobody = filled(
        Ranking(ids=np.full((2, 50), -1), scores=np.full((2, 50), -np.inf)), np.arange(2), ranker.features.popular, None
    )
    assert nobody.scores[0, 0] == NOBODY and np.array_equal(nobody.ids[0], ranker.features.popular[:50])
    again = ranker.rerank(some, nobody, store)
    assert np.array_equal(again.ids, nobody.ids) and np.array_equal(again.scores, nobody.scores)
