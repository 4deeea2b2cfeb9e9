"""BEIR's files come in as they are, and what does not fit is refused by file and line."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from search_ranking.data import beir

CORPUS = [
    {"_id": "d9", "title": "A", "text": "one"},
    {"_id": "d1", "text": "zwei 二"},
    {"_id": "d5", "title": "C", "text": ""},
]
QUERIES = [{"_id": "q2", "text": "what", "metadata": {}}, {"_id": "q1", "text": "who"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td5\t2\nq2\td9\t0\n"


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(lines(CORPUS))  # type: ignore[arg-type]
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES))  # type: ignore[arg-type]
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def test_a_set_is_read_with_ids_as_places(folder: Path) -> None:
    found = beir.read(folder)
    assert found.document_ids == ["d9", "d1", "d5"] and found.titles == ["A", "", "C"] and found.texts[1] == "zwei 二"
    assert found.query_ids == ["q2", "q1"] and found.queries == ["what", "who"]
    test = found.split("test")
    assert test.query.tolist() == [1, 1, 0] and test.document.tolist() == [1, 2, 0] and test.grade.tolist() == [1, 2, 0]
    assert test.queries().tolist() == [1], "a query without a document worth anything is not asked"
    assert test.relevant(test.queries()).tolist() == [[2, 1]]
    assert test.relevant(np.array([0, 1])).tolist() == [[-1, -1], [2, 1]]
    with pytest.raises(InputError, match="Did you mean 'test'"):
        found.split("tets")


def test_packed_files_windows_ends_and_a_byte_order_mark_say_the_same(folder: Path) -> None:
    plain = beir.read(folder)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        path = folder / name
        content = path.read_bytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")))
        path.unlink()
    packed = beir.read(folder)
    assert (packed.titles, packed.texts, packed.queries) == (plain.titles, plain.texts, plain.queries)
    assert packed.split("test").document.tolist() == plain.split("test").document.tolist()


BROKEN: list[tuple[str, Callable[[str], str], str]] = [
    ("corpus.jsonl", lambda text: text + "{", "corpus.jsonl, line 4: not JSON"),
    ("corpus.jsonl", lambda text: text + "[]\n", "line 4: '\\[\\]' is not a JSON object"),
    ("corpus.jsonl", lambda text: "[" * 100_000 + text, "line 1: not JSON"),
    ("corpus.jsonl", lambda text: text + text, "line 4: id 'd9' stands on an earlier line"),
    ("corpus.jsonl", lambda text: text.replace('"d1"', "1"), 'line 2: "_id" is 1'),
    ("corpus.jsonl", lambda text: text.replace('"zwei 二"', "null"), "line 2: 'text' is 'None'"),
    ("corpus.jsonl", lambda text: text.replace('"A"', "[7]"), "line 1: 'title' is '\\[7\\]'"),
    ("queries.jsonl", lambda text: text.replace('"text"', '"txt"'), "queries.jsonl, line 1: 'text' is 'None'"),
    ("queries.jsonl", lambda text: "", "queries.jsonl: holds nothing"),
    ("qrels/test.tsv", lambda text: text.partition("\n")[2], "test.tsv, line 1: the header"),
    ("qrels/test.tsv", lambda text: "", "test.tsv, line 1: the header"),
    ("qrels/test.tsv", lambda text: text.replace("\t2", ""), "line 3: 2 cells"),
    ("qrels/test.tsv", lambda text: text.replace("d5", "d6"), "line 3: document 'd6' is not in the document file"),
    ("qrels/test.tsv", lambda text: text.replace("q2", "q7"), "line 4: query 'q7' is not in the query file"),
    ("qrels/test.tsv", lambda text: text.replace("\t2", "\t-1"), "line 3: score '-1'"),
    ("qrels/test.tsv", lambda text: text.replace("\t2", "\tnan"), "line 3: score 'nan'"),
    ("qrels/test.tsv", lambda text: text.replace("\t2", "\t²"), "line 3: score '²'"),
    ("qrels/test.tsv", lambda text: text.replace("d5", "d1"), "line 3: .* judged on an earlier line"),
]


@pytest.mark.parametrize(("name", "change", "said"), BROKEN)
def test_what_does_not_fit_is_refused_by_file_and_line(
    folder: Path, name: str, change: Callable[[str], str], said: str
) -> None:
    path = folder / name
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=said):
        beir.read(folder)


def test_missing_doubled_and_torn_files_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        beir.read(folder / "nowhere")
    words = [random.Random(0).randbytes(8).hex() for _ in range(2_000)]
    packed = gzip.compress(lines([{"_id": str(at), "text": word} for at, word in enumerate(words)]).encode())
    (folder / "corpus.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"2 of corpus\.jsonl and"):
        beir.read(folder)
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"corpus.jsonl.gz, line \d+: the file cannot be read past here"):
        beir.read(folder)
    (folder / "corpus.jsonl.gz").write_bytes(b"not packed at all")
    with pytest.raises(InputError, match=r"line \d: the file cannot be read"):
        beir.read(folder)
    (folder / "corpus.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"0 of corpus\.jsonl and"):
        beir.read(folder)


def test_a_line_without_end_and_bytes_that_are_no_text_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beir, "MOST_BYTES", 100)
    path = folder / "queries.jsonl"
    path.write_text(lines([{"_id": "q1", "text": "x" * 200}]))
    with pytest.raises(InputError, match="line 1: longer than 100 bytes"):
        beir.read(folder)
    path.write_bytes(b'{"_id": "q1", "text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"line \d: the file cannot be read"):
        beir.read(folder)


def test_a_folder_without_judgments_is_refused(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(InputError, match=r"Expected qrels/test\.tsv"):
        beir.read(folder)
