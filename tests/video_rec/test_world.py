"""The planted truth: the same people and videos in every preset, nothing leaks, and the truth is worth knowing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from common import population
from tests.contract import frozen as hashes
from video_rec import config, features, world
from video_rec.config import DEFAULT, LARGE, SMOKE
from video_rec.schema import Requests
from video_rec.world import history, nature
from video_rec.world.titles import titles

TINY = replace(SMOKE, num_users=200, num_videos=400, num_impressions=4_000, num_judged=100)
LOG = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    block = {name: value for name, value in vars(nature).items() if name.isupper() and name != "TYPE_CHECKING"}
    found = hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]
    assert f"video_rec `{found}`" in LOG, f"the strengths hash to {found}; docs/LOG.md does not say so"


def test_the_world_gives_what_it_gave_when_it_was_frozen(frozen: str) -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    assert f"video_rec `{frozen}`" in LOG, f"what the world gives hashes to {frozen}; docs/LOG.md does not say so"


@pytest.fixture(scope="module")
def frozen() -> str:
    return outputs()


def outputs() -> str:
    """Of a small world, made anew."""
    made = world._make.__wrapped__(TINY.seed, TINY.num_users, TINY.num_videos, TINY.num_impressions, TINY.days, 1.0)
    asked = Requests(user_id=np.arange(100), event_time=made.shown.event_time[-100:], moment=np.zeros(100, np.int64))
    return hashes.outputs({"world": made, "ceiling": world.Ceiling(made).rank(asked, 20)})


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [
        (nature, "LOOK", nature.LOOK + 0.01),
        (nature, "choice", lambda u, weights: population.choice(u, weights + 0.01)),  # an array
        (history, "FADE", history.FADE - 0.01),
        (history, "react", lambda gain, *others: nature.react(0.9 * gain, *others)),  # a number inside a function
        (world, "gains", lambda *given: 0.999 * nature.gains(*given)),
        (world, "titles", lambda *given: np.strings.replace(titles(*given), "tips", "hints")),
    ],
)
def test_a_change_of_what_is_planted_moves_the_hash(
    frozen: str, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, other: Any
) -> None:
    monkeypatch.setattr(module, name, other)
    assert outputs() != frozen


def requests(user_ids: list[int], time: int = world.START) -> Requests:
    users = np.array(user_ids)
    return Requests(user_id=users, event_time=np.full(len(users), time), moment=np.zeros(len(users), np.int64))


def test_user_42_and_video_7_are_the_same_in_every_preset() -> None:
    for preset in (SMOKE, config.DEMO, DEFAULT, LARGE):
        viewer = nature.viewers(preset.seed, np.array([42]), np.array([world.START]))
        expected = nature.viewers(0, np.array([41, 42]), np.array([world.START, world.START]))
        assert np.array_equal(viewer.taste[0], expected.taste[1])
        video = nature.videos(preset.seed, np.array([7]), preset.days)
        assert np.array_equal(video.mix[0], nature.videos(0, np.arange(20), 14).mix[7])


def test_videos_come_in_blocks_of_any_size() -> None:
    whole = nature.videos(3, np.arange(100), 14)
    part = nature.videos(3, np.arange(60, 70), 14)
    assert np.array_equal(whole.quality[60:70], part.quality)
    assert titles(3, np.arange(100), whole)[60] == titles(3, np.arange(60, 70), part)[0]


def test_no_column_of_the_catalogue_equals_a_latent() -> None:
    made = world.make(SMOKE)  # 100 creators: fewer would agree with anything by chance
    latents = [made.truth.quality, made.truth.catchy, *made.truth.style.T, *made.truth.mix.T]
    columns = [*made.catalog.numbers.values(), made.catalog.creator_id.astype(float)]
    for column in columns:
        for latent in latents:
            assert abs(np.corrcoef(column, latent)[0, 1]) < 0.5


def test_two_videos_of_one_topic_may_share_no_word() -> None:
    made = world.make(TINY)
    alike = np.flatnonzero(made.truth.mix[:, 0] > 0.9)
    words = [set(made.catalog.title[video].split()) for video in alike]
    assert any(not a & b for a in words for b in words), "no synonyms: content would be too easy"


def test_the_ceiling_knows_best_and_tiredness_costs() -> None:
    made, asked = world.make(TINY), requests(list(range(50)))
    best = made.gain(asked, world.ceiling(TINY).rank(asked, 10).ids)
    chance = made.gain(asked, np.random.default_rng(0).integers(0, 400, (50, 10)))
    assert best.mean() > chance.mean() + 0.2
    assert (np.diff(best, axis=1) <= 1e-12).all()
    viewer = nature.viewers(0, np.array([1]), np.array([world.START]))
    some = nature.videos(0, np.arange(50), 14)
    fresh, tired = (nature.gains(viewer, some, np.full((1, 16), level)) for level in (0.0, 3.0))
    assert (tired < fresh).all()


def test_gain_of_padding_is_zero() -> None:
    made = world.make(TINY)
    assert made.gain(requests([3]), np.array([[-1, 5, -1]]))[0, [0, 2]].tolist() == [0.0, 0.0]


def test_the_log_is_in_order_of_arrival_and_some_of_it_is_late() -> None:
    events = world.make(TINY).events
    watches = events.kind == "watch"
    assert (events.moment <= events.position).all()
    assert (np.diff(events.event_time[events.kind == "impression"]) >= 0).all()
    assert (np.diff(events.event_time[watches]) < 0).any(), "no late event: windows would never be tested"


def test_nothing_watched_or_explicit_was_shown_again() -> None:
    made = world.make(TINY)
    shown = made.shown
    assert not made.catalog.explicit[shown.video_id].any()
    watched: set[tuple[int, int]] = set()
    for user, video, clicked in zip(shown.user_id, shown.video_id, shown.outcomes.clicked, strict=True):
        assert (user, video) not in watched
        if clicked:
            watched.add((user, video))


def test_copies_differ_in_three_bits_at_most_and_others_in_many() -> None:
    some = nature.videos(0, np.arange(4_000), 14)
    copied = np.flatnonzero(some.original != np.arange(4_000))
    assert 0.03 < len(copied) / 4_000 < 0.05
    assert (some.original[some.original[copied]] == some.original[copied]).all(), "a copy of a copy is one of the first"
    apart = np.bitwise_count(some.fingerprint[copied] ^ some.fingerprint[some.original[copied]])
    assert apart.max() <= 3 and (some.uploaded[copied] > some.uploaded[some.original[copied]]).all()
    assert np.bitwise_count(some.fingerprint[:2_000] ^ some.fingerprint[2_000:]).min() > 3
    found, expected = features.copies(some.fingerprint), np.bincount(some.original, minlength=4_000)[some.original] > 1
    assert np.array_equal(found >= 0, expected)
    assert np.array_equal(found[expected], some.original[expected])
    without = features.copies(np.zeros(50, np.int64))
    assert (without == -1).all(), "an unknown fingerprint makes no copies"


def test_tastes_move_and_spread_is_a_knob() -> None:
    users = np.arange(300)
    now, later = (nature.viewers(0, users, np.full(300, world.START + days * 86_400)).taste for days in (0, 25))
    still = [nature.viewers(0, users, np.full(300, world.START + days * 86_400), drift=0.0).taste for days in (0, 25)]
    moved = np.mean((now * later).sum(axis=1))
    assert 0.6 < moved < 0.97 and np.allclose(still[0], still[1])
    alike = nature.viewers(0, users, np.full(300, world.START), drift=0.0, spread=0.0).taste
    assert np.allclose(alike, alike[0])


def test_nothing_was_shown_to_somebody_too_young_or_where_it_is_barred() -> None:
    made = world.make(SMOKE)
    people, shown, catalog = population.Population(SMOKE.seed), made.shown, made.catalog
    assert (catalog.min_age[shown.video_id] <= people.age(shown.user_id)).all()
    assert ((catalog.barred_in[shown.video_id] >> people.country(shown.user_id)) & 1 == 0).all()
    assert catalog.min_age.max() == 18 and catalog.barred_in.any()


def test_the_logged_propensities_say_how_often_a_video_is_drawn() -> None:
    """Draws anew from one state of the recommender: shares of chance, of the popular and of one creator come out as logged."""
    truth = nature.videos(0, np.arange(100), 14)
    incumbent = history._Incumbent(0, truth, 1, np.random.default_rng(0))
    incumbent.learn(np.zeros(30, np.int64), np.arange(30), np.ones(30, bool))
    incumbent.watched = np.empty(0, np.int64)
    at = np.full(1, world.START + 13 * 86_400)
    counts, odds = np.zeros(100), np.full(100, np.nan)
    for _ in range(4_000):
        ids, drawn = incumbent.feed(np.zeros(1, np.int64), at)
        first = ids[0, 0]
        if first >= 0:
            counts[first] += 1
            odds[first] = drawn[0, 0]
    known = np.isfinite(odds)
    error = (counts[known] / 4_000 - odds[known]) / np.sqrt(odds[known] / 4_000)
    assert np.abs(error).max() < 4.5 and 0.7 < np.square(error).mean() < 1.4


def test_a_night_in_which_nobody_asks_is_a_night() -> None:
    made = world.make(replace(TINY, num_impressions=300))
    asked = np.bincount((made.shown.event_time - world.START) // history.BLOCK, minlength=TINY.days * 4)
    assert (asked == 0).any() and len(made.shown.user_id) > 100
