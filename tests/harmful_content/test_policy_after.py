"""What follows a decision: appeals, strikes, and whose turn it is in the queue."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from common.errors import InputError
from harmful_content.config import DEFAULT
from harmful_content.policy.appeals import DAY, MOVES, STANDINGS, Removal, State, may_appeal, move, standing, strikes
from harmful_content.policy.queue import ORDERS, Shares, Waiting, take

STATES: tuple[State, ...] = ("removed", "appealed", "upheld", "reversed")
AFTER = DEFAULT.appeal_days * DAY + 1


def removal(at: int = 0, **changed: object) -> Removal:
    return replace(Removal(post_id=1, user_id=2, policy=3, removed_at=at, by_reviewer=True), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("was", "to"), [*product(STATES, STATES)])
def test_only_the_moves_of_the_rule_book_are_made(was: State, to: State) -> None:
    one = removal(state=was)
    if to in MOVES.get(was, ()):
        assert move(one, to, DAY, DEFAULT).state == to
    else:
        with pytest.raises(InputError, match=f"cannot become '{to}': it is {was}"):
            move(one, to, DAY, DEFAULT)


def test_an_appeal_comes_in_time_and_no_move_comes_before_the_last() -> None:
    assert may_appeal(removal(), AFTER - 1, DEFAULT)
    with pytest.raises(InputError, match="appeals are heard for 14"):
        move(removal(), "appealed", AFTER + DAY, DEFAULT)
    appealed = move(removal(), "appealed", DAY, DEFAULT)
    with pytest.raises(InputError, match="before it was appealed"):
        move(appealed, "upheld", DAY - 1, DEFAULT)
    assert move(appealed, "upheld", 100 * DAY, DEFAULT).state == "upheld", "a review may come late"


def test_an_appeal_that_is_granted_takes_its_strike_back_and_one_that_is_open_holds_it() -> None:
    appealed = move(removal(), "appealed", DAY, DEFAULT)
    assert strikes([removal()], DAY, DEFAULT) > 0.9
    assert strikes([appealed], DAY, DEFAULT) == 0
    assert strikes([move(appealed, "reversed", 2 * DAY, DEFAULT)], 2 * DAY, DEFAULT) == 0
    upheld = strikes([move(appealed, "upheld", 2 * DAY, DEFAULT)], 2 * DAY, DEFAULT)
    assert upheld == strikes([removal()], 2 * DAY, DEFAULT), "as if there had been no appeal"


def test_a_machine_alone_gives_no_strike_until_the_time_to_appeal_is_over() -> None:
    machine = removal(by_reviewer=False)
    assert strikes([machine], AFTER - 1, DEFAULT) == 0
    assert strikes([machine], AFTER, DEFAULT) > 0


def test_strikes_halve_and_what_is_removed_in_one_evening_is_one() -> None:
    half_life = int(DEFAULT.strike_days * DAY)
    assert strikes([removal()], half_life, DEFAULT) == pytest.approx(0.5)
    assert strikes([removal(0), removal(60), removal(1_800)], 2_000, DEFAULT) == pytest.approx(1, abs=1e-3)
    assert strikes([removal(0), removal(2 * DAY)], 2 * DAY, DEFAULT) == pytest.approx(2, abs=0.02)
    assert strikes([removal(10 * DAY)], DAY, DEFAULT) == 0, "what is to come is no strike yet"


def test_consequences_rise_with_strikes_and_are_forgotten() -> None:
    daily = [removal(day * DAY) for day in range(5)]
    found = [standing(daily[:many], 5 * DAY, DEFAULT) for many in range(6)]
    assert found == ["good", "warn", "warn", "limit", "limit", "suspend"]
    assert standing(daily, 400 * DAY, DEFAULT) == "good"
    assert [STANDINGS.index(one) for one in found] == sorted(STANDINGS.index(one) for one in found)


def waiting(**changed: list[float]) -> Waiting:
    whole = {"harm": [0.5, 0.1, 0.9], "minutes": [1.0, 1.0, 3.0], "to_come": [10.0, 80.0, 20.0], "score": [0.5, 0.1, 0.9], "reports": [0.0, 4.0, 1.0], "since": [3.0, 2.0, 1.0]}  # fmt: skip
    return Waiting(**{name: np.array(column) for name, column in (whole | changed).items()})


@pytest.mark.parametrize(
    ("order", "first"),
    [("first in, first out", 2), ("score", 2), ("reports", 1), ("views to come", 1), ("prevented harm", 1)],
)
def test_each_order_puts_first_what_it_is_named_after(order: str, first: int) -> None:
    here = waiting()
    assert take("priority", ORDERS[order](here), here.since, 0.0)[0] == first


def test_most_harm_a_minute_first_prevents_most_among_all_orders() -> None:
    """Views fall off at one rate from now on: tried against every order of five posts (Smith's rule, where delay costs in proportion)."""
    from itertools import permutations

    rng = np.random.default_rng(0)
    for _ in range(30):
        harm, minutes = rng.random(5), rng.uniform(0.5, 3, 5)

        def spared(order: tuple[int, ...], harm: np.ndarray = harm, minutes: np.ndarray = minutes) -> float:
            done = np.cumsum(minutes[list(order)])
            return float((harm[list(order)] * (100 - done)).sum())

        here = waiting(harm=harm.tolist(), minutes=minutes.tolist(), to_come=[1.0] * 5, score=[0.0] * 5, reports=[0.0] * 5, since=[0.0] * 5)  # fmt: skip
        ours = tuple(np.argsort(-here.prevented()).tolist())
        assert spared(ours) == pytest.approx(max(map(spared, permutations(range(5)))))


def test_ties_go_to_the_older_and_the_lot_is_fair_and_says_how_likely_it_was() -> None:
    since = np.array([4.0, 1.0, 2.0])
    assert take("priority", np.array([0.5, 0.5, 0.5]), since, 0.9)[0] == 1
    assert take("oldest", np.array([9.0, 0.0, 5.0]), since, 0.9)[0] == 1
    drawn = [take("lot", since, since, float(u)) for u in np.random.default_rng(0).random(3_000)]
    assert np.bincount([place for place, _ in drawn]).min() > 900
    assert {propensity for _, propensity in drawn} == {1 / 3}
    assert np.isnan(take("priority", since, since, 0.0)[1])


def kinds(shares: Shares, turns: int, anybody_waits: bool = True) -> list[str]:
    found: list[str] = []
    for turn in range(turns):
        found.append(shares.kind(turn, found.count("lot"), anybody_waits))
    return found


def test_the_shares_are_what_they_say() -> None:
    found = kinds(Shares(oldest_every=20, lot_every=10), 2_000)
    assert (found.count("lot"), found.count("oldest")) == (200, 100)
    assert set(kinds(Shares(oldest_every=0, lot_every=0), 100)) == {"priority"}
    assert set(kinds(Shares(oldest_every=0, lot_every=1), 100)) == {"lot"}


def test_the_lot_waits_for_a_quiet_hour_and_not_for_ever() -> None:
    patient = Shares(oldest_every=0, lot_every=10, lot_patience=5)
    found = kinds(patient, 1_000)
    assert found.count("lot") == 100 - 5 and found.index("lot") == 59, "five are owed, the sixth is drawn"
    assert patient.kind(10, 0, anybody_waits=False) == "lot" and patient.kind(10, 0, anybody_waits=True) == "priority"
    assert patient.kind(10, 1, anybody_waits=False) == "priority", "nobody waits and nothing is owed"
