"""Who is treated how: error rates and calibration by group, what reports by outsiders teach, and corrections with their price."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import calibration, intervals
from common.eval.report import Interval
from common.population import uniform
from harmful_content import baseline, world
from harmful_content.baseline import Baseline
from harmful_content.config import Config
from harmful_content.evaluate import pr_auc_units
from harmful_content.experiments.trained import Case, trained
from harmful_content.schema import POLICIES
from harmful_content.world import DIALECT_POLICIES

SPOKEN = np.array([POLICIES.index(name) for name in DIALECT_POLICIES])
RELABELLED = (100, 300, 1_000)  # training posts
DRAWS = 3  # samples of each size
REPS = 50  # of a bootstrap
FEWEST = 20  # harmful posts of a group; below, nothing is said of it
NATURAL = "natural labels"


def fairness(config: Config) -> Table:
    """Are harmless posts of one group acted on more often than those of another, and is a probability worth the same in each?

    A row is a group of test posts: by dialect, by language, by the followers of the author. Of the model as served: `false_positive_rate`, harmless
    posts that reach the served threshold; `gap` from everybody else's, `low` and `high` its interval over authors; `pr_auc` over (post, policy) pairs;
    `ece` and `calibration_ratio` of the likeliest policy's probability against the panel. `by lot` is the control: half of the authors by chance,
    where a gap would be an error of this table."""
    case = trained(config)
    scores = case.score(case.model, case.dataset.test)
    acted: Bools = np.asarray(case.acted_on(case.model, scores).any(axis=1))
    harmful = case.judgments.label.max(axis=1) > 0
    groups = {name: rows for name, rows in _groups(case).items() if harmful[rows].sum() >= FEWEST}
    return [_group(case, name, rows, acted, scores) for name, rows in groups.items()]


def fairness_repair(config: Config) -> Table:
    """What removes the harm that labels from reports do to a dialect, and what does it cost everybody?

    The filter of words alone, trained anew in each way; it acts on as many validation posts under each policy as are harmful. `natural labels`:
    what reports and reviews say, to be repaired. Blind to groups: so many training posts labelled with care, drawn from all or from those with a
    natural label against them (mean of DRAWS samples). `thresholds by group`: natural labels, and in dialect the thresholds at which as many harmless
    validation posts are acted on as in the same language without it: it has to know who speaks what. `true labels`: the bound. `gap`: false
    positive rate of violence, hate and drugs, in dialect minus without, interval over authors; `change` its change from natural labels. Price:
    `recall` over all harmful test posts, `dialect_recall` over those in dialect."""
    case = trained(config)
    natural = case.dataset.train.natural_label
    truth = world.make(config).truth[case.dataset.train.post_id]
    line = _line(case, natural)
    ways = {NATURAL: _reached(case, line), "thresholds by group": _equalised(case, line)}
    for pool, which in (("all", np.ones(len(natural), bool)), ("reported", natural.max(axis=1) > 0)):
        for num in RELABELLED:
            samples = [
                _line(case, _relabelled(natural, truth, _drawn(config, which, num, draw))) for draw in range(DRAWS)
            ]
            ways[f"{num} of {pool} relabelled"] = np.mean([_reached(case, sample) for sample in samples], axis=0)
    ways["true labels (bound)"] = _reached(case, _line(case, truth))
    return [_repair(case, name, reached, ways[NATURAL]) for name, reached in ways.items()]


def gap(values: Floats, ours: Bools, theirs: Bools, clusters: Ints) -> Interval:
    """Mean of values [n] over `ours` minus that over `theirs`, its interval over clusters: the mean of units that hold each group's residuals at
    the group's weight (the linearised difference of two ratios; Cochran, Sampling Techniques, 6.3)."""
    either = ours | theirs
    units = np.zeros(len(values))
    for which, sign in ((ours, 1), (theirs, -1)):
        middle = values[which].mean()
        units[which] += sign * (values[which] - middle) * either.sum() / which.sum()
        units[either] += sign * middle
    return intervals.mean(units[either], clusters[either])


def _groups(case: Case) -> Mapping[str, Bools]:
    judgments, posts = case.judgments, case.posts
    followers = case.dataset.test.numbers["followers"]
    groups: dict[str, Bools] = {}
    for column in ("group", "language"):
        for value in np.unique(judgments.slices[column]).tolist():
            groups[f"{column}: {value}"] = np.asarray(judgments.slices[column] == value)
    lot = uniform(case.config.seed, "harmful.lot", posts.user_id)[:, 0] < 0.5
    groups["followers: fewer than the median"] = np.asarray(followers < np.median(followers))
    return groups | {"by lot (control)": np.asarray(lot)}


def _group(case: Case, name: str, rows: Bools, acted: Bools, scores: Floats) -> dict[str, object]:
    label, users = case.judgments.label, case.judgments.user_id
    harmless, likeliest = label.max(axis=1) == 0, scores.argmax(axis=1)
    apart = gap(acted.astype(np.float64), rows & harmless, ~rows & harmless, users)
    row = {"group": name, "posts": int(rows.sum()), "false_positive_rate": float(acted[rows & harmless].mean())}
    row |= {"gap": apart.value, "low": apart.low, "high": apart.high}
    at = np.flatnonzero(rows)
    pairs = label[at].ravel(), scores[at].ravel(), np.repeat(users[at], label.shape[1])
    likely = label[at, likeliest[at]], scores[at, likeliest[at]]
    found = {
        "pr_auc": intervals.mean(pr_auc_units(*pairs[:2]), pairs[2]),
        "ece": intervals.bootstrap(calibration.ece, likely, users[at], case.config.seed, reps=REPS),
        "calibration_ratio": intervals.bootstrap(
            calibration.calibration_ratio, likely, users[at], case.config.seed, reps=REPS
        ),
    }
    return row | {
        f"{key}{end}": getattr(one, part)
        for key, one in found.items()
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def _line(case: Case, label: Floats) -> Baseline:
    return baseline.lines(case.train.tokens, label, np.ones(label.shape), len(case.features.words), case.config)


def _relabelled(natural: Floats, truth: Floats, at: Ints) -> Floats:
    label = natural.copy()
    label[at] = truth[at]
    return label


def _drawn(config: Config, which: Bools, num: int, draw: int) -> Ints:
    return np.random.default_rng([config.seed, 42, draw]).permutation(np.flatnonzero(which))[:num]


def _reached(case: Case, line: Baseline) -> Floats:
    """[n, num_policies] 0/1 over the test posts."""
    cuts = _cuts(case, case.score(line, case.dataset.valid))
    return (case.score(line, case.dataset.test) >= cuts).astype(np.float64)


def _cuts(case: Case, scores: Floats) -> Floats:
    """[num_policies] the scores from which as many validation posts are acted on as are harmful."""
    harmful = world.make(case.config).truth[case.dataset.valid.post_id].sum(axis=0).astype(np.int64)
    ranked = -np.sort(-scores, axis=0)
    cuts: Floats = ranked[np.maximum(harmful, 1) - 1, np.arange(scores.shape[1])]
    return cuts


def _equalised(case: Case, line: Baseline) -> Floats:
    """As `_reached`, but in dialect from the scores at which harmless validation posts are acted on as often as without it."""
    valid, config = case.dataset.valid, case.config
    scores, posts = case.score(line, valid), world.make(config).posts.take(valid.post_id)
    harmless = world.make(config).truth[valid.post_id].max(axis=1) == 0
    cuts = _cuts(case, scores)
    without = harmless & ~posts.dialect & (posts.language == 0)
    rate = (scores[without] >= cuts).mean(axis=0)
    own = np.array(
        [np.quantile(column, 1 - share) for column, share in zip(scores[harmless & posts.dialect].T, rate, strict=True)]
    )
    of_test = np.where(case.posts.dialect[:, None], np.maximum(own, cuts), cuts)
    return (case.score(line, case.dataset.test) >= of_test).astype(np.float64)


def _repair(case: Case, name: str, reached: Floats, natural: Floats) -> dict[str, object]:
    label, users, group = case.judgments.label, case.judgments.user_id, case.judgments.slices["group"]
    harmless, harmful = label.max(axis=1) == 0, label.max(axis=1) > 0
    ours, theirs = (group == "dialect") & harmless, (group == "standard") & harmless
    wrong, before = (some[:, SPOKEN].max(axis=1) for some in (reached, natural))
    found = {"gap": gap(wrong, ours, theirs, users), "change": gap(wrong - before, ours, theirs, users)}
    caught = np.where(label > 0, reached, 0).max(axis=1)
    found["recall"] = intervals.mean(caught[harmful], users[harmful])
    row: dict[str, object] = {"labels": name}
    for key, one in found.items():
        ends = ("low", "high") if key == "gap" else (f"{key}_low", f"{key}_high")
        row |= {key: one.value, ends[0]: one.low, ends[1]: one.high}
    return row | {
        "dialect_recall": float(caught[harmful & (group == "dialect")].mean()),
        "false_positive_rate": float(wrong[harmless].mean()),
    }


EXPERIMENTS: Mapping[str, Experiment] = {"fairness": fairness, "fairness_repair": fairness_repair}
