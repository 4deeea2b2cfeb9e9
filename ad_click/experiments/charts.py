"""The two charts of the case: when trees pay over a line, and how fast a world has to drift before retraining pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.stream import DAYS, FIRST, Stream, expected, of_world, stream, trees, worlds
from ad_click.experiments.tables import loaded
from ad_click.model import linear
from ad_click.model.fields import Seen
from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart

INTERACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
TRENDS = (0.0, 1.0, 2.0, 4.0, 8.0)
SCHEDULES = {"every day": 1, "every 3 days": 3}
WORTH = 0.2  # percent of the log loss that a retraining has to bring: what running it is taken to cost


def interactions(config: Config) -> Table:
    """When do trees pay? Trees minus logistic regression, on the same inputs, as two columns say more and more together.

    At 0 the world is a sum over single columns and the line should win: the foil. Beside it the line with the crosses a person named."""
    table = []
    for strength in INTERACTIONS:
        units: dict[str, list[Floats]] = {"LR": [], "LR with crosses": []}
        users = []
        for here in worlds(replace(config, interaction=strength)):
            dataset, fitted, _ = loaded(here)
            seen, inputs = Seen.of(dataset, fitted), fitted.inputs(dataset.test, dataset.history)
            truth = world.ceiling(here).score(dataset.test)
            ours = expected(truth, trees(seen, here).score(inputs))
            for name, fit in (("LR", linear.lr), ("LR with crosses", linear.crosses)):
                units[name].append(ours - expected(truth, fit(seen, config.l2).score(inputs)))
            users.append(of_world(here, dataset.test.user_id))
        for name, parts in units.items():
            found = intervals.mean(np.concatenate(parts), np.concatenate(users))
            table.append({"against": name, "interaction": strength, "difference": found.value, "low": found.low, "high": found.high})  # fmt: skip
    return table


def retraining(config: Config) -> Table:
    """How fast must a world drift before retraining pays? Gain of a model retrained on the newest days over one trained once.

    Both train on equally many days, are judged on the same later days and read counters as of the moment. The gain is in percent of the
    log loss, less WORTH, what a retraining is taken to cost. At trend 0 nothing drifts and retraining should lose: the foil."""
    table = []
    for trend in TRENDS:
        gains: dict[str, list[Floats]] = {name: [] for name in SCHEDULES}
        users = []
        for here in worlds(replace(config, trend=trend)):
            flow = stream(here)
            day, loss = by_model(flow, here)
            for name, every in SCHEDULES.items():
                served = (day - FIRST) // every * every
                gains[name].append(100 * (loss[0] - loss[served, np.arange(len(day))]) / loss[0].mean() - WORTH)
            users.append(of_world(here, flow.rows.user_id[flow.judged]))
        for name, parts in gains.items():
            found = intervals.mean(np.concatenate(parts), np.concatenate(users))
            table.append({"retrained": name, "trend": trend, "gain": found.value, "low": found.low, "high": found.high})
    return table


def retraining_interval(config: Config) -> Table:
    """How old may a model grow? Loss by the days since it was trained, against a model of the day on the same rows, at config.trend.

    The oldest is the foil: the interval to plan is the last age whose loss is worth less than a retraining."""
    table = []
    flow = stream(config)
    day, loss = by_model(flow, config)
    for age in range(len(loss)):
        rows = np.flatnonzero(day >= FIRST + age)
        newest = day[rows] - FIRST
        old, new = loss[newest - age, rows], loss[newest, rows]
        found = intervals.mean(100 * (old - new) / new.mean(), flow.rows.user_id[flow.judged][rows])
        table.append({"days_old": age, "percent_worse": found.value, "low": found.low, "high": found.high, "rows": len(rows)})  # fmt: skip
    return table


def by_model(flow: Stream, config: Config) -> tuple[Ints, Floats]:
    """-> day [n] of each row from FIRST on, and [models, n] its expected log loss under the model served from midnight of FIRST on, of the
    day after, and so on: also where that model came later than the row, which nobody should read."""
    judged = flow.judged
    inputs, day = flow.rows_of(judged)[0], flow.day[judged]
    scores = [trees(flow.seen(first), config).score(inputs) for first in range(FIRST, DAYS - flow.lag)]
    return day, np.stack([expected(flow.truth[judged], found) for found in scores])


EXPERIMENTS: Mapping[str, Experiment] = {
    "interactions": interactions,
    "retraining": retraining,
    "retraining_interval": retraining_interval,
}
CHARTS: Mapping[str, Chart] = {
    "interactions": Chart(
        title="Trees against a line, as two columns say more and more together",
        x="interaction",
        y="difference",
        series="against",
        x_label="strength of the interactions planted",
        y_label="log loss, trees minus the line (below zero: trees win)",
    ),
    "retraining": Chart(
        title="What retraining brings, as the world drifts faster",
        x="trend",
        y="gain",
        series="retrained",
        x_label="strength of the drift planted",
        y_label=f"gain over a model trained once, % of log loss, less {WORTH} (above zero: retrain)",
    ),
}
