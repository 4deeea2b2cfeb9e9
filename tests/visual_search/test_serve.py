"""Over HTTP: the rules hold whatever fails, every loss is labelled, an event changes the next answer to what the offline join gives."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.checks import Trial
from common.contract import Ranking
from common.features.asof import AsOfStore
from common.serving.deadline import Fault
from visual_search.policy import contexts
from visual_search.schema import EXAMPLE, ITEM, Images, Request, Requests
from visual_search.serve import SHARES, form

pytestmark = pytest.mark.slow
STAGES = tuple(SHARES)
BROKEN = [
    stage for stage in STAGES if stage not in ("words", "histogram")
]  # the last two: asked where there are words, and as a rung


def whole(trial: Trial, **request: Any) -> dict[str, Any]:
    """An answer to which every stage came in time: on a busy machine one may be late."""
    answers = (trial.served.ask(**request) for _ in range(50))
    found: dict[str, Any] = next(answer for answer in answers if not set(answer["degraded"]) & set(STAGES))
    return found


def asked_with_words(trial: Trial, text: str, **more: Any) -> dict[str, Any]:
    body = {"user_id": 1, "text": text, **more}
    answer = trial.served.client.post(trial.served.route, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[int]:
    return [image["image_id"] for image in answer["images"]]


def lawful(trial: Trial, answer: dict[str, Any], user_id: int) -> None:
    of, shown = (
        trial.dataset.catalog,
        np.array([one for one in ids(answer) if one < len(trial.dataset.catalog)], dtype=np.int64),
    )
    assert len(set(ids(answer))) == len(answer["images"])
    assert not of.explicit[shown].any() and ((of.private[shown] == 0) | (of.owner_id[shown] == user_id)).all()
    owners = [image["owner_id"] for image in answer["images"]]
    assert all(owners.count(owner) <= trial.config.owner_cap for owner in owners)


def settle(trial: Trial, stage: str) -> None:
    """A breaker that opened stays open for a second."""
    end = time.monotonic() + 3
    while stage in trial.served.ask()["degraded"]:
        assert time.monotonic() < end, f"{stage} does not recover"
        time.sleep(0.05)


@pytest.fixture
def vase() -> str:
    return str(EXAMPLE["image"])


@pytest.fixture
def clean(trial: Trial) -> Iterator[Trial]:
    """With what a test puts taken away again."""
    yield trial
    trial.served.client.request(
        "DELETE", "/visual_search/items", json={"ids": [ITEM["image_id"] + at for at in range(9)]}
    )


def test_a_page_is_full_lawful_and_explained(trial: Trial) -> None:
    for user_id in (1, 42):
        answer = whole(trial, user_id=user_id)
        lawful(trial, answer, user_id)
        assert len(answer["images"]) == trial.config.page_size and len(answer["crop"]) == 4
        reasons = {why["item"]: why["reason"] for why in answer["why"]}
        assert set(reasons) >= set(ids(answer))
        scores = [image["score"] for image in answer["images"]]
        assert scores == sorted(scores, reverse=True) and all(0 < score < 1 for score in scores)
    assert len(trial.served.ask(page_size=3)["images"]) == 3


def test_what_is_served_is_what_the_offline_track_says_of_the_same_request(trial: Trial) -> None:
    """The same photo, words and moment through the model and the rules that were trained."""
    from common.data.pictures import unfolded

    model, rules, served = trial.part("model"), trial.part("policy"), trial.served
    for text in ("", "in blue"):
        answer = whole(trial, text=text)
        log = served.logged()
        mine = log.keys["request_id"] == answer["request_id"]
        photo = unfolded(str(EXAMPLE["image"]), trial.config.side)
        asked = Requests(
            user_id=np.array([EXAMPLE["user_id"]]), photo=np.array([0]), photos=Images(photo[None]), text=np.array([text]),
            event_time=log.event_time[mine][:1], moment=log.moment[mine][:1],
        )  # fmt: skip
        store = AsOfStore(log)
        ranked = model.rerank(asked, model.retrieve(asked, trial.config.num_candidates, store), store)
        page = rules.apply(ranked, contexts(model.features, asked, ranked))
        assert page.ids[0].tolist() == ids(answer)
        assert np.allclose(page.scores[0], [image["score"] for image in answer["images"]])


def test_a_click_changes_the_next_answer_to_what_the_join_gives(trial: Trial) -> None:
    first = whole(trial)
    seen = first["images"][3]
    keys = {name: seen[name] for name in ("image_id", "owner_id")} | {"request_id": first["request_id"], "user_id": 42}
    trial.served.post(
        *({"event_id": f"c-{at}", "kind": "click", "keys": keys, "values": {"dwell_seconds": 9}} for at in range(30))
    )
    after = whole(trial)
    before, now = (
        next(image["score"] for image in answer["images"] if image["image_id"] == seen["image_id"])
        for answer in (first, after)
    )
    assert now > before, "thirty clicks raise it"
    clicks = [why for why in after["why"] if why["item"] == seen["image_id"] and why["reason"] == "clicks"]
    assert clicks and clicks[0]["effect"] > 0


def test_words_find_what_is_called_so_and_unknown_words_say_so(trial: Trial) -> None:
    word = str(trial.dataset.catalog.text[5]).split()[0]
    answer = asked_with_words(trial, word)
    lawful(trial, answer, 1)
    assert answer["crop"] == [] and any(word in image["text"] for image in answer["images"])
    lost = asked_with_words(trial, "qwertzuiop")
    assert "query" in lost["degraded"] and len(lost["images"]) == trial.config.page_size
    assert {why["stage"] for why in lost["why"] if why["stage"] != "rules"} == {"popular"}


def test_an_image_of_the_gallery_is_asked_with_and_is_no_answer(trial: Trial) -> None:
    of = trial.dataset.catalog
    public = int(of.image_id[(of.explicit == 0) & (of.private == 0)][3])
    answer = trial.served.client.post(trial.served.route, json={"user_id": 1, "image_id": public}).json()
    assert public not in ids(answer) and len(answer["images"]) == trial.config.page_size
    logged = trial.served.logged()
    mine = logged.keys["request_id"] == answer["request_id"]
    assert set(logged.keys["query_id"][mine].tolist()) == {public}


def test_what_may_not_be_seen_may_not_be_asked_with_and_has_no_thumbnail(trial: Trial) -> None:
    of, client = trial.dataset.catalog, trial.served.client
    private, explicit = (int(of.image_id[column > 0][0]) for column in (of.private, of.explicit))
    owner = int(of.owner_id[of.find(private) if hasattr(of, "find") else np.searchsorted(of.image_id, private)])
    stranger = owner + 1
    for image_id in (private, explicit, 10**9 + 77):
        refused = client.post(trial.served.route, json={"user_id": stranger, "image_id": image_id})
        assert refused.status_code == 422 and "no such image" in refused.json()["error"]["why"]
        assert client.get(f"/visual_search/images/{image_id}.jpg?user_id={stranger}").status_code == 404
    assert client.post(trial.served.route, json={"user_id": owner, "image_id": private}).status_code == 200
    shown = client.get(f"/visual_search/images/{private}.jpg?user_id={owner}")
    assert shown.status_code == 200 and shown.headers["content-type"] == "image/jpeg"


def test_every_image_shown_has_the_thumbnail_it_names(trial: Trial) -> None:
    for image in trial.served.ask()["images"]:
        got = trial.served.client.get(image["thumbnail"])
        assert got.status_code == 200
        with Image.open(io.BytesIO(got.content)) as picture:
            assert picture.size == (trial.config.side, trial.config.side)
    for path in ("-5", "abc", str(2**40)):
        assert trial.served.client.get(f"/visual_search/images/{path}.jpg").status_code in (404, 422)


def test_what_can_be_bought_is_all_that_is_shown_to_who_would_buy(trial: Trial) -> None:
    answer = whole(trial, shop_only=True)
    assert answer["images"] and all(trial.dataset.catalog.shop[one] == 1 for one in ids(answer))


def test_a_crop_is_searched_with_as_it_was_marked(trial: Trial) -> None:
    marked = [0.25, 0.1, 0.75, 0.9]
    answer = whole(trial, crop=marked)
    assert answer["crop"] == marked and "marked part" in str(answer["why"])
    for wrong in ([0.5, 0, 0.2, 1], [0, 0, 1], [0, 0, 1, 2]):
        assert trial.served.client.post(trial.served.route, json={**EXAMPLE, "crop": wrong}).status_code == 422


# ------------------------------------------------------------------------------------------------------------------ the form


def post_form(trial: Trial, files: dict[str, Any], **fields: str) -> Any:
    return trial.served.client.post(trial.served.route, data=fields, files=files)


def test_a_form_with_a_file_is_answered_as_the_same_json(trial: Trial, vase: str) -> None:
    file = {"image": ("vase.png", base64.b64decode(vase), "image/png")}
    by_form = post_form(trial, file, user_id="42", crop="[0.1, 0.1, 0.9, 0.9]", page_size="5", text="123")
    assert by_form.status_code == 200, by_form.text
    by_json = whole(trial, crop=[0.1, 0.1, 0.9, 0.9], page_size=5, text="123")
    assert ids(by_form.json()) == ids(by_json) and by_form.json()["crop"] == by_json["crop"]


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ({"image": ("a.png", b"no picture at all", "image/png")}, {"user_id": "1"}, 422),
        ({"image": ("a.png", b"", "image/png")}, {"user_id": "1"}, 422),
        ({"photo": ("a.png", b"x", "image/png")}, {"user_id": "1"}, 422),
        ({"image": ("a.png", b"x", "image/png")}, {"user_id": "one"}, 422),
        ({"image": ("a.png", b"x" * 1_100_000, "image/png")}, {"user_id": "1"}, 413),
        ({"user_id": ("a.txt", b"1", "text/plain")}, {"text": "red"}, 422),
        ({"image": ("a.png", b"x", "image/png"), "other": ("b.png", b"y", "image/png")}, {"user_id": "1"}, 400),
    ],
)
def test_a_form_that_is_wrong_is_refused_and_nothing_is_logged(
    trial: Trial, files: Any, fields: dict[str, str], status: int
) -> None:
    end = trial.served.platform.log.end
    answer = post_form(trial, files, **fields)
    assert answer.status_code == status and set(answer.json()["error"]) >= {"what", "why", "next"}, answer.text
    assert trial.served.platform.log.end == end


def test_the_description_of_the_api_names_both_ways_and_holds_together(trial: Trial) -> None:
    described = trial.served.client.get("/openapi.json").json()
    body = described["paths"][trial.served.route]["post"]["requestBody"]["content"]
    assert set(body) == set(form.KINDS)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert named <= set(described["components"]["schemas"])


def test_a_torn_form_and_a_field_twice_are_refused(trial: Trial) -> None:
    kind = {"content-type": f"{form.MULTIPART}; boundary=x"}
    part = b'--x\r\ncontent-disposition: form-data; name="user_id"\r\n\r\n1\r\n'
    for body in (b"--x\r\ncontent-disp", b"", part, part + part + b"--x--\r\n"):
        answer = trial.served.client.post(trial.served.route, content=body, headers=kind)
        assert 400 <= answer.status_code < 500, (body, answer.text)
    assert (
        trial.served.client.post(trial.served.route, content=b"a=1", headers={"content-type": "text/plain"}).status_code
        == 422
    )


# -------------------------------------------------------------------------------------------------------- what may come in


def test_a_crafted_picture_is_refused_at_once(trial: Trial) -> None:
    from tests.common.data.test_pictures import REFUSED

    for what, (_, text) in REFUSED.items():
        if not text:
            continue
        began = time.perf_counter()
        answer = trial.served.client.post(trial.served.route, json={"user_id": 1, "image": text})
        assert answer.status_code == 422 and answer.json()["error"]["why"].startswith("image: "), what
        assert time.perf_counter() - began < 1.0, what
    settle(trial, "decode")


def test_a_refused_picture_opens_no_breaker_for_others(trial: Trial) -> None:
    for _ in range(12):
        assert trial.served.client.post(trial.served.route, json={"user_id": 1, "image": "bm8="}).status_code == 422
    assert "decode" not in whole(trial)["degraded"]


# ------------------------------------------------------------------------------------------------------ what breaks


@pytest.mark.parametrize("kind", ["slow", "fail", "hang"])
@pytest.mark.parametrize("stage", BROKEN)
def test_whatever_breaks_the_answer_is_labelled_lawful_and_in_time(trial: Trial, stage: str, kind: str) -> None:
    served = trial.served
    served.service.stages.faults[stage] = Fault(kind, ms=500.0)
    try:
        answer = served.ask()
    finally:
        del served.service.stages.faults[stage]
    assert stage in answer["degraded"] and answer["timings_ms"]["total"] <= trial.config.deadline_ms
    lawful(trial, answer, 42)
    assert len(answer["images"]) == trial.config.page_size, "whatever breaks, there is a page"
    settle(trial, stage)


def test_without_encoder_or_index_it_is_the_baselines_page_and_without_that_the_most_clicked(trial: Trial) -> None:
    faults, part = trial.served.service.stages.faults, trial.part("baseline")
    for stage in ("encode", "neighbours"):
        faults[stage] = Fault("fail")
        try:
            answer = trial.served.ask()
        finally:
            del faults[stage]
        assert {why["stage"] for why in answer["why"] if why["stage"] != "rules"} == {"histogram"}
        settle(trial, stage)
    from common.data.pictures import unfolded

    photo = unfolded(str(EXAMPLE["image"]), trial.config.side)
    asked = Requests(
        user_id=np.array([42]), photo=np.array([0]), photos=Images(photo[None]), event_time=np.zeros(1, np.int64), moment=np.zeros(1, np.int64)
    )  # fmt: skip
    ranking: Ranking = part.retrieve(asked, trial.config.num_candidates, AsOfStore(trial.served.logged()))
    page = trial.part("policy").apply(ranking, contexts(part.features, asked, ranking))
    assert ids(answer) == page.ids[0].tolist()
    faults |= {"encode": Fault("fail"), "histogram": Fault("fail")}
    try:
        last = trial.served.ask()
    finally:
        faults.clear()
    assert "candidates" in last["degraded"] and {why["stage"] for why in last["why"] if why["stage"] != "rules"} == {
        "popular"
    }
    lawful(trial, last, 42)
    settle(trial, "encode")


def test_words_that_come_too_late_cost_what_only_they_would_have_found(trial: Trial) -> None:
    trial.served.service.stages.faults["words"] = Fault("fail")
    try:
        answer = asked_with_words(trial, "red vase", image=EXAMPLE["image"])
    finally:
        del trial.served.service.stages.faults["words"]
    assert answer["degraded"] == ["words"] and len(answer["images"]) == trial.config.page_size


def test_a_photo_that_is_not_unfolded_in_time_is_said_and_never_guessed(trial: Trial) -> None:
    trial.served.service.stages.faults["decode"] = Fault("fail")
    try:
        answer = trial.served.ask()
    finally:
        del trial.served.service.stages.faults["decode"]
    assert {"decode", "query"} <= set(answer["degraded"]) and answer["crop"] == []
    settle(trial, "decode")


# ------------------------------------------------------------------------------------------------------------- items


def put(trial: Trial, *items: dict[str, Any]) -> Any:
    return trial.served.client.request("PUT", "/visual_search/items", json={"items": list(items)})


def until(holds: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "not within five seconds"
        time.sleep(0.05)


def test_an_image_put_is_found_shown_and_gone_when_deleted(clean: Trial) -> None:
    new, client = int(ITEM["image_id"]), clean.served.client
    assert put(clean, dict(ITEM)).status_code == 200
    until(lambda: new in ids(clean.served.ask()))
    assert ids(whole(clean))[0] == new, "the very picture"
    assert client.get(f"/visual_search/images/{new}.jpg").status_code == 200
    assert client.post(clean.served.route, json={"user_id": 1, "image_id": new}).status_code == 200
    client.request("DELETE", "/visual_search/items", json={"ids": [new]})
    assert new not in ids(clean.served.ask()) and client.get(f"/visual_search/images/{new}.jpg").status_code == 404
    assert client.post(clean.served.route, json={"user_id": 1, "image_id": new}).status_code == 422


def test_of_a_put_image_it_holds_who_may_see_it(clean: Trial) -> None:
    new = int(ITEM["image_id"])
    for said, sees in (({"private": True}, False), ({"explicit": True}, False), ({}, True)):
        put(clean, {**ITEM, "image_id": new + 1, **said}, {**ITEM, "image_id": new + 2})
        until(lambda: new + 2 in ids(clean.served.ask()))
        assert (new + 1 in ids(whole(clean))) is sees, said
    assert new + 1 in ids(whole(clean, user_id=int(ITEM["owner_id"])))


def test_of_copies_put_later_one_is_shown(clean: Trial) -> None:
    new, mine = int(ITEM["image_id"]), 2**51 - 1
    for other, num in ((mine ^ 0b101, 1), (mine ^ 0b11111, 2)):  # a copy, and the control
        put(
            clean,
            {**ITEM, "image_id": new + 6, "fingerprint": mine},
            {**ITEM, "image_id": new + 7, "fingerprint": other},
        )
        clean.served.service.current.catch_up()
        assert len({new + 6, new + 7} & set(ids(whole(clean)))) == num
    for wrong in (-1, 2**52, 1.5):
        assert put(clean, {**ITEM, "fingerprint": wrong}).status_code == 422


def test_a_file_that_is_no_picture_is_refused_and_one_that_turns_out_torn_is_left_out(clean: Trial, vase: str) -> None:
    new, version = int(ITEM["image_id"]), clean.served.platform.items.look().version
    for wrong in ("", "no picture", base64.b64encode(b"GIF89a").decode()):
        answer = put(clean, dict(ITEM), {**ITEM, "image_id": new + 1, "image": wrong})
        assert answer.status_code == 422 and "items.1" in answer.json()["error"]["why"], answer.text
    assert clean.served.platform.items.look().version == version, "a batch is refused whole"
    torn = base64.b64encode(base64.b64decode(vase)[:150]).decode()
    assert put(clean, {**ITEM, "image_id": new + 3, "image": torn}, {**ITEM, "image_id": new + 4}).status_code == 200
    until(lambda: new + 4 in ids(clean.served.ask()))
    assert (
        new + 3 not in ids(whole(clean))
        and clean.served.client.get(f"/visual_search/images/{new + 3}.jpg").status_code == 404
    )


def test_a_service_of_before_goes_on_with_what_it_knows(clean: Trial) -> None:
    """Whoever answers while images change answers from one gallery, from first to last."""
    service, new = clean.served.service, int(ITEM["image_id"])
    service.current.catch_up()  # what other tests deleted
    before = service.current._built.known
    num = len(before.model.gallery)
    put(clean, {**ITEM, "image_id": new + 5})
    until(lambda: new + 5 in ids(clean.served.ask()))
    after = service.current._built.known
    assert after is not before and len(before.model.gallery) == num and len(before.model.held) == num
    assert len(after.model.gallery) == len(after.model.held) == len(after.features.pictures) == num + 1
    assert np.array_equal(np.sort(after.model.gallery.index.everything()[0]), after.features.pictures.image_id)


def test_a_request_is_refused_for_two_photos_or_nothing(trial: Trial, vase: str) -> None:
    for body in ({"user_id": 1}, {"user_id": 1, "text": "  "}, {"user_id": 1, "image": vase, "image_id": 3}):
        assert trial.served.client.post(trial.served.route, json=body).status_code == 422
    assert replace(Request(user_id=1, text="a"), page_size=50).page_size == 50
