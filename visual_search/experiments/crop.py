"""Whether to search with a part of the photo: over how many photos show other things beside the one that is meant."""

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
ELSEWHERE = "a box elsewhere (foil)"
FILLED = "proposal, the thing fills the photo"
AGAINST, UNCUT = "against whole photo", "against no cutting"


def crop(config: Config) -> Table:
    """Does it pay to search with the part of the photo that is meant, and from how much clutter on?

    The same judged photos of the same things, drawn anew with other things around this share of them; all that differs is what part is looked at.
    `against whole photo`: planted gain, paired over users with the whole photo in the same gallery, whose images are cut by the proposal; `against no
    cutting`: with a system that cuts nothing, gallery and training included. `iou`: overlap of what is looked at with the true box. The foil has the true
    box's size and stands in the corner away from it. In the last row of each clutter every photo is taken from near by: what stands out is then a
    part of what is meant, or nothing. It decides Config.proposal, and for which photos."""
    lab, uncut = trained(config), trained(replace(config, proposal=False))
    table: Table = []
    for clutter in CLUTTER:
        asked, true = photographed(lab, clutter)
        base, other = _gains(lab, asked, whole(asked)), _gains(uncut, asked, whole(asked))
        ways = {"proposal": proposed(lab, asked), "true box": true, ELSEWHERE: elsewhere(true)}
        for name, crops in ways.items():
            table.append(_row(name, clutter, _gains(lab, asked, crops), base, other, overlap(crops, true), asked))
        near, inside = filled(asked, true)
        crops = proposed(lab, near)
        gains = _gains(lab, near, crops), _gains(lab, near, whole(near)), _gains(uncut, near, whole(near))
        table.append(_row(FILLED, clutter, *gains, overlap(crops, inside), near))
    return table


def _row(
    name: str, clutter: float, gains: Floats, base: Floats, other: Floats, iou: Floats, asked: Requests
) -> dict[str, Any]:
    users = asked.user_id
    return {"looked at": name, "clutter": clutter, **mean(AGAINST, gains - base, users), **mean(UNCUT, gains - other, users)} | {
        **mean(GAIN, gains, users), "whole photo": float(base.mean()), "iou": float(iou.mean()),
    }  # fmt: skip


def whole(asked: Requests) -> Crops:
    return np.tile(np.array(WHOLE, np.float32), (len(asked), 1))


def proposed(lab: Trained, asked: Requests) -> Crops:
    return lab.features.crops(asked.photos.pixels, np.full((len(asked), 4), np.nan, np.float32))


def filled(asked: Requests, boxes: Crops) -> tuple[Requests, Crops]:
    """The same photos taken from near by: the smallest square around what is meant is all there is; and its box in it."""
    around = squares(boxes)
    side = around[:, 2:] - around[:, :2]
    low, high = (boxes[:, :2] - around[:, :2]) / side, (boxes[:, 2:] - around[:, :2]) / side
    pixels = cut(asked.photos.pixels, boxes, asked.photos.side)
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


EXPERIMENTS: Mapping[str, Experiment] = {"crop": crop}
CHARTS: Mapping[str, Chart] = {
    "crop": Chart(
        title="What is looked at against the whole photo, by how many photos show other things beside the one that is meant",
        x="clutter",
        y=AGAINST,
        low=f"{AGAINST}_low",
        high=f"{AGAINST}_high",
        series="looked at",
        x_label="share of photos with other things around",
        y_label=f"{GAIN}, minus that of the whole photo (above zero: cut)",
    )
}
