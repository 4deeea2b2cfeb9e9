"""Candidates beside other libraries: what is compared is found by each at an equal recall, and a library that is not here is said to be missing."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import candidates
from benchmarks.candidates import Problem
from video_rec.model import index as ours
from video_rec.model.index import Vectors


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(0)
    vectors, tune, judged = (candidates._isotropic(rng, num, 8) for num in (6_000, 200, 50))
    return Problem(vectors, tune, judged, ours.exact_neighbours(vectors, judged, ours.K))


@pytest.mark.slow
def test_rows_are_at_equal_recall(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "A_ROUND", 10)
    rows = list(candidates.compare(problem, "isotropic", 2, [candidates.plain_lists]))
    assert [row["index"].split(":")[0] for row in rows] == ["ours", "faiss, plain"]
    for row in rows:
        assert row["ann_recall@500"] == pytest.approx(ours.RECALL, abs=0.03)
        assert row["times_exact"] == pytest.approx(row["exact_ms"] / row["ms"], rel=0.5)
        assert 16 + 8 <= row["bytes_per_vector"] < 60  # eight halves and an id, then the lists


def test_the_least_effort_that_finds_enough(problem: Problem) -> None:
    """A searcher whose recall is known: it finds ef of the ten thousand neighbours' share it would take."""
    effort = 0

    def set_ef(ef: int) -> None:
        nonlocal effort
        effort = ef

    def search(queries: Vectors) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        found = ours.exact_neighbours(problem.vectors, queries, ours.K)
        found[:, min(effort // 2, ours.K) :] = -1  # ef of 1,000 finds all
        return found

    least = candidates.least(set_ef, search, problem)
    assert 0.955 * 1_000 <= least <= 0.955 * 1_000 * 9 / 8 + 1


@pytest.mark.slow
def test_a_missing_library_is_said_and_nothing_fails(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(candidates, "find_spec", lambda name: None)
    monkeypatch.setattr(candidates, "problems", lambda num, config: iter([("isotropic", problem)]))
    monkeypatch.setattr(candidates, "A_ROUND", 10)
    monkeypatch.setattr("sys.argv", ["candidates", "--quick"])
    candidates.main()
    told = capsys.readouterr().out
    assert "not compared with hnswlib, usearch" in told
    assert "pip install" in told
    assert "ours" in told


def test_whoever_else_is_installed_finds_it_too(problem: Problem) -> None:
    for name in filter(find_spec, sorted(candidates.LIBRARIES)):
        built = candidates.LIBRARIES[name](problem)
        assert ours.ann_recall(built.search(problem.judged), problem.truth) > 0.9, name
