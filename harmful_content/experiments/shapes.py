"""Four shapes of a classifier, what each costs and what it cannot say; and the losses it can learn by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from common.contract import Experiment, Floats, Table
from common.eval import intervals
from harmful_content.config import Config
from harmful_content.evaluate import pr_auc_units
from harmful_content.experiments.lab import Lab, against, microseconds, timed
from harmful_content.model import losses
from harmful_content.model.lesson import Columns, Lesson, Loss, any_of, learn, network_for, only, scores, teach
from harmful_content.model.network import TOWERS

HEAD = 16  # hidden units of a policy's own, in the multi-task shape
GAMMA = 2.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    cannot: str
    fit: Callable[[Lesson, Config], Sequence[nn.Module]]
    reads: Callable[[Columns, int], Columns] = lambda columns, _: columns
    """What the network at this place reads: all that is there, unless its policies are fewer."""


SHAPES: Mapping[str, Shape] = {
    "single binary": Shape(
        cannot="which policy, so no reason for the author and no threshold a policy",
        fit=lambda lesson, config: [learn(lesson.any(), config)],
        reads=lambda columns, _: any_of(columns),
    ),
    "one binary a policy": Shape(
        cannot="what policies have in common: each learns it anew",
        fit=lambda lesson, config: [learn(lesson.of(np.array([at])), config) for at in range(lesson.num_outputs)],
        reads=lambda columns, at: only(columns, np.array([at])),
    ),
    "multi-label": Shape(
        cannot="what one policy alone needs: all share every feature",
        fit=lambda lesson, config: [learn(lesson, config, head_width=0)],
    ),
    "multi-task": Shape(cannot="nothing of these", fit=lambda lesson, config: [learn(lesson, config, head_width=HEAD)]),
}


def shapes(config: Config) -> Table:
    """Same towers, same rows, same settings. pr_auc: macro over policies; the single binary gives every policy the one number it has. any: pr_auc
    of "violates something", by the likeliest policy. train_s, score_us: CPU; weights: thousands."""
    lab = Lab.read(config)
    config = lab.config
    found, costs = {}, {}
    for name, shape in SHAPES.items():
        networks, seconds = timed(lambda shape=shape: shape.fit(lab.lesson, config))  # type: ignore[misc]
        found[name] = _scores(shape, networks, lab.test, lab.lesson.num_outputs)
        costs[name] = {
            "any_pr_auc": _any(lab, found[name]), "train_s": seconds,
            "score_us": microseconds(lambda shape=shape, some=networks: _scores(shape, some, lab.test, lab.lesson.num_outputs), len(lab.inputs)),  # type: ignore[misc]
            "weights": sum(weight.numel() for network in networks for weight in network.parameters()) / 1e3,
            "cannot_say": shape.cannot,
        }  # fmt: skip
    table = against("shape", {name: lab.report(some) for name, some in found.items()}, "multi-label", "multi_label")
    return [row | costs[row["shape"]] for row in table]


def _scores(shape: Shape, networks: Sequence[nn.Module], columns: Columns, num_outputs: int) -> Floats:
    """[n, num_outputs] a column a network, or the columns of one; a lone column stands for all."""
    found = np.concatenate([scores(one, shape.reads(columns, at)) for at, one in enumerate(networks)], axis=1)
    return np.broadcast_to(found, (len(found), num_outputs)) if found.shape[1] == 1 else found


def _any(lab: Lab, found: Floats) -> float:
    return intervals.mean(pr_auc_units(lab.key.label.max(axis=1), found.max(axis=1)), lab.key.user_id).value


def losses_tried(config: Config) -> Table:
    """Does another loss rank better? The foil is the plain sum of cross-entropies. Gradient blending weighs the joint answer and each
    modality's by how much they gain on validation over how fast they overfit (experiment `dominance`)."""
    lab = Lab.read(config)
    config = lab.config
    blending = losses.shares(lab.lesson, config, {name: network_for(lab.lesson, config, some) for name, some in _parts().items()})  # fmt: skip
    ways: dict[str, Callable[[], nn.Module]] = {
        "cross-entropy": lambda: learn(lab.lesson, config),
        "class weights": lambda: _taught(lab, config, losses.weighted(lab.lesson)),
        "focal": lambda: _taught(lab, config, losses.focal(GAMMA)),
        "gradient blending": lambda: _blended(lab, config, blending),
        "equal blending": lambda: _blended(lab, config, dict.fromkeys(blending, 1 / len(blending))),
    }
    reports, seconds = {}, {}
    for name, way in ways.items():
        network, seconds[name] = timed(way)
        reports[name] = lab.report(scores(network, lab.test))
    table = against("loss", reports, "cross-entropy", "cross_entropy")
    for row in table:
        of = reports[row["loss"]].slices
        row |= {f"{part}_pr_auc": of[f"modality={part}"]["pr_auc"].value for part in ("text", "image", "both")}
        row["train_s"] = seconds[row["loss"]]
    return table


def dominance(config: Config) -> Table:
    """Which modality learns fastest, and which overfits first? Training and validation loss before and after a few epochs alone; `share`:
    what gradient blending gives its answer. The joint network is led by whoever is fastest."""
    lab = Lab.read(config)
    config = lab.config
    rows: list[dict[str, Any]] = []
    for name, modalities in _parts().items():
        before, after = losses.speed(network_for(lab.lesson, config, modalities), lab.lesson, config)
        gained, overfitted = before[1] - after[1], (after[1] - after[0]) - (before[1] - before[0])
        rows.append({
            "learns": name, "train_before": before[0], "train_after": after[0], "valid_before": before[1],
            "valid_after": after[1], "gained": gained, "overfitted": overfitted, "share": losses.blend(before, after),
        })  # fmt: skip
    total = sum(row["share"] for row in rows)
    return [row | {"share": row["share"] / total} for row in rows]


def _parts() -> dict[str, tuple[str, ...]]:
    """Without the line over words, which would give the joint network a start."""
    return {"joint": TOWERS, **{name: (name,) for name in TOWERS}}


def _taught(lab: Lab, config: Config, loss: Loss) -> nn.Module:
    network = network_for(lab.lesson, config)
    teach(network, lab.lesson, loss, config)
    return network


def _blended(lab: Lab, config: Config, shares: Mapping[str, float]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        blended = losses.Blended(network_for(lab.lesson, config), shares)
    teach(blended, lab.lesson, blended.loss, config)
    return blended


EXPERIMENTS: Mapping[str, Experiment] = {"shapes": shapes, "losses": losses_tried, "dominance": dominance}
