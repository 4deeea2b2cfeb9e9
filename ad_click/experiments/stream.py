"""The log as a stream of days, and predictions judged by the planted truth: what the experiments over time share.

A prediction's expected log loss is the mean over what could have happened instead of what did: the same mean as over labels, with the
noise of the labels taken out. It cannot see a label that leaked: who asks about leaks asks the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ad_click import data, features, world
from ad_click.config import Config
from ad_click.features import Inputs
from ad_click.model import fields, leaves
from ad_click.model.fields import Seen
from ad_click.schema import Rows
from common.contract import Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.classification import CLIP
from common.eval.report import Interval

DAYS, FIRST, WIDTH = 28, 18, 10
"""Of a log; the day on which a model is first served; days a model is trained on. FIRST is late because counters begin empty: a model of
the first week is wrong in the second in a world that stands still, and that would be taken for drift."""

SEEDS = 2


def stream(config: Config) -> Stream:
    """Every row of a log of DAYS in order of time, with its inputs as of its moment. Vocabularies and what words are worth are those of
    the days before FIRST; counters flow on."""
    only_world(config)
    config = replace(config, days=DAYS)
    dataset, key = data.load(config), data.judgments(config)
    rows = together([dataset.train, dataset.valid, replace(dataset.test, label=key.label)])
    day = (rows.event_time - world.START) // world.DAY
    before = replace(dataset, train=rows.take(np.flatnonzero(day < FIRST)))
    inputs = features.fit(before, config).inputs(rows, dataset.history)
    return Stream(rows, inputs, world.ceiling(config).score(rows), day, -(-config.click_window_hours // 24))


@dataclass(frozen=True, eq=False)
class Stream:
    """day [n]: whole days since the log began; truth [n]: the planted probability of the label; lag: days until a label is known."""

    rows: Rows
    inputs: Inputs
    truth: Floats
    day: Ints
    lag: int

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

    def seen(self, day: int) -> Seen:
        """What a model served from midnight of `day` on is trained on: WIDTH days, the newest whose labels are in, the last held out."""
        known = day - self.lag
        return Seen(*self.rows_of(self.of(known - WIDTH, known - 1)), *self.rows_of(self.of(known - 1, known)))


def trees(seen: Seen, config: Config) -> leaves.Trees:
    """Boosted trees as the ladder has them. Not calibrated: the few clicks held out here would cost more than a week of drift."""
    return leaves.gbdt(seen, leaves.Growth(config.num_leaves), config)


def expected(truth: Floats, predictions: Floats) -> Floats:
    """[n] expected log loss of each row, in nats."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    units: Floats = -truth * np.log(clipped) - (1 - truth) * np.log1p(-clipped)
    return units


def difference(truth: Floats, ours: Floats, theirs: Floats, user_id: Ints) -> Interval:
    """Expected log loss of ours minus theirs on the same rows, with an interval over users."""
    return intervals.mean(expected(truth, ours) - expected(truth, theirs), user_id)


def compared(name: str, scores: Mapping[str, Floats], truth: Floats, user_id: Ints) -> Table:
    """One row a prediction: expected log loss, its difference to the first one's, and predicted over expected clicks."""
    first = next(iter(scores.values()))
    rows = []
    for what, found in scores.items():
        against = difference(truth, found, first, user_id)
        rows.append(
            {
                name: what,
                "log_loss": float(expected(truth, found).mean()),
                "against_first": against.value,
                "low": against.low,
                "high": against.high,
                "calibration_ratio": float(found.sum() / truth.sum()),
            }
        )
    return rows


def worlds(config: Config) -> Iterator[Config]:
    """The same config in SEEDS worlds. One fit is as noisy as a small effect is large, and an interval over users does not see it."""
    only_world(config)
    yield from (replace(config, seed=seed) for seed in range(config.seed, config.seed + SEEDS))


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
