"""Events joined to impressions by request and item: against the plainest loop there is."""

from __future__ import annotations

import numpy as np
import pytest

from common.contract import Events
from common.features import following


def drawn(seed: int, kinds: tuple[str, ...]) -> Events:
    """Few requests and items, so that many events meet; ids of requests as large as they come."""
    rng, n = np.random.default_rng(seed), 60
    return Events(
        position=np.arange(n),
        kind=rng.choice(np.array(kinds), n),
        event_time=np.sort(rng.integers(0, 1_000, n)),
        moment=np.arange(n),
        keys={
            "request_id": 2**53 - 1 - rng.integers(0, 4, n),
            "item": rng.integers(0, 2**31, 3)[rng.integers(0, 3, n)],
        },
        values={},
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kinds", [("impression", "click"), ("impression", "click", "hide"), ("impression",)])
def test_the_first_event_of_the_same_request_and_item_is_found(seed: int, kinds: tuple[str, ...]) -> None:
    events = drawn(seed, kinds)
    shown = np.flatnonzero(events.kind == "impression")
    request, item = events.keys["request_id"], events.keys["item"]
    expected = [
        next(
            (
                at
                for at in np.flatnonzero(events.kind == "click")
                if (request[at], item[at]) == (request[row], item[row])
            ),
            -1,
        )
        for row in shown
    ]
    assert following.first(events, "click", shown, "item").tolist() == expected
