"""The cross-encoder: a pair's score is its own, what is read is what was saved, training finds what was planted, and a head nobody trained is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.contract import Floats
from common.errors import InputError
from search_ranking.config import SMOKE
from search_ranking.experiments import cross as experiment
from search_ranking.experiments import lab
from search_ranking.model import cross
from search_ranking.model.cross import Cross, Setting, Shape
from search_ranking.model.retrieval.encoder import Vectors

TINY = Shape(layers=1, width=16, heads=2, vocabulary=200, max_tokens=24)
TOPICS, WORDS = 12, 6
HOW: dict[str, Any] = {"padding": True, "truncation": True, "max_length": 24, "return_tensors": "pt"}
QUERIES = ["red fox", "blue", "a b c d e f g", "fox"]
DOCUMENTS = ["the red fox runs", "sky", " ".join("abcdefgh") * 5, "a fox and a hound and a fox"]


@dataclass(frozen=True)
class Topics:
    """An encoder of planted words: "aaab" is of topic a, and all its words lie together."""

    fingerprint: str = "topics"

    def encode(self, texts: Sequence[str]) -> Vectors:
        places = [ord(text[0]) - ord("a") if len(text) == 4 and text[:3] == text[0] * 3 else -1 for text in texts]
        vectors: Vectors = np.eye(TOPICS + 1, dtype=np.float32)[places]
        return vectors * (np.array(places) >= 0)[:, None].astype(np.float32)


def planted(rng: np.random.Generator, num: int) -> tuple[list[str], list[str], Floats]:
    """Queries of two words of a topic, documents of six; half of the pairs are of one topic, and no pair shares a word: queries have the first
    three words of a topic, documents the others."""
    asked = rng.integers(0, TOPICS, num)
    label = (np.arange(num) % 2).astype(float)
    told = np.where(label > 0, asked, (asked + rng.integers(1, TOPICS, num)) % TOPICS)

    def said(topics: Any, low: int, count: int) -> list[str]:
        letters = "abcdefghijklmnopqrstuvwxyz"
        return [
            " ".join(letters[topic] * 3 + letters[13 + int(word)] for word in rng.integers(low, low + 3, count))
            for topic in topics.tolist()
        ]

    return said(asked, 0, 2), said(told, 3, 6), label


def auc(label: Floats, score: Floats) -> float:
    ahead = score[label > 0][:, None] - score[label == 0][None]
    return float(np.mean((ahead > 0) + 0.5 * (ahead == 0)))


@pytest.mark.slow
def test_training_finds_what_answers_what_and_not_what_was_shuffled() -> None:
    rng = np.random.default_rng(0)
    queries, documents, label = planted(rng, 800)
    test = planted(rng, 300)
    shape, setting = (
        Shape(layers=1, width=32, heads=4, vocabulary=400, max_tokens=32),
        Setting(epochs=6, learning_rate=3e-3),
    )
    once, again = (cross.fit(queries, documents, label, shape, setting, Topics()) for _ in range(2))
    found = once.score(test[0], test[1])
    assert auc(test[2], found) > 0.9
    assert (again.score(test[0], test[1]) == found).all(), "a fit is a function of its arguments"
    lots = cross.fit(queries, documents, rng.permutation(label), shape, setting, Topics())
    assert auc(test[2], lots.score(test[0], test[1])) < 0.65, "the control: labels by lot teach nothing"


def test_a_score_is_the_pairs_own_and_is_the_plain_pass_through_the_network() -> None:
    read = replace(cross.untrained([*QUERIES, *DOCUMENTS], TINY), batch_size=2)
    scores = read.score(QUERIES, DOCUMENTS)
    with torch.inference_mode():
        alone = [
            float(read.model(**read.tokenizer(query, text, **HOW)).logits)
            for query, text in zip(QUERIES, DOCUMENTS, strict=True)
        ]
    assert scores.tolist() == pytest.approx(alone, abs=1e-5)
    assert len(set(np.round(scores, 4))) == 4
    assert read.score([], []).shape == (0,)
    back = read.score(DOCUMENTS[:2], QUERIES[:2])
    assert np.abs(back - scores[:2]).min() > 1e-4, "which of the two is the query is seen"
    longer = read.score([QUERIES[2]], [DOCUMENTS[2] + " and more"])
    assert longer[0] == pytest.approx(scores[2], abs=1e-5), "the document is cut, the query is not"


@dataclass(frozen=True, eq=False)
class Longest(Cross):
    """Scores a pair by the length of the document."""

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        return np.array([float(len(text)) for text in documents])


def test_only_the_first_are_put_in_another_order() -> None:
    texts = {at: "x" * at for at in range(1, 10)}
    ids = np.array([[1, 2, 3, 9, 8], [4, -1, -1, -1, -1], [-1] * 5])
    found = Longest(None, None, 8).first(["q"] * 3, ids, texts, 3)
    assert found.ids.tolist() == [[3, 2, 1, 9, 8], [4, -1, -1, -1, -1], [-1] * 5]
    assert (np.diff(found.scores[0]) < 0).all()
    assert (np.isfinite(found.scores) == (found.ids >= 0)).all()
    assert Longest(None, None, 8).first(["q"] * 3, ids, texts, 50).ids[0].tolist() == [9, 8, 3, 2, 1]


def test_ours_begins_where_the_encoder_places_its_words() -> None:
    queries, documents, _ = planted(np.random.default_rng(1), 60)
    begun = cross.untrained([*queries, *documents], Shape(width=32, vocabulary=400), words=Topics())
    table = begun.model.bert.embeddings.word_embeddings.weight.detach().numpy()
    word = documents[0].split()[0]
    at = begun.tokenizer.get_vocab()[word]
    assert table[at, : TOPICS + 1].tolist() == Topics().encode([word])[0].tolist()
    assert np.abs(table[at, TOPICS + 1 :]).max() > 0, "what else it is stays its own"
    assert np.abs(table[begun.tokenizer.get_vocab()["[CLS]"], : TOPICS + 1]).max() > 0, "what no encoder knows is drawn"
    head = begun.model.bert.encoder.layer[0].attention.self
    assert torch.equal(head.key.weight, head.query.weight)


def saved(folder: Path, num_labels: int, kind: str = "BertForSequenceClassification") -> Path:
    import transformers

    read = cross.untrained([*QUERIES, *DOCUMENTS], TINY)
    read.model.config.num_labels = num_labels
    torch.manual_seed(0)
    model: Any = getattr(transformers, kind)(read.model.config)
    model.save_pretrained(folder)
    read.tokenizer.save_pretrained(folder)
    return folder


def test_any_sequence_classifier_is_read_from_its_folder(tmp_path: Path) -> None:
    one = cross.load(saved(tmp_path / "one", 1))
    close = 2e-2 if one.model.dtype == torch.bfloat16 else 1e-5
    with torch.inference_mode():
        logits = one.model(**one.tokenizer(QUERIES, DOCUMENTS, **HOW)).logits
    assert one.score(QUERIES, DOCUMENTS).tolist() == pytest.approx(logits[:, 0].tolist(), abs=close)
    two = cross.load(saved(tmp_path / "two", 2))
    with torch.inference_mode():
        logits = two.model(**two.tokenizer(QUERIES, DOCUMENTS, **HOW)).logits
    assert two.score(QUERIES, DOCUMENTS).tolist() == pytest.approx((logits[:, 1] - logits[:, 0]).tolist(), abs=close)


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the weights classifier"):
        cross.load(saved(tmp_path / "encoder", 1, "BertModel"))  # its head would be drawn by lot
    with pytest.raises(InputError, match="answers with 3 labels"):
        cross.load(saved(tmp_path / "three", 3))
    folder = saved(tmp_path / "pickled", 1)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"lacks model\.safetensors"):
        cross.load(folder)


SMALL = replace(
    SMOKE, num_users=400, num_docs=800, num_queries=300, num_sessions=4_000, num_judged=60, num_candidates=60
)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    yield
    lab.trained.cache_clear()


@pytest.mark.slow
def test_what_it_learns_from_is_what_pleased_and_what_nobody_opened() -> None:
    found = lab.trained(SMALL)
    query_id, doc_id, label = experiment.pairs(found, 0)
    rows = found.dataset.train
    pleased, opened = (
        set(zip(rows.query_id[mask].tolist(), rows.doc_id[mask].tolist(), strict=True))
        for mask in (rows.labels["satisfied"] > 0, rows.labels["clicked"] > 0)
    )
    for pair, one in zip(zip(query_id.tolist(), doc_id.tolist(), strict=True), label.tolist(), strict=True):
        assert pair in pleased if one else pair not in opened
    assert 0.2 < label.mean() < 0.5
    assert set(query_id.tolist()) <= set(rows.query_id.tolist()), "no query of the test that was not asked in training"


@pytest.mark.slow
def test_the_table_has_the_ranker_the_depths_and_a_foil_that_loses(tmp_path: Path) -> None:
    rows = {row["order"]: row for row in experiment.cross(SMALL)}
    ranker, *_, foil = rows.values()
    assert len(rows) == 5
    assert ranker["against_ndcg"] == 0
    assert foil["against_ndcg_high"] < 0, "who was not trained ranks by lot"
    for row in rows.values():
        assert row["low"] <= row["ndcg@10"] <= row["high"] and row["query_ms"] > 0
    ten = rows["cross-encoder over its first 10"]
    assert ten["expected_gain@10"] == pytest.approx(ranker["expected_gain@10"], abs=0.02), (
        "the same ten, in another order"
    )
    given = replace(SMALL, cross=str(saved(tmp_path / "given", 1)))
    assert len(experiment.cross(given)) == 5, "one from a folder takes its place"
