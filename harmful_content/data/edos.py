"""EDOS, Explainable Detection of Online Sexism (Kirk et al. 2023, SemEval task 10): 20,000 posts in one file, three questions of each.

Its posts are offensive by nature: no message of this file holds a text, a row is named by its number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.data.reading import read_table
from common.errors import InputError, did_you_mean
from common.features.asof import AsOfStore
from harmful_content.config import Config
from harmful_content.data.tables import nothing
from harmful_content.schema import MOST_CHARS, NO_IMAGES, Dataset, Judgments, Rows, rule_book

FILE = "edos_labelled_aggregated.csv"
QUESTIONS = {"a": "label_sexist", "b": "label_category", "c": "label_vector"}
COLUMNS = ("rewire_id", "text", *QUESTIONS.values(), "split")
YES, NO, NONE = "sexist", "not sexist", "none"
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
SHARED_TASK = 14_000, 2_000, 4_000  # rows of each split: what this set alone has


def read(folder: Path, config: Config) -> tuple[Dataset, Judgments]:
    """Policies a=sexist, b=CATEGORY, c=VECTOR: all are learnt together, config.task is judged. Each post has an author of its own, no time and no
    history. InputError: a column missing, a label that is none, a class no training post has, an unknown task."""
    if config.task not in QUESTIONS:
        raise InputError(f"--set task={config.task}: {did_you_mean(config.task, QUESTIONS)}")
    columns = _columns(folder / FILE)
    split = columns["split"]
    _check(split, sorted(SPLITS), "split")
    policies, label = _labels(columns, split == "train")
    parts = {ours: np.flatnonzero(split == theirs) for theirs, ours in SPLITS.items()}
    if short := [name for name, rows in parts.items() if not len(rows)]:
        raise InputError(f"{folder / FILE}: no row of split {short[0]}. Expected {', '.join(SPLITS)}.")
    train, valid, test = (_rows(columns["text"], label, rows) for rows in parts.values())
    unknown = np.full(test.hand_label.shape, np.nan)
    key = Judgments(
        label=test.hand_label, user_id=test.user_id, views=np.ones(len(test)), policies=policies, slices={}, origin="real"
    )  # fmt: skip
    dataset = Dataset(
        train=train, valid=valid, test=Rows(**{**vars(test), "hand_label": unknown}), catalog=rule_book(policies),
        history=AsOfStore(nothing()),
        published=f"edos_{config.task}" if tuple(map(len, parts.values())) == SHARED_TASK else "",
    )  # fmt: skip
    return dataset, key


def _columns(path: Path) -> dict[str, NDArray[np.str_]]:
    table = _read(path)
    if lacking := [name for name in COLUMNS if name not in table.column_names]:
        raise InputError(f"{path}: lacks the column {', '.join(lacking)}. Expected {', '.join(COLUMNS)}.")
    found = {name: [str(cell or "") for cell in table.column(name).to_pylist()] for name in COLUMNS}
    long = [row for row, text in enumerate(found["text"], start=1) if len(text) > MOST_CHARS]
    if long:
        raise InputError(f"{path}: row {long[0]} holds a text of more than {MOST_CHARS:,} characters. Cut it.")
    return {name: np.array(cells, dtype=np.str_) for name, cells in found.items()}


def _read(path: Path) -> Any:
    """Without what the reader quotes of a line it cannot read."""
    try:
        return read_table(path)
    except InputError as error:
        row = re.search(r"Row #(\d+)", str(error))
        said = f"{path}, line {row[1]}: does not have the cells the header names" if row else str(error)
    raise InputError(f"{said}. Copy the file again.")


def _labels(columns: dict[str, NDArray[np.str_]], in_train: Bools) -> tuple[tuple[str, ...], Floats]:
    """-> policies, label [n, num_policies]. A post that is not sexist is of no category, and known not to be."""
    said = {task: columns[name] for task, name in QUESTIONS.items()}
    _check(said["a"], [NO, YES], QUESTIONS["a"])
    yes = said["a"] == YES
    policies, label = [f"a={YES}"], [yes]
    for task in ("b", "c"):
        known = sorted(set(said[task][in_train].tolist()) - {NONE})
        _check(said[task], [NONE, *known], QUESTIONS[task])
        _each((said[task] == NONE) == yes, f"{QUESTIONS['a']} and {QUESTIONS[task]} do not agree")
        policies += [f"{task}={name}" for name in known]
        label += [said[task] == name for name in known]
    return tuple(policies), np.stack(label, axis=1).astype(np.float64)


def _check(column: NDArray[np.str_], known: list[str], name: str) -> None:
    _each(~np.isin(column, known), f"{name} is none of {', '.join(known)}")


def _each(wrong: Bools, said: str) -> None:
    if wrong.any():
        raise InputError(f"{FILE}, row {wrong.argmax() + 1} (below the header): {said}. Mend or remove the row.")


def _rows(text: NDArray[np.str_], label: Floats, rows: Ints) -> Rows:
    none = np.zeros(len(rows), np.int64)
    return Rows(
        post_id=rows, user_id=rows, event_time=none, moment=none, text=text[rows], image=none - 1, images=NO_IMAGES,
        natural_label=np.full((len(rows), label.shape[1]), np.nan), hand_label=label[rows],
    )  # fmt: skip
