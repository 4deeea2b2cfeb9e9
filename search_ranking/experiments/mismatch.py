"""Words, meaning or both: over how far searchers and makers use other words for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import ranking
from common.eval.chart import Chart
from search_ranking import baseline, data, evaluate, features, model, policy
from search_ranking.config import Config
from search_ranking.experiments.lab import allowed
from search_ranking.experiments.worlds import over_worlds, worlds
from search_ranking.model.retrieval import dense
from search_ranking.schema import Judgments

MISMATCHES = (0.0, 0.2, 0.36, 0.7)
WORLDS = 4
DEEP = 100  # of what a leg finds, so much is looked at by the ranker at least
GAIN, RECALL = f"expected_gain@{evaluate.K}", f"recall@{DEEP}"
FOUND = 200  # of each leg


def mismatch(config: Config) -> Table:
    """Should search match words, meanings, or both?

    The dense leg and the list fused by ranks, minus the words alone, on the same requests. Two questions have two answers: what stands on
    a page of ten (planted gain), and what a ranker is given to choose from (recall at 100). Meaning alone, the foil, makes a
    worse page everywhere, and from a mismatch of about 0.2 on finds more than words do; both together lose nowhere."""
    table: Table = []
    for value in MISMATCHES:
        judged = [_judged(world) for world in worlds(replace(config, mismatch=value), WORLDS)]
        clusters = [world.query_id for world in judged]
        for metric in (GAIN, RECALL):
            words = [world.units["words"][metric] for world in judged]
            for leg in ("dense", "both"):
                ours = [world.units[leg][metric] for world in judged]
                apart = over_worlds([one - other for one, other in zip(ours, words, strict=True)], clusters)
                table.append({
                    "curve": f"{leg}, {metric}", "mismatch": value, "difference": apart.value, "low": apart.low, "high": apart.high,
                    "of it": float(np.concatenate(ours).mean()), "of words": float(np.concatenate(words).mean()),
                })  # fmt: skip
    return table


@dataclass(frozen=True, eq=False)
class Judged:
    """query_id [n] of the judged requests; units: {leg: {metric: [n]}}."""

    query_id: Ints
    units: Mapping[str, Mapping[str, Floats]]


def _judged(config: Config) -> Judged:
    """Each leg, and both, in one world."""
    dataset, key = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    own, vectors, _ = model.meaning(dataset, config)
    index = dense.build(dataset.catalog.doc_id, vectors, own.fingerprint)
    legs = model.Legs(baseline.fit(dataset, fitted, config), own, index)
    asked = dataset.test.query.tolist()
    texts = [" ".join(one.corrected) for one in fitted.understand(asked)]
    rules = policy.Policy(page_size=config.page_size)
    among = rules.among(fitted, dataset.test)
    found = {
        "words": legs.lexical(texts, FOUND, among),
        "dense": legs.dense(texts, FOUND, among),
        "both": legs.fused(fitted, asked, FOUND, config.fusion_weight, among),
    }
    pages = {name: rules.apply(one, policy.contexts(fitted, dataset.test, one)) for name, one in found.items()}
    relevant = allowed(key.relevant, among)
    return Judged(dataset.test.query_id, {name: _units(key, relevant, pages[name], found[name]) for name in found})


def _units(key: Judgments, relevant: Ints, page: Ranking, found: Ranking) -> dict[str, Floats]:
    """relevant [num_requests, m]: that may be shown, -1 the others."""
    gain = ranking.expected_gain(key.gain(key.requests, page.ids[:, : evaluate.K]), evaluate.K)
    return {GAIN: gain, **ranking.judge(found.ids, relevant, (RECALL,))}


EXPERIMENTS: Mapping[str, Experiment] = {"mismatch": mismatch}
CHARTS: Mapping[str, Chart] = {
    "mismatch": Chart(
        title="Meaning, and words with meaning, against words alone",
        x="mismatch",
        y="difference",
        series="curve",
        x_label="vocabulary mismatch planted (0: one word for one thing)",
        y_label="difference from words alone (above zero: better than words)",
    )
}
