"""The whole case at SMOKE: better than the words alone, under the truth, and every part as it was when it is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from common.contract import Result
from common.eval.report import is_better, paired
from common.lifecycle.manifest import plain
from common.lifecycle.registry import Registry
from search_ranking import baseline, data, evaluate, features, model, monitor, pipeline, policy, world
from search_ranking.config import SMOKE
from search_ranking.experiments import lab

pytestmark = pytest.mark.slow
PARTS: dict[str, ModuleType] = {
    "features": features,
    "baseline": baseline,
    "model": model,
    "policy": policy,
    "reference": monitor,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    yield pipeline.run(SMOKE, Registry(tmp_path_factory.mktemp("registry")))


def test_the_model_is_better_than_the_words_alone_and_stays_under_the_truth(result: Result) -> None:
    assert is_better(result.paired["model-baseline"], "expected_gain@10")
    high = result.paired["model-ceiling"].high
    assert high is not None and high < 0


def test_the_same_candidates_in_a_random_order_are_not(result: Result) -> None:
    """The candidates alone do not make the difference."""
    dataset, judgments = data.load(SMOKE), data.judgments(SMOKE)
    found = model.load(result.artifact.folder / "model").retrieve(dataset.test, SMOKE.num_candidates)
    lots = np.random.default_rng(0).permuted(found.ids, axis=1)
    report = evaluate.evaluate(type(found)(ids=lots, scores=found.scores), judgments, SMOKE)
    assert not is_better(paired(report, result.reports["baseline"]), "expected_gain@10")


def test_what_experiments_call_served_is_what_was_published(result: Result) -> None:
    """To the last bit, interval and slice. The control: candidates found without the rules' mask give another report."""
    trained = lab.trained(SMOKE)
    lab.trained.cache_clear()
    published = json.dumps(result.artifact.manifest["reports"]["model"])
    assert json.dumps(plain(trained.report(trained.ranked(trained.candidates)))) == published
    unmasked = trained.model.retrieve(trained.dataset.test, SMOKE.num_candidates, trained.dataset.history)
    assert json.dumps(plain(trained.report(trained.ranked(unmasked)))) != published


def test_every_part_is_saved_again_as_it_was_read(result: Result, tmp_path: Path) -> None:
    for name, stage in PARTS.items():
        folder = result.artifact.folder / name
        (tmp_path / name).mkdir()
        stage.load(folder).save(tmp_path / name)
        files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        again = {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        assert files and files == again, (name, files.keys() ^ again.keys())


def test_requests_that_nothing_answers_well_are_a_slice_of_their_own(result: Result) -> None:
    judgments = data.judgments(SMOKE)
    nothing, answered = judgments.slices["words"] == "nothing relevant", judgments.grades.max(axis=1) >= 3
    assert np.array_equal(nothing, ~answered) and 0 < nothing.sum() < 0.5 * len(nothing)
    assert {"words=nothing relevant", "words=all shared"} <= set(result.reports["model"].slices)


def test_the_truth_knows_what_each_search_meant() -> None:
    """Its page is worth as much to the key as it says, so it ranks for the need the key judges by."""
    dataset, judgments = data.load(SMOKE), data.judgments(SMOKE)
    ranking = world.ceiling(SMOKE).rank(dataset.test, 10)
    assert np.allclose(judgments.gain(dataset.test, ranking.ids), ranking.scores)
    other = dataset.test.take(np.roll(np.arange(len(dataset.test)), 1))
    assert not np.allclose(judgments.gain(other, ranking.ids), ranking.scores)
