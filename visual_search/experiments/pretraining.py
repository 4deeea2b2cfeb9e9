"""Whether to learn from the gallery's images and their owners' words first, and from judged pairs then: over how many pairs there are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from visual_search.config import Config
from visual_search.experiments.lab import BATCH, RATE, Lab
from visual_search.experiments.trained import GAIN, mean

SIZES = (50, 150, 500, 3_000)
FIRST = 2 / 3  # of the steps are pretraining
TUNED = 0.3  # of the learning rate, for the rest: at the whole of it a few pairs undo what was learnt before


def pretraining(config: Config) -> Table:
    """Does it pay to pretrain on the world's own images and tags, and up to how many judged pairs?

    A row is a number of judgments that were paid for, of which the pairs that were called alike teach. From scratch: all steps on these pairs, and on the words of
    their images. Pretrained: FIRST of the steps on all images of the gallery with their words (image-text contrast, as CLIP learns), the rest on the pairs
    at TUNED of the rate, half and half with those images: by pairs alone it forgets the words it learnt. `difference`: planted gain of pages by likeness alone, pretrained minus from scratch, paired over users; `at once` mixes both in each
    batch, as the served encoder does, minus from scratch. `never tuned`: pretrained for all steps and no pair at all, the foil. It decides whether an encoder begins
    with pairs."""
    lab = Lab.read(config)
    users, nothing = lab.case.test.user_id, np.empty((0, 2), np.int64)
    early = round(FIRST * lab.steps)
    begin = lab.taught(nothing, steps=early, batch_size=2 * BATCH)
    never = lab.gains(lab.taught(nothing, batch_size=2 * BATCH))
    table: Table = []
    for size in SIZES:
        judged = lab.dataset.judged
        if size > len(judged):
            break
        pairs = told(lab, size)
        scratch = lab.gains(lab.taught(pairs, texts=False))
        tuned = lab.gains(lab.taught(pairs, begin=begin, steps=lab.steps - early, learning_rate=TUNED * RATE))
        both = lab.gains(lab.taught(pairs))
        table.append(
            {"judged": size, **_change(tuned - scratch, users), **mean("at once", both - scratch, users)}
            | {
                "from scratch": float(scratch.mean()),
                "pretrained": float(tuned.mean()),
                "never tuned": float(never.mean()),
            }
            | {"pairs": len(pairs)}
        )
    return table


def told(lab: Lab, size: int) -> Ints:
    """[m, 2] what is alike among the first `size` judgments, in an order by lot."""
    order = np.random.default_rng([lab.config.seed, 79]).permutation(len(lab.dataset.judged))
    return lab.alike(order[:size])


def _change(units: Floats, users: Ints) -> dict[str, float | None]:
    found = intervals.mean(units, users)
    return {"difference": found.value, "low": found.low, "high": found.high}


EXPERIMENTS: Mapping[str, Experiment] = {"pretraining": pretraining}
CHARTS: Mapping[str, Chart] = {
    "pretraining": Chart(
        title="Pretrained on the world's own images and tags, against from scratch, by judged pairs",
        x="judged",
        y="difference",
        x_label="judged pairs of a photo and an image",
        y_label=f"{GAIN}, pretrained minus from scratch (above zero: pretrain)",
        log_x=True,
    )
}
