"""What to learn from: reports, which are many, late, biased and sometimes bought, or the few labels made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Table
from harmful_content.config import Config
from harmful_content.experiments.lab import Lab, against
from harmful_content.model.lesson import Lesson, cross_entropy, learn, ranked, scores, targets, teach
from harmful_content.schema import Dataset

LEAST = 0.2  # propensity: below, one report would stand for more than five
SLOWER, PASSES = 0.3, 6  # of the learning rate, and epochs, when a taught network goes on with hand labels


def labels(config: Config) -> Table:
    """What does the bias of reports cost, and what brings it back? Every way is stopped by the same validation rows and judged by the panel.

    `dialect`: pr_auc among posts in dialect, whose friendly words are reported as if they were hard; `wrongly`: share of the harmless posts in
    dialect among the tenth of all posts that the model finds worst, `wrongly_others` that of other harmless posts. valid: macro pr_auc on validation,
    by which the served way was chosen. Reports alone are the foil."""
    lab = Lab.read(config)
    reports, valid, wrongly = {}, {}, {}
    for name, way in WAYS.items():
        held, found = np.split(way(lab), [len(lab.dataset.valid)])
        valid[name] = ranked(held, *lab.dataset.valid.targets(lab.config.hand_weight))
        reports[name], wrongly[name] = lab.report(found), _wrongly(lab, found)
    table = against("labels", reports, "reports alone", "reports_alone")
    for row in table:
        name = row["labels"]
        slices = {f"group={part}": reports[name].slices.get(f"group={part}") for part in ("dialect", "standard")}
        row |= {part.removeprefix("group="): of["pr_auc"].value for part, of in slices.items() if of}
        row |= {**wrongly[name], "valid": valid[name]}
    return table


def _natural(lab: Lab) -> Floats:
    return _taught(lab, _relabelled(lab, *_reports(lab)))


def _by_hand(lab: Lab) -> Floats:
    return _taught(lab, _relabelled(lab, *_hand(lab)))


def _both(lab: Lab) -> Floats:
    return _taught(lab, lab.lesson)


def _propensity(lab: Lab) -> Floats:
    """A report of a post that few could report stands for those that nobody could: label y over its propensity e, as if y were 1 in e of the
    cases (Bekker, Davis 2019, Beyond the Selected Completely At Random Assumption, equation 3). Hand labels stay as they are, and so does the line,
    which takes no label above 1."""
    chance = propensity(lab.dataset, lab.lesson.train["numbers"].double().numpy())
    label, weight = lab.dataset.train.targets(lab.config.hand_weight)
    by_hand = ~np.isnan(lab.dataset.train.hand_label)
    corrected = np.where(by_hand, label, label / chance[:, None])
    return _taught(lab, replace(lab.lesson, train={**lab.lesson.train, **targets(corrected, weight)}))


def _tuned(lab: Lab) -> Floats:
    """Taught by reports, then on by hand labels, more slowly."""
    lesson = _relabelled(lab, *_reports(lab))
    network = learn(lesson, lab.config)
    label, weight = _hand(lab)
    at = np.flatnonzero(weight.any(axis=1))
    few = {name: column[at] for name, column in {**lesson.train, **targets(label, weight)}.items()}
    slower = SLOWER * lab.config.learning_rate
    teach(network, replace(lesson, train=few), cross_entropy, lab.config, learning_rate=slower, epochs=PASSES)
    return scores(network, lab.both(lesson))


def _taught(lab: Lab, lesson: Lesson) -> Floats:
    return scores(learn(lesson, lab.config), lab.both(lesson))


def _relabelled(lab: Lab, label: Floats, weight: Floats) -> Lesson:
    return lab.lesson.relabelled(label, weight, lab.config)


def _reports(lab: Lab) -> tuple[Floats, Floats]:
    rows = lab.dataset.train
    return replace(rows, hand_label=np.full_like(rows.hand_label, np.nan)).targets(1.0)


def _hand(lab: Lab) -> tuple[Floats, Floats]:
    rows = lab.dataset.train
    return replace(rows, natural_label=np.full_like(rows.natural_label, np.nan)).targets(1.0)


def propensity(dataset: Dataset, numbers: Floats) -> Floats:
    """[num_train] the chance that a post which violates a policy also got a natural label, by what is known of author and request: a regression
    on the training posts that were found to violate by hand; LEAST at least."""
    from sklearn.linear_model import LogisticRegression

    rows = dataset.train
    harmful = np.nan_to_num(rows.hand_label).max(axis=1) > 0
    reported = (np.nan_to_num(rows.natural_label) * np.nan_to_num(rows.hand_label)).max(axis=1) > 0
    if len(np.unique(reported[harmful])) < 2:
        return np.ones(len(rows))
    line = LogisticRegression(C=0.1, max_iter=1_000).fit(numbers[harmful], reported[harmful])
    chance: Floats = np.clip(line.predict_proba(numbers)[:, 1], LEAST, 1.0)
    return chance


def _wrongly(lab: Lab, found: Floats) -> dict[str, float]:
    worst = found.max(axis=1)
    flagged, harmless = worst >= np.quantile(worst, 0.9), lab.key.label.max(axis=1) == 0
    dialect = lab.only("group", "dialect")
    return {
        "wrongly": float(flagged[harmless & dialect].mean()),
        "wrongly_others": float(flagged[harmless & ~dialect].mean()),
    }


WAYS: Mapping[str, Callable[[Lab], Floats]] = {
    "reports alone": _natural,
    "hand labels alone": _by_hand,
    "both, hand labels count more (served)": _both,
    "both, reports by propensity": _propensity,
    "reports, then hand labels": _tuned,
}
EXPERIMENTS: Mapping[str, Experiment] = {"labels": labels}
