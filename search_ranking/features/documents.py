"""The catalogue as the ranker reads it: the words of each field as numbers, beside what is known of the document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.data import columns
from common.features.text import TokenTable, analyse, padded
from search_ranking.schema import Catalog

FIELDS = {"title": 12, "description": 40, "tags": 16}  # words kept of each


@dataclass(frozen=True, eq=False)
class Documents:
    """[num_docs] each, in the order of `doc_id`; of the fields [num_docs, FIELDS[name]] token ids, 0 pads. `weight` [num_tokens] is the idf."""

    doc_id: Ints
    channel_id: Ints
    title: Ints
    description: Ints
    tags: Ints
    length: Floats  # log seconds
    uploaded: Floats  # seconds
    views: Floats  # log of what was watched before the log began
    language: Ints  # codes of `languages`, -1 unknown
    topic: Ints
    fingerprint: Ints
    explicit: Ints
    min_age: Ints
    barred_in: Ints


@dataclass(frozen=True, eq=False)
class Names:
    """What the codes and token ids stand for."""

    tokens: TokenTable
    weight: Floats  # [len(tokens)] idf, 0 for PAD and UNKNOWN
    languages: tuple[str, ...]
    topics: tuple[str, ...]


def described(catalog: Catalog) -> tuple[Documents, Names]:
    fields = {name: [analyse(text) for text in getattr(catalog, name).tolist()] for name in FIELDS}
    bags = [set().union(*parts) for parts in zip(*fields.values(), strict=True)]
    tokens = TokenTable.fit(list(bag) for bag in bags)
    languages, topics = (_codes(catalog.categories.get(name)) for name in ("language", "topic"))
    held = np.bincount([at for bag in bags for at in set(tokens.ids(sorted(bag)))], minlength=len(tokens))
    weight = np.log(1 + (len(bags) - held + 0.5) / (held + 0.5))
    weight[:2] = 0.0
    return encoded(catalog, Names(tokens, weight, languages, topics), fields), Names(tokens, weight, languages, topics)


def encoded(catalog: Catalog, names: Names, fields: dict[str, list[list[str]]] | None = None) -> Documents:
    """Any documents in the words and codes of those of training."""
    fields = fields or {name: [analyse(text) for text in getattr(catalog, name).tolist()] for name in FIELDS}
    numbers = {name: catalog.numbers.get(name, np.zeros(len(catalog))) for name in ("length_seconds", "views")}
    ids: dict[str, Any] = {
        name: padded([names.tokens.ids(row) for row in rows], FIELDS[name]) for name, rows in fields.items()
    }
    law = {
        name: getattr(catalog, name)
        for name in ("doc_id", "channel_id", "fingerprint", "explicit", "min_age", "barred_in")
    }
    return Documents(
        **ids,
        **law,
        length=np.log1p(numbers["length_seconds"]),
        uploaded=catalog.numbers.get("uploaded", np.full(len(catalog), np.nan)).astype(float),
        views=np.log1p(numbers["views"]),
        language=_coded(catalog.categories.get("language"), names.languages, len(catalog)),
        topic=_coded(catalog.categories.get("topic"), names.topics, len(catalog)),
    )


def save(documents: Documents, names: Names, folder: Path) -> None:
    columns.write(folder / "documents.parquet", dict(vars(documents)))
    columns.write(folder / "tokens.parquet", {"token": names.tokens.tokens, "weight": names.weight[2:]})
    codes = [(kind, code) for kind in ("languages", "topics") for code in getattr(names, kind)]
    kind, code = (
        (np.array(part, dtype=np.str_) for part in zip(*codes, strict=True)) if codes else (np.empty(0, np.str_),) * 2
    )
    columns.write(folder / "codes.parquet", {"kind": kind, "code": code})


def load(folder: Path) -> tuple[Documents, Names]:
    table, codes = columns.read(folder / "tokens.parquet"), columns.read(folder / "codes.parquet")
    kinds: dict[str, tuple[str, ...]] = {
        kind: tuple(codes["code"][codes["kind"] == kind].tolist()) for kind in ("languages", "topics")
    }
    tokens = TokenTable(table["token"].astype(np.str_))
    names = Names(tokens, np.concatenate([np.zeros(2), table["weight"].astype(float)]), **kinds)
    return columns.load_dataclass(folder / "documents.parquet", Documents), names


def _codes(column: NDArray[np.str_] | None) -> tuple[str, ...]:
    return tuple(sorted(set(column.tolist()) - {""})) if column is not None else ()


def _coded(column: NDArray[np.str_] | None, names: tuple[str, ...], n: int) -> Ints:
    if column is None or not names:
        return np.full(n, -1)
    known = np.array(names)
    at = np.minimum(np.searchsorted(known, column), len(known) - 1)
    return np.where(known[at] == column, at, -1)
