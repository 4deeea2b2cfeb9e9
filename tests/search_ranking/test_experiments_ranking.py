"""Experiments on rankers: what each says of a case too small to claim anything, and that its foil loses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from common.contract import Floats, Ints, Ranking, Table
from common.errors import InputError
from common.eval.chart import flips
from search_ranking import world
from search_ranking.baseline import NOBODY
from search_ranking.config import SMOKE, Config
from search_ranking.experiments import (
    CHARTS,
    EXPERIMENTS,
    encoders,
    engagement,
    fusion,
    judges,
    lab,
    ladder,
    rules,
    understanding,
)
from search_ranking.experiments.judges import Pages, Panel, units
from search_ranking.features.among import Among
from search_ranking.model import setting
from search_ranking.model.ltr import Groups, planted, trees

TINY = replace(
    SMOKE, num_users=400, num_docs=1_000, num_queries=400, num_sessions=4_000, num_judged=150, num_candidates=100
)
MODULES = (ladder, fusion, understanding, encoders, engagement, rules, judges)
OURS = {name: experiment for module in MODULES for name, experiment in module.EXPERIMENTS.items()}
FEW: dict[ModuleType, dict[str, object]] = {
    ladder: {"LISTS": 1_500, "VALID": 500, "TRIALS": 1, "SIZES": (250, 100, 400)},
    encoders: {"LEGS": ("looks", "own", "none")},
    engagement: {"VIEWINGS": 20},
    judges: {"REPS": 60, "JUDGES": judges.JUDGES[:1]},
}
"""Of the experiments that hold many fits or repetitions: fewer."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, less in FEW.items():
        for name, value in less.items():
            monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    yield
    lab.trained.cache_clear()


def row(table: Table, **named: object) -> dict[str, Any]:
    return next(found for found in table if all(found[name] == value for name, value in named.items()))


# ------------------------------------------------------------------------------------------------------------ of parts, nothing trained


def test_every_experiment_is_registered_and_every_chart_is_one() -> None:
    assert set(OURS) <= set(EXPERIMENTS) and set(judges.CHARTS) <= set(CHARTS) <= set(EXPERIMENTS)
    assert all((run.__doc__ or "").strip().split("\n")[0].endswith(("?", ".")) for run in OURS.values())


def test_what_only_the_world_knows_is_not_asked_of_real_data() -> None:
    with pytest.raises(InputError, match="letor"):
        lab.trained(replace(TINY, data="letor:somewhere"))


def test_values_put_candidates_in_order_and_padding_last() -> None:
    rng = np.random.default_rng(0)
    ids = np.where(rng.random((20, 9)) < 0.2, -1, rng.permuted(np.tile(np.arange(9), (20, 1)), axis=1))
    stood = Ranking(ids=ids, scores=np.where(ids >= 0, 1.0, -np.inf))
    found = lab.ordered(stood, values := rng.integers(0, 4, int((ids >= 0).sum())).astype(float))
    start = 0
    for before, after, scores in zip(ids, found.ids, found.scores, strict=True):
        known = before[before >= 0].tolist()
        worth = dict(zip(known, values[start : start + len(known)].tolist(), strict=True))
        start += len(known)
        expected = sorted(known, key=lambda one: -worth[one])  # stable: ties as they stood
        assert after.tolist() == expected + [-1] * (len(before) - len(known))
        assert scores[: len(known)].tolist() == [worth[one] for one in expected]


def test_a_list_nobody_found_stays_as_it_stands() -> None:
    """The control: the same list, found by a leg, is put in order."""
    ids, values = np.array([[5, 3, 8, -1]] * 2), np.array([0.1, 0.9, 0.5] * 2)
    popular = NOBODY - np.arange(4.0)
    scores = np.where(ids >= 0, [popular, popular + 1e-9], -np.inf)
    found = lab.ordered(Ranking(ids=ids, scores=scores), values)
    assert found.ids.tolist() == [[5, 3, 8, -1], [3, 8, 5, -1]]
    assert found.scores.tolist() == [scores[0].tolist(), [0.9, 0.5, 0.1, -np.inf]]


def test_what_may_not_be_shown_is_not_asked_of_a_leg() -> None:
    among = [Among(np.arange(10), np.arange(10) % 2 == row) for row in range(2)]
    ids = np.array([[1, 4, -1, 6], [1, 4, 3, 12]])
    assert lab.allowed(ids, among.__getitem__).tolist() == [[-1, 4, -1, 6], [1, -1, 3, -1]]


def test_some_lists_are_whole_lists() -> None:
    groups = planted.world("additive", 40, 3)
    found = ladder.some(groups, 15, np.random.default_rng(0))
    whole = {part.tobytes() for part in np.split(groups.features, groups.starts[1:])}
    assert len(found.sizes) == 15
    assert all(part.tobytes() in whole for part in np.split(found.features, found.starts[1:]))


def lists(grade: float, clicks: int, seed: int = 0) -> Groups:
    """Lists of eight rows, `clicks` of them clicked, the best by feature 0; the first of those of `grade`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 8, 3))
    order = np.argsort(-x[:, :, 0] - rng.normal(size=(400, 8)), axis=1)
    grades = np.zeros((400, 8))
    np.put_along_axis(grades, order[:, :clicks], 1.0, axis=1)
    np.put_along_axis(grades, order[:, :1], grade, axis=1)
    return Groups(features=x.reshape(-1, 3), grades=grades.reshape(-1), sizes=np.full(400, 8))


@pytest.mark.parametrize(("clicks", "same"), [(1, True), (2, False)])
def test_a_grade_says_nothing_in_a_list_of_one_click_and_something_beside_another(clicks: int, same: bool) -> None:
    """Why `engagement` finds no difference between graded and plain lists of a click."""
    few_trees = replace(setting(TINY), monotone=(), num_trees=10)
    plain, graded = (trees.fit(lists(grade, clicks), None, few_trees) for grade in (1.0, 3.0))
    rows = lists(1.0, 1, seed=1).features
    assert np.array_equal(plain.score(rows), graded.score(rows)) == same


# ---------------------------------------------------------------------------------------------------------------------- the judge


def pages(seed: int, n: int = 40, k: int = 10) -> Pages:
    """Two pages of ten out of fifteen documents each."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate([rng.permuted(np.tile(np.arange(15), (n, 1)), axis=1)[:, :k] for _ in range(2)], axis=1)
    ids[rng.random(ids.shape) < 0.1] = -1
    same = ids[:, :, None] == ids[:, None, :]
    grade, match = rng.integers(0, 5, (n, 15)).astype(float), rng.random((n, 15))
    at = np.arange(n)[:, None], np.maximum(ids, 0)
    return Pages(grade=grade[at], match=match[at], of=same.argmax(axis=2), there=ids >= 0)


def by_hand(found: Pages, observed: Floats, at: int) -> tuple[float, float]:
    """-> differences of gain and ndcg of one request, written out."""
    k, worth = observed.shape[1] // 2, (0.0, 0.1, 0.3, 0.65, 1.0)
    seen = [observed[at, found.of[at, c]] if found.there[at, c] else 0.0 for c in range(2 * k)]
    gain = sum(worth[int(one)] for one in seen[k:]) / 10 - sum(worth[int(one)] for one in seen[:k]) / 10
    every = sorted((seen[c] for c in range(2 * k) if found.there[at, c] and found.of[at, c] == c), reverse=True)
    best = sum(one / math.log2(2 + place) for place, one in enumerate(every[:10]))
    dcg = [sum(one / math.log2(2 + place) for place, one in enumerate(half)) for half in (seen[:k], seen[k:])]
    return gain, (dcg[1] - dcg[0]) / best if best else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_two_pages_are_judged_as_written_out_by_hand(seed: int) -> None:
    found, rng = pages(seed), np.random.default_rng(seed)
    observed = Panel(price=1.0, noise=1.5, bias=1.0).judged(found.grade, found.match, rng)
    assert observed.min() >= 0 and observed.max() <= 4 and np.array_equal(observed, np.round(observed))
    expected = [by_hand(found, observed, at) for at in range(len(observed))]
    difference = units(found, observed)
    assert np.allclose(np.stack([difference[name] for name in judges.METRICS], axis=1), expected)


def test_the_same_page_twice_differs_for_no_judge_unless_each_copy_is_judged_anew() -> None:
    one, rng = pages(0), np.random.default_rng(0)
    half = Pages(grade=one.grade[:, :10], match=one.match[:, :10], of=one.of[:, :10], there=one.there[:, :10])
    both = {name: np.concatenate([column, column], axis=1) for name, column in vars(half).items()}
    twice = Pages(**both)
    observed = Panel(price=1.0, noise=2.0).judged(twice.grade, twice.match, rng)
    assert all((found == 0).all() for found in units(twice, observed).values())
    anew = replace(twice, of=np.tile(np.arange(20), (len(twice.grade), 1)))
    assert any((found != 0).any() for found in units(anew, observed).values())
    assert judges.affordable(anew, 0.002) < judges.affordable(twice, 0.002), "a copy judged anew is paid anew"


def test_a_judge_without_fault_is_right_and_one_in_love_with_words_is_wrong_however_many_it_judges() -> None:
    """Planted: the second page is better, the first repeats the query."""
    n, there = 50, np.ones((50, 20), bool)
    grade, match = np.repeat([[1.0, 2.0]], 10, axis=1).repeat(n, axis=0), np.repeat([[1.0, 0.0]], 10, axis=1).repeat(n, axis=0)  # fmt: skip
    found = Pages(grade=grade, match=match, of=np.tile(np.arange(20), (n, 1)), there=there)
    rater = Panel(price=0.2, noise=0.0)
    for bias, right in ((0.0, 1.0), (0.5, 1.0), (2.5, 0.0)):
        said = judges.compared(found, Panel(price=0.002, noise=1.0, bias=bias), rater, np.random.default_rng(0))
        assert said["judge_right"] == right and said["rater_right"] == 1.0 and said["rater_error"] == pytest.approx(0)


# ----------------------------------------------------------------------------------------------------------------------- copies


def test_of_copies_the_best_alone_is_paid() -> None:
    gains = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.4}

    def gain(requests: object, ids: Ints) -> Floats:
        return np.array([[gains.get(one, 0.0) for one in row] for row in ids.tolist()])

    stub = cast(lab.Lab, SimpleNamespace(judgments=SimpleNamespace(gain=gain), dataset=SimpleNamespace(test=None)))
    ids = np.array([[1, 2, 3, -1], [1, 3, 4, -1]])
    page, original = Ranking(ids=ids, scores=np.zeros(ids.shape)), np.array([0, 1, 1, 3, 4])  # 2 is a copy of 1
    assert rules._distinct(stub, page, original).tolist() == pytest.approx([(0.9 + 0.5) / 10, (0.2 + 0.5 + 0.4) / 10])
    assert rules._num_distinct(page, original) == 2.5


# --------------------------------------------------------------------------------------------------------------- the tables, trained


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OURS))
def test_an_experiment_gives_rows_of_finite_numbers(name: str) -> None:
    table = OURS[name](TINY)
    assert all(math.isfinite(value) for found in table for value in found.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(found) == set(table[0]) for found in table)
    assert all(found["low"] <= found["high"] for found in table if found["low"] is not None)
    if name in CHARTS:
        flips(table, CHARTS[name])
    CHECKS.get(name, lambda _: None)(table)


def served(config: Config) -> float:
    """Gain of the case as it is served."""
    one = lab.trained(config)
    return one.report(one.ranked(one.candidates)).metrics[lab.GAIN].value


def check_ladder(table: Table) -> None:
    assert row(table, model=ladder.SERVED)["against as served"] == 0
    assert row(table, model=ladder.SERVED)[lab.GAIN] == served(TINY), "put in order by hand, as by TwoStage"
    assert row(table, model=ladder.NO_RANKER)["high"] < 0


def check_ladder_planted(table: Table) -> None:
    defaults = "LambdaMART, LightGBM's defaults"
    assert row(table, model=defaults, world="additive")["high"] < 0
    assert row(table, model="LambdaMART", world="interactions")["low"] > 0


def check_fusion(table: Table) -> None:
    recall = "recall, few shared words"
    assert row(table, fusion=fusion.RRF)["ranked"] == served(TINY)
    assert row(table, fusion=fusion.RRF)[recall] > row(table, fusion="words alone")[recall]


def check_fusion_trap(table: Table) -> None:
    board, rows = table[0], table[1:]
    assert board["share_of_words"] == pytest.approx(0.968, abs=5e-4) and board["origin"] == "calc"
    shares = [found["share_of_words"] for found in rows]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.99 and shares[-1] < 0.5


def check_understanding(table: Table) -> None:
    assert row(table, off="all of it", slice="all")["read_otherwise"] >= max(
        found["read_otherwise"] for found in table if found["slice"] == "all"
    )
    assert all(row(table, off=name, slice="all")["read_otherwise"] > 0 for name in ("spelling", "synonyms", "names"))


def check_encoders(table: Table) -> None:
    assert row(table, encoder="none")["leg"] == 0 < row(table, encoder="own")["leg"]
    assert row(table, encoder="looks")["fused"] > row(table, encoder="none")["fused"]


def check_engagement(table: Table) -> None:
    same = row(table, labels="graded, a list a click")
    assert same["low"] == same["high"] == 0, "the grade is divided away"
    assert row(table, labels="by lot, a list a page")["high"] < 0


def check_clickbait(table: Table) -> None:
    lifted = row(table, order="served, catchy titles lifted")
    assert lifted["ctr_change_low"] > 0 > lifted["high"], "clicked more and worth less"
    best = row(table, order="oracle: what is worth most")
    assert all(found["expected_gain@10"] <= best["expected_gain@10"] for found in table)


def check_rules(table: Table) -> None:
    assert row(table, without="none")[lab.GAIN] == served(TINY)
    assert row(table, without="none")["broken"] == row(table, without="none")["cost"] == 0
    assert all(row(table, without=name)["broken"] > 0 for name in ("explicit", "country", "copies"))
    assert row(table, without="all")["broken"] == max(found["broken"] for found in table)


def check_copies(table: Table) -> None:
    kept, served, truth = table[0], table[3], table[4]
    assert served["distinct_gain"] >= kept["distinct_gain"] and kept["distinct"] < served["distinct"]
    assert served["distinct"] == truth["distinct"] and truth["merged_wrongly"] == 0


CHECKS = {
    "ladder": check_ladder,
    "ladder_planted": check_ladder_planted,
    "fusion": check_fusion,
    "fusion_trap": check_fusion_trap,
    "understanding": check_understanding,
    "encoders": check_encoders,
    "engagement": check_engagement,
    "clickbait": check_clickbait,
    "rules": check_rules,
    "copies": check_copies,
}
"""What each table has to say whatever the size."""


@pytest.mark.slow
def test_what_is_off_is_off_and_the_rest_is_read_as_before() -> None:
    whole = lab.trained(TINY).features.understanding
    texts = sorted(set(world.make(TINY).query_text.tolist()))[:200]
    off = understanding._off(cast(Any, whole))
    read = {name: one.understand(texts) for name, one in off.items()}
    before = whole.understand(texts)
    assert all(one.corrected == one.tokens for one in read["spelling"]) and any(
        one.corrected != one.tokens for one in before
    )
    for name, field in (("synonyms", "expansions"), ("topic", "intent"), ("language", "language"), ("names", "entity")):
        assert not any(getattr(one, field) for one in read[name]) and any(getattr(one, field) for one in before)
        others = {"corrected", "expansions", "intent", "language", "entity"} - {field}
        assert all(getattr(a, o) == getattr(b, o) for a, b in zip(read[name], before, strict=True) for o in others)
