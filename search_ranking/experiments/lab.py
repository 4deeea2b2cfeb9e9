"""What experiments share: the case trained once, its pages under the rules, judged, and compared request by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.contract import Bools, Floats, Ints, Ranking, Table
from common.errors import InputError
from common.eval import intervals, ranking
from common.eval.report import Report, paired
from search_ranking import data, evaluate, features, model, policy
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.model import TwoStage
from search_ranking.schema import Dataset, Judgments

GAIN = f"expected_gain@{evaluate.K}"


@dataclass(frozen=True, eq=False)
class Lab:
    """The case as it is served. `candidates` [num_requests, num_candidates] of the test requests, fused and not ranked."""

    config: Config
    dataset: Dataset
    judgments: Judgments
    features: Features
    model: TwoStage
    candidates: Ranking

    def ranked(self, candidates: Ranking, better: TwoStage | None = None) -> Ranking:
        return (better or self.model).rerank(self.dataset.test, candidates, self.dataset.history)

    def page(self, found: Ranking, rules: policy.Policy | None = None) -> Ranking:
        """First pages, [num_requests, page_size], under the rules of the config or under `rules`."""
        law = rules or policy.Policy(page_size=self.config.page_size)
        return law.apply(found, policy.contexts(self.features, self.dataset.test, found))

    def report(self, found: Ranking) -> Report:
        return evaluate.evaluate(self.page(found), self.judgments, self.config)

    def queries(self) -> list[str]:
        """[num_requests] as the legs read them."""
        return corrected(self.features, self.dataset.test.query.tolist())

    def recall(self, found: Ranking, name: str, rows: Bools | None = None) -> dict[str, float | None]:
        """{name, name_low, name_high}: of the relevant documents the share among all of `found`, mean over requests that have one; of `rows`
        [num_requests] only. Interval over queries."""
        key = f"recall@{found.ids.shape[1]}"
        known: Bools = np.max(self.judgments.relevant, axis=1) >= 0
        asked = np.flatnonzero(known if rows is None else known & rows)
        if not len(asked):
            raise InputError(f"None of {len(known)} requests of this slice has a relevant document. Judge more.")
        units = ranking.judge(found.ids[asked], self.judgments.relevant[asked], [key])[key]
        share = intervals.mean(units, self.dataset.test.query_id[asked])
        return {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}

    @property
    def few_shared(self) -> Bools:
        """[num_requests]: most of what answers them shares no word with them."""
        few: Bools = self.judgments.slices["words"] == "few shared"
        return few


@lru_cache(maxsize=1)
def trained(config: Config) -> Lab:
    """Raises InputError on real data: what is asked here only the world answers."""
    if config.data != "world":
        raise InputError(f"This experiment asks what was planted; {config.data} does not know. Leave --data out.")
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    better = model.fit(dataset, fitted, config)
    candidates = better.retrieve(dataset.test, config.num_candidates)
    return Lab(config, dataset, data.judgments(config), fitted, better, candidates)


def corrected(fitted: Features, texts: Sequence[str]) -> list[str]:
    return [" ".join(one.corrected) for one in fitted.understand(texts)]


def columns(lab: Lab, candidates: Ranking) -> Floats:
    """[num_pairs, len(LEARNT)] what a ranker reads of every candidate, request by request, padding left out."""
    test = lab.dataset.test
    row, place = np.nonzero(candidates.ids >= 0)
    return model.scored(
        lab.features, lab.model.legs, test.query.tolist(), row, test.query_id[row], candidates.ids[row, place],
        test.event_time[row], test.moment[row], lab.dataset.history,
    )  # fmt: skip


def ordered(ids: Ints, values: Floats) -> Ranking:
    """ids [n, k], -1 pads; values of the others in their order [num_pairs] -> by value, ties as they stood."""
    scores = np.full(ids.shape, -np.inf)
    scores[ids >= 0] = values
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranking(ids=np.take_along_axis(ids, order, 1), scores=np.take_along_axis(scores, order, 1))


def against(column: str, reports: Mapping[str, Report], base: str) -> Table:
    """One row a report: its gain, the difference from `base` with the interval of that difference over queries, and ndcg@10 beside it."""
    table: Table = []
    for name, report in reports.items():
        change = paired(report, reports[base])
        table.append(
            {column: name, report.primary: report.metrics[report.primary].value, f"against {base}": change.value}
            | {"low": change.low, "high": change.high, "ndcg@10": report.metrics["ndcg@10"].value}
        )
    return table


def change(units: Floats, base: Floats, clusters: Ints, name: str) -> dict[str, float | None]:
    """{name, low, high}: the mean difference of two columns [n] of the same requests, its interval over `clusters` [n]."""
    found = intervals.mean(units - base, clusters)
    return {name: found.value, "low": found.low, "high": found.high}
