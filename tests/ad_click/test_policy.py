"""The auction over random candidates; every invariant is seen to fail for a policy that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ad_click import policy
from ad_click.config import SMOKE
from ad_click.policy import INVARIANTS, Candidates, Context, Decision, Policy
from ad_click.schema import Request, Rows

POLICY = Policy(10_000, (1.0, 0.6, 0.4))


@pytest.mark.parametrize("sentence", INVARIANTS)
def test_the_rule_holds_on_random_candidates(sentence: str) -> None:
    for seed in range(400):
        assert INVARIANTS[sentence](POLICY, np.random.default_rng(seed)) == ""


class Broken(Policy):
    """Decides as the policy does, then spoils the decision."""

    def spoil(self, decision: Decision, candidates: Candidates, context: Context) -> Decision:
        raise NotImplementedError

    def decide(self, request: Request, candidates: Candidates, context: Context) -> Decision:
        return self.spoil(super().decide(request, candidates, context), candidates, context)


def _broken(spoil: Callable[[Decision, Candidates, Context], Decision]) -> Policy:
    return type("Spoilt", (Broken,), {"spoil": staticmethod(spoil)})(10_000, (1.0,))  # type: ignore[no-any-return]


def _everyone(decision: Decision, candidates: Candidates, context: Context) -> Decision:
    index = np.arange(len(candidates.ad_id))
    return replace(decision, index=index, price_micros=candidates.bid_micros[index])


SPOILT: dict[str, Any] = {
    "nobody pays more than the bid or less than the reserve": lambda d, c, x: replace(
        d, price_micros=d.price_micros * 3
    ),
    "a higher slot has no lower value": _everyone,
    "an ad shown can pay its next click": _everyone,
    "an advertiser is shown once": _everyone,
    "a hidden ad is not shown": _everyone,
    "the winner's own bid is not in its price": lambda d, c, x: replace(d, price_micros=c.bid_micros[d.index]),
}


@pytest.mark.parametrize("sentence", INVARIANTS)
def test_a_policy_that_breaks_the_rule_is_caught(sentence: str) -> None:
    spoilt = _broken(SPOILT[sentence])
    assert any(INVARIANTS[sentence](spoilt, np.random.default_rng(seed)) for seed in range(50))


def test_second_price_by_hand() -> None:
    candidates = Candidates(
        ad_id=np.array([1, 2, 3]),
        advertiser_id=np.array([1, 2, 3]),
        probability=np.array([0.02, 0.01, 0.005]),
        bid_micros=np.array([500_000, 800_000, 1_000_000]),
    )
    context = Context(budget_left_micros=np.full(3, 10**9), hidden=np.zeros(3, dtype=bool))
    shown = POLICY.decide(Request(user_id=0, num_slots=2), candidates, context)
    assert shown.index.tolist() == [0, 1]
    assert shown.price_micros.tolist() == [400_000, 500_000]  # 8000 / .02 and 5000 / .01
    assert shown.probability.tolist() == [0.02, 0.006]
    assert "0.01000 in slot 0 x 0.8000; 0.00600 in its own, pays 0.5000" in shown.why[1].evidence


def test_slot_multipliers_are_clicks_over_predictions() -> None:
    rng = np.random.default_rng(0)
    slot, quality = np.repeat([0, 1, 2], 40_000), rng.beta(2, 30, 120_000)
    quality[slot > 0] *= 0.7  # worse ads in lower slots must not look like a worse slot
    label = (rng.random(120_000) < quality * np.array([1.0, 0.6, 0.4])[slot]).astype(float)
    nothing = np.zeros(120_000, dtype=np.int64)
    rows = Rows(
        user_id=nothing,
        ad_id=nothing,
        event_time=nothing,
        moment=nothing,
        label=label,
        numbers={"slot": slot.astype(float)},
    )
    assert policy.fit(quality, rows, SMOKE).slot_multipliers == pytest.approx((1.0, 0.6, 0.4), abs=0.05)


def test_a_saved_policy_decides_the_same(tmp_path: Path) -> None:
    POLICY.save(tmp_path)
    assert policy.load(tmp_path) == POLICY
