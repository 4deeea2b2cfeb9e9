"""The index under way: measured again while it changes, and handed over to another encoder's while everybody asks. Over HTTP."""

from __future__ import annotations

import base64
import io
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from common.checks import Trial
from common.data.pictures import unfolded
from common.lifecycle.registry import Artifact
from common.serving.app import Served
from common.serving.items import kind_of
from visual_search import model, schema, serve
from visual_search.features.album import encoded as as_jpeg
from visual_search.model import Model, joint
from visual_search.model import gallery as galleries
from visual_search.model.gallery import ARRIVALS, QUERIES, Gallery
from visual_search.model.index import served as index_served
from visual_search.model.index.served import Served as Rows
from visual_search.model.index.settings import IVF, Setting, append, make
from visual_search.schema import Images, Requests
from visual_search.serve import watched

pytestmark = pytest.mark.slow
FIRST = 1_500_000_000  # ids of what is put here


def picture(seed: int) -> str:
    """A square in front of a ground, in colours by lot: base64 of a PNG."""
    rng, out = np.random.default_rng([2, seed]), io.BytesIO()
    drawn = Image.new("RGB", (48, 48), tuple(rng.integers(0, 256, 3).tolist()))
    drawn.paste(tuple(rng.integers(0, 256, 3).tolist()), (12, 12, 36, 36))
    drawn.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def put(client: Any, first: int, num: int, seed: int = 0) -> None:
    items = [{"image_id": first + at, "image": picture(seed + at), "uploaded": 1} for at in range(num)]
    answer = client.request("PUT", "/visual_search/items", json={"items": items})
    assert answer.status_code == 200, answer.text


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def copied(artifact: Artifact, folder: Path, version: str) -> Artifact:
    shutil.copytree(artifact.folder, folder)
    return replace(artifact, folder=folder, version=version)


def added(running: Any, artifact: Artifact) -> Any:
    """Another artifact started beside the one that answers, and swapped in; -> its service."""
    service = serve.start(artifact, running.platform)
    running.server.add(
        Served(
            name="visual_search", service=service, platform=running.platform, events=schema.EVENTS,
            version=artifact.version, example=schema.EXAMPLE, item=kind_of(schema),
        )
    )  # fmt: skip
    return service


# ------------------------------------------------------------------------------------------------------------ the alarm


def cut_for_others(gallery: Gallery) -> tuple[Gallery, Gallery]:
    """-> with lists cut for images that differed in three directions alone, and measured on them; and with the same kind of lists cut for its own images.
    Both then hold the same."""
    ids, vectors = gallery.index.everything()
    axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:3]
    flat = vectors @ axes.T @ axes
    flat = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
    setting = Setting(kind=IVF, lists=8, probes=5)
    was, own = (
        galleries.watched(gallery.fingerprint, Rows(setting, ids, of, make(setting, of)), of[::3])
        for of in (flat, np.ascontiguousarray(vectors))
    )
    lists = was.index.base
    lists.reset()  # of images, not of centres
    append(lists, np.ascontiguousarray(vectors), first=0)
    return replace(was, index=Rows(setting, ids, vectors, lists), probes=vectors[::3]), own


@contextmanager
def merged_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What comes moves into the lists at once, as on a gallery of thousands it does after LATE."""
    with monkeypatch.context() as patched:
        patched.setattr(index_served, "LATE", 5)
        yield


@pytest.mark.parametrize("is_stale", [True, False])
def test_lists_cut_for_others_are_told_and_healthy_ones_are_not(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_stale: bool
) -> None:
    num = len(trial.dataset.catalog)
    with merged_soon(monkeypatch), trial.apart(f"watched-{is_stale}") as running, caplog.at_level(logging.WARNING):
        gallery = cut_for_others(trial.part("model").gallery)[0 if is_stale else 1]
        artifact = copied(trial.artifact, tmp_path / "artifact", "lists")
        gallery.save(artifact.folder / "model" / "gallery")
        added(running, artifact)

        def index() -> dict[str, Any]:
            answer = running.client.get(watched.PATH)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        before = index()
        assert (
            before["model_version"] == "lists"
            and before["kind"] == IVF
            and before["knobs"] == {"lists": 8, "probes": 5}
        )
        assert before["images"] == num and before["bytes"] > 0 and before["removed"] == 0
        assert before["recall_built"] == before["recall_measured"] == gallery.built
        assert not before["alerts"] and not before["changes_since"], "nobody has looked yet"
        few = int(watched.OFTEN * num) - 1
        put(running.client, FIRST, few)
        until(lambda: index()["images"] == num + few)
        assert index()["changes_since"] == few and not index()["alerts"] and not caplog.records
        running.client.request("DELETE", "/visual_search/items", json={"ids": [0, 1, 2, 3]})
        until(lambda: index()["images"] == num + few - 4)
        after = index()
        assert after["changes_since"] == 0
        assert after["recall_measured"] != after["recall_built"]
        names = {alert["name"] for alert in after["alerts"]}
        assert names == ({f"ann_recall@100.{name}" for name in (QUERIES, ARRIVALS)} if is_stale else set())
        assert all({"value", "expected", "means", "action"} <= set(alert) for alert in after["alerts"])
        warned = [record.getMessage() for record in caplog.records if record.name == watched.__name__]
        assert len(warned) == len(names) and all(any(text.startswith(name) for text in warned) for name in names)


def test_the_index_is_in_the_description_of_the_api(trial: Trial) -> None:
    described = trial.served.client.get("/openapi.json").json()
    answer = described["paths"][watched.PATH]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    fields = described["components"]["schemas"][answer["$ref"].rsplit("/", 1)[-1]]["properties"]
    assert set(fields) == set(trial.served.client.get(watched.PATH).json())


# ------------------------------------------------------------------------------------------------------- blue and green


def another_encoder(trial: Trial, folder: Path) -> Artifact:
    """All that was published, with another encoder (trained again, outlines count for more), and every image embedded with it: what a new training gives."""
    artifact, old = copied(trial.artifact, folder, "green"), trial.part("model")
    ready = model.prepared(trial.dataset, old.features)
    encoder = joint.fit(ready, replace(trial.config, seed=5, edges=0.9))
    ids, vectors = ready.catalog.image_id, encoder.images(ready.catalog.images.pixels)
    gallery = galleries.build(encoder.fingerprint, ids, vectors, vectors[:0], 0.9, 1e6)
    shutil.rmtree(artifact.folder / "model")
    (artifact.folder / "model").mkdir()
    replace(old, encoder=encoder, gallery=gallery).save(artifact.folder / "model")
    return artifact


@dataclass
class Heard:
    """By one who asks again and again: the status of each answer; of those that came, the photo asked with, the answer, and what was deleted before."""

    statuses: list[int] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any], set[int]]] = field(default_factory=list)

    def good(self, version: str) -> list[tuple[int, dict[str, Any], set[int]]]:
        """Those of this version to which every stage came in time."""
        return [one for one in self.answers if one[1]["model_version"] == version and not one[1]["degraded"]]


def asks(running: Any, photos: list[str], heard: Heard, gone: set[int], over: threading.Event) -> None:
    client = TestClient(running.server.app, raise_server_exceptions=False)
    while not over.is_set():
        photo, before = len(heard.statuses) % len(photos), set(gone)
        answer = client.post(serve.ROUTE, json=body(photos[photo]))
        heard.statuses.append(answer.status_code)
        if answer.status_code == 200:
            heard.answers.append((photo, answer.json(), before))


def body(photo: str, user_id: int = 7) -> dict[str, Any]:
    return {"user_id": user_id, "image": photo, "crop": [0, 0, 1, 1]}


def likeness(of: Model, photos: list[str]) -> Mapping[tuple[int, int], float]:
    """(photo, image) -> the cosine that this encoder and this gallery give them, offline."""
    pixels = np.stack([unfolded(photo, of.features.side) for photo in photos])
    none = np.zeros(len(photos), np.int64)
    asked = Requests(
        user_id=none, photo=np.arange(len(photos)), photos=Images(pixels), event_time=none, moment=none,
        crop=np.tile(np.array([0, 0, 1, 1], np.float32), (len(photos), 1)),
    )  # fmt: skip
    near = of.asked(of.features.seen(asked), asked.text).photo @ of.held.T
    ids = of.features.pictures.image_id.tolist()
    return {(photo, image): float(near[photo, at]) for photo in range(len(photos)) for at, image in enumerate(ids)}


def furthest(answer: dict[str, Any], photo: int, near: Mapping[tuple[int, int], float]) -> float:
    """How far what an answer says of likeness lies from these cosines, at most."""
    said = {why["item"]: why["effect"] for why in answer["why"] if why["reason"] == "similarity"}
    apart: float = max(abs(effect - near[photo, item]) for item, effect in said.items() if item < FIRST)
    return apart


def test_a_new_encoder_takes_over_while_people_ask_put_and_delete(trial: Trial, tmp_path: Path) -> None:
    """None fails. Each answer is one artifact's, the one it names: its likenesses are those of that encoder and that gallery, and of no other."""
    catalog, blue, green = trial.dataset.catalog, trial.artifact, another_encoder(trial, tmp_path / "green")
    photos = [base64.b64encode(as_jpeg(catalog.images.pixels[at])).decode() for at in range(0, 60, 5)]
    going = catalog.image_id[(catalog.explicit == 0) & (catalog.private == 0)][::2][:12].tolist()
    heard, gone, over = [Heard(), Heard()], set[int](), threading.Event()

    def enough(version: str) -> None:
        until(lambda: all(len(one.good(version)) >= 5 for one in heard), 60)

    with trial.apart("blue-green") as running:
        threads = [threading.Thread(target=asks, args=(running, photos, one, gone, over), daemon=True) for one in heard]
        for thread in threads:
            thread.start()
        try:
            enough(blue.version)
            services: list[Any] = []
            swap = threading.Thread(target=lambda: services.append(added(running, green)), daemon=True)
            for at, image_id in enumerate(
                going
            ):  # some before green reads what there is, some while it starts, some after
                if at == 4:
                    swap.start()
                put(running.client, FIRST + at, 1, seed=at)
                deleted = running.client.request("DELETE", "/visual_search/items", json={"ids": [image_id]})
                assert deleted.status_code == 200
                gone.add(image_id)
            swap.join(60)
            assert services, "green did not start"
            enough(green.version)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        for at in range(len(going)):
            until(lambda at=at: FIRST + at in shown(running, picture(at), green.version))  # type: ignore[misc]
        for image_id in going:
            of = running.client.post(serve.ROUTE, json={"user_id": 7, "image_id": image_id})
            assert of.status_code == 422
            assert running.client.get(f"/visual_search/images/{image_id}.jpg").status_code == 404
    assert {status for one in heard for status in one.statuses} == {200}
    for one in heard:
        versions = [answer["model_version"] for _, answer, _ in one.answers]
        assert versions == sorted(versions, key=[blue.version, green.version].index), (
            "nobody is answered by blue after green"
        )
        assert not any(before & {image["image_id"] for image in answer["images"]} for _, answer, before in one.answers)
    near = {blue.version: likeness(trial.part("model"), photos)}
    near[green.version] = likeness(model.load(green.folder / "model", trial.part("features")), photos)
    for version, other in ((blue.version, green.version), (green.version, blue.version)):
        found = [one for heard_by in heard for one in heard_by.good(version)]
        assert max(furthest(answer, photo, near[version]) for photo, answer, _ in found) < 1e-4
        assert min(furthest(answer, photo, near[other]) for photo, answer, _ in found) > 1e-2, "the control"


def shown(running: Any, photo: str, version: str) -> list[int]:
    answer = running.client.post(serve.ROUTE, json=body(photo)).json()
    assert answer["model_version"] == version
    return [image["image_id"] for image in answer["images"]]
