"""Whether to undo position bias: over how steeply people stop reading and how long the log is, and in which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval.chart import Chart
from search_ranking import model
from search_ranking.config import Config
from search_ranking.experiments.lab import Lab, against, columns, ordered, trained
from search_ranking.model.clicks import weights
from search_ranking.model.clicks.debias import THAN, debias_table
from search_ranking.model.clicks.planted import Plan
from search_ranking.model.ltr import Groups, trees

ETAS = (0.5, 1.0, 2.0)
SIZES = (500, 2_000, 6_000, 20_000)  # sessions
SERVED = "a_list_a_click"
PAGES = "1, a list a page"  # the curve beside those of the served way, at steepness 1
NORMALISED = f"{SERVED}_normalised"
WAYS = (
    "raw", "ips", "ips_estimated", "ips_normalised", "position", "raw_pairwise", "ips_pairwise", "grades", THAN[SERVED], SERVED, NORMALISED,
)  # fmt: skip
ETA, SHORT_AND_LONG = 1.0, (1_000, 8_000)  # of the ways
LOGS, WAYS_LOGS = 4, 3


def debias(config: Config) -> Table:
    """Does it pay to weigh a click by one over how often its place is looked at?

    ndcg@10 of LambdaMART on one planted log, weighed minus as the clicks are, judged on the true grades of other queries. A weight takes
    bias away and brings noise in: on a short log the noise costs about what the bias does, on a long one the bias costs more, the more the
    steeper people stop reading. The examination is the planted one, so nothing is lost here by measuring it. Lists are those of the ranker
    that is served: one for each click, all of whose rows have its weight. Beside them, at steepness 1, pages as lists, which need a longer log."""
    logs = _logs(config, LOGS)
    clicked = debias_table(Plan(), ETAS, SIZES, rungs=(THAN[SERVED], SERVED), seeds=logs)
    shown = debias_table(Plan(), (ETA,), SIZES, rungs=("raw", "ips"), seeds=logs)
    return [
        {
            "steepness": f"{row['eta']:g}" if row["rung"] == SERVED else PAGES, "sessions": row["sessions"],
            "difference": row["gain"], "low": row["low"], "high": row["high"], "ndcg@10": row["ndcg@10"], "wins": row["wins"],
            "clipped": row["clipped"],
        }
        for row in (*clicked, *shown) if row["than"]
    ]  # fmt: skip


def debias_ways(config: Config) -> Table:
    """Which way of undoing position bias pays, and from when on?

    Each over the raw clicks in the same lists under the same loss, on a log before the flip and on one after it, at steepness 1. On the short log
    weights lose, but for those scaled to 1 on average within a query. On the long one all gain: of pages as lists most with that scale,
    of a list for each click (`a_list_a_click`, what is served) as much without it. `ips_estimated` has to measure the curve on the same clicks;
    `grades`, the true ones of the same rows, says what is left to gain."""
    found = debias_table(Plan(), (ETA,), SHORT_AND_LONG, rungs=WAYS, seeds=_logs(config, WAYS_LOGS))
    return [
        {
            "labels": row["rung"], "sessions": row["sessions"], "than": row["than"], "difference": row["gain"],
            "low": row["low"], "high": row["high"], "ndcg@10": row["ndcg@10"], "wins": row["wins"],
        }
        for row in found if row["than"]
    ]  # fmt: skip


def debias_served(config: Config) -> Table:
    """Do the weights of the served ranker make better pages than others, on the world?

    The same lists, a click each, and the same trees; judged by planted gain of the test requests, paired over queries with what is served. Clicks
    as they are, the foil, and LightGBM's own `position`; `normalised`: the weights of each query's clicks average one."""
    lab = trained(config)
    served, slot = model.lessons(lab.dataset.train, lab.model.legs, lab.features, lab.dataset, config)
    raw = replace(served, weights=np.ones(len(served.grades)))
    ways = {SERVED: served, NORMALISED: normalised(lab, served), THAN[SERVED]: raw}
    setting, read = model.setting(config), columns(lab, lab.candidates)
    rankers = {name: trees.fit(lists, None, setting) for name, lists in ways.items()}
    rankers["position"] = trees.fit(raw, None, setting, slot)
    pages = {name: lab.report(ordered(lab.candidates, one.score(read))) for name, one in rankers.items()}
    return against("weights", pages, SERVED)


def normalised(lab: Lab, lists: Groups) -> Groups:
    """Lists of model.lessons, their weights averaging one over the lists of each query."""
    rows = lab.dataset.train
    asked: Ints = rows.query_id[rows.labels["clicked"] > 0]  # of each list, in their order
    assert lists.weights is not None
    assert len(asked) == len(lists.sizes)
    own: Floats = lists.weights[lists.starts]
    labels = weights.Labels(values=own, weights=own, clipped=0.0)
    scaled = weights.self_normalised(labels, np.ones(len(own), bool), asked).weights
    return replace(lists, weights=scaled[lists.query])


def _logs(config: Config, num: int) -> range:
    return range(config.seed, config.seed + num)


EXPERIMENTS: Mapping[str, Experiment] = {
    "debias": debias,
    "debias_ways": debias_ways,
    "debias_served": debias_served,
}
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
