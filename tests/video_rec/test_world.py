"""The planted truth: the same people and videos in every preset, nothing leaks, and the truth is worth knowing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from video_rec import config, world
from video_rec.config import DEFAULT, LARGE, SMOKE
from video_rec.schema import Requests
from video_rec.world import nature
from video_rec.world.titles import titles

TINY = replace(SMOKE, num_users=200, num_videos=400, num_impressions=4_000, num_judged=100)


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    block = {name: value for name, value in vars(nature).items() if name.isupper() and name != "TYPE_CHECKING"}
    found = hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]
    log = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
    assert f"video_rec `{found}`" in log, f"the strengths hash to {found}; docs/LOG.md does not say so"


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
