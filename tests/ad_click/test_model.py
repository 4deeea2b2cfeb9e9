"""Baseline and model: what is saved scores the same, two fits are one, and the paired figures stand where they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ad_click import baseline, data, features, model
from ad_click.config import Config
from common.contract import Result
from common.eval.calibration import calibration_ratio
from common.eval.report import is_better

pytestmark = pytest.mark.slow


def test_the_artifact_scores_as_it_did(run_once: tuple[Path, Result], tiny: Config) -> None:
    folder = run_once[1].artifact.folder
    dataset = data.load(tiny)
    fitted = features.fit(dataset, tiny)
    ours = fitted.inputs(dataset.test, dataset.history)
    theirs = features.load(folder / "features").inputs(dataset.test, dataset.history)
    assert np.array_equal(ours.numbers, theirs.numbers, equal_nan=True) and np.array_equal(ours.codes, theirs.codes)
    for stage in (baseline, model):
        fresh = stage.fit(dataset, fitted, tiny)
        assert np.array_equal(fresh.score(ours), stage.load(folder / stage.__name__.split(".")[1]).score(theirs))


def test_reports_stand_in_order(run_once: tuple[Path, Result]) -> None:
    _, result = run_once
    assert set(result.reports) == {"baseline", "model", "ceiling"}
    assert not is_better(result.paired["model-ceiling"], "log_loss"), "better than the truth: look for a leak"
    assert is_better(result.paired["model-baseline"], "log_loss")


def test_thinned_negatives_need_their_correction(tiny: Config) -> None:
    dataset = data.load(tiny)
    fitted = features.fit(dataset, tiny)
    thinned = model.fit(dataset, fitted, replace(tiny, negative_rate=0.2, calibrate=False))
    inputs = fitted.inputs(dataset.train, dataset.history)
    assert calibration_ratio(dataset.train.label, thinned.score(inputs)) == pytest.approx(1, abs=0.15)
    uncorrected = replace(thinned, negative_rate=1.0)
    assert calibration_ratio(dataset.train.label, uncorrected.score(inputs)) > 2


def test_the_foil_of_each_experiment_loses(tiny: Config) -> None:
    from ad_click import experiments

    rows = experiments.EXPERIMENTS["thinned_negatives"](tiny)
    assert rows[2]["low"] > 0 and rows[2]["calibration_ratio"] > 2  # not corrected
    assert abs(rows[1]["calibration_ratio"] - rows[0]["calibration_ratio"]) < 0.2
