"""One small case, trained, published and served once for all tests of this folder that need it; and a sentence encoder in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.cases import Case
from common.checks import Trial
from search_ranking.config import SMOKE

SMALL = replace(
    SMOKE, num_users=300, num_docs=800, num_queries=300, num_sessions=4_000, num_judged=50, num_trees=60,
    num_candidates=100, deadline_ms=1_000.0,  # five times as long as for people, so that a busy machine changes no answer
)  # fmt: skip


def small(folder: Path) -> Trial:
    trial = Trial(Case("search_ranking", "search_ranking"), folder)
    trial.config = SMALL
    return trial


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = small(tmp_path_factory.mktemp("search_ranking"))
    yield trial
    trial.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of a few thousand weights that spells words letter by letter, made here: sentence encoders are tested without the network."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    made: Any = Tokenizer(models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"})
    )
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **shape)
    model: Any = BertModel(config)
    model.save_pretrained(folder)
    return folder
