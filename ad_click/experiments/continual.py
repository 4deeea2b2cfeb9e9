"""Models that go on learning: what is forgotten when only the new is shown, and what each way of staying fresh costs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.experiments.stream import DAYS, FIRST, WIDTH, Stream, compared, stream, trees
from ad_click.features import Inputs
from ad_click.model import leaves, linear, matrix, parameters
from ad_click.model.fields import Fields
from common.contract import Experiment, Floats, Ints, Table
from common.features.encoders import Standardizer, signed_log

NEW_KIND = "mobile"  # for some days the log holds the rows of this device alone
NEW_DAYS = 4
HIDDEN, PASSES = 32, 4  # of the small network: units, and passes over what it is shown
MORE_TREES, KEEP = 5, 0.9  # a day's further trees; what a refit keeps of a leaf's old value
STEP = linear.Step(alpha=0.05)


def forgetting(config: Config) -> Table:
    """What does a model forget that is tuned on new rows alone? A network meets days on which only one device is logged.

    Then all devices come back. Loss on the old kinds of rows and on the new kind, against the network as it was before; the foil is tuned
    on the new rows alone. Replay adds as many old rows, drawn at random; the full retrain sees everything again."""
    flow = stream(config)
    old, later = flow.of(FIRST - WIDTH, FIRST), flow.of(FIRST + NEW_DAYS + flow.lag, DAYS - flow.lag)
    new = flow.of(FIRST, FIRST + NEW_DAYS)
    new = new[flow.rows.categories["device"][new] == NEW_KIND]
    replayed = np.random.default_rng([config.seed, 7]).choice(old, min(len(new), len(old)), replace=False)
    columns = _Columns.fit(flow.rows_of(old)[0], config)
    design = columns.matrix(flow.inputs)

    def trained(network: Any, rows: Ints) -> Any:
        network = copy.deepcopy(network)
        for _ in range(PASSES):
            network.partial_fit(design[rows], flow.rows.label[rows], classes=(0, 1))
        return network

    before = trained(_network(config), old)
    shown = {
        "as it was": old[:0],
        "new rows alone": new,
        "new rows and replay": np.concatenate([new, replayed]),
        "full retrain": np.concatenate([old, new]),
    }
    table = []
    scores = {}
    for name, rows in shown.items():
        start = _network(config) if name == "full retrain" else before
        scores[name] = (trained(start, rows) if len(rows) else before).predict_proba(design[later])[:, 1]
    truth, users, of_new = (
        flow.truth[later],
        flow.rows.user_id[later],
        flow.rows.categories["device"][later] == NEW_KIND,
    )
    for kind, at in (("old kinds", np.flatnonzero(~of_new)), ("new kind", np.flatnonzero(of_new))):
        here = {f"{name}, {kind}": found[at] for name, found in scores.items()}
        rows_read = {f"{name}, {kind}": len(rows) for name, rows in shown.items()}
        table += [
            row | {"rows_trained_on": rows_read[row["tuned_on"]]}
            for row in compared("tuned_on", here, truth[at], users[at])
        ]
    return table


def refresh(config: Config) -> Table:
    """How should a model stay fresh? Once a day: trees grown anew, leaves refitted, a few more trees, a line fitted anew, FTRL that goes on.

    All are judged on the same later days and know the same days; trees grown anew hold the last of them out to stop by. The foil is trees
    that stop learning on the first. `rows_a_day` is what each reads."""
    flow = stream(config)
    judged = flow.judged
    day = flow.day[judged]
    read = {name: np.empty(len(judged)) for name in WAYS}
    cost = {}
    for name, way in WAYS.items():
        follow, num_rows = way(flow, config), []
        for today in range(FIRST, DAYS - flow.lag):
            score, rows = follow(today)
            num_rows.append(rows)
            read[name][day == today] = score(flow.rows_of(judged[day == today])[0])
        cost[name] = float(np.mean(num_rows[1:]))
    table = compared("refresh", read, flow.truth[judged], flow.rows.user_id[judged])
    return [row | {"rows_a_day": cost[row["refresh"]]} for row in table]


Score = Callable[[Inputs], Floats]
Follow = Callable[[int], tuple[Score, int]]  # day -> what scores it, and the rows that were read for it


def _grown_anew(flow: Stream, config: Config) -> Follow:
    def follow(today: int) -> tuple[Score, int]:
        seen = flow.seen(today)
        return trees(seen, config).score, len(seen.label) + len(seen.held_label)

    return follow


def _grown_once(flow: Stream, config: Config) -> Follow:
    once = trees(flow.seen(FIRST), config)
    return lambda today: (once.score, 0)


def _leaves_refitted(flow: Stream, config: Config) -> Follow:
    return _day_by_day(flow, trees(flow.seen(FIRST), config), refitted)


def refitted(grown: leaves.Trees, inputs: Inputs, label: Floats) -> leaves.Trees:
    """The splits stay; each leaf moves a tenth of the way to what these rows say (LightGBM's refit), from where the trees began."""
    columns, start = matrix(inputs, grown.numbers, grown.few), np.full(len(label), grown.start)
    return replace(grown, booster=grown.booster.refit(columns, label, decay_rate=KEEP, init_score=start))


def _more_trees(flow: Stream, config: Config) -> Follow:
    whole = start_in_the_leaves(trees(flow.seen(FIRST), config))
    return _day_by_day(flow, whole, lambda grown, inputs, label: further(grown, inputs, label, config))


def further(grown: leaves.Trees, inputs: Inputs, label: Floats, config: Config) -> leaves.Trees:
    """MORE_TREES on top, grown on these rows alone (LightGBM's init_model, which knows no start beside the trees)."""
    import lightgbm

    columns = matrix(inputs, grown.numbers, grown.few)
    table = lightgbm.Dataset(columns, label, categorical_feature=grown.categories)
    booster = lightgbm.train(parameters(config), table, MORE_TREES, init_model=grown.booster)
    return replace(grown, booster=booster)


def start_in_the_leaves(grown: leaves.Trees) -> leaves.Trees:
    """The same scores from trees that begin at 0: the first tree's leaves hold the start."""
    import lightgbm

    booster = lightgbm.Booster(model_str=grown.booster.model_to_string())
    for leaf in range(booster.dump_model(num_iteration=1)["tree_info"][0]["num_leaves"]):
        booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + grown.start)
    return replace(grown, booster=booster, start=0.0)


def _day_by_day(
    flow: Stream, first: leaves.Trees, onward: Callable[[leaves.Trees, Inputs, Floats], leaves.Trees]
) -> Follow:
    """Trees that go on from what they were the day before."""
    state = [first]

    def follow(today: int) -> tuple[Score, int]:
        rows = _news(flow, today)
        if len(rows):
            state[0] = onward(state[0], *flow.rows_of(rows))
        return state[0].score, len(rows)

    return follow


def _line_anew(flow: Stream, config: Config) -> Follow:
    def follow(today: int) -> tuple[Score, int]:
        rows = flow.known(today)
        return linear.logistic(*flow.rows_of(rows), config.l2).score, len(rows)

    return follow


def _ftrl(flow: Stream, config: Config) -> Follow:
    """One pass in the order of time over the days the line begins with; a day later the pass goes on."""
    begun = flow.known(FIRST)
    fields = Fields.fit(flow.rows_of(begun)[0])
    z, n = np.zeros(fields.width + 1), np.zeros(fields.width + 1)

    def follow(today: int) -> tuple[Score, int]:
        rows = _news(flow, today) if today > FIRST else begun
        inputs, label = flow.rows_of(rows)
        linear.follow(z, n, fields.places(inputs), label, STEP)
        return linear.as_of_now(fields, z, n, STEP).score, len(rows)

    return follow


def _news(flow: Stream, today: int) -> Ints:
    """The rows whose labels came in since the day before; none on the first day, whose model has just been trained."""
    known = today - flow.lag
    return flow.of(known - 1, known) if today > FIRST else flow.of(0, 0)


WAYS: Mapping[str, Callable[[Stream, Config], Follow]] = {
    "trees grown anew": _grown_anew,
    "leaves refitted": _leaves_refitted,
    "a few more trees": _more_trees,
    "trees of the first day": _grown_once,
    "line fitted anew": _line_anew,
    "FTRL goes on": _ftrl,
}


@dataclass(frozen=True, eq=False)
class _Columns:
    """Inputs as a network takes them: numbers standardised, categories of few values one-hot."""

    scale: Standardizer
    few: tuple[int, ...]

    @classmethod
    def fit(cls, inputs: Inputs, config: Config) -> _Columns:
        few = tuple(column for column, size in enumerate(inputs.sizes) if size <= config.most_values)
        return cls(Standardizer.fit(signed_log(inputs.numbers)), few)

    def matrix(self, inputs: Inputs) -> Floats:
        ones = [np.eye(inputs.sizes[column])[inputs.codes[:, column]] for column in self.few]
        return np.hstack([self.scale.scale(signed_log(inputs.numbers)), *ones])


def _network(config: Config) -> Any:
    """One hidden layer, that goes on from the weights it has."""
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((HIDDEN,), batch_size=256, alpha=1e-3, random_state=config.seed)


EXPERIMENTS: Mapping[str, Experiment] = {"forgetting": forgetting, "refresh": refresh}
