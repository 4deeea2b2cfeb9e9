"""Counts as numbers a network can take, each read once."""

from __future__ import annotations

import numpy as np

from common.contract import FeatureStore, Floats, Ints
from common.features.views import View
from video_rec.schema import Rows


def read(store: FeatureStore, view: View, keys: Ints, moments: Ints) -> Floats:
    """As store.read, each (key, moment) once: the candidates of many requests are mostly the same videos."""
    key, of = np.unique(keys, return_inverse=True)
    if len(moments) and (moments == moments[0]).all():
        return store.read(view, key, moments[: len(key)])[of]
    moment, at = np.unique(moments, return_inverse=True)
    cell, back = np.unique(of * len(moment) + at, return_inverse=True)
    return store.read(view, key[cell // len(moment)], moment[cell % len(moment)])[back]


def distinct(rows: Rows) -> tuple[Ints, Ints]:
    """-> (one row of each viewer and moment, which of them each row is): a viewer is read once, not once a candidate."""
    asked = np.stack([rows.user_id, rows.moment, rows.event_time])
    change = np.flatnonzero(np.any(asked[:, 1:] != asked[:, :-1], axis=0)) + 1  # rows of one request stand together
    first = np.concatenate([np.zeros(min(len(rows), 1), np.int64), change])
    return first, np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows))))


def of_user(counts: Floats, of: Ints) -> dict[str, Floats]:
    impressions, watches, completed, likes, shares, hides, lately = counts[of].T
    return {
        "user_watches": np.log1p(watches),
        "user_completion": (completed + 0.5) / (watches + 2),
        "user_likes": (likes + 0.2) / (watches + 2),
        "user_shares": (shares + 0.1) / (watches + 2),
        "user_hides": (hides + 0.2) / (impressions + 10),
        "user_lately": np.log1p(lately),
    }


def rates(name: str, counts: Floats) -> dict[str, Floats]:
    """Counts as rates, pulled towards the usual while they are small."""
    impressions, watches, completed, likes, hides = counts[:, :5].T
    found = {
        f"{name}_impressions": np.log1p(impressions),
        f"{name}_watches": np.log1p(watches),
        f"{name}_watch_rate": (watches + 2) / (impressions + 10),
        f"{name}_completion": (completed + 0.6) / (watches + 2),
        f"{name}_likes": (likes + 0.15) / (watches + 2),
        f"{name}_hides": (hides + 0.2) / (impressions + 10),
    }
    return found if counts.shape[1] == 5 else found | {f"{name}_lately": np.log1p(counts[:, 5])}


def of_pair(counts: Floats) -> dict[str, Floats]:
    impressions, watches, completed, hides = counts.T
    return {
        "pair_impressions": np.log1p(impressions),
        "pair_watches": np.log1p(watches),
        "pair_watch_rate": (watches + 0.5) / (impressions + 2),
        "pair_completion": (completed + 0.3) / (watches + 1),
        "pair_hides": np.log1p(hides),
    }
