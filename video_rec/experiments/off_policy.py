"""What would another policy have earned? Five estimators from the log of the one that ran, against a simulated A/B test.

One slot is decided at a time: CANDIDATES videos are drawn, one of them is shown, and its viewer likes it or watches it to the end, or does not.
A viewer decides STEPS times in a row. Where viewers tire, what is shown at one step changes what pleases at the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import off_policy as estimators
from common.eval.chart import Chart
from common.eval.off_policy import Diagnosis, Estimate, Logged
from common.population import uniform
from video_rec import simulate
from video_rec.config import Config
from video_rec.experiments import gap, light, online, policies
from video_rec.experiments.policies import Lab
from video_rec.world import nature
from video_rec.world.nature import DRAWS

CANDIDATES, STEPS, APART = 20, 20, 180  # seconds from one decision to the next
LOGS = 20  # logs, each judged; the table shows the first and how often all of them were right
MOST = 10.0  # a clipped weight
TEMPERATURE = 0.03  # the personal policy draws in proportion to exp(score / TEMPERATURE)
SHARPNESS = (0.0, 10.0, 20.0, 35.0, 60.0, 100.0)  # 1 / TEMPERATURE
DRAWN = ("ips", "snips", "doubly robust", "model alone")


@dataclass(frozen=True)
class Scene:
    """Who decides among what: `videos` [num_users, STEPS, CANDIDATES], the same under every policy. `popularity` (log) and `scores` (personal,
    learnt from an earlier log) of each; `comparisons` [num_users, num_videos, num_comparisons] of viewer and video, for a model of the reward."""

    lab: Lab
    users: Ints
    videos: Ints
    popularity: Floats
    scores: Floats
    comparisons: Floats

    @property
    def logging(self) -> Floats:
        """In proportion to popularity."""
        return _softmax(self.popularity)

    def run(self, policy: Floats, times: int, tires: bool, stream: str) -> tuple[Ints, Floats]:
        """`times` independent runs of a policy [num_users, STEPS, CANDIDATES] -> places chosen, rewards, [times, num_users, STEPS]."""
        runs, n = np.arange(times * len(self.users)), len(self.users)
        who = runs % n
        draws = uniform(self.lab.config.seed, stream, runs, STEPS * (1 + DRAWS)).reshape(len(runs), STEPS, 1 + DRAWS)
        viewer = nature.viewers(
            self.lab.world.seed, self.users[who], np.full(len(runs), self.lab.end), spread=self.lab.world.spread
        )
        tired = np.zeros((len(runs), self.lab.world.truth.mix.shape[1]))
        chosen, rewards = np.empty((len(runs), STEPS), np.int64), np.empty((len(runs), STEPS))
        for step in range(STEPS):
            edges = policy[who, step].cumsum(axis=1)
            chosen[:, step] = np.minimum((draws[:, step, :1] * edges[:, -1:] > edges).sum(axis=1), CANDIDATES - 1)
            shown = online.take(self.lab.world.truth, self.videos[who, step, chosen[:, step]])
            did = nature.react(
                nature.gains(viewer, shown, tired), shown, np.zeros(len(runs), np.int64), draws[:, step, 1:]
            )
            rewards[:, step] = np.maximum(did.liked, did.completed)
            tired = 0.5 ** (APART / simulate.FADES) * (tired + tires * did.clicked[:, None] * shown.mix)
        return chosen.reshape(times, n, STEPS), rewards.reshape(times, n, STEPS)


@dataclass(frozen=True)
class Case:
    """One question: `told`: the propensities that were written down, which need not be those of the `logging` policy. [num_users, STEPS, CANDIDATES]"""

    world: str
    target_name: str
    logging: Floats
    told: Floats
    target: Floats
    tires: bool = False


def off_policy(config: Config) -> Table:
    """Which estimator can be trusted, and when, to say from a log what an A/B test would say?

    `truth`: the mean of LOGS A/B tests, in which the same people are shown the target's choices. `covered`, `rmse_percent`: over LOGS logs, how many
    intervals hold the truth and how far off the estimates are; `refuted`: in how many of them the mean weight gives wrong propensities away. Foil:
    the mean of the log.
    """
    scene = _scene(config)
    return [row for case in _cases(scene) for row in judged(scene, case)]


def sharpness(config: Config) -> Table:
    """How far from the logging policy can a target be before its estimate is worth nothing? The personal policy, ever sharper; at 0 it is chance."""
    scene = _scene(config)
    rows: Table = []
    for sharp in SHARPNESS:
        case = Case("propensities right", f"{sharp:g}", scene.logging, scene.logging, _softmax(sharp * scene.scores))
        rows += [{"sharpness": sharp} | row for row in judged(scene, case) if row["estimator"] in DRAWN]
    return rows


def _scene(config: Config) -> Scene:
    lab = policies.opened(policies.labs(config, 1)[0])
    log, state = policies.logged(lab, gap.AS_PLANTED)
    users = np.arange(lab.config.num_users)
    drawn = uniform(lab.config.seed, "slot.candidates", users, STEPS * CANDIDATES) * lab.config.num_videos
    videos = drawn.astype(np.int64).reshape(len(users), STEPS, CANDIDATES)
    ranker = light.fit(lab, log, log.pleased, gap.SHOWN_SINCE)
    watches = np.bincount(log.video, log.clicked, lab.config.num_videos)
    return Scene(
        lab,
        users,
        videos,
        popularity=np.log(watches + 1.0)[videos],
        scores=ranker(state.seen, users).astype(float)[users[:, None, None], videos],
        comparisons=ranker.known.table(state.seen, users),
    )


def _cases(scene: Scene) -> Iterator[Case]:
    logging, personal = scene.logging, _softmax(scene.scores / TEMPERATURE)
    half, unpopular = _softmax(0.5 * scene.popularity), _softmax(-1.5 * scene.popularity)
    shipped = _softmax(scene.popularity + scene.scores / (2 * TEMPERATURE))
    yield Case("propensities right", "near: half as fond of the popular", logging, logging, half)
    yield Case("propensities right", "personal", logging, logging, personal)
    yield Case("propensities right", "far: the least popular first", logging, logging, unpopular)
    yield Case("a new ranker logs the old propensities", "personal", shipped, logging, personal)
    yield Case("viewers tire", "personal", logging, logging, personal, tires=True)


def judged(scene: Scene, case: Case) -> Table:
    """One row an estimator."""
    chosen, rewards = scene.run(case.logging, LOGS, case.tires, "slot.logged")
    _, tested = scene.run(case.target, LOGS, case.tires, "slot.tested")
    truth = float(tested.mean())
    found: dict[str, list[Estimate]] = {}
    for number in range(LOGS):
        for name, estimate in _estimates(scene, case, chosen[number], rewards[number]).items():
            found.setdefault(name, []).append(estimate)
        found.setdefault("A/B test", []).append(_plain(scene, tested[number]))
    checks = [estimators.diagnose(_logged(scene, case, chosen[number], rewards[number])) for number in range(LOGS)]
    return [_row(case, name, every, truth, checks) for name, every in found.items()]


def _estimates(scene: Scene, case: Case, chosen: Ints, rewards: Floats) -> dict[str, Estimate]:  # fmt: skip
    logged = _logged(scene, case, chosen, rewards)
    of_logged, of_target = _modelled(scene, case, chosen, rewards)
    found = {"mean of the log": _plain(scene, rewards)}
    found |= {name: estimate(logged) for name, estimate in WEIGHTED.items()}
    found["doubly robust"] = estimators.doubly_robust(logged, of_logged, of_target)
    found["model alone"] = estimators.direct(logged, of_target)
    if case.tires:
        found["ips over the whole session"] = estimators.ips(_by_session(logged))
    return found


WEIGHTED: Mapping[str, Callable[[Logged], Estimate]] = {
    "replay": estimators.replay,
    "ips": estimators.ips,
    "clipped ips": lambda logged: estimators.clipped_ips(logged, MOST),
    "snips": estimators.snips,
}


def _logged(scene: Scene, case: Case, chosen: Ints, rewards: Floats) -> Logged:
    told, target = (np.take_along_axis(p, chosen[:, :, None], 2).ravel() for p in (case.told, case.target))
    users = np.repeat(scene.users, STEPS)
    return Logged(reward=rewards.ravel(), propensity=told, target=target, clusters=users)


def _by_session(logged: Logged) -> Logged:
    """Each step weighted by all choices up to it: right where one choice changes the next reward (per-decision importance sampling, Precup,
    Sutton and Singh 2000), and soon useless: the weights multiply."""
    products = {name: getattr(logged, name).reshape(-1, STEPS).cumprod(axis=1).ravel() for name in ("propensity", "target")}  # fmt: skip
    return replace(logged, **products)


def _plain(scene: Scene, rewards: Floats) -> Estimate:
    ones = np.ones(rewards.size)
    users = np.repeat(scene.users, STEPS)
    return estimators.replay(Logged(reward=rewards.ravel(), propensity=ones, target=ones, clusters=users))


def _modelled(scene: Scene, case: Case, chosen: Ints, rewards: Floats) -> tuple[Floats, Floats]:  # fmt: skip
    """A ridge regression of the reward -> of what was logged, of what the target would take, [n]. Fitted twice, each time on the other half of
    the viewers: a model that has seen a row's reward takes its noise for knowledge."""
    shown = np.take_along_axis(scene.videos, chosen[:, :, None], 2)[:, :, 0]
    half = scene.users % 2
    expected = np.empty(scene.videos.shape)
    for fold in (0, 1):
        others, own = scene.users[half != fold], scene.users[half == fold]
        x = scene.comparisons[others[:, None], shown[others]].reshape(-1, scene.comparisons.shape[2])
        weights, constant = light.ridge(x, rewards[others].ravel())
        expected[own] = (scene.comparisons[own] @ weights + constant)[np.arange(len(own))[:, None, None], scene.videos[own]]  # fmt: skip
    of_logged = np.take_along_axis(expected, chosen[:, :, None], 2).ravel()
    return of_logged, (expected * case.target).sum(axis=2).ravel()


def _row(case: Case, name: str, found: list[Estimate], truth: float, checks: list[Diagnosis]) -> dict[str, object]:
    first = found[0].interval
    values = np.array([one.interval.value for one in found])
    return {
        "world": case.world, "target": case.target_name, "estimator": name,
        "estimate": first.value, "low": first.low, "high": first.high, "truth": truth,
        "error_percent": 100 * (first.value - truth) / truth, "rmse_percent": 100 * float(np.sqrt(((values - truth) ** 2).mean())) / truth,
        "bias_percent": 100 * float(values.mean() - truth) / truth, "logs": len(found),
        "ess": found[0].ess, "mean_weight": checks[0].mean_weight.value, "refuted": sum(check.refuted for check in checks),
    }  # fmt: skip


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return shares


EXPERIMENTS: Mapping[str, Experiment] = {"off_policy": off_policy, "sharpness": sharpness}
CHARTS: Mapping[str, Chart] = {
    "sharpness": Chart(
        title="How wrong an estimate is, as the target moves away from the logging policy",
        x="sharpness",
        y="rmse_percent",
        low="",
        high="",
        series="estimator",
        x_label="sharpness of the personal policy",
        y_label="root mean square error, percent of the truth",
        flip=False,
    )
}
