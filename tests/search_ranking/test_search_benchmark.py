"""The benchmark of hybrid search, small: it times what is served, the cross-encoder reads the candidates, and a second process answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import search
from common.lifecycle.home import Home
from search_ranking.config import SMOKE
from search_ranking.model import cross
from search_ranking.model.cross import Shape
from search_ranking.schema import Request

TINY = replace(SMOKE, num_users=300, num_docs=800, num_queries=300, num_sessions=4_000, num_judged=50, num_trees=20)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    search.published(folder, TINY)
    return folder


def test_the_steps_timed_are_the_search_that_is_served(folder: Path) -> None:
    with search.opened(folder) as (artifact, service):
        texts = search.texts_of(artifact)
        reader = search.Reader(cross.untrained(list(texts.values()), Shape()), texts, service)
        legs, k = service.model.legs, service.config.num_candidates
        for query in ("boxing beginner", "smoothie", "zzzz", "coffee tips easy"):
            request = Request(user_id=1, query=query)
            so_far: object = request
            for step in search.hybrid(service).values():
                so_far = step(so_far)
            served = legs.fused(service.features, [query], k, service.model.fusion_weight)
            assert getattr(so_far, "ids").tolist() == served.ids.tolist()  # noqa: B009
            reader.prepare([request])
            first = [texts[one] for one in served.ids[0].tolist() if one >= 0]
            assert reader.found[query] == first[: search.CANDIDATES]
            assert reader.read(request) is not None
        assert 10 < reader.tokens() < 64


def test_all_rows_are_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MINILM_L6", Shape(max_tokens=256))
    monkeypatch.setattr(search, "PAIRED", 1)
    rows, tokens = search.measure(folder, quick=True)
    found = {row["what"]: row for row in rows}
    ours, theirs = found["hybrid search"], found["cross-encoder over 100, float32"]
    assert theirs["times_hybrid"] == pytest.approx(theirs["p50_ms"] / ours["p50_ms"], rel=0.9)
    assert {"hybrid: lexical", "hybrid: dense", "hybrid: fusion", "whole: features", "whole: ranker"} <= set(found)
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p99_ms"], row
    assert found["whole answer, over HTTP"]["requests"] == 50
    assert tokens > 10
    sizes = search.sizes(Home(folder).registry.open("search_ranking"))
    assert all(row["mb"] > 0.01 for row in sizes)
