"""Whether to undo position bias: over how steeply people stop reading, and how long the log is."""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Experiment, Table
from search_ranking.config import Config
from search_ranking.model.clicks.debias import debias_table
from search_ranking.model.clicks.planted import Plan

RUNGS = ("raw", "ips", "raw_pairwise", "ips_pairwise", "grades")


def debias(config: Config) -> Table:
    """ndcg@10 of LambdaMART on one planted log: clicks as they are (the foil), weighed by one over examination, in LightGBM's way and as the sum
    that is unbiased; the grades themselves for comparison. A log as long as the config's at most."""
    small = config.num_sessions < 10_000
    sizes = [size for size in (300, 3_000, 30_000) if size <= config.num_sessions]
    etas, seeds = (
        ((0.5, 2.0), (config.seed,)) if small else ((0.5, 1.0, 2.0), tuple(config.seed + at for at in range(3)))
    )
    return debias_table(Plan(), etas, sizes, rungs=RUNGS, seeds=seeds)


EXPERIMENTS: Mapping[str, Experiment] = {"debias": debias}
