"""Every model an interviewer names, on the same rows, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ad_click import model
from ad_click.config import Config
from ad_click.experiments.ladder.fitting import AtHand, Fitted, Served, fitted, microseconds, tuned
from ad_click.experiments.ladder.levels import published_levels, rank_agreement
from ad_click.experiments.ladder.rungs import FULL, MODEL, SERVED, Entry, entries, leaves_tried
from ad_click.experiments.tables import loaded
from ad_click.features import Features, Inputs
from ad_click.model.fields import Seen, rows
from ad_click.schema import Dataset, Judgments
from common.contract import Experiment, FeatureStore, Floats, Table
from common.eval import classification, intervals
from common.eval.calibration import calibration_ratio
from common.features.leave_one_out import LeaveOneOutStore
from common.size import num_lines


def ladder(config: Config) -> Table:
    """What does each rung gain over the model's trees, and what does it cost? Paired differences of log loss over users, below zero: less than
    the model's, which like every rung has seen the training rows and is stopped, tuned and calibrated on the validation rows; the model as
    it is served, refitted on both, has a row of its own. Two settings a rung, one on real data, the better on validation kept; Platt
    calibrates every rung, the model does it in its own way. train_s: CPU seconds of the setting kept, features already read. score_us: CPU
    time of a row when as many test rows are scored together as a request has candidates. lines: of the rung's own code, without Fields,
    comments and docstrings. The foil is the rate of all rows, alike for everyone."""
    dataset, features, key = loaded(config)
    parts = (dataset.train, dataset.valid, dataset.test)
    whole = [features.inputs(part, dataset.history) for part in parts]
    given = [ids_alone(part, dataset.history) for part in whole]
    ours, seen = _seen(whole, dataset), _seen(given, dataset)
    tried = 2 if config.data == "world" and config.preset != "smoke" else 1
    trees = trees_of(dataset, AtHand(tuple(zip(parts, whole, strict=True))), config)
    found = {
        MODEL: _judged(trees[MODEL], tuned(trees[MODEL], trees[MODEL].trials[:tried], ours), whole[2], key, config)
    }
    if config.refit:
        found[SERVED] = _judged(trees[SERVED], fitted(trees[SERVED], config.num_leaves, ours), whole[2], key, config)
    for entry in entries(config):
        found[entry.name] = _judged(entry, tuned(entry, entry.trials[:tried], seen), given[2], key, config)
    for one in found.values():
        one["trials"] = min(tried, one["trials"])
    return [_row(name, one, found[MODEL]["units"], key) for name, one in found.items()]


def trees_of(dataset: Dataset, read: AtHand, config: Config) -> dict[str, Entry]:
    """The model as the rungs are, without the rows it is tuned on, and as it is served. Neither looks at `seen`: they read for themselves."""

    def entry(name: str, trials: tuple[int, ...]) -> Entry:
        def fit(seen: Seen, num_leaves: int) -> Served:
            chosen = replace(config, num_leaves=num_leaves, refit=name == SERVED)
            return Served(model.fit(dataset, cast(Features, read), chosen))

        return Entry(name=name, fit=fit, trials=trials, refresh=FULL, code=(model,), platt=False)

    return {MODEL: entry(MODEL, leaves_tried(config)), SERVED: entry(SERVED, (config.num_leaves,))}


def ids_alone(inputs: Inputs, history: FeatureStore) -> Inputs:
    """A table without a clock (Frappe) leaves the rungs its ids: statistics that leave the row itself out tell its label to whoever finds
    the id, and the published figures know ids alone. With a clock nothing changes."""
    if not isinstance(history, LeaveOneOutStore):
        return inputs
    return replace(inputs, numbers=inputs.numbers[:, :0], number_names=())


def _seen(inputs: list[Inputs], dataset: Dataset) -> Seen:
    return Seen(inputs[0], dataset.train.label, inputs[1], dataset.valid.label)


def _judged(entry: Entry, one: Fitted, test: Inputs, key: Judgments, config: Config) -> dict[str, Any]:
    scores = one.score(test)
    return {
        "units": classification.log_loss_units(key.label, scores),
        "auc": classification.auc(key.label, scores),
        "calibration_ratio": calibration_ratio(key.label, scores),
        "train_s": one.seconds,
        "score_us": microseconds(one.score, rows(test, slice(config.num_candidates))),
        "size_mb": one.rung.num_bytes() / 1e6,
        "refresh": entry.refresh,
        "lines": num_lines(*entry.code),
        "trials": len(entry.trials),
    }


def _row(name: str, found: Mapping[str, Any], model_units: Floats, key: Judgments) -> dict[str, Any]:
    difference = intervals.mean(found["units"] - model_units, key.user_id)
    return {
        "model": name,
        "log_loss": float(found["units"].mean()),
        "against_model": difference.value,
        "low": difference.low,
        "high": difference.high,
        **{column: value for column, value in found.items() if column != "units"},
    }


EXPERIMENTS: Mapping[str, Experiment] = {
    "ladder": ladder,
    "rank_agreement": rank_agreement,
    "published_levels": published_levels,
}
