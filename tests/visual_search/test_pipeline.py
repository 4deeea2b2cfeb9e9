"""The whole case on a small world, and on somebody's folders of pictures: the same code, a report each, an artifact that opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checks import Trial
from common.eval.ranking import ndcg
from common.eval.report import is_better
from common.lifecycle.registry import Registry
from tests.visual_search.conftest import SMALL
from visual_search import evaluate, pipeline
from visual_search.config import OVERRIDES
from visual_search.evaluate import K

pytestmark = pytest.mark.slow


def test_the_model_is_better_than_colours_and_stays_under_the_truth(trial: Trial) -> None:
    assert is_better(trial.result.paired["model-baseline"], f"expected_gain@{K}")
    high = trial.result.paired["model-ceiling"].high
    assert high is not None and high < 0


def test_all_metrics_stand_side_by_side_with_graded_and_binary_truth(trial: Trial) -> None:
    report = trial.result.reports["model"]
    assert {"mrr", f"recall@{K}", f"precision@{K}", f"map@{K}", f"ndcg@{K}", "hit_rate@1", "coverage"} <= set(
        report.metrics
    )
    graded, binary = report.metrics[f"ndcg@{K}"].value, report.slices["truth=binary"][f"ndcg@{K}"].value
    assert 0 < graded < 1 and 0 < binary < 1 and graded != binary
    assert {"kind", "clutter", "combination"} <= {name.partition("=")[0] for name in report.slices}


def test_graded_ndcg_is_that_of_the_grades_of_what_is_alike_enough(trial: Trial) -> None:
    """By hand, for the truth's own pages and for what stands in them in a random order."""
    key = trial.stage("data").judgments(trial.config)
    store = trial.dataset.history
    ranking = trial.part("model").retrieve(trial.dataset.test, K, store)
    found = evaluate.evaluate(ranking, key, trial.config).metrics[f"ndcg@{K}"].value
    gains = key.gain(key.requests, ranking.ids)
    enough = np.array(
        [[one in row[row >= 0] for one in ids] for ids, row in zip(ranking.ids, key.relevant, strict=True)]
    )
    ideal = key.gain(key.requests, key.relevant)
    assert found == pytest.approx(float(ndcg(gains * enough, ideal, K).mean()))


def test_folders_of_pictures_go_through_the_same_code(tmp_path: Path) -> None:
    """Two classes told by colour alone: found in the first place nearly always, by baseline and by model."""
    rng = np.random.default_rng(0)
    for name, colour in (("red cups", (200, 40, 40)), ("blue cups", (40, 40, 200))):
        folder = tmp_path / "own" / name
        folder.mkdir(parents=True)
        for at in range(60):
            noise = rng.normal(0, 12, (32, 32, 3))
            Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(folder / f"{at}.png")
    config = replace(SMALL, data=f"images:{tmp_path / 'own'}", **OVERRIDES["images"])
    result = pipeline.run(config, Registry(tmp_path / "registry"))
    assert set(result.reports) == {"baseline", "model"} and result.reports["model"].primary == "hit_rate@1"
    assert result.reports["model"].metrics["hit_rate@1"].value > 0.9
    assert Registry(tmp_path / "registry").open("visual_search", result.artifact.version).manifest["reports"]["model"]
