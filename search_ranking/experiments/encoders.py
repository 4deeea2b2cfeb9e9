"""What should know what words mean: four second legs beside the words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Table
from common.errors import InputError
from common.eval.report import Report
from common.training.progress import say
from search_ranking import model
from search_ranking.config import Config
from search_ranking.experiments.lab import Lab, against, trained
from search_ranking.model import Legs
from search_ranking.model.retrieval import dense
from search_ranking.model.retrieval.encoder import Encoder, Vectors

SERVED, NONE = "looks", "none"
LEGS = (SERVED, "own", "pretrained", NONE)


def encoders(config: Config) -> Table:
    """Which second leg finds what shares no word with the query, and what does it cost?

    `looks`: words by the thumbnails they stand with; `own`: taught by the earlier half of the clicks, the ranker then by the later half alone; `pretrained`:
    a sentence model nobody trained here (a row only where it is installed); `none`: words alone, the foil. The ranker is learnt anew beside each.
    `leg`: recall of the leg alone on requests whose answers mostly share no word with them, `fused` of both legs there, `fused, all` everywhere.
    It flips with how much there is to look at: of few documents the thumbnails teach little and the pretrained model finds more, of many it finds
    no more and costs most. fit_s: CPU seconds until every document has its vector; query_ms: CPU time of a query, encoded and searched."""
    lab, k = trained(config), config.num_candidates
    reports: dict[str, Report] = {}
    more: dict[str, dict[str, float | None]] = {}
    for name in LEGS:
        try:
            found, seconds = _fitted(lab, name)
        except InputError as error:
            say(f"{name} is left out: {error}")
            continue
        queries, start = lab.queries(), time.process_time()
        leg = found.legs.dense(queries, k, lab.among(lab.rules))
        spent = time.process_time() - start
        fused, few = lab.retrieved(found), lab.few_shared
        reports[name] = lab.report(lab.ranked(fused, found))
        more[name] = lab.recall(leg, "leg", few) | lab.recall(fused, "fused", few) | lab.recall(fused, "fused, all")
        more[name] |= {"fit_s": seconds, "query_ms": 1_000 * spent / len(queries)}
    return [row | more[row["encoder"]] for row in against("encoder", reports, SERVED)]


def _fitted(lab: Lab, name: str) -> tuple[model.TwoStage, float]:
    """-> the case with that encoder, CPU seconds until the documents are encoded."""
    start, rows, own = time.process_time(), lab.dataset.train, Nothing()
    encoder: Encoder = own
    vectors = own.encode(model.texts(lab.dataset.catalog))
    if name != NONE:
        encoder, vectors, rows = model.meaning(lab.dataset, replace(lab.config, encoder=name))
    seconds = time.process_time() - start
    index = dense.build(lab.dataset.catalog.doc_id, vectors, encoder.fingerprint)
    legs = Legs(lab.model.legs.words, encoder, index)
    return model.taught(rows, legs, lab.features, lab.dataset, lab.config), seconds


@dataclass(frozen=True)
class Nothing:
    """Every text lies nowhere, so the leg returns nothing."""

    fingerprint: str = "nothing"

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 1), np.float32)


EXPERIMENTS: Mapping[str, Experiment] = {"encoders": encoders}
