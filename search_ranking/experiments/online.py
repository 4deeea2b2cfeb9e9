"""How two rankers are compared on people, and how often a comparison sees what is not there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Table
from common.eval import intervals
from common.eval.power import false_positives, power_table
from search_ranking.config import Config

EFFECTS, SEEDS, REPS = (0.5, 1.0), 4, 100
TESTS, USERS = 2_500, (300, 1_000)  # a share of 5 % is then known to 0.9 points


def interleaving(config: Config) -> Table:
    """How many sessions until the better ranker is seen to be better, four times in five?

    A/B tests (the foil) and team-draft interleaving, at two planted differences; `times_fewer` than the plain A/B test takes, over SEEDS
    draws of the rankers and their queries."""
    table: Table = []
    drawn = [power_table(EFFECTS, REPS, config.seed + at) for at in range(SEEDS)]
    for rows in zip(*drawn, strict=True):
        fewer = intervals.mean(np.array([row["times_fewer_than_ab"] for row in rows]), np.arange(SEEDS))
        of = {name: float(np.mean([row[name] for row in rows])) for name in ("lift_percent", "sessions", "power")}
        table.append({"test": rows[0]["test"], "effect": rows[0]["effect"], "times_fewer": fewer.value, "low": fewer.low, "high": fewer.high, **of})  # fmt: skip
    return table


def false_alarms(config: Config) -> Table:
    """How often does each comparison call one of two equally good rankers better?

    It should be 5 %, and with a thousand people it is, within a point. People come again and again, each with a taste of their own: a
    test that counts clicks or sessions as if each were another person, the foil, cries wolf two to five times as often, however many
    there are. With few people those who come most weigh most."""
    return [
        {"test": row["test"], "people": num_users, **{name: row[name] for name in ("rate", "low", "high", "tests")}}
        for num_users in USERS
        for row in false_positives(TESTS, num_users, config.seed)
    ]


EXPERIMENTS: Mapping[str, Experiment] = {"interleaving": interleaving, "false_alarms": false_alarms}
