"""Ads put and deleted while the case is served, beside those of training: a new catalogue, and what is known of each ad in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ad_click.schema import Catalog, Item
from common.contract import Floats, Ints

OPEN: Mapping[str, float] = {"start_time": 0.0, "min_age": 0.0, "max_age": 120.0}
"""What an ad says by saying nothing of who may see it, and when."""
PLAIN: Mapping[str, str] = {"target_country": "", "pricing": "cpc"}

COLUMNS = ("ad_id", "campaign_id", "advertiser_id", "topic_id", "bid_micros", "budget_micros")


def merged(trained: Catalog, items: Mapping[int, Item | None]) -> Catalog:
    """The ads as of training with what changed since: id -> the ad as it was put last, or None where it was deleted; the last put last."""
    kept = np.flatnonzero(~np.isin(trained.ad_id, list(items)))
    put = [item for item in items.values() if item is not None]
    order = np.argsort(np.append(trained.ad_id[kept], _ints(put, "ad_id")), kind="stable")
    rows: dict[str, Ints] = {name: np.append(getattr(trained, name)[kept], _ints(put, name))[order] for name in COLUMNS}
    rows["budget_micros"] = _budgets(rows["campaign_id"], rows["budget_micros"], put)
    return Catalog(
        **rows,
        numbers={
            name: _number(trained, kept, put, name)[order] for name in _names(trained.numbers, put, "numbers", OPEN)
        },
        categories={
            name: _category(trained, kept, put, name)[order]
            for name in _names(trained.categories, put, "categories", PLAIN)
        },
    )


def _ints(put: Sequence[Item], name: str) -> Ints:
    return np.array([getattr(item, name) for item in put], dtype=np.int64)


def _names(
    trained: Mapping[str, NDArray[np.generic]], put: Sequence[Item], of: str, rules: Mapping[str, object]
) -> list[str]:
    """The catalogue's columns, and those of the rules that a put ad names: no feature was made of any other. An age has two ends."""
    said = {name for item in put for name in getattr(item, of) if name in rules}
    ages = {"min_age", "max_age"} if of == "numbers" and {"min_age", "max_age"} & (said | set(trained)) else set()
    return sorted({*trained, *said, *ages})


def _number(trained: Catalog, kept: Ints, put: Sequence[Item], name: str) -> Floats:
    nothing = OPEN.get(name, np.nan)
    old = trained.numbers.get(name, np.full(len(trained), nothing))[kept]
    return np.append(old, [item.numbers.get(name, nothing) for item in put])


def _category(trained: Catalog, kept: Ints, put: Sequence[Item], name: str) -> NDArray[np.str_]:
    nothing = PLAIN.get(name, "")
    old = trained.categories.get(name, np.full(len(trained), nothing))[kept]
    new = np.array([item.categories.get(name, nothing) for item in put], dtype=np.str_)
    found: NDArray[np.str_] = np.append(old, new)
    return found


def _budgets(campaign_id: Ints, budget_micros: Ints, put: Sequence[Item]) -> Ints:
    """A campaign has one budget, and the last word on it holds for all of its ads."""
    said = {item.campaign_id: item.budget_micros for item in put}
    if not said:
        return budget_micros
    campaigns = np.array(sorted(said), dtype=np.int64)
    at = np.minimum(np.searchsorted(campaigns, campaign_id), len(campaigns) - 1)
    return np.where(
        campaigns[at] == campaign_id, np.array([said[one] for one in campaigns.tolist()])[at], budget_micros
    )
