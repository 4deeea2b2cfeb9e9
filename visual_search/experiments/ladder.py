"""Every rung an interviewer names, on the same requests, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from common.contract import Experiment, Floats, Ints, Table
from common.size import num_lines
from common.training.progress import say
from visual_search import baseline, model
from visual_search.config import Config
from visual_search.experiments.lab import Lab
from visual_search.experiments.trained import GAIN, mean, timed
from visual_search.features import histogram
from visual_search.model import edges, gallery, joint, ranker
from visual_search.model.encoders import lesson, muon, own, towers, training, views, words
from visual_search.model.encoders.own import Own
from visual_search.model.encoders.training import Choice, Teacher
from visual_search.model.joint import Joint
from visual_search.model.parts import Encoder
from visual_search.schema import Pairs

SERVED, BARE = "served", "served, without the rerank"
RATES = (1.0, 0.4)  # of the lab's learning rate: two settings a tower, the better on held photos kept
HELD = 0.15  # of the judged photos
NETWORK = (lesson, muon, own, towers, training, views, words)
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Held:
    """Pairs [m, 2] to learn from, and photos nobody learns from, to choose by."""

    learnt: Ints
    choice: Choice

    @staticmethod
    def of(lab: Lab) -> Held:
        judged, rng = lab.dataset.judged, np.random.default_rng([lab.config.seed, 101])
        photos = np.unique(judged.photo)
        held = np.isin(judged.photo, photos[rng.random(len(photos)) < HELD])
        kept = Pairs(
            photo=judged.photo[held], photos=judged.photos, image_id=judged.image_id[held], grade=judged.grade[held]
        )
        return Held(lab.alike(np.flatnonzero(~held)), training.choice(lab.dataset, kept))

    def mrr(self, lab: Lab, encoder: Own) -> float:
        config = replace(lab.config, encoder_side=encoder.shape.side, served_side=encoder.shape.looks)
        return 1 - Teacher(encoder.network, lab.words, lab.lesson, self.choice, config).validate(encoder.network)


def ladder(config: Config) -> Table:
    """What does each rung gain, and what does it cost?

    A row is a rung: its planted gain, and paired over users `against served`, which is outlines by hand, the encoder of the config, its index, owners' words and
    the rerank. Networks are the lab's: alone, at its size, as many batches each; a tower's learning rate is the better of two by the mrr of held photos (`valid`), and
    kept for its other positives. Outlines know no words: what is asked in words alone comes in any order.
    The foil is the colour histogram. train_s: processor seconds of the setting kept; image_us: of encoding a photo
    among many; size_mb: weights and the gallery's vectors; refresh_s: until a new version has encoded the gallery; lines: of the rung's own code. It
    decides Config.encoder, and whether any of it is worth its upkeep."""
    lab = Lab.read(config)
    found: dict[str, tuple[Floats, Row]] = {
        "colour histogram": _histogram(lab),
        "outlines by hand": _by_hand(lab),
        **_networks(lab),
        **_served(lab, config),
    }
    base, users = found[SERVED][0], lab.case.test.user_id
    return [
        {"rung": name, **mean("against served", gains - base, users), **mean(GAIN, gains, users), **costs}
        for name, (gains, costs) in found.items()
    ]


def _histogram(lab: Lab) -> tuple[Floats, Row]:
    case, parts = lab.case, lab.dataset.catalog.images.pixels
    kept, encode_s = timed(lambda: histogram.histograms(parts))
    costs = {"valid": "", "setting": "", "train_s": 0.0, "image_us": encode_s / len(parts) * 1e6}
    costs |= {
        "size_mb": kept.astype(np.float16).nbytes / 1e6,
        "refresh_s": encode_s,
        "lines": num_lines(baseline, histogram),
    }
    return case.gains(case.retrieved(case.test, case.histogram)), costs


def _by_hand(lab: Lab) -> tuple[Floats, Row]:
    pixels = lab.dataset.catalog.images.pixels
    hand, train_s = timed(lambda: edges.fit(pixels, joint.DIM))
    none = lab.taught(lab.pairs("augmented"), steps=1)  # a vector of its own is asked for, and counts for nothing
    encoder = Joint(none, hand, edges=1.0)
    _, encode_s = timed(lambda: hand.of(pixels))
    return lab.gains(encoder), _costs(lab, hand.dim, train_s, encode_s, (edges,), hand.axes.nbytes)


def _networks(lab: Lab) -> dict[str, tuple[Floats, Row]]:
    """The residual network, and CLIP by what belongs together."""
    held = Held.of(lab)
    found: dict[str, tuple[Floats, Row]] = {}
    rate: dict[str, tuple[float, ...]] = {}
    for name, tower, positives in NETWORKS:
        pairs = held.learnt if positives == "judged" else lab.pairs(positives)
        tried = []
        for share in rate.get(tower, RATES):
            knobs = {"encoder": tower, "learning_rate": share * lab.config.learning_rate}
            encoder, train_s = timed(lambda pairs=pairs, knobs=knobs: lab.taught(pairs, **knobs))  # type: ignore[misc]
            tried.append((held.mrr(lab, encoder), share, encoder, train_s))
            say(f"{name}, rate {share * lab.config.learning_rate:g}: mrr {tried[-1][0]:.3f}, {train_s:.0f} s")
        valid, share, encoder, train_s = max(tried, key=lambda one: one[0])
        rate[tower] = (share,)
        found[name] = _network(
            lab, encoder, train_s, {"valid": valid, "setting": f"rate {share * lab.config.learning_rate:g}"}
        )
    return found


NETWORKS = (
    ("residual network", "resnet", "judged"),
    ("CLIP, from scratch", "clip", "judged"),
    ("CLIP, by augmentation", "clip", "augmented"),
    ("CLIP, by clicks", "clip", "clicks"),
)


def _network(lab: Lab, encoder: Own, train_s: float, chosen: Row) -> tuple[Floats, Row]:
    _, encode_s = timed(lambda: encoder.images(lab.dataset.catalog.images.pixels))
    return lab.gains(encoder), _costs(lab, encoder.dim, train_s, encode_s, NETWORK, _weights(encoder)) | chosen


def _served(lab: Lab, config: Config) -> dict[str, tuple[Floats, Row]]:
    case = lab.case
    better, train_s = timed(lambda: model.fit(case.dataset, case.features, config))
    found = case.retrieved(case.test, better)
    ranked = better.rerank(case.test, found, case.dataset.history)
    _, encode_s = timed(lambda: better.encoder.images(lab.dataset.catalog.images.pixels))
    code = (*NETWORK, edges, joint, gallery, model)
    size = _weights(better.encoder)
    bare = _costs(lab, better.encoder.dim, train_s, encode_s, code, size)
    whole = _costs(lab, better.encoder.dim, train_s, encode_s, (*code, ranker), size)
    return {BARE: (case.gains(found), bare), SERVED: (case.gains(ranked), whole)}


def _weights(encoder: Encoder) -> int:
    """Bytes of what was trained here; of a CLIP that is named, which lies elsewhere, 0."""
    learnt = encoder.learnt if isinstance(encoder, Joint) else encoder
    tensors = learnt.network.state_dict().values() if isinstance(learnt, Own) else list[torch.Tensor]()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _costs(lab: Lab, dim: int, train_s: float, encode_s: float, code: Sequence[object], weights: int) -> Row:
    num = len(lab.dataset.catalog)
    return {
        "valid": "", "setting": "", "train_s": train_s, "image_us": encode_s / num * 1e6,
        "size_mb": (weights + 4 * num * dim) / 1e6, "refresh_s": train_s + encode_s, "lines": num_lines(*code),
    }  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"ladder": ladder}
