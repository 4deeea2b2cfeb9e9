"""Which pairs to have judged next: as many judgments, chosen in four ways, against a lot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.population import DAY
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.lab import BATCH, Lab
from visual_search.experiments.trained import GAIN, mean
from visual_search.model.encoders.lesson import ALIKE
from visual_search.model.encoders.own import Own
from visual_search.model.parts import Vectors
from visual_search.world.asking import CROP, PHOTO
from visual_search.world.likeness import grades

BUDGETS = (250, 500, 2_000)  # judgments; the first are by lot in every way
NEAREST = 20  # images of each photo that are worth asking about
SEEDS = 1
CROWD = 4_000  # pairs looked at when spread is sought: all of them cost a square
OF_HARDEST = 5  # pairs of each photo


@dataclass(frozen=True, eq=False)
class Pool:
    """[n] pairs of a photo and an image that may be judged, as a lesson numbers pictures; `truth`, what people would say, is read only of those chosen."""

    photo: Ints
    image: Ints
    truth: Floats

    def __len__(self) -> int:
        return len(self.photo)

    def pairs(self, judged: Ints) -> Ints:
        """[m, 2] of these rows those that turned out alike."""
        rows = judged[self.truth[judged] >= ALIKE]
        return np.stack([self.photo[rows], self.image[rows]], axis=1)


@dataclass(frozen=True, eq=False)
class Sight:
    """How the pool looks to the network so far: vectors [n, dim] of each pair's photo and image; `near` [n], their likeness; `alike` [n], the chance that people
    call them alike, as far as those judged tell."""

    photo: Vectors
    image: Vectors
    near: Floats
    alike: Floats


Pick = Callable[[Pool, Sight, Ints, int, np.random.Generator], Ints]
"""Pool, how it looks, rows that nobody judged yet, how many, a lot -> rows."""


def active_learning(config: Config) -> Table:
    """Which pairs should people judge, if the encoder is to learn most from each judgment?

    The pool: photos of training, each with its NEAREST by a network that knows images and tags alone. The first of BUDGETS by lot; the others are chosen
    by the network that learnt from those before. Each network begins anew, alike and for as long; what was judged unlike teaches nothing.
    `more`: planted gain of pages by likeness alone, minus that of judgments by lot, paired over users, mean over SEEDS; the interval knows no other seeds.
    `uncertain`: chance nearest to a half; `diverse`: farthest from all that is judged; `hardest`: of photos whose best image is least like them; the
    surest are the foil. `alike`: share of what was judged that turned out so. It decides what the judges' next pages hold."""
    lab = Lab.read(config)
    pool = pooled(lab, lab.taught(np.empty((0, 2), np.int64), batch_size=2 * BATCH))
    runs: dict[str, list[list[Point]]] = {name: [] for name in WAYS}
    for seed in range(SEEDS):
        first = np.random.default_rng([config.seed, 83, seed]).permutation(len(pool))[: BUDGETS[0]]
        network = learnt(lab, pool.pairs(first), seed)
        for name, pick in WAYS.items():
            runs[name].append(_run(lab, pool, pick, (first, network), seed))
    return [_row(lab, runs, name, at) for name in WAYS if name != LOT for at in range(len(BUDGETS) - 1)]


def pooled(lab: Lab, encoder: Own) -> Pool:
    """Photos somebody searched with in the training days, and images anybody could see by then."""
    truth = world.make(lab.case.config)
    asked, until = truth.log_searches, world.START + round(world.TRAIN * lab.case.config.days * DAY)
    own = np.flatnonzero(np.isin(asked.kind, (PHOTO, CROP)) & (asked.event_time < until))
    photo, first = np.unique(asked.photo[own], return_index=True)
    of = truth.pictures
    place = np.flatnonzero((of.private == 0) & (of.explicit == 0) & ~of.unseen & (of.uploaded < until))
    photos, gallery = (encoder.images(pixels) for pixels in (lab.lesson.photos[photo], lab.lesson.gallery[place]))
    near = np.argsort(-photos @ gallery.T, axis=1, kind="stable")[:, :NEAREST]
    image, row = place[near.ravel()], np.repeat(np.arange(len(photo)), near.shape[1])
    said = np.round(4 * grades(asked.wanted.take(own[first[row]]), of.thing.take(image))) / 4
    return Pool(photo=photo[row], image=len(lab.lesson.photos) + image, truth=said)


Point = tuple[Floats, float]
"""Of one network: gains [num_requests]; of its judgments the share that turned out alike."""


def _run(lab: Lab, pool: Pool, pick: Pick, start: tuple[Ints, Own], seed: int) -> list[Point]:
    """-> at each budget but the first, which is judged and learnt from already."""
    judged, network = start
    rng, points = np.random.default_rng([lab.config.seed, 89, seed]), list[Point]()
    for budget in BUDGETS[1:]:
        rest = np.setdiff1d(np.arange(len(pool)), judged)
        chosen = pick(pool, sight(lab, network, pool, judged), rest, min(budget - len(judged), len(rest)), rng)
        judged = np.concatenate([judged, chosen])
        network = learnt(lab, pool.pairs(judged), seed)
        points.append((lab.gains(network), float((pool.truth[judged] >= ALIKE).mean())))
    return points


def learnt(lab: Lab, pairs: Ints, seed: int) -> Own:
    return lab.taught(pairs, seed=seed)


def sight(lab: Lab, encoder: Own, pool: Pool, judged: Ints) -> Sight:
    """A picture is encoded once, however many pairs it is in."""
    photo, image = (_vectors(lab, encoder, pictures) for pictures in (pool.photo, pool.image))
    near = np.einsum("nd,nd->n", photo, image).astype(np.float64)
    return Sight(photo=photo, image=image, near=near, alike=chance(near, pool.truth[judged] >= ALIKE, judged))


def chance(near: Floats, alike: Bools, judged: Ints) -> Floats:
    """[n] that a pair so near is alike: a logistic regression on those judged; where they are all of one kind it tells nothing."""
    from sklearn.linear_model import LogisticRegression

    if alike.all() or not alike.any():
        return np.full(len(near), 0.5)
    found: Floats = LogisticRegression(C=100.0).fit(near[judged, None], alike).predict_proba(near[:, None])[:, 1]
    return found


def _vectors(lab: Lab, encoder: Own, pictures: Ints) -> Vectors:
    known, back = np.unique(pictures, return_inverse=True)
    return encoder.images(lab.lesson.pixels(known))[back]


def _by_lot(pool: Pool, sight: Sight, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    return rng.permutation(rest)[:num]


def _uncertain(pool: Pool, sight: Sight, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    return _first(rest, np.abs(sight.alike - 0.5), num)


def _surest(pool: Pool, sight: Sight, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    return _first(rest, -sight.near, num)


def _hardest(pool: Pool, sight: Sight, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    """OF_HARDEST of each photo, from the photo on whose nearest is farthest."""
    order = rest[np.lexsort((-sight.near[rest], pool.photo[rest]))]
    _, first, count = np.unique(pool.photo[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, count)
    best = np.repeat(sight.near[order[first]], count)
    return order[np.lexsort((best, place >= OF_HARDEST))][:num]


def _diverse(pool: Pool, sight: Sight, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    """Farthest first (Gonzalez 1985), from the judged on: each is the pair farthest from all that came before."""
    place = np.concatenate([sight.photo, sight.image], axis=1)
    judged, crowd = np.setdiff1d(np.arange(len(pool)), rest), rng.permutation(rest)[: max(CROWD, num)]
    near = (place[crowd] @ place[judged].T).max(axis=1)  # all of one length: the nearest has the greatest product
    chosen = np.empty(num, np.int64)
    for at in range(num):
        chosen[at] = near.argmin()
        near = np.maximum(near, place[crowd] @ place[crowd[chosen[at]]])
        near[chosen[at]] = np.inf
    return crowd[chosen]


def _first(rest: Ints, cost: Floats, num: int) -> Ints:
    found: Ints = rest[np.argsort(cost[rest], kind="stable")[:num]]
    return found


LOT = "by lot"
WAYS: Mapping[str, Pick] = {
    LOT: _by_lot,
    "uncertain": _uncertain,
    "diverse": _diverse,
    "hardest": _hardest,
    "surest (foil)": _surest,
}


def _row(lab: Lab, runs: Mapping[str, Sequence[Sequence[Point]]], name: str, at: int) -> dict[str, Any]:
    ours, lot = (np.mean([run[at][0] for run in runs[way]], axis=0) for way in (name, LOT))
    alike, usual = (float(np.mean([run[at][1] for run in runs[way]])) for way in (name, LOT))
    users = lab.case.test.user_id
    return {"way": name, "judgments": BUDGETS[at + 1], **mean("more", ours - lot, users), **mean(GAIN, ours, users)} | {
        "by lot": float(lot.mean()), "alike": alike, "alike by lot": usual,
    }  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"active_learning": active_learning}
