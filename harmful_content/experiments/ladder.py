"""Every model an interviewer names, on the same rows, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.features.text import PAD, UNKNOWN
from common.size import num_lines
from common.training.progress import say
from common.training.seeding import lightgbm_threads
from harmful_content import baseline, model
from harmful_content.config import Config
from harmful_content.experiments.lab import Lab, against, microseconds, timed
from harmful_content.model import late, lesson, network, reader, text
from harmful_content.model.lesson import Columns, learn, only, ranked, scores
from harmful_content.model.network import MODALITIES, TOWERS

EARLY, MODEL = "early, without the line", "early, with the line stacked in (served)"
FULL = "full"
Score = Callable[[Columns], Floats]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """fit: what a setting gives, and its bytes. Two settings a rung."""

    fit: Callable[[Lab, Any], tuple[Score, int]]
    trials: Sequence[Any]
    code: Sequence[object]
    refresh: str = FULL


def ladder(config: Config) -> Table:
    """What does each rung gain, and what does it cost? Macro pr_auc on the test posts with its interval, and the paired difference from the served
    model. Two settings a rung, the better on validation kept; networks train until validation ranks no better (the plateau is printed).
    train_s: CPU seconds of the setting kept, inputs read before; score_us: CPU time of a post among all test posts, inputs read; lines: of the
    rung's own code. The foil is a list of keywords."""
    lab = Lab.read(config)
    reports, costs = {}, {}
    for name, rung in rungs(config).items():
        score, costs[name] = tuned(name, rung, lab)
        reports[name] = lab.report(score(lab.test))
    return [row | costs[row["model"]] for row in against("model", reports, MODEL, "model")]


def tuned(name: str, rung: Rung, lab: Lab) -> tuple[Score, dict[str, Any]]:
    """The setting that ranks validation best, and what it costs."""
    judged = lab.dataset.valid.targets(lab.config.hand_weight)
    tried = []
    for place, trial in enumerate(rung.trials):
        (score, num_bytes), seconds = timed(lambda trial=trial: rung.fit(lab, trial))  # type: ignore[misc]
        found = ranked(score(lab.lesson.valid), *judged)
        say(f"{name}, {trial}: valid pr_auc {found:.4f}, {seconds:.1f} s")
        tried.append((-found, place, score, num_bytes, seconds))
    best, place, score, num_bytes, seconds = min(tried, key=lambda one: one[:2])
    return score, {
        "valid": -best, "setting": str(rung.trials[place]), "train_s": seconds,
        "score_us": microseconds(lambda: score(lab.test), len(lab.inputs)), "mb": num_bytes / 1e6,
        "refresh": rung.refresh, "lines": num_lines(*rung.code),
    }  # fmt: skip


def rungs(config: Config) -> dict[str, Rung]:
    """From the plainest to the one with most to learn. A network's settings are learning rates."""
    rates = (config.learning_rate, config.learning_rate / 2)
    net = (lesson, network, reader)
    return {
        "keyword list": Rung(fit=_keywords, trials=(3, 10), code=(_keywords,)),
        "TF-IDF + LR": Rung(
            fit=_line, trials=(config.inverse_penalty, config.inverse_penalty * 4), code=(baseline.lines, baseline.Baseline)
        ),
        "LightGBM on author and reactions": Rung(fit=_trees, trials=(7, 31), code=(_trees,)),
        "text transformer": Rung(fit=_alone(late.PARTS["text"]), trials=rates, code=(*net, text)),
        "image alone": Rung(fit=_alone(("image",)), trials=rates, code=net),
        "late fusion": Rung(fit=_late, trials=rates, code=(*net, text, late)),
        "early, one network a policy": Rung(fit=_single, trials=rates, code=(*net, text)),
        EARLY: Rung(fit=_alone(TOWERS), trials=rates, code=(*net, text)),
        MODEL: Rung(fit=_alone(MODALITIES), trials=rates, code=(*net, text, baseline, model)),
    }  # fmt: skip


def _keywords(lab: Lab, most: int) -> tuple[Score, int]:
    """A policy's list: the `most` words that stand in its violating training texts more often than in others, by log odds."""
    tokens, label = lab.lesson.train["tokens"].numpy(), lab.lesson.train["label"].numpy()
    there = np.zeros((len(tokens), lab.lesson.shape["num_words"]))
    there[np.arange(len(tokens))[:, None], tokens] = 1
    there[:, [PAD, UNKNOWN]] = 0
    inside, outside = label.T @ there, (1 - label).T @ there
    odds = np.log((inside + 0.5) / (outside + 5)) * (inside >= 3)
    listed: Ints = np.argsort(-odds, axis=1, kind="stable")[:, :most]

    def score(columns: Columns) -> Floats:
        found = [np.isin(columns["tokens"].numpy(), words).sum(axis=1) for words in listed]
        return np.stack(found, axis=1) / (1.0 + most)

    return score, listed.nbytes


def _line(lab: Lab, inverse_penalty: float) -> tuple[Score, int]:
    config = replace(lab.config, inverse_penalty=inverse_penalty)
    label, weight = (lab.lesson.train[name].double().numpy() for name in ("label", "weight"))
    line = baseline.lines(lab.lesson.train["tokens"].numpy(), label, weight, lab.lesson.shape["num_words"], config)
    return lambda columns: 1 / (1 + np.exp(-line.logits(columns["tokens"].numpy()))), line.weights.nbytes


def _trees(lab: Lab, num_leaves: int) -> tuple[Score, int]:
    """A booster a policy over what is known of author, reception and request."""
    import lightgbm

    settings = {"objective": "binary", "num_leaves": num_leaves, "learning_rate": 0.05, "verbosity": -1, "seed": lab.config.seed, "num_threads": lightgbm_threads(), "deterministic": True}  # fmt: skip
    train, valid = lab.lesson.train, lab.lesson.valid
    boosters = []
    for at in range(lab.lesson.num_outputs):
        seen, held = (
            lightgbm.Dataset(
                np.ascontiguousarray(part["numbers"].numpy()),
                np.ascontiguousarray(part["label"][:, at].numpy()),
                weight=np.ascontiguousarray(part["weight"][:, at].numpy()),
            )
            for part in (train, valid)
        )
        stop = lightgbm.early_stopping(20, verbose=False)
        boosters.append(lightgbm.train(settings, seen, 300, valid_sets=[held], callbacks=[stop]))
    size = sum(len(booster.model_to_string()) for booster in boosters)
    return lambda columns: np.stack([np.asarray(b.predict(columns["numbers"].numpy())) for b in boosters], axis=1), size


def _alone(modalities: tuple[str, ...]) -> Callable[[Lab, float], tuple[Score, int]]:
    def fit(lab: Lab, rate: float) -> tuple[Score, int]:
        taught = learn(lab.lesson, replace(lab.config, learning_rate=rate), modalities)
        return lambda columns: scores(taught, columns), _num_bytes(taught)

    return fit


def _late(lab: Lab, rate: float) -> tuple[Score, int]:
    fused = late.Late.fit(lab.lesson, replace(lab.config, learning_rate=rate))
    return fused.scores, sum(_num_bytes(part) for part in fused.parts.values())


def _single(lab: Lab, rate: float) -> tuple[Score, int]:
    config = replace(lab.config, learning_rate=rate)
    taught = [learn(lab.lesson.of(np.array([at])), config) for at in range(lab.lesson.num_outputs)]

    def score(columns: Columns) -> Floats:
        return np.concatenate([scores(one, only(columns, np.array([at]))) for at, one in enumerate(taught)], axis=1)

    return score, sum(map(_num_bytes, taught))


def _num_bytes(taught: network.Network) -> int:
    return sum(weight.numel() * weight.element_size() for weight in taught.parameters())


EXPERIMENTS: Mapping[str, Experiment] = {"ladder": ladder}
