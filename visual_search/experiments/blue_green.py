"""A new encoder takes over while everybody asks: gallery and encoder change together, and what comes meanwhile is in both."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from common.contract import Experiment, Ints, Table
from common.data.pictures import unfolded
from common.errors import InputError
from common.lifecycle.items import ItemStore
from common.serving.current import ITEMS, VISIBLE_SECONDS, Current, Held
from common.serving.deadline import Deadline, Stages
from common.training import seeding
from visual_search.config import Config
from visual_search.experiments.trained import Trained, trained
from visual_search.features.album import encoded as as_jpeg
from visual_search.model import NEIGHBOURS, Model
from visual_search.model import gallery as galleries
from visual_search.model.parts import Encoder, Vectors
from visual_search.schema import Item, Pixels
from visual_search.serve import changed
from visual_search.serve.changed import Shelf

ASKERS, K = 2, 10
CHANGES = 40  # images that are put while green is built, and as many that go
BETWEEN = 0.3  # seconds between the two halves of a swap that is done by halves
ITEM = TypeAdapter(Item)
Known = tuple[Model, Shelf]
Ask = Callable[[Pixels], Ints]  # one picture -> the ids found


@dataclass(frozen=True)
class Turned:
    """Another encoder, as good as this one and with axes of its own: as one that is trained again has."""

    encoder: Encoder
    turn: Vectors

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def fingerprint(self) -> str:
        return self.encoder.fingerprint[::-1]

    def images(self, pixels: Pixels) -> Vectors:
        found: Vectors = self.encoder.images(pixels) @ self.turn
        return found

    def texts(self, texts: Any) -> Vectors:
        found: Vectors = self.encoder.texts(texts) @ self.turn
        return found

    def save(self, folder: Path) -> None:
        raise InputError(f"{folder}: an encoder of this experiment is not stored.")


@dataclass
class Seen:
    """What the askers of one way saw. `mixed`: a picture of the gallery that was asked with and not found, as nothing is near it where others' vectors lie."""

    ms: list[float] = field(default_factory=list)
    failed: int = 0
    mixed: int = 0
    deleted: int = 0


class Shop:
    """The served parts, without HTTP: changes go through an ItemStore; blue and green each take them in by a Current of their own."""

    def __init__(self, case: Trained, path: Path) -> None:
        self.case, self.store = case, ItemStore(path)
        self.stages = Stages({ITEMS: 10_000.0})
        catalog = case.dataset.catalog
        self.image_id, self.pixels = catalog.image_id, case.features.prepared(catalog.images.pixels)
        blue = self._current(case.model)
        self.live = blue  # encoder and gallery, which change in this one assignment
        self.halves = [blue, blue]  # encoder's, gallery's: for those who change them one after the other

    def _current(self, trained_model: Model) -> Current[Item, Known]:
        def follow(known: Known, changes: Mapping[int, Item | None]) -> Known:
            return changed.taken(trained_model, *known, changes, 2**40)

        return Current(self.store, Item, (trained_model, changed.empty(trained_model.features)), follow)

    def green(self) -> Current[Item, Known]:
        """Every image anew by another encoder, an index over that; then all that was put and deleted since training, as `Current` does on its start."""
        before = self.case.model
        dim = before.encoder.dim
        turn = np.linalg.qr(np.random.default_rng(7).standard_normal((dim, dim)))[0].astype(np.float32)
        encoder = Turned(before.encoder, turn)
        vectors = np.concatenate([encoder.images(self.pixels[at : at + 64]) for at in range(0, len(self.pixels), 64)])
        config = self.case.config
        gallery = galleries.build(
            encoder.fingerprint, self.image_id, vectors, vectors[::10], config.recall, NEIGHBOURS * config.deadline_ms
        )
        return self._current(replace(before, encoder=encoder, gallery=gallery))

    def together(self, pixels: Pixels) -> Ints:
        held = self._now(self.live)
        model = held.known[0]
        return self._left(held, model.gallery.search(model.encoder.fingerprint, model.encoder.images(pixels), K)[0][0])

    def halved(self, pixels: Pixels) -> Ints:
        """The foil: nobody asks whose vectors these are."""
        encoder, held = self._now(self.halves[0]).known[0].encoder, self._now(self.halves[1])
        return self._left(held, held.known[0].gallery.index.search(encoder.images(pixels), K)[0][0])

    def refused(self, pixels: Pixels) -> Ints:
        """The same, under the gallery's contract."""
        encoder, held = self._now(self.halves[0]).known[0].encoder, self._now(self.halves[1])
        found = held.known[0].gallery.search(encoder.fingerprint, encoder.images(pixels), K)[0]
        return self._left(held, found[0])

    def _left(self, held: Held[Known], ids: Ints) -> Ints:
        return ids[(ids >= 0) & ~held.gone(ids)]

    def _now(self, current: Current[Item, Known]) -> Held[Known]:
        return current.now(self.stages, Deadline(20_000.0))

    def swap(self, green: Current[Item, Known]) -> None:
        self.live = green
        self.halves[1] = green  # the index first
        time.sleep(BETWEEN)
        self.halves[0] = green

    def put(self, image_id: int, pixels: Pixels) -> Pixels:
        """-> what will be looked at of it: as it comes out of its file."""
        picture = base64.b64encode(as_jpeg(pixels)).decode()
        self.store.put({image_id: ITEM.dump_json(Item(image_id=image_id, image=picture, uploaded=0))}, 0)
        seen: Pixels = self.case.features.prepared(unfolded(picture, pixels.shape[1])[None])[0]
        return seen

    def lost(self, put: Mapping[int, Pixels]) -> int:
        """Images put that the gallery in charge does not find by themselves."""
        return sum(image_id not in self.together(pixels[None]) for image_id, pixels in put.items())


def blue_green(config: Config) -> Table:
    """Can a new encoder take over while people search, without one failed or senseless answer?

    A row is a way to swap, asked all the while by threads with the gallery's own pictures: what does not find itself was answered by a mixture.
    Meanwhile images are put and deleted: `missed`: those put that green does not find afterwards; `deleted_found`: answers that
    showed what had been deleted before they were asked. Foil: the index first, the encoder a moment later, as two deployments would; then the
    same under the fingerprint, which makes errors of the senseless answers. `build_s`: embedding everything anew and the index over it. Decides that an
    artifact holds encoder and gallery, and a server swaps artifacts (common/serving/app.py: Server.add)."""
    case = trained(config)
    seeding.limit(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _swapped(Shop(case, Path(folder) / "items.sqlite"))
    finally:
        seeding.limit(seeding.num_threads())


def _swapped(shop: Shop) -> Table:
    ways: dict[str, tuple[Ask, int]] = {
        "together": (shop.together, ASKERS),
        "index before encoder (foil)": (shop.halved, 1),
        "index before encoder, refused": (shop.refused, 1),
    }
    seen, over, gone = {name: Seen() for name in ways}, threading.Event(), set[int]()
    threads = [
        threading.Thread(target=_ask, args=(shop, ask, seen[name], over, gone, seed), daemon=True)
        for name, (ask, num) in ways.items()
        for seed in range(num)
    ]
    for thread in threads:
        thread.start()
    put, deleting, seen_as = _arrivals(shop), iter(shop.image_id[1::2].tolist()), dict[int, Pixels]()
    built: list[Any] = []
    begin = time.perf_counter()
    builder = threading.Thread(target=lambda: built.append(shop.green()))
    builder.start()
    for image_id, pixels in put.items():
        seen_as[image_id] = shop.put(image_id, pixels)
        going = next(deleting)
        shop.store.delete([going], 0)
        gone.add(going)
        builder.join(0.05)
    builder.join()
    seconds = time.perf_counter() - begin
    shop.swap(built[0])
    time.sleep(BETWEEN)
    over.set()
    for thread in threads:
        thread.join()
    missed = _missed(shop, seen_as)
    shop.store.close()
    return [_row(name, one, missed, seconds) for name, one in seen.items()]


def _arrivals(shop: Shop) -> dict[int, Pixels]:
    """Pictures of the gallery from right to left, as new ones."""
    first = int(shop.image_id.max()) + 1
    raw = shop.case.dataset.catalog.images.pixels[:CHANGES, :, ::-1]
    return dict(zip(range(first, first + CHANGES), raw, strict=False))


def _missed(shop: Shop, put: Mapping[int, Pixels]) -> int:
    """After what is promised of a put."""
    until = time.perf_counter() + VISIBLE_SECONDS
    while (missed := shop.lost(put)) and time.perf_counter() < until:
        time.sleep(0.1)
    return missed


def _ask(shop: Shop, ask: Ask, seen: Seen, over: threading.Event, gone: set[int], seed: int) -> None:
    """Images that stay, one after the other."""
    rng = np.random.default_rng(seed)
    while not over.is_set():
        at = 2 * int(rng.integers(0, len(shop.image_id) // 2))
        before, begin = set(gone), time.perf_counter()
        try:
            found = ask(shop.pixels[at : at + 1])
        except InputError:
            seen.failed += 1
            continue
        seen.ms.append((time.perf_counter() - begin) * 1e3)
        seen.mixed += int(shop.image_id[at] not in found)
        seen.deleted += bool(before & set(found.tolist()))


def _row(name: str, seen: Seen, missed: int, seconds: float) -> dict[str, Any]:
    return {
        "swap": name, "queries": len(seen.ms) + seen.failed, "failed": seen.failed, "mixed": seen.mixed, "deleted_found": seen.deleted,
        "missed": missed, "p50_ms": float(np.median(seen.ms)), "p99_ms": float(np.quantile(seen.ms, 0.99)), "build_s": seconds,
    }  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"blue_green": blue_green}
