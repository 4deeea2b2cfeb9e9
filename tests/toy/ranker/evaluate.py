"""Pages against the key.

In:     a Ranking, whoever made it, after the rules; and the judgments.
Out:    a Report: expected gain of the page (primary) and its hit rate, with intervals over people.
Choice: the planted gain of the ranker's own answers, because a log holds only what the incumbent showed.
Else:   hits against the log alone, on real data: there the gain is 1 for a book read later.
Breaks: a page judged before the rules: what may not be shown would be paid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.contract import Ranking
from common.eval import intervals, ranking
from common.eval.report import Published, Report
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Judgments

PUBLISHED: Mapping[str, Sequence[Published]] = {}


def evaluate(predictions: Ranking, judgments: Judgments, config: Config) -> Report:
    k, user_id = config.page, judgments.requests.user_id
    units = ranking.expected_gain(judgments.gain(judgments.requests, predictions.ids), k)
    hits = ranking.hit_rate(ranking.hits(predictions.ids, judgments.relevant), k)
    return Report(
        primary=f"expected_gain@{k}",
        origin=judgments.origin,
        metrics={f"expected_gain@{k}": intervals.mean(units, user_id), f"hit_rate@{k}": intervals.mean(hits, user_id)},
        units=units,
        clusters=user_id,
    )
