"""What the ladders on file say about each other, and about the published figures."""

from __future__ import annotations

import numpy as np

from ad_click import evaluate
from ad_click.config import Config
from ad_click.experiments.ladder.rungs import FM_CUT_OFF, MODEL, SERVED
from common.contract import Table
from common.errors import InputError


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
    """rung -> number of a stored ladder, without the served model, whose trees see more than a rung's on data without a clock."""
    from common.commands import report

    path = report.folder() / "ad_click.experiments" / f"{name}.json"
    if not path.exists():
        raise InputError(
            f"There is no {path}. Write it first: mlsd experiment ad_click ladder --write, and once more with --data frappe:DIR (docs/data.md)."
        )
    return {row["model"]: row[column] for row in report.read(path)["rows"] if row["model"] not in (MODEL, SERVED)}
