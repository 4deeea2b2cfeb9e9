"""What is known about a viewer, a video, its creator and the two together, as of a moment.

In:     rows (user, video, moment), a feature store, the catalogue as of training.
Out:    VIEWS; Features.inputs(rows, store) -> Inputs for the ranker; Features.recent for the towers; Features.watched, .hidden and .rulings
        for the rules.
Choice: the store counts, the catalogue describes (title and tags become a short vector by TF-IDF and SVD), and crosses compare a video with
        the viewer's last twenty. The same code reads the log offline and the live store online.
Else:   a pretrained sentence encoder for titles: where titles are whole sentences in many languages.
Breaks: a value read after the moment (the contract's parity check); a video the catalogue lacks (index -1: its title and length are zero, its
        crosses of creator, language and length are the last video's; the rules bar it); a time of upload nobody knows reads as "just now"
        (age_days 0). The rules look back on the last WATCHED watches and HIDDEN hides, no further.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, FeatureStore, Floats, Ints
from common.data import columns
from common.features.views import Count, Decayed, Recent, View, pair
from video_rec.config import Config
from video_rec.schema import Catalog, Dataset, Requests, Rows, find

HISTORY = 20  # watches a viewer is described by
WATCHED = 256  # watches the rule "never twice" looks back on
HIDDEN = 50  # hides the rule "never again by this creator" looks back on
TITLE_DIM = 32
BANDS, BAND = 5, 11  # of a fingerprint of 52 bits
RUN = 200  # videos of one key that are compared with each other; more only where a key says nothing

VIEWS: tuple[View, ...] = (
    View(
        "user",
        ("user_id",),
        (
            Recent("watch", "video_id", HISTORY),
            Count("impression"),
            Count("watch"),
            Count("watch", "completed"),
            Count("like"),
            Count("share"),
            Count("hide"),
            Decayed("watch", 12.0),
        ),
    ),
    View("watched", ("user_id",), (Recent("watch", "video_id", WATCHED), Recent("hide", "creator_id", HIDDEN))),
    View(
        "video",
        ("video_id",),
        (
            Count("impression"),
            Count("watch"),
            Count("watch", "completed"),
            Count("like"),
            Count("hide"),
            Count("watch", buckets=72),
        ),
    ),
    View(
        "creator",
        ("creator_id",),
        (Count("impression"), Count("watch"), Count("watch", "completed"), Count("like"), Count("hide")),
    ),
    View(
        "user_creator",
        ("user_id", "creator_id"),
        (Count("impression"), Count("watch"), Count("watch", "completed"), Count("hide")),
    ),
)
USER, SEEN, VIDEO, CREATOR, USER_CREATOR = VIEWS


def fit(dataset: Dataset, config: Config) -> Features:
    catalog = dataset.catalog
    n = len(catalog)
    length = catalog.numbers.get("length_seconds", np.zeros(n))
    language = catalog.categories.get("language", np.full(n, ""))
    codes = np.unique(language, return_inverse=True)[1].astype(np.int64)
    return Features(
        video_id=catalog.video_id,
        creator_id=catalog.creator_id,
        explicit=catalog.explicit,
        min_age=catalog.min_age,
        barred_in=catalog.barred_in,
        group=copies(catalog.fingerprint),
        title=_title_vectors(catalog, config.seed),
        length=np.log1p(np.nan_to_num(length)),
        uploaded=catalog.numbers.get("uploaded", np.full(n, np.nan)),
        language=np.where(language == "", -1, codes),
    )


def load(folder: Path) -> Features:
    return columns.load_dataclass(folder / "videos.parquet", Features)


@dataclass(frozen=True)
class Inputs:
    """`dense` [n, num_features], one row a (viewer, video); `names` of its columns."""

    dense: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rulings:
    """What the rules ask of videos, [k] each; of one that the catalogue lacks nothing is `known`."""

    creators: Ints  # -1 unknown
    known: Bools
    explicit: Bools
    min_age: Ints  # years
    barred_in: Ints  # bit c: not in country c
    groups: Ints  # copies of one video share a group; -1 has no copy
    uploaded: Floats  # seconds, NaN where unknown


@dataclass(frozen=True)
class Features:
    """The catalogue in the form the models read: arrays in the order of `video_id`."""

    video_id: Ints
    creator_id: Ints
    explicit: Ints
    min_age: Ints
    barred_in: Ints
    group: Ints  # the least index among its copies, -1 without one
    title: NDArray[np.float32]  # [num_videos, TITLE_DIM], unit length or zero
    length: Floats  # log seconds, 0 where unknown
    uploaded: Floats  # seconds, NaN where unknown
    language: Ints  # -1 where unknown

    def recent(self, requests: Requests | Rows, store: FeatureStore) -> Ints:
        """[n, HISTORY] catalogue indices of the last watches, newest first, -1 pads."""
        return find(self.video_id, store.read(USER, requests.user_id, requests.moment)[:, :HISTORY].astype(np.int64))

    def watched(self, requests: Requests, store: FeatureStore) -> tuple[Ints, Ints]:
        """-> [n, WATCHED] video ids that may not be shown again, [n, HIDDEN] creators who may not; -1 pads."""
        read = store.read(SEEN, requests.user_id, requests.moment).astype(np.int64)
        return read[:, :WATCHED], read[:, WATCHED:]

    def rulings(self, ids: Ints) -> Rulings:
        """Of any videos [k]."""
        index = find(self.video_id, ids)
        known = index >= 0
        return Rulings(
            creators=np.where(known, self.creator_id[index], -1),
            known=known,
            explicit=self.explicit[index] > 0,
            min_age=self.min_age[index],
            barred_in=self.barred_in[index],
            groups=np.where(known, self.group[index], -1),
            uploaded=np.where(known, self.uploaded[index], np.nan),
        )

    def alike(self, creators: Ints, hidden: Ints) -> Floats:
        """creators [k], hidden [m] -> [k]: the greatest cosine of each creator's work with that of a hidden one; 0 if there is none."""
        mine, theirs = (find(self._makers[0], np.unique(some)) for some in (creators, hidden))
        unique, back = np.unique(creators, return_inverse=True)
        cosines = self._makers[1][mine] @ self._makers[1][theirs[theirs >= 0]].T
        best = np.where(mine >= 0, cosines.max(axis=1, initial=0.0), 0.0)
        assert len(unique) == len(best)
        return best[back].astype(float)

    @cached_property
    def _makers(self) -> tuple[Ints, NDArray[np.float32]]:
        """-> (creators in order, the mean title vector of each, of unit length)."""
        creators, of = np.unique(self.creator_id, return_inverse=True)
        order = np.argsort(of, kind="stable")
        total = np.add.reduceat(self.title[order], np.searchsorted(of[order], np.arange(len(creators))))
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return creators, (total / np.maximum(norm, 1e-9)).astype(np.float32)

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        """What the ranker sees of each row, as of its moment."""
        index = find(self.video_id, rows.video_id)
        creator = np.where(index >= 0, self.creator_id[index], -1)
        first, of = _distinct(rows)
        user = store.read(USER, rows.user_id[first], rows.moment[first])
        recent = find(self.video_id, user[:, :HISTORY].astype(np.int64))
        found = {
            **_of_user(user[:, HISTORY:], of),
            **_rates("video", _read(store, VIDEO, rows.video_id, rows.moment)),
            **_rates("creator", _read(store, CREATOR, creator, rows.moment)),
            **_pair(_read(store, USER_CREATOR, pair(rows.user_id, creator), rows.moment)),
            **self._content(index, rows.event_time),
            **self._cross(recent, of, index),
        }
        return Inputs(np.stack(list(found.values()), axis=1), tuple(found))

    def _content(self, index: Ints, event_time: Ints) -> dict[str, Floats]:
        known = index >= 0
        age = np.where(known, (event_time - self.uploaded[index]) / 86_400, np.nan)
        hour = 2 * np.pi * (event_time % 86_400) / 86_400
        return {
            "length": np.where(known, self.length[index], 0.0),
            "age_days": np.log1p(np.maximum(np.nan_to_num(age), 0.0)),
            "hour_sin": np.sin(hour),
            "hour_cos": np.cos(hour),
        }

    def _cross(self, recent: Ints, of: Ints, index: Ints) -> dict[str, Floats]:
        """How the video compares with what its viewer watched last."""
        seen = recent >= 0
        count = np.maximum(seen.sum(axis=1), 1)
        title = self.title[recent] * seen[:, :, None]
        mean = (title.sum(axis=1) / count[:, None])[of]
        own = self.title[index] * (index >= 0)[:, None]
        last = np.max([np.einsum("nd,nd->n", title[of, place], own) for place in range(5)], axis=0)
        length = ((self.length[recent] * seen).sum(axis=1) / count)[of]
        same_creator = self._share(self.creator_id, recent, of, index)
        return {
            "title_mean": np.einsum("nd,nd->n", mean, own).astype(float),
            "title_last": last.astype(float),
            "same_creator": same_creator,
            "same_language": self._share(self.language, recent, of, index),
            "length_gap": np.abs(self.length[index] - length) * (seen.sum(axis=1) > 0)[of],
        }

    def _share(self, column: Ints, recent: Ints, of: Ints, index: Ints) -> Floats:
        """Share of the last watches whose `column` is that of the video."""
        theirs = np.where(recent >= 0, column[recent], -2)[of]
        same = np.logical_and(theirs == column[index][:, None], theirs >= 0)
        shares: Floats = same.sum(axis=1) / np.maximum((theirs > -2).sum(axis=1), 1)
        return shares

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / "videos.parquet", self)


def copies(fingerprint: Ints, most: int = 3) -> Ints:
    """[n] -> the least index of those whose fingerprints differ from it in at most `most` bits, one step or several; -1 if there is none.

    Of five bands two are untouched by three flipped bits, so copies meet in at least one of ten tables keyed by two bands (Manku, Jain,
    Das Sarma 2007, "Detecting near-duplicates for web crawling"). 0 is unknown."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    bands = [(fingerprint >> (BAND * place)) & (2**BAND - 1) for place in range(BANDS)]
    for one, other in combinations(range(BANDS), 2):
        key = (bands[one] << BAND) | bands[other]
        order = np.argsort(key, kind="stable")
        order = order[fingerprint[order] != 0]
        for apart in range(1, RUN):
            left, right = order[:-apart], order[apart:]
            met = key[left] == key[right]
            if not met.any():
                break
            left, right = left[met], right[met]
            near = np.bitwise_count(fingerprint[left] ^ fingerprint[right]) <= most
            first.append(left[near])
            second.append(right[near])
    n, edges = len(fingerprint), (np.concatenate(first), np.concatenate(second))
    _, label = connected_components(coo_array((np.ones(len(edges[0])), edges), shape=(n, n)), directed=False)
    _, least, size = np.unique(label, return_index=True, return_counts=True)
    return np.where(size[label] > 1, least[label], -1)


def _title_vectors(catalog: Catalog, seed: int) -> NDArray[np.float32]:
    """TF-IDF, then SVD (latent semantic analysis, Deerwester et al. 1990): synonyms that keep the same company come close."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(max_features=20_000, sublinear_tf=True).fit_transform(texts(catalog))
    except ValueError:  # no title holds a word
        return np.zeros((len(catalog), TITLE_DIM), np.float32)
    dim = min(TITLE_DIM, min(weights.shape) - 1)  # SVD wants fewer than either side
    vectors = np.zeros((len(catalog), TITLE_DIM), np.float32)
    if dim > 0:
        vectors[:, :dim] = TruncatedSVD(dim, random_state=seed).fit_transform(weights)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(norm, 1e-9)).astype(np.float32)
    return unit


def texts(catalog: Catalog) -> list[str]:
    """What is written of each video: title and tags."""
    return [f"{title} {tags}" for title, tags in zip(catalog.title.tolist(), catalog.tags.tolist(), strict=True)]


def _read(store: FeatureStore, view: View, keys: Ints, moments: Ints) -> Floats:
    """As store.read, each (key, moment) once: the candidates of many requests are mostly the same videos."""
    moment, at = np.unique(moments, return_inverse=True)
    key, of = np.unique(keys, return_inverse=True)
    cell, back = np.unique(of * len(moment) + at, return_inverse=True)
    return store.read(view, key[cell // len(moment)], moment[cell % len(moment)])[back]


def _distinct(rows: Rows) -> tuple[Ints, Ints]:
    """-> (one row of each viewer and moment, which of them each row is): a viewer is read once, not once a candidate."""
    asked = np.stack([rows.user_id, rows.moment, rows.event_time])
    change = np.flatnonzero(np.any(asked[:, 1:] != asked[:, :-1], axis=0)) + 1  # rows of one request stand together
    first = np.concatenate([np.zeros(min(len(rows), 1), np.int64), change])
    return first, np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows))))


def _of_user(counts: Floats, of: Ints) -> dict[str, Floats]:
    impressions, watches, completed, likes, shares, hides, lately = counts[of].T
    return {
        "user_watches": np.log1p(watches),
        "user_completion": (completed + 0.5) / (watches + 2),
        "user_likes": (likes + 0.2) / (watches + 2),
        "user_shares": (shares + 0.1) / (watches + 2),
        "user_hides": (hides + 0.2) / (impressions + 10),
        "user_lately": np.log1p(lately),
    }


def _rates(name: str, counts: Floats) -> dict[str, Floats]:
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


def _pair(counts: Floats) -> dict[str, Floats]:
    impressions, watches, completed, hides = counts.T
    return {
        "pair_impressions": np.log1p(impressions),
        "pair_watches": np.log1p(watches),
        "pair_watch_rate": (watches + 0.5) / (impressions + 2),
        "pair_completion": (completed + 0.3) / (watches + 1),
        "pair_hides": np.log1p(hides),
    }
