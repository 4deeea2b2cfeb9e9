"""The log as a stream of days, and predictions judged by the planted truth: what the experiments over time share.

A prediction's expected log loss is the mean over what could have happened instead of what did: the same mean as over labels, with the
noise of the labels taken out. It cannot see a label that leaked: who asks about leaks asks the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ad_click import data, features, world
from ad_click.config import Config
from ad_click.experiments.tables import known
from ad_click.features import Inputs
from ad_click.model import fields, leaves
from ad_click.model.fields import Seen
from ad_click.schema import Rows
from common.contract import FeatureStore, Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.classification import expected_log_loss_units
from common.eval.report import Interval
from common.features.views import View

DAYS, FIRST, WIDTH = 41, 24, 10
"""Of a log; the day on which a model is first served; days a model is trained on. FIRST is late because counters begin empty: a model of
the first week is wrong in the second in a world that stands still, and that would be taken for drift."""

SEEDS = 2


def stream(config: Config) -> Stream:
    """The rows of a log of DAYS in order of time, from the first that a model is trained on, with their inputs as of their moments; vocabularies
    and what words are worth as a model served from FIRST on knows them. Counters flow on."""
    only_world(config)
    config = replace(config, days=DAYS)
    dataset, key = data.load(config), data.judgments(config)
    whole = together([dataset.train, dataset.valid, replace(dataset.test, label=key.label)])
    day, lag = (whole.event_time - world.START) // world.DAY, -(-config.click_window_hours // 24)
    kept = np.flatnonzero(day >= FIRST - lag - WIDTH)
    rows, history = whole.take(kept), _ReadOnce(dataset.history, {})

    def learned(today: int) -> Inputs:
        before = whole.take(np.flatnonzero(day < today - lag))
        return features.fit(replace(dataset, train=before), config).inputs(rows, history)

    return Stream(rows, learned(FIRST), world.ceiling(config).score(rows), day[kept], lag, learned)


@dataclass(frozen=True, eq=False)
class _ReadOnce:
    """A store for always the same rows: what a view says of them is read once."""

    store: FeatureStore
    known: dict[str, Floats]

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        if view.name not in self.known:
            self.known[view.name] = self.store.read(view, keys, moments)
        return self.known[view.name]


@dataclass(frozen=True, eq=False)
class Stream:
    """day [n]: whole days since the log began; truth [n]: the planted probability of the label; lag: days until a label is known; learned:
    day -> the inputs of the same rows by what is known about the columns at its midnight."""

    rows: Rows
    inputs: Inputs
    truth: Floats
    day: Ints
    lag: int
    learned: Callable[[int], Inputs]

    def of(self, first: int, last: int) -> Ints:
        """Row indices of the days first <= day < last."""
        return np.flatnonzero((self.day >= first) & (self.day < last))

    @property
    def judged(self) -> Ints:
        """Row indices from FIRST on to the last whole day whose labels are in."""
        return self.of(FIRST, DAYS - self.lag)

    def rows_of(self, index: Ints) -> tuple[Inputs, Floats]:
        """-> inputs and labels of some rows."""
        return fields.rows(self.inputs, index), self.rows.label[index]

    def known(self, day: int) -> Ints:
        """Row indices of the WIDTH newest days whose labels are in at midnight of `day`."""
        return self.of(day - self.lag - WIDTH, day - self.lag)

    def seen(self, day: int) -> Seen:
        """What a model served from midnight of `day` on is trained on: the days that are known, the last of them held out to stop by."""
        last = day - self.lag - 1
        return Seen(*self.rows_of(self.of(last + 1 - WIDTH, last)), *self.rows_of(self.of(last, last + 1)))


def trees(seen: Seen, config: Config, objective: str = "binary") -> leaves.Trees:
    """Boosted trees as the ladder has them. Not calibrated: the few clicks held out here would cost more than a week of drift."""
    return leaves.gbdt(seen, leaves.Growth(config.num_leaves, objective=objective), config)


def compared(name: str, scores: Mapping[str, Floats], truth: Floats, user_id: Ints) -> Table:
    """One row a prediction: expected log loss, its difference to the first one's, and predicted over expected clicks."""
    units = {what: expected_log_loss_units(truth, found) for what, found in scores.items()}
    first = next(iter(units.values()))
    rows = []
    for what, found in scores.items():
        against = intervals.mean(units[what] - first, user_id)
        rows.append(
            {
                name: what,
                "log_loss": float(units[what].mean()),
                "against_first": against.value,
                "low": against.low,
                "high": against.high,
                "calibration_ratio": float(found.sum() / truth.sum()),
            }
        )
    return rows


def worlds(config: Config, num: int) -> Iterator[Config]:
    """The same config in `num` worlds. One fit is as noisy as a small effect is large, and an interval over users does not see it."""
    only_world(config)
    yield from (replace(config, seed=seed) for seed in range(config.seed, config.seed + num))


def over_worlds(units: Sequence[Floats], users: Sequence[Ints]) -> Interval:
    """The mean over the rows of all worlds, world by world in both lists, with the wider of two intervals: over users, which knows nothing of
    worlds, and over worlds, which knows little of them where they are few."""
    found = intervals.mean(np.concatenate(units), np.concatenate(users))
    if len(units) < 2:
        return found
    between = intervals.mean(np.array([part.mean() for part in units]), np.arange(len(units)))
    reach = max((known(one.high) - known(one.low)) / 2 for one in (found, between))
    return replace(found, low=found.value - reach, high=found.value + reach)


def of_world(config: Config, user_id: Ints) -> Ints:
    """User 42 of another seed is somebody else."""
    return user_id + (config.seed << 40)


def together(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    first = parts[0]
    return Rows(
        user_id=np.concatenate([part.user_id for part in parts]),
        ad_id=np.concatenate([part.ad_id for part in parts]),
        event_time=np.concatenate([part.event_time for part in parts]),
        moment=np.concatenate([part.moment for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        numbers={name: np.concatenate([part.numbers[name] for part in parts]) for name in first.numbers},
        categories={name: np.concatenate([part.categories[name] for part in parts]) for name in first.categories},
    )


def only_world(config: Config) -> None:
    if config.data != "world":
        raise InputError(f"{config.data} has no planted truth, and this experiment asks it. Leave --data out.")
