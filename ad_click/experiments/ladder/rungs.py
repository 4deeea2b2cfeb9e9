"""Which rungs there are: how each is fitted, the settings tried, what a refresh of it is, and the code it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ad_click import model
from ad_click.config import Config
from ad_click.model import leaves, linear
from ad_click.model.fields import Rung, Seen

MODEL, SERVED = "model", "model, refitted on all rows (served)"
FULL, GOES_ON = "full", "incremental"  # fitted anew on all rows; goes on with the new ones
FM_CUT_OFF = "FM, 100 epochs"  # as the published one, which was still getting better when its epochs were over


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One rung: how it is fitted with a setting, the settings tried (all rungs the same number), what a refresh is, and its code; whether
    Platt's two numbers are put behind it, or it brings its own calibration."""

    name: str
    fit: Callable[[Seen, Any], Rung]
    trials: Sequence[Any]
    refresh: str
    code: Sequence[object]
    platt: bool = True


def entries(config: Config) -> list[Entry]:
    """From the plainest to the one with most to learn."""
    return [*_linear(config), *_trees(config), *_torch(config)]


def leaves_tried(config: Config) -> tuple[int, int]:
    """Of a tree: those of the config, and half of them."""
    return config.num_leaves, max(config.num_leaves // 2, 4)


def _linear(config: Config) -> list[Entry]:
    line = (linear.logistic, linear.minimise, linear.Linear, linear.design)
    ftrl = (linear.ftrl, linear.follow, linear.as_of_now, linear.proximal, linear.Step, linear.Linear, linear.design)
    rates, l2 = (linear.rate, linear.Rates), (config.l2, config.l2 / 4)
    steps = (linear.Step(0.1), linear.Step(0.03))
    return [
        Entry(name="global rate", fit=linear.rate, trials=(np.inf,), refresh=GOES_ON, code=rates),
        Entry(name="ad rate", fit=linear.rate, trials=(100.0, 1000.0), refresh=GOES_ON, code=rates),
        Entry(name="LR", fit=linear.lr, trials=l2, refresh=FULL, code=(linear.lr, *line)),
        Entry(name="crosses + LR", fit=linear.crosses, trials=l2, refresh=FULL, code=(linear.crosses, *line)),
        Entry(name="FTRL online", fit=linear.ftrl, trials=steps, refresh=GOES_ON, code=ftrl),
    ]


def _trees(config: Config) -> list[Entry]:
    def grown(fit: Callable[[Seen, leaves.Growth, Config], Rung]) -> Callable[[Seen, Any], Rung]:
        return lambda seen, growth: fit(seen, growth, config)

    trees = (leaves.gbdt, leaves.Growth, leaves.Trees, model.columns_seen, model.matrix, model.parameters)
    over = (leaves.gbdt_lr, leaves.one_hot, leaves.Leaves, linear.minimise, *trees)
    many, half = leaves_tried(config)
    sizes = (leaves.Growth(many), leaves.Growth(half))
    shrunk = (leaves.Growth(half, l2=config.l2), leaves.Growth(half, l2=config.l2 * 10))
    return [
        Entry(name="GBDT", fit=grown(leaves.gbdt), trials=sizes, refresh=FULL, code=trees),
        Entry(name="GBDT + LR on leaves", fit=grown(leaves.gbdt_lr), trials=shrunk, refresh=FULL, code=over),
    ]


def _torch(config: Config) -> list[Entry]:
    """torch is loaded here, not by whoever lists the experiments."""
    from ad_click.model import neural

    def net(kind: type[neural.Embedded]) -> Callable[[Seen, Any], Rung]:
        return lambda seen, setting: neural.fit(seen, kind, setting)

    shared = (neural.fit, neural.descend, neural.Setting, neural.Net, neural.Embedded)
    own = {
        "NN": (neural.mlp,),
        "two-tower": (neural.mlp, neural.tower_fields),
        "FM": (neural.pairwise,),
        FM_CUT_OFF: (neural.pairwise,),
        "DeepFM": (neural.FM, neural.pairwise, neural.mlp),
        "DCN": (neural.Cross, neural.mlp),
        "DCN-V2": (neural.DCN, neural.CrossV2, neural.mlp),
    }
    kinds = dict(neural.KINDS) | ({} if config.data == "world" else {FM_CUT_OFF: neural.FM})
    return [
        Entry(
            name=name, fit=net(kind), trials=settings(name, config), refresh=GOES_ON, code=(kind, *own[name], *shared)
        )
        for name, kind in kinds.items()
    ]


def settings(name: str, config: Config) -> Sequence[Any]:
    """Of a torch rung. On data with published figures the settings of those (BARS, Frappe_x1), with a smaller network (two towers have half of it
    each); stopped by the metric they were stopped by, AUC, twice: at the first epoch without gain the learning rate falls to a tenth, at the
    next it is over, which for the published DeepFM, DCN and DCN-V2 is after fourteen to eighteen. On the world rare values share an
    embedding, and the second trial holds the embeddings back less."""
    from ad_click.model.neural import Setting

    if config.data != "world":
        published = Setting(penalty=0.05, epochs=100, by="auc", seed=config.seed)
        if name == FM_CUT_OFF:
            return (replace(published, penalty=5e-6, drops=0, spread=1e-4, patience=100),)
        if name == "FM":
            return (replace(published, penalty=5e-6, learning_rate=1e-2),)
        return (replace(published, hidden=(100, 100) if name == "two-tower" else (200, 200)),)
    epochs = 1 if config.preset == "smoke" else 15
    shared = Setting(
        size=8, hidden=(64, 32), cross_layers=2, learning_rate=2e-3, rare=20, epochs=epochs, seed=config.seed
    )
    penalties = (1e-3, 1e-4) if name == "FM" else (0.5, 0.1)
    return tuple(replace(shared, penalty=penalty) for penalty in penalties)
