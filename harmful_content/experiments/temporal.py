"""What an author did last, in its order, beside how often they did it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Events, Experiment, Floats, Ints, Table
from common.eval import intervals
from common.events import key_column, value_column
from harmful_content.config import Config
from harmful_content.evaluate import pr_auc_units
from harmful_content.experiments.trained import Case, trained
from harmful_content.schema import Rows

LAST = 5  # actions
POSTED, REPORTED, UPHELD, CLEARED = range(4)
NUM_KINDS = 4
NEVER = 24.0 * 365  # hours ago, where there are fewer actions


def temporal(config: Config) -> Table:
    """Does the order and time of an author's last actions say more than how many there were?

    Boosted trees on natural labels of any policy, read on the test posts against the panel. `counts`: the served numbers of author, reception and
    account; with the last LAST actions of the author (posted, reported, upheld, cleared; hours ago), the log read up to the post; the foil has
    the last actions of another author. `with the model`: the trees' log odds beside the model's, weighed on validation. `more` than the row
    without them, low and high its interval over authors."""
    case = trained(config)
    parts = [case.dataset.train, case.dataset.valid, case.dataset.test]
    counts = [case.inputs(rows).numbers for rows in parts]
    actions = [last_actions(case.dataset.history.events, rows) for rows in parts]
    shuffled = [rows[np.random.default_rng([config.seed, 50]).permutation(len(rows))] for rows in actions]
    columns = {
        "counts": counts,
        "counts and last actions": _beside(counts, actions),
        "counts and another's actions (foil)": _beside(counts, shuffled),
    }
    trees = {name: _boosted(case, found) for name, found in columns.items()}
    model = [case.score(case.model, rows).max(axis=1) for rows in parts[1:]]
    scores = {name: found[1] for name, found in trees.items()}
    for name, found in trees.items():
        scores[f"model, {name}"] = _stacked(case, [_logit(model[0]), found[0]], [_logit(model[1]), found[1]])
    return [_row(case, name, scores) for name in scores]


def last_actions(events: Events, rows: Rows) -> Floats:
    """[n, LAST x (1 + NUM_KINDS)]: of each author's last actions before the row's moment, the latest first: the log of hours ago, and which it was."""
    kind, at = _actions(events)
    author, position, hours = key_column(events, "user_id")[at], events.position[at], events.event_time[at] / 3600
    order = np.lexsort((position, author))
    author, position, hours, kind = author[order], position[order], hours[order], kind[order]
    span = np.int64(len(events.position) + 1)
    end = np.searchsorted(author * span + position, rows.user_id * span + rows.moment)
    out = np.zeros((len(rows), LAST, 1 + NUM_KINDS))
    out[:, :, 0] = np.log1p(NEVER)
    for back in range(LAST):
        place = end - 1 - back
        theirs = np.flatnonzero((place >= 0) & (author[np.maximum(place, 0)] == rows.user_id))
        out[theirs, back, 0] = np.log1p(np.maximum(rows.event_time[theirs] / 3600 - hours[place[theirs]], 0))
        out[theirs, back, 1 + kind[place[theirs]]] = 1
    return out.reshape(len(rows), -1)


def _actions(events: Events) -> tuple[Ints, Ints]:
    """-> which of POSTED ... each is, and its place in the log."""
    upheld = value_column(events, "upheld") == 1
    which = np.select(
        [events.kind == "impression", events.kind == "report", (events.kind == "review") & upheld, events.kind == "review"],
        [POSTED, REPORTED, UPHELD, CLEARED], -1,
    )  # fmt: skip
    at = np.flatnonzero(which >= 0)
    return which[at], at


def _beside(one: list[Floats], other: list[Floats]) -> list[Floats]:
    return [np.column_stack(pair) for pair in zip(one, other, strict=True)]


def _boosted(case: Case, columns: list[Floats]) -> tuple[Floats, Floats]:
    """-> log odds of the validation and of the test posts."""
    from lightgbm import LGBMClassifier

    label, weight = case.dataset.train.targets(case.config.hand_weight)
    trees = LGBMClassifier(
        n_estimators=80, num_leaves=15, min_child_samples=40, learning_rate=0.08, n_jobs=1, verbose=-1, random_state=0
    )
    trees.fit(columns[0], label.max(axis=1), sample_weight=weight.max(axis=1))
    valid, test = (np.asarray(trees.predict(part, raw_score=True), dtype=np.float64) for part in columns[1:])
    return valid, test


def _stacked(case: Case, valid: list[Floats], test: list[Floats]) -> Floats:
    from sklearn.linear_model import LogisticRegression

    label = case.dataset.valid.targets(case.config.hand_weight)[0].max(axis=1)
    line = LogisticRegression().fit(np.column_stack(valid), label)
    found: Floats = line.decision_function(np.column_stack(test))
    return found


def _row(case: Case, name: str, scores: Mapping[str, Floats]) -> dict[str, object]:
    label, users = case.judgments.label.max(axis=1), case.judgments.user_id
    base = "model, counts" if name.startswith("model") else "counts"
    units, theirs = pr_auc_units(label, scores[name]), pr_auc_units(label, scores[base])
    found, more = intervals.mean(units, users), intervals.mean(units - theirs, users)
    row = {"reads": name, "pr_auc": found.value, "pr_auc_low": found.low, "pr_auc_high": found.high}
    return row | {"more": more.value, "low": more.low, "high": more.high}


def _logit(probability: Floats) -> Floats:
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    found: Floats = np.log(inside / (1 - inside))
    return found


EXPERIMENTS: Mapping[str, Experiment] = {"temporal": temporal}
