"""The score without reports is the score of a world in which nobody had reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.features.asof import AsOfStore
from harmful_content import data, features
from harmful_content.config import Config


def test_unreported_inputs_are_those_of_a_log_without_reports(tiny: Config) -> None:
    dataset = data.load(tiny)
    fitted = features.fit(dataset, tiny)
    log = dataset.history.events
    silent = AsOfStore(replace(log, kind=np.where(log.kind == "report", "unheard", log.kind)))
    as_it_was = fitted.inputs(dataset.valid, dataset.history)
    found, want = fitted.unreported(as_it_was), fitted.inputs(dataset.valid, silent)
    assert np.abs(as_it_was.numbers - want.numbers).max() > 0.1, "somebody reported: there is something to leave out"
    np.testing.assert_allclose(found.numbers, want.numbers, atol=1e-12)
