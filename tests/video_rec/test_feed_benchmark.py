"""The feed's benchmark, small: the case grown to more videos than it was trained on, served from another process, with its faults."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import feed
from common.lifecycle.home import Home
from common.serving.deadline import Fault
from video_rec import features as features_stage
from video_rec import model
from video_rec.config import SMOKE
from video_rec.experiments import lab, millions
from video_rec.features.catalogue import Videos, texts
from video_rec.features.words import learn
from video_rec.schema import Dataset

TINY = replace(SMOKE, num_users=300, num_videos=600, num_impressions=12_000, num_judged=60, epochs=1, ranker_epochs=1)
MANY = 2_500
Small = tuple[Dataset, features_stage.Features, model.TwoStage]


@pytest.fixture(scope="module")
def small() -> Small:
    return lab.trained(TINY)


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(millions, "BLOCK", 1_000)


@pytest.mark.slow
def test_a_case_grown_by_nothing_is_the_case(small: Small) -> None:
    """Features block by block are the fitted ones, and so are the vectors: what a title or a code means has not changed on the way."""
    dataset, fitted, better = small
    large = millions.grow(dataset, better, TINY, TINY.num_videos)
    for field in fields(Videos):
        np.testing.assert_array_equal(
            getattr(large.model.sources.features, field.name), getattr(fitted, field.name), err_msg=field.name
        )
    np.testing.assert_allclose(large.model.sources.towers.vectors, better.sources.towers.vectors, atol=1e-6)
    for name in ("video_id", "creator_id", "title", "explicit"):
        np.testing.assert_array_equal(getattr(large.catalog, name), getattr(dataset.catalog, name))
    written = texts(dataset.catalog)
    other, _ = learn(written[::2], TINY.seed)  # the control: words weighed on other titles
    assert np.abs(other.vectors(written) - fitted.title).max() > 0.01


@pytest.mark.slow
def test_what_was_learnt_stays_and_the_rest_is_content(small: Small) -> None:
    dataset, _, better = small
    large = millions.grow(dataset, better, TINY, MANY).model.sources
    known = better.sources.towers.vectors
    np.testing.assert_allclose(large.towers.vectors[: len(known)], known, atol=1e-6)
    recent = better.sources.features.recent(dataset.test, dataset.history)
    np.testing.assert_allclose(large.towers.viewer(recent), better.sources.towers.viewer(recent), atol=1e-6)
    assert not large.towers.towers.of_id.weight[len(known) :].any()
    asked = large.co_watch.nearest(recent, 50).ids
    assert (asked[:, :20] < len(known)).all()  # nobody has watched the others
    assert (large.towers.nearest(recent, 500).ids >= len(known)).any()  # and yet the towers find them
    shared = millions.grown(better.sources.towers.towers, large.features, shared=True)
    assert shared.of_id.weight[len(known) :].any()


def test_faults_name_the_slowest_stage_and_how_much_slower() -> None:
    faults = feed.faults({"features": 4.0, "ranker": 1.0})
    assert faults["no fault"] == "none"
    assert faults["features ten times slower"] == "features slow 36.0"  # nine times more on top: ten times
    for fault in list(faults.values())[1:]:
        _, kind, ms = fault.split()
        assert Fault(kind, float(ms)).ms > 0


def test_what_was_never_answered_is_late() -> None:
    assert feed.late([10.0, 150.0, 151.0], 3) == pytest.approx(1 / 3)
    assert feed.late([10.0, 150.0, 151.0], 4) == 0.5


@pytest.mark.slow
def test_served_from_another_process_with_its_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "RATE", 10.0)
    artifact = feed.published(tmp_path, TINY, MANY)
    assert artifact.manifest["config"]["num_videos"] == MANY
    assert Home(tmp_path).registry.open(feed.CASE).version == artifact.version
    found: dict[str, list[Any]]
    found, start_seconds = feed.measure(tmp_path, quick=True)
    alone, *open_loops = found[""]
    assert alone["requests"] == 50
    assert 0 < alone["p50_ms"] <= alone["p99_ms"] <= alone["max_ms"]
    assert len(open_loops) == 4
    for row in open_loops:
        assert row["requests"] == 30
        assert row["not 200"] == ""  # a fault costs quality, never an answer
    assert start_seconds > 0
    assert {row["stage"] for row in found["_stages"]} > {"store", "towers", "features", "ranker"}
    assert all(row["mb"] > 0 for row in found["_memory"])
