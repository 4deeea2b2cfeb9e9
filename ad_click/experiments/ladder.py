"""Every model an interviewer names, on the same rows, in one table."""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np

from ad_click import evaluate, model
from ad_click.config import Config
from ad_click.experiments.tables import loaded
from ad_click.features import Features, Inputs
from ad_click.model import leaves, linear
from ad_click.model.fields import Rung, Seen, rows
from ad_click.schema import Dataset, Judgments, Rows
from common.contract import Experiment, FeatureStore, Floats, Table
from common.errors import InputError
from common.eval import classification, intervals
from common.eval.calibration import Platt, calibration_ratio
from common.features.leave_one_out import LeaveOneOutStore
from common.training.progress import say

SERVED = "model (served)"
FULL, GOES_ON = "full", "incremental"  # fitted anew on all rows; goes on with the new ones
FM_CUT_OFF = "FM, 100 epochs"  # as the published one, which was still getting better when its epochs were over


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One rung: how it is fitted with a setting, the settings tried (all rungs the same number), what a refresh is, and its code."""

    name: str
    fit: Callable[[Seen, Any], Rung]
    trials: Sequence[Any]
    refresh: str
    code: Sequence[object]


def ladder(config: Config) -> Table:
    """What does each rung gain over the served trees, and what does it cost? Paired differences of log loss over users, below zero: less
    than the served model's. Two settings a rung, one on real data, the better on validation kept; every rung is calibrated there as the
    served model is. train_s: CPU seconds of the setting kept, features already read. score_us: CPU time of a row among the
    candidates of one request. lines: of the rung's own code, without Fields, comments and docstrings. The foil is the rate of all rows, alike for everyone."""
    dataset, fitted, key = loaded(config)
    train, valid, test = (fitted.inputs(part, dataset.history) for part in (dataset.train, dataset.valid, dataset.test))
    given = [ids_alone(part, dataset.history) for part in (train, valid, test)]
    seen = Seen(given[0], dataset.train.label, given[1], dataset.valid.label)
    served = _served(dataset, _Read(fitted, dataset, train, valid), config)
    found = {SERVED: _judged(served.score, test, key, config) | served.costs(model)}
    tried = 2 if config.data == "world" and config.preset != "smoke" else 1
    for entry in entries(config):
        best = tuned(entry, entry.trials[:tried], seen)
        found[entry.name] = _judged(best.score, given[2], key, config) | best.costs(*entry.code)
        found[entry.name] |= {"refresh": entry.refresh, "trials": min(tried, len(entry.trials))}
    found[SERVED] |= {"refresh": FULL, "trials": 1}
    return [_row(name, one, found[SERVED]["units"], key) for name, one in found.items()]


def entries(config: Config) -> list[Entry]:
    """From the plainest to the one with most to learn. torch is loaded here, not by whoever lists the experiments."""
    from ad_click.model import neural

    def grown(fit: Callable[[Seen, leaves.Growth, Config], Rung]) -> Callable[[Seen, Any], Rung]:
        return lambda seen, growth: fit(seen, growth, config)

    def net(kind: type[neural.Embedded]) -> Callable[[Seen, Any], Rung]:
        return lambda seen, setting: neural.fit(seen, kind, setting)

    line = (linear.minimise, linear.Linear, linear._design, linear._lr)
    trees = (leaves.gbdt, leaves.Growth, leaves.Trees, model.matrix, model.parameters)
    torch = (neural.fit, neural.Setting, neural.Net, neural.Embedded)
    many, half = config.num_leaves, max(config.num_leaves // 2, 4)
    linears = [
        Entry(name="global rate", fit=linear.rate, trials=(np.inf,), refresh=GOES_ON, code=(linear.rate, linear.Rates)),
        Entry(
            name="ad rate", fit=linear.rate, trials=(100.0, 1000.0), refresh=GOES_ON, code=(linear.rate, linear.Rates)
        ),
        Entry(name="LR", fit=linear.lr, trials=(config.l2, config.l2 / 4), refresh=FULL, code=(linear.lr, *line)),
        Entry(
            name="crosses + LR",
            fit=linear.crosses,
            trials=(config.l2, config.l2 / 4),
            refresh=FULL,
            code=(linear.crosses, *line),
        ),
        Entry(
            name="FTRL online",
            fit=linear.ftrl,
            trials=(linear.Step(0.1), linear.Step(0.03)),
            refresh=GOES_ON,
            code=(linear.ftrl, linear.follow, linear.proximal, linear.Step, linear.Linear, linear._design),
        ),
        Entry(
            name="GBDT",
            fit=grown(leaves.gbdt),
            trials=(leaves.Growth(many), leaves.Growth(half)),
            refresh=FULL,
            code=trees,
        ),
        Entry(
            name="GBDT + LR on leaves",
            fit=grown(leaves.gbdt_lr),
            trials=(leaves.Growth(half, l2=config.l2), leaves.Growth(half, l2=config.l2 * 10)),
            refresh=FULL,
            code=(leaves.gbdt_lr, leaves.one_hot, leaves.Leaves, linear.minimise, *trees),
        ),
    ]
    own = {
        "NN": (neural.mlp,),
        "two-tower": (neural.mlp, neural._side),
        "FM": (neural.pairwise,),
        FM_CUT_OFF: (neural.pairwise,),
        "DeepFM": (neural.FM, neural.pairwise, neural.mlp),
        "DCN": (neural.Cross, neural.mlp),
        "DCN-V2": (neural.DCN, neural.CrossV2, neural.mlp),
    }
    kinds = dict(neural.KINDS) | ({} if config.data == "world" else {FM_CUT_OFF: neural.FM})
    return linears + [
        Entry(name=name, fit=net(kind), trials=settings(name, config), refresh=GOES_ON, code=(kind, *own[name], *torch))
        for name, kind in kinds.items()
    ]


def settings(name: str, config: Config) -> Sequence[Any]:
    """Of a torch rung. On data with published figures the settings of those (BARS, Frappe_x1), with a smaller network; stopped by the metric
    they were stopped by. On the world rare values share an embedding, and the second trial holds the embeddings back less."""
    from ad_click.model.neural import Setting

    if config.data != "world":
        published = Setting(penalty=0.05, epochs=100, by="auc", seed=config.seed)
        if name == FM_CUT_OFF:
            return (replace(published, penalty=5e-6, drops=0, spread=1e-4, patience=2),)
        if name == "FM":
            return (replace(published, penalty=5e-6, learning_rate=1e-2),)
        return (replace(published, hidden=(200, 200)),)
    epochs = 1 if config.preset == "smoke" else 15
    shared = Setting(
        size=8, hidden=(64, 32), cross_layers=2, learning_rate=2e-3, rare=20, epochs=epochs, seed=config.seed
    )
    penalties = (1e-3, 1e-4) if name == "FM" else (0.5, 0.1)
    return tuple(replace(shared, penalty=penalty) for penalty in penalties)


class Scores(Protocol):
    def __call__(self, inputs: Inputs) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A rung under Platt's two numbers, and the seconds its fit took."""

    rung: Rung
    platt: Platt | None
    seconds: float

    def score(self, inputs: Inputs) -> Floats:
        raw = self.rung.score(inputs)
        return raw if self.platt is None else self.platt.apply(raw)

    def costs(self, *code: object) -> dict[str, Any]:
        return {"train_s": self.seconds, "size_mb": self.rung.num_bytes() / 1e6, "lines": num_lines(*code)}


def tuned(entry: Entry, trials: Sequence[Any], seen: Seen) -> Fitted:
    """The trial of least log loss on the validation rows, after Platt on the same rows."""
    found = []
    for place, trial in enumerate(trials):
        start = time.process_time()
        rung = entry.fit(seen, trial)
        seconds = time.process_time() - start
        raw = rung.score(seen.held_out)
        platt = Platt.fit(seen.held_label, raw)
        loss = classification.log_loss(seen.held_label, platt.apply(raw))
        say(f"{entry.name}, trial {place + 1}: valid log_loss {loss:.5f}, {seconds:.1f} s {_plateau(rung)}")
        found.append((loss, place, Fitted(rung, platt, seconds)))
    return min(found, key=lambda one: one[:2])[2]


def num_lines(*code: object) -> int:
    """Lines of source without comments, docstrings and blank lines; each piece counts once."""
    total = 0
    for piece in dict.fromkeys(code):
        tree = ast.parse(textwrap.dedent(inspect.getsource(cast(Any, piece))))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if (
                isinstance(body, list)
                and body
                and isinstance(body[0], ast.Expr)
                and isinstance(body[0].value, ast.Constant)
            ):
                node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
        total += sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())
    return total


def _plateau(rung: Rung) -> str:
    """The last validation values of a torch rung: where it stopped getting better."""
    history = [row["valid"] for row in getattr(rung, "history", [])]
    return f"after {len(history)} epochs: " + " ".join(f"{value:.5f}" for value in history[-4:]) if history else ""


@dataclass(frozen=True)
class _Read:
    """Features whose inputs are at hand: what the served model's fit takes is then its own time."""

    features: Features
    dataset: Dataset
    train: Inputs
    valid: Inputs

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        known = {id(self.dataset.train): self.train, id(self.dataset.valid): self.valid}
        return known[id(rows)] if id(rows) in known else self.features.inputs(rows, store)


def _served(dataset: Dataset, read: _Read, config: Config) -> Fitted:
    start = time.process_time()
    scorer = model.fit(dataset, cast(Features, read), config)
    return Fitted(_Sized(scorer), None, time.process_time() - start)


@dataclass(frozen=True)
class _Sized:
    """The served model, whose size is that of its trees."""

    scorer: model.Model

    def score(self, inputs: Inputs) -> Floats:
        return self.scorer.score(inputs)

    def num_bytes(self) -> int:
        return len(self.scorer.trees)


def ids_alone(inputs: Inputs, history: FeatureStore) -> Inputs:
    """A table without a clock (Frappe) leaves the rungs its ids: statistics that leave the row itself out tell its label to whoever finds
    the id, and the published figures know ids alone. With a clock nothing changes."""
    if not isinstance(history, LeaveOneOutStore):
        return inputs
    return replace(inputs, numbers=inputs.numbers[:, :0], number_names=())


def _judged(score: Scores, test: Inputs, key: Judgments, config: Config) -> dict[str, Any]:
    """The test rows, read once."""
    found = score(test)
    request = rows(test, slice(config.num_candidates))
    times = [time.process_time() for _ in range(8) if len(score(request))]
    return {
        "units": classification.log_loss_units(key.label, found),
        "auc": classification.auc(key.label, found),
        "calibration_ratio": calibration_ratio(key.label, found),
        "score_us": float(np.median([after - before for before, after in pairwise(times)])) / len(request) * 1e6,
    }


def _row(name: str, found: Mapping[str, Any], served: Floats, key: Judgments) -> dict[str, Any]:
    difference = intervals.mean(found["units"] - served, key.user_id)
    return {
        "model": name,
        "log_loss": float(found["units"].mean()),
        "against_served": difference.value,
        "low": difference.low,
        "high": difference.high,
        **{
            column: found[column]
            for column in ("auc", "calibration_ratio", "train_s", "score_us", "size_mb", "refresh", "lines", "trials")
        },
    }


def rank_agreement(config: Config) -> Table:
    """Does the order of the rungs by log loss on the world hold on real data? From the two ladders on file; [low, high]: where 95 % of random
    orders lie, the foil. An agreement inside it says that the world's order is no advice for such data."""
    from scipy.stats import kendalltau, spearmanr

    world, real = (_column(name, "log_loss") for name in ("ladder", "ladder.frappe"))
    names = [name for name in world if name in real]
    one, two = (np.array([losses[name] for name in names]) for losses in (world, real))
    rng = np.random.default_rng(config.seed)
    table = []
    for what, agreement in (("kendall", kendalltau), ("spearman", spearmanr)):
        random = [float(agreement(one, rng.permutation(two)).statistic) for _ in range(500)]
        low, high = np.quantile(random, (0.025, 0.975))
        value = float(agreement(one, two).statistic)
        table += [{"what": f"{what}, world and frappe", "agreement": value, "rungs": len(names)}]
        table += [
            {
                "what": f"{what}, random orders",
                "agreement": float(np.mean(random)),
                "low": low,
                "high": high,
                "rungs": len(names),
            }
        ]
    return table


def published_levels(config: Config) -> Table:
    """Are the rungs what their names say? AUC on Frappe of the ladder on file beside the published figure of the same model: LR, FM with as
    many epochs as the published one, DeepFM, DCN-V2. Our training negatives are drawn anew, so the levels may differ by that much; a rung
    that is wrong is off by more."""
    ours = _column("ladder.frappe", "auc")
    ours["FM"] = ours.pop(FM_CUT_OFF)
    table: Table = []
    for figure in evaluate.PUBLISHED["frappe_rebuilt"]:
        if figure.metric == "auc" and figure.name in ours:
            table += [
                {"model": f"{figure.name}, ours", "auc": ours[figure.name], "origin": "real"},
                {"model": f"{figure.name}, published", "auc": figure.value, "origin": "published"},
                {"model": f"{figure.name}, difference", "auc": ours[figure.name] - figure.value, "origin": "calc"},
            ]
    return table


def _column(name: str, column: str) -> dict[str, float]:
    """rung -> number of a stored ladder, without the served model, which is no rung of it on both sides."""
    from common.commands import report

    path = report.folder() / "ad_click.experiments" / f"{name}.json"
    if not path.exists():
        raise InputError(
            f"There is no {path}. Write it first: mlsd experiment ad_click ladder --write, and once more with --data frappe:DIR (docs/data.md)."
        )
    return {row["model"]: row[column] for row in report.read(path)["rows"] if row["model"] != SERVED}


EXPERIMENTS: Mapping[str, Experiment] = {
    "ladder": ladder,
    "rank_agreement": rank_agreement,
    "published_levels": published_levels,
}
