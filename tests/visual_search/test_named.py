"""A CLIP of somebody else's: the vectors transformers gives, by folder, kept by name and fingerprint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import InputError
from common.training import pretrained
from tests.visual_search import pictures
from visual_search.config import SMOKE
from visual_search.model import encoders
from visual_search.model.encoders import named
from visual_search.model.parts import Encoder

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def made(folder: Path, seed: int) -> Path:
    """A tiny CLIP in the layout of openai/clip-vit-base-patch32, weights by lot."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    known = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": len(known),
            "max_position_embeddings": 12,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
    tokenizer: Any = CLIPTokenizer(vocab={token: at for at, token in enumerate(known)}, merges=[])
    tokenizer.save_pretrained(folder)
    processor: Any = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("clip"), 0)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return encoders.fit(pictures.dataset(), replace(SMOKE, encoder=str(folder)))


def test_its_vectors_are_those_that_transformers_gives(folder: Path, encoder: Encoder) -> None:
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    clip: Any = CLIPModel.from_pretrained(folder)
    processor: Any = CLIPImageProcessorPil.from_pretrained(folder)
    tokenizer: Any = CLIPTokenizer.from_pretrained(folder)
    pixels, texts = pictures.drawn(np.arange(40) % 9, 3), ["red vase", "a", "dots and stripes of wood"]
    inputs = processor(images=[Image.fromarray(one) for one in pixels], return_tensors="pt")
    words = tokenizer(texts, padding=True, truncation=True, max_length=12, return_tensors="pt")
    with torch.no_grad():
        out = clip(**inputs, **words)
    assert encoder.dim == 24
    assert encoder.images(pixels) == pytest.approx(out.image_embeds.numpy(), abs=1e-5)
    assert encoder.texts(texts) == pytest.approx(out.text_embeds.numpy(), abs=1e-5)


def test_a_picture_of_any_side_and_a_text_of_any_length(encoder: Encoder) -> None:
    large = np.repeat(np.repeat(pictures.drawn(np.arange(3), 3), 2, 1), 2, 2)
    assert np.linalg.norm(encoder.images(large), axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    vectors = encoder.texts(["", "?!", "red", "red vase " * 200])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 0, 1, 1], abs=1e-5)
    assert encoder.images(large[:0]).shape == (0, 24) and encoder.texts([]).shape == (0, 24)


def test_an_artifact_names_it_and_refuses_another_in_its_place(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [pretrained.SOURCE], "no weights of others"
    assert encoders.load(tmp_path).fingerprint == encoder.fingerprint
    theirs = shutil.copytree(folder, tmp_path / "theirs")
    encoders.fit(pictures.dataset(), replace(SMOKE, encoder=str(theirs))).save(tmp_path)
    made(theirs, 1)
    with pytest.raises(InputError, match="holds another encoder"):
        encoders.load(tmp_path)
    shutil.rmtree(theirs)
    with pytest.raises(InputError, match="is no folder here"):
        encoders.load(tmp_path)
    (tmp_path / pretrained.SOURCE).write_text("{}")
    with pytest.raises(InputError, match="does not say which encoder"):
        encoders.load(tmp_path)


@pytest.mark.parametrize("lacking", ["model.safetensors", "tokenizer.json", "config.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(folder: Path, tmp_path: Path, lacking: str) -> None:
    theirs = shutil.copytree(folder, tmp_path / "theirs")
    (theirs / lacking).unlink()
    with pytest.raises(InputError, match=f"lacks {lacking}"):
        named.named(str(theirs), ())


def test_a_model_of_another_kind_is_refused(tmp_path: Path, folder: Path) -> None:
    from transformers import BertConfig, BertModel

    theirs = shutil.copytree(folder, tmp_path / "theirs")
    small: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 60,
    }
    BertModel(BertConfig(**small)).save_pretrained(theirs)
    with pytest.raises(InputError, match="BertModel"):
        named.named(str(theirs), ())
