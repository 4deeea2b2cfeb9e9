"""Learning-to-rank files: what is written is read back bit for bit, and every malformed line is named by file, line, found and expected."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.contract import Floats
from common.errors import InputError
from search_ranking.data import letor
from search_ranking.data.letor import Split

LINE = b"1 qid:7 1:0.5 2:1\n"


def planted(features: Floats, seed: int = 0) -> Split:
    """These rows under queries of one to five rows, ids in no order."""
    rng = np.random.default_rng(seed)
    sizes: list[int] = []
    while sum(sizes) < len(features):
        sizes.append(min(int(rng.integers(1, 6)), len(features) - sum(sizes)))
    ids = rng.permutation(10_000)[: len(sizes)]
    grades = np.where(rng.random(len(features)) < 0.8, rng.integers(0, 5, len(features)), rng.random(len(features)))
    return Split(features=features, grades=grades, sizes=np.array(sizes), query_id=ids)


def filled(folder: Path, train: bytes, name: str = "train.txt") -> Path:
    """A set of which only the training split is of interest."""
    (folder / name).write_bytes(gzip.compress(train) if name.endswith(".gz") else train)
    for other in ("vali.txt", "test.txt"):
        (folder / other).write_bytes(LINE)
    return folder


def same(one: Split, other: Split) -> None:
    for name, column in vars(one).items():
        np.testing.assert_array_equal(column, getattr(other, name), err_msg=name)


@given(
    features=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.floats(allow_nan=False, allow_infinity=False)
    ),
    ending=st.sampled_from(letor.ENDINGS),
    block=st.sampled_from([1, 60, letor.BLOCK]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, features: Floats, ending: str, block: int
) -> None:
    folder = tmp_path_factory.mktemp("letor")
    splits = {name: planted(features, seed) for seed, name in enumerate(("train", "valid", "test"))}
    for name, split in splits.items():
        letor.write(folder / (name + ending), split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letor, "BLOCK", block)
        found = letor.read(folder)
    for name, split in splits.items():
        same(split, getattr(found, name))


def test_scikit_learn_reads_the_same(tmp_path: Path) -> None:
    from sklearn.datasets import load_svmlight_file

    rng = np.random.default_rng(3)
    rows = [
        f"{rng.integers(0, 5)} qid:{row // 7} "
        + " ".join(f"{at}:{rng.normal():.6g}" for at in np.flatnonzero(rng.random(30) < 0.3) + 1)
        + f" # docid = {row}"
        for row in range(500)
    ]
    found = letor.read(filled(tmp_path, "\n".join(rows).encode())).train
    matrix, grades, query = load_svmlight_file(str(tmp_path / "train.txt"), query_id=True)
    np.testing.assert_array_equal(found.features, matrix.toarray())
    np.testing.assert_array_equal(found.grades, grades)
    np.testing.assert_array_equal(np.repeat(found.query_id, found.sizes), query)


ODD_BUT_GOOD: dict[str, bytes] = {
    "blank lines and comments": b"# made by hand\n\n" + LINE + b"   # nothing here\n" + LINE,
    "no last line end": LINE + LINE[:-1],
    "line ends of Windows": LINE.replace(b"\n", b"\r\n") * 2,
    "tabs and many spaces": (LINE.replace(b" ", b" \t ") * 2),
    "a comment with colons": LINE.replace(b"\n", b" #docid = GX:1:2 qid:9\n") * 2,
    "features not in order": b"1 qid:7 2:1 1:0.5\n" * 2,
    "leading zeros": b"01 qid:007 001:0.50 02:1e0\n" * 2,
}


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_odd_but_good_files_say_the_same(tmp_path: Path, name: str) -> None:
    same(
        letor.read(filled(tmp_path, ODD_BUT_GOOD[name])).train,
        Split(features=np.array([[0.5, 1]] * 2), grades=np.ones(2), sizes=np.array([2]), query_id=np.array([7])),
    )


def test_missing_features_are_zero_and_the_splits_are_equally_wide(tmp_path: Path) -> None:
    found = letor.read(filled(tmp_path, b"0 qid:1\n2.5 qid:1 5:-3\n"))
    assert found.train.features.tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 0, -3]]
    assert found.test.features.shape == (1, 5) and found.train.grades.tolist() == [0, 2.5]


BAD: dict[bytes, tuple[str, str]] = {
    b"good qid:1 1:2": ("'good'", "a grade from 0 to 4"),
    b"5 qid:1 1:2": ("found 5", "a grade from 0 to 4"),
    b"-1 qid:1 1:2": ("found -1", "a grade from 0 to 4"),
    b"nan qid:1 1:2": ("'nan'", "a grade from 0 to 4"),
    b"1 1:2": ("'1:2'", "qid: and a whole number"),
    b"1": ("nothing after the grade", "qid: and a whole number"),
    b"1 qid: 1:2": ("'qid:'", "qid: and a whole number"),
    b"1 qid:a 1:2": ("'qid:a'", "qid: and a whole number"),
    b"1 qid:-4 1:2": ("'qid:-4'", "qid: and a whole number"),
    b"1 qid:1.5 1:2": ("'qid:1.5'", "qid: and a whole number"),
    b"1 qid:1234567890123456 1:2": ("'qid:1234567890123456'", "at most 15 digits"),
    b"1 qid:1 0:2": ("found 0", "a feature from 1 to 100000"),
    b"1 qid:1 100001:2": ("found 100001", "a feature from 1 to 100000"),
    b"1 qid:1 99999999999:2": ("'99999999999:2'", "from 1 to 100000"),
    b"1 qid:1 -3:2": ("'-3:2'", "from 1 to 100000"),
    b"1 qid:1 1:2 1:3": ("found 1", "each feature once in a row"),
    b"1 qid:1 3:1 1:2 3:1": ("found 3", "each feature once in a row"),
    b"1 qid:1 1:nan": ("'1:nan'", "a finite number"),
    b"1 qid:1 1:-inf": ("'1:-inf'", "a finite number"),
    b"1 qid:1 1:1e999": ("found inf", "a value that is finite"),
    b"1 qid:1 1:": ("'1:'", "a finite number"),
    b"1 qid:1 1:0x1f": ("'1:0x1f'", "a finite number"),
    b"1 qid:1 1:1_0": ("'1:1_0'", "a finite number"),
    b"1 qid:1 1:2:3 4": ("'1:2:3'", "a finite number"),
    b"1 qid:1 1 :2": ("'1'", "feature:value"),
    b"1 qid:1 1: 2": ("'1:'", "a finite number"),
    b"1 qid:1 qid:2 1:1": ("'qid:2'", "feature:value"),
    b"1 qid:1 1:2,3": ("'1:2,3'", "a finite number"),
    b"1 qid:1 1:\xff\x00": ("'1:\\\\xff\\x00'", "a finite number"),
    b"1 qid:7 1:2": ("qid:7, after other queries", "to stand together"),
}  # fmt: skip


@pytest.mark.parametrize("line", BAD)
@pytest.mark.parametrize("block", [1, letor.BLOCK])
def test_a_malformed_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, block: int) -> None:
    monkeypatch.setattr(letor, "BLOCK", block)
    found, expected = BAD[line]
    with pytest.raises(InputError) as refused:
        letor.read(filled(tmp_path, LINE + b"0 qid:1 1:1\n\n" + line + b"\n0 qid:1 2:1\n"))
    assert str(refused.value).startswith(f"{tmp_path / 'train.txt'}, line 4: found ")
    assert found in str(refused.value) and expected in str(refused.value).split("expected", 1)[1]


def oracle(line: str) -> bool:
    """Is this a row? By other means: Python's own float and int, after ruling out what they allow and the format does not."""
    try:
        grade, qid, *pairs = line.partition("#")[0].split()
        seen = [int(pair.split(":")[0]) for pair in pairs]
        numbers = [float(grade), *(float(pair.split(":")[1]) for pair in pairs)]
        return (
            all(pair.count(":") == 1 for pair in (*pairs, qid))
            and qid.startswith("qid:") and qid[4:].isdigit() and len(qid) < 20
            and bool(np.isfinite(numbers).all()) and 0 <= numbers[0] <= 4
            and all(1 <= at <= 100_000 for at in seen) and len(set(seen)) == len(seen)
            and all(pair.split(":")[0].isdigit() and len(pair.split(":")[0]) <= 9 for pair in pairs)
        )  # fmt: skip
    except (ValueError, IndexError):
        return False


@given(place=st.integers(0, 40), cut=st.integers(0, 6), put=st.text(alphabet="0123456789:.-+eEqid #naf", max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, cut: int, put: str
) -> None:
    """A good line with some letters cut out and others put in: read if and only if an independent reader takes it for a row."""
    whole = "3 qid:12 1:0.25 3:-1e-2 44:7"
    line = whole[:place] + put + whole[place + cut :]
    folder = filled(tmp_path_factory.mktemp("letor"), line.encode())
    if oracle(line):
        assert len(letor.read(folder).train.grades) == 1
    else:
        with pytest.raises(InputError, match=r"train\.txt"):
            letor.read(folder)


def test_a_pattern_that_lets_a_pair_slip_would_be_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The control: without the pattern numpy reads `1:2:3 4` as two features."""

    class Lenient:
        def fullmatch(self, body: bytes) -> Any:
            return True

    monkeypatch.setattr(letor, "_LINE", Lenient())
    assert letor.read(filled(tmp_path, b"1 qid:1 1:2:3 4")).train.features.tolist() == [[2, 0, 4]]


FOLDERS: dict[str, tuple[dict[str, bytes], str]] = {
    "no test": ({"train.txt": LINE, "valid.txt": LINE}, "holds no file for the split 'test'.*test, test.gz, test.txt"),
    "two valid": (
        {"train.txt": LINE, "valid.svm": LINE, "vali.txt.gz": LINE, "test": LINE},
        "holds valid.svm and vali.txt.gz for the split 'valid'",
    ),
    "empty": ({"train.txt": b"", "valid.txt": LINE, "test.txt": LINE}, "train.txt: holds no rows"),
    "comments alone": ({"train.txt": b"# 1 qid:2\n\n", "valid.txt": LINE, "test.txt": LINE}, "train.txt: holds no rows"),
    "torn": (
        {"train.txt.gz": gzip.compress(LINE * 99)[:-12], "valid.txt": LINE, "test.txt": LINE},
        "train.txt.gz: is cut short or damaged",
    ),
    "not packed": ({"train.gz": LINE, "valid.txt": LINE, "test.txt": LINE}, "train.gz: is cut short or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_and_files_that_are_not_whole(tmp_path: Path, name: str) -> None:
    files, message = FOLDERS[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=message):
        letor.read(tmp_path)


def test_a_small_file_may_not_ask_for_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letor, "MOST_CELLS", 1_000)
    monkeypatch.setattr(letor, "MAX_LINE", 2_000)
    with pytest.raises(InputError, match=r"would hold 1100 numbers, the most is 1000"):
        letor.read(filled(tmp_path, b"0 qid:1 100:1\n" * 11))
    with pytest.raises(InputError, match=r"line 2: found more than 2000 bytes, expected a line end"):
        letor.read(filled(tmp_path, LINE + b"1 " * 3_000))
