"""Over HTTP: whatever breaks, nothing passes that was not judged whole; batches; what people decided stands."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.checks import Trial
from common.serving.deadline import Fault
from harmful_content.schema import EXAMPLE, POLICIES
from harmful_content.serve import ROUTE, SHARES

pytestmark = pytest.mark.slow
HARMLESS = {**EXAMPLE, "text": "so i tried this bread and it was lovely"}


def png(colour: str = "red", side: int = 40) -> str:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def whole(trial: Trial, **changed: Any) -> dict[str, Any]:
    """An answer nothing was late for: a busy machine is asked again."""
    for _ in range(20):
        answer = trial.served.ask(**changed)
        if not set(answer["degraded"]) & set(SHARES):
            return answer
        time.sleep(0.2)
    raise AssertionError(f"always degraded: {answer['degraded']}")


@contextmanager
def broken(trial: Trial, *stages: str, kind: str = "fail") -> Iterator[None]:
    service = trial.served.service
    faults, limits, before = service.stages.faults, service.stages.limits_ms, dict(service.stages.limits_ms)
    faults |= {stage: Fault(kind, ms=400.0) for stage in stages}
    limits |= dict.fromkeys(stages, 100.0)
    try:
        yield
    finally:
        limits |= before
        for stage in stages:
            del faults[stage]
        for _ in range(400):
            if not set(stages) & set(trial.served.ask(image=png())["degraded"]):
                break
            time.sleep(0.01)
        else:
            raise AssertionError(f"{stages} never recovered")


def allowed(trial: Trial) -> dict[str, Any]:
    """A post that the machine lets pass when nothing is broken."""
    train = trial.dataset.train
    for text in train.text[(train.natural_label == 0).all(axis=1)][:50].tolist():
        if whole(trial, text=text, image=png("white"))["action"] == "allow":
            return {"text": text, "image": png("white")}
    raise AssertionError("the machine lets nothing pass")


# ---------------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_names_action_policy_scores_and_evidence_and_is_logged(trial: Trial) -> None:
    answer = whole(trial)
    assert set(answer["scores"]) == set(POLICIES) and answer["action"] in ("allow", "demote", "queue", "remove")
    assert answer["why"][0]["evidence"] and bool(answer["notice"]) == (answer["action"] in ("remove", "demote"))
    events = trial.served.logged()
    mine = events.keys["request_id"] == answer["request_id"]
    assert mine.sum() == 1 and events.values["fingerprint"][mine][0] > 0
    assert f"{events.values['version'][mine][0]:08x}" == answer["model_version"].rpartition("-")[2]


def test_a_picture_alone_and_a_text_alone_are_judged(trial: Trial) -> None:
    assert whole(trial, text="", image=png())["scores"].keys() == whole(trial, image="")["scores"].keys()


@pytest.mark.parametrize("kind", ["slow", "fail", "hang"])
@pytest.mark.parametrize(
    "stage", [stage for stage in SHARES if stage != "baseline"]
)  # which answers where the model does not
def test_whatever_breaks_the_answer_is_labelled_in_time_and_never_allows(trial: Trial, stage: str, kind: str) -> None:
    post = allowed(trial)
    with broken(trial, stage, kind=kind):
        answers = [trial.served.ask(**post) for _ in range(2)]
    for answer in answers:
        assert stage in answer["degraded"]
        if stage != "log":
            assert answer["action"] == "queue" and f"{stage} did not answer" in [
                why["evidence"] for why in answer["why"]
            ]
    assert min(answer["timings_ms"]["total"] for answer in answers) <= trial.config.deadline_ms


def test_without_model_and_baseline_a_post_waits_unjudged(trial: Trial) -> None:
    with broken(trial, "model"):
        first = trial.served.ask()
    assert first["action"] == "queue" and len(first["scores"]) == len(POLICIES), "the lines' word orders the queue"
    with broken(trial, "model", "baseline"):
        answer = trial.served.ask()
    assert answer["action"] == "queue" and answer["scores"] == {} and answer["policy"] == ""


def test_a_text_that_hides_itself_waits_for_a_person(trial: Trial) -> None:
    hidden = "".join(f"{letter}\u200b\u200c\u200d" for letter in "so i tried this bread")
    answer = whole(trial, text=hidden, image="")
    assert "text" in answer["degraded"] and answer["action"] == "queue"
    assert "text" not in whole(trial, text="so i tried\nthis bread 🙂")["degraded"]


@pytest.mark.parametrize(
    "text", ["a" * 5_000, "\u0300" * 5_000, "\u202e" * 4_000 + "x", "\x00\x01" * 2_000, "🙂" * 500]
)
def test_any_text_is_answered(trial: Trial, text: str) -> None:
    assert trial.served.ask(text=text)["action"]


def test_a_picture_that_is_none_is_refused_and_opens_no_breaker(trial: Trial) -> None:
    torn = base64.b64encode(base64.b64decode(png(side=400))[:300]).decode()
    for _ in range(8):
        answer = trial.served.client.post(ROUTE, json={**EXAMPLE, "image": torn})
        assert answer.status_code == 422 and "not a whole picture" in answer.json()["error"]["why"]
    assert "decode" not in whole(trial, image=png())["degraded"]


# ---------------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_has_an_answer_for_each_in_order(trial: Trial) -> None:
    posts = [
        {**EXAMPLE, "post_id": 50 + at, "text": f"number {at} so i tried this bread", "image": png() if at % 2 else ""}
        for at in range(40)
    ]
    with broken(trial, "log"):  # nothing is written, so all read the same log
        for _ in range(10):
            got = trial.served.client.post(f"{ROUTE}/batch", json={"posts": posts}).json()["answers"]
            alone = trial.served.ask(**posts[3])
            if set(got[0]["degraded"]) & set(SHARES) == set(alone["degraded"]) & set(SHARES) == {"log"}:
                break
    assert [answer["post_id"] for answer in got] == [post["post_id"] for post in posts]
    assert len({answer["request_id"] for answer in got}) == 40
    assert alone["scores"] == pytest.approx(got[3]["scores"], abs=1e-5), (
        "neighbours, buckets and padding change no score"
    )


def test_a_batch_with_one_bad_picture_names_it(trial: Trial) -> None:
    posts = [{**EXAMPLE, "post_id": at, "image": "AAAA" if at == 2 else ""} for at in range(4)]
    answer = trial.served.client.post(f"{ROUTE}/batch", json={"posts": posts})
    assert answer.status_code == 422 and "posts.2.image" in answer.json()["error"]["why"]
    bodies: tuple[Any, ...] = ({"posts": []}, {"posts": [EXAMPLE] * 65}, {"posts": EXAMPLE}, [EXAMPLE])
    for bad in bodies:
        assert trial.served.client.post(f"{ROUTE}/batch", json=bad).status_code == 422


def test_posts_that_come_together_share_a_batch(trial: Trial) -> None:
    """As many features stages as batches: all who came while the first was under way went together."""
    service, calls = trial.served.service, list[int]()
    inputs = service.features.inputs

    def slow(rows: Any, store: Any) -> Any:
        calls.append(len(rows))
        time.sleep(0.05)
        return inputs(rows, store)

    object.__setattr__(service.features, "inputs", slow)
    try:
        threads = [threading.Thread(target=trial.served.ask, kwargs={"post_id": at}) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        object.__delattr__(service.features, "inputs")
    assert sum(calls) >= 8 and max(calls) > 1 and len(calls) < 8


# ------------------------------------------------------------------------------------------------------------- what people decided


def test_the_same_answer_over_http_as_offline(trial: Trial) -> None:
    """The served scores are the model's on the same row, read from the log as of the logged moment."""
    from common.features.asof import AsOfStore
    from harmful_content.schema import NO_IMAGES, Request
    from harmful_content.serve import batches

    answer = whole(trial)
    events = trial.served.logged()
    moment = int(events.moment[events.keys["request_id"] == answer["request_id"]][0])
    fitted = trial.part("features")
    rows = batches.rows([Request(**EXAMPLE)], [NO_IMAGES], fitted, trial.served.clock.now(), moment)
    scores = trial.part("model").score(fitted.inputs(rows, AsOfStore(events)))[0]
    assert np.allclose(list(answer["scores"].values()), scores, atol=1e-9)


def test_posts_decided_together_are_decided_as_one_by_one(trial: Trial) -> None:
    from harmful_content.policy import Context, Scored
    from harmful_content.schema import Request
    from harmful_content.serve.answers import Known, decided

    service, rng = trial.served.service, np.random.default_rng(0)
    n, rules = 300, service.policy
    requests = [Request(**{**EXAMPLE, "post_id": at}) for at in range(n)]
    score = rng.random((n, len(POLICIES))) ** 6
    score[rng.random(n) < 0.05] = np.nan
    unreported = np.where(rng.random((n, 1)) < 0.2, score * rng.random((n, 1)), score)
    known = [Known(upheld=bool(at % 2), policy=3) if at % 11 == 0 else Known() for at in range(n)]
    faults = [["model did not answer"] if at % 7 == 0 else list[str]() for at in range(n)]
    found = decided(rules, requests, score, unreported, known, faults, service.catalog, "v")
    for at, one in enumerate(found):
        context = Context(faults=faults[at], reviewed=known[at].upheld, policies=service.catalog.policy.tolist())
        alone = rules.decide(requests[at], Scored(score=score[at], unreported=unreported[at], version="v"), context)
        assert (one.action, one.why, one.is_demoted) == (alone.action, alone.why, alone.is_demoted)
        assert one.policy == (known[at].policy if known[at].upheld is not None else alone.policy)
        np.testing.assert_equal(
            (one.probability, one.threshold, one.priority), (alone.probability, alone.threshold, alone.priority)
        )
    assert len({one.action for one in found}) > 2
