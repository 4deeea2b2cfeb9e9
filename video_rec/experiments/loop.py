"""A platform that learns from what it showed: weeks of retraining on one's own log, with and without slots left to chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.contract import Experiment, Floats, Ints, Table
from common.eval import ranking
from video_rec.config import Config
from video_rec.experiments import gap, light, online, policies
from video_rec.experiments.objectives import over_worlds
from video_rec.experiments.online import WEEK, Log, Policy, Seen, State
from video_rec.experiments.policies import Exploring, Lab, Ranked, Scores
from video_rec.world import START

WORLDS, WEEKS, CAP, EXPLORED = 6, 6, 2, 0.1
NEW = 20  # impressions below which a video is new
SIZE = {"num_videos": 2_000, "num_impressions": 30_000}  # nobody runs out of what is worth watching
ARRIVED = 0.4  # share of the catalogue that is there when the log begins; the rest comes evenly

Learner = Callable[[Lab, Log], Scores]


def popular(lab: Lab, log: Log) -> Scores:
    watches = np.bincount(log.video, log.clicked, lab.config.num_videos)

    def scores(seen: Seen, users: Ints) -> NDArray[np.floating]:
        found: NDArray[np.floating] = np.broadcast_to(watches, (len(users), len(watches)))
        return found

    return scores


def taste(lab: Lab, log: Log) -> Scores:
    """Learns from the last week, described by all before it."""
    return light.fit(lab, log, log.pleased, int(log.time.max()) - WEEK)


@dataclass(frozen=True)
class Arm:
    """`explored`: share of the slots left to chance; `new`: to videos shown fewer than NEW times. `own`: learns from what it showed itself; else
    from as many slots elsewhere that show anything."""

    learner: Learner
    explored: float = 0.0
    own: bool = True
    new: bool = False


ARMS: Mapping[str, Arm] = {
    "taste": Arm(taste),
    "taste, 10 % explored": Arm(taste, EXPLORED),
    "taste, 10 % explored, new videos": Arm(taste, EXPLORED, new=True),
    "taste, from a random log": Arm(taste, own=False),
    "co-watch": Arm(light.cowatch),
    "co-watch, 10 % explored": Arm(light.cowatch, EXPLORED),
    "co-watch, 10 % explored, new videos": Arm(light.cowatch, EXPLORED, new=True),
    "co-watch, from a random log": Arm(light.cowatch, own=False),
    "popular": Arm(popular),
}


@dataclass(frozen=True)
class Week:
    """`units` [num_users] satisfaction a day; of what was shown: inequality over the catalogue, share of it shown at all."""

    units: Floats
    gini: float
    coverage: float


def feedback_loop(config: Config) -> Table:
    """Does learning from one's own log narrow the platform, and what does a tenth of the slots left to chance cost and buy?

    Every arm starts from the same log and retrains weekly. low, high: of `against_percent`, the difference in satisfaction from the same learner
    on its own log, that week, in percent, over worlds. From a random log: the control, whose log no choice of its own has bent.
    """
    weeks: dict[str, list[list[Week]]] = {name: [] for name in ARMS}
    for small in policies.labs(config, WORLDS, **SIZE):
        lab = arriving(policies.opened(small))
        log, state = policies.logged(lab, gap.AS_PLANTED)
        for name, arm in ARMS.items():
            weeks[name].append(run(lab, arm, log, state.copy()))
    return [row(name, week, weeks) for name in ARMS for week in range(WEEKS)]


def arriving(lab: Lab) -> Lab:
    """The same videos, uploaded over the whole time: a new one is in no log, and who learns from watches alone never shows it."""
    until = lab.end + WEEKS * WEEK
    order = np.random.default_rng([lab.config.seed, 17]).permutation(lab.config.num_videos) / lab.config.num_videos
    uploaded = START + np.maximum(order - ARRIVED, 0) / (1 - ARRIVED) * (until - START)
    catalog = lab.world.catalog
    return replace(lab, world=replace(lab.world, catalog=replace(catalog, numbers={**catalog.numbers, "uploaded": uploaded})))  # fmt: skip


def run(lab: Lab, arm: Arm, log: Log, state: State) -> list[Week]:
    elsewhere, found = state.copy(), []
    for week in range(WEEKS):
        policy: Policy = Ranked(lab, arm.learner(lab, log), cap=CAP)
        if arm.explored:
            few = np.bincount(log.video, minlength=lab.config.num_videos) < NEW
            policy = Exploring(lab, policy, arm.explored, few if arm.new else None)
        shown = _week(lab, policy, state, week)
        found.append(_figures(lab, shown))
        learnt = shown if arm.own else _week(lab, Exploring(lab, policy, 1.0), elsewhere, week)
        log = online.join([log, learnt])
    return found


def _week(lab: Lab, policy: Policy, state: State, week: int) -> Log:
    since = lab.end + week * WEEK
    visits = online.schedule(lab.config, since, since + WEEK, 2 + week)
    return online.play(lab.world, policy, visits, state, np.random.default_rng([lab.config.seed, 16, week]))


def _figures(lab: Lab, shown: Log) -> Week:
    units = online.satisfaction(shown, lab.config.num_users, WEEK / online.DAY)
    n = lab.config.num_videos
    return Week(units, ranking.gini(shown.video, n), ranking.coverage(shown.video, n))


def row(name: str, week: int, weeks: Mapping[str, list[list[Week]]]) -> dict[str, object]:
    of_arm = [world[week] for world in weeks[name]]
    base = [world[week].units for world in weeks[name.split(",", maxsplit=1)[0]]]
    change = over_worlds([found.units for found in of_arm], base)
    return {
        "arm": name,
        "week": week + 1,
        "gini": float(np.mean([found.gini for found in of_arm])),
        "coverage": float(np.mean([found.coverage for found in of_arm])),
        "satisfaction": float(np.mean([found.units.mean() for found in of_arm])),
        "against_percent": change.value,
        "low": change.low,
        "high": change.high,
    }


EXPERIMENTS: Mapping[str, Experiment] = {"feedback_loop": feedback_loop}
