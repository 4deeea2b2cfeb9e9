"""What experiments share: the case trained once, its pages under the rules, judged, and compared request by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from common.contract import Bools, Floats, Ints, Ranking, Table
from common.errors import InputError
from common.eval import intervals, ranking
from common.eval.report import Report, paired
from search_ranking import data, evaluate, features, model, policy
from search_ranking.baseline import Baseline, filled
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.features.among import EachAmong
from search_ranking.model import TwoStage, somebody_found
from search_ranking.policy import Policy
from search_ranking.schema import Dataset, Judgments

GAIN = f"expected_gain@{evaluate.K}"


@dataclass(frozen=True, eq=False)
class Lab:
    """The case as pipeline has it: its candidates, ranked and judged, are the report of the model."""

    config: Config
    dataset: Dataset
    judgments: Judgments
    features: Features
    model: TwoStage

    @cached_property
    def candidates(self) -> Ranking:
        """[num_requests, num_candidates] of the test requests, fused and not ranked."""
        return self.retrieved(self.model)

    def retrieved(self, ranker: TwoStage | Baseline, rules: Policy | None = None) -> Ranking:
        """[num_requests, num_candidates] of what the rules allow: those of the config, or `rules`."""
        return ranker.retrieve(
            self.dataset.test, self.config.num_candidates, self.dataset.history, self.among(rules or self.rules)
        )

    def filled(self, found: Ranking) -> Ranking:
        """A list nobody found holds what is watched most, as the lists of TwoStage.retrieve do."""
        nobody = np.flatnonzero((found.ids < 0).all(axis=1))
        return filled(found, nobody, self.features.popular, self.among(self.rules))

    @property
    def rules(self) -> Policy:
        return Policy(page_size=self.config.page_size)

    def among(self, rules: Policy) -> EachAmong:
        """What may be shown for each test request."""
        return rules.among(self.features, self.dataset.test)

    def ranked(self, candidates: Ranking, better: TwoStage | None = None) -> Ranking:
        return (better or self.model).rerank(self.dataset.test, candidates, self.dataset.history)

    def page(self, found: Ranking, rules: Policy | None = None) -> Ranking:
        """First pages, [num_requests, page_size], under the rules of the config or under `rules`."""
        return (rules or self.rules).apply(found, policy.contexts(self.features, self.dataset.test, found))

    def report(self, found: Ranking) -> Report:
        return evaluate.evaluate(self.page(found), self.judgments, self.config)

    def queries(self) -> list[str]:
        """[num_requests] as the legs read them."""
        return corrected(self.features, self.dataset.test.query.tolist())

    def recall(self, found: Ranking, name: str, rows: Bools | None = None) -> dict[str, float | None]:
        """{name, name_low, name_high}: of the relevant documents that may be shown the share among all of `found`, mean over requests that have
        one; of `rows` [num_requests] only. Interval over queries."""
        key, relevant = f"recall@{found.ids.shape[1]}", self.relevant
        known: Bools = np.max(relevant, axis=1) >= 0
        asked = np.flatnonzero(known if rows is None else known & rows)
        if not len(asked):
            raise InputError(f"None of {len(known)} requests of this slice has a relevant document. Judge more.")
        units = ranking.judge(found.ids[asked], relevant[asked], [key])[key]
        share = intervals.mean(units, self.dataset.test.query_id[asked])
        return {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}

    @cached_property
    def relevant(self) -> Ints:
        """[num_requests, m] documents that are relevant and may be shown, -1 the others: no leg can find what it may not."""
        return allowed(self.judgments.relevant, self.among(self.rules))

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
    return Lab(config, dataset, data.judgments(config), fitted, model.fit(dataset, fitted, config))


def allowed(ids: Ints, among: EachAmong) -> Ints:
    """ids [n, k], -1 pads -> the same with -1 for what may not be shown for that request."""
    return np.array([np.where(among(row).of(each), each, -1) for row, each in enumerate(ids)])


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


def ordered(candidates: Ranking, values: Floats) -> Ranking:
    """candidates [n, k]; values of those that are no padding, in their order [num_pairs] -> by value, ties as they stood. A list of what nobody
    found stays as it stands, as TwoStage leaves it."""
    scores = np.full(candidates.ids.shape, -np.inf)
    scores[candidates.ids >= 0] = values
    return Ranking.best_first(candidates.ids, np.where(somebody_found(candidates.scores), scores, candidates.scores))


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
