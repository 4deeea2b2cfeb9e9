"""What reading query and document together would gain over the ranker that is served, and what it would cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from common.training.progress import say
from search_ranking import evaluate, model
from search_ranking.config import Config
from search_ranking.experiments import lab as labs
from search_ranking.experiments.lab import Lab
from search_ranking.model import cross as reading
from search_ranking.model.cross import Cross, Setting, Shape
from search_ranking.model.retrieval import fusion

DEPTHS = (10, 50)  # of the ranker's answer, read again
PAIRS, NEGATIVES = 4_000, 3  # satisfied clicks learnt from; candidates beside each that nobody opened
TIMED = 20  # requests, one at a time
RANKER = "ranker alone"


def cross(config: Config) -> Table:
    """Is a cross-encoder over the first results worth its milliseconds?

    `cross` names it: ours, or a folder or id of any trained one. ndcg@10 sees the order inside the page, expected_gain@10 only who is in it.
    `both` adds the reciprocal ranks of the two. The foil is one that was not trained. query_ms: CPU time of one request, the median; a
    cross-encoder's comes on top of the ranker's."""
    lab = labs.trained(config)
    ranked = lab.ranked(lab.candidates)
    texts = dict(zip(lab.dataset.catalog.doc_id.tolist(), model.texts(lab.dataset.catalog), strict=True))
    started = time.process_time()
    trained = _fitted(lab, texts) if config.cross == "own" else reading.load(config.cross)
    say(f"cross-encoder: {time.process_time() - started:.0f} CPU seconds, {trained.num_bytes() / 1e6:.1f} MB")
    found: dict[str, tuple[Ranking, float]] = {RANKER: (ranked, _ranker_ms(lab))}
    for depth in DEPTHS:
        found[f"cross-encoder over its first {depth}"] = _read(lab, trained, ranked, texts, depth)
    deep, ms = found[f"cross-encoder over its first {DEPTHS[-1]}"]
    found[f"both, over the first {DEPTHS[-1]}"] = fusion.rrf([_first(ranked), _first(deep)], DEPTHS[-1]), ms
    foil = reading.untrained(list(texts.values())[:1_000], Shape(), config.seed)
    found[f"one not trained, over the first {DEPTHS[-1]}"] = _read(lab, foil, ranked, texts, DEPTHS[-1])
    return _table(lab, found)


def pairs(lab: Lab, seed: int) -> tuple[Ints, Ints, Floats]:
    """Satisfied clicks of training, and beside each some of the query's candidates that nobody opened for it. -> query_id, doc_id, label [n]."""
    rows, rng = lab.dataset.train, np.random.default_rng(seed)
    opened = np.unique(np.stack([rows.query_id, rows.doc_id])[:, rows.labels["clicked"] > 0], axis=1)
    pleased = np.unique(np.stack([rows.query_id, rows.doc_id])[:, rows.labels["satisfied"] > 0], axis=1)
    pleased = pleased[:, rng.permutation(pleased.shape[1])[:PAIRS]]
    asked, back = np.unique(pleased[0], return_inverse=True)
    fused = lab.model.legs.fused(
        lab.features, lab.dataset.queries.of(asked).tolist(), lab.config.num_candidates, lab.config.fusion_weight
    )
    drawn = np.stack([fused.ids[back, rng.integers(0, fused.ids.shape[1], len(back))] for _ in range(NEGATIVES)])
    other = np.stack([np.tile(pleased[0], NEGATIVES), drawn.ravel()])
    known = set(zip(*opened.tolist(), strict=True))
    strange = np.array([pair not in known and pair[1] >= 0 for pair in zip(*other.tolist(), strict=True)])
    query_id, doc_id = np.concatenate([pleased, other[:, strange]], axis=1)
    return query_id, doc_id, np.repeat([1.0, 0.0], [pleased.shape[1], int(strange.sum())])


def _fitted(lab: Lab, texts: Mapping[int, str]) -> Cross:
    query_id, doc_id, label = pairs(lab, lab.config.seed)
    asked, back = np.unique(query_id, return_inverse=True)
    said = labs.corrected(lab.features, lab.dataset.queries.of(asked).tolist())
    queries, documents = [said[at] for at in back.tolist()], [texts[one] for one in doc_id.tolist()]
    return reading.fit(queries, documents, label, Shape(), Setting(seed=lab.config.seed), lab.model.legs.encoder)


def _read(lab: Lab, cross: Cross, ranked: Ranking, texts: Mapping[int, str], depth: int) -> tuple[Ranking, float]:
    queries = lab.queries()
    ms = _ms(lambda at: cross.first([queries[at]], ranked.ids[[at]], texts, depth), len(queries))
    return cross.first(queries, ranked.ids, texts, depth), ms


def _first(found: Ranking) -> Ranking:
    return Ranking(ids=found.ids[:, : DEPTHS[-1]], scores=found.scores[:, : DEPTHS[-1]])


def _ranker_ms(lab: Lab) -> float:
    def one(at: int) -> object:
        candidates = Ranking(ids=lab.candidates.ids[[at]], scores=lab.candidates.scores[[at]])
        return lab.model.rerank(lab.dataset.test.take(slice(at, at + 1)), candidates, lab.dataset.history)

    return _ms(one, len(lab.dataset.test))


def _ms(call: Callable[[int], object], num: int) -> float:
    call(0)
    spent = []
    for at in range(min(num, TIMED)):
        start = time.process_time()
        call(at)
        spent.append(time.process_time() - start)
    return float(np.median(spent)) * 1e3


def _table(lab: Lab, found: Mapping[str, tuple[Ranking, float]]) -> Table:
    """ndcg@10 of each page with its interval, and the paired difference to the ranker's."""
    queries, judged = lab.judgments.requests.query_id, lab.judgments
    pages = {name: lab.page(ranking) for name, (ranking, _) in found.items()}
    units = {name: evaluate.graded(page.ids, judged.relevant, judged.grades) for name, page in pages.items()}
    table: Table = []
    for name, unit in units.items():
        level, gain = intervals.mean(unit, queries), lab.report(found[name][0]).metrics[labs.GAIN]
        row = {"order": name, "ndcg@10": level.value, "low": level.low, "high": level.high}
        than = labs.change(unit, units[RANKER], queries, "ndcg")
        row |= {"against_ndcg": than["ndcg"], "against_ndcg_low": than["low"], "against_ndcg_high": than["high"]}
        table.append(row | {labs.GAIN: gain.value, "query_ms": found[name][1]})
    return table


EXPERIMENTS: Mapping[str, Experiment] = {"cross": cross}
