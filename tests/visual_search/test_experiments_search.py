"""Experiments on searches run small and give finite numbers with a row that loses; what each is built of finds what was planted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from common.contract import Ranking, Table
from common.errors import InputError
from common.eval.chart import flips
from common.population import DAY
from visual_search import evaluate, world
from visual_search.config import SMOKE
from visual_search.experiments import (
    CHARTS,
    EXPERIMENTS,
    crop,
    duplicates,
    encoder_change,
    lessons,
    metadata,
    metrics,
    online,
    position_bias,
    rules,
    text_query,
)
from visual_search.experiments import trained as labs
from visual_search.experiments.trained import GAIN, Trained
from visual_search.features.preparation import cut
from visual_search.policy import Context
from visual_search.world import history

MODULES = (crop, text_query, metadata, metrics, position_bias, rules, duplicates, online, encoder_change)
OURS = {name: experiment for module in MODULES for name, experiment in module.EXPERIMENTS.items()}
SMALL = replace(SMOKE, num_users=200, num_images=300, num_searches=400, num_photos=150, num_pairs=600, num_judged=60, epochs=1)  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[Trained]:
    """Its model is taught only where a test asks for it."""
    yield labs.trained(SMALL)
    labs.trained.cache_clear()


def row(table: Table, **named: object) -> dict[str, float]:
    return next(
        found for found in table if all(found[name.replace("_", " ")] == value for name, value in named.items())
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str, lab: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_bias, "LOGS", 2)
    monkeypatch.setattr(crop, "CLUTTER", (0.0, 0.6))
    monkeypatch.setattr(crop, "NEAR", (0.0, 1.0))
    table = OURS[name](lab.config)
    assert all(math.isfinite(value) for found in table for value in found.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(found) == set(table[0]) for found in table)
    for low in (key for key in table[0] if key.endswith("low")):
        assert all(found[low] <= found[low.removesuffix("low") + "high"] for found in table)
    if name in CHARTS:
        flips(table, CHARTS[name])  # an InputError where the chart asks for what is not there


def test_every_experiment_asks_in_one_line_and_every_chart_is_one() -> None:
    assert set(OURS) <= set(EXPERIMENTS) and set(CHARTS) <= set(EXPERIMENTS)
    assert all((run.__doc__ or "").split("\n")[0].endswith("?") for run in OURS.values())


@pytest.mark.parametrize("name", [name for name in OURS if name != "crop"][:2])
def test_of_real_data_nothing_planted_is_asked(name: str) -> None:
    with pytest.raises(InputError, match="planted"):
        OURS[name](replace(SMALL, data="images:DIR"))


# ------------------------------------------------------------------------------------------------------------------------ crop


def test_at_the_worlds_own_clutter_the_photos_are_the_worlds_own(lab: Trained) -> None:
    asked, boxes = crop.photographed(lab, SMALL.clutter)
    kind = lab.judgments.slices["kind"]
    own = lab.test.take(np.flatnonzero(np.isin(kind, ("photo", "photo and crop"))))
    assert np.array_equal(asked.photos.pixels, own.photos.pixels[own.photo])
    alone, same_place = crop.photographed(lab, 0.0)
    assert not np.array_equal(alone.photos.pixels, asked.photos.pixels), "clutter is to be seen"
    marked = ~np.isnan(own.crop).any(axis=1)
    near = crop.overlap(own.crop[marked], boxes[marked])
    assert near.mean() > 0.6, "the box is of what people marked"
    assert same_place.shape == boxes.shape


def test_overlap_is_a_count_of_cells() -> None:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 41, (30, 2, 2, 2)), axis=2) + np.array([0, 1])[:, None]  # no box is empty
    one, other = (corners[:, at].reshape(30, 4).astype(np.float32) / 41 for at in (0, 1))
    down, across = np.mgrid[0:41, 0:41]

    def cells(box: np.ndarray) -> np.ndarray:
        left, top, right, bottom = np.round(box * 41)
        inside: np.ndarray = (across >= left) & (across < right) & (down >= top) & (down < bottom)
        return inside

    counted = [
        (cells(a) & cells(b)).sum() / max((cells(a) | cells(b)).sum(), 1) for a, b in zip(one, other, strict=True)
    ]
    assert np.allclose(crop.overlap(one, other), counted, atol=1e-5)


def test_a_box_elsewhere_is_as_large_and_away() -> None:
    boxes = np.array([[0.1, 0.2, 0.4, 0.6], [0.5, 0.5, 0.9, 0.8]], np.float32)
    away = crop.elsewhere(boxes)
    assert np.allclose(away[:, 2:] - away[:, :2], boxes[:, 2:] - boxes[:, :2])
    assert (away >= 0).all() and (away <= 1 + 1e-6).all() and (crop.overlap(away, boxes) == 0).all()


def test_from_near_by_what_is_meant_fills_the_photo_and_from_afar_nothing_changes(lab: Trained) -> None:
    asked, boxes = crop.photographed(lab, 0.0)
    far, same = crop.taken_from(asked, boxes, 0.0)
    assert np.array_equal(far.photos.pixels, asked.photos.pixels) and np.allclose(same, boxes, atol=1e-6)
    near, inside = crop.taken_from(asked, boxes, 1.0)
    assert ((inside[:, 2:] - inside[:, :2]).max(axis=1) > 0.98).all()
    assert np.array_equal(near.photos.pixels, cut(asked.photos.pixels, boxes, SMALL.side)), "what the box alone shows"


# ------------------------------------------------------------------------------------------------------------------ text, tags


def test_anothers_words_are_never_ones_own(lab: Trained) -> None:
    asked = lab.test.take(np.flatnonzero(lab.test.text != ""))
    other = text_query.another(asked)
    assert (other.text != asked.text).mean() > 0.95 and set(other.text.tolist()) <= set(asked.text.tolist())


def test_texts_are_misplaced_as_often_as_said_and_none_is_lost() -> None:
    texts = np.array([f"a thing called {at}" for at in range(400)])
    for share in (0.0, 0.25, 1.0):
        given = metadata.misplaced(texts, share, 0)
        assert sorted(given.tolist()) == sorted(texts.tolist())
        assert (given != texts).mean() == pytest.approx(share)


@pytest.mark.slow
def test_with_owners_own_words_the_bench_answers_as_the_model_does(lab: Trained) -> None:
    """Planted: the served input `words`, recomputed; and what clicks teach is what they taught."""
    bench = metadata.Bench.of(lab)
    column = metadata.in_common(lab, lab.features.pictures.text)
    shown = bench.lessons.shown
    assert np.allclose(column(shown), shown.values[:, metadata.WORDS])
    found = bench.tagged(lab.features.pictures.text)
    assert np.array_equal(lab.page(found).ids, lab.page(lab.answers).ids)


# ---------------------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(("truth", "metric"), metrics.TRAPS)
def test_each_trap_misleads_its_metric_and_neither_people_nor_who_is_right(truth: str, metric: str) -> None:
    trap = metrics.TRAPS[truth, metric]
    worse, better = metrics.trapped(trap, truth, 0.9)
    name = metrics.NDCG if metric in (metrics.FEW_JUDGED, metrics.EVERY) else metric
    assert worse[name] > better[name], "the metric prefers the worse page"
    assert worse[metrics.PEOPLE] < better[metrics.PEOPLE], "people prefer the other"
    assert worse[trap.right] < better[trap.right], "and so does who is right"


def test_metrics_of_the_table_are_those_of_the_report(lab: Trained) -> None:
    page = lab.page(lab.retrieved(lab.test, lab.histogram))
    report = evaluate.evaluate(page, lab.judgments, SMALL)
    found = metrics._judged(lab, page, page, SMALL.steepness)
    for metric in (*metrics.METRICS, GAIN):
        assert found[metrics.GRADED][metric].mean() == pytest.approx(report.metrics[metric].value), metric
    binary = report.slices["truth=binary"][metrics.NDCG].value
    assert found[metrics.BINARY][metrics.NDCG].mean() == pytest.approx(binary)


def test_who_knows_is_never_misled_and_who_lies_always() -> None:
    rng = np.random.default_rng(0)
    users = np.arange(2_000)
    pages = {name: rng.random(len(users)) for name in "abc"}

    def misled(of: dict[str, np.ndarray]) -> float:
        both = {name: {metrics.PEOPLE: pages[name], "said": said} for name, said in of.items()}
        return float(metrics._misled(both, "said", users)[0].mean())

    assert misled(pages) == 0 and misled({name: -people for name, people in pages.items()}) == 1
    assert misled({name: np.zeros(len(users)) for name in pages}) == 0.5, "who sees no difference is a coin"
    assert misled({name: rng.random(len(users)) for name in pages}) == pytest.approx(0.5, abs=0.03)


# ---------------------------------------------------------------------------------------------------------------- position bias


def test_the_curve_is_found_where_clicks_are_few() -> None:
    """Planted: an image's merit and how often its place is looked at; nothing but the place is why clicks fall."""
    rng = np.random.default_rng(0)
    slot = np.tile(np.arange(10), 30_000)
    merit = rng.normal(size=len(slot))
    chance = 1 / (1 + np.exp(-(merit - 3.5)))
    for steepness in (0.0, 0.9, 2.0):
        clicks = (rng.random(len(slot)) < chance * (slot + 1.0) ** -steepness).astype(float)
        values = np.column_stack([merit, np.ones(len(slot))])
        assert position_bias.steepness_of(values, slot, clicks) == pytest.approx(steepness, abs=0.12)


def test_a_click_over_how_often_it_is_looked_for_is_what_people_think() -> None:
    rng = np.random.default_rng(0)
    look = history.examination(np.arange(1, 11), 0.9)
    chance = np.linspace(0.05, 0.5, 10)
    clicks = (rng.random((40_000, 10)) < chance * look).mean(axis=0)
    assert np.allclose(clicks / look, chance, atol=0.02) and not np.allclose(clicks, chance, atol=0.1)


@pytest.mark.slow
def test_clicks_drawn_anew_fall_with_the_place_as_steeply_as_said(lab: Trained) -> None:
    log = position_bias.Clicked.of(lab)
    rates = {}
    for steepness in (0.0, 2.0):
        drawn = [log.drawn(steepness, np.random.default_rng(at)).reshape(-1, history.PAGE) for at in range(30)]
        rates[steepness] = np.concatenate(drawn).mean(axis=0)
    assert rates[2.0][-1] < 0.1 * rates[2.0][0] and rates[0.0][-1] > 0.5 * rates[0.0][0]
    by_colour = log.by_colour()
    colours = by_colour.values[:, position_bias.COLOUR].reshape(-1, history.PAGE)
    assert (np.diff(colours, axis=1) <= 0).all() and np.array_equal(by_colour.slot, log.slot)
    assert np.array_equal(np.sort(by_colour.rows.reshape(-1, history.PAGE)), log.rows.reshape(-1, history.PAGE))
    clicks = log.drawn(0.9, np.random.default_rng(0))
    gains, _ = position_bias.weighed_by(0.0)(log, clicks)
    assert np.array_equal(gains, log.taught(clicks)), "where all is looked at, a weight is one"


def test_one_lucky_draw_is_not_taken_for_the_truth() -> None:
    rng = np.random.default_rng(0)
    units = rng.normal(0.1, 0.05, (4, 300)) + np.array([[0.3], [-0.3], [0.1], [-0.1]])
    found = position_bias.wider(units, np.arange(300))
    assert found.low is not None and found.low < 0 < found.value
    agreed = position_bias.wider(rng.normal(0.1, 0.05, (4, 300)), np.arange(300))
    assert agreed.low is not None and agreed.low > 0.05


# ------------------------------------------------------------------------------------------------------------ rules, duplicates


def test_what_stands_against_a_rule_is_counted_and_pages_under_the_rules_hold_none_of_it(lab: Trained) -> None:
    found = lab.retrieved(lab.test, lab.histogram)
    off = tuple(name for names in rules.OFF.values() for name in names)
    bare, kept = lab.page(found, rules=replace(lab.rules, off=off)), lab.page(found)
    assert rules._breaks(lab, bare, off).any() and not rules._breaks(lab, kept, off).any()
    owners = np.array([3, 3, 5, 3, 3, 5])
    context = replace(_context(6), owner=owners)
    crowded = rules._against(replace(lab.rules, owner_cap=2), "owner_cap", np.arange(6), context)
    assert crowded.tolist() == [False, False, False, True, True, False]
    copies = rules._against(
        lab.rules, "copies", np.arange(6), replace(_context(6), group=np.array([1, -1, 1, -1, 2, 1]))
    )
    assert copies.tolist() == [False, False, True, False, False, True]


def _context(n: int) -> Context:
    no = np.zeros(n, bool)
    return Context(known=~no, owner=np.full(n, -1), explicit=no, private=no, shop=no, group=np.full(n, -1))


def test_of_copies_the_best_alone_is_paid(lab: Trained) -> None:
    truth = world.make(SMALL)
    original = truth.pictures.original
    copied = int(np.flatnonzero(original != np.arange(len(original)))[0])
    ids = np.tile(np.array([copied, original[copied], *np.setdiff1d(np.arange(12), [copied, original[copied]])[:8]]), (len(lab.test), 1))  # fmt: skip
    page = Ranking(ids=ids, scores=np.tile(-np.arange(10.0), (len(ids), 1)))
    twice, once = lab.paid(page), rules.paid_once(lab, page)
    gains = lab.judgments.gain(lab.test, ids)
    assert np.allclose(twice - once, np.minimum(gains[:, 0], gains[:, 1]) / 10)


def test_prints_of_the_same_picture_agree_in_other_light_and_of_others_in_half_their_bits(lab: Trained) -> None:
    pixels = lab.dataset.catalog.images.pixels
    own = duplicates.prints(pixels)
    assert (own < 2**duplicates.BITS).all()
    darker = np.bitwise_count(own ^ duplicates.prints((pixels * 0.8).astype(np.uint8)))
    others = np.bitwise_count(own ^ np.roll(own, 150))
    assert np.median(darker) <= 2 and 15 < np.median(others) < 35
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), np.uint8)
    apart = np.bitwise_count(duplicates.prints(noise)[1:] ^ duplicates.prints(noise)[:-1])
    assert apart.mean() == pytest.approx(duplicates.BITS / 2, abs=1), "of noise half the bits agree, by chance"


def test_pairs_that_are_no_copies_are_none(lab: Trained) -> None:
    of = world.make(SMALL).pictures
    pairs = duplicates._pairs(lab, np.arange(len(of)))
    copied, original = pairs.pop("as the gallery's copies")
    assert len(copied) and np.array_equal(of.original[copied], original) and (copied != original).all()
    assert all((of.original[one] != of.original[other]).all() and len(one) > 20 for one, other in pairs.values())
    one, other = pairs[duplicates.KIND]
    assert np.array_equal(of.thing.shape[one], of.thing.shape[other])


# ------------------------------------------------------------------------------------------------------- online, a new encoder


def test_people_click_as_the_log_says_they_would(lab: Trained) -> None:
    """An oracle: the planted chance of each click, summed; an empty place is never clicked."""
    page = lab.page(lab.retrieved(lab.test, lab.histogram))
    clicks, seconds = online.visited(lab, page, 0)
    grades = lab.judgments.gain(lab.test, page.ids)
    look = history.examination(np.arange(1, 11), SMALL.steepness)
    chance = look / (1 + np.exp(-(history.CLICK + history.CLICK_GRADE * grades)))
    assert clicks.mean() == pytest.approx(chance.mean(), rel=0.25) and (seconds >= 0).all()
    empty = Ranking(ids=np.full_like(page.ids, -1), scores=np.full(page.ids.shape, -np.inf))
    assert not np.any(online.visited(lab, empty, 0))


def test_a_ridge_map_finds_a_rotation_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    old = encoder_change.unit(rng.normal(size=(600, 16)).astype(np.float32))
    turn = np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(np.float32)
    mapped = encoder_change.unit(((old @ turn) @ encoder_change.ridge(old @ turn, old)).astype(np.float32))
    assert np.einsum("nd,nd->n", mapped, old).min() > 0.99
    noise = encoder_change.unit(rng.normal(size=(600, 16)).astype(np.float32))
    lost = encoder_change.unit(noise @ encoder_change.ridge(noise[:300], old[:300]))
    assert abs(np.einsum("nd,nd->n", lost, old)[300:].mean()) < 0.1


@pytest.mark.slow
def test_an_index_of_another_encoder_is_refused_and_would_find_what_chance_finds() -> None:
    table = encoder_change.encoder_change(SMOKE)
    assert row(table, what=encoder_change.UNREFUSED)["refused"] == 1
    assert sum(found["refused"] for found in table) == 1
    unrefused, chance = row(table, what=encoder_change.UNREFUSED), row(table, what=encoder_change.CHANCE)
    assert unrefused["agreed_high"] < row(table, what=encoder_change.HELD)["agreed_low"]
    assert unrefused[f"{GAIN}_low"] < chance[f"{GAIN}_high"]
    assert row(table, what=encoder_change.REBUILT)["agreed"] == 1


@pytest.mark.slow
def test_a_box_elsewhere_loses_and_a_proposal_does_where_the_thing_fills_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(crop, "NEAR", (0.0, 1.0))
    table = crop.nearness(SMOKE)
    low, high = f"{crop.AGAINST}_low", f"{crop.AGAINST}_high"
    far = {name: row(table, looked_at=name, near=0.0) for name in ("proposal", "true box", crop.ELSEWHERE)}
    assert far[crop.ELSEWHERE][high] < 0 < far["proposal"][low] and far["true box"][low] > 0
    assert row(table, looked_at="proposal", near=1.0)[high] < far["proposal"][low]
    assert far["true box"]["iou"] == pytest.approx(1)


@pytest.mark.slow
def test_words_of_owners_help_those_who_search_in_words_and_shuffled_they_do_not() -> None:
    table = metadata.metadata(SMOKE)
    tags, shuffled = row(table, **{"owners' words": "tags"}), row(table, **{"owners' words": "shuffled (foil)"})
    assert tags["with words_low"] > 0 and abs(tags["photo alone"]) < 0.02
    assert shuffled["with words_high"] < tags["with words"]
    labs.trained.cache_clear()


def test_the_logs_rows_are_trainings_rows(lab: Trained) -> None:
    truth = world.make(SMALL)
    asked = truth.log_searches.event_time[truth.log.request]
    rows = np.flatnonzero(asked < world.START + world.TRAIN * SMALL.days * DAY)
    assert np.array_equal(truth.log.image[rows], lab.dataset.train.image_id)
    assert np.array_equal(truth.log.slot[rows], lab.dataset.train.slot)


def test_scores_put_candidates_in_order_and_padding_stays_last() -> None:
    candidates = Ranking(ids=np.array([[4, 7, 2, -1]]), scores=np.array([[3.0, 2.0, 1.0, -np.inf]]))
    found = lessons.ordered(candidates, np.array([0.1, 0.9, 0.5]))
    assert found.ids.tolist() == [[7, 2, 4, -1]]
