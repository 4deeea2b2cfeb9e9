"""A rule changed: every post of the last days is judged anew, from kept vectors or from words and pixels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.errors import InputError
from harmful_content.config import Config
from harmful_content.experiments.trained import Case, trained
from harmful_content.model.cache import EmbeddingCache, Float32s, Sweep, empty, opened, sweep
from harmful_content.model.head import Head, embed, fingerprint
from harmful_content.schema import POLICIES, Rows

REPS = 3
NEW_RULE = POLICIES.index("misinformation")  # the policy that is drawn anew: its head is fitted again
LOST = 0.1  # of the cache, in the row where it lacks some


def sweeps(config: Config) -> Table:
    """How long does it take to judge the last days anew after a policy got a new head, and is the answer the same?

    The test posts, a fifth of the days; the median of REPS runs, the file read from disk each time. `encoded again` is what there is without a cache;
    `cache that lacks a tenth` after an edit or a crash. `decisions_changed` against encoding again, at half; `largest_difference` of a probability.
    The last row is the control: a cache made by another encoder is refused."""
    case = trained(config)
    rows = case.dataset.test
    made_by = fingerprint(case.model, case.features)
    head = Head.fit(embed(case.model, case.train), case.dataset.train.targets(config.hand_weight)[0][:, NEW_RULE])
    encode = _encoder(case, rows)
    whole = empty(made_by, len(head.weights)).joined(rows.post_id, encode(np.arange(len(rows))))
    drawn = np.random.default_rng([config.seed, 43]).permutation(len(rows))[: int(LOST * len(rows))]
    with tempfile.TemporaryDirectory() as folder:
        caches = {"cache": whole, "cache that lacks a tenth": whole.without(rows.post_id[drawn])}
        starts: dict[str, Callable[[], EmbeddingCache]] = {"encoded again": partial(empty, made_by, len(head.weights))}
        for name, cache in caches.items():
            cache.save(Path(folder) / name)
            starts[name] = partial(opened, Path(folder) / name, made_by)
        timed = {
            name: _timed(start, lambda cache: sweep(rows.post_id, cache, encode, head.score))
            for name, start in starts.items()
        }
        refused = _refuses(Path(folder) / "cache")
    base = timed["encoded again"][1].decided
    table: Table = [_row(name, seconds, found, base) for name, (seconds, found) in timed.items()]
    return [
        *table,
        dict.fromkeys(table[0]) | {"way": f"cache of another encoder (control): {refused}", "posts": len(rows)},
    ]


def _encoder(case: Case, rows: Rows) -> Callable[[Ints], Float32s]:
    return lambda places: embed(case.model, case.inputs(rows.take(places)))


def _timed(start: Callable[[], EmbeddingCache], way: Callable[[EmbeddingCache], Sweep]) -> tuple[float, Sweep]:
    seconds = []
    for _ in range(REPS):
        started = time.perf_counter()
        found = way(start())
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)), found


def _row(way: str, seconds: float, found: Sweep, base: Floats) -> dict[str, object]:
    return {
        "way": way, "posts": len(base), "encoded": found.num_encoded, "seconds": seconds,
        "decisions_changed": int(((found.decided >= 0.5) != (base >= 0.5)).sum()),
        "largest_difference": float(np.abs(found.decided - base).max()),
    }  # fmt: skip


def _refuses(path: Path) -> str:
    try:
        opened(path, "0" * 16)
    except InputError:
        return "refused"
    return "taken"


EXPERIMENTS: Mapping[str, Experiment] = {"sweep": sweeps}
