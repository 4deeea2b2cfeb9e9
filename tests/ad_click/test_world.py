"""The planted truth: what was planted is there, and nothing a model sees gives it away."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ad_click import world
from ad_click.config import DEMO, SMOKE, Config
from ad_click.data import planted

OUTPUTS = "2e220ff202d8dfea"  # of a small world, by `outputs`


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    block = {name: value for name, value in vars(world).items() if name.isupper() and isinstance(value, int | float)}
    found = hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]
    log = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
    assert f"ad_click `{found}`" in log, f"the strengths hash to {found}; docs/LOG.md does not say so"


def test_the_world_gives_what_it_gave_when_it_was_frozen(tiny: Config) -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    small = replace(tiny, num_users=200, num_ads=50, num_advertisers=10, num_impressions=3_000, days=5)
    assert outputs(world.make(small)) == OUTPUTS


def outputs(made: world.World) -> str:
    """A hash of everything the world gives. Floats at nine digits: the last bits are the machine's."""
    found = hashlib.sha256()
    catalog, shown = made.catalog, made.impressions
    columns = {**vars(catalog), **catalog.numbers, **catalog.categories, **vars(shown), "quality": made.truth.quality}
    context = (shown.user_id, shown.ad_id, shown.event_time, shown.slot, shown.device)
    columns["click_probability"] = made.truth.click_probability(*context)
    columns["hide_probability"] = made.truth.hide_probability(shown.user_id, shown.ad_id)
    for name in sorted(set(columns) - {"numbers", "categories"}):
        column = columns[name]
        text = [f"{value:.9g}" if isinstance(value, float) else str(value) for value in column.tolist()]
        found.update(f"{name} {' '.join(text)}\n".encode())
    return found.hexdigest()[:16]


def test_the_same_config_gives_the_same_bytes(tiny: Config) -> None:
    first = world.make(tiny).impressions
    world._make.cache_clear()
    again = world.make(tiny).impressions
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in vars(first))


def test_the_world_is_made_once_for_every_knob_it_does_not_depend_on(tiny: Config) -> None:
    other = replace(tiny, num_trees=7, click_window_hours=6, drift="clicks_lost", preset="other")
    assert world.make(other) is world.make(tiny) and world.plant(other) is world.plant(tiny)
    for name in ("seed", "num_users", "num_ads", "num_advertisers", "num_impressions", "days"):
        small = replace(tiny, num_users=50, num_ads=20, num_advertisers=5, num_impressions=300, days=2)
        changed = replace(small, **{name: getattr(small, name) + 1})
        assert outputs(world.make(changed)) != outputs(world.make(small)), name


def test_user_42_is_the_same_in_every_preset() -> None:
    small, large = world.plant(SMOKE), world.plant(DEMO)
    user, ad, time = np.array([42]), np.array([7]), np.array([world.START])
    assert np.array_equal(small.population.tastes(user), large.population.tastes(user))
    assert small.joined(user) >= world.START
    context = (user, ad, time, np.array([0]), np.array(["mobile"]))
    assert small.click_probability(*context) == large.click_probability(*context)


def test_clicks_come_as_often_as_planted(tiny: Config) -> None:
    made = world.make(tiny)
    shown = made.impressions
    expected = made.truth.click_probability(shown.user_id, shown.ad_id, shown.event_time, shown.slot, shown.device)
    clicked = shown.click_time >= 0
    for slot in range(3):
        at = shown.slot == slot
        error = np.sqrt((expected[at] * (1 - expected[at])).sum())
        assert abs(clicked[at].sum() - expected[at].sum()) < 4 * error
    assert 0.01 < clicked.mean() < 0.03


def test_late_clicks_are_as_many_as_planted(tiny: Config) -> None:
    made = world.make(tiny)
    shown = made.impressions
    at = np.flatnonzero(shown.click_time >= 0)
    in_time = shown.click_time[at] - shown.event_time[at] <= 86_400
    expected = made.truth.arrives_within(shown.ad_id[at], 86_400)
    assert (~in_time).sum() > 0
    assert abs(in_time.sum() - expected.sum()) < 4 * np.sqrt((expected * (1 - expected)).sum())


def test_the_device_turns_a_topic_around() -> None:
    """The interaction no one-hot line can draw: what is liked on one device is disliked on the other, for half of the topics each way."""
    truth = world.plant(SMOKE)
    ads = np.arange(SMOKE.num_ads)
    same = (np.full(len(ads), 3), ads, np.full(len(ads), world.START), np.zeros(len(ads), np.int64))
    phone, desk = (truth.click_probability(*same, np.full(len(ads), name)) for name in ("mobile", "desktop"))
    opposite = truth.catalog.topic_id % 2 == 1
    assert (phone[opposite] > desk[opposite]).all() and (phone[~opposite] < desk[~opposite]).all()


def test_nobody_is_shown_an_ad_that_does_not_want_them(tiny: Config) -> None:
    made = world.make(tiny)
    shown, people = made.impressions, made.truth.population
    age, country = people.age(shown.user_id), people.country(shown.user_id)
    assert made.truth.eligible(shown.ad_id, age, country, shown.event_time).mean() > 0.99


def test_no_feature_equals_a_latent_variable(tiny: Config) -> None:
    from ad_click import features

    dataset = planted.read(tiny)
    truth = world.plant(tiny)
    inputs = features.fit(dataset, tiny).inputs(dataset.valid, dataset.history)
    latent = truth.quality[dataset.valid.ad_id]
    for name, column in zip(inputs.number_names, inputs.numbers.T, strict=True):
        known = ~np.isnan(column)
        if known.sum() > 100 and column[known].std() > 0:
            assert abs(np.corrcoef(column[known], latent[known])[0, 1]) < 0.9, name


def test_the_ceiling_beats_its_own_shuffle(tiny: Config) -> None:
    """Negative control: the truth for other users' rows is worse."""
    from ad_click import data
    from common.eval.classification import log_loss

    dataset, key = data.load(tiny), data.judgments(tiny)
    truth = world.ceiling(tiny).score(dataset.test)
    assert log_loss(key.label, truth) < log_loss(key.label, np.roll(truth, 7))


def test_another_seed_is_another_world(tiny: Config) -> None:
    assert not np.array_equal(world.plant(tiny).quality, world.plant(replace(tiny, seed=1)).quality)
