"""A test collection as a Dataset: queries and what judges said of documents, and nobody who clicked.

A row is a judgment: `grade` in the place of `clicked`. Its history is empty and its moment 0: whatever were counted of a pair would be the label
itself. For the same reason rows carry no number of the document and none of the query, and no query of the test stands among the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from common import events
from common.contract import Bools, Events, Floats, Ints, Ranking
from common.errors import InputError
from common.features.asof import AsOfStore
from common.features.text import analyse, normalise
from common.training.progress import say
from search_ranking.data import beir, letor
from search_ranking.schema import (
    EVENTS,
    SHOWN,
    Catalog,
    Dataset,
    Judgments,
    Queries,
    Requests,
    Rows,
    Texts,
    query_id,
)

VALID = ("dev", "valid")  # the judged queries that say when to stop, where there are any
LONG = 12  # words of a query
SCIFACT = 5_183, 300  # documents and test queries: what this set alone has


def read_beir(folder: Path) -> tuple[Dataset, Judgments]:
    """Document and query are known by their place in the files, so which of them came first says nothing: nothing learns from either."""
    found = beir.read(folder)
    ids = np.array([query_id(normalise(text)) for text in found.queries])
    test, train = found.split("test"), found.judged.get("train", beir.NOBODY)
    valid = next((found.judged[name] for name in VALID if name in found.judged), beir.NOBODY)
    asked = test.queries()
    if not len(asked):
        raise InputError(
            f"{folder}: no query of qrels/test.tsv has a document worth anything. There is nothing to judge."
        )
    catalog = Catalog(
        doc_id=np.arange(len(found.titles)),
        channel_id=np.full(len(found.titles), -1),
        title=np.array(found.titles, dtype=np.str_),
        description=np.array(
            [f"{title} {text}" for title, text in zip(found.titles, found.texts, strict=True)], dtype=np.str_
        ),
        tags=np.full(len(found.titles), ""),
        frames=np.zeros((len(found.titles), 0), np.float32),
    )
    ours = ~np.isin(ids, ids[asked])  # no test query has their text
    rows = [_rows(part, ids, ours[part.query]) for part in (train, valid)]
    learnt = np.unique(np.concatenate([part.query[ours[part.query]] for part in (train, valid)]))
    known, first = np.unique(ids[learnt], return_index=True)
    queries = Queries(query_id=known, text=np.array(found.queries, dtype=np.str_)[learnt[first]])
    requests = _requests(asked, ids[asked], np.array(found.queries, dtype=np.str_)[asked])
    relevant = test.relevant(asked)
    grade = dict(zip(zip(test.query.tolist(), test.document.tolist(), strict=True), test.grade.tolist(), strict=True))
    grades = np.array(
        [
            [grade.get((query, of), 0.0) for of in row]
            for query, row in zip(asked.tolist(), relevant.tolist(), strict=True)
        ]
    )
    dataset = Dataset(
        train=rows[0], valid=rows[1], test=requests, queries=queries, catalog=catalog, history=AsOfStore(nothing()),
        published="scifact" if (len(catalog), len(requests)) == SCIFACT else "",
    )  # fmt: skip
    return dataset, key(requests, relevant, grades, len(catalog), _slices(requests, relevant, catalog))


def read_letor(folder: Path) -> tuple[Dataset, Judgments]:
    """Each row of the files is a document of its own, that only its query can be answered with; its features stand in the catalogue, by number.
    Queries are numbered over the three files: some sets begin anew in each."""
    found = letor.read(folder)
    parts = [_mixed(part, np.random.default_rng(at)) for at, part in enumerate((found.train, found.valid, found.test))]
    features = np.concatenate([part.features for part in parts])
    docs, queries = (
        np.cumsum([0, *(len(part.grades) for part in parts)]),
        np.cumsum([0, *(len(part.sizes) for part in parts)]),
    )
    catalog = Catalog(
        doc_id=np.arange(len(features)),
        channel_id=np.full(len(features), -1),
        title=np.full(len(features), ""),
        description=np.full(len(features), ""),
        tags=np.full(len(features), ""),
        frames=np.zeros((len(features), 0), np.float32),
        numbers={str(at): column for at, column in enumerate(features.T, start=1)},
    )
    train, valid = (
        judged(
            np.repeat(np.arange(len(part.sizes)) + queries[at], part.sizes),
            np.arange(len(part.grades)) + docs[at],
            part.grades,
        )
        for at, part in enumerate(parts[:2])
    )
    names = np.array([str(one) for part in parts for one in part.query_id], dtype=np.str_)
    texts = Queries(query_id=np.arange(queries[2]), text=names[: queries[2]])
    lists = np.split(np.arange(docs[2], docs[3]), np.cumsum(parts[2].sizes)[:-1])
    grades = np.split(parts[2].grades, np.cumsum(parts[2].sizes)[:-1])
    asked = np.array([at for at, grade in enumerate(grades) if grade.max() > 0], dtype=np.int64)
    if not len(asked):
        raise InputError(f"{folder}: no query of the test has a row of a grade above 0. There is nothing to judge.")
    if len(asked) < len(grades):
        say(
            f"{folder}: {len(grades) - len(asked):,} of {len(grades):,} test queries have no row above 0 and are not asked."
        )
    requests = _requests(asked, asked + queries[2], names[asked + queries[2]])
    best = [np.argsort(-grades[at], kind="stable")[: int((grades[at] > 0).sum())] for at in asked.tolist()]
    relevant = _padded([lists[at][order] for at, order in zip(asked.tolist(), best, strict=True)], -1)
    worth = _padded([grades[at][order] for at, order in zip(asked.tolist(), best, strict=True)], 0.0)
    candidates = _padded([lists[at] for at in asked.tolist()], -1)
    dataset = Dataset(
        train=train, valid=valid, test=requests, queries=texts, catalog=catalog, history=AsOfStore(nothing()),
        candidates=Ranking(ids=candidates, scores=np.where(candidates >= 0, 0.0, -np.inf)),
    )  # fmt: skip
    slices: dict[str, Texts] = {"best": np.char.add("grade ", worth[:, 0].astype(np.int64).astype(np.str_))}
    return dataset, key(requests, relevant, worth, len(catalog), slices)


def _mixed(part: letor.Split, rng: np.random.Generator) -> letor.Split:
    """The rows of each query in an order by lot: many sets write them best first, and whoever scores all the same would look perfect."""
    order = np.lexsort((rng.random(len(part.grades)), np.repeat(np.arange(len(part.sizes)), part.sizes)))
    return replace(part, features=part.features[order], grades=part.grades[order])


def judged(query: Ints, document: Ints, grade: Floats, of: Ints | None = None) -> Rows:
    """Judgments [n], those of one query together: a list each. `of` [n]: the id of the query, where it is not its place."""
    first = np.flatnonzero(np.diff(query, prepend=-1))
    place = np.arange(len(query)) - np.repeat(first, np.diff(np.append(first, len(query))))
    none = np.zeros(len(query), np.int64)
    return Rows(
        request_id=query, user_id=none, query_id=query if of is None else of, doc_id=document, event_time=none, moment=none,
        labels={"grade": grade}, numbers={"slot": place.astype(float), "swapped": np.zeros(len(query))},
    )  # fmt: skip


def nothing() -> Events:
    """A log in which nothing has happened."""
    return events.of([], keys=SHOWN, values=dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))


def key(requests: Requests, relevant: Ints, grades: Floats, num_docs: int, slices: Mapping[str, Texts]) -> Judgments:
    """relevant [n, m] documents, -1 pads; grades [n, m] theirs."""
    return Judgments(
        requests=requests, gain=_gain(requests, relevant, grades), relevant=relevant, grades=grades, num_docs=num_docs,
        slices=slices, origin="real",
    )  # fmt: skip


def _gain(requests: Requests, relevant: Ints, grades: Floats) -> Callable[[Requests, Ints], Floats]:
    """The judged grade of any document for any of these requests, known by who asked what and when."""
    row = {name: at for at, name in enumerate(_names(requests))}

    def gain(these: Requests, ids: Ints) -> Floats:
        at = np.array([row[name] for name in _names(these)], dtype=np.int64)
        same = (ids[:, :, None] == relevant[at][:, None, :]) & (ids[:, :, None] >= 0)
        found: Floats = (same * grades[at][:, None, :]).sum(axis=2)
        return found

    return gain


def _names(requests: Requests) -> list[tuple[int, int, int]]:
    return list(zip(requests.user_id.tolist(), requests.query_id.tolist(), requests.event_time.tolist(), strict=True))


def _rows(part: beir.Judged, ids: Ints, kept: Bools) -> Rows:
    """By query; what was looked at and found of no use is among them: it is a negative somebody chose."""
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(part.query[rows], kind="stable")]
    return judged(part.query[rows], part.document[rows], part.grade[rows], ids[part.query[rows]])


def _requests(asked: Ints, query: Ints, text: Texts) -> Requests:
    """Each query is asked once, by somebody of its own: two of one text stay two."""
    none = np.zeros(len(asked), np.int64)
    return Requests(user_id=asked, query_id=query, query=text, event_time=none, moment=none)


def _slices(requests: Requests, relevant: Ints, catalog: Catalog) -> Mapping[str, Texts]:
    """How many of the query's words stand in what answers it, in the best placed document of them; how long it is."""
    shared, length = [], []
    for text, documents in zip(requests.query.tolist(), relevant.tolist(), strict=True):
        query = set(analyse(text))
        said = [set(analyse(f"{catalog.title[at]} {catalog.description[at]}")) for at in documents if at >= 0]
        shared.append(max(len(query & words) for words in said) / max(len(query), 1))
        length.append(len(query))
    share = np.array(shared)
    words = np.where(share < 0.5, "few shared", np.where(share < 1, "some shared", "all shared"))
    return {"words": words, "length": np.where(np.array(length) > LONG, f"above {LONG} words", f"up to {LONG} words")}


def _padded(rows: Sequence[Ints | Floats], fill: float) -> np.ndarray:
    found = np.full((len(rows), max(map(len, rows))), fill, dtype=rows[0].dtype)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found
