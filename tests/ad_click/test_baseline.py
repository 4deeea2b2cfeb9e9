"""The last rung of the ladder: what is believed of a click in slot 0 when nothing else is known."""

from __future__ import annotations

import numpy as np
import pytest

from ad_click import baseline
from ad_click.schema import Rows
from common.contract import Floats


def rows(label: Floats, slot: Floats | None) -> Rows:
    nothing = np.zeros(len(label), dtype=np.int64)
    numbers = {} if slot is None else {"slot": slot}
    return Rows(user_id=nothing, ad_id=nothing, event_time=nothing, moment=nothing, label=label, numbers=numbers)


def test_the_rate_is_that_of_slot_0() -> None:
    rng, slot = np.random.default_rng(0), np.tile([0.0, 1.0, 2.0], 50_000)
    label = (rng.random(len(slot)) < np.array([0.03, 0.02, 0.01])[slot.astype(int)]).astype(np.float64)
    assert baseline._rate(rows(label, slot)) == pytest.approx(0.03, rel=0.05)
    assert baseline._rate(rows(label, None)) == label.mean() == pytest.approx(0.02, rel=0.05)  # control: no slots


@pytest.mark.parametrize(("in_slot_0", "expected"), [(0, 0.1), (100, 0.15), (10_000, 0.2)])
def test_few_rows_of_slot_0_are_held_to_all_rows(in_slot_0: int, expected: float) -> None:
    """A click in ten over all, one in five in slot 0: a hundred rows weigh as much as what is known of all."""
    slot = np.append(np.zeros(in_slot_0), np.ones(100_000 - in_slot_0))
    label = np.zeros(len(slot))
    label[: in_slot_0 // 5] = 1
    label[in_slot_0 : in_slot_0 + 10_000 - in_slot_0 // 5] = 1
    assert label.mean() == pytest.approx(0.1)
    assert baseline._rate(rows(label, slot)) == pytest.approx(expected, rel=0.01)
