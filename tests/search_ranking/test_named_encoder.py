"""A sentence encoder by folder or id: what an artifact says of it, and everything that is refused instead of guessed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from common.checks import Trial
from common.errors import InputError
from search_ranking import data, model
from search_ranking.config import SMOKE
from search_ranking.model.retrieval import dense, encoder
from search_ranking.model.retrieval.encoder import HuggingFace

TEXTS = ["bicycle repair", "violin lesson", "a"]


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "own"))


def test_a_folder_is_named_whole_and_read_back(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = encoder.named("own", model.ENCODERS)
    found.save(tmp_path)
    said = json.loads((tmp_path / "source.json").read_text())
    assert said == {"source": str(own.resolve()), "fingerprint": found.fingerprint}
    monkeypatch.chdir("/")
    again = encoder.load(tmp_path)
    assert (again.encode(TEXTS) == found.encode(TEXTS)).all()


def test_a_text_longer_than_the_model_has_places_for_is_cut(tiny: Path) -> None:
    found = HuggingFace(tiny)
    assert found.max_tokens == 32 and np.isfinite(found.encode(["bicycle " * 30])).all()


def _change(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text((folder / name).read_text() + " ")


def _weights(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    arrays["embeddings.word_embeddings.weight"][5, 0] += 1e-3
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "change", [_weights, _change("tokenizer.json"), _change("tokenizer_config.json"), _change("config.json")]
)
def test_a_folder_that_holds_another_encoder_by_now_is_refused(
    own: Path, tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    encoder.named(str(own), ()).save(tmp_path)
    before = encoder.load(tmp_path).fingerprint
    change(own)
    with pytest.raises(
        InputError, match=f"holds another encoder .* than the documents were encoded with .{before[:12]}"
    ):
        encoder.load(tmp_path)


def test_a_folder_that_is_gone_and_a_source_that_is_torn_are_refused(own: Path, tmp_path: Path) -> None:
    encoder.named(str(own), ()).save(tmp_path)
    shutil.move(own, tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is no folder here"):
        encoder.load(tmp_path)
    for torn in ("", "{}", "[]", '{"source": "x"}'):
        (tmp_path / "source.json").write_text(torn)
        with pytest.raises(InputError, match="does not say which encoder"):
            encoder.load(tmp_path)


def test_without_a_network_an_id_says_what_to_do_and_with_one_it_is_downloaded(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, list[str]]] = []

    def offline(name: str, allow_patterns: list[str]) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("cannot find the requested files in the local cache")

    def online(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        InputError, match=r"org/tiny.*no model of that id could be downloaded.*into a folder, and name the folder"
    ):
        encoder.named("org/tiny", ())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", online)
    found = encoder.named("org/tiny", ())
    assert found.source == "org/tiny" and found.fingerprint == HuggingFace(tiny).fingerprint
    assert asked[0][0] == "org/tiny" and not any(name.endswith((".bin", ".py", ".pt", "*")) for name in asked[0][1])


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _torn(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-9])


def _unfinished(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    del arrays["encoder.layer.1.output.dense.weight"]
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


def _with_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('code of the model was run')")


def _first_token(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    said = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_pickled, "lacks model.safetensors"),
        (_torn, "not a model that transformers reads"),
        (_unfinished, r"lacks the weights encoder\.layer\.1"),
        (_with_code, "not a model that transformers reads"),
        (_first_token, "pool otherwise than by the mean"),
    ],
)
def test_what_is_no_sentence_encoder_is_refused(own: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(own)
    with pytest.raises(InputError, match=words):
        encoder.named(str(own), ())


def test_a_folder_that_says_it_takes_the_mean_is_read(own: Path) -> None:
    _first_token(own)
    (own / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    assert encoder.named(str(own), ()).encode(TEXTS).shape == (3, 16)


def test_a_config_may_name_a_folder_and_no_click_teaches_it(tiny: Path) -> None:
    config = replace(SMOKE, num_docs=300, num_sessions=500, encoder=str(tiny))
    dataset = data.load(config)
    found, vectors, rows = model.meaning(dataset, config)
    assert isinstance(found, HuggingFace) and rows is dataset.train
    assert (vectors == found.encode(model.texts(dataset.catalog))).all() and vectors.shape == (300, 16)


@pytest.mark.slow
def test_an_artifact_answers_with_its_encoder_and_not_with_another(trial: Trial, own: Path, tmp_path: Path) -> None:
    trained, folder = trial.part("model"), tmp_path / "artifact"
    found = encoder.named(str(own), ())
    vectors = dense.build(
        trial.dataset.catalog.doc_id, found.encode(model.texts(trial.dataset.catalog)), found.fingerprint
    )
    shutil.copytree(trial.artifact.folder / "features", folder / "features")
    shutil.copytree(trial.artifact.folder / "baseline", folder / "baseline")
    (folder / "model").mkdir()
    made = replace(trained, legs=replace(trained.legs, encoder=found, vectors=vectors))
    made.save(folder / "model")
    some = trial.dataset.test.take(slice(0, 20))
    assert (model.load(folder / "model").retrieve(some, 50).ids == made.retrieve(some, 50).ids).all()
    assert (made.retrieve(some, 50).ids != trained.retrieve(some, 50).ids).any(), "the control: the leg has a say"
    _weights(own)
    with pytest.raises(InputError, match="holds another encoder"):
        model.load(folder / "model")
