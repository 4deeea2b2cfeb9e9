"""Searchers from outside: requests that a server takes, reactions to whatever is shown, drifts that can be seen from outside."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from common.contract import Event, Floats, Timings
from common.errors import InputError
from visual_search import simulate, world
from visual_search.config import SMOKE
from visual_search.schema import SHOWN, Answer, Item, Request, ShownImage
from visual_search.world import likeness, painting, scenes, things

DAY = 86_400
SINCE = world.START + SMOKE.days * DAY
CONFIG = replace(SMOKE, num_searches=1_400)  # a hundred a day
GALLERY = things.pictures(CONFIG.seed, np.arange(CONFIG.num_images), CONFIG.days)


def visits(days: int = 1, drift: str = "none") -> list[simulate.Visit]:
    return list(simulate.visits(replace(CONFIG, drift=drift), SINCE, SINCE + days * DAY))


def answer(ids: Sequence[int], request_id: int = 1) -> Answer:
    shown = [
        ShownImage(image_id=image, owner_id=image // 20, slot=slot, text="", score=0.5, thumbnail="")
        for slot, image in enumerate(ids)
    ]
    return Answer(
        request_id=request_id, model_version="m", degraded=[], timings_ms=Timings(total=1.0, stages=[]), why=[], crop=[], images=shown
    )  # fmt: skip


def best(visit: simulate.Visit) -> list[int]:
    grades = likeness.grades(visit.asked.wanted, GALLERY.thing)
    return [int(image) for image in np.argsort(-grades)[:10]]


def photo(request: Request) -> Floats:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(request.image))).convert("RGB"), float)


def test_visits_come_in_order_and_only_in_their_stretch() -> None:
    for since, until in ((SINCE, SINCE + 2 * DAY), (SINCE + 777, SINCE + 777 + 9_000)):
        times = [visit.event_time for visit in simulate.visits(CONFIG, since, until)]
        assert times == sorted(times) and since <= times[0] and times[-1] < until
    assert 150 < len(visits(2)) < 260


def test_a_request_is_one_the_server_takes() -> None:
    adapter, kinds = TypeAdapter(Request), set()
    for visit in visits():
        request = adapter.validate_json(json.dumps(asdict(visit.request())))
        kinds.add((bool(request.image), request.image_id is not None, bool(request.text), request.crop is not None))
        if request.image:
            assert photo(request).shape == (SMOKE.side, SMOKE.side, 3)
    assert kinds == {
        (True, False, False, False), (True, False, False, True), (True, False, True, False), (False, True, False, False),
        (False, False, True, False),
    }  # fmt: skip


def test_the_same_again_is_the_same() -> None:
    one, two = ([(visit.request(), visit.react(answer(range(10)))) for visit in visits()[:30]] for _ in range(2))
    assert one == two and len({request.image for request, _ in one if request.image}) > 10, "every photo is a new one"


def test_what_is_alike_is_clicked_and_what_is_not_is_not() -> None:
    some = visits(2)
    good = sum(len(visit.react(answer(best(visit)))) for visit in some)
    rng = np.random.default_rng(0)
    poor = sum(len(visit.react(answer(rng.integers(0, 600, 10).tolist()))) for visit in some)
    assert good > 4 * poor > 0
    assert visits()[0].react(answer([])) == []


def test_a_click_is_an_event_of_the_case() -> None:
    events: list[Event] = [
        event for visit in visits(2) for event in visit.react(answer(best(visit), visit.seed % 10_000))
    ]
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        assert event.kind == "click" and set(event.keys) == set(SHOWN) and event.values["dwell_seconds"] >= 1
        assert event.keys["owner_id"] == event.keys["image_id"] // 20


def test_who_finds_nothing_comes_back_less() -> None:
    def came(good: bool) -> int:
        num = 0
        for visit in simulate.visits(replace(CONFIG, num_users=25), SINCE, SINCE + 3 * DAY):
            num += 1
            visit.react(answer(best(visit) if good else []))
        return num

    assert came(True) > 1.08 * came(False)


@pytest.fixture(scope="module")
def usual() -> float:
    """Clicks a visit, of the best there is."""
    some = visits(2)
    return sum(len(visit.react(answer(best(visit)))) for visit in some) / len(some)


@pytest.mark.parametrize("drift", sorted(simulate.DRIFTS))
def test_each_drift_is_what_it_says(drift: str, usual: float) -> None:
    some = visits(2, drift)
    requests = [visit.request() for visit in some[:50]]
    light = np.mean([photo(request).mean() for request in requests if request.image])
    words = np.mean([not request.image and request.image_id is None for request in requests])
    kites = np.mean([visit.asked.wanted.shape[0] == things.NEW_SHAPE for visit in some if visit.scene])
    clicks = sum(len(visit.react(answer(best(visit)))) for visit in some) / len(some)
    assert (light < 70) == (drift == "dark_photos") and (words > 0.6) == (drift == "more_words")
    assert (kites > 0.35) == (drift == "new_style")
    assert (clicks < 0.5 * usual) == (drift == "clicks_lost")


def test_an_unknown_drift_is_refused() -> None:
    with pytest.raises(InputError, match="dark_photos"):
        next(simulate.visits(replace(CONFIG, drift="dark_fotos"), SINCE, SINCE + DAY))


def test_uploads_go_on_where_the_gallery_ends() -> None:
    adapter = TypeAdapter(Item)
    came = list(simulate.uploads(CONFIG, SINCE, SINCE + 3 * DAY))
    when, items = [time for time, _ in came], [adapter.validate_json(json.dumps(asdict(item))) for _, item in came]
    assert when == sorted(when) and when[0] >= SINCE and when[-1] < SINCE + 3 * DAY and len(came) > 20
    ids = [item.image_id for item in items]
    assert ids == list(range(ids[0], ids[0] + len(ids))) and ids[0] >= CONFIG.num_images
    first = next(iter(simulate.uploads(CONFIG, 0, SINCE)))
    assert first[1].image_id == CONFIG.num_images
    again = dict((item.image_id, item) for _, item in simulate.uploads(CONFIG, SINCE + DAY, SINCE + 2 * DAY))
    assert all(again[item.image_id] == item for item in items if item.image_id in again) and len(again) > 5
    of = things.pictures(0, np.array(ids[:5]), CONFIG.days)
    drawn = painting.draw(0, scenes.gallery(0, of, CONFIG.clutter), CONFIG.side)
    for item, pixels in zip(items, drawn, strict=False):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(item.image)))), pixels)
