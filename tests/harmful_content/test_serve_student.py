"""The student small: every row on the same posts, the file a fraction of the model, eight bits next to the floats they came from."""

from __future__ import annotations

import pytest

from harmful_content.config import Config
from harmful_content.experiments import student

pytest.importorskip("onnxruntime", reason="the edge extra is not installed")
pytestmark = pytest.mark.slow


def test_rows_sizes_and_what_eight_bits_lose(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student, "EPOCHS", 3)
    rows = student.student(tiny)
    whole, by_labels, by_chance, by_model, small = rows
    assert whole["change"] == 0 and whole["of_the_model"] == 1
    assert small["kb"] < by_model["kb"] == by_labels["kb"] < whole["kb"]
    assert by_chance["pr_auc"] < by_model["pr_auc"], "scores of other posts teach nothing"
    assert small["of_the_model"] <= 0.25
    assert small["pr_auc"] == pytest.approx(by_model["pr_auc"], abs=0.02)
    for row in rows:
        assert row["low"] < row["pr_auc"] < row["high"] and row["change_low"] <= row["change"] <= row["change_high"]
        assert row["cpu_us"] > 0
