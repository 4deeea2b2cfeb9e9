"""Lists of which the next page may be asked for: a page is a stretch of a list, and the list stays as it was made.

Made anew it would be another one: what the first page showed was seen, its rates changed, and a result would come twice or never. What is deleted
in between keeps its place and is not shown: were it taken out, all behind it would move up, and the first of the next page would never come.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Floats, Ints, Ranking
from search_ranking.features.understanding import Understood
from search_ranking.schema import Request

MOST = 256  # lists that are kept, 100 kB each
SECONDS = 600  # for so long


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """The candidates of one request, best first, [k] each, before any rule."""

    ids: Ints
    scores: Floats
    ranks: Mapping[str, Ints]  # of each leg that came: the place it had there, -1 where the leg did not find it
    rows: Floats | None  # [k, d] what the ranker read, None where it did not rank
    understood: Understood
    made: int  # seconds UTC
    moment: int  # log position at which the features were read, -1 where they were not
    lost: tuple[tuple[str, str], ...] = ()  # (stage, why) it was made without
    listed: Ints | None = None  # places of what could be shown when the first page was: pages are stretches of these


class Lists:
    """Safe for many threads. Of this process alone: another server makes a list of its own."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Request, Ordered] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, request: Request, ordered: Ordered) -> None:
        with self._lock:
            self._kept.pop(_first(request), None)
            self._kept[_first(request)] = ordered
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def find(self, request: Request, now: int) -> Ordered | None:
        """What was made for the first page of the same search, by the same person; the first page itself is always made anew."""
        with self._lock:
            found = self._kept.get(_first(request)) if request.offset else None
        return found if found is not None and 0 <= now - found.made <= SECONDS else None


def places(ids: Ints, found: Mapping[str, Ranking]) -> dict[str, Ints]:
    """ids [k] -> of each leg the place each of them has there, -1 where the leg did not find it."""
    ranks = {}
    for name, leg in found.items():
        there = leg.ids[0][leg.ids[0] >= 0]
        order = np.argsort(there, kind="stable")
        at = order[np.minimum(np.searchsorted(there[order], ids), len(there) - 1)] if len(there) else ids * 0
        ranks[name] = np.where(there[at] == ids, at, -1) if len(there) else np.full(len(ids), -1)
    return ranks


def _first(request: Request) -> Request:
    return replace(request, offset=0, page_size=1)
