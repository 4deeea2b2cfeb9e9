"""Whether to search with a part of the photo: over how many photos show other things beside the one that is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Table
from common.eval.chart import Chart
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.features.preparation import WHOLE
from visual_search.schema import Crops, Images, Requests
from visual_search.world.asking import CROP, PHOTO
from visual_search.world.painting import draw
from visual_search.world.scenes import MEANT, photos
from visual_search.world.things import Things

CLUTTER = (0.0, 0.3, 0.6, 0.9)
ELSEWHERE = "a box elsewhere (foil)"
UNCUT = "whole photo, whole gallery"
AGAINST = "against whole photo"


def crop(config: Config) -> Table:
    """Does it pay to search with the part of the photo that is meant, and from how much clutter on?

    The same judged photos of the same things, drawn anew with other things around this share of them; all that differs is what part is looked at.
    `against whole photo`: planted gain, paired over users with the whole photo in the same gallery, whose images are cut by the proposal. `iou`: overlap of
    what is looked at with the true box. The foil has the true box's size and stands in the corner away from it. The last way cuts nothing
    anywhere, gallery and training included: what a system without a proposal would be. It decides Config.proposal."""
    lab, uncut = trained(config), trained(replace(config, proposal=False))
    table: Table = []
    for clutter in CLUTTER:
        asked, true = photographed(lab, clutter)
        ways = {
            "proposal": lab.features.crops(asked.photos.pixels, asked.crop),
            "true box": true,
            ELSEWHERE: elsewhere(true),
        }
        whole = np.tile(np.array(WHOLE, np.float32), (len(asked), 1))
        base = _gains(lab, asked, whole)
        found = {name: (_gains(lab, asked, crops), crops) for name, crops in ways.items()}
        found[UNCUT] = _gains(uncut, asked, whole), whole
        table += [
            {"looked at": name, "clutter": clutter, **mean(AGAINST, gains - base, asked.user_id)}
            | {GAIN: float(gains.mean()), "whole photo": float(base.mean()), "iou": float(overlap(crops, true).mean())}
            for name, (gains, crops) in found.items()
        ]
    return table


def photographed(lab: Trained, clutter: float) -> tuple[Requests, Crops]:
    """The judged searches with a photo alone, unmarked, as they would be with this share of clutter; and the box of what is meant."""
    truth = world.make(lab.config)
    at = np.flatnonzero(np.isin(truth.judged.kind, (PHOTO, CROP)))
    shot = truth.shot.take(truth.judged.photo[at])
    meant = Things(**{name: column[:, MEANT] for name, column in vars(shot.thing).items()})
    scene = photos(truth.seed, shot.id, meant, clutter)
    asked = lab.test.take(at)
    unmarked = np.full((len(at), 4), np.nan, np.float32)
    drawn = Images(draw(truth.seed, scene, lab.config.side))
    return replace(asked, photos=drawn, photo=np.arange(len(at)), crop=unmarked), world.boxes(scene)


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
