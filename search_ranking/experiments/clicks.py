"""Whether to undo position bias: over how steeply people stop reading and how long the log is, and in which way."""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Experiment, Table
from common.eval.chart import Chart
from search_ranking.config import Config
from search_ranking.model.clicks.debias import debias_table
from search_ranking.model.clicks.planted import Plan

ETAS = (0.5, 1.0, 2.0)
SIZES = (500, 2_000, 6_000, 20_000)  # sessions
WAYS = ("raw", "ips", "ips_estimated", "ips_normalised", "position", "raw_pairwise", "ips_pairwise", "grades")
ETA, SHORT_AND_LONG = 1.0, (1_000, 8_000)  # of the ways
LOGS, WAYS_LOGS = 4, 3


def debias(config: Config) -> Table:
    """Does it pay to weigh a click by one over how often its place is looked at?

    ndcg@10 of LambdaMART on one planted log, weighed minus as the clicks are, judged on the true grades of other queries. A weight takes
    bias away and brings noise in. On a short log the noise costs more (below zero), on a long one the bias; the steeper people stop
    reading, the longer the log has to be. The examination is the planted one, so nothing is lost here by measuring it."""
    found = debias_table(Plan(), ETAS, SIZES, rungs=("raw", "ips"), seeds=_logs(config, LOGS))
    return [
        {
            "steepness": f"{row['eta']:g}", "sessions": row["sessions"], "difference": row["gain"],
            "low": row["low"], "high": row["high"], "ndcg@10": row["ndcg@10"], "wins": row["wins"], "clipped": row["clipped"],
        }
        for row in found if row["than"]
    ]  # fmt: skip


def debias_ways(config: Config) -> Table:
    """Which way of undoing position bias pays, and from when on?

    Each over the raw clicks under the same loss, on a log before the flip and on one after it, at steepness 1. On the short log
    none gains. Weights scaled to 1 on average within a query lose least there and gain most later. `ips_estimated` has to measure the
    curve on the same clicks; `grades`, the true ones of the same rows, says what is left to gain."""
    found = debias_table(Plan(), (ETA,), SHORT_AND_LONG, rungs=WAYS, seeds=_logs(config, WAYS_LOGS))
    return [
        {
            "labels": row["rung"], "sessions": row["sessions"], "than": row["than"], "difference": row["gain"],
            "low": row["low"], "high": row["high"], "ndcg@10": row["ndcg@10"], "wins": row["wins"],
        }
        for row in found if row["than"]
    ]  # fmt: skip


def _logs(config: Config, num: int) -> range:
    return range(config.seed, config.seed + num)


EXPERIMENTS: Mapping[str, Experiment] = {"debias": debias, "debias_ways": debias_ways}
CHARTS: Mapping[str, Chart] = {
    "debias": Chart(
        title="Clicks weighed by one over examination against clicks as they are, by how steeply people stop reading (0.5, 1, 2)",
        x="sessions",
        y="difference",
        series="steepness",
        x_label="sessions in the log",
        y_label="ndcg@10, weighed minus raw (above zero: undo the bias)",
        log_x=True,
    )
}
