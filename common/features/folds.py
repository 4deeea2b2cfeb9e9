"""The arithmetic both stores share, so that they agree bit for bit: decay, the left fold, what a feature says given its parts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from common.contract import Bools, Floats, Ints
from common.features.views import Last, Rate

FEW = 48  # below this many groups a round of numpy calls costs more than plain floats


@lru_cache(maxsize=64)
def decay_table(half_life: float) -> Floats:
    """2^(-age / half_life) by age in buckets; nothing is left after 64 half-lives. A table, because exp2 of an array and of a number need
    not round alike."""
    table = np.exp2(-np.arange(int(np.ceil(64 * half_life)) + 1) / half_life)
    table[-1] = 0.0
    table.flags.writeable = False
    return table


def decay(half_life: float, ages: Ints) -> Floats:
    table = decay_table(half_life)
    return table[np.minimum(ages, len(table) - 1)]


def fold(
    half_life: float, value: Floats, last: Ints, starts: Ints, amounts: Ints, buckets: Ints
) -> tuple[Floats, Ints]:
    """The decayed sum of every group after each of its events: a left fold in log order.

    value, last [groups]: what was known before (0.0 and 0 for nothing); starts [groups + 1]: events of group g are starts[g]:starts[g+1].
    -> values, lasts [events]. Adding amount x at bucket b to (value, last): new = max(last, b), then value x decay(new - last) +
    x x decay(new - b), so a late event comes in already aged. The order of these operations is the definition: parity rests on it.
    """
    table = decay_table(half_life)
    end = len(table) - 1
    sizes = np.diff(starts)
    order = np.argsort(-sizes, kind="stable")  # the longest first: round r works on a prefix
    sizes, begin, value, last = sizes[order], starts[:-1][order], value[order], last[order]
    values, lasts = np.empty(len(amounts)), np.empty(len(amounts), dtype=np.int64)
    done = 0
    while (active := int(np.searchsorted(-sizes, -done))) > FEW:
        at = begin[:active] + done
        bucket, before = buckets[at], last[:active]
        last = np.maximum(before, bucket)
        value = (
            value[:active] * table[np.minimum(last - before, end)] + amounts[at] * table[np.minimum(last - bucket, end)]
        )
        values[at], lasts[at] = value, last
        done += 1
    for group in range(active):
        at_once = slice(begin[group] + done, begin[group] + sizes[group])
        values[at_once], lasts[at_once] = fold_one(
            table, float(value[group]), int(last[group]), amounts[at_once].tolist(), buckets[at_once].tolist()
        )
    return values, lasts


def fold_one(
    table: Floats, value: float, last: int, amounts: list[int], buckets: list[int]
) -> tuple[list[float], list[int]]:
    """The same fold over one group, in plain floats: IEEE doubles either way, so the bits are the same."""
    end = len(table) - 1
    item = table.item
    values, lasts = [], []
    for amount, bucket in zip(amounts, buckets, strict=True):
        new = max(bucket, last)
        value = value * item(min(new - last, end)) + amount * item(min(new - bucket, end))
        last = new
        values.append(value)
        lasts.append(last)
    return values, lasts


def rate(feature: Rate, hits: Ints, bases: Ints) -> Floats:
    return (hits + feature.prior * feature.strength) / (bases + feature.strength)


def last_or_nan(feature: Last, known: Bools, value: Ints, bucket: Ints, now: Ints | int) -> Floats:
    """value [n] of the last event and its bucket [n], read in bucket now [n]; NaN where none is known or it has expired."""
    age = now - bucket
    if feature.expires is not None:
        known = known & (age <= feature.expires)
    return np.where(known, (age if feature.value == "age" else value).astype(np.float64), np.nan)


def sort_by(major: Ints, minor: Ints) -> Ints:
    """The order that sorts by (major, minor, index). Packed into one integer where they fit: numpy sorts numbers 15 times faster than it
    argsorts them."""
    if len(major) == 0:
        return np.zeros(0, dtype=np.int64)
    low, bits = int(minor.max()).bit_length(), len(major).bit_length()
    smallest = int(major.min())
    if (int(major.max()) - smallest).bit_length() + low + bits > 63 or minor.min() < 0:
        return np.lexsort((minor, major))
    packed = ((((major - smallest) << low) | minor) << bits) | np.arange(len(major))
    packed.sort()
    return packed & ((1 << bits) - 1)
