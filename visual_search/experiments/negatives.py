"""What a picture is told from: the others of its batch, the hardest that the memory holds, and how much the nearest of them count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, logsumexp

from common.contract import Experiment, Ints, Table
from visual_search.config import Config
from visual_search.experiments.lab import BATCH, Lab, Teaches
from visual_search.experiments.trained import GAIN, mean
from visual_search.model.encoders.training import Teacher

NUM_HARD = 16
LOW, HIGH = 0.02, 0.3  # temperatures
SMALL, LARGE = 16, 256  # batches
IN_BATCH = "in-batch"


class HardAlone(Teacher):
    """Of the batch nothing is a negative but the memory's nearest; the batch's others teach until the memory is asked, or it would hold nothing."""

    def paired(self, anchors: Ints, left: Tensor, partners: Ints, right: Tensor) -> Tensor:
        if self.steps_left > 0 or not len(anchors):
            return super().paired(anchors, left, partners, right)
        own, hard = (left * right).sum(dim=1, keepdim=True), self.nearest(left, anchors)
        scores = torch.cat([own, hard], dim=1) / self.config.temperature
        return (logsumexp(scores, dim=1) - scores[:, 0]).mean()


@dataclass(frozen=True, kw_only=True)
class Way:
    name: str
    temperature: float
    batch_size: int = BATCH
    num_hard: int = 0
    by: Teaches = Teacher


def negatives(config: Config) -> Table:
    """Which negatives, and how sharply are they told apart?

    A row is a kind of negative and a temperature; each network sees the same pictures, all judged pairs and the images with their words, in batches of BATCH unless
    its name says another: then in as many more, or fewer, steps. Hard ones are the NUM_HARD of the memory that look most like the anchor and are not known to
    be like it, some of which are. `against served`: planted gain of pages by likeness alone, paired over users with in-batch negatives at the config's
    temperature. Hard ones alone are the foil. It decides Config.num_hard, temperature and batch_size."""
    lab, usual = Lab.read(config), config.temperature
    pairs, users = lab.pairs("judged"), lab.case.test.user_id
    found = {}
    for way in ways(usual):
        steps = max(1, lab.steps * BATCH // way.batch_size)
        encoder = lab.taught(
            pairs, steps=steps, by=way.by, temperature=way.temperature, batch_size=way.batch_size, num_hard=way.num_hard
        )
        found[way] = lab.gains(encoder)
    base = found[ways(usual)[0]]
    return [
        {"negatives": way.name, "temperature": way.temperature, **mean("against served", gains - base, users)}
        | {**mean(GAIN, gains, users), "batch": way.batch_size}
        for way, gains in found.items()
    ]


def ways(usual: float) -> Sequence[Way]:
    """The served one first."""
    return (
        Way(name=IN_BATCH, temperature=usual),
        Way(name=IN_BATCH, temperature=LOW),
        Way(name=IN_BATCH, temperature=HIGH),
        Way(name="in-batch and hard", temperature=usual, num_hard=NUM_HARD),
        Way(name="hard alone (foil)", temperature=usual, num_hard=NUM_HARD, by=HardAlone),
        Way(name=f"in-batch of {SMALL}", temperature=usual, batch_size=SMALL),
        Way(name=f"in-batch of {LARGE}", temperature=usual, batch_size=LARGE),
    )


EXPERIMENTS: Mapping[str, Experiment] = {"negatives": negatives}
