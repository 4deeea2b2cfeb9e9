"""Which ranker: four of them on the same rows, what each gains, what its heads say, and what it costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import classification, intervals
from common.eval.calibration import calibration_ratio
from common.eval.report import Report, paired
from common.size import num_lines
from common.training import seeding
from common.training.progress import say
from video_rec import data, features, model
from video_rec.config import Config
from video_rec.experiments.lab import feed, judge
from video_rec.model import ranking, retrieval
from video_rec.model.ranking import Ranker, networks, trees
from video_rec.schema import TASKS, Dataset

FITS = 3
TAIL = 0.2  # of the ranker's rows, the last: they judge the heads and teach nobody
FIRST = "shared_bottom"
CONSTANT = "the mean of all rows"
NO_RANKER = "none: the order of the sources"
RATES = (1.0, 1 / 3, 3.0)  # times config.learning_rate: the trials of a network
LEAVES = (trees.NUM_LEAVES, trees.NUM_LEAVES // 2, trees.NUM_LEAVES * 2)  # the trials of the trees, as many
EPOCHS = 30  # at most: a network stops after two without gain on the users held out
AT_ONCE = 500  # candidates of a request
_SHARED = (networks.Heads, networks.Network, networks.fit, networks.load, networks.multi_task_loss, networks.layers)
CODE: Mapping[str, Sequence[object]] = {
    "shared_bottom": (networks.SharedBottom, *_SHARED),
    "mmoe": (networks.MMoE, *_SHARED),
    "single_task": (networks.SingleTask, *_SHARED),
    "lightgbm": (trees,),
}


def ranker(config: Config) -> Table:
    """What does each ranker gain over the shared bottom, and what does it cost? All learn from the same rows; three settings each (the learning
    rate of a network, the leaves of a tree), the one kept that is best on the users held out and fitted three times, as luck alone moves a
    feed: gain is the mean of the three, `spread` their standard deviation. The interval of the difference is paired over users and knows
    nothing of that luck. Loss and AUC of a task are on later rows no fit has seen: log loss; of watch_seconds squared error of
    log(1 + seconds), and the chance that a long watch scores above a short one. train_s: CPU seconds of a fit. score_ms: CPU time of 500
    candidates, the median. lines: of its own code, without docstrings and comments. The foil has no ranker."""
    lab = _lab(config)
    dense = dense_of(lab.sources, lab.dataset, lab.candidates)
    kept = {kind: _tuned(kind, lab) for kind in CODE}
    scores = {
        kind: [fit.score(dense).reshape(lab.candidates.ids.shape) for fit in one.fits] for kind, one in kept.items()
    }
    gains = {kind: [_report(score, lab) for score in found] for kind, found in scores.items()}
    gains[NO_RANKER] = [_report(lab.candidates.scores, lab)]
    table: Table = [_gains(kind, gains[kind], gains[FIRST]) | _cost(kind, one, lab) for kind, one in kept.items()]
    return [
        *table,
        dict.fromkeys(table[0]) | _gains(NO_RANKER, gains[NO_RANKER], gains[FIRST]),
    ]  # it costs nothing and predicts nothing


def heads(config: Config) -> Table:
    """Does sharing help a task or hurt it? Loss of each head on later rows, its paired difference from the shared bottom's over users (below
    zero: better), AUC, and sum of predictions over sum of labels, which is 1 for a head that means what it says. The foil is the mean."""
    lab = _lab(config)
    fits = {kind: _tuned(kind, lab).fits[0] for kind in CODE}
    means = {kind: one.predict(lab.tail.dense) for kind, one in fits.items()} | {CONSTANT: _constant(lab)}
    middles = {kind: _middle(one, lab.tail.dense) for kind, one in fits.items()} | {CONSTANT: _constant(lab, logs=True)}
    table: Table = []
    for task in _judged(lab.tail, means[FIRST]):
        known = np.isfinite(lab.tail.labels[task])
        label, users = lab.tail.labels[task][known], lab.tail.user_id[known]
        base = _units(task, label, middles[FIRST][task][known])
        for kind, found in middles.items():
            units = _units(task, label, found[task][known])
            difference = intervals.mean(units - base, users)
            table.append({
                "task": task, "ranker": kind, "loss": float(units.mean()), f"against {FIRST}": difference.value,
                "low": difference.low, "high": difference.high, "auc": _auc(task, label, found[task][known]),
                "ratio": calibration_ratio(label, means[kind][task][known]), "rows": len(label),
            })  # fmt: skip
    return table


@dataclass(frozen=True)
class Lessons:
    """Rows of the ranker, [n] each."""

    dense: Floats
    labels: Mapping[str, Floats]
    user_id: Ints

    def take(self, rows: Any) -> Lessons:
        return Lessons(self.dense[rows], {task: label[rows] for task, label in self.labels.items()}, self.user_id[rows])


@dataclass(frozen=True)
class Lab:
    config: Config
    dataset: Dataset
    fitted: features.Features
    sources: model.Sources
    candidates: Ranking
    lessons: Lessons
    tail: Lessons


@dataclass(frozen=True)
class Kept:
    """The setting that was best, fitted FITS times, and the CPU seconds of the first."""

    fits: list[Ranker]
    seconds: float


def _lab(config: Config) -> Lab:
    """As model.fit, up to the ranker's rows; these are cut by time."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    towers = retrieval.fit(dataset, fitted, config)
    earlier = model.gather(fitted, towers, [dataset.train], config)
    requests, ids, labels = model.lessons(dataset.valid, earlier, dataset.history, config)
    dense = np.concatenate([earlier.dense(part, ids[at], dataset.history) for at, part in model.blocks(requests)])
    rows = Lessons(dense, labels, np.repeat(requests.user_id, ids.shape[1]))
    event_time = np.repeat(requests.event_time, ids.shape[1])
    early = event_time < np.quantile(event_time, 1 - TAIL)
    sources = model.gather(fitted, towers, [dataset.train, dataset.valid], config)
    recent = fitted.recent(dataset.test, dataset.history)
    candidates = model.merge(sources.calls(recent, config.num_candidates), config.num_candidates)
    return Lab(config, dataset, fitted, sources, candidates, rows.take(early), rows.take(~early))


def _tuned(kind: str, lab: Lab) -> Kept:
    """The trial of least loss, added over tasks, on the users held out; the first of equals."""
    aside = lab.lessons.take(ranking.held_out(lab.lessons.user_id))
    found = []
    for place, (fitter, config) in enumerate(_trials(kind, lab.config)):
        start = time.process_time()
        one = _fitted(fitter, lab.lessons, config)
        seconds = time.process_time() - start
        loss = sum(float(units.mean()) for units in _losses(one, aside))
        say(f"{kind}, trial {place + 1}: loss {loss:.5f} on held-out users, {seconds:.1f} s")
        found.append((loss, place, one, seconds, fitter, config))
    _, _, one, seconds, fitter, config = min(found, key=lambda one: one[:2])
    again = [_fitted(fitter, lab.lessons, replace(config, seed=config.seed + more)) for more in range(1, FITS)]
    return Kept([one, *again], seconds)


def _fitted(fitter: ranking.Fitter, rows: Lessons, config: Config) -> Ranker:
    return ranking.fit_by(fitter, rows.dense, rows.labels, rows.user_id, config)


def _trials(kind: str, config: Config) -> list[tuple[ranking.Fitter, Config]]:
    config = replace(config, ranker=kind, ranker_epochs=EPOCHS)
    if kind == "lightgbm":
        return [(partial(trees.fit, num_leaves=leaves), config) for leaves in LEAVES]
    rates = [replace(config, learning_rate=config.learning_rate * times) for times in RATES]
    return [(ranking.FITTERS[kind], one) for one in rates]


def _middle(one: Ranker, dense: Floats) -> dict[str, Floats]:
    """As predicted, the seconds without their smear: what squared errors of log seconds are about."""
    return replace(one, smear=1.0).predict(dense)


def _constant(lab: Lab, logs: bool = False) -> dict[str, Floats]:
    """What the rows say on average, to everyone; with `logs` the seconds whose log is the mean log."""
    found = {task: float(np.nanmean(label)) for task, label in lab.lessons.labels.items()}
    if logs and "watch_seconds" in found:
        found["watch_seconds"] = float(np.expm1(np.nanmean(np.log1p(lab.lessons.labels["watch_seconds"]))))
    return {task: np.full(len(lab.tail.dense), value) for task, value in found.items()}


def _judged(rows: Lessons, predicted: Mapping[str, Floats]) -> list[str]:
    """The tasks these rows say something of."""
    return [task for task in TASKS if task in predicted and np.isfinite(rows.labels[task]).any()]


def _losses(one: Ranker, rows: Lessons) -> Iterator[Floats]:
    predicted = _middle(one, rows.dense)
    for task in _judged(rows, predicted):
        known = np.isfinite(rows.labels[task])
        scale = networks.SECONDS_LOSS if task == "watch_seconds" else 1.0
        yield scale * _units(task, rows.labels[task][known], predicted[task][known])


def _units(task: str, label: Floats, predicted: Floats) -> Floats:
    """[n] log loss, or squared error of log(1 + seconds)."""
    if task == "watch_seconds":
        squared: Floats = (np.log1p(label) - np.log1p(predicted)) ** 2
        return squared
    return classification.log_loss_units(label, predicted)


def _auc(task: str, label: Floats, predicted: Floats) -> float:
    """Of seconds: the chance that of two watches, one above the median and one not, the longer is predicted to be longer."""
    positive = label > np.median(label) if task == "watch_seconds" else label > 0
    return classification.auc(positive.astype(float), predicted)


def _gains(name: str, reports: Sequence[Report], first: Sequence[Report]) -> dict[str, Any]:
    """Over fits: the mean of what each request gained."""
    one, base = (
        replace(some[0], units=np.mean([report.units for report in some], axis=0)) for some in (reports, first)
    )
    gained = [float(report.units.mean()) for report in reports]
    row = against_first(name, one, base) | {one.primary: float(np.mean(gained))}
    return row | ({"spread": float(np.std(gained, ddof=1))} if len(gained) > 1 else {})


def against_first(name: str, report: Report, first: Report, column: str = "ranker") -> dict[str, Any]:
    difference = paired(report, first)
    return {
        column: name, report.primary: report.metrics[report.primary].value,
        "against first": difference.value, "low": difference.low, "high": difference.high,
    }  # fmt: skip


def _cost(kind: str, one: Kept, lab: Lab) -> dict[str, Any]:
    predicted = _middle(one.fits[0], lab.tail.dense)
    row: dict[str, Any] = {}
    for task in _judged(lab.tail, predicted):
        known = np.isfinite(lab.tail.labels[task])
        label, found = lab.tail.labels[task][known], predicted[task][known]
        row |= {f"{task}_loss": float(_units(task, label, found).mean()), f"{task}_auc": _auc(task, label, found)}
    milliseconds = _milliseconds(one.fits[0], lab.tail.dense[:AT_ONCE])
    return row | {
        "trials": len(RATES), "train_s": one.seconds, "score_ms": milliseconds,
        "score_us": 1e3 * milliseconds / min(AT_ONCE, len(lab.tail.dense)), "size_mb": _megabytes(one.fits[0]), "lines": num_lines(*CODE[kind]),
    }  # fmt: skip


def _milliseconds(one: Ranker, dense: Floats) -> float:
    """CPU time of a call on one thread, as served: the median of fifty."""
    seeding.limit(seeding.serving_threads())
    one.score(dense)
    times = []
    for _ in range(50):
        start = time.process_time()
        one.score(dense)
        times.append(time.process_time() - start)
    seeding.limit(seeding.num_threads())
    return 1e3 * float(np.median(times))


def _megabytes(one: Ranker) -> float:
    with tempfile.TemporaryDirectory() as folder:
        one.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6


def dense_of(sources: model.Sources, dataset: Dataset, candidates: Ranking) -> Floats:
    """[n * k, num_features] of every candidate."""
    parts = [sources.dense(some, candidates.ids[at], dataset.history) for at, some in model.blocks(dataset.test)]
    return np.concatenate(parts)


def _report(scores: Floats, lab: Lab) -> Report:
    answer = ordered(lab.candidates.ids, scores)
    return judge(feed(lab.dataset, lab.fitted, answer, lab.config), lab.config)


def ordered(ids: Ints, scores: Floats) -> Ranking:
    return Ranking.best_first(ids, np.where(ids >= 0, scores, -np.inf))


EXPERIMENTS: Mapping[str, Experiment] = {"ranker": ranker, "ranker_heads": heads}
