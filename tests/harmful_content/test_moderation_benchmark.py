"""The benchmark, small: what it times is what is served, the exported network says what ours says, and every crafted input ends in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

from benchmarks import moderation
from benchmarks.crafted import crafted
from common.commands.opened import reading
from common.lifecycle.home import Home
from common.serving.app import Server
from harmful_content.config import Config
from harmful_content.policy import Context, Decision, Scored
from harmful_content.schema import NO_IMAGES, Request
from harmful_content.serve import Service, batches
from harmful_content.serve.answers import known

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Server, list[Request]]]:
    folder = tmp_path_factory.mktemp("moderation")
    moderation.published(folder, tiny)
    with moderation.opened(folder) as (_, service, server), reading(moderation.CASE, Home(folder)) as case:
        yield service, server, moderation.texts([visit.request() for visit in case.visits(60)])


def test_the_path_timed_decides_as_the_rules_do(opened: tuple[Service, Server, list[Request]], tmp_path: Path) -> None:
    service, _, requests = opened
    timed = moderation.served(service, service.model, together=7)(requests)
    assert isinstance(timed, list) and len(timed) == len(requests)
    with service.platform.store.snapshot() as store:
        rows = batches.rows(requests, [NO_IMAGES] * len(requests), service.features, 0, store.position)
        inputs = service.features.inputs(rows, store)
    scores = service.model.score(inputs)
    plain: list[Decision] = [
        service.policy.decide(None, Scored(score=one, unreported=one), Context()) for one in scores
    ]
    like = known(service.features.printed(rows), [None] * len(requests), service.docket.shelf)
    new = [one.copy_of < 0 for one in like]
    assert [one.action for one, is_new in zip(timed, new, strict=True) if is_new] == [
        one.action for one, is_new in zip(plain, new, strict=True) if is_new
    ]
    assert sum(new) > 0.8 * len(new)
    assert np.abs(moderation.Exported(service, tmp_path).score(inputs) - scores).max() < 0.05


def test_every_crafted_input_is_answered_or_refused_in_words(opened: tuple[Service, Server, list[Request]]) -> None:
    rows = crafted(opened[1], times=1)
    assert {row["status"] for row in rows} <= {200, 413, 422}
    for row in rows:
        assert (row["status"] == 200) == bool(row["action"]) and (row["status"] == 200) == (not row["said"]), row
    refused = {row["what"] for row in rows if row["status"] != 200}
    assert {"crafted: GIF", "crafted: SVG", "crafted: text of 1 MB", "crafted: PNG, torn"} <= refused
