"""Whether to search with a part of the photo: over how many photos show other things as well, and how much of the photo the thing that is meant fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Table
from common.eval.chart import Chart
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.features.preparation import WHOLE, cut, squares
from visual_search.schema import Crops, Images, Requests
from visual_search.world.asking import CROP, PHOTO
from visual_search.world.painting import draw
from visual_search.world.scenes import MEANT, photos
from visual_search.world.things import Things

CLUTTER = (0.0, 0.3, 0.6, 0.9)
NEAR = (0.0, 0.25, 0.5, 0.75, 1.0)
ELSEWHERE = "a box elsewhere (foil)"
AGAINST, UNCUT = "against whole photo", "against no cutting"


def crop(config: Config) -> Table:
    """Does it pay to search with the part of the photo that is meant, and from how much clutter on?

    The same judged photos of the same things, drawn anew with other things around this share of them; all that differs is what part is looked at.
    `against whole photo`: planted gain, paired over users with the whole photo in the same gallery, whose images are cut by the proposal; `against no
    cutting`: with a system that cuts nothing, gallery and training included. `iou`: overlap of what is looked at with the true box. The foil has the true
    box's size and stands in the corner away from it. It decides Config.proposal."""
    lab, uncut = trained(config), trained(replace(config, proposal=False))
    table: Table = []
    for clutter in CLUTTER:
        asked, true = photographed(lab, clutter)
        base, other = _gains(lab, asked, whole(asked)), _gains(uncut, asked, whole(asked))
        for name, crops in _ways(lab, asked, true).items():
            gains = _gains(lab, asked, crops)
            row = {"looked at": name, "clutter": clutter, **_row(gains, base, asked), "iou": _iou(crops, true)}
            table.append(row | mean(UNCUT, gains - other, asked.user_id))
    return table


def nearness(config: Config) -> Table:
    """How near may a photo be taken before a proposal of what is meant in it does more harm than good?

    The same photos with a margin cut away: none (0), up to all that is not the smallest square around the thing that is meant (1). `fills`: the mean share of the
    side that the thing then takes. The rest as in `crop`. Where the thing fills the photo, what stands out is a part of it; and a box elsewhere, the foil, is
    nearly the whole. It decides for which photos Config.proposal stands: Grocery's fill theirs, and it is off there."""
    lab = trained(config)
    asked, true = photographed(lab, config.clutter)
    table: Table = []
    for near in NEAR:
        photo, box = taken_from(asked, true, near)
        base, fills = _gains(lab, photo, whole(photo)), float((box[:, 2:] - box[:, :2]).max(axis=1).mean())
        for name, crops in _ways(lab, photo, box).items():
            gains = _gains(lab, photo, crops)
            table.append(
                {"looked at": name, "near": near, "fills": fills, **_row(gains, base, photo), "iou": _iou(crops, box)}
            )
    return table


def _ways(lab: Trained, asked: Requests, true: Crops) -> dict[str, Crops]:
    unmarked = np.full((len(asked), 4), np.nan, np.float32)
    found = lab.features.crops(asked.photos.pixels, unmarked)
    return {"proposal": found, "true box": true, ELSEWHERE: elsewhere(true)}


def _row(gains: Floats, base: Floats, asked: Requests) -> dict[str, Any]:
    row: dict[str, Any] = mean(AGAINST, gains - base, asked.user_id)
    return row | mean(GAIN, gains, asked.user_id) | {"whole photo": float(base.mean())}


def _iou(crops: Crops, true: Crops) -> float:
    return float(overlap(crops, true).mean())


def whole(asked: Requests) -> Crops:
    return np.tile(np.array(WHOLE, np.float32), (len(asked), 1))


def taken_from(asked: Requests, boxes: Crops, near: float) -> tuple[Requests, Crops]:
    """The same photos, `near` of the margin cut away, and the boxes in them."""
    frame = (1 - near) * whole(asked) + near * squares(boxes)
    side = frame[:, 2:] - frame[:, :2]
    low, high = (boxes[:, :2] - frame[:, :2]) / side, (boxes[:, 2:] - frame[:, :2]) / side
    pixels = cut(asked.photos.pixels, frame.astype(np.float32), asked.photos.side)
    return replace(asked, photos=Images(pixels)), np.clip(np.concatenate([low, high], axis=1), 0, 1).astype(np.float32)


def photographed(lab: Trained, clutter: float) -> tuple[Requests, Crops]:
    """The judged searches with a photo alone, as they would be with this share of clutter; and the box of what is meant."""
    truth = world.make(lab.config)
    at = np.flatnonzero(np.isin(truth.judged.kind, (PHOTO, CROP)))
    shot = truth.shot.take(truth.judged.photo[at])
    meant = Things(**{name: column[:, MEANT] for name, column in vars(shot.thing).items()})
    scene = photos(truth.seed, shot.id, meant, clutter)
    asked = lab.test.take(at)
    drawn = Images(draw(truth.seed, scene, lab.config.side))
    return replace(asked, photos=drawn, photo=np.arange(len(at)), crop=whole(asked)), world.boxes(scene)


def elsewhere(boxes: Crops) -> Crops:
    """[n, 4] -> boxes of the same size, in the corner away from each."""
    size = boxes[:, 2:] - boxes[:, :2]
    left_or_above = boxes[:, :2] + size / 2 < 0.5
    low = np.where(left_or_above, 1 - size, 0)
    return np.concatenate([low, low + size], axis=1).astype(np.float32)


def overlap(one: Crops, other: Crops) -> Floats:
    """[n, 4] each -> [n]: the area both hold over the area either holds."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=1)
    either = sum((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (one, other)) - both
    share: Floats = (both / np.maximum(either, 1e-9)).astype(np.float64)
    return share


def _gains(lab: Trained, asked: Requests, crops: Crops) -> Floats:
    looked = replace(asked, crop=crops)
    return lab.gains(lab.answered(looked), looked)


EXPERIMENTS: Mapping[str, Experiment] = {"crop": crop, "nearness": nearness}
CHARTS: Mapping[str, Chart] = {
    "nearness": Chart(
        title="What is looked at against the whole photo, by how much of it the thing that is meant fills",
        x="fills",
        y=AGAINST,
        low=f"{AGAINST}_low",
        high=f"{AGAINST}_high",
        series="looked at",
        x_label="share of the photo's side that the thing takes",
        y_label=f"{GAIN}, minus that of the whole photo (above zero: cut)",
    )
}
