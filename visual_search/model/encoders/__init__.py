"""Pictures and words as points of one space: trained here, or a CLIP that somebody else trained.

In:     the gallery's pictures, texts and classes; pairs that people judged, clicks; config.encoder, config.positives.
Out:    fit, load -> an Encoder (model/parts.py).
Choice: convolutions for pictures, a small CLIP's transformer for words (towers.py): in minutes on a processor, with thousands of pictures, a transformer over
        patches needs twice the time for less. Classes where there are any, pairs, texts and their words teach at once, all by contrast (training.py).
Else:   a pretrained CLIP by folder or id, where pictures are of the world it has seen: minutes of learning here stand against years of somebody's.
Breaks: vectors of two encoders share no axis (each carries a fingerprint; the gallery refuses another); a batch that pushes apart what is alike (lesson.py).
"""

from __future__ import annotations

from pathlib import Path

from common.training import pretrained
from visual_search.config import Config
from visual_search.model.encoders import named, own
from visual_search.model.encoders.towers import KINDS
from visual_search.model.parts import Encoder
from visual_search.schema import Dataset


def fit(dataset: Dataset, config: Config, start: own.Own | None = None) -> Encoder:
    """One that is named is taken as it is. `start`: one trained here before, whose learning goes on. InputError: no such encoder, nothing to learn from."""
    if config.encoder in KINDS:
        return own.fit(dataset, config, start)
    return named.named(config.encoder, list(KINDS))


def load(folder: Path) -> Encoder:
    """What `save` wrote; InputError where it is torn, or where the CLIP it names is gone or another by now."""
    return named.read(folder) if (folder / pretrained.SOURCE).is_file() else own.read(folder)


__all__ = ["fit", "load"]
