"""MicroLens-50K, and any table that knows the order of a user's videos but no clock: the last one is asked for, the one before it validates.

The order across users is invented (user after user), so nothing may read it: the history is a LeaveOneOutStore, ordered within users alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.contract import Bools, Events, Ints
from common.errors import InputError
from common.features.leave_one_out import LeaveOneOutStore
from video_rec.data.planted import group, hits
from video_rec.schema import EVENTS, Catalog, Dataset, Judgments, Requests, Rows, find


def read(folder: Path) -> tuple[Dataset, Judgments]:
    """`folder` holds MicroLens-50k_pairs.tsv (user, tab, videos in order) and MicroLens-50k_titles.csv (item, title)."""
    import pandas as pd

    pairs, names = folder / "MicroLens-50k_pairs.tsv", folder / "MicroLens-50k_titles.csv"
    for path in (pairs, names):
        if not path.is_file():
            raise InputError(f"{path}: no such file. microlens:DIR wants a folder with {pairs.name} and {names.name}.")
    user_ids, video_ids = [], []
    for number, line in enumerate(pairs.read_text().splitlines(), start=1):
        user, tab, videos = line.partition("\t")
        if not tab or not user.isdigit() or not videos.replace(" ", "").isdigit():
            raise InputError(f"{pairs}, line {number}: {line[:60]!r}. Expected a user id, a tab, video ids and spaces.")
        chosen = [int(video) for video in videos.split()]
        user_ids += [int(user)] * len(chosen)
        video_ids += chosen
    titles = pd.read_csv(names, dtype={"item": "int64", "title": "str"}).drop_duplicates("item").fillna("")
    known = dict(zip(titles["item"].tolist(), titles["title"].tolist(), strict=True))
    every = np.unique(np.concatenate([np.array(video_ids), titles["item"].to_numpy()]))
    catalog = Catalog(
        video_id=every,
        creator_id=np.full(len(every), -1),
        title=np.array([known.get(int(video), "") for video in every], dtype=np.str_),
        explicit=np.zeros(len(every), np.int64),
    )
    return leave_last_out(np.array(user_ids), np.array(video_ids), catalog)


def leave_last_out(user_ids: Ints, video_ids: Ints, catalog: Catalog) -> tuple[Dataset, Judgments]:
    """Watches [n] in each user's own order -> train (all but the last two of a user), valid (the second last), test (asks for the last)."""
    order = np.argsort(user_ids, kind="stable")
    user_ids, video_ids = user_ids[order], video_ids[order]
    users, counts = np.unique(user_ids, return_counts=True)
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(user_ids))  # 1 at a user's last video
    if counts.min(initial=3) < 3:
        raise InputError(
            f"User {users[counts.argmin()]} has {counts.min()} videos; leaving the last two out needs at least 3 a user."
        )
    known = left > 1
    position = np.cumsum(known) - 1
    last, n = left == 1, int(known.sum())
    requests = Requests(user_id=users, event_time=np.zeros(len(users), np.int64), moment=np.full(len(users), n))
    relevant = video_ids[last][:, None]

    dataset = Dataset(
        train=_rows(user_ids, video_ids, position, left > 2),
        valid=_rows(user_ids, video_ids, position, left == 2),
        test=requests,
        catalog=catalog,
        history=LeaveOneOutStore(_events(user_ids[known], video_ids[known], catalog), ordered=("user_id",)),
    )
    slices = {"history": group(counts - 2)}
    return dataset, Judgments(
        requests=requests,
        gain=hits(users, relevant),
        relevant=relevant,
        num_videos=len(catalog),
        slices=slices,
        origin="real",
    )


def _rows(user_ids: Ints, video_ids: Ints, position: Ints, keep: Bools) -> Rows:
    """Watched videos are all there is: clicked is 1, the rest is unknown."""
    return Rows(
        user_id=user_ids[keep],
        video_id=video_ids[keep],
        event_time=np.zeros(int(keep.sum()), np.int64),
        moment=position[keep],
        labels={"clicked": np.ones(int(keep.sum()))},
    )


def _events(user_ids: Ints, video_ids: Ints, catalog: Catalog) -> Events:
    n = len(user_ids)
    index = find(catalog.video_id, video_ids)
    creator = np.where(index >= 0, catalog.creator_id[index], -1)
    keys = {"request_id": np.full(n, -1), "user_id": user_ids, "video_id": video_ids, "creator_id": creator}
    nothing = np.zeros(n, np.int64)
    return Events(
        position=np.arange(n),
        kind=np.full(n, "watch"),
        event_time=nothing,
        moment=np.arange(n),
        keys=keys,
        values={name: nothing for kind in EVENTS.values() for name in kind.values},
    )
