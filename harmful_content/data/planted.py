"""The world's posts as an event log, and the log as labelled rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import Events, Floats, Ints
from common.features.asof import AsOfStore
from harmful_content.config import Config
from harmful_content.data import labels
from harmful_content.schema import ACTIONS, EVENTS, POLICIES, POSTED, Categories, Dataset, Judgments, Rows, rule_book

if TYPE_CHECKING:
    from harmful_content.world import World

COUNTS = EVENTS["reactions"].values
VALUES = tuple(dict.fromkeys(value for kind in EVENTS.values() for value in kind.values))


def read(config: Config) -> tuple[Dataset, Judgments]:
    """Split by time, 70/10/20 of the days. The test rows carry no labels; the key to them is what the panel said."""
    from harmful_content import world

    made = world.make(config)
    events = history(made)
    shown = np.flatnonzero(events.kind == "impression")
    place = events.keys["post_id"][shown]  # ids are 0, 1, ...
    window = config.label_window_hours * 3600
    label = labels.natural(events, shown, window, config.reports_enough, len(POLICIES))
    rows = _rows(made, place, events.event_time[shown], shown, label)
    cuts = np.searchsorted(rows.event_time, made.cuts())
    train, valid, test = (rows.take(part) for part in np.split(np.arange(len(rows)), cuts))
    unknown = np.full(test.natural_label.shape, np.nan)
    dataset = Dataset(
        train=train,
        valid=valid,
        test=replace(test, natural_label=unknown, hand_label=unknown),
        catalog=rule_book(),
        history=AsOfStore(events),
    )
    return dataset, _key(made, place[cuts[1] :], dataset)


def history(made: World) -> Events:
    """The log the platform had at the end: each post when it was judged, its reactions when they were counted, reports as they came, reviews."""
    happened = [_impressions(made), *_reactions(made), _reports(made), _reviews(made)]
    place, time = (np.concatenate([part[i] for part in happened]) for i in (1, 2))
    kind = np.repeat([part[0] for part in happened], [len(part[1]) for part in happened])
    values = {
        name: np.concatenate([part[3].get(name, np.zeros(len(part[1]), np.int64)) for part in happened])
        for name in VALUES
    }
    order = np.argsort(time, kind="stable")
    order = order[time[order] < made.end]
    shown = kind[order] == "impression"
    post_id = made.posts.post_id[place[order]]
    keys = (np.where(shown, post_id, -1), post_id, made.posts.user_id[place[order]])
    position = np.arange(len(order))
    return Events(
        position=position,
        kind=kind[order],
        event_time=time[order],
        moment=np.where(shown, position, -1),
        keys=dict(zip(POSTED, keys, strict=True)),
        values={name: column[order] for name, column in values.items()},
    )


Part = tuple[str, Ints, Ints, dict[str, Ints]]  # kind, places of the posts, times, values


def _impressions(made: World) -> Part:
    """What the incumbent decided; it gave no probabilities."""
    demoted = made.history.demoted
    action = np.where(demoted, ACTIONS.index("demote"), ACTIONS.index("allow"))
    return (
        "impression",
        np.arange(len(made.posts)),
        made.history.look,
        {"action": action, "policy": made.posts.policy * demoted},
    )


def _reactions(made: World) -> list[Part]:
    from harmful_content.world import tick_times

    parts: list[Part] = []
    ticks = tick_times()
    for after, tick in zip(ticks, made.history.ticks, strict=True):
        seen = np.flatnonzero(tick.views)
        parts.append(
            ("reactions", seen, made.posts.written[seen] + after, {name: getattr(tick, name)[seen] for name in COUNTS})
        )
    return parts


def _reports(made: World) -> Part:
    """One event each, at a random second between two counts."""
    from harmful_content.world import tick_times

    ticks, rng = tick_times(), np.random.default_rng([made.config.seed, 12])
    places, times, policies = [], [], []
    for before, after, tick in zip((0, *ticks), ticks, made.history.ticks, strict=False):
        post, policy = np.nonzero(tick.reports)
        num = tick.reports[post, policy]
        places.append(np.repeat(post, num))
        policies.append(np.repeat(policy, num))
        times.append(made.posts.written[places[-1]] + rng.integers(before + 1, after, len(places[-1])))
    return "report", np.concatenate(places), np.concatenate(times), {"policy": np.concatenate(policies)}


def _reviews(made: World) -> Part:
    looked = np.flatnonzero(made.history.review_time >= 0)
    values = {"policy": made.history.review_policy[looked], "upheld": made.history.upheld[looked].astype(np.int64)}
    return "review", looked, made.history.review_time[looked], values


def _rows(made: World, place: Ints, event_time: Ints, moment: Ints, natural: Floats) -> Rows:
    from harmful_content.world import language_names, profile

    posts = made.posts.take(place)
    image = np.where(made.posts.has_image, np.cumsum(made.posts.has_image) - 1, -1)
    return Rows(
        post_id=posts.post_id,
        user_id=posts.user_id,
        event_time=event_time,
        moment=moment,
        text=posts.text,
        image=image[place],
        images=made.images,
        natural_label=natural,
        hand_label=made.history.hand_label[place],
        numbers={**profile(made.config, posts.user_id), "age_hours": (event_time - posts.written) / 3600},
        categories={"language": language_names(posts.language), "device": posts.device},
    )


def _key(made: World, place: Ints, dataset: Dataset) -> Judgments:
    return Judgments(
        label=made.truth[place],
        user_id=made.posts.user_id[place],
        views=made.views[place],
        policies=POLICIES,
        slices=_slices(made, place, dataset),
        origin="world",
    )


def _slices(made: World, place: Ints, dataset: Dataset) -> Categories:
    """What is asked first: does it hold for every modality, language and group, disguised, new, for authors nobody knows?"""
    from harmful_content.world import MODALITY, language_names

    posts = made.posts.take(place)
    group = np.where(posts.dialect, "dialect", np.where(posts.language == 0, "standard", "other"))
    known = np.isin(posts.user_id, dataset.train.user_id)
    columns: dict[str, NDArray[np.str_]] = {
        "modality": MODALITY[posts.form],
        "group": group,
        "language": language_names(posts.language),
        "disguised": np.where(posts.disguise > 0, "yes", "no"),
        "wording": np.where(posts.is_test, "own", "shared"),
        "kind": np.where(posts.is_new, "new", "old"),
        "author": np.where(known, "known", "new"),
        "look": np.where(made.history.look[place] > posts.written, "again", "first"),
    }
    return columns
