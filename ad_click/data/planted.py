"""The world's tables as an event log, and the log as labelled rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ad_click.config import Config
from ad_click.data import labels
from ad_click.schema import EVENTS, SHOWN, Dataset
from common.contract import Events, Ints
from common.data.splits import by_time
from common.features.asof import AsOfStore

if TYPE_CHECKING:
    from ad_click.world import World


def read(config: Config) -> Dataset:
    """Split by time, 70/10/20. Impressions of the last `click_window_hours` are in the log but not among the rows: nobody knows yet."""
    from ad_click import world

    made = world.make(config)
    window = config.click_window_hours * 3600
    events = history(made)
    rows = labels.join(events, window)
    shown = made.impressions  # in log order, as the rows are
    users = np.arange(config.num_users)
    age, country = made.truth.population.age(users), world.country_names(made.truth.population.country(users))
    rows = replace(
        rows,
        numbers={"age": age[rows.user_id].astype(np.float64), **rows.numbers},
        categories={"country": country[rows.user_id], "device": shown.device},
    )
    rows = rows.take(np.flatnonzero(rows.event_time <= made.end - window))
    train, valid, test = (rows.take(index) for index in by_time(rows.event_time))
    return Dataset(train=train, valid=valid, test=test, catalog=made.truth.catalog, history=AsOfStore(events))


def history(made: World) -> Events:
    """The log the platform had at the end: what followed an impression stands where it arrived, and what came later is not in it. All
    slots of one request were read at one moment, the position of the first."""
    shown = made.impressions
    times = {
        "impression": shown.event_time,
        "click": shown.click_time,
        "hide": shown.hide_time,
        "conversion": shown.conversion_time,
    }
    there = {kind: np.flatnonzero((time >= 0) & (time < made.end)) for kind, time in times.items()}
    time = np.concatenate([times[kind][rows] for kind, rows in there.items()])
    order = np.argsort(time, kind="stable")
    source = np.concatenate(list(there.values()))[order]
    kind = np.repeat(list(there), [len(rows) for rows in there.values()])[order]
    return Events(
        position=np.arange(len(order)),
        kind=kind,
        event_time=time[order],
        moment=np.where(kind == "impression", _first_positions(shown.request_id[source], kind), -1),
        keys=_keys(made, source),
        values=_values(made, source, kind),
    )


def _first_positions(request_id: Ints, kind: NDArray[np.str_]) -> Ints:
    """[n] the position of the first impression of each event's request."""
    shown = np.flatnonzero(kind == "impression")
    requests, first = np.unique(request_id[shown], return_index=True)
    return shown[first][np.searchsorted(requests, request_id)]


def _keys(made: World, source: Ints) -> dict[str, Ints]:
    shown, catalog = made.impressions, made.catalog
    ad_id = shown.ad_id[source]
    columns = (
        shown.request_id[source],
        shown.user_id[source],
        ad_id,
        catalog.campaign_id[ad_id],
        catalog.advertiser_id[ad_id],
        catalog.topic_id[ad_id],
    )
    return dict(zip(SHOWN, columns, strict=True))


def _values(made: World, source: Ints, kind: NDArray[np.str_]) -> dict[str, Ints]:
    shown = made.impressions
    values = {name: np.zeros(len(source), dtype=np.int64) for name in EVENTS["impression"].values}
    for name in ("slot", "probability_ppm", "price_micros", "charge_micros"):
        values[name] = np.where(kind == "impression", getattr(shown, name)[source], 0)
    expected = shown.probability_ppm * shown.price_micros // 1_000_000
    values["expected_micros"] = np.where((kind == "impression") | (kind == "click"), expected[source], 0)
    values["charge_micros"] += np.where(kind == "click", shown.price_micros[source], 0)
    return values
