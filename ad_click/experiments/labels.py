"""Labels that are not all in: a model is refreshed at midnight from the last two days, and a part of their clicks has yet to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ad_click import data, features, world
from ad_click.config import Config
from ad_click.experiments.money.lab import Lab, auction_lab, percent
from ad_click.experiments.tables import known
from ad_click.model import delay
from ad_click.world import DAY, NUM_TOPICS, START
from common.contract import Experiment, Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.calibration import calibration_ratio
from common.eval.chart import Chart
from common.eval.classification import expected_log_loss_units
from common.eval.report import Interval
from common.training.seeding import lightgbm_threads

HOUR = 3600
REFRESHES = (5, 7, 9, 11)  # midnights, in days since the log began; each is judged on the 24 hours that follow
RECENT = 48 * HOUR  # of impressions a refresh learns from
WINDOWS = (1, 6, 24)  # hours
WORLDS = ("exponential", "mixture", "mornings")  # the delay model's assumption holds, is bent, is broken
TREES = {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 200, "min_sum_hessian_in_leaf": 5.0}
NUM_TREES = 50
NUM_REQUESTS = 600  # auctions
LENGTHS = (6, 12, 24, 48, 96, 168)  # hours
MIDNIGHTS = range(7, 13)
EVER = 10_000  # hours: a window that no click misses


def delayed_labels(config: Config) -> Table:
    """What to call an impression that is not clicked yet (ADS-22): nothing, a window, a delay model or a late correction; each in a world where
    delays are exponential, the default one, and one in which late clicks wait for the morning. Judged by the planted chance of ever being
    clicked; `hindsight` has the labels nobody has at midnight, `as they are` is the foil. Money: auctions over planted probabilities that
    are off by what the labels make of each topic, against the same auctions with the planted ones (bias alone, without a model's noise): what
    the platform takes, what advertisers have of it, and what was promised against what was taken."""
    if config.data != "world":
        raise InputError(f"{config.data} states labels, not when clicks came. Leave --data out.")
    return [row for name in WORLDS for row in _world(replace(config, delays=name))]


def _world(config: Config) -> Table:
    log = _read(config)
    days = [_refreshed(log, START + day * DAY) for day in REFRESHES]
    judged = np.concatenate([day.judged for day in days])
    truth, users, topics = log.truth[judged], log.user_id[judged], log.topics[judged]
    scores = {name: np.concatenate([day.predictions[name] for day in days]) for name in days[0].predictions}
    best, lab, table = scores["hindsight"], auction_lab(config, NUM_REQUESTS), []
    exact = _money(lab, lab.clicks)
    for name, found in scores.items():
        level = calibration_ratio(truth, found)
        around = intervals.mean((found - level * truth) / truth.mean(), users)
        worse = intervals.mean(expected_log_loss_units(truth, found) - expected_log_loss_units(truth, best), users)
        off = np.divide(found @ topics, best @ topics, out=np.ones(NUM_TOPICS), where=best @ topics > 0)
        money = _money(lab, np.minimum(lab.clicks * off[lab.catalog.topic_id[lab.ads]], 1.0))
        changes = {
            what: percent(money[what], exact[what], lab.rows.user_id) for what in ("revenue", "advertiser_utility")
        }
        changes["promised"] = percent(money["promised"], money["revenue"], lab.rows.user_id)
        table.append(
            {
                "labels": name,
                "world": config.delays,
                "over_planted": level,
                "low": level + known(around.low),
                "high": level + known(around.high),
                "over_hindsight": float(found.sum() / best.sum()),
                "worst_topic": float(off[np.abs(np.log(off)).argmax()]),
                "positives_over_clicks": sum(day.positives[name] for day in days)
                / sum(day.clicks[name] for day in days),
                "log_loss": float(expected_log_loss_units(truth, found).mean()),
                **_bounded("loss_against_hindsight", worse),
                **_bounded("revenue_percent", changes["revenue"]),
                **_bounded("advertiser_percent", changes["advertiser_utility"]),
                **_bounded("promised_percent", changes["promised"]),
            }
        )
    return table


def _money(lab: Lab, predictions: Floats) -> dict[str, Floats]:
    """[num_requests] what auctions over predictions bring, and `promised`: the revenue the platform expects of them by the same predictions."""
    shown = lab.decide(predictions)
    return {**lab.outcomes(shown), "promised": lab.promised(shown, predictions)}


def _bounded(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": known(found.low), f"{name}_high": known(found.high)}


@dataclass(frozen=True, eq=False)
class Log:
    """Every impression, [n] each in order of time: delays in hours, infinite without a click; truth: the planted chance of ever being clicked;
    topics [n, NUM_TOPICS] one-hot, what hazards may depend on."""

    event_time: Ints
    user_id: Ints
    delays: Floats
    truth: Floats
    topics: Floats
    inputs: Floats
    categories: list[int]


def _read(config: Config) -> Log:
    """What was learned about the columns comes from days before the first refresh, whose labels were in by then."""
    dataset, made = data.load(config), world.make(config)
    parts = (dataset.train, dataset.valid, dataset.test)
    early = dataset.train.event_time < START + (REFRESHES[0] - 1) * DAY
    fitted = features.fit(replace(dataset, train=dataset.train.take(np.flatnonzero(early))), config)
    user_id, ad_id, event_time = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("user_id", "ad_id", "event_time")
    )
    clicked = made.impressions.click_time[: len(event_time)]
    ever = replace(config, click_window_hours=EVER)
    sizes = fitted.inputs(dataset.test.take(np.arange(1)), dataset.history).sizes
    few = [column for column, size in enumerate(sizes) if size <= config.most_values]

    def matrix(rows: Any) -> Floats:
        """Without the weekday: two days cannot say what it means, and late corrections of days before would be known by it."""
        found = fitted.inputs(rows, dataset.history)
        told = [column for column, name in enumerate(found.number_names) if name != "weekday"]
        return np.hstack([found.numbers[:, told], found.codes[:, few].astype(np.float64)])

    inputs = np.vstack([matrix(part) for part in parts])
    return Log(
        event_time=event_time,
        user_id=user_id,
        delays=np.where(clicked >= 0, (clicked - event_time) / HOUR, np.inf),
        truth=np.concatenate([world.ceiling(ever).score(part) for part in parts]),
        topics=np.eye(NUM_TOPICS)[dataset.catalog.topic_id[dataset.catalog.find(ad_id)]],
        inputs=inputs,
        categories=list(range(inputs.shape[1] - len(few), inputs.shape[1])),
    )


@dataclass(frozen=True, eq=False)
class Day:
    """One refresh, way by way: predictions of the `judged` rows, the positives it was trained on (sum of its labels), and the clicks that its
    rows will ever have."""

    judged: Ints
    predictions: dict[str, Floats]
    positives: dict[str, float]
    clicks: dict[str, float]


def _refreshed(log: Log, now: int) -> Day:
    judged = np.flatnonzero((log.event_time >= now) & (log.event_time < now + DAY))
    day = Day(judged, {}, {}, {})
    for name, (rows, labels, weights) in _training(log, now).items():
        booster = _train(log, rows, labels, weights)
        day.predictions[name] = booster.predict(log.inputs[judged])
        shown = np.unique(rows)
        day.positives[name], day.clicks[name] = float(labels.sum()), float(np.isfinite(log.delays[shown]).sum())
    recent = _between(log, now - RECENT, now)
    day.clicks["late correction"] = float(np.isfinite(log.delays[recent]).sum())
    return day


def _training(log: Log, now: int) -> dict[str, tuple[Ints, Floats, Floats | None]]:
    """Way -> rows (repeats are meant), labels, weights, from what is known at `now`; `hindsight` knows more."""
    recent = _between(log, now - RECENT, now)
    waited = (now - log.event_time) / HOUR
    arrived = log.delays < waited
    found: dict[str, tuple[Ints, Floats, Floats | None]] = {
        "hindsight": (recent, np.isfinite(log.delays[recent]).astype(np.float64), None),
        "as they are": (recent, arrived[recent].astype(np.float64), None),
    }
    for hours in WINDOWS:
        over = _between(log, now - RECENT - hours * HOUR, now - hours * HOUR)
        found[f"window of {hours} h"] = (over, (log.delays[over] <= hours).astype(np.float64), None)

    def learn(labels: Floats) -> Floats:
        found: Floats = _train(log, recent, labels, None).predict(log.inputs[recent])
        return found

    since = np.where(arrived, log.delays, waited)
    _, labels = delay.fit(learn, arrived[recent], since[recent], log.topics[recent])
    found["delay model"] = (recent, labels, None)
    return found | {"late correction": _late(log, recent, arrived, waited)}


def _late(log: Log, recent: Ints, arrived: Any, waited: Floats) -> tuple[Ints, Floats, Floats]:
    """Every impression is a negative when it is shown, and a positive once more when its click comes, however old it is by then. So there are
    too many negatives; the weights (1 + p) and (1 - p) (1 + p) take that back (Ktena et al. 2019), p by the labels as they are."""
    came = np.flatnonzero(arrived & (waited - log.delays <= RECENT / HOUR))
    rows = np.concatenate([recent, came])
    labels = np.repeat([0.0, 1.0], [len(recent), len(came)])
    chance = _train(log, recent, arrived[recent].astype(np.float64), None).predict(log.inputs[rows])
    return rows, labels, (1 + chance) * np.where(labels == 1, 1.0, 1 - chance)


def _between(log: Log, since: int, until: int) -> Ints:
    return np.flatnonzero((log.event_time >= since) & (log.event_time < until))


def _train(log: Log, rows: Ints, labels: Floats, weights: Floats | None) -> Any:
    """A plain scorer: so many trees, on labels between 0 and 1."""
    import lightgbm

    fixed = {"deterministic": True, "force_row_wise": True, "seed": 0, "verbosity": -1}
    parameters = {"objective": "cross_entropy", **TREES, **fixed, "num_threads": lightgbm_threads()}
    table = lightgbm.Dataset(
        log.inputs[rows], labels, weight=weights, categorical_feature=log.categories, params=parameters
    )
    return lightgbm.train(parameters, table, NUM_TREES)


def hours_to_learn_from(config: Config) -> Table:
    """How much history makes late clicks harmless: the share of clicks that labels as they are, or a delay model, miss beyond those that come
    later than 24 hours, which a window that is waited for misses anyway. Below zero there is nothing to wait for; no scorer but topic means."""
    if config.data != "world":
        raise InputError(f"{config.data} states labels, not when clicks came. Leave --data out.")
    made = world.make(config)
    shown, topic = made.impressions, made.catalog.topic_id[made.impressions.ad_id]
    delays = np.where(shown.click_time >= 0, (shown.click_time - shown.event_time) / HOUR, np.inf)
    table = []
    for hours in LENGTHS:
        more: dict[str, list[Floats]] = {"as they are": [], "delay model": []}
        chosen = []
        for day in MIDNIGHTS:
            now = START + day * DAY
            rows = np.flatnonzero((shown.event_time >= now - hours * HOUR) & (shown.event_time < now))
            waited, late = (now - shown.event_time[rows]) / HOUR, delays[rows]
            arrived, after = late < waited, (late <= 24).astype(np.float64)
            since = np.where(arrived, late, waited)
            _, likely = delay.fit(_topic_means(topic[rows]), arrived, since, np.eye(NUM_TOPICS)[topic[rows]])
            more["as they are"].append(after - arrived)
            more["delay model"].append(after - likely)
            chosen.append(rows)
        rows = np.concatenate(chosen)
        clicks = float(np.isfinite(delays[rows]).mean())
        for name, parts in more.items():
            found = intervals.mean(np.concatenate(parts), shown.user_id[rows])
            table.append(
                {
                    "labels": name,
                    "hours": hours,
                    "missed_more_percent": 100 * found.value / clicks,
                    "low": 100 * known(found.low) / clicks,
                    "high": 100 * known(found.high) / clicks,
                }
            )
    return table


def _topic_means(topic: Ints) -> delay.Learn:
    count = np.maximum(np.bincount(topic, minlength=NUM_TOPICS), 1)
    return lambda labels: (np.bincount(topic, labels, NUM_TOPICS) / count)[topic]


EXPERIMENTS: Mapping[str, Experiment] = {
    "delayed_labels": delayed_labels,
    "hours_to_learn_from": hours_to_learn_from,
}
CHARTS: Mapping[str, Chart] = {
    "hours_to_learn_from": Chart(
        title="When late clicks stop to matter",
        x="hours",
        y="missed_more_percent",
        series="labels",
        x_label="hours of impressions a refresh learns from",
        y_label="clicks missed beyond a window of 24 h, %",
        log_x=True,
    )
}
