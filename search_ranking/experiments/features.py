"""Features that look like relevance: a click rate that knows the future, and what the old engine sorted by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from common.contract import Experiment, FeatureStore, Floats, Ints, Ranking, Table
from common.eval import ranking
from common.features.views import View
from search_ranking import baseline, data, evaluate, features, model, policy
from search_ranking.config import Config
from search_ranking.experiments.lab import ordered
from search_ranking.experiments.worlds import over_worlds, worlds
from search_ranking.model.ltr import Groups, trees
from search_ranking.model.ltr.trees import Trees
from search_ranking.model.retrieval import dense
from search_ranking.schema import Dataset, Judgments, Rows

WORLDS = 4
GAIN, CLICKS = f"expected_gain@{evaluate.K}", f"click ndcg@{evaluate.K}"
OLD: Mapping[str, tuple[str, ...]] = {
    "popularity": ("views",),
    "age": ("age_days",),
    "length": ("length",),
    "all three": ("views", "age_days", "length"),
    "clicks on the document": ("doc_seen", "doc_coec", "doc_satisfied", "doc_lately"),
}
"""What the trees do not read, by name of the row. None of it says anything about the query."""
EVERY = (*model.LEARNT, *dict.fromkeys(name for names in OLD.values() for name in names))
HISTORY = ("pair_coec", "pair_satisfied")
Units = Mapping[str, Floats]


def leak(config: Config) -> Table:
    """What does it cost to count the clicks on a result over the whole log, and not as of the moment?

    The same trees, taught and tried out on such counts, and then served, where nobody knows the future. Offline, by the clicks on the pages of the
    last days, every count holds the click it is to foretell: there the leak wins by far. Served, by planted gain, it is worse than having no
    counts at all, which is the foil: the trees trust a number that is not there."""
    none = {name: way for name, way in model.LEARNT.items() if name not in HISTORY}
    found = []
    for lab in map(Lab.of, worlds(config, WORLDS)):
        honest, whole = lab.dataset.history, Whole(lab.dataset.history)
        served, shown = lab.candidates(honest), lab.shown(honest)
        right, wrong = lab.lessons(honest), lab.lessons(whole)
        found.append((lab, {
            "as of the moment": lab.judged(right, model.LEARNT, served, shown),
            "over the whole log": lab.judged(wrong, model.LEARNT, served, lab.shown(whole)),
            "no counts": lab.judged(right, none, served, shown),
        }))  # fmt: skip
    return _against("counted", found)


def popularity(config: Config) -> Table:
    """Should the trees read how popular, how old and how long a document is?

    The old engine broke ties by views, so in its log they look like relevance. Each beside the served trees, which read none of them: by clicks on
    the old engine's own pages, and by planted gain among all candidates. Clicks see no difference. Planted gain sees none of a single one of
    the three either, and a loss by all of them together, and by what people clicked on for other queries."""
    found = []
    for lab in map(Lab.of, worlds(config, WORLDS)):
        history = lab.dataset.history
        lessons, served, shown = lab.lessons(history), lab.candidates(history), lab.shown(history)
        judged = partial(lab.judged, lessons, served=served, shown=shown)
        rows = {"none of them": judged(learnt=model.LEARNT)}
        rows |= {name: judged(learnt={**model.LEARNT, **dict.fromkeys(more, model.FREE)}) for name, more in OLD.items()}
        found.append((lab, rows))
    return _against("learnt from", found)


@dataclass(frozen=True)
class Whole:
    """A store that answers as if the log were over: counts hold what came after the moment, and at it."""

    store: FeatureStore

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        return self.store.read(view, keys, np.full_like(moments, np.iinfo(np.int64).max))


@dataclass(frozen=True, eq=False)
class Lab:
    """One world up to its candidates; every table has the columns EVERY. pages: those of the last days before the judged ones that hold a click."""

    config: Config
    dataset: Dataset
    key: Judgments
    fitted: features.Features
    legs: model.Legs
    rows: Rows  # to learn from
    pages: Rows
    found: Ranking

    @staticmethod
    def of(config: Config) -> Lab:
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
        own, vectors, rows = model.meaning(dataset, config)
        index = dense.build(dataset.catalog.doc_id, vectors, own.fingerprint)
        legs = model.Legs(baseline.fit(dataset, fitted, config), own, index)
        _, page = np.unique(dataset.valid.request_id, return_inverse=True)
        pages = dataset.valid.take((np.bincount(page, dataset.valid.labels["clicked"]) > 0)[page])
        among = policy.Policy(page_size=config.page_size).among(fitted, dataset.test)
        found = legs.fused(fitted, dataset.test.query.tolist(), config.num_candidates, config.fusion_weight, among)
        return Lab(config, dataset, data.judgments(config), fitted, legs, rows, pages, found)

    def lessons(self, store: FeatureStore) -> Groups:
        dataset = Dataset(**vars(self.dataset) | {"history": store})
        return model.lessons(self.rows, self.legs, self.fitted, dataset, self.config, EVERY)[0]

    def candidates(self, store: FeatureStore) -> Floats:
        row, column = np.nonzero(self.found.ids >= 0)
        test = self.dataset.test
        return model.scored(
            self.fitted, self.legs, test.query.tolist(), row, test.query_id[row], self.found.ids[row, column],
            test.event_time[row], test.moment[row], store, EVERY,
        )  # fmt: skip

    def shown(self, store: FeatureStore) -> Floats:
        rows = self.pages
        asked, which = np.unique(rows.query_id, return_inverse=True)
        texts = self.dataset.queries.of(asked).tolist()
        return model.scored(
            self.fitted, self.legs, texts, which, rows.query_id, rows.doc_id, rows.event_time, rows.moment, store, EVERY
        )

    def judged(self, lessons: Groups, learnt: Mapping[str, int], served: Floats, shown: Floats) -> Units:
        """Trees that read `learnt`, grown as the served ones are -> {GAIN: [num_requests], CLICKS: [num_pages]}."""
        columns = [EVERY.index(name) for name in learnt]
        groups = replace(lessons, features=lessons.features[:, columns])
        grown = trees.fit(groups, None, model.setting(self.config, learnt))
        return {GAIN: self._gain(grown, served[:, columns]), CLICKS: self._clicks(grown, shown[:, columns])}

    def _gain(self, grown: Trees, table: Floats) -> Floats:
        ranked = ordered(self.found, grown.score(table))
        test = self.dataset.test
        rules = policy.fit(ranked, self.dataset.valid, self.config)
        page = rules.apply(ranked, policy.contexts(self.fitted, test, ranked)).ids[:, : evaluate.K]
        return ranking.expected_gain(self.key.gain(test, page), evaluate.K)

    def _clicks(self, grown: Trees, table: Floats) -> Floats:
        _, page = np.unique(self.pages.request_id, return_inverse=True)
        order = np.lexsort((-grown.score(table), page))
        place = np.arange(len(page)) - np.searchsorted(page[order], page[order])
        clicks = np.zeros((int(page.max()) + 1, int(place.max()) + 1))
        clicks[page[order], place] = self.pages.labels["clicked"][order]
        return ranking.ndcg(clicks, clicks, evaluate.K)

    def queries(self, metric: str) -> Ints:
        """Whose query each unit is."""
        _, first = np.unique(self.pages.request_id, return_index=True)
        return self.dataset.test.query_id if metric == GAIN else self.pages.query_id[first]


def _against(column: str, found: Sequence[tuple[Lab, Mapping[str, Units]]]) -> Table:
    """A row for each metric and set of columns: its value, and its difference from the first set's."""
    table: Table = []
    parts: dict[tuple[str, str], list[Floats]] = defaultdict(list)
    for _, rows in found:
        for name, units in rows.items():
            for metric, values in units.items():
                parts[name, metric].append(values)
    names = list(found[0][1])
    for name in names:
        for metric in (CLICKS, GAIN):
            ours, first = parts[name, metric], parts[names[0], metric]
            apart = over_worlds(
                [one - other for one, other in zip(ours, first, strict=True)], [lab.queries(metric) for lab, _ in found]
            )
            table.append({
                column: name, "judged by": metric, f"against {names[0]}": apart.value, "low": apart.low, "high": apart.high,
                "value": float(np.concatenate(ours).mean()),
            })  # fmt: skip
    return table


EXPERIMENTS: Mapping[str, Experiment] = {"leak": leak, "popularity": popularity}
