"""From biased clicks to examination curves and unbiased learning to rank.

In:     a click log as arrays of one length: query_id, doc_id, slot (0-based), clicked; where known swapped, features.
Out:    a Curve: how likely each slot is looked at, relative to slot 0; weights and objectives that undo it (weights.py).
Choice: `intervention.harvest` where several rankers ran side by side: pairs are compared with themselves and nothing is modelled. Else `em`.
Else:   `intervention.swaps`, with no assumption about documents, where somebody may shuffle results; `pal` where slots and features are all there is.
Breaks: every curve here is position-based: looking depends on the slot alone. Under a cascade or under trust bias each is wrong, and by how
        much is counted in tests/search_ranking/test_clicks.py. What only features tell apart is also wrong where the old ranker knew more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Curve:
    """`examination` [num_slots], 1 at slot 0, may exceed 1. `low` and `high` [num_slots]: 95 % over `n` resampled clusters, None where none
    were drawn. The scale cannot be known from clicks: a slot seen half as often looks like documents half as good."""

    examination: Floats
    low: Floats | None
    high: Floats | None
    n: int


def by_ctr(slot: Ints, clicked: Bools, clusters: Ints, *, reps: int = 200, seed: int = 0) -> Curve:
    """Click rate by slot: the foil. Good documents stand high, so it falls even where every slot is seen."""
    num_slots = check(slot, clicked)
    _, cluster = np.unique(clusters, return_inverse=True)
    shape = (int(cluster.max()) + 1, num_slots)
    shown, clicks = per_cluster(cluster, slot, None, shape), per_cluster(cluster, slot, clicked, shape)
    return resampled(lambda weights: relative((weights @ clicks) / (weights @ shown)), len(shown), reps, seed)


def per_cluster(cluster: Ints, slot: Ints, weights: Floats | Bools | None, shape: tuple[int, int]) -> Floats:
    """Rows (or their weights) summed -> [num_clusters, num_slots]."""
    at, size = cluster * shape[1] + slot, shape[0] * shape[1]
    return np.bincount(at, weights, size).astype(float).reshape(shape)


def relative(examination: Floats) -> Floats:
    """[num_slots] of any scale -> 1 at slot 0."""
    found: Floats = examination / examination[0]
    return found


def resampled(estimate: Callable[[Floats], Floats], num_clusters: int, reps: int, seed: int) -> Curve:
    """`estimate(weights [num_clusters]) -> curve [num_slots]`, once on all clusters and `reps` times on clusters drawn with replacement: value
    +- t * the standard error of the resamples, as common.eval.intervals.bootstrap has it for a single number. A resample that holds no click
    in some slot is left out; more than a tenth of them and the log is refused."""
    from scipy.special import stdtrit

    value = estimate(np.ones(num_clusters))
    if not np.isfinite(value).all() or (value <= 0).any():
        raise InputError(f"The curve came out as {value}: some slot has no click to go by. Give a longer log or fewer slots.")  # fmt: skip
    if not reps:
        return Curve(examination=value, low=None, high=None, n=num_clusters)
    if num_clusters < 2:
        raise InputError(f"An interval needs two clusters (queries, sessions) or more, here {num_clusters}; or ask with reps=0.")  # fmt: skip
    rng = np.random.default_rng(seed)
    share = np.full(num_clusters, 1 / num_clusters)
    drawn = np.array([estimate(rng.multinomial(num_clusters, share).astype(float)) for _ in range(reps)])
    kept = drawn[np.isfinite(drawn).all(axis=1)]
    if len(kept) < max(0.9 * reps, 2):
        raise InputError(f"{reps - len(kept)} of {reps} resamples of {num_clusters} clusters hold no click in some slot: give a longer log.")  # fmt: skip
    reach = float(stdtrit(num_clusters - 1, 0.975)) * kept.std(axis=0, ddof=1)
    return Curve(examination=value, low=value - reach, high=value + reach, n=num_clusters)


def check(slot: Ints, clicked: Bools) -> int:
    """-> the number of slots. Raises InputError on a slot below 0, one that is never shown, or one nobody clicked."""
    if len(slot) != len(clicked) or not len(slot):
        raise InputError(f"{len(slot)} slots and {len(clicked)} clicks; expected as many of each, and at least one.")
    if slot.min() < 0:
        raise InputError(f"Row {int(slot.argmin())} stands in slot {slot.min()}; slots are counted from 0.")
    num_slots = int(slot.max()) + 1
    empty = np.flatnonzero(np.bincount(slot, clicked, num_slots) == 0)
    if len(empty):
        raise InputError(f"No click in slots {empty.tolist()} of {num_slots}: nothing is known of them. Give a longer log or leave them out.")  # fmt: skip
    return num_slots
