"""Learning-to-rank sets in svmlight form: `--data letor:DIR`, as MSLR-WEB, Yahoo, Istella and LETOR publish them.

    2 qid:10 1:0.5 2:0 46:1e-3 # docid = GX029      grade from 0 to 4, query, feature:value with features from 1 on; missing features are 0

In:     DIR with train, valid (or vali) and test, each plain, .txt or .svm, packed (.gz) or not.
Out:    Letor: three Splits of plain arrays over the same features; rows and queries in the order of the file.
Choice: a line is held against one pattern, numbers are read by numpy a block at a time: what is malformed is named by file and line.
Else:   scikit-learn's load_svmlight_file: as quick, but it reads nan, and a query that is torn apart, without a word.
Breaks: a query in two places is two queries, and the NDCG of each is wrong: refused. Ids that two splits share are not: some sets number anew.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.errors import InputError

SPLITS = {"train": ("train",), "valid": ("valid", "vali"), "test": ("test",)}
ENDINGS = tuple(kind + packed for kind in ("", ".txt", ".svm") for packed in ("", ".gz"))
MOST_FEATURES, TOP_GRADE = 100_000, 4.0
MOST_CELLS = 2**30  # of a split's table, 8 bytes each
MAX_LINE = 4 * 2**20  # bytes: a longer one is a file without line ends
BLOCK = 4 * 2**20  # bytes read before they are turned into numbers

_NUMBER = rb"[-+]?(?>\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(
    rb"[ \t]*+" + _NUMBER + rb"[ \t]++qid:\d{1,15}(?:[ \t]++\d{1,9}:" + _NUMBER + rb")*+[ \t\r\n]*+", re.ASCII
)
_APART = bytes.maketrans(b":", b" ")


@dataclass(frozen=True, kw_only=True)
class Split:
    """features [n, d], grades [n]; sizes [num_queries] rows of each query, which stand together; query_id [num_queries]."""

    features: Floats
    grades: Floats
    sizes: Ints
    query_id: Ints


@dataclass(frozen=True, kw_only=True)
class Letor:
    train: Split
    valid: Split
    test: Split


def read(folder: Path) -> Letor:
    """d is the highest feature of the three. Raises InputError on a split that is missing or there twice, and on anything malformed, with file,
    line, what was found and what was expected."""
    paths = {split: _path(folder, split) for split in SPLITS}  # all three, before minutes go into the first
    blocks = {split: _read(path) for split, path in paths.items()}
    num_features = max(block.num_features for found in blocks.values() for block in found)
    return Letor(**{split: _split(path, blocks[split], num_features) for split, path in paths.items()})


def write(path: Path, split: Split) -> None:
    """A file that `read` gives back bit for bit, packed if its name ends in .gz. Zeros are written too: they say how many features there are."""
    query = np.repeat(split.query_id, split.sizes)
    lines = (
        f"{int(grade) if grade.is_integer() else grade!r} qid:{of} "
        + " ".join(f"{at}:{value!r}" for at, value in enumerate(row.tolist(), 1))
        + "\n"
        for grade, of, row in zip(split.grades.tolist(), query.tolist(), split.features, strict=True)
    )
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(lines)


@dataclass(frozen=True)
class _Block:
    """Some lines as numbers [rows]: place in the file, grade, query, number of features; then all their features and values in one."""

    lines: Ints
    grades: Floats
    query: Ints
    counts: Ints
    features: NDArray[np.int32]
    values: Floats

    @property
    def num_features(self) -> int:
        return int(self.features.max(initial=0))


def _read(path: Path) -> list[_Block]:
    found, cells = [], 0
    for lines, bodies in _blocks(path):
        found.append(_parsed(path, lines, bodies))
        cells += len(found[-1].values)
        _refuse_size(path, cells)
    if not found:
        raise InputError(f"{path}: holds no rows. Expected lines of `grade qid:Q i:v ...`.")
    return found


def _split(path: Path, blocks: list[_Block], num_features: int) -> Split:
    """Lets go of the blocks one by one as they come to stand in the table: numbers are not held twice."""
    grades, query, lines = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("grades", "query", "lines")
    )
    sizes, query_id = _groups(path, query, lines)
    _refuse_size(path, len(grades) * num_features)
    features, first = np.zeros((len(grades), num_features)), 0
    for place, block in enumerate(blocks):
        rows = np.repeat(np.arange(first, first + len(block.counts)), block.counts)
        features[rows, block.features - 1] = block.values
        first += len(block.counts)
        blocks[place] = _NOTHING
    return Split(features=features, grades=grades, sizes=sizes, query_id=query_id)


def _groups(path: Path, query: Ints, lines: Ints) -> tuple[Ints, Ints]:
    """-> (sizes, query ids)"""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(query) != 0]))
    order = np.argsort(query[starts], kind="stable")
    again = np.flatnonzero(np.diff(query[starts][order]) == 0)
    if len(again):
        row = int(starts[order[again + 1]].min())
        _stop(path, int(lines[row]), f"qid:{query[row]}, after other queries", "the rows of a query to stand together")
    return np.diff(np.append(starts, len(query))), query[starts]


def _blocks(path: Path) -> Iterator[tuple[list[int], list[bytes]]]:
    """Lines without comments, those that are left with nothing left out: their places in the file (from 1), and themselves."""
    lines, bodies, size = [], [], 0
    for number, line in _lines(path):
        body = line.partition(b"#")[0].strip()
        if not body:
            continue
        lines.append(number)
        bodies.append(body)
        size += len(body)
        if size > BLOCK:
            yield lines, bodies
            lines, bodies, size = [], [], 0
    if bodies:
        yield lines, bodies


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
                if len(line) > MAX_LINE:
                    _stop(path, number, f"more than {MAX_LINE} bytes", "a line end before")
                yield number, line
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: is cut short or damaged ({error}). Copy it again.") from error


def _parsed(path: Path, lines: list[int], bodies: list[bytes]) -> _Block:
    for line, body in zip(lines, bodies, strict=True):
        if not _LINE.fullmatch(body):
            _stop(path, line, *_explain(body))
    counts = np.array([body.count(b":") - 1 for body in bodies])
    numbers = np.fromstring(b" ".join(bodies).replace(b"qid:", b"").translate(_APART), sep=" ")
    starts = np.cumsum(2 + 2 * counts) - (2 + 2 * counts)
    is_pair = np.ones(len(numbers), dtype=bool)
    is_pair[starts] = is_pair[starts + 1] = False
    pairs = numbers[is_pair].reshape(-1, 2)
    row, where = np.repeat(np.arange(len(lines)), counts), np.array(lines)
    features = pairs[:, 0].astype(np.int64)
    block = _Block(
        where,
        numbers[starts],
        numbers[starts + 1].astype(np.int64),
        counts,
        features.astype(np.int32),
        pairs[:, 1].copy(),
    )
    _refuse(path, where, (block.grades < 0) | (block.grades > TOP_GRADE), block.grades, "a grade from 0 to 4")
    _refuse(
        path, where[row], (features < 1) | (features > MOST_FEATURES), features, f"a feature from 1 to {MOST_FEATURES}"
    )
    _refuse(path, where[row], ~np.isfinite(block.values), block.values, "a value that is finite")
    _refuse(path, where[row], _repeated(row, features), features, "each feature once in a row")
    return block


def _repeated(row: Ints, features: Ints) -> Bools:
    """[num pairs]: this feature stands in this row a second time."""
    key = row * (MOST_FEATURES + 1) + features
    again = np.zeros(len(key), dtype=bool)
    if (np.diff(key) <= 0).any():  # features rise along a row in all but odd files
        order = np.argsort(key, kind="stable")
        again[order[1:]] = np.diff(key[order]) == 0
    return again


def _explain(body: bytes) -> tuple[str, str]:
    """Of a line that is not like the pattern: -> (what was found, what was expected)."""
    grade, *rest = body.split()
    if not re.fullmatch(_NUMBER, grade):
        return _said(grade), "a grade from 0 to 4 in front"
    if not rest or not re.fullmatch(rb"qid:\d{1,15}", rest[0]):
        return _said(rest[0]) if rest else "nothing after the grade", "qid: and a whole number of at most 15 digits"
    for token in rest[1:]:
        feature, colon, value = token.partition(b":")
        if not colon or not re.fullmatch(rb"\d{1,9}", feature):
            return _said(token), f"feature:value, the feature from 1 to {MOST_FEATURES}"
        if not re.fullmatch(_NUMBER, value):
            return _said(token), "a value that is a finite number"
    return _said(body), "`grade qid:Q i:v ...`, apart by spaces"


def _said(token: bytes) -> str:
    return repr(token[:40].decode("ascii", "backslashreplace"))


def _path(folder: Path, split: str) -> Path:
    names = [name + ending for name in SPLITS[split] for ending in ENDINGS]
    found = [name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        raise InputError(
            f"{folder}: holds {' and '.join(found) or 'no file'} for the split {split!r}. Expected one of {', '.join(names)}."
        )
    return folder / found[0]


def _refuse(path: Path, lines: Ints, unlawful: Bools, found: Floats | Ints, expected: str) -> None:
    if unlawful.any():
        at = int(np.flatnonzero(unlawful)[0])
        _stop(path, int(lines[at]), f"{found[at]:g}", expected)


def _refuse_size(path: Path, cells: int) -> None:
    if cells > MOST_CELLS:
        raise InputError(
            f"{path}: its table would hold {cells} numbers, the most is {MOST_CELLS}. Number the features without gaps, or take fewer rows."
        )


def _stop(path: Path, line: int, found: str, expected: str) -> NoReturn:
    raise InputError(f"{path}, line {line}: found {found}, expected {expected}. Mend or remove the line.")


_NOTHING = _Block(*(np.zeros(0, dtype) for dtype in (int, float, int, int, np.int32, float)))
