"""How good a page of results is: planted gain where there is one, judged grades where there is not.

In:     a Ranking after the rules, whoever made it; Judgments.
Out:    Report: primary expected_gain@10 on the world, ndcg@10 on real data; the metrics of the textbooks beside it; slices by how often the query
        is asked and whether it shares a word with what answers it.
Choice: judge the answers themselves. Clicks of a log pay whoever put the same results in the same places.
Else:   mrr, where one document answers the query; precision, where the page is read to its end.
Breaks: judging before the rules (pipeline applies the same ones to baseline, model and ceiling), rows instead of queries in an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.contract import Floats, Ints, Ranking
from common.eval import intervals, ranking
from common.eval.report import Published, Report
from search_ranking.config import Config
from search_ranking.schema import Judgments

K = 10
JUDGED = ("mrr", f"recall@{K}", f"precision@{K}", f"hit_rate@{K}", f"map@{K}")


def evaluate(predictions: Ranking, judgments: Judgments, config: Config) -> Report:
    """Every metric is a mean over requests, its interval over queries: two people who ask the same get the same page."""
    queries, ids = judgments.requests.query_id, predictions.ids
    units = {f"ndcg@{K}": graded(ids, judgments.relevant, judgments.grades)}
    units |= ranking.judge(ids, judgments.relevant, JUDGED)
    primary = f"ndcg@{K}"
    if judgments.origin == "world":
        primary = f"expected_gain@{K}"
        page = ids[:, :K]
        units = {primary: ranking.expected_gain(judgments.gain(judgments.requests, page), K), **units}
    return Report(
        primary=primary,
        origin=judgments.origin,
        metrics={key: intervals.mean(unit, queries) for key, unit in units.items()},
        slices=intervals.by_slice(primary, units[primary], queries, judgments.slices),
        units=units[primary],
        clusters=queries,
    )


def graded(ids: Ints, relevant: Ints, grades: Floats) -> Floats:
    """ndcg@K whose gain is the grade. ids [n, k], relevant [n, m] with their grades [n, m] -> [n]."""
    worth = np.where(relevant >= 0, grades, 0.0)
    found = (ids[:, :K, None] == relevant[:, None, :]) & (ids[:, :K, None] >= 0)
    return ranking.ndcg((found * worth[:, None, :]).sum(axis=2), worth, K)


_PYSERINI = "Pyserini's reproduction table of BEIR (Thakur et al. 2021), SciFact test"
PUBLISHED: Mapping[str, Sequence[Published]] = {
    "scifact": [
        Published(name="bge-base-en-v1.5", metric=f"ndcg@{K}", value=0.7408, source=_PYSERINI, comparable="yes"),
        Published(name="BM25, flat", metric=f"ndcg@{K}", value=0.6789, source=_PYSERINI, comparable="yes"),
    ]
}
"""By data set; the first figure is the third column of its reports."""
