"""The offline winner that loses online, in twenty worlds, and what has to be switched off for the log to tell the truth.

A log is what the incumbent chose to show. Who resembles the incumbent scores hits on it, whether or not viewers would be happier with it. Two
pairs are judged the way most teams do (the last watches of every viewer left out, the whole catalogue ranked), then played for two weeks to
viewers who react by the planted truth, tire, and come back less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals, ranking
from common.eval.chart import Chart
from video_rec.config import Config
from video_rec.experiments import light, online, policies
from video_rec.experiments.online import DAY, Log, Seen, State
from video_rec.experiments.policies import Lab, Ranked
from video_rec.world import START

WORLDS, HELD, K = 20, 5, 20
ONLINE_DAYS = 14
CHANCES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
JUDGED = ("watched", "pleased", "watched, by 1 / propensity", "pleased, by 1 / propensity")
CURVES = {
    "the log: watched": "watched",
    "the log: pleased": "pleased",
    "the log: pleased, by 1 / propensity": "pleased, by 1 / propensity",
    "online": "online",
}
AS_PLANTED, RANDOM = 0.2, 1.0  # share of its slots that the incumbent of the world leaves to chance
SHOWN_SINCE = START + 8 * DAY  # what is learnt from; before it, what viewers and videos are described by

Maker = Callable[[Lab, Log], Ranked]
POLICIES: Mapping[str, Maker] = {
    "co-watch": lambda lab, log: Ranked(lab, light.cowatch(lab, log), cap=K),
    "taste, two a creator": lambda lab, log: Ranked(lab, light.fit(lab, log, log.pleased, SHOWN_SINCE), cap=2),
    "watched against any": lambda lab, log: Ranked(lab, light.fit(lab, log, log.clicked, SHOWN_SINCE, negatives=4), cap=2),
    "watched against shown": lambda lab, log: Ranked(lab, light.fit(lab, log, log.clicked, SHOWN_SINCE), cap=2),
}  # fmt: skip
PAIRS = (("co-watch", "taste, two a creator"), ("watched against any", "watched against shown"))
"""(who wins on the log, who wins online). The second pair is one model with the same rows of watches and the same rules: its negatives differ."""


@dataclass(frozen=True)
class Held:
    """The last HELD watches of every viewer: `relevant` [n, HELD] of distinct `users`, as of `times`, when the first of them was shown."""

    users: Ints
    times: Ints
    relevant: Ints
    pleased: Ints  # of the relevant, those watched to the end or liked
    weight: Floats  # [n, HELD] 1 / propensity


def hold_out(log: Log, num_users: int) -> tuple[Log, Held]:
    """A log in order of viewer and time -> what came before each viewer's last watches, and those."""
    watched = np.flatnonzero(log.clicked > 0)
    left = np.searchsorted(log.user[watched], log.user[watched], side="right") - np.arange(len(watched))
    last = watched[left <= HELD]
    place = (log.user[last], left[left <= HELD] - 1)
    tables = [np.full((num_users, HELD), -1), np.full((num_users, HELD), -1)]
    weight = np.zeros((num_users, HELD))
    tables[0][place] = log.video[last]
    tables[1][place] = np.where(log.pleased[last] > 0, log.video[last], -1)
    weight[place] = 1 / log.propensity[last]
    since = np.full(num_users, np.iinfo(np.int64).max)
    np.minimum.at(since, log.user[last], log.time[last])
    users = np.unique(log.user[last])
    held = Held(users, since[users], tables[0][users], tables[1][users], weight[users])
    return log.take(log.time < since[log.user]), held


def offline(policy: Ranked, seen: Seen, held: Held) -> dict[str, Floats]:
    """Ranks the whole catalogue less what was watched before -> each way to judge it, [n]: ndcg@K of what was left out, and the share of it among
    the first K with each video counted by 1 / propensity (self-normalised; Yang et al. 2018, doi:10.1145/3240323.3240355)."""
    ids, _ = policy.feed(seen, held.users, held.times, np.random.default_rng(0))
    found = {}
    for name, relevant in (("watched", held.relevant), ("pleased", held.pleased)):
        found[name] = ranking.judge(ids, relevant, [f"ndcg@{K}"])[f"ndcg@{K}"]
        weight = held.weight * (relevant >= 0)
        hit = (ids[:, :, None] == relevant[:, None, :]).any(axis=1)
        found[f"{name}, by 1 / propensity"] = (weight * hit).sum(axis=1) / max(weight.sum() / len(weight), 1e-12)
    return found


def played(lab: Lab, policy: online.Policy, state: State) -> tuple[Floats, Log]:
    """Two weeks of it -> [num_users] satisfaction a day, the log."""
    visits = online.schedule(lab.config, lab.end, lab.end + ONLINE_DAYS * DAY, 1)
    log = online.play(lab.world, policy, visits, state.copy(), np.random.default_rng([lab.config.seed, 14]))
    return online.satisfaction(log, lab.config.num_users, ONLINE_DAYS), log


def both(lab: Lab, chance: float, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Each policy trained on a log of that incumbent, judged on it offline, and online: name -> how judged -> mean."""
    log, state = policies.logged(lab, chance)
    before, held = hold_out(log, lab.config.num_users)
    seen = Seen.of(before, lab.config.num_users, lab.config.num_videos)
    found = {}
    for name in names:
        make = POLICIES[name]
        judged = {how: float(units.mean()) for how, units in offline(make(lab, before), seen, held).items()}
        satisfied, shown = played(lab, make(lab, log), state)
        found[name] = judged | {"online": float(satisfied.mean()), "visits": float(len(np.unique(shown.visit)))}
    return found


def offline_winner(config: Config) -> Table:
    """Does who wins on the log win with the viewers?

    `worlds_offline`, `worlds_online`: in how many of them the first of the pair wins; `flips`: the winner on the log loses online; `p`: a sign
    test that it is a coin. low, high: of the online difference in satisfaction in percent of the second's, over worlds; `visits_percent`: in visits,
    as the bored stay away. In the rows of the random incumbent the mechanism is switched off: there the log should name the right winner.
    """
    found: dict[float, list[dict[str, dict[str, float]]]] = {AS_PLANTED: [], RANDOM: []}
    for small in policies.labs(config, WORLDS):
        lab = policies.opened(small)
        for chance, results in found.items():
            results.append(both(lab, chance, tuple(POLICIES)))
    return [
        compared(pair, how, chance, results) for pair in PAIRS for chance, results in found.items() for how in JUDGED
    ]


def compared(pair: tuple[str, str], how: str, chance: float, results: list[dict[str, dict[str, float]]]) -> dict[str, object]:  # fmt: skip
    first, second = pair
    off, on = (np.array([[one[name][key] for one in results] for name in pair]) for key in (how, "online"))
    offline_wins, online_wins = off[0] > off[1], on[0] > on[1]
    change = intervals.mean(100 * (on[0] - on[1]) / on[1], np.arange(len(results)))
    flips = int((offline_wins != online_wins).sum())
    return {
        "first": first, "second": second, "incumbent": "random" if chance == RANDOM else "as planted", "judged_by": how,
        "offline_first": float(off[0].mean()), "offline_second": float(off[1].mean()), "worlds_offline": int(offline_wins.sum()),
        "online_percent": change.value, "low": change.low, "high": change.high, "worlds_online": int(online_wins.sum()),
        "visits_percent": float(np.mean([100 * (one[first]["visits"] / one[second]["visits"] - 1) for one in results])),
        "flips": flips, "worlds": len(results), "p": sign_test(flips, len(results)),
    }  # fmt: skip


def sign_test(k: int, n: int) -> float:
    """Two-sided: the chance that a fair coin is at least as far from n / 2 as k."""
    far = abs(2 * k - n)
    return float(sum(comb(n, j) for j in range(n + 1) if abs(2 * j - n) >= far) / 2**n)


def exposure(config: Config) -> Table:
    """How much of the log has to be chance before it names the right winner? Second minus first of the first pair, in percent of their mean."""
    found: dict[float, list[dict[str, dict[str, float]]]] = {chance: [] for chance in CHANCES}
    for small in policies.labs(config, max(2, WORLDS // 2)):
        lab = policies.opened(small)
        for chance, results in found.items():
            results.append(both(lab, chance, PAIRS[0]))
    return list(_curves(found))


def _curves(found: Mapping[float, list[dict[str, dict[str, float]]]]) -> Iterator[dict[str, object]]:
    for judged, key in CURVES.items():
        for chance, results in found.items():
            values = np.array([[one[name][key] for one in results] for name in PAIRS[0]])
            percent = intervals.mean(200 * (values[1] - values[0]) / values.sum(axis=0), np.arange(len(results)))
            yield {"judged": judged, "chance": chance, "difference": percent.value, "low": percent.low, "high": percent.high}  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"offline_winner": offline_winner, "exposure": exposure}
CHARTS: Mapping[str, Chart] = {
    "exposure": Chart(
        title="A taste model over co-watch, on the log and online, as the incumbent leaves more to chance",
        x="chance",
        y="difference",
        series="judged",
        x_label="share of the slots that the incumbent leaves to chance",
        y_label="taste over co-watch, percent",
    )
}
