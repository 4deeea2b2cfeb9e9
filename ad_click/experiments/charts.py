"""The two charts of the case: when trees pay over a line, and how fast a world has to drift before retraining pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.stream import DAYS, FIRST, SEEDS, of_world, over_worlds, stream, trees, worlds
from ad_click.experiments.tables import known, loaded
from ad_click.model import fields, linear
from ad_click.model.fields import Seen
from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from common.eval.classification import expected_log_loss_units

INTERACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
TRENDS = (0.0, 1.0, 2.0, 4.0, 8.0)
WORLDS, SHARE, NUM_TREES = 5, 2, 60
"""Of the two tables of retraining, which hold hundreds of fits: worlds, each with a half of the config's impressions, and the most trees. What
varies most is the drift a world happens to have, so many small worlds say more than a few large ones."""

SCHEDULES = {"every day": 1, "every 3 days": 3, "every 7 days": 7}
OLDEST = 7  # days; judged are the days on which a model can have grown so old: nine of them, as long as the fastest wave of the planted drift
PRICE = 0.2  # of a run: as much as 0.2 % of one day's log loss is worth


def interactions(config: Config) -> Table:
    """When do trees pay? Trees minus logistic regression, on the same inputs, as two columns say more and more together.

    At 0 the world is a sum over single columns and the line should win: the foil. Beside it the line with the crosses a person named."""
    table = []
    for strength in INTERACTIONS:
        units: dict[str, list[Floats]] = {"LR": [], "LR with crosses": []}
        users = []
        for here in worlds(replace(config, interaction=strength), SEEDS):
            dataset, fitted, _ = loaded(here)
            seen, inputs = Seen.of(dataset, fitted), fitted.inputs(dataset.test, dataset.history)
            truth = world.ceiling(here).score(dataset.test)
            ours = expected_log_loss_units(truth, trees(seen, here).score(inputs))
            for name, fit in (("LR", linear.lr), ("LR with crosses", linear.crosses)):
                units[name].append(ours - expected_log_loss_units(truth, fit(seen, config.l2).score(inputs)))
            users.append(of_world(here, dataset.test.user_id))
        for name, parts in units.items():
            found = intervals.mean(np.concatenate(parts), np.concatenate(users))
            table.append({"against": name, "interaction": strength, "difference": found.value, "low": found.low, "high": found.high})  # fmt: skip
    return table


def retraining(config: Config) -> Table:
    """How fast must a world drift before retraining pays? Gain over the last nine days of a log of a model retrained on a schedule, over one that
    was trained as they began, in percent of its log loss.

    A run costs PRICE percent of a day's log loss, so a schedule of every 3 days pays a third of it a day; `gain` is what is left of
    `gain_before_cost`. Every model trains on equally many days. At trend 0 nothing drifts: the foil. What is gained there before costs is
    what people, ads and counters that are new do to an old model. Intervals are the wider of one over users and one over worlds."""
    table = []
    for trend in TRENDS:
        found = [_by_model(here, FIRST + OLDEST) for here in worlds(replace(config, trend=trend), WORLDS)]
        for name, every in SCHEDULES.items():
            gains = [
                100 * (one.under(0) - one.under(one.since // every * every)) / one.under(0).mean() for one in found
            ]
            gain, cost = over_worlds(gains, [one.user_id for one in found]), PRICE / every
            table.append({
                "retrained": name, "trend": trend,
                "gain": gain.value - cost, "low": known(gain.low) - cost, "high": known(gain.high) - cost,
                "gain_before_cost": gain.value, "gain_before_cost_low": gain.low, "gain_before_cost_high": gain.high,
            })  # fmt: skip
    return table


def retraining_interval(config: Config) -> Table:
    """How old may a model grow? Loss by the days since it was trained, against a model of the day on the same last days, at config.trend.

    `cost_a_day`: what a schedule costs that lets no model grow older, in percent of a day's log loss: the mean of `percent_worse` so far, and
    its share of a run, PRICE over the days from run to run. `planned_days` is the schedule that costs least, from run to run. The oldest
    age is the foil."""
    found = [_by_model(here, FIRST) for here in worlds(config, WORLDS)]
    users, worse = [one.user_id for one in found], []
    for age in range(OLDEST + 1):
        pairs = [(one.under(one.since - age), one.under(one.since)) for one in found]
        worse.append(over_worlds([100 * (old - new) / new.mean() for old, new in pairs], users))
    days = np.arange(1, OLDEST + 2)
    cost = (np.cumsum([one.value for one in worse]) + PRICE) / days
    planned = int(days[cost.argmin()])
    return [
        {"days_old": age, "percent_worse": one.value, "low": one.low, "high": one.high, "cost_a_day": float(cost[age]), "planned_days": planned, "rows": sum(map(len, users))}
        for age, one in enumerate(worse)
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class ByModel:
    """Of the rows of the last days. loss [models, n]: expected log loss under the model of the first day, of the day after, and so on; since [n]:
    days from the first model's to the row's own."""

    loss: Floats
    since: Ints
    user_id: Ints

    def under(self, model: int | Ints) -> Floats:
        """[n] expected log loss, each row's under the model of its own."""
        found: Floats = self.loss[model, np.arange(len(self.since))]
        return found


def _by_model(config: Config, first: int) -> ByModel:
    """One model a day from `first` on, with the vocabularies and words of its day. They learn from the planted chances of a click in place of the
    clicks: the luck of a few thousand clicks makes one fit differ from the next by more than a week of drift does."""
    config = replace(
        config, num_impressions=config.num_impressions // SHARE, num_trees=min(config.num_trees, NUM_TREES)
    )
    flow = stream(config)
    judged = flow.of(FIRST + OLDEST, DAYS - flow.lag)
    loss = []
    for day in range(first, DAYS - flow.lag):
        inputs = flow.learned(day)
        today = replace(flow, inputs=inputs, rows=replace(flow.rows, label=flow.truth))
        scores = trees(today.seen(day), config, objective="cross_entropy").score(fields.rows(inputs, judged))
        loss.append(expected_log_loss_units(flow.truth[judged], scores))
    return ByModel(np.stack(loss), flow.day[judged] - first, of_world(config, flow.rows.user_id[judged]))


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
        y_label=f"gain over a model trained once, % of log loss, less {PRICE} a run (above zero: retrain)",
    ),
}
