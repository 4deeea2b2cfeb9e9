"""A retrieval set in BEIR's form (Thakur et al. 2021): corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv; .gz beside any of them will do.

Ids are text there; here a document is its place in the corpus, a query its place in the queries, and the text is kept beside. What does not fit
is refused by file and line: a judgment of a document that is not there would count against every ranker, silently.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError, did_you_mean

MOST_BYTES = 2**24  # of a line: no text is that long, and a packed file could claim any length
HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A split: judgment i says what `document` is worth to `query`, places in the corpus and the queries. 0: looked at, of no use."""

    query: Ints
    document: Ints
    grade: Floats

    def queries(self) -> Ints:
        """Those with at least one document worth anything, ascending; metrics are means over them."""
        return np.unique(self.query[self.grade > 0])

    def relevant(self, queries: Ints) -> Ints:
        """[n, most]: the documents worth anything to each of these queries, the best first; -1 pads."""
        found = [np.flatnonzero((self.query == query) & (self.grade > 0)) for query in queries]
        ordered = [self.document[rows[np.argsort(-self.grade[rows], kind="stable")]] for rows in found]
        padded = np.full((len(queries), max([1, *map(len, ordered)])), -1)
        for row, documents in zip(padded, ordered, strict=True):
            row[: len(documents)] = documents
        return padded


NOBODY = Judged(query=np.empty(0, np.int64), document=np.empty(0, np.int64), grade=np.empty(0))


@dataclass(frozen=True, kw_only=True)
class Beir:
    """`titles` and `texts` of the documents, `queries` in words, each with its id as written; `judged` by split."""

    document_ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]
    query_ids: Sequence[str]
    queries: Sequence[str]
    judged: Mapping[str, Judged]

    def split(self, name: str) -> Judged:
        if name not in self.judged:
            raise InputError(f"No judgments named {name!r}. {did_you_mean(name, self.judged)}")
        return self.judged[name]


def read(folder: Path) -> Beir:
    """InputError: a file missing, torn or not UTF-8; a line that is not such an object; an id twice; a judgment of something not there."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. beir:DIR wants corpus.jsonl, queries.jsonl and qrels/*.tsv in it.")
    documents = _texts(_file(folder, "corpus.jsonl"), ("title", "text"))
    asked = _texts(_file(folder, "queries.jsonl"), ("text",))
    judged = sorted([*(folder / "qrels").glob("*.tsv"), *(folder / "qrels").glob("*.tsv.gz")])
    if not judged:
        raise InputError(f"{folder / 'qrels'}: no judgments. Expected qrels/test.tsv, and qrels/train.tsv to tune on.")
    places = [{name: at for at, name in enumerate(each)} for each in (asked, documents)]
    return Beir(
        document_ids=list(documents),
        titles=[title for title, _ in documents.values()],
        texts=[text for _, text in documents.values()],
        query_ids=list(asked),
        queries=[text for (text,) in asked.values()],
        judged={path.name.partition(".")[0]: _judged(path, *places) for path in judged},
    )


def _file(folder: Path, name: str) -> Path:
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if len(found) != 1:
        raise InputError(
            f"{folder}: {len(found)} of {name} and {name}.gz, expected one. Put the file there, or remove one."
        )
    return found[0]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) of every line that holds anything."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                if len(line) > MOST_BYTES:
                    _refuse(path, number, f"longer than {MOST_BYTES} bytes")
                if text := line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n"):
                    yield number, text
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        _refuse(path, number + 1, f"the file cannot be read past here ({str(error)[:100]}); was it cut short?")


def _texts(path: Path, fields: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """id -> its texts, in the order of the file. A title may be left out, a text may not."""
    found: dict[str, tuple[str, ...]] = {}
    for number, line in _lines(path):
        one = _object(path, number, line)
        name = one.get("_id")
        if not isinstance(name, str) or not name:
            _refuse(path, number, f'"_id" is {name!r}, expected text that names it')
        if name in found:
            _refuse(path, number, f"id {name!r} stands on an earlier line already")
        values = [one.get(field, "" if field == "title" else None) for field in fields]
        for field, value in zip(fields, values, strict=True):
            if not isinstance(value, str):
                _refuse(path, number, f"{field!r} is {str(value)[:40]!r}, expected text")
        found[name] = tuple(str(value) for value in values)
    if not found:
        raise InputError(f"{path}: holds nothing. Expected one JSON object a line.")
    return found


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        one = json.loads(line)
    except (ValueError, RecursionError) as error:
        _refuse(path, number, f"not JSON ({str(error)[:80]})")
    if not isinstance(one, dict):
        _refuse(path, number, f"{line[:40]!r} is not a JSON object")
    return one


def _judged(path: Path, queries: Mapping[str, int], documents: Mapping[str, int]) -> Judged:
    lines = _lines(path)
    number, header = next(lines, (1, ""))
    if header.split("\t") != HEADER:
        _refuse(path, number, f"the header is {header[:60]!r}, expected {' '.join(HEADER)} with tabs between")
    rows: dict[tuple[int, int], float] = {}
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(HEADER):
            _refuse(path, number, f"{len(cells)} cells, expected {len(HEADER)} with tabs between")
        for cell, known, kind in ((cells[0], queries, "query"), (cells[1], documents, "document")):
            if cell not in known:
                _refuse(path, number, f"{kind} {cell[:40]!r} is not in the {kind} file")
        if not (cells[2].isascii() and cells[2].isdigit()) or len(cells[2]) > 3:
            _refuse(path, number, f"score {cells[2][:40]!r}, expected a whole number from 0 to 999")
        pair = queries[cells[0]], documents[cells[1]]
        if pair in rows:
            _refuse(
                path, number, f"query {cells[0]!r} and document {cells[1]!r} were judged on an earlier line already"
            )
        rows[pair] = float(cells[2])
    pairs = np.array(list(rows), np.int64).reshape(-1, 2)
    return Judged(query=pairs[:, 0], document=pairs[:, 1], grade=np.array(list(rows.values()), float))


def _refuse(path: Path, number: int, said: str) -> NoReturn:
    raise InputError(f"{path}, line {number}: {said}. Mend or remove the line.")
