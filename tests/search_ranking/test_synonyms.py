"""Synonyms: planted pairs are found by clicks alone; shuffled clicks give none, and the two easier ways would."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.contract import Ints
from common.errors import InputError
from search_ranking.features import synonyms
from search_ranking.features.synonyms import Synonyms, learn

MODIFIERS = 12


@dataclass(frozen=True)
class Clicks:
    queries: list[list[str]]
    query: Ints
    document: Ints
    planted: set[tuple[str, str]]

    def learn(self, document: Ints | None = None) -> Synonyms:
        led = self.document if document is None else document
        return learn(self.queries, self.query, led, np.ones(len(led), dtype=np.int64))


@lru_cache
def clicked(seed: int, asks: int = 10_000, topics: int = 60, docs: int = 1_500, noise: float = 0.25) -> Clicks:
    """A query is a word of a topic, with or without a modifier. Every second topic has two words for it; each topic shares a third of its
    documents with the next. A quarter of the clicks go to whatever is popular."""
    rng = np.random.default_rng(seed)
    popular = rng.permutation(1 / np.arange(1, docs + 1) ** 0.9)
    topic, modifier = rng.integers(0, topics, docs), rng.integers(0, MODIFIERS, docs)
    also = np.where(rng.random(docs) < 1 / 3, (topic + 1) % topics, topic)
    numbers: dict[tuple[str, ...], int] = {}
    query, document = [], []
    for about, with_modifier in zip(_topics(rng, topics, asks), rng.integers(-MODIFIERS, MODIFIERS, asks), strict=True):
        word = f"topic{about}{'ab'[rng.integers(2)] if about % 2 == 0 else 'a'}"
        asked = (word,) if with_modifier < 0 else (word, f"modifier{with_modifier}")
        wanted = ((topic == about) | (also == about)) & ((with_modifier < 0) | (modifier == with_modifier))
        weight = popular if rng.random() < noise or not wanted.any() else popular * wanted
        query.append(numbers.setdefault(asked, len(numbers)))
        document.append(rng.choice(docs, p=weight / weight.sum()))
    planted = {(f"topic{about}a", f"topic{about}b") for about in range(0, topics, 2)}
    return Clicks(list(map(list, numbers)), np.array(query), np.array(document), planted)


def _topics(rng: np.random.Generator, topics: int, asks: int) -> Ints:
    share = 1 / np.arange(1, topics + 1) ** 0.8
    return rng.choice(topics, asks, p=share / share.sum())


def pairs(found: Synonyms) -> set[tuple[str, str]]:
    return {(a, b) for a, b in zip(found.word.tolist(), found.other.tolist(), strict=True) if a < b}


def precision_recall(clicks: Clicks) -> tuple[float, float]:
    found = pairs(clicks.learn())
    right = len(found & clicks.planted)
    return right / max(len(found), 1), right / len(clicks.planted)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_planted_pairs_are_found_and_neighbouring_topics_are_not(seed: int) -> None:
    precision, recall = precision_recall(clicked(seed))
    assert precision > 0.9 and recall > 0.65


@pytest.mark.slow
def test_more_clicks_find_more_pairs_and_few_clicks_not_wrong_ones() -> None:
    few, many = precision_recall(clicked(0, asks=2_000)), precision_recall(clicked(0, asks=30_000))
    assert few[0] > 0.9 and few[1] < 0.6
    assert many[0] > 0.9 and many[1] > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_clicks_find_nothing(seed: int) -> None:
    """Queries and documents stay as busy and as popular as they were; only who opened what is lost."""
    clicks = clicked(seed)
    assert pairs(clicks.learn())
    for shuffle in range(5):
        assert not pairs(clicks.learn(np.random.default_rng(shuffle).permutation(clicks.document)))


def by_chance(seed: int) -> Clicks:
    """Hundreds of rare words, thousands of rare documents: some words meet on a document by chance."""
    rng = np.random.default_rng(seed)
    words, documents = 1 / np.arange(1, 801), 1 / np.arange(1, 6_001) ** 1.1
    query = rng.choice(800, 40_000, p=words / words.sum())
    document = rng.choice(6_000, 40_000, p=documents / documents.sum())
    return Clicks([[f"word{at}"] for at in range(800)], query, document, set())


def test_rare_words_that_meet_by_chance_are_no_pair_as_the_loudest_documents_are_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not [pair for seed in range(3) for pair in pairs(by_chance(seed).learn())]
    monkeypatch.setattr(synonyms, "LOUDEST", 0)
    assert len(pairs(by_chance(0).learn())) > 10


def test_the_shuffle_convicts_the_cosine_of_bare_counts() -> None:
    clicks = clicked(0)
    shuffled = np.random.default_rng(0).permutation(clicks.document)
    _, holds = synonyms._holds(clicks.queries)
    led = synonyms._led(holds, clicks.query, shuffled, np.ones(len(shuffled), dtype=np.int64)).toarray()
    unit = led / np.linalg.norm(led, axis=1, keepdims=True)
    assert ((unit @ unit.T >= synonyms.MIN_COSINE).sum() - len(unit)) / 2 > 100


def test_the_cosine_is_that_of_the_residuals_written_out() -> None:
    clicks = clicked(3, asks=3_000, topics=20, docs=200)
    words, holds = synonyms._holds(clicks.queries)
    led = synonyms._led(holds, clicks.query, clicks.document, np.ones(len(clicks.query), dtype=np.int64)).toarray()
    led = led[:, led.sum(axis=0) > 0]
    expected = led.sum(axis=1, keepdims=True) * led.sum(axis=0) / led.sum()
    residual = (led - expected) / np.sqrt(expected)
    cosine = _cosine(residual)
    place = {word: at for at, word in enumerate(words.tolist())}
    found = clicks.learn()
    assert len(found.word) >= 10
    for word, other, weight in zip(found.word.tolist(), found.other.tolist(), found.weight.tolist(), strict=True):
        assert weight == pytest.approx(cosine[place[word], place[other]], abs=1e-9)


def _cosine(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    product: NDArray[np.float64] = unit @ unit.T
    return product


def test_words_asked_together_are_company_and_not_synonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries = [["guitar", "lesson"], ["guitar"], ["lesson"], ["banjo"]]
    query = rng.integers(0, 4, 4_000)
    document = rng.integers(0, 20, 4_000) + np.where(query == 3, 20, 0)
    count = np.ones(4_000, dtype=np.int64)
    assert not pairs(learn(queries, query, document, count))
    monkeypatch.setattr(synonyms, "MOST_TOGETHER", 1.0)
    assert pairs(learn(queries, query, document, count)) == {("guitar", "lesson")}


def test_expansion_adds_new_words_with_weights_and_no_more_than_asked() -> None:
    found = Synonyms(np.array(["a", "a", "b"]), np.array(["b", "c", "a"]), np.array([0.9, 0.5, 0.9]))
    assert found.expand(["a"]) == {"b": 0.9, "c": 0.5}
    assert found.expand(["a"], k=1) == {"b": 0.9}
    assert found.expand(["a", "b"]) == {"c": 0.5} and found.expand(["unknown"]) == {}


def test_counts_stand_for_repeated_rows_and_order_does_not_matter(tmp_path: Path) -> None:
    clicks = clicked(2, asks=5_000, topics=20)
    together, count = np.unique(np.stack([clicks.query, clicks.document]), axis=1, return_counts=True)
    found, counted = clicks.learn(), learn(clicks.queries, together[0], together[1], count)
    assert found.word.tolist() == counted.word.tolist() and np.allclose(found.weight, counted.weight)
    found.save(tmp_path / "synonyms.parquet")
    loaded = synonyms.load(tmp_path / "synonyms.parquet")
    assert loaded.weight.tolist() == found.weight.tolist() and loaded.other.tolist() == found.other.tolist()


def test_no_clicks_give_no_synonyms_and_wrong_rows_are_refused() -> None:
    none = np.empty(0, dtype=np.int64)
    assert not len(learn([], none, none, none).word) and not len(learn([["a"]], none, none, none).word)
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(InputError, match="beyond the 1"):
        learn([["a"]], one, one, one)
    with pytest.raises(InputError, match="2 documents"):
        learn([["a"]], one, np.ones(2, dtype=np.int64), one)
