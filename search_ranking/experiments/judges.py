"""Who says which ranker is better: many judgments by a cheap judge, or few by careful people, for the same money.

The judge is simulated: no language model is called. It stands for one by what such judges are known to do wrong: they scatter, and they take a result
that repeats the words of the query for a better one. Prices, noise and bias are assumptions, stated here; the table says what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals, ranking
from common.eval.chart import Chart
from search_ranking import evaluate, world
from search_ranking.config import Config
from search_ranking.experiments.lab import GAIN, Lab, columns, trained
from search_ranking.model import LEARNT
from search_ranking.world.needs import GAINS, grades_of

MONEY = 40.0  # dollars
RATER_PRICE, RATER_NOISE = 0.2, 0.5  # dollars a judgment; its standard deviation in grades
FUSED, SERVED = "fused?", "served?"
JUDGES = ((FUSED, 0.002, 1.0), (FUSED, 0.002, 2.0), (FUSED, 0.02, 1.0), (SERVED, 0.002, 1.0))  # asked, price and noise
BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of the judge: grades given for holding all the query's words
REPS = 200
NDCG = f"ndcg@{evaluate.K}"
METRICS = (GAIN, NDCG)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Somebody who judges: observed = grade + bias x share of the query's words held + noise, rounded to 0..4."""

    price: float
    noise: float
    bias: float = 0.0

    def judged(self, grade: Floats, match: Floats, rng: np.random.Generator) -> Floats:
        seen = grade + self.bias * match + self.noise * rng.standard_normal(grade.shape)
        found: Floats = np.clip(np.round(seen), 0, len(GAINS) - 1)
        return found


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Two rankers' pages of the same requests side by side, [num_requests, 2 k]: the first's k results, then the second's. `grade`; `match`, the
    share of the query's words a result holds; `of`: the column whose judgment it takes, its own unless the first page has it too; `there`."""

    grade: Floats
    match: Floats
    of: Ints
    there: Bools

    @property
    def distinct(self) -> Bools:
        own: Bools = self.there & (self.of == np.arange(self.of.shape[1]))
        return own

    def take(self, rows: Ints) -> Pages:
        return Pages(**{name: column[rows] for name, column in vars(self).items()})


def judge(config: Config) -> Table:
    """Few careful raters or a cheap judge that likes the query's own words, for the same money: who says more often which ranker is better?

    The question is whether to add meaning to words: the fused list, a little better than words alone, or the ranker that is served, much better. A
    row is a question, a judge and its bias. `more_often_right`: share of REPS evaluations by expected gain in which the judge picks the better
    one, minus the raters' share, with its interval; `ndcg_` the shares by ndcg@10. `_error`: root mean square error of the estimated
    difference, whose `truth` is that of all requests by true grades: the two metrics may disagree on who is better. A document on both pages
    is judged once. Noise is averaged away and bias is not: for the close question it flips at a bias of about a grade, however many judgments
    the money buys; for the other it does not flip."""
    lab = trained(config)
    words = lab.retrieved(lab.model.legs.words)
    questions = {
        FUSED: _pages(lab, words, lab.candidates),
        SERVED: _pages(lab, words, lab.ranked(lab.candidates)),
    }
    table: Table = []
    for at, ((name, price, noise), bias) in enumerate(product(JUDGES, BIASES)):
        rng = np.random.default_rng([config.seed, 31, at])
        judged = Panel(price=price, noise=noise, bias=bias)
        label = {"judge": f"{name} {price:g} dollars, noise {noise:g}", "bias": bias}
        table.append(label | compared(questions[name], judged, Panel(price=RATER_PRICE, noise=RATER_NOISE), rng))
    return table


def compared(pages: Pages, judge: Panel, rater: Panel, rng: np.random.Generator) -> dict[str, float | None]:
    truth = {name: float(values.mean()) for name, values in units(pages, pages.grade).items()}
    cheap, dear = estimates(pages, judge, rng), estimates(pages, rater, rng)
    right = {name: [(found[name] * truth[name] > 0).astype(float) for found in (cheap, dear)] for name in METRICS}
    more = intervals.mean(right[GAIN][0] - right[GAIN][1], np.arange(REPS))
    return {
        "more_often_right": more.value,
        "low": more.low,
        "high": more.high,
        "judge_right": float(right[GAIN][0].mean()),
        "rater_right": float(right[GAIN][1].mean()),
        "judge_error": _error(cheap[GAIN], truth[GAIN]),
        "rater_error": _error(dear[GAIN], truth[GAIN]),
        "ndcg_judge_right": float(right[NDCG][0].mean()),
        "ndcg_rater_right": float(right[NDCG][1].mean()),
        "judge_queries": affordable(pages, judge.price),
        "rater_queries": affordable(pages, rater.price),
        "truth": truth[GAIN],
        "ndcg_truth": truth[NDCG],
    }


def units(pages: Pages, observed: Floats) -> dict[str, Floats]:
    """[n] of each metric: the second ranker minus the first, as these judgments [n, 2 k] have it. The best order that ndcg divides by is of what
    was judged."""
    seen = np.where(pages.there, np.take_along_axis(observed, pages.of, axis=1), 0.0)
    gains, ideal, k = np.array(GAINS)[seen.astype(np.int64)], np.where(pages.distinct, seen, 0.0), evaluate.K
    half = seen.shape[1] // 2
    return {
        GAIN: ranking.expected_gain(gains[:, half:], k) - ranking.expected_gain(gains[:, :half], k),
        NDCG: ranking.ndcg(seen[:, half:], ideal, k) - ranking.ndcg(seen[:, :half], ideal, k),
    }


def affordable(pages: Pages, price: float) -> int:
    """Queries of which every document on either page can be judged, one at least."""
    return max(1, int(MONEY / (price * pages.distinct.sum(axis=1).mean())))


def estimates(pages: Pages, panel: Panel, rng: np.random.Generator) -> dict[str, Floats]:
    """[REPS] of each metric: what an evaluation for MONEY would have said. Queries are drawn evenly from the requests, with return."""
    count = affordable(pages, panel.price)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(REPS):
        drawn = pages.take(rng.integers(0, len(pages.grade), count))
        for name, values in units(drawn, panel.judged(drawn.grade, drawn.match, rng)).items():
            found[name].append(float(values.mean()))
    return {name: np.array(values) for name, values in found.items()}


def _pages(lab: Lab, first: Ranking, second: Ranking) -> Pages:
    found, test = [lab.page(one).ids for one in (first, second)], lab.dataset.test
    ids = np.concatenate(found, axis=1)
    same = ids[:, :, None] == ids[:, None, :]
    planted = world.make(lab.config)
    row, place = np.nonzero(ids >= 0)
    grade, match = np.zeros(ids.shape), np.zeros(ids.shape)
    need = planted.queries.take(planted.meant(test.user_id, test.event_time)[row])
    grade[row, place] = grades_of(need, planted.documents.take(ids[row, place]))
    match[row, place] = columns(lab, Ranking(ids=ids, scores=np.zeros(ids.shape)))[:, list(LEARNT).index("any_match")]
    return Pages(grade=grade, match=match, of=same.argmax(axis=2), there=ids >= 0)


def _error(found: Floats, truth: float) -> float:
    return float(np.sqrt(((found - truth) ** 2).mean()))


EXPERIMENTS: Mapping[str, Experiment] = {"judge": judge}
CHARTS: Mapping[str, Chart] = {
    "judge": Chart(
        title="A cheap judge that likes the query's own words, or few raters, for the same money",
        x="bias", y="more_often_right", series="judge",
        x_label="grades given for holding all the query's words",
        y_label="picks the better ranker more often, share of evaluations",
    )
}  # fmt: skip
