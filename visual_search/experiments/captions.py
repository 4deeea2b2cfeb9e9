"""Captions as a second index: what a model that looks at pictures would write about each, by how often it is wrong (LLM-04).

The writer is a stand-in: no language model is called. It names shape, material, pattern and colour of what is to be seen, each by lot with a stated
probability, and always uses the same word for a thing, where owners use three and leave most of it out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from common.eval.chart import Chart
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, mean, trained
from visual_search.schema import Texts
from visual_search.world import World
from visual_search.world.wording import ORDER, WORDS

WRONG = (0.0, 0.1, 0.3, 0.6, 1.0)  # of the names a caption gives
RANKS = 60  # of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)


def captions(config: Config) -> Table:
    """Does a second index, of captions, pay beside that of pictures, and how right must they be?

    A row is the share of names that are given by lot; at 1 a caption tells nothing, the foil. The word tower makes a vector of each caption, what is asked
    is looked for among them as among the pictures, and the two lists are fused by rank: what is served, reranked, and that of the captions.
    `difference`: planted gain of the fused page minus that of the served one, paired over users; then that of searches with words alone, with a photo
    alone, with both; `captions alone`: gain without the first index. What a million captions cost is a sum on the page. It decides whether
    anybody pays for them, and for whose searches: the chart is of words alone, as a caption says less of a photo than the photo."""
    lab, truth = trained(config), world.make(config)
    kind, users = lab.judgments.slices["kind"], lab.test.user_id
    asked = lab.model.asked(lab.features.seen(lab.test), lab.test.text).query
    served, table = lab.gains(lab.answers), []
    for wrong in WRONG:
        written = lab.model.encoder.texts(caption(truth, wrong, config.seed).tolist())
        found = best((asked @ written.T).astype(np.float64), lab.dataset.catalog.image_id, config.num_candidates)
        both = lab.gains(fused(lab.answers, found, config.num_candidates))
        change, parts = intervals.mean(both - served, users), dict[str, float | None]()
        for name, kinds in ASKED.items():
            some = np.isin(kind, kinds)
            parts |= mean(name, (both - served)[some], users[some])
        table.append(
            {"wrong": wrong, "difference": change.value, "low": change.low, "high": change.high, **parts}
            | {
                GAIN: float(both.mean()),
                "served": float(served.mean()),
                "captions alone": float(lab.gains(found).mean()),
            }
        )
    return table


ASKED: Mapping[str, tuple[str, ...]] = {
    "words": ("words",),
    "photo": ("photo", "photo and crop", "gallery image"),
    "photo and words": ("photo and words",),
}


def caption(truth: World, wrong: float, seed: int) -> Texts:
    """[num_images]: red striped wooden chair. Of every `wrong` images a name is drawn from all its attribute knows, the right one among them."""
    of, rng = truth.pictures.thing, np.random.default_rng([seed, 97])
    values = (of.shape, of.material, of.pattern, of.colour)
    said = []
    for attribute in ORDER:
        words = np.array([forms.split("/")[0] for forms in WORDS[attribute]])
        lot = rng.random((2, len(of)))
        named = np.where(lot[0] < wrong, (lot[1] * len(words)).astype(np.int64), values[attribute])
        said.append(words[named])
    return np.array([" ".join(row) for row in zip(*said, strict=True)], dtype=np.str_)


def best(scores: Floats, ids: Ints, k: int) -> Ranking:
    """scores [n, num_images] -> the k best."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Ranking(ids=ids[order], scores=np.take_along_axis(scores, order, axis=1))


def fused(one: Ranking, other: Ranking, k: int) -> Ranking:
    """By the sum of 1 / (RANKS + place) over both; a list that lacks an image adds nothing."""
    rows = []
    for ids in zip(one.ids, other.ids, strict=True):
        known = np.unique(np.concatenate(ids))
        known = known[known >= 0]
        score = np.zeros(len(known))
        for some in ids:
            there = np.flatnonzero(some >= 0)
            score[np.searchsorted(known, some[there])] += 1 / (RANKS + 1.0 + there)
        order = np.argsort(-score, kind="stable")[:k]
        empty = k - len(order)
        rows.append(
            (
                np.pad(known[order], (0, empty), constant_values=-1),
                np.pad(score[order], (0, empty), constant_values=-np.inf),
            )
        )
    ids_of, scores = zip(*rows, strict=True)
    return Ranking(ids=np.array(ids_of), scores=np.array(scores))


EXPERIMENTS: Mapping[str, Experiment] = {"captions": captions}
CHARTS: Mapping[str, Chart] = {
    "captions": Chart(
        title="An index of captions beside that of pictures, for searches with words alone, by how often a caption is wrong",
        x="wrong",
        y="words",
        low="words_low",
        high="words_high",
        x_label="share of a caption's names that are given by lot",
        y_label=f"{GAIN} of searches with words alone, with captions minus as served (above zero: captions)",
    )
}
