"""Near-duplicates: whose fingerprints differ in a few bits, without comparing all with all.

Of five bands two are untouched by three flipped bits, so copies meet in at least one of ten tables keyed by two bands (Manku, Jain, Das Sarma
2007, "Detecting near-duplicates for web crawling"). A fingerprint of 0 is unknown, and has no copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from common.contract import Bools, Ints

BANDS, BAND = 5, 11  # of a fingerprint of 52 bits
RUN = 200  # items of one key that are compared with each other; more only where a key says nothing
MOST = 3  # bits in which copies differ


def copies(fingerprint: Ints) -> Ints:
    """[n] -> the least index of those whose fingerprints differ from it in at most MOST bits, one step or several; -1 if there is none."""
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for key in _keys(fingerprint):
        order = np.argsort(key, kind="stable")
        order = order[fingerprint[order] != 0]
        for apart in range(1, RUN):
            left, right = order[:-apart], order[apart:]
            met = key[left] == key[right]
            if not met.any():
                break
            left, right = left[met], right[met]
            near = _alike(fingerprint[left], fingerprint[right])
            first.append(left[near])
            second.append(right[near])
    return connected(len(fingerprint), np.concatenate(first), np.concatenate(second))


def near(trained: Ints, put: Ints) -> tuple[Ints, Ints]:
    """[n], [m] -> pairs (index among `trained`, index among `put`) of copies: one walk over the many for all of the few."""
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    few = np.flatnonzero(put)
    for theirs, ours in zip(_keys(trained), _keys(put[few]), strict=True):
        wanted = np.zeros(2 ** (2 * BAND), np.bool_)
        wanted[ours] = True
        at = np.flatnonzero(wanted[theirs] & (trained != 0))
        order = np.argsort(ours, kind="stable")
        begin, end = (np.searchsorted(ours[order], theirs[at], side=side) for side in ("left", "right"))
        left, right = np.repeat(at, end - begin), few[order[ranges(begin, end)]]
        close = _alike(trained[left], put[right])
        first.append(left[close])
        second.append(right[close])
    pairs = np.unique(np.stack([np.concatenate(first), np.concatenate(second)]), axis=1)
    return pairs[0], pairs[1]


def rejoined(group: Ints, fingerprint: Ints, put: Ints, was: Ints) -> tuple[Ints, tuple[Ints, Ints]]:
    """`group` = copies(`fingerprint`) of those known before, and the fingerprints `put` since, of which `was` replaces one known (-1: none)
    -> the group of each put one; (those known before whose group has another name by now, that name). A known one without a group stands
    there under its own index, so who was alone and is no more is found too. Put ones are counted on from the last known."""
    num, (known, new) = len(group), near(fingerprint, put)
    stays = ~np.isin(known, was)
    known, new = np.where(group[known] < 0, known, group[known])[stays], new[stays]
    among = copies(put)
    twin = np.flatnonzero(among >= 0)
    nodes = np.concatenate([np.unique(known), num + np.arange(len(put))])
    left, right = np.concatenate([known, num + among[twin]]), np.concatenate([num + new, num + twin])
    least = connected(len(nodes), np.searchsorted(nodes, left), np.searchsorted(nodes, right))
    name, before = np.where(least < 0, -1, nodes[least]), len(nodes) - len(put)
    return name[before:], (nodes[:before], name[:before])


def regrouped(group: Ints, fingerprint: Ints, put: Ints, was: Ints) -> tuple[Ints, Ints]:
    """As `rejoined` -> the group of each known before, by the name it has now, and of each put one. All with all again would cost as much again as
    copying everything, at every change."""
    mine, (old, name) = rejoined(group, fingerprint, put, was)
    own = np.where(group < 0, np.arange(len(group)), group)
    met = np.isin(own, old)
    theirs = group.copy()
    theirs[met] = name[np.searchsorted(old, own[met])]
    return theirs, mine


def connected(num: int, first: Ints, second: Ints) -> Ints:
    """Pairs of 0..num-1 -> [num] the least of all that each is connected with; -1 for one that is alone."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(coo_array((np.ones(len(first)), (first, second)), shape=(num, num)), directed=False)
    _, least, size = np.unique(label, return_index=True, return_counts=True)
    return np.where(size[label] > 1, least[label], -1)


def ranges(begin: Ints, end: Ints) -> Ints:
    """begin..end-1 of each pair, one after the other."""
    length = end - begin
    places: Ints = np.arange(length.sum()) + np.repeat(begin - (np.cumsum(length) - length), length)
    return places


def _keys(fingerprint: Ints) -> Iterator[Ints]:
    bands = [(fingerprint >> (BAND * place)) & (2**BAND - 1) for place in range(BANDS)]
    for one, other in combinations(bands, 2):
        yield (one << BAND) | other


def _alike(one: Ints, other: Ints) -> Bools:
    alike: Bools = np.bitwise_count(one ^ other) <= MOST
    return alike
