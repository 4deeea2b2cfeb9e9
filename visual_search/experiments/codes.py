"""How few bytes a vector may take: what each code still finds, alone and put in order again by the whole vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Ints, Table
from visual_search.config import Config
from visual_search.experiments import vectors as drawn
from visual_search.experiments.vectors import Hard
from visual_search.model.index.codes import CODES, Code, Codes
from visual_search.model.index.served import best
from visual_search.model.parts import Vectors

NUM, K, AGAIN = 20_000, 10, 100


class Lot:
    """The foil: as many bits, drawn by lot, that know nothing of the vector."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def encode(self, vectors: Vectors) -> Codes:
        return self.rng.integers(0, 256, (len(vectors), 8)).astype(np.uint8)

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        asked = self.encode(queries)
        return np.stack([-np.bitwise_count(code ^ codes).sum(axis=1, dtype=np.float32) for code in asked])


def codes(config: Config) -> Table:
    """What does a vector lose when it is kept in fewer bytes?

    A row is a code, fitted to the gallery it codes: NUM vectors of the trained encoder, or grown around its own. Every vector is scored by its code: no list
    or graph in between. `reranked`: the AGAIN that the code finds best, put in order by the whole vectors. Intervals over queries. The foil is bits
    drawn by lot. Decides the code of the tuner's lists, and that what they find is put in order again."""
    hard = drawn.gallery(config, min(NUM, 10 * config.num_images))
    truth = hard.truth(hard.queries, K)
    made: dict[str, Code] = {name: build(hard.vectors) for name, build in CODES.items()}
    return [_row(name, code, hard, truth) for name, code in {**made, "random bits (foil)": Lot()}.items()]


def _row(name: str, code: Code, hard: Hard, truth: Ints) -> dict[str, object]:
    coded = code.encode(hard.vectors)
    some = np.argsort(-code.scores(hard.queries, coded), axis=1, kind="stable")[:, :AGAIN]
    exact = np.einsum("qd,qkd->qk", hard.queries, hard.vectors[some])
    again = best(some, exact, K)[0]
    return {
        "code": name,
        "vectors": len(hard.vectors),
        "bytes": coded.shape[1],
        **drawn.recall(f"ann_recall@{K}", some[:, :K], truth),
        **drawn.recall("reranked", again, truth),
    }


EXPERIMENTS: Mapping[str, Experiment] = {"codes": codes}
