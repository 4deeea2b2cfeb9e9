"""Rows to inputs as of a moment: what is known about the user, the ad and the two together, and the context of the request.

In:     rows, and a store that answers as of their moments; the catalogue, joined by ad.
Out:    Inputs: a float matrix with named columns, and integer codes of the categories (0 = unknown).
Choice: counts, windows, smoothed rates and decayed sums; unknown is a value that training has seen, never a crash.
Else:   learned embeddings of ids, where billions of rows make each id's vector worth its memory.
Breaks: training on values serving will not see (the parity check of common/features), a vocabulary that grew old (monitor: unknown).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ad_click.config import Config
from ad_click.features.text import prior_of, text_prior
from ad_click.schema import Catalog, Dataset, Rows, load_catalog
from common.contract import FeatureStore, Floats, Ints
from common.features.encoders import Vocabulary
from common.features.views import Count, Decayed, Last, Rate, View, entity_keys

PRIOR = 0.02  # clicks per impression a newcomer is believed to have
HIDDEN = 0.003  # and hides

_rate = partial(Rate, "click", "impression", PRIOR)  # of a strength
_hide_rate = partial(Rate, "hide", "impression", HIDDEN)

# Counts since ever grow with the log: a tree takes "many impressions" for "late in the log", and is wrong in the week after it. So what
# is counted fades or has a window, and rates are ratios.
USER = View(
    "user",
    ("user_id",),
    (
        Count("impression", buckets=24),
        _rate(50),
        _hide_rate(50),
        Decayed("click", half_life=72),
        Last("click", "age", expires=168),
        Last("impression", "age", expires=168),
    ),
)
AD = View("ad", ("ad_id",), (Decayed("impression", half_life=72), _rate(100), _rate(100, buckets=24), _hide_rate(500)))
CAMPAIGN = View("campaign", ("campaign_id",), (_rate(200),))
ADVERTISER = View("advertiser", ("advertiser_id",), (_rate(200),))
TOPIC = View("topic", ("topic_id",), (_rate(500), _rate(500, buckets=48)))
USER_TOPIC = View(
    "user_topic",
    ("user_id", "topic_id"),
    (Decayed("impression", half_life=72), _rate(20), Decayed("click", half_life=72)),
)
USER_AD = View(
    "user_ad",
    ("user_id", "ad_id"),
    (
        Count("impression", buckets=24),
        Count("hide"),
        Decayed("impression", half_life=72),
        _rate(5),
        Last("impression", "age", expires=168),
    ),
)
# For the auction, not for the model: what clicks and impressions owe, what is set aside for clicks still to come (for this hour and the one
# before, so for an hour at least), and what of it the clicks that have come take back.
SPEND = View(
    "spend",
    ("campaign_id",),
    (
        Count("click", "charge_micros", 24),
        Count("impression", "charge_micros", 24),
        Count("impression", "expected_micros", 2),
        Count("click", "expected_micros", 2),
    ),
)
MODELLED = (USER, AD, CAMPAIGN, ADVERTISER, USER_TOPIC, USER_AD)
VIEWS = (*MODELLED, TOPIC, SPEND)
DERIVED = ("topic.trend", "ad.hours", "hour", "weekday")
NEW_HOURS = 72  # for so long an ad counts as new
IDS = ("campaign_id", "advertiser_id", "topic_id")  # that an ad brings
# Who may see an ad says nothing the context does not, and a title is no category: text.py reads it.
NOT_MODELLED = ("start_time", "min_age", "max_age", "target_country", "title")


@dataclass(frozen=True)
class Inputs:
    """numbers [n, k], NaN where missing; codes [n, c], 0 where unknown, below sizes[c]."""

    numbers: Floats
    codes: Ints
    number_names: tuple[str, ...]
    code_names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, name: str, value: float) -> Inputs:
        """The same rows with one number set to `value`, if there is such a number: what would be predicted in slot 0?"""
        if name not in self.number_names:
            return self
        numbers = self.numbers.copy()
        numbers[:, self.number_names.index(name)] = value
        return replace(self, numbers=numbers)


def fit(dataset: Dataset, config: Config) -> Features:
    """Vocabularies of the training rows, so that validation meets as many unknown values as serving will."""
    train, catalog = dataset.train, dataset.catalog
    extra = tuple(sorted(set(catalog.numbers) - set(NOT_MODELLED)))
    prior, words = text_prior(train, catalog)
    return Features(
        catalog=catalog,
        row_numbers=tuple(sorted(train.numbers)),
        row_categories=tuple(sorted(train.categories)),
        ad_numbers=extra,
        text_prior=prior,
        words=words,
        vocabularies={name: Vocabulary.fit(column) for name, column in _categories(train, catalog).items()},
    )


def load(folder: Path) -> Features:
    saved = json.loads((folder / "features.json").read_text())
    return Features(
        catalog=load_catalog(folder),
        row_numbers=tuple(saved["row_numbers"]),
        row_categories=tuple(saved["row_categories"]),
        ad_numbers=tuple(saved["ad_numbers"]),
        text_prior=np.array(saved["text_prior"]),
        words=saved["words"],
        vocabularies={name: Vocabulary.from_json(words) for name, words in saved["vocabularies"].items()},
    )


@dataclass(frozen=True, eq=False)
class Features:
    """What was learned about the columns: their names, their vocabularies, and the ads as of training."""

    catalog: Catalog
    row_numbers: tuple[str, ...]
    row_categories: tuple[str, ...]
    ad_numbers: tuple[str, ...]
    text_prior: Floats  # [num_ads]
    words: Mapping[str, float]  # what each is worth to an ad that comes later
    vocabularies: Mapping[str, Vocabulary]

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        """[n] rows -> Inputs. One code for training (AsOfStore), tables (LeaveOneOutStore) and serving (LiveStore)."""
        ads, place = self._ads, self.catalog.find(rows.ad_id)
        keys = {"user_id": rows.user_id, "ad_id": rows.ad_id, **{name: ids[place] for name, ids in ads.ids.items()}}
        read = [store.read(view, entity_keys(view, keys), rows.moment) for view in MODELLED]
        known = [rows.numbers.get(name, np.full(len(rows), np.nan)) for name in self.row_numbers]
        numbers = [
            *read,
            *known,
            ads.numbers.take(place, axis=0, mode="wrap"),
            *self._derived(rows, keys, ads.start[place], store),
        ]
        return Inputs(
            numbers=np.column_stack(numbers).astype(np.float64, copy=False),
            codes=self._codes(rows, place),
            number_names=self._number_names(),
            code_names=tuple(self.vocabularies),
            sizes=tuple(len(words) for words in self.vocabularies.values()),
        )

    def _derived(self, rows: Rows, keys: Mapping[str, Ints], start: Floats, store: FeatureStore) -> list[NDArray[Any]]:
        """A split on how a topic rises holds for every topic, one on its rate for none but its own; an ad is new for three days."""
        ever, lately = store.read(TOPIC, keys["topic_id"], rows.moment).T
        hours = (rows.event_time - start) // 3600
        clock = (rows.event_time // 3600 % 24, (rows.event_time // 86_400 + 3) % 7)  # 1970 began on a Thursday
        return [np.log(lately / ever), np.minimum(hours, NEW_HOURS), *clock]

    def _codes(self, rows: Rows, place: Ints) -> Ints:
        """[n, c]"""
        nothing = np.broadcast_to("", len(rows))
        of_row = {"user_id": rows.user_id, **{name: rows.categories.get(name, nothing) for name in self.row_categories}}
        if (place < 0).any():  # a row may name an ad that the catalogue lacks and training knew
            of_row["ad_id"] = rows.ad_id
        codes = self._ads.codes.take(place, axis=0, mode="wrap")
        for column, (name, words) in enumerate(self.vocabularies.items()):
            if name in of_row:
                codes[:, column] = words.encode(of_row[name])
        return codes

    def over(self, catalog: Catalog, changed: Ints) -> Features:
        """The same for the ads of another catalogue. Those that changed since training are known by their columns and their words alone."""
        place = np.where(np.isin(catalog.ad_id, changed), -1, self.catalog.find(catalog.ad_id))
        prior, new = np.append(self.text_prior, 0.0)[place], place < 0
        if "title" in catalog.categories:
            prior[new] = prior_of(catalog.categories["title"][new].tolist(), self.words)
        made = replace(self, catalog=catalog, text_prior=prior)
        _ = made._ads  # made here, and not in an answer
        return made

    def gaps(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Of the first row: which of its numbers and categories are missing, and which categories hold a value training never saw."""
        missing = [name for name in self.row_numbers if name not in rows.numbers or np.isnan(rows.numbers[name][0])]
        given = [name for name in self.row_categories if name in rows.categories and rows.categories[name][0]]
        missing += [name for name in self.row_categories if name not in given]
        unknown = [name for name in given if not self.vocabularies[name].encode(rows.categories[name][:1])[0]]
        return missing, unknown

    def save(self, folder: Path) -> None:
        """The ads too, though the artifact's catalog/ holds them: `load` is given this folder alone, and inputs join the ads."""
        saved = {name: getattr(self, name) for name in ("row_numbers", "row_categories", "ad_numbers", "words")}
        words = {name: vocabulary.as_json() for name, vocabulary in self.vocabularies.items()}
        priors = self.text_prior.tolist()
        (folder / "features.json").write_text(json.dumps({**saved, "text_prior": priors, "vocabularies": words}))
        self.catalog.save(folder)

    @cached_property
    def _ads(self) -> _Ads:
        numbers = [np.append(self.catalog.numbers[name], np.nan) for name in self.ad_numbers]
        start = self.catalog.numbers.get("start_time", np.full(len(self.catalog), np.nan))
        columns = _of_ads(self.catalog)
        columns["ad_id"] = np.append(self.catalog.ad_id, -1)
        nothing = np.zeros(len(start) + 1, dtype=np.int64)
        codes = [
            words.encode(columns[name]) if name in columns else nothing for name, words in self.vocabularies.items()
        ]
        return _Ads(
            ids={name: columns[name] for name in IDS},
            numbers=np.column_stack([*numbers, np.append(self.text_prior, 0.0)]),
            start=np.append(start, np.nan),
            codes=np.column_stack(codes),
        )

    def _number_names(self) -> tuple[str, ...]:
        views = [column for view in MODELLED for column in view.columns]
        of_ad = (*self.ad_numbers, "text_prior")
        return (*views, *self.row_numbers, *(f"ad.{name}" for name in of_ad), *DERIVED)


@dataclass(frozen=True)
class _Ads:
    """The catalogue as inputs take it, [num_ads + 1, ...] each. The last row stands for an ad that is not in it: place -1 finds it."""

    ids: Mapping[str, Ints]
    numbers: Floats
    start: Floats
    codes: Ints  # as in Inputs; 0 in the columns that an ad does not bring


def _categories(rows: Rows, catalog: Catalog) -> dict[str, NDArray[Any]]:
    """Every column that is coded: the ids, the request's categories, the ad's categories."""
    place = catalog.find(rows.ad_id)
    of_ad = {name: column[place] for name, column in _of_ads(catalog).items()}
    ids = {"user_id": rows.user_id, "ad_id": rows.ad_id, **{name: of_ad[name] for name in IDS}}
    return ids | {name: rows.categories[name] for name in sorted(rows.categories)} | of_ad


def _of_ads(catalog: Catalog) -> dict[str, NDArray[Any]]:
    """Those of them that an ad brings, [num_ads + 1] with the unknown ad last."""
    modelled = sorted(set(catalog.categories) - set(NOT_MODELLED))
    ids = {name: np.append(getattr(catalog, name), -1) for name in IDS}
    return ids | {f"ad.{name}": np.append(catalog.categories[name], "") for name in modelled}
