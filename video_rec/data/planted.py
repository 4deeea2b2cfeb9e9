"""The world as tables: what its platform would have logged, and the truth as the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.features.asof import AsOfStore
from common.population import Population
from video_rec.config import Config
from video_rec.schema import Dataset, Judgments, Requests, Rows

if TYPE_CHECKING:
    from video_rec.world import World

TRAIN = 0.65  # of the days; then validation, up to the judged requests


def read(config: Config) -> tuple[Dataset, Judgments]:
    from video_rec import world  # the truth is opened here and nowhere upstream of training
    from video_rec.world.nature import TEST_FROM

    truth = world.make(config)
    shown = truth.shown
    day = (shown.event_time - world.START) / (config.days * 86_400)
    requests, relevant = _requests(truth, np.flatnonzero(day >= TEST_FROM), config)
    dataset = Dataset(
        train=_rows(truth, day < TRAIN),
        valid=_rows(truth, (day >= TRAIN) & (day < TEST_FROM)),
        test=requests,
        catalog=truth.catalog,
        history=AsOfStore(truth.events),
    )
    watched = np.bincount(dataset.train.user_id[dataset.train.labels["clicked"] > 0], minlength=config.num_users)
    slices = {"history": group(watched[requests.user_id])}
    key = Judgments(
        requests=requests,
        gain=truth.gain,
        relevant=relevant,
        num_videos=len(truth.catalog),
        slices=slices,
        origin="world",
    )
    return dataset, key


def group(num_watched: Ints) -> NDArray[np.str_]:
    """cold (nothing watched in training), light, heavy (twenty or more)."""
    return np.select([num_watched == 0, num_watched < 20], ["cold", "light"], "heavy")


def _rows(truth: World, keep: Bools) -> Rows:
    shown = truth.shown
    outcomes = shown.outcomes
    clicked = outcomes.clicked[keep]
    known_if_watched = {
        name: getattr(outcomes, name)[keep] for name in ("completed", "liked", "shared", "watch_seconds")
    }
    return Rows(
        user_id=shown.user_id[keep],
        video_id=shown.video_id[keep],
        event_time=shown.event_time[keep],
        moment=shown.moment[keep],
        labels={"clicked": clicked, "hidden": outcomes.hidden[keep]}
        | {name: np.where(clicked > 0, label, np.nan) for name, label in known_if_watched.items()},
        numbers={"slot": shown.slot[keep].astype(float), "propensity": shown.propensity[keep]},
    )


def _requests(truth: World, after: Ints, config: Config) -> tuple[Requests, Ints]:
    """One request a user (the first after the cut), `num_judged` users drawn; relevant: what they watched to the end or liked afterwards."""
    shown = truth.shown
    users, first = np.unique(shown.user_id[after], return_index=True)
    drawn = np.sort(np.random.default_rng([config.seed, 5]).permutation(len(users))[: config.num_judged])
    at = after[first[drawn]]
    people, user_id = Population(config.seed), shown.user_id[at]
    requests = Requests(
        user_id=user_id,
        event_time=shown.event_time[at],
        moment=shown.moment[at],
        age=people.age(user_id),
        country=people.country(user_id),
    )
    liked = (shown.outcomes.completed + shown.outcomes.liked)[after] > 0
    return requests, lists(requests.user_id, shown.user_id[after][liked], shown.video_id[after][liked])


def hits(users: Ints, relevant: Ints) -> Callable[[Requests, Ints], Floats]:
    """A key from what was left out: `relevant` [num_users, m] of distinct `users`. 1 for a video that its user went on to watch, else 0;
    for any requests, in any order."""
    order = np.argsort(users)

    def gain(requests: Requests, ids: Ints) -> Floats:
        place = order[np.minimum(np.searchsorted(users, requests.user_id, sorter=order), len(users) - 1)]
        positives = np.where((users[place] == requests.user_id)[:, None], relevant[place], -1)
        return np.where((ids[:, :, None] == positives[:, None, :]).any(axis=2) & (ids >= 0), 1.0, 0.0)

    return gain


def lists(user_ids: Ints, of: Ints, ids: Ints, most: int = 50) -> Ints:
    """[n, m]: the `ids` whose `of` is each of user_ids (distinct), in order, -1 pads."""
    place = np.argsort(user_ids)
    found = np.minimum(np.searchsorted(user_ids[place], of), len(user_ids) - 1)
    row, known = place[found], user_ids[place[found]] == of
    row, ids = row[known], ids[known]
    order = np.argsort(row, kind="stable")
    row, ids = row[order], ids[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    width = int(min(rank.max(initial=0) + 1, most))
    out = np.full((len(user_ids), width), -1)
    out[row[rank < width], rank[rank < width]] = ids[rank < width]
    return out
