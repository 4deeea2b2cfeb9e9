"""Five metrics of one page side by side, in grades and in yes or no, and the pages that mislead each (VIS-40 to VIS-44)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Ranking, Table
from common.eval import ranking
from visual_search import evaluate, world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.world import ALIKE, history

K = evaluate.K
MRR, RECALL, PRECISION, MAP, NDCG = METRICS = ("mrr", f"recall@{K}", f"precision@{K}", f"map@{K}", f"ndcg@{K}")
COIN = "a coin (control)"
FEW_JUDGED = f"{NDCG}, judged where the histogram showed"
EVERY = f"{NDCG}, of every grade"
EXTRA = (GAIN, EVERY, FEW_JUDGED)  # where truth has grades
TRUTHS = GRADED, BINARY = ("graded", "binary")
SHOWN = ("histogram", "model", "ceiling")  # whose means stand in the table
SAME = 1e-9
PEOPLE = "people"
ALL_ALIKE = 20  # images that are alike, of the pages below


@dataclass(frozen=True, kw_only=True)
class Trap:
    """Two pages of one search, as the grade in each place: a metric prefers `worse`, people `better`. Of the better page nobody judged any image where
    `unjudged`: they count as 0. `right`: a metric that is not misled by it, or people alone."""

    page: str
    worse: tuple[float, ...]
    better: tuple[float, ...]
    right: str = NDCG
    unjudged: bool = False


def _hits(*places: int, grade: float = 1.0) -> tuple[float, ...]:
    return tuple(grade * (place in places) for place in range(1, K + 1))


_FIRST_ALONE = Trap(page="one hit, nine strangers", worse=_hits(1), better=_hits(*range(2, 11)))
_LATE = Trap(page="five hits, all below the fold", worse=_hits(6, 7, 8, 9, 10), better=_hits(1, 2, 3, 4))
_COUSINS = Trap(page="five cousins, not four of the very thing", worse=_hits(1, 2, 3, 4, 5, grade=0.75), better=_hits(1, 2, 3, 4))  # fmt: skip
_FLAT = Trap(page="hits at two and three, not one at the top", worse=_hits(2, 3), better=_hits(1), right=MRR)
_UNJUDGED = Trap(page="two hits, not ten that nobody judged", worse=_hits(1, 2), better=_hits(*range(1, 11)), right=PEOPLE, unjudged=True)  # fmt: skip
TRAPS: Mapping[tuple[str, str], Trap] = {
    (GRADED, MRR): _FIRST_ALONE, (GRADED, RECALL): _COUSINS, (GRADED, PRECISION): _LATE, (GRADED, MAP): _COUSINS, (GRADED, NDCG): _UNJUDGED,
    (BINARY, MRR): _FIRST_ALONE, (BINARY, RECALL): _LATE, (BINARY, PRECISION): _LATE, (BINARY, MAP): _FLAT, (BINARY, NDCG): _UNJUDGED,
    (GRADED, FEW_JUDGED): _UNJUDGED, (GRADED, EVERY): _UNJUDGED, (GRADED, GAIN): _LATE,
}  # fmt: skip


def metrics(config: Config) -> Table:
    """Which metric tells the page that people like more, where truth has grades and where it is yes or no?

    Two pages of one request, by two of three systems (histogram, vectors, model). What people like is planted: for each place how often it is looked at, times the
    chance of a click, times the seconds it holds them; `binary`: as if all that is alike enough were the same. `misled`: how often the metric
    prefers the other page, a tie counting half; interval over users. The control is a coin. FEW_JUDGED knows the grades only of what stood on the
    histogram's page, as judgments pooled from one engine do. Beside it the means of SHOWN, and whether they stand in that order. Then, in exact
    sums, a page that misleads it: its value for the page that people like less, for the better one, and who is right. It decides which metric
    evaluate.py takes for primary."""
    lab = trained(config)
    pages = {name: lab.page(found) for name, found in _systems(lab).items()}
    judged = {name: _judged(lab, page, pages["histogram"], config.steepness) for name, page in pages.items()}
    return [
        {"truth": truth, "metric": metric}
        | mean("misled", *_misled({name: judged[name][truth] for name in pages if name != "ceiling"}, metric, lab.test.user_id))
        | _means({name: judged[name][truth][metric] for name in SHOWN})
        | _trapped(truth, metric, config.steepness)
        for truth in TRUTHS
        for metric in (*METRICS, *(EXTRA if truth == GRADED else ()), COIN)
    ]  # fmt: skip


def _systems(lab: Trained) -> dict[str, Ranking]:
    return {
        "histogram": lab.retrieved(lab.test, lab.histogram),
        "vectors": lab.nearest(lab.test),
        "model": lab.answers,
        "ceiling": world.ceiling(lab.config).rank(lab.test, lab.config.num_candidates),
    }


def _judged(lab: Trained, page: Ranking, pool: Ranking, steepness: float) -> dict[str, dict[str, Floats]]:
    """By truth: each metric of each page, [num_requests], and how much people like it."""
    relevant, ids = lab.judgments.relevant, page.ids[:, :K]
    grades, ideal = lab.judgments.gain(lab.test, ids), lab.judgments.gain(lab.test, relevant)
    marks, known = ranking.hits(ids, relevant), ranking.hits(ids, pool.ids)
    coin = np.random.default_rng([lab.config.seed, int(page.ids.sum())]).random(len(ids))
    found: dict[str, dict[str, Floats]] = {}
    for truth, of, best in ((GRADED, grades, ideal), (BINARY, marks.astype(float), (relevant >= 0).astype(float))):
        found[truth] = measured(of, marks, best) | {COIN: coin, PEOPLE: liked(of, ids >= 0, steepness)}
    in_pool = ideal * ranking.hits(relevant, pool.ids)
    best = world.ceiling(lab.config).rank(lab.test, K).ids
    found[GRADED] |= {
        EVERY: ranking.ndcg(grades, lab.judgments.gain(lab.test, best), K),
        FEW_JUDGED: ranking.ndcg(grades * marks * known, in_pool, K),
    }
    return found


def measured(grades: Floats, marks: Bools, ideal: Floats) -> dict[str, Floats]:
    """grades and marks (is it alike enough?) [n, K]; ideal [n, m] grades of all that is, 0 pads -> {metric: [n]}, as evaluate.py has them."""
    alike = (ideal > 0).sum(axis=1)
    return {
        MRR: ranking.mrr(marks),
        RECALL: ranking.recall(marks, alike, K),
        PRECISION: ranking.precision(marks, K),
        MAP: ranking.average_precision(marks, alike, K),
        NDCG: ranking.ndcg(grades * marks, ideal, K),
        GAIN: ranking.expected_gain(grades, K),
    }


def liked(grades: Floats, shown: Bools, steepness: float) -> Floats:
    """[n, K] -> [n] seconds that a page holds people for: the planted curves of world/history.py, all that is not the page held still."""
    look = history.examination(np.arange(1, grades.shape[1] + 1), steepness)
    click = 1 / (1 + np.exp(-(history.CLICK + history.CLICK_GRADE * grades)))
    seconds: Floats = (look * click * (history.DWELL + history.DWELL_GRADE * grades) * shown).sum(axis=1)
    return seconds


def _misled(of: Mapping[str, Mapping[str, Floats]], metric: str, users: Ints) -> tuple[Floats, Ints]:
    """Every two pages that people like differently: 1 where the metric prefers the other, 0.5 where it sees no difference; and whose they are."""
    units, whose = [], []
    for one, other in combinations(of.values(), 2):
        people, said = one[PEOPLE] - other[PEOPLE], one[metric] - other[metric]
        told = np.abs(people) > SAME
        wrong = np.where(np.abs(said) <= SAME, 0.5, people * said < 0)
        units.append(wrong[told].astype(np.float64))
        whose.append(users[told])
    return np.concatenate(units), np.concatenate(whose)


def _means(of: Mapping[str, Floats]) -> dict[str, object]:
    means = {name: float(units.mean()) for name, units in of.items()}
    return {**means, "ordered": int(list(means.values()) == sorted(means.values()))}


def _trapped(truth: str, metric: str, steepness: float) -> dict[str, object]:
    trap = TRAPS.get((truth, metric))
    if trap is None:
        return {"misled by": "everything", "worse": 0.5, "better": 0.5, "right": "every metric"}
    worse, better = trapped(trap, truth, steepness)
    name = NDCG if metric in (FEW_JUDGED, EVERY) else metric
    return {"misled by": trap.page, "worse": worse[name], "better": better[name], "right": trap.right}


def trapped(trap: Trap, truth: str, steepness: float) -> tuple[dict[str, float], dict[str, float]]:
    """Every metric of the worse and of the better page of a trap, ALL_ALIKE images being alike; and how much people like each."""
    true = np.array([trap.worse, trap.better])
    marks = true >= ALIKE
    grades = true if truth == GRADED else marks.astype(float)
    known = np.array([[True], [not trap.unjudged]])
    ideal = np.ones((2, ALL_ALIKE))
    found = measured(grades * known, marks & known, ideal)
    found[PEOPLE] = liked(grades, np.ones_like(marks), steepness)
    worse, better = ({name: float(units[at]) for name, units in found.items()} for at in (0, 1))
    return worse, better


EXPERIMENTS: Mapping[str, Experiment] = {"metrics": metrics}
