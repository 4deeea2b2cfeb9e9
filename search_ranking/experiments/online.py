"""How two rankers are compared on people."""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Experiment, Table
from common.eval.power import power_table
from search_ranking.config import Config


def interleaving(config: Config) -> Table:
    """Sessions for 80 % power at a planted difference: an A/B test (the foil) and interleaving."""
    small = config.num_sessions < 10_000
    return power_table(effects=(1.0,) if small else (0.5, 1.0), reps=50 if small else 200, seed=config.seed)


EXPERIMENTS: Mapping[str, Experiment] = {"interleaving": interleaving}
