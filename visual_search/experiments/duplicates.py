"""Copies of an image: what is found again after which change, by a fingerprint of its pixels, by the encoder's vectors, and by an exact hash."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.features.copies import MOST
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.trained import Trained, mean, timed, trained
from visual_search.features.preparation import cut
from visual_search.model.parts import Vectors
from visual_search.schema import Crops, Pixels

Prints = NDArray[np.uint64]
Change = Callable[[Pixels], Pixels]

NUM = 1_000  # images that are copied, and pairs of each foil
LOW, BITS = (
    8,
    52,
)  # of LOW x LOW frequencies the BITS lowest but for the mean light: as many as features of the platform hold (world/things.py)
LOOSE = 8  # bits that may differ, where more is to be found
EDGE = 0.05  # of the side that a crop takes away
GREY = np.array([0.299, 0.587, 0.114])  # of red, green, blue: luma, ITU-R BT.601
KIND, ANY = "another of its kind (foil)", "any other image (foil)"


def duplicates(config: Config) -> Table:
    """How should copies be told: by a fingerprint of the pixels, or by how near the encoder's vectors lie?

    A row is a change that an upload makes to an image, or, as foils, another image: of the same kind (shape, material, pattern and colour's name), and any.
    `exact`, `fingerprint`, `vectors`: share of the pairs called copies, intervals over images' owners. A fingerprint (pHash, Zauner 2010) allows MOST bits
    (common/features/copies.py); vectors the least cosine at which no more foils of its kind are called copies than the fingerprint calls; the same at LOOSE bits. The
    world's own fingerprints are planted, not made from pixels: `as the gallery's copies` says what one made from them finds. `_us`: an image, one core."""
    lab = trained(config)
    pixels, at = lab.dataset.catalog.images.pixels, _some(lab)
    sides = {name: (pixels[at], change(pixels[at]), at) for name, change in CHANGES.items()}
    sides |= {name: (pixels[one], pixels[other], one) for name, (one, other) in _pairs(lab, at).items()}
    seen = {name: _Compared.of(lab, one, other) for name, (one, other, _) in sides.items()}
    foil = seen[KIND]
    cosine = {bits: float(np.sort(foil.cosine)[::-1][(foil.bits <= bits).sum()]) for bits in (MOST, LOOSE)}
    owners = lab.dataset.catalog.owner_id
    return [
        {"change": name}
        | mean("exact", found.same.astype(float), owners[sides[name][2]])
        | mean("fingerprint", (found.bits <= MOST).astype(float), owners[sides[name][2]])
        | mean("vectors", (found.cosine > cosine[MOST]).astype(float), owners[sides[name][2]])
        | mean("fingerprint, loose", (found.bits <= LOOSE).astype(float), owners[sides[name][2]])
        | mean("vectors, loose", (found.cosine > cosine[LOOSE]).astype(float), owners[sides[name][2]])
        | {"pairs": len(found.bits), "fingerprint_us": found.print_us, "vectors_us": found.vector_us}
        for name, found in seen.items()
    ]


def prints(pixels: Pixels) -> Prints:
    """[n, side, side, 3] -> [n]. A bit for each of the BITS lowest frequencies of the cosine transform, the mean light left out: is it above their median? (Zauner
    2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.)"""
    grey, side = pixels @ GREY, pixels.shape[1]
    wave = np.cos(np.pi * np.arange(LOW)[:, None] * (2 * np.arange(side) + 1) / (2 * side))
    strength = (wave @ grey @ wave.T).reshape(len(pixels), LOW * LOW)
    down, across = np.divmod(np.arange(LOW * LOW), LOW)
    lowest = np.argsort(down + across, kind="stable")[1 : BITS + 1]
    above = strength[:, lowest] > np.median(strength[:, lowest], axis=1, keepdims=True)
    found: Prints = (above.astype(np.uint64) << np.arange(BITS, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    return found


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """Pairs, [n]: are they the same file, in how many bits their prints differ, the cosine of their vectors."""

    same: Bools
    bits: Ints
    cosine: Floats
    print_us: float
    vector_us: float

    @staticmethod
    def of(lab: Trained, one: Pixels, other: Pixels) -> _Compared:
        left, (right, print_s) = prints(one), timed(lambda: prints(other))
        ours, (theirs, vector_s) = _vectors(lab, one), timed(lambda: _vectors(lab, other))
        return _Compared(
            same=(one == other).all(axis=(1, 2, 3)),
            bits=np.bitwise_count(left ^ right).astype(np.int64),
            cosine=np.einsum("nd,nd->n", ours, theirs).astype(np.float64),
            print_us=print_s / len(one) * 1e6,
            vector_us=vector_s / len(one) * 1e6,
        )  # fmt: skip


def _vectors(lab: Trained, pixels: Pixels) -> Vectors:
    return lab.model.encoder.images(lab.features.prepared(pixels))


def _some(lab: Trained) -> Ints:
    rng = np.random.default_rng([lab.config.seed, 60])
    return np.sort(rng.permutation(len(lab.dataset.catalog))[:NUM])


def _pairs(lab: Trained, at: Ints) -> dict[str, tuple[Ints, Ints]]:
    """Places in the gallery, left and right: the world's copies with what they were copied from; images with others that are no copies."""
    of = world.make(lab.config).pictures
    thing, rng = of.thing, np.random.default_rng([lab.config.seed, 63])
    copied = np.flatnonzero(of.original != of.image_id)
    kind = ((thing.shape * 100 + thing.material) * 100 + thing.pattern) * 100 + thing.colour
    order = np.lexsort((rng.random(len(kind)), kind))
    left, right = order[:-1], order[1:]
    alike = (kind[left] == kind[right]) & (of.original[left] != of.original[right])
    other = rng.permutation(len(of))[: len(at)]
    strange = of.original[at] != of.original[other]
    return {
        "as the gallery's copies": (copied, of.original[copied]),
        KIND: (left[alike][:NUM], right[alike][:NUM]),
        ANY: (at[strange], other[strange]),
    }


def _bright(factor: float) -> Change:
    return lambda pixels: np.clip(np.round(pixels * factor), 0, 255).astype(np.uint8)


def _cropped(pixels: Pixels) -> Pixels:
    """EDGE of the side is gone, half of it at either end."""
    inside: Crops = np.tile(np.array([EDGE / 2, EDGE / 2, 1 - EDGE / 2, 1 - EDGE / 2], np.float32), (len(pixels), 1))
    return cut(pixels, inside, pixels.shape[1])


def _encoded_anew(pixels: Pixels) -> Pixels:
    from PIL import Image

    files = [io.BytesIO() for _ in pixels]
    for file, one in zip(files, pixels, strict=True):
        Image.fromarray(one).save(file, format="JPEG", quality=60)
    return np.stack([np.asarray(Image.open(file)) for file in files])


def _halved(pixels: Pixels) -> Pixels:
    """Sent on at half the size, and drawn out again."""
    from PIL import Image

    side = pixels.shape[1]
    small = (Image.fromarray(one).resize((side // 2, side // 2), Image.Resampling.BILINEAR) for one in pixels)
    return np.stack([np.asarray(one.resize((side, side), Image.Resampling.BILINEAR)) for one in small])


CHANGES: Mapping[str, Change] = {
    "the same file": lambda pixels: pixels,
    "encoded anew": _encoded_anew,
    "at half the size": _halved,
    "cropped by a twentieth": _cropped,
    "a fifth brighter": _bright(1.2),
    "a fifth darker": _bright(0.8),
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, :, ::-1]),
}
EXPERIMENTS: Mapping[str, Experiment] = {"duplicates": duplicates}
