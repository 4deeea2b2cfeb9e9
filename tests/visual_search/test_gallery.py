"""The gallery: one encoder's vectors, nothing that is gone, everything that came, and an alarm where it finds less than it did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.contract import Ints
from common.errors import InputError
from visual_search.model import gallery as stage
from visual_search.model.gallery import ARRIVALS, QUERIES, Gallery
from visual_search.model.index import served
from visual_search.model.index.served import Served
from visual_search.model.index.settings import FLAT, HNSW, IVF, IVF_PQ, Setting, make
from visual_search.model.index.tuner import ann_recall, exact_neighbours, tuned
from visual_search.model.parts import Vectors

DIM, OURS, THEIRS = 16, "a" * 64, "b" * 64
EVERYTHING = {  # each kind, searched so wide that it misses nothing
    FLAT: Setting(kind=FLAT),
    IVF: Setting(kind=IVF, lists=8, probes=8),
    IVF_PQ: Setting(kind=IVF_PQ, lists=8, probes=8, code=8, rerank=40),
    HNSW: Setting(kind=HNSW, links=16, ef=400),
}


def drawn(rng: np.random.Generator, num: int, first: int = 0, directions: int = 6) -> Vectors:
    """On a sphere, most of their spread in some `directions` from `first` on."""
    found = 0.15 * rng.standard_normal((num, DIM))
    found[:, first : first + directions] += rng.standard_normal((num, directions))
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def nearest(known: dict[int, Vectors], queries: Vectors, k: int) -> Ints:
    """By numpy and a dict: an oracle of its own."""
    ids = np.array(sorted(known))
    scores = queries @ np.stack([known[i] for i in ids.tolist()]).T
    return ids[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def built(kind: str, ids: Ints, vectors: Vectors) -> Gallery:
    setting = EVERYTHING[kind]
    return Gallery(
        OURS, Served(setting, ids, vectors, make(setting, vectors)), vectors[:50], {QUERIES: 1.0, ARRIVALS: 1.0}
    )


@pytest.mark.parametrize("kind", EVERYTHING)
@pytest.mark.parametrize("late", (5, 10_000))
def test_it_answers_as_a_scan_of_what_there_is(kind: str, late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was put, put anew and removed in between; merged into the index again and again, or never."""
    monkeypatch.setattr(served, "LATE", late)
    rng, ids = np.random.default_rng(1), np.arange(300) * 3
    known = dict(zip(ids.tolist(), drawn(rng, 300), strict=True))
    gallery = built(kind, ids, np.stack(list(known.values())))
    for _ in range(12):
        gone = rng.choice(sorted(known), 9, replace=False)
        known = {i: vector for i, vector in known.items() if i not in gone}
        come = rng.choice(1_000, 8, replace=False)
        vectors = drawn(rng, 8)
        known |= dict(zip(come.tolist(), vectors, strict=True))
        gallery = gallery.remove(gone).add(OURS, come, vectors)
        queries = drawn(rng, 20)
        found, scores = gallery.search(OURS, queries, 10)
        assert len(gallery) == len(known)
        assert set(found.ravel().tolist()) <= set(known)
        assert ann_recall(found, nearest(known, queries, 10)) > (0.985 if kind == IVF_PQ else 0.999)
        again = np.einsum("qd,qkd->qk", queries, np.array([[known[i] for i in row] for row in found.tolist()]))
        np.testing.assert_allclose(scores, again, atol=1e-5)
        assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("kind", EVERYTHING)
def test_whoever_holds_the_old_one_goes_on_with_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "LATE", 5)
    rng, ids = np.random.default_rng(2), np.arange(300)
    old, queries = built(kind, ids, drawn(rng, 300)), drawn(rng, 30)
    before = old.search(OURS, queries, 20)
    new = old.remove(ids[:100]).add(OURS, ids[:50] + 1_000, drawn(rng, 50)).add(OURS, ids[150:200], drawn(rng, 50))
    for was, now in zip(before, old.search(OURS, queries, 20), strict=True):
        np.testing.assert_array_equal(was, now)
    assert len(old) == 300 and len(new) == 250
    assert not np.isin(new.search(OURS, queries, 20)[0], ids[:100]).any()


@pytest.mark.parametrize("kind", (FLAT, IVF, HNSW))
def test_threads_ask_while_it_changes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is one gallery's: whatever is merged beside it, nothing it does not hold, and always as many as it has."""
    monkeypatch.setattr(served, "LATE", 20)
    rng, ids, over = np.random.default_rng(13), np.arange(400), threading.Event()
    live, wrong, asked = [built(kind, ids, drawn(rng, 400))], list[object](), list[int]()
    queries = drawn(rng, 20)

    def ask() -> None:
        while not over.is_set():
            gallery = live[0]
            try:
                found = gallery.search(OURS, queries, 10)[0]
                wrong.extend(found[~gallery.index.holds(found.ravel()).reshape(found.shape)].tolist())
                asked.append(len(found))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for at in range(0, 300, 10):
        live[0] = live[0].remove(ids[at : at + 10]).add(OURS, 1_000 + ids[at : at + 10], drawn(rng, 10))
    over.set()
    for thread in threads:
        thread.join()
    assert asked and not wrong
    assert len(live[0]) == 400


def test_what_is_not_there_is_minus_one() -> None:
    rng = np.random.default_rng(3)
    gallery = built(FLAT, np.arange(3), drawn(rng, 3)).remove(np.array([1]))
    found, scores = gallery.search(OURS, drawn(rng, 2), 5)
    assert (found[:, 2:] == -1).all() and (found[:, :2] >= 0).all()
    assert np.isneginf(scores[:, 2:]).all()
    assert gallery.search(OURS, drawn(rng, 2), 0)[0].shape == (2, 0)
    empty = gallery.remove(np.array([0, 1, 2, 77]))
    assert len(empty) == 0 and (empty.search(OURS, drawn(rng, 2), 5)[0] == -1).all()
    assert empty.add(OURS, np.array([9]), drawn(rng, 1)).search(OURS, drawn(rng, 1), 1)[0].tolist() == [[9]]


def test_vectors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    gallery = built(FLAT, np.arange(50), drawn(rng, 50))
    gallery.save(tmp_path)
    for refused in (
        lambda: gallery.search(THEIRS, drawn(rng, 1), 5),
        lambda: gallery.add(THEIRS, np.array([99]), drawn(rng, 1)),
        lambda: stage.load(tmp_path, THEIRS),
    ):
        with pytest.raises(InputError, match="of encoder aaaaaaaaaaaa, and these are of bbbbbbbbbbbb"):
            refused()
    assert len(stage.load(tmp_path, OURS)) == 50  # the control


@pytest.mark.parametrize("kind", EVERYTHING)
def test_it_is_read_back_as_it_was(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    gallery = built(kind, np.arange(300) * 2, drawn(rng, 300)).remove(np.arange(50) * 2)
    gallery = gallery.add(OURS, np.arange(20) * 2 + 1, drawn(rng, 20))
    gallery.save(tmp_path / "gallery")
    read, queries = stage.load(tmp_path / "gallery", OURS), drawn(rng, 30)
    assert (
        len(read) == len(gallery) == 270 and read.built == gallery.built and read.index.setting == gallery.index.setting
    )
    np.testing.assert_array_equal(read.search(OURS, queries, 10)[0], gallery.search(OURS, queries, 10)[0])
    later = read.remove(np.array([1, 3])).add(OURS, np.array([0]), drawn(rng, 1))
    assert len(later) == 269


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    built(FLAT, np.arange(50), drawn(rng, 50)).save(tmp_path)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    built(FLAT, np.arange(40), drawn(rng, 40)).save(tmp_path / "other")
    other = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    bad = [
        ("images.faiss", whole["images.faiss"][:100], "not a whole faiss index"),
        ("images.faiss", other["images.faiss"], "holds 40 vectors of 16 numbers, expected 50"),
        ("vectors.npy", other["vectors.npy"], "50 ids and 40 vectors"),
        ("vectors.npy", whole["vectors.npy"][:200], "not a whole array"),
        ("vectors.npy", b"", "not a whole array"),
        ("rows.parquet", whole["rows.parquet"][:99], "not a whole Parquet"),
        ("probes.npy", _npy(tmp_path, np.zeros((3, 5), np.float32)), "probes of 5 numbers"),
        ("probes.npy", _npy(tmp_path, np.zeros((3, 16))), "expected float32"),
    ]
    for name, content, message in bad:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            stage.load(tmp_path, OURS)
        (tmp_path / name).write_bytes(whole[name])
    assert len(stage.load(tmp_path, OURS)) == 50


def _npy(folder: Path, array: np.ndarray) -> bytes:
    np.save(folder / "bad.npy", array, allow_pickle=False)
    return (folder / "bad.npy").read_bytes()


def test_an_index_file_that_claims_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(FLAT, np.arange(50), drawn(np.random.default_rng(7), 50)).save(tmp_path)
    monkeypatch.setattr(served, "INDEX_BYTES", 1_000)
    with pytest.raises(InputError, match="more than 1000"):
        stage.load(tmp_path, OURS)


def test_an_id_twice_or_unknown_is_ours_to_mend() -> None:
    rng = np.random.default_rng(8)
    index = built(FLAT, np.arange(50), drawn(rng, 50)).index
    ours: list[Callable[[], object]] = [
        lambda: index.add(np.array([7, 7]), drawn(rng, 2)),
        lambda: index.add(np.array([99]), np.full((1, DIM), np.nan, np.float32)),
        lambda: index.remove(np.array([99])),
        lambda: index.remove(np.array([3, 3])),
    ]
    for wrong in ours:
        with pytest.raises(AssertionError):
            wrong()


# --------------------------------------------------------------------------------------------------------- ten thousand come, five thousand go

NUM, COME, GO = 20_000, 10_000, 5_000


def grown(kind: str, come: Vectors) -> tuple[Gallery, Ints]:
    """NUM images of a few directions, searched as narrowly as finds 95 %; then COME that come and GO of all that go, a hundred and fifty at a time."""
    rng = np.random.default_rng(9)
    vectors, queries, ids = drawn(rng, NUM), drawn(rng, 600), np.arange(NUM)
    setting = {
        IVF: Setting(kind=IVF, lists=256, probes=1),
        IVF_PQ: Setting(kind=IVF_PQ, lists=256, probes=1, code=8, rerank=8),
        HNSW: Setting(kind=HNSW, links=8, ef=100),
    }[kind]
    index = Served(setting, ids, vectors, make(setting, vectors))
    tuned(index, queries[::2], exact_neighbours(vectors, queries[::2], 100), 0.95)
    gallery = stage.watched(OURS, index, queries[1::2])
    gone = rng.permutation(NUM + COME)[:GO]
    for at in range(0, COME, 100):
        gallery = gallery.add(OURS, NUM + np.arange(at, at + 100), come[at : at + 100])
        gallery = gallery.remove(gone[at // 2 : at // 2 + 50])
    return gallery.remove(gone), gone


@pytest.mark.slow
@pytest.mark.parametrize("kind", (IVF, IVF_PQ, HNSW))
def test_ten_thousand_come_and_five_thousand_go(kind: str) -> None:
    """Nothing that is gone in any answer, and what is found is at most a point less, or somebody is told."""
    rng = np.random.default_rng(10)
    gallery, gone = grown(kind, drawn(rng, COME))
    assert len(gallery) == NUM + COME - GO
    found = gallery.search(OURS, drawn(rng, 10_000), 100)[0]
    assert not np.isin(found, gone).any()
    assert (found >= 0).all()
    now = gallery.recall()
    lost = max(gallery.built[name] - now[name] for name in now)
    assert lost <= stage.POINT or gallery.alerts()
    assert lost <= stage.POINT, (
        gallery.built,
        now,
    )  # and here, where those that come are like those that were there, it is not


@pytest.mark.slow
@pytest.mark.parametrize("kind", (IVF, IVF_PQ))
def test_lists_cut_for_others_raise_the_alarm(kind: str) -> None:
    """The control: those that come lie in directions in which those the centres were learnt from had no spread."""
    gallery, gone = grown(kind, drawn(np.random.default_rng(11), COME, first=8))
    alerts = gallery.alerts()
    assert [alert.name for alert in alerts] == [f"ann_recall@100.{ARRIVALS}"]
    assert alerts[0].value < gallery.built[ARRIVALS] - stage.POINT
    assert not np.isin(gallery.search(OURS, gallery.probes, 100)[0], gone).any()  # whatever else, gone is gone
    ids, vectors = gallery.index.everything()
    anew = stage.build(OURS, ids, vectors, vectors[::20], 0.95, 1e9)
    assert not anew.alerts()


def test_a_scan_leaves_out_what_is_gone() -> None:
    rng = np.random.default_rng(14)
    gallery = built(FLAT, np.arange(400), drawn(rng, 400))
    assert len(gallery.remove(np.arange(30)).index.ids) == 400  # a mask will do
    shorter = gallery.remove(np.arange(150))
    assert len(shorter.index.ids) == len(shorter) == 250 and not shorter.alerts()


def test_a_graph_full_of_what_is_gone_raises_the_alarm() -> None:
    rng = np.random.default_rng(12)
    gallery = built(HNSW, np.arange(400), drawn(rng, 400))
    assert not gallery.alerts()
    assert [alert.name for alert in gallery.remove(np.arange(150)).alerts()] == ["gallery_removed"]
