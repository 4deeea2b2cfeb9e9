"""The planted truth: what was planted is there, and nothing a model sees gives it away."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ad_click import world
from ad_click.config import DEFAULT, DEMO, SMOKE, Config
from ad_click.data import planted
from ad_click.features import Inputs
from ad_click.world import history, nature, titles
from common.contract import Floats, Ints
from common.errors import InputError
from common.population import normal

OUTPUTS = "2202671ae4ddf156"  # of a small world, by `outputs`
FROZEN = (nature, history, titles)
SMALL = replace(SMOKE, num_users=200, num_ads=48, num_advertisers=10, num_impressions=3_000, days=5)


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    log = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
    found = strengths()
    assert f"ad_click `{found}`" in log, f"the strengths hash to {found}; docs/LOG.md does not say so"


def strengths() -> str:
    """A hash of every constant of the world, by the module that holds it: numbers, and lists of numbers or words."""
    block = {
        module.__name__: {
            name: np.asarray(value).tolist()
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, int | float | np.ndarray)
        }
        for module in FROZEN
    }
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]


def test_every_strength_is_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a constant that could change unseen."""
    frozen = strengths()
    for module, name in ((nature, "OF_WORDS"), (nature, "EXAMINED"), (history, "POOL"), (titles, "CALLS")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, np.asarray(getattr(module, name))[..., None].repeat(2, -1))
            assert strengths() != frozen, name


def test_the_world_gives_what_it_gave_when_it_was_frozen() -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    assert outputs(world.make(SMALL)) == OUTPUTS


def outputs(made: world.World) -> str:
    """A hash of everything the world gives. Floats at nine digits: the last bits are the machine's."""
    found = hashlib.sha256()
    truth, catalog, shown = made.truth, made.catalog, made.impressions
    columns = {**vars(catalog), **catalog.numbers, **catalog.categories, **vars(shown), "quality": truth.quality}
    context = (shown.user_id, shown.ad_id, shown.event_time, shown.slot, shown.device)
    columns["click_probability"] = truth.click_probability(*context)
    columns["hide_probability"] = truth.hide_probability(shown.user_id, shown.ad_id)
    columns["conversion_probability"] = truth.conversion_probability(shown.user_id, shown.ad_id)
    columns["within_an_hour"] = truth.arrives_within(shown.ad_id, shown.event_time, 3600)
    columns["joined"] = truth.joined(shown.user_id)
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
    small = replace(tiny, num_users=50, num_ads=20, num_advertisers=5, num_impressions=300, days=2)
    for name in world.KNOBS:
        changed: Any = {name: "exponential" if name == "delays" else getattr(small, name) + 1}
        assert outputs(world.make(replace(small, **changed))) != outputs(world.make(small)), name


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


@pytest.mark.parametrize("delays", nature.DELAYS)
def test_clicks_come_as_late_as_planted(delays: str) -> None:
    truth = world.plant(replace(SMALL, delays=delays))
    ad_id, event_time = clicks(truth, 20_000)
    delay = truth.click_delay(ad_id, event_time, np.random.default_rng(1))
    hours = (1, 3, 6, 12, 24)
    in_time = [(delay <= 3600 * hour).sum() for hour in hours]

    def all_agree(said: str) -> bool:
        other = world.plant(replace(SMALL, delays=said))
        within = [other.arrives_within(ad_id, event_time, 3600 * hour) for hour in hours]
        return all(agrees(count, probability) for count, probability in zip(in_time, within, strict=True))

    assert delay.min() >= 1
    assert [said for said in nature.DELAYS if all_agree(said)] == [delays], "the other kinds are the negative control"


def test_slow_clicks_of_the_mornings_come_at_eight() -> None:
    truth = world.plant(replace(SMALL, delays="mornings"))
    ad_id, event_time = clicks(truth, 5_000)
    arrival = event_time + truth.click_delay(ad_id, event_time, np.random.default_rng(1))
    at_eight = arrival % world.DAY == 8 * 3600
    assert agrees(at_eight.sum(), truth.slow_share(ad_id))


def test_an_unknown_kind_of_delay_is_refused() -> None:
    with pytest.raises(InputError, match=r"delays='mixtur'\. Did you mean 'mixture'"):
        world.plant(replace(SMALL, delays="mixtur"))


def clicks(truth: world.Truth, n: int) -> tuple[Ints, Ints]:
    """Ads and times of the day at random."""
    rng = np.random.default_rng(0)
    return rng.integers(0, len(truth.catalog), n), world.START + rng.integers(0, world.DAY, n)


def agrees(count: float, probability: Floats) -> bool:
    """Whether so many of independent draws with these probabilities is no surprise: within four standard deviations."""
    return bool(abs(count - probability.sum()) <= 4 * np.sqrt((probability * (1 - probability)).sum()) + 1e-6)


def test_conversions_follow_clicks_as_often_as_planted(tiny: Config) -> None:
    made = world.make(tiny)
    shown, clicked = made.impressions, made.impressions.click_time >= 0
    converted = shown.conversion_time >= 0
    assert (shown.conversion_time[converted] > shown.click_time[converted]).all() and not converted[~clicked].any()
    expected = made.truth.conversion_probability(shown.user_id, shown.ad_id)[clicked]
    assert agrees(converted.sum(), expected)
    assert not agrees(converted.sum(), 1.5 * expected)
    waited = (shown.conversion_time - shown.click_time)[converted]
    assert abs(waited.mean() - nature.CONVERSION_DELAY) < 4 * nature.CONVERSION_DELAY / np.sqrt(len(waited))


def test_a_campaigns_shop_says_nothing_about_its_ads() -> None:
    """What is clicked is not what is bought: of two campaigns the better clicked one need not convert better."""
    truth = world.plant(DEFAULT)
    ads = np.arange(len(truth.catalog))
    conversions = truth.conversion_probability(np.full(len(ads), 3), ads)
    assert abs(np.corrcoef(truth.quality, conversions)[0, 1]) < 0.1


def test_the_log_charges_full_bids(tiny: Config) -> None:
    made = world.make(tiny)
    shown = made.impressions
    bid, cpm = made.catalog.bid_micros[shown.ad_id], made.catalog.categories["pricing"][shown.ad_id] == "cpm"
    assert 0.1 < cpm.mean() < 0.5
    assert np.array_equal(shown.price_micros, np.where(cpm, 0, bid))
    assert np.array_equal(shown.charge_micros, np.where(cpm, bid // 1000, 0))


def test_campaigns_with_their_budget_spent_leave_the_log(tiny: Config) -> None:
    """What was owed in the 24 hours before the hour of an impression stays below the campaign's budget."""
    made = world.make(tiny)
    ended, shown_then = _shown_when_spent(made)
    assert ended > 0.02, "hardly a budget ends: nothing to see"
    assert shown_then < 0.002  # an ad nobody else fits may be shown all the same
    rich = replace(
        made, truth=replace(made.truth, catalog=replace(made.catalog, budget_micros=made.catalog.budget_micros // 4))
    )
    assert _shown_when_spent(rich)[1] > 0.02  # negative control: other budgets than those it was played with


def _shown_when_spent(made: world.World) -> tuple[float, float]:
    """-> the share of (campaign, hour) whose budget was spent, the share of impressions that fell into such an hour."""
    shown, catalog, days = made.impressions, made.catalog, made.truth.config.days
    campaign = catalog.campaign_id[shown.ad_id]
    spent = np.zeros((24 * days, campaign.max() + 1))
    for time, money in ((shown.event_time, shown.charge_micros), (shown.click_time, shown.price_micros)):
        hour = (time - world.START) // 3600
        there = (hour >= 0) & (hour < len(spent))
        np.add.at(spent, (hour[there], campaign[there]), money[there])
    budget = np.zeros(spent.shape[1])
    budget[catalog.campaign_id] = catalog.budget_micros
    before = np.array([spent[max(0, hour - 24) : hour].sum(axis=0) for hour in range(len(spent))])
    ended = before >= budget
    return float(ended.mean()), float(ended[(shown.event_time - world.START) // 3600, campaign].mean())


def test_a_campaign_is_four_ads_that_share_what_was_booked() -> None:
    catalog = world.plant(SMOKE).catalog
    of_campaign: list[Any] = [catalog.advertiser_id, catalog.topic_id, catalog.bid_micros, catalog.budget_micros]
    of_campaign += [catalog.numbers["min_age"], catalog.categories["pricing"], catalog.categories["target_country"]]
    assert np.bincount(catalog.campaign_id).tolist() == [4] * (len(catalog) // 4)
    for column in of_campaign:
        first = column[:: nature.ADS_PER_CAMPAIGN]
        assert np.array_equal(column, np.repeat(first, 4)) and len(set(first.tolist())) > 1
    assert not np.array_equal(catalog.categories["title"], np.repeat(catalog.categories["title"][::4], 4))


def test_some_words_of_a_title_carry_appeal_and_others_none() -> None:
    """How much of the quality of ads a sum over their openings and calls explains, against the planted share; then two foils."""
    truth = world.plant(replace(DEFAULT, num_ads=8_000))
    words = np.array([title.split() for title in truth.catalog.categories["title"].tolist()])
    planted_share = nature.OF_WORDS**2 / (nature.OF_CAMPAIGN**2 + nature.OF_WORDS**2 + nature.OF_AD**2)
    assert abs(_explained(truth.quality, words[:, [0, 2]]) - planted_share) < 0.1
    assert _explained(truth.quality, np.roll(words, 1_000, axis=0)[:, [0, 2]]) < 0.02
    assert _explained(truth.quality, words[:, [1]]) < 0.04  # things: nothing beyond the few campaigns of a topic


def _explained(quality: Floats, words: np.ndarray) -> float:
    """R squared of a sum over words."""
    columns = [np.eye(len(set(column)))[np.unique(column, return_inverse=True)[1]] for column in words.T]
    fitted = np.linalg.lstsq(np.hstack(columns), quality, rcond=None)[0]
    return float(1 - (quality - np.hstack(columns) @ fitted).var() / quality.var())


def test_the_device_turns_a_topic_around() -> None:
    """The interaction no one-hot line can draw: what is liked on one device is disliked on the other, for half of the topics each way."""
    gap = _device_gap(SMOKE)
    topic = np.arange(world.NUM_TOPICS)
    assert (gap[topic % 2 == 1] < 0).all() and (gap[topic % 2 == 0] > 0).all()
    assert np.allclose(_device_gap(replace(SMOKE, interaction=0.0)), 0)
    assert np.allclose(_device_gap(replace(SMOKE, interaction=2.0)), 2 * gap)


def test_the_halves_of_an_interaction_are_not_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A greedy tree begins where a column says something alone. Balanced, the device says next to nothing until the topic is known."""
    alone = abs(_device_gap(SMOKE).mean()) / np.abs(_device_gap(SMOKE)).mean()
    monkeypatch.setattr(nature, "WEAKLY", 1.0)
    balanced = abs(_device_gap(SMOKE).mean()) / np.abs(_device_gap(SMOKE)).mean()
    assert alone > 0.4 and balanced < 0.2


def _device_gap(config: Config) -> Floats:
    """[num_topics] log-odds on the desktop less those on the phone, of ads in words alone (other formats have a device of their own)."""
    truth = world.plant(replace(config, num_ads=1_000))
    ads = np.flatnonzero(truth.catalog.categories["format"] == "text")
    gap = np.subtract(*(_log_odds(truth, ads, world.START, device) for device in ("desktop", "mobile")))
    topics, first = np.unique(truth.catalog.topic_id[ads], return_index=True)
    assert len(topics) == world.NUM_TOPICS
    found: Floats = gap[first]
    return found


def _log_odds(truth: world.Truth, ads: Ints, event_time: int, device: str = "mobile") -> Floats:
    n = len(ads)
    nobody = np.full(n, 3)
    clicks = truth.click_probability(nobody, ads, np.full(n, event_time), np.zeros(n, np.int64), np.full(n, device))
    odds: Floats = np.log(clicks / (1 - clicks))
    return odds


@pytest.mark.parametrize("trend", [0.0, 1.0, 2.0])
def test_topics_drift_as_strongly_as_the_knob_says(trend: float) -> None:
    """The same person a week later at the same hour: but for the mood, which is one for all ads, only the topics have moved."""
    truth = world.plant(replace(SMOKE, trend=trend))
    ads = np.arange(len(truth.catalog))
    moved = _log_odds(truth, ads, world.START + 7 * world.DAY) - _log_odds(truth, ads, world.START)
    people = truth.population
    planted_move = np.diff(people.trend(np.array([world.START, world.START + 7 * world.DAY]), trend), axis=0)[0]
    expected = nature.TREND * planted_move[truth.catalog.topic_id]
    assert np.allclose(moved - moved.mean(), expected - expected.mean())
    assert (np.ptp(expected) > 0) == (trend > 0)


def test_nobody_is_shown_an_ad_that_does_not_want_them(tiny: Config) -> None:
    made = world.make(tiny)
    shown, people = made.impressions, made.truth.population
    age, country = people.age(shown.user_id), people.country(shown.user_id)
    assert made.truth.eligible(shown.ad_id, age, country, shown.event_time).mean() > 0.99


def test_no_feature_equals_a_latent_variable(tiny: Config) -> None:
    from ad_click import features

    dataset = planted.read(tiny)
    rows = dataset.valid
    inputs = features.fit(dataset, tiny).inputs(rows, dataset.history)
    latents = _latents(world.plant(tiny), rows.user_id, rows.ad_id, rows.event_time)
    assert _copies(inputs, latents) == []
    rng = np.random.default_rng(0)
    leaky = replace(inputs, numbers=inputs.numbers.copy())  # negative control: a copy, with noise, of most rows
    leaky.numbers[:, 3] = latents["quality"] + 0.1 * rng.normal(size=len(rows))
    leaky.numbers[rng.random(len(rows)) < 0.3, 3] = np.nan
    assert _copies(leaky, latents) == [(inputs.number_names[3], "quality")]


def _copies(inputs: Inputs, latents: dict[str, Floats]) -> list[tuple[str, str]]:
    """Which features are which latent variables, or nearly."""
    found = []
    for name, column in zip(inputs.number_names, inputs.numbers.T, strict=True):
        known = ~np.isnan(column)
        if known.sum() > 100 and column[known].std() > 0:
            of = {what: np.corrcoef(column[known], latent[known])[0, 1] for what, latent in latents.items()}
            found += [(name, what) for what, correlation in of.items() if not abs(correlation) < 0.9]
    return found


def _latents(truth: world.Truth, user_id: Ints, ad_id: Ints, event_time: Ints) -> dict[str, Floats]:
    """What nobody can observe of each row."""
    seed, topic = truth.config.seed, truth.catalog.topic_id[ad_id]
    return {
        "quality": truth.quality[ad_id],
        "words": titles.appeal(seed, ad_id),
        "shop": truth.conversion_probability(user_id, ad_id),
        "slow": truth.slow_share(ad_id),
        "taste": np.log(truth.population.tastes(user_id)[np.arange(len(topic)), topic]),
        "propensity": normal(seed, "ad_click.propensity", user_id)[:, 0],
        "trend": truth.population.trend(event_time, truth.config.trend)[np.arange(len(topic)), topic],
    }


def test_the_ceiling_beats_its_own_shuffle(tiny: Config) -> None:
    """Negative control: the truth for other users' rows is worse."""
    from ad_click import data
    from common.eval.classification import log_loss

    dataset, key = data.load(tiny), data.judgments(tiny)
    truth = world.ceiling(tiny).score(dataset.test)
    assert log_loss(key.label, truth) < log_loss(key.label, np.roll(truth, 7))


def test_another_seed_is_another_world(tiny: Config) -> None:
    assert not np.array_equal(world.plant(tiny).quality, world.plant(replace(tiny, seed=1)).quality)
