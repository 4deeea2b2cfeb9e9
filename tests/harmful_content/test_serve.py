"""Over HTTP: text, pictures, refusals, reasons; what is written in the log; and posts that nobody could judge."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from common.checks import Trial
from common.checks.trial import Running
from common.serving.deadline import Fault
from harmful_content import serve
from harmful_content.schema import ACTIONS, EXAMPLE, SIDE, Images
from harmful_content.serve.decode import GREY, picture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(trial: Trial) -> Running:
    return trial.served


def encoded(pixels: Any, kind: str = "PNG") -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind)
    return base64.b64encode(file.getvalue()).decode()


def noise(side: int = SIDE) -> Any:
    return np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)


def test_an_answer_names_action_policy_score_and_evidence(served: Running) -> None:
    answer = served.ask()
    assert answer["action"] in ACTIONS and answer["post_id"] == EXAMPLE["post_id"]
    assert set(answer["scores"]) == set(answer["scores"]) | {"violence", "spam"}
    assert answer["score"] == answer["scores"][answer["policy"]]
    *_, why = answer["why"]
    assert why["reason"] == answer["policy"] and why["effect"] == answer["score"] and why["evidence"]
    assert bool(answer["notice"]) == (answer["action"] in ("demote", "remove"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_alone_is_a_post(served: Running, kind: str) -> None:
    answer = served.ask(text="", image=encoded(noise(50), kind))
    assert answer["action"] in ACTIONS and answer["scores"] != served.ask()["scores"]


def test_the_first_picture_is_unfolded_before_anybody_sends_one(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first author with a picture waits for a library to be loaded, and their post for a person."""
    unfolded: list[str] = []

    def watched(sent: str) -> Images:
        unfolded.append(sent)
        return picture(sent)

    monkeypatch.setattr(serve, "picture", watched)
    with trial.apart("first picture") as started:
        assert unfolded == [GREY]
        started.ask(text="", image=encoded(noise()))
    assert len(unfolded) == 2
    assert picture(GREY).pixels.min() == picture(GREY).pixels.max() == 128


def bomb() -> str:
    """A PNG of 60,000 x 60,000 pixels in a few bytes: 10 GB, were it unfolded."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"\0" * 1_000)),
        chunk(b"IEND", b""),
    )
    return base64.b64encode(b"".join(parts)).decode()


@pytest.mark.parametrize(
    "image",
    ["no base64!", base64.b64encode(b"no picture").decode(), encoded(noise())[:200], bomb(), encoded(noise(), "GIF")],
    ids=["letters", "bytes", "half", "bomb", "another format"],
)
def test_what_is_no_picture_is_refused_and_nothing_is_logged(served: Running, image: str) -> None:
    end = served.platform.log.end
    answer = served.client.post(served.route, json={**EXAMPLE, "image": image})
    assert 400 <= answer.status_code < 500 and "image" in answer.text, answer.text
    assert served.platform.log.end == end


@pytest.mark.parametrize("changed", [{"text": ""}, {"text": "   "}, {"text": "x" * 5_001}, {"language": "en"}])
def test_a_post_of_nothing_or_of_too_much_is_refused(served: Running, changed: dict[str, Any]) -> None:
    assert served.client.post(served.route, json={**EXAMPLE, **changed}).status_code == 422


def test_what_nobody_could_judge_is_queued(served: Running) -> None:
    faults = served.service.stages.faults
    faults |= {"model": Fault("fail"), "baseline": Fault("fail")}
    try:
        answer = served.ask()
    finally:
        faults.clear()
    assert answer["action"] == "queue" and {"model", "baseline"} <= set(answer["degraded"])
    assert answer["policy"] == "" and answer["scores"] == {} and answer["why"][0]["reason"] == "fails closed"


def test_another_rung_or_an_unknown_language_goes_to_a_reviewer_and_it_is_said_why(served: Running) -> None:
    faults = served.service.stages.faults
    faults["model"] = Fault("fail")
    try:
        answer = served.ask()
    finally:
        faults.clear()
    assert answer["action"] == "queue" and "model did not answer" in [why["evidence"] for why in answer["why"]]
    answer = served.ask(categories={"language": "xx"})
    assert answer["action"] == "queue" and answer["why"][0]["evidence"] == "the language is unknown"


def test_an_impression_says_what_was_decided_and_counts_for_the_next_post(served: Running) -> None:
    end = served.platform.log.end
    answer = served.ask(user_id=1_234_567)
    assert any("author" in stage for stage in answer["degraded"])
    shown = served.impressions(end)
    assert shown.values["action"].tolist() == [ACTIONS.index(answer["action"])]
    assert shown.values["probability_ppm"][0] == round(1e6 * max(answer["scores"].values()))
    assert not any("author" in stage for stage in served.ask(user_id=1_234_567)["degraded"])


def test_without_the_store_words_and_pixels_are_judged(served: Running) -> None:
    with served.recorder.broken("open", "fail"):
        answer = served.ask()
    assert "store" in answer["degraded"] and answer["scores"]
