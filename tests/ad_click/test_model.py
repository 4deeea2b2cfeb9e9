"""Baseline and model: what is saved scores the same, two fits are one, and the paired figures stand where they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ad_click import baseline, data, features, model
from ad_click.config import Config
from ad_click.model.fields import rows
from common.contract import Result
from common.errors import InputError
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


def test_the_candidates_of_a_request_score_as_the_same_rows_of_a_table(
    run_once: tuple[Path, Result], tiny: Config
) -> None:
    """A table goes through LightGBM, a request through trees of our own: the same bits."""
    folder = run_once[1].artifact.folder
    dataset = data.load(tiny)
    inputs = features.load(folder / "features").inputs(dataset.test, dataset.history)
    scorer = model.load(folder / "model")
    assert len(inputs) > model.ONE_REQUEST
    whole = scorer.score(inputs)
    for first in (0, 700, len(inputs) - 500):
        assert np.array_equal(scorer.score(rows(inputs, slice(first, first + 500))), whole[first : first + 500])


def test_policy_and_reference_ask_trees_that_have_not_seen_the_validation_rows(tiny: Config) -> None:
    dataset = data.load(tiny)
    fitted = features.fit(dataset, tiny)
    served, stopped = (model.fit(dataset, fitted, replace(tiny, refit=refit)) for refit in (True, False))
    inputs = fitted.inputs(dataset.valid, dataset.history)
    assert np.array_equal(served.held_out.score(inputs), stopped.score(inputs))
    assert not np.array_equal(served.score(inputs), stopped.score(inputs))
    assert stopped.held_out is stopped


@pytest.mark.parametrize(("knob", "value"), [("num_leaves", 65), ("negative_rate", 0.0), ("negative_rate", 1.5)])
def test_knobs_that_no_model_can_have_are_refused(tiny: Config, knob: str, value: Any) -> None:
    dataset = data.load(tiny)
    with pytest.raises(InputError, match=f"{knob} is {value}"):
        model.fit(dataset, features.fit(dataset, tiny), replace(tiny, **{knob: value}))


def test_thinned_negatives_not_corrected_lose(tiny: Config) -> None:
    from ad_click import experiments

    table = experiments.EXPERIMENTS["thinned_negatives"](tiny)
    assert table[2]["low"] > 0 and table[2]["calibration_ratio"] > 2  # not corrected
    assert abs(table[1]["calibration_ratio"] - table[0]["calibration_ratio"]) < 0.2


def test_gates_let_the_order_through_and_hold_the_level_back(tiny: Config) -> None:
    from ad_click import experiments

    table = {(row["scorer"], row["gate"]): row for row in experiments.EXPERIMENTS["gates"](tiny)}
    ours, foil = (table[scorer, "over planted, all"]["value"] for scorer in ("model", "a tenth too high"))
    assert foil == pytest.approx(1.1 * ours)
    entropy = "normalized entropy above the baseline's"
    assert table["model", entropy]["high"] < 0 and table["a tenth too high", entropy]["high"] < 0
    names = [gate for scorer, gate in table if scorer == "model"]
    assert any(gate.startswith("over planted, device=") for gate in names), "a slice of 10,000 rows has its own gate"
