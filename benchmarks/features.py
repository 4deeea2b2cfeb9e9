"""Feature reads from the live store, and the point-in-time join beside pandas: `python -m benchmarks.features`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import Ratio, paired_rounds, quantile, seconds, write_result
from common.contract import Events, Floats, Ints
from common.events import take
from common.features.asof import AsOfStore
from common.features.live import LiveStore
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View

SEED = 0
NUM_EVENTS, NUM_ROWS = 3_000_000, 1_000_000
KINDS = ("impression", "click", "hide", "watch")
EVER = View("user", ("user_id",), (Count("impression"), Count("click")))
DAY = View("user", ("user_id",), (*EVER.features, Count("impression", buckets=24), Count("click", buckets=24)))


def wide() -> View:
    """50 columns: counts over five windows and ever, rates, decayed sums, ages and recent ids."""
    features: list[Feature] = [Count(kind, buckets=buckets) for kind in KINDS for buckets in (None, 1, 3, 6, 12, 24)]
    features += [Rate(kind, "impression", 0.1, 20.0, buckets) for kind in KINDS[1:] for buckets in (None, 6, 24)]
    features += [Decayed(kind, half_life) for kind in KINDS for half_life in (6.0, 24.0)]
    features += [*(Last(kind, "age") for kind in KINDS), Recent("click", "user_id", 5)]
    return View("item", ("item_id",), tuple(features))


def make_events(num: int, late: float = 0.0) -> Events:
    """Two weeks of events, a few users and items with most of them; a share `late` arrives up to two hours after it happened."""
    rng = np.random.default_rng(SEED)
    arrival = np.sort(rng.integers(0, 14 * 86_400, num)) + 1_750_000_000
    delay = np.where(rng.random(num) < late, rng.integers(0, 7_200, num), 0)
    return Events(
        position=np.arange(num),
        kind=rng.choice(np.array(KINDS), num, p=[0.8, 0.1, 0.05, 0.05]),
        event_time=arrival - delay,
        moment=np.full(num, -1),
        keys={
            "user_id": (rng.pareto(1.2, num) * 2_000).astype(np.int64) % 50_000,
            "item_id": (rng.pareto(1.0, num) * 50).astype(np.int64) % 5_000,
        },
        values={},
    )


def rows_of(events: Events) -> tuple[Ints, Ints]:
    """Keys and moments of the rows: the users of randomly chosen events, read just before these events."""
    moments = np.sort(np.random.default_rng(SEED).choice(len(events), NUM_ROWS, replace=False))
    return events.keys["user_id"][moments], moments


def with_pandas(events: Events, keys: Ints, moments: Ints, window: bool) -> Floats:
    """The same columns by merge_asof over running counts; the window as a second merge at the window's first second (no late events)."""
    log = pd.DataFrame(
        {"user_id": events.keys["user_id"], "position": events.position, "event_time": events.event_time}
    )
    for kind in ("impression", "click"):
        log[kind] = (events.kind == kind).astype(np.int64)
    log[["impression", "click"]] = log.groupby("user_id")[["impression", "click"]].cumsum()
    rows = pd.DataFrame({"user_id": keys, "position": moments})
    now = (
        pd.merge_asof(rows, log, on="position", by="user_id", allow_exact_matches=False)[["impression", "click"]]
        .fillna(0)
        .to_numpy()
    )
    if not window:
        return np.asarray(now, dtype=np.float64)
    latest = np.concatenate([[0], np.maximum.accumulate(events.event_time)])[moments]
    rows = pd.DataFrame({"user_id": keys, "event_time": (latest // 3600 - 23) * 3600})
    past = (
        pd.merge_asof(rows, log, on="event_time", by="user_id", allow_exact_matches=False)[["impression", "click"]]
        .fillna(0)
        .to_numpy()
    )
    return np.asarray(np.concatenate([now, now - np.minimum(past, now)], axis=1), dtype=np.float64)


def join(view: View, rounds: int = 5) -> dict[str, Any]:
    """Both from the bare events, indexes included; the answers are compared before they are timed."""
    events = make_events(NUM_EVENTS)
    keys, moments = rows_of(events)
    window = view is DAY
    assert np.array_equal(AsOfStore(events).read(view, keys, moments), with_pandas(events, keys, moments, window))
    ratio = paired_rounds(
        lambda: seconds(lambda: AsOfStore(events).read(view, keys, moments)),
        lambda: seconds(lambda: with_pandas(events, keys, moments, window)),
        rounds,
    )
    what = f"join of 1M rows x 3M events, {view.width} columns{', two of them over 24 hours' if window else ''}"
    return compared(what, ratio, "pandas merge_asof")


def join_late() -> dict[str, Any]:
    """Windows stay exact with 3 % late events; merge_asof has no way to say that, so it stands alone."""
    events = make_events(NUM_EVENTS, late=0.03)
    keys, moments = rows_of(events)
    taken = sorted(seconds(lambda: AsOfStore(events).read(DAY, keys, moments)) for _ in range(5))
    return {"what": "the same 4 columns with 3 % late events", "ours_s": taken[2]}


def compared(what: str, ratio: Ratio, beside: str) -> dict[str, Any]:
    spread = f"{ratio.low:.2f} ... {ratio.high:.2f}"
    return {
        "what": what,
        "ours_s": ratio.a,
        "beside": beside,
        "theirs_s": ratio.b,
        "ratio": ratio.median,
        "range": spread,
        "rounds": ratio.rounds,
    }


def reads(folder: Path) -> list[dict[str, Any]]:
    view = wide()
    events = make_events(1_000_000)
    store = LiveStore(folder / "live.sqlite", [view, DAY])
    start = time.perf_counter()
    for first in (0, 500_000):
        store.apply(take(events, slice(first, first + 500_000)))
    fill = time.perf_counter() - start
    rng = np.random.default_rng(SEED)
    known = np.unique(events.keys["item_id"])
    frame = pd.DataFrame(store.read(view, known, known), index=known)
    ours, theirs = [], []
    for _ in range(1_000):
        keys = rng.choice(known, 500, replace=False)
        start = time.perf_counter()
        store.read(view, keys, keys)
        middle = time.perf_counter()
        frame.reindex(keys).to_numpy()
        ours.append((middle - start) * 1e3)
        theirs.append((time.perf_counter() - middle) * 1e3)
    store.close()
    return [
        {
            "what": f"read of 500 entities x {view.width} columns, live store",
            "p50_ms": quantile(ours, 0.5),
            "p99_ms": quantile(ours, 0.99),
        },
        {
            "what": "the same from a finished table in memory, pandas reindex",
            "p50_ms": quantile(theirs, 0.5),
            "p99_ms": quantile(theirs, 0.99),
        },
        {"what": "replay of 1M events into two views (50 and 4 columns)", "ours_s": fill},
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [*reads(Path(folder)), join(EVER), join(DAY), join_late()]
    for row in rows:
        print(row)
    print(
        write_result(
            "features",
            rows,
            "Offline times include building every index from the bare events. Ratio: ours / theirs, below 1 is faster.",
            SEED,
        )
    )


if __name__ == "__main__":
    main()
