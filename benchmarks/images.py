"""A photo to its neighbours among a million: decode, encode, search, beside CLIP ViT-B/32 in float32 and a scan of its vectors.

Run: python -m benchmarks.images --home FOLDER [--quick] [--vectors 1000000]    (FOLDER: where `mlsd run visual_search --out FOLDER` put an artifact)

One photo at a time, one thread, both sides in turns. Ours is the served path: the file, the part that is meant, the encoder, the index that the tuner took,
the hundred nearest. Theirs is what a user would take instead: a CLIPModel of the shape of openai/clip-vit-base-patch32 with random weights, for
its time alone, its own preparation of a picture, and a flat index of as many vectors of 512 numbers. Between them each half of ours with the
other half of theirs. The gallery is the artifact's own vectors, and the rest grown around them (experiments/millions.py).
"""

from __future__ import annotations

import base64
import io
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.harness import Row, paired_rounds, write_result
from common.commands.output import table
from common.data.pictures import unfolded
from common.lifecycle.registry import Registry
from common.training import seeding
from visual_search import features, model, world
from visual_search.config import SMOKE, Config
from visual_search.experiments.millions import alike
from visual_search.model.index.tuner import Choice, K, ann_recall, cheapest, exact_neighbours
from visual_search.model.parts import Vectors
from visual_search.schema import Images, Requests

ROUNDS, A_ROUND = 9, 4  # timing rounds, and photos in each
PHOTOS, PHOTO_SIDE = 60, 640  # files, and pixels a side
THEIR_SIDE, THEIR_DIM = 224, 512
OURS, THEIRS = "ours", "CLIP ViT-B/32, float32, scan"
NOTES = (
    "One photo ({side} x {side}, JPEG) at a time, one thread, in turns, {rounds} rounds; times_ours with its range, round by round. {vectors:,} vectors of {dim} "
    "numbers: {own:,} of the artifact's encoder, the others grown around them; local intrinsic dimension {before:.1f} before, {after:.1f} after. Index: "
    "{setting}, built in {seconds:.0f} s ({cpu:.0f} s of processor) with what was tried before it, on {threads} threads, {bytes:.1f} bytes a vector in memory beside {file} in a mapped file; "
    "ann_recall@{k} {recall:.3f} on {photos} photos it was not tuned on. Peak memory of the build {peak:.1f} GB. Load average {load_before:.1f} before, {load_after:.1f} after."
)
Step = Callable[[str], Any]  # a file in base64 -> what was found


@dataclass(frozen=True)
class Gallery:
    """vectors [n, dim] and the dimension before they were grown, and after; the index over them."""

    vectors: Vectors
    own: int
    before: float
    after: float
    choice: Choice
    seconds: float
    cpu: float  # seconds
    peak: float  # GB, of the process by then


def main() -> None:
    quick, load = "--quick" in sys.argv, os.getloadavg()[0]
    num = int(_said("--vectors", "20000" if quick else "1000000"))
    artifact = Registry(Path(_said("--home", "runs"))).open("visual_search")
    better = model.load(artifact.folder / "model", features.load(artifact.folder / "features"))
    config = Config(**artifact.manifest["config"])
    seeding.limit(seeding.num_threads())
    gallery = grown(better, num, config)
    seeding.limit(1)
    files = photos(8 if quick else PHOTOS)
    asked = np.concatenate([embedded(better, file) for file in files])
    truth = exact_neighbours(gallery.vectors, asked, K)
    recall = ann_recall(gallery.choice.index.search(asked, K)[0], truth)
    rows = side_by_side(better, gallery, files, 3 if quick else ROUNDS)
    dim = gallery.vectors.shape[1]
    notes = NOTES.format(
        side=PHOTO_SIDE, rounds=ROUNDS, vectors=num, dim=dim, own=gallery.own, before=gallery.before, after=gallery.after,
        setting=gallery.choice.setting, seconds=gallery.seconds, cpu=gallery.cpu, threads=seeding.num_threads(), k=K, recall=recall,
        bytes=gallery.choice.index.nbytes / num, file=4 * dim, photos=len(files), load_before=load, load_after=os.getloadavg()[0],
        peak=gallery.peak,
    )  # fmt: skip
    print(table(rows))
    print(notes)
    if not quick:
        print(write_result("images", rows, notes, seed=0))


def _said(option: str, otherwise: str) -> str:
    return sys.argv[sys.argv.index(option) + 1] if option in sys.argv else otherwise


def grown(better: model.Model, num: int, config: Config) -> Gallery:
    own = better.gallery.index.everything()[1]
    vectors, before, after = alike(own, num)
    begin, cpu = time.perf_counter(), time.process_time()
    choice = cheapest(
        np.arange(num), vectors, np.array(better.gallery.probes), config.recall, model.NEIGHBOURS * config.deadline_ms
    )
    spent = time.perf_counter() - begin, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Gallery(vectors, len(own), before, after, choice, *spent, peak)


def photos(num: int) -> list[str]:
    """Files as people would send them: of scenes of the world, larger than the case looks at."""
    from PIL import Image

    drawn = world.make(replace(SMOKE, num_images=40, num_searches=60, num_photos=num, side=PHOTO_SIDE)).photos.pixels
    files = []
    for pixels in drawn[:num]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        files.append(base64.b64encode(file.getvalue()).decode())
    return files


def embedded(better: model.Model, file: str) -> Vectors:
    """The served path from a file to its vector [1, dim]."""
    pixels = Images(unfolded(file, better.features.side)[None])
    one = np.zeros(1, np.int64)
    asked = Requests(user_id=one, photo=one, photos=pixels, event_time=one, moment=one)
    found: Vectors = better.asked(better.features.seen(asked), asked.text).query
    return found


def side_by_side(better: model.Model, gallery: Gallery, files: Sequence[str], rounds: int) -> list[Row]:
    index, flat = gallery.choice.index, faiss.IndexFlatIP(gallery.vectors.shape[1])
    flat.add(gallery.vectors)
    encode, some, their_scan = clip(), gallery.vectors[:1], scan(len(gallery.vectors))
    steps: dict[str, Step] = {
        "our encoder, scan": lambda file: flat.search(embedded(better, file), K),
        "CLIP ViT-B/32, float32, our index": lambda file: (encode(file), index.search(some, K)),
        THEIRS: lambda file: their_scan(encode(file)),
    }
    ours = clock(lambda file: index.search(embedded(better, file), K), files)
    rows: list[Row] = []
    for name, step in steps.items():
        ratio = paired_rounds(clock(step, files), ours, rounds)
        rows.append(
            {"path": name, "p50_ms": ratio.a, "times_ours": ratio.median, "times_ours_low": ratio.low, "times_ours_high": ratio.high}
        )  # fmt: skip
    own = [ours() for _ in range(rounds)]
    parts = {
        "encode_ms": clock(lambda file: embedded(better, file), files)(),
        "search_ms": clock(lambda _: index.search(some, K), files)(),
    }
    return [{"path": OURS, "p50_ms": float(np.median(own)), **parts}, *rows]


def clock(step: Step, files: Sequence[str]) -> Callable[[], float]:
    """-> a function that takes the next photos through, one at a time, and returns the median ms."""
    at = 0

    def measure() -> float:
        nonlocal at
        ms = []
        for _ in range(A_ROUND):
            file, at = files[at % len(files)], at + 1
            begin = time.perf_counter()
            step(file)
            ms.append((time.perf_counter() - begin) * 1e3)
        return float(np.median(ms))

    measure()  # the first call of a network costs many times the next
    return measure


def clip() -> Callable[[str], Vectors]:
    """Of the shape of openai/clip-vit-base-patch32, which is what CLIPConfig is by default; weights random."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    network, prepare = CLIPModel(CLIPConfig()).train(False), CLIPImageProcessorPil()

    def encode(file: str) -> Vectors:
        pixels = prepare(images=unfolded(file, THEIR_SIDE), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            found = network.get_image_features(pixel_values=pixels)
            vector = found if isinstance(found, torch.Tensor) else found.pooler_output
            unit: Vectors = torch.nn.functional.normalize(vector, dim=-1).numpy()
        return unit

    return encode


def scan(num: int) -> Callable[[Vectors], Any]:
    flat: Any = faiss.IndexFlatIP(THEIR_DIM)
    rng = np.random.default_rng(0)
    for at in range(0, num, 50_000):
        part = rng.standard_normal((min(50_000, num - at), THEIR_DIM), dtype=np.float32)
        flat.add(part / np.linalg.norm(part, axis=1, keepdims=True))
    return lambda query: flat.search(query, K)


if __name__ == "__main__":
    main()
