"""The log: what the old recommender showed and what people did, in the order in which it arrived.

The old recommender is imperfect on purpose: two fifths of what it shows are popular, two fifths more by the creator watched last, the rest is
chance. So popularity feeds itself, places differ, and good videos by small creators are hardly ever seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Events, Floats, Ints
from common.population import Population
from video_rec.world.nature import (
    DRAWS,
    START,
    TEST_FROM,
    VIDEOS_PER_CREATOR,
    Outcomes,
    Videos,
    gains,
    react,
    viewers,
)

BLOCK = 6 * 3_600  # seconds in which nobody's tiredness moves
FEED = 10  # videos shown at once
FADE = 0.5  # of tiredness is left a block later


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Every video shown, with what followed, [n] each, by the time it was shown."""

    request_id: Ints
    user_id: Ints
    video_id: Ints
    event_time: Ints
    moment: Ints
    slot: Ints
    propensity: Floats  # with which the recommender drew this video for this slot
    outcomes: Outcomes


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """`weary` [blocks, num_users, num_topics] from block `first` on: enough to judge the test requests."""

    events: Events
    shown: Shown
    weary: NDArray[np.float32]
    first: int

    def tired(self, user_ids: Ints, times: Ints) -> Floats:
        """[n, num_topics]: how much of each topic these viewers have just had; 0 for people who are not in the log."""
        block = np.clip((times - START) // BLOCK - self.first, 0, len(self.weary) - 1)
        known = user_ids < self.weary.shape[1]
        levels = self.weary[block, np.where(known, user_ids, 0)].astype(float)
        return np.where(known[:, None], levels, 0.0)


def simulate(
    seed: int, num_users: int, num_impressions: int, days: int, truth: Videos, spread: float = 1.0
) -> Simulated:
    """Plays the old recommender for `days` days, block by block. Same arguments, same bytes."""
    rng = np.random.default_rng([seed, 77])
    incumbent = _Incumbent(seed, truth, num_users, rng)
    blocks = np.arange(days * 86_400 // BLOCK)
    traffic = Population(seed).daily(START + blocks * BLOCK + BLOCK // 2)
    asked = rng.multinomial(num_impressions // FEED, traffic / traffic.sum())
    active = Population(seed).activity(np.arange(num_users))
    weary = np.zeros((num_users, truth.mix.shape[1]), np.float32)
    first, levels, stretches = int(TEST_FROM * len(blocks)), [], []
    for block in blocks:
        if block >= first:
            levels.append(weary.copy())
        if not asked[block]:  # a night in a world of few
            weary *= FADE
            continue
        users = rng.choice(num_users, asked[block], p=active / active.sum())
        times = np.sort(START + block * BLOCK + rng.integers(0, BLOCK, asked[block]))
        stretch = _play(seed, users, times, truth, weary, incumbent, rng, spread)
        watched = stretch["clicked"].astype(float) > 0
        weary *= FADE
        user, video = (stretch[name][watched].astype(np.int64) for name in ("user_id", "video_id"))
        np.add.at(weary, user, truth.mix[video].astype(np.float32))
        stretches.append(stretch)
    columns = {name: np.concatenate([stretch[name] for stretch in stretches]) for name in stretches[0]}
    _, columns["request_id"] = np.unique(columns["request_id"], return_inverse=True)
    events, moments = _arrive(columns, truth, rng)
    outcomes = Outcomes(**{name: columns.pop(name) for name in Outcomes.__dataclass_fields__})
    shown = Shown(**columns, moment=moments, outcomes=outcomes)
    return Simulated(events=events, shown=shown, weary=np.stack(levels), first=first)


def _play(seed: int, users: Ints, times: Ints, truth: Videos, weary: NDArray[np.float32], incumbent: _Incumbent, rng: np.random.Generator, spread: float) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """One block: columns of what was shown and how people took it."""
    ids, propensity = incumbent.feed(users, times)
    rows, slot = np.nonzero(ids >= 0)
    user, video, time = users[rows], ids[rows, slot], times[rows]
    one = _take(truth, video)
    gain = gains(viewers(seed, user, time, spread=spread), one, weary[user].astype(float))
    outcomes = react(gain, one, slot, rng.random((len(user), DRAWS)))
    incumbent.learn(user, video, outcomes.clicked > 0)
    request = (times[rows] << 20) + rows  # in order of time, and unique
    columns = {
        "request_id": request,
        "user_id": user,
        "video_id": video,
        "event_time": time,
        "slot": slot,
        "propensity": propensity[rows, slot],
    }
    return columns | {name: getattr(outcomes, name) for name in Outcomes.__dataclass_fields__}


class _Incumbent:
    """Popular, more of the same creator, and chance; never what was watched, never explicit, nothing the viewer's age or country forbids."""

    def __init__(self, seed: int, truth: Videos, num_users: int, rng: np.random.Generator) -> None:
        self.truth, self.rng, people = truth, rng, Population(seed)
        self.age, self.country = people.age(np.arange(num_users)), people.country(np.arange(num_users))
        self.watches = np.zeros(len(truth.quality))
        self.last_creator = np.full(num_users, -1)
        self.watched = np.empty(0, np.int64)

    def feed(self, users: Ints, times: Ints) -> tuple[Ints, Floats]:
        """-> [n, FEED] ids, -1 where a draw was not allowed; the probability with which each was drawn."""
        shape = (len(users), FEED)
        allowed = (self.truth.uploaded <= times[0]) & (self.truth.explicit == 0)
        weights = allowed * (self.watches + 1.0)
        popular, chance = np.cumsum(weights), np.cumsum(allowed.astype(float))
        u, kind = self.rng.random(shape), self.rng.random(shape)
        creator = self.last_creator[users][:, None]
        same = np.minimum(creator * VIDEOS_PER_CREATOR + (u * VIDEOS_PER_CREATOR).astype(np.int64), len(allowed) - 1)
        ids = np.searchsorted(popular, u * popular[-1], side="right")
        ids = np.where(kind > 0.8, np.searchsorted(chance, u * chance[-1], side="right"), ids)
        ids = np.where((kind < 0.4) & (creator >= 0), same, ids)
        keys = (users[:, None] << 32) + ids
        lawful = (self.truth.min_age[ids] <= self.age[users][:, None]) & (
            (self.truth.barred_in[ids] >> self.country[users][:, None]) & 1 == 0
        )
        fresh = allowed[ids] & lawful & ~np.isin(keys, self.watched) & _first_of_kind(keys)
        by_creator = np.where(creator >= 0, 0.4, 0.0)
        drawn = (0.8 - by_creator) * weights[ids] / popular[-1] + 0.2 / chance[-1]
        drawn = drawn + by_creator * (self.truth.creator_id[ids] == creator) / VIDEOS_PER_CREATOR
        return np.where(fresh, ids, -1), drawn

    def learn(self, users: Ints, ids: Ints, clicked: NDArray[np.bool_]) -> None:
        np.add.at(self.watches, ids[clicked], 1.0)
        self.last_creator[users[clicked]] = self.truth.creator_id[ids[clicked]]
        self.watched = np.concatenate([self.watched, (users[clicked] << 32) + ids[clicked]])


def _first_of_kind(keys: Ints) -> NDArray[np.bool_]:
    """True where a (user, video) pair is met for the first time in this block."""
    _, first = np.unique(keys, return_index=True)
    seen = np.zeros(keys.size, bool)
    seen[first] = True
    return seen.reshape(keys.shape)


def _arrive(columns: dict[str, NDArray[np.generic]], truth: Videos, rng: np.random.Generator) -> tuple[Events, Ints]:
    """Puts everything into order of arrival: a watch arrives when it ends, one in thirty hours late. -> the log, the moment of each row shown."""
    time, seconds = columns["event_time"].astype(np.int64), columns["watch_seconds"].astype(float)
    n = len(time)
    late = np.where(rng.random(n) < 1 / 30, rng.exponential(4 * 3_600, n), 0.0)
    kinds, rows, when, arrival = [], [], [], []
    for kind, happened in (
        ("impression", None),
        ("watch", "clicked"),
        ("like", "liked"),
        ("share", "shared"),
        ("hide", "hidden"),
    ):
        at = np.arange(n) if happened is None else np.flatnonzero(columns[happened].astype(float) > 0)
        after = np.zeros(len(at)) if happened is None else 1 + seconds[at] + (kind != "watch")
        kinds.append(np.full(len(at), kind))
        rows.append(at)
        when.append((time[at] + after).astype(np.int64))
        arrival.append(when[-1] + (0 if happened is None else late[at]))
    row, arrived, kind_of = np.concatenate(rows), np.concatenate(arrival), np.concatenate(kinds)
    order = np.argsort(arrived, kind="stable")
    row, kind_of = row[order], kind_of[order]
    moments = np.searchsorted(arrived[order], time.astype(float), side="left")
    watch, shown = kind_of == "watch", kind_of == "impression"
    keys = {name: columns[name][row].astype(np.int64) for name in ("request_id", "user_id", "video_id")}
    events = Events(
        position=np.arange(len(row)),
        kind=kind_of,
        event_time=np.concatenate(when)[order],
        moment=moments[row],
        keys=keys | {"creator_id": truth.creator_id[keys["video_id"]]},
        values={
            "slot": np.where(shown, columns["slot"][row], 0).astype(np.int64),
            "propensity_ppm": np.where(shown, np.round(1e6 * columns["propensity"][row].astype(float)), 0).astype(
                np.int64
            ),
            **{name: np.zeros(len(row), np.int64) for name in ("score_ppm", "cold", "degraded")},
            "watch_seconds": np.where(watch, seconds[row], 0).astype(np.int64),
            "completed": np.where(watch, columns["completed"][row], 0).astype(np.int64),
        },
    )
    return events, moments


def _take(truth: Videos, ids: Ints) -> Videos:
    return Videos(**{name: getattr(truth, name)[ids] for name in Videos.__dataclass_fields__})
