"""BM25 over fields: what a count by hand gives, whatever came and went; readers see one moment; files that do not fit are refused."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.features.text import words as understood
from search_ranking.baseline import lexical
from search_ranking.baseline.lexical import Lexical
from search_ranking.baseline.postings import Field, words
from search_ranking.features.among import Among

FIELDS = {"title": Field(2.0, 0.9, 0.4), "text": Field(1.0, 1.2, 0.75), "tags": Field(0.5, 1.0, 0.0)}
WORDS = [f"w{number}" for number in range(40)]

Shelf = dict[int, dict[str, str]]


def drawn(rng: np.random.Generator) -> dict[str, str]:
    """A document: a title, a longer text, mostly no tags. Low numbers are common words."""
    lengths = {"title": rng.integers(0, 6), "text": rng.integers(0, 40), "tags": rng.integers(0, 3)}
    return {name: " ".join(WORDS[int(39 * rng.random() ** 3)] for _ in range(size)) for name, size in lengths.items()}


def by_hand(shelf: Shelf, query: str, fields: Mapping[str, Field] = FIELDS) -> dict[int, list[float]]:
    """The oracle: the formula, document by document -> each field's score."""
    scores: dict[int, list[float]] = {doc: [] for doc in shelf}
    for name, one in fields.items():
        counts = {doc: Counter(words(texts[name])) for doc, texts in shelf.items()}
        average = sum(count.total() for count in counts.values()) / len(shelf)
        for doc, count in counts.items():
            total = 0.0
            for word in words(query):
                df = sum(word in other for other in counts.values())
                long = one.k1 * (1 - one.b + one.b * count.total() / average) if average else one.k1
                total += math.log(1 + (len(shelf) - df + 0.5) / (df + 0.5)) * count[word] / (count[word] + long)
            scores[doc].append(total)
    return scores


def columns(shelf: Shelf) -> tuple[np.ndarray, dict[str, list[str]]]:
    return np.array(list(shelf), np.int64), {name: [texts[name] for texts in shelf.values()] for name in FIELDS}


def built(shelf: Shelf) -> Lexical:
    return lexical.build(*columns(shelf), FIELDS)


def same(index: Lexical, shelf: Shelf, rng: np.random.Generator, rel: float) -> None:
    """Scores of every document, fields apart and added; and that the best come first, ties by id."""
    query = " ".join(rng.choice(WORDS, 4))
    expected = by_hand(shelf, query)
    ids = np.array([[*shelf, 999_999]])
    apart = index.score([query], ids)[0]
    for row, doc in enumerate(shelf):
        assert apart[row].tolist() == pytest.approx(expected[doc], rel=rel, abs=1e-5)
    assert (apart[-1] == 0).all()
    found = index.search([query], 10)
    weight = [one.weight for one in FIELDS.values()]
    for place, (doc, score) in enumerate(zip(found.ids[0].tolist(), found.scores[0], strict=True)):
        if doc < 0:
            assert (found.ids[0, place:] == -1).all() and (found.scores[0, place:] == -np.inf).all()
            break
        assert score == pytest.approx(float(np.dot(weight, expected[doc])), rel=rel, abs=1e-5)
    best = sorted((float(np.dot(weight, each)) for each in expected.values()), reverse=True)[:10]
    have = found.scores[0][found.ids[0] >= 0]
    assert have.tolist() == pytest.approx([score for score in best if score > 0], rel=rel, abs=1e-5)
    pairs = list(zip((-have).tolist(), found.ids[0].tolist(), strict=False))
    assert pairs == sorted(pairs)


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shelf = {int(doc): drawn(rng) for doc in rng.permutation(1000)[:60]}
    index = built(shelf)
    assert len(index) == 60
    for _ in range(3):
        same(index, shelf, rng, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_came_and_went_scores_stay_within_the_drift(seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    shelf = {doc: drawn(rng) for doc in range(100)}
    index = built(shelf)
    rebuilt = 0
    for step in range(60):
        doc, before = int(rng.integers(0, 130)), index._state.built
        if rng.random() < 0.4:
            shelf.pop(doc, None)
            index.delete(np.array([doc]))
        else:
            shelf[doc] = drawn(rng) | ({"tags": f"new{step}"} if step % 7 == 0 else {})
            index.put(*columns({doc: shelf[doc]}))
        rebuilt += index._state.built is not before
        assert len(index) == len(shelf)
        if step % 6 == 0:
            same(index, shelf, rng, rel=lexical.DRIFT + 1e-4)
    assert 0 < rebuilt < 60, "the run saw both an overlay and a rebuild"
    index.rebuild()
    same(index, shelf, rng, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_among_some_it_finds_what_a_search_of_all_finds_of_them(seed: int) -> None:
    """At the scores of all: a filter does not change what a word is worth. Documents came and went before."""
    rng = np.random.default_rng([seed, 2])
    shelf = {doc: drawn(rng) for doc in range(300)}
    index = built(shelf)
    index.put(*columns({doc: drawn(rng) for doc in (5, 900)}))
    index.delete(np.array([3, 4]))
    doc_id = np.setdiff1d([*shelf, 900], [3, 4])
    queries = [" ".join(rng.choice(WORDS, 4)) for _ in range(5)]
    allowed = rng.random((5, len(doc_id))) < 0.03
    every = index.search(queries, 400)
    found = index.search(queries, 6, lambda row: Among(doc_id, allowed[row]))
    for row in range(5):
        places = np.flatnonzero(np.isin(every.ids[row], doc_id[allowed[row]]))[:6]
        held = found.ids[row] >= 0
        assert found.ids[row][held].tolist() == every.ids[row][places].tolist()
        assert found.scores[row][held].tolist() == every.scores[row][places].tolist()
    assert (found.ids >= 0).any()


def test_without_the_rule_the_scores_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: long documents come, nothing is built anew, and the average of the build no longer holds."""
    monkeypatch.setattr(lexical, "DRIFT", math.inf)
    monkeypatch.setattr(lexical, "AT_LEAST", 10_000)
    shelf = {doc: {"title": "w1 w2", "text": "w1 w2 w3", "tags": ""} for doc in range(20)}
    index = built(shelf)
    more = {doc: {"title": "w1", "text": " ".join(WORDS), "tags": ""} for doc in range(20, 40)}
    index.put(*columns(more))
    with pytest.raises(AssertionError):
        same(index, shelf | more, np.random.default_rng(0), rel=0.02)
    index.rebuild()
    same(index, shelf | more, np.random.default_rng(0), rel=1e-4)


def test_how_rare_a_word_is_follows_every_change_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequencies left as they were built are caught: the control of the factor idf now over idf then."""
    shelf = {doc: {"title": f"w{doc % 3}", "text": "w9 w9", "tags": ""} for doc in range(60)}
    index = built(shelf)
    gone = np.arange(0, 60, 3)[:15]
    index.delete(gone)
    left = {doc: texts for doc, texts in shelf.items() if doc not in gone.tolist()}
    assert not index._state.alive.all(), "not built anew, or nothing is tested"
    score = index.search(["w0"], 1).scores[0, 0]
    assert score == pytest.approx(2 * by_hand(left, "w0")[45][0], rel=1e-4)
    stale = replace(index._state, frequency=tuple(one.frequency for one in index._state.postings))
    assert Lexical(FIELDS, index._number, stale).search(["w0"], 1).scores[0, 0] != pytest.approx(score, rel=1e-2)


def test_a_document_put_again_is_only_its_new_self() -> None:
    index = built({doc: {"title": "old", "text": "", "tags": ""} for doc in range(30)})
    index.put(np.array([7]), {"title": ["fresh"]})
    index.put(np.array([7]), {"title": ["newest"]})
    assert index.search(["fresh"], 5).ids.tolist() == [[-1] * 5]
    assert index.search(["newest"], 2).ids.tolist() == [[7, -1]]
    assert 7 not in index.search(["old"], 30).ids
    assert index.score(["old newest"], np.array([[7]]))[0, 0, 0] > 0
    index.delete(np.array([7, 12345]))
    assert len(index) == 29 and index.search(["newest"], 1).ids.tolist() == [[-1]]


def test_words_are_stemmed_lowered_and_without_the_stop_words() -> None:
    assert words("The Running of 5 Übergrößen's dogs, RUNS!") == ["run", "5", "ubergrossen", "dog", "run"]
    index = built({1: {"title": "dogs running", "text": "", "tags": ""}, 2: {"title": "cats", "text": "", "tags": ""}})
    assert index.search(["run dog", "the of", ""], 2).ids.tolist() == [[1, -1], [-1, -1], [-1, -1]]


@pytest.mark.parametrize("said", ["Café in Málaga", "動画編集", "don't panic", "STRAẞE"])
def test_documents_are_spelled_as_queries_are(said: str) -> None:
    """What a query is once it was read finds the document that says just that."""
    index = built({1: {"title": said, "text": "", "tags": ""}, 2: {"title": "cats", "text": "", "tags": ""}})
    assert index.search([" ".join(understood(said)), said], 1).ids.tolist() == [[1], [1]]


def test_an_index_may_start_and_end_empty() -> None:
    index = built({})
    assert index.search(["w1"], 3).ids.tolist() == [[-1, -1, -1]] and len(index) == 0
    index.put(np.array([5]), {"text": ["w1 w2"]})
    assert index.search(["w1"], 1).ids.tolist() == [[5]]
    index.delete(np.array([5]))
    assert len(index) == 0 and index.score(["w1"], np.array([[5]])).tolist() == [[[0, 0, 0]]]


def test_readers_see_one_moment_while_a_writer_works() -> None:
    """Every document says one word twice over, so a state seen half-written would show a score that no state has."""
    index = built({doc: {"title": "alpha", "text": "alpha beta", "tags": ""} for doc in range(80)})
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = index.search(["alpha"], 500)
            ids = found.ids[0][found.ids[0] >= 0].tolist()
            if len(ids) != len(set(ids)) or not 79 <= len(ids) <= 200:
                wrong.append(ids)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(150):
        index.put(np.array([step % 100]), {"title": ["alpha"], "text": [f"alpha beta new{step}"]})
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(index) == 100


def test_what_is_saved_is_read_back_and_goes_on_changing(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    shelf = {doc: drawn(rng) for doc in range(50)}
    index = built(shelf)
    shelf[99] = drawn(rng)
    index.put(*columns({99: shelf[99]}))
    index.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lexical.json", "lexical.safetensors"]
    again = lexical.load(tmp_path)
    asked = ["w1 w5 w20", "w0"]
    assert (again.search(asked, 9).ids == index.search(asked, 9).ids).all()
    assert (again.search(asked, 9).scores == index.search(asked, 9).scores).all()
    del shelf[3]
    again.delete(np.array([3]))
    same(again, shelf, rng, rel=lexical.DRIFT + 1e-4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("1.tokens", lambda array: array + 1000),
        ("1.tokens", lambda array: array[:-1]),
        ("1.rows", lambda array: array + 1000),
        ("1.rows", lambda array: array - 1000),
        ("1.scores", lambda array: array * np.nan),
        ("1.start", lambda array: array[::-1].copy()),
        ("doc_id", lambda array: array[::-1].copy()),
        ("doc_id", lambda array: array[:-1]),
    ],
)
def test_a_file_that_points_outside_itself_is_refused(tmp_path: Path, name: str, change) -> None:  # type: ignore[no-untyped-def]
    built({doc: drawn(np.random.default_rng(doc)) for doc in range(20)}).save(tmp_path)
    path = tmp_path / "lexical.safetensors"
    arrays = load_file(path)
    save_file(arrays | {name: change(arrays[name])}, path)
    with pytest.raises(InputError, match="not a whole index"):
        lexical.load(tmp_path)


def test_a_torn_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    built({1: {"title": "w1", "text": "", "tags": ""}}).save(tmp_path)
    path, whole = tmp_path / "lexical.safetensors", (tmp_path / "lexical.safetensors").read_bytes()
    for content in (whole[:-3], b"\x80\x04K\x01.", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="Publish the model again"):
            lexical.load(tmp_path)
    path.write_bytes(whole)
    (tmp_path / "lexical.json").write_text(json.dumps({"fields": {"title": {"weight": 1, "k9": 2}}, "words": []}))
    with pytest.raises(InputError, match="Publish the model again"):
        lexical.load(tmp_path)


def test_an_id_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="stands twice"):
        lexical.build(np.array([1, 1]), {"title": ["a", "b"]}, FIELDS)
