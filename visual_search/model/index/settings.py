"""Which index, with which knobs: what the tuner chooses among, what the lab compares, what is stored beside the index.

All are Faiss's. Flat scans everything. IVF (Sivic & Zisserman 2003; Jegou et al. 2011) looks into the lists of the nearest centres. IVF-PQ keeps of
every vector a code of some bytes in its list (Jegou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search"); what it finds
is put in order by the vectors themselves, which lie in a file. HNSW walks a graph of neighbours (Malkov & Yashunin 2018).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import faiss as typed
import numpy as np

from visual_search.model.parts import Vectors

faiss: Any = typed  # its types leave out much of what it can do
FLAT, IVF, IVF_PQ, HNSW = "flat", "ivf", "ivf_pq", "hnsw"
PER_LIST = 48  # vectors a centre is trained on: faiss warns below 39, and more bring nothing
ROUNDS = 8  # of k-means
BUILD_EF = 80  # how many candidates a new vector of the graph chooses its links from
CODE = 256  # values a byte of a code takes: so many vectors are the least a product quantiser learns from
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The knobs of one kind; those of the others are 0. `links`: of a vector in the graph, on each side; `ef`: candidates a search keeps; `lists`, and the
    `probes` of them that a search reads; `code`: bytes a vector; `rerank`: times k candidates are put in order by the vectors themselves."""

    kind: str
    links: int = 0
    ef: int = 0
    lists: int = 0
    probes: int = 0
    code: int = 0
    rerank: int = 0

    @property
    def shape(self) -> Setting:
        """What of it is built in; the rest is said with each search."""
        return replace(self, ef=0, probes=0, rerank=0)

    def __str__(self) -> str:
        knobs = ", ".join(f"{name} {value}" for name, value in asdict(self).items() if name != "kind" and value)
        return f"{self.kind} ({knobs})" if knobs else self.kind


def make(setting: Setting, vectors: Vectors) -> Any:
    """vectors [n, dim] -> a Faiss index that holds them as rows 0 to n - 1. The same vectors make the same index; a graph only on one thread."""
    index = empty(setting, vectors.shape[1])
    if setting.lists:
        index.train(vectors[_sample(len(vectors), max(PER_LIST * setting.lists, PER_LIST * CODE))])
    append(index, vectors, first=0)
    return index


def empty(setting: Setting, dim: int) -> Any:
    """Untrained."""
    product = faiss.METRIC_INNER_PRODUCT
    if setting.kind == FLAT:
        return faiss.IndexFlatIP(dim)
    if setting.kind == HNSW:
        graph = faiss.IndexHNSWFlat(dim, setting.links, product)
        graph.hnsw.efConstruction = BUILD_EF
        return graph
    assert setting.kind in (IVF, IVF_PQ), setting
    centres = faiss.IndexFlatIP(dim)
    if setting.kind == IVF:
        index = faiss.IndexIVFFlat(centres, dim, setting.lists, product)
    else:
        index = faiss.IndexIVFPQ(centres, dim, setting.lists, setting.code, 8, product)
        index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 2 * ROUNDS, 1
    index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = ROUNDS, SEED, PER_LIST
    index.cp.min_points_per_centroid = 1
    return index


def append(index: Any, vectors: Vectors, first: int) -> None:
    """As rows `first` and those after it. Lists are told the number of a row: what was removed from them leaves gaps."""
    if isinstance(index, faiss.IndexIVF):
        index.add_with_ids(vectors, np.arange(first, first + len(vectors)))
    else:
        index.add(vectors)


def parameters(setting: Setting, k: int, only: Any = None) -> Any:
    """What Faiss is told with each search; `only`: an IDSelector of rows. Made anew each time: Faiss may change it while it searches."""
    if setting.kind == HNSW:
        return faiss.SearchParametersHNSW(efSearch=max(setting.ef, k), sel=only)
    if setting.lists:
        return faiss.SearchParametersIVF(nprobe=setting.probes, sel=only)
    return faiss.SearchParameters(sel=only)


def num_bytes(index: Any) -> int:
    """Of a Faiss index in memory, as it would be written: counted, not kept."""
    total = 0

    def count(block: bytes) -> int:
        nonlocal total
        total += len(block)
        return len(block)

    writer = faiss.PyCallbackIOWriter(count, 2**20)
    faiss.write_index(index, writer)
    del writer  # flushes what it still holds
    return total


def _sample(num: int, most: int) -> Any:
    """At most `most` rows of `num`, always the same."""
    return slice(None) if num <= most else np.sort(np.random.default_rng(SEED).permutation(num)[:most])
