"""Small click logs with a known answer: who stands where, who is looked at, who is clicked.

A query has `num_docs` candidates of grades 0 to 3, told by features (not in a straight line) and, by `hidden`, by what no feature tells. The
incumbent orders them by `strength` x relevance and the rest x feature 0, popularity, which says nothing of relevance: what it prefers for a
bad reason is seen and clicked more, and a model of raw clicks learns the reason. Several incumbents differ by `spread`; a session gets one
at random. Three click models:

    pbm      clicked = seen x attracted, P(seen) = (slot + 1) ** -eta             (Richardson et al. 2007; Joachims et al. 2017)
    cascade  looks from the top, clicks the first that attracts, leaves           (Craswell et al. 2008); eta is not used
    trust    as pbm, but a slot is clicked for its place: P(click | seen, relevant) = plus[slot], P(click | seen, not) = minus[slot]
             (Agarwal et al. 2019, Addressing Trust Bias; the numbers of Vardasbi et al. 2020)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints

GRADES = (0.6, 0.8, 0.93)  # quantiles of relevance at which the next grade begins


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`strength` in [0, 1]: correlation of the incumbents' common part with relevance. `hidden` in [0, 1]: share of the variance of relevance
    that no feature tells. `noise`: P(attracted) at grade 0. `swaps`: share of sessions in which slot 0 and a random other one change places."""

    num_queries: int = 400
    num_docs: int = 20
    num_slots: int = 10
    eta: float = 1.0
    strength: float = 0.6
    hidden: float = 0.0
    noise: float = 0.1
    rankers: int = 4
    spread: float = 0.7
    swaps: float = 0.0
    clicks: str = "pbm"


@dataclass(frozen=True, kw_only=True)
class World:
    """features [num_queries, num_docs, 8], grades and attraction (P(attracted)) [num_queries, num_docs], scores [rankers, num_queries, num_docs]."""

    plan: Plan
    features: Floats
    grades: Ints
    attraction: Floats
    scores: Floats

    @property
    def examination(self) -> Floats:
        """[num_slots] P(seen) of pbm and trust. Under a cascade it depends on the documents: take `Log.seen` by slot."""
        found: Floats = np.arange(1, self.plan.num_slots + 1, dtype=float) ** -self.plan.eta
        return found

    @property
    def trust(self) -> tuple[Floats, Floats]:
        """(plus, minus) [num_slots]: P(click | seen) of the relevant and of the others."""
        place = np.arange(1, self.plan.num_slots + 1)
        return 1 - (np.minimum(place, 20) + 1) / 100, 0.65 / np.minimum(place, 10)


@dataclass(frozen=True, kw_only=True)
class Log:
    """[n] each, a session's rows side by side in order of slot. `seen` is the truth and no estimator gets it. A document's id is its place
    among its query's candidates."""

    session: Ints
    query_id: Ints
    doc_id: Ints
    slot: Ints
    clicked: Bools
    swapped: Bools
    seen: Bools


def world(plan: Plan, seed: int) -> World:
    rng = np.random.default_rng([seed, 1])
    features = rng.normal(size=(plan.num_queries, plan.num_docs, 8))
    told = features[..., 1] + 0.8 * np.abs(features[..., 2]) + 0.7 * features[..., 3] * features[..., 4]
    shape = told.shape
    relevance = np.sqrt(1 - plan.hidden) * _standard(told) + np.sqrt(plan.hidden) * rng.normal(size=shape)
    grades = np.searchsorted(np.quantile(relevance, GRADES), relevance).astype(np.int64)
    attraction = plan.noise + (0.95 - plan.noise) * (2.0**grades - 1) / 7
    common = plan.strength * _standard(relevance) + np.sqrt(1 - plan.strength**2) * features[..., 0]
    scores = common + plan.spread * rng.normal(size=(plan.rankers, *shape))
    return World(plan=plan, features=features, grades=grades, attraction=attraction, scores=scores)


def log(world: World, num_sessions: int, seed: int) -> Log:
    plan, rng = world.plan, np.random.default_rng([seed, 2])
    order = np.argsort(-world.scores, axis=2)[:, :, : plan.num_slots]
    query, ranker = rng.integers(plan.num_queries, size=num_sessions), rng.integers(plan.rankers, size=num_sessions)
    shown, swapped = _swap(order[ranker, query], plan.swaps, rng)
    attraction = world.attraction[query[:, None], shown]
    seen, clicked = _react(world, attraction, rng)
    return Log(
        session=np.repeat(np.arange(num_sessions), plan.num_slots),
        query_id=np.repeat(query, plan.num_slots),
        doc_id=shown.ravel(),
        slot=np.tile(np.arange(plan.num_slots), num_sessions),
        clicked=clicked.ravel(),
        swapped=swapped.ravel(),
        seen=seen.ravel(),
    )


def _swap(shown: Ints, share: float, rng: np.random.Generator) -> tuple[Ints, Bools]:
    """A coin of the same odds for every session, or the swapped would not be like the others."""
    moved, swapped = shown.copy(), np.zeros(shown.shape, bool)
    rows = np.flatnonzero(rng.random(len(shown)) < share)
    partner = rng.integers(1, shown.shape[1], size=len(rows))
    moved[rows, 0], moved[rows, partner] = shown[rows, partner], shown[rows, 0]
    swapped[rows, 0] = swapped[rows, partner] = True
    return moved, swapped


def _react(world: World, attraction: Floats, rng: np.random.Generator) -> tuple[Bools, Bools]:
    """attraction [num_sessions, num_slots] -> (seen, clicked), the same shape."""
    attracted = rng.random(attraction.shape) < attraction
    if world.plan.clicks == "cascade":
        looked: Bools = np.cumsum(attracted, axis=1) - attracted == 0  # nobody before attracted
        return looked, looked & attracted
    seen = rng.random(attraction.shape) < world.examination
    if world.plan.clicks == "pbm":
        return seen, seen & attracted
    assert world.plan.clicks == "trust", world.plan.clicks
    plus, minus = world.trust
    return seen, seen & (rng.random(attraction.shape) < np.where(attracted, plus, minus))


def _standard(values: Floats) -> Floats:
    found: Floats = (values - values.mean()) / values.std()
    return found
