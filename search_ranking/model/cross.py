"""The dear upper rung: query and document read together by one transformer, which says how well the one answers the other.

In:     pairs of texts; for training, a label each from 0 to 1.
Out:    Cross: pairs -> scores, and the first of a ranking in a new order. From any sequence classifier of the Hugging Face hub, or our own small one.
Choice: pointwise: each pair alone, binary cross-entropy (Nogueira and Cho 2019, arXiv:1901.04085). Ours starts from random weights but for two
        things a few thousand pairs cannot teach: words begin where an encoder places them, and queries equal keys in the attention, so that a
        word looks first at its like.
Else:   the ranker of model/ltr, which is served: milliseconds for hundreds of candidates, where this takes them for one.
Breaks: every pair is a pass through the network, nothing can be computed before the query is known; a model without a trained head would rank
        by lot (refused).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.contract import Floats, Ints, Ranking
from common.errors import InputError
from common.training import loop, pretrained
from common.training.formats import number_format
from search_ranking.model.retrieval.encoder import Encoder

# said, because else a tokenizer of this kind leaves out which text a token is of
INPUTS = ["input_ids", "token_type_ids", "attention_mask"]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True, kw_only=True)
class Shape:
    layers: int = 1
    width: int = 64  # not below the dimension of the encoder that says where words begin
    heads: int = 4
    vocabulary: int = 8_000
    max_tokens: int = 64  # of query and document together; the document's end is cut


MINILM_L6 = Shape(layers=6, width=384, heads=12, vocabulary=30_522, max_tokens=256)
"""Of cross-encoder/ms-marco-MiniLM-L6-v2, as its config.json says; its authors cut at 512."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cross:
    tokenizer: Any
    model: Any
    max_tokens: int
    batch_size: int = 32

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Pair i is queries[i] with documents[i] -> [n] logits. Pairs of like length share a batch, so little is spent on padding."""
        scores = np.zeros(len(queries))
        if not len(queries):
            return scores
        read = self.read(queries, documents)
        order = np.argsort([len(each) for each in read["input_ids"]], kind="stable")
        with torch.inference_mode():
            for at in range(0, len(order), self.batch_size):
                rows = order[at : at + self.batch_size]
                batch = self.tokenizer.pad(
                    {name: [column[row] for row in rows] for name, column in read.items()}, return_tensors="pt"
                )
                scores[rows] = _one_number(self.model(**batch).logits.float()).double().numpy()
        return scores

    def first(self, queries: Sequence[str], ids: Ints, texts: Mapping[int, str], k: int) -> Ranking:
        """ids [n, m] of a ranking, -1 pads -> the first k of each row in this one's order, the rest behind them as it was. A score is a place."""
        row, column = np.nonzero(ids[:, :k] >= 0)
        said = [texts[doc_id] for doc_id in ids[row, column].tolist()]
        scores = np.full(ids[:, :k].shape, -np.inf)
        scores[row, column] = self.score([queries[at] for at in row.tolist()], said)
        order = np.argsort(-scores, axis=1, kind="stable")
        ordered = np.concatenate([np.take_along_axis(ids, order, 1), ids[:, k:]], axis=1)
        return Ranking(ids=ordered, scores=np.where(ordered >= 0, -np.arange(ids.shape[1], dtype=float), -np.inf))

    def num_bytes(self) -> int:
        return sum(part.numel() * part.element_size() for part in self.model.parameters())

    def read(self, queries: Sequence[str], documents: Sequence[str], **how: Any) -> dict[str, Any]:
        """-> the tokens of each pair and which of the two they belong to, as `how` lays them out."""
        found = self.tokenizer(
            list(queries), list(documents), truncation="only_second", max_length=self.max_tokens, **how
        )
        return dict(found)


def load(name: str | Path, max_tokens: int = 256) -> Cross:
    """A sequence classifier by a folder or the id of one to download, by the rules of an encoder: safetensors alone, none of its own code."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = pretrained.named(str(name), ())
    model, told = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=number_format(), output_loading_info=True
    )
    if told["missing_keys"]:
        raise InputError(
            f"{folder}: lacks the weights {', '.join(sorted(told['missing_keys'])[:3])}. A cross-encoder has a head that was trained; "
            "is this an encoder?"
        )
    if model.config.num_labels > 2:
        raise InputError(
            f"{folder}: answers with {model.config.num_labels} labels. A cross-encoder says one number, or no and yes."
        )
    longest = min(max_tokens, getattr(model.config, "max_position_embeddings", max_tokens))
    return Cross(AutoTokenizer.from_pretrained(folder, local_files_only=True), model.eval(), longest)


def untrained(texts: Sequence[str], shape: Shape, seed: int = 0, words: Encoder | None = None) -> Cross:
    """Random weights, and word pieces out of `texts`; the pieces that `words` knows begin where it places them, and the places in
    a text count for nothing at first."""
    from transformers import BertConfig, BertForSequenceClassification

    made: Any = BertConfig  # its stubs know neither num_labels nor what a model is made of
    config = made(
        vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, intermediate_size=4 * shape.width, max_position_embeddings=shape.max_tokens,
        num_labels=1, initializer_range=shape.width**-0.5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = BertForSequenceClassification(config)
    tokenizer = _tokenizer(texts, shape.vocabulary)
    if words is not None:
        _begin(model.bert, tokenizer, words)
    return Cross(tokenizer, model.eval(), shape.max_tokens)


def _begin(bert: Any, tokenizer: Any, words: Encoder) -> None:
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda pair: int(pair[1]))
    placed = torch.from_numpy(words.encode([piece for piece, _ in pieces]))
    known, table = placed.abs().amax(dim=1) > 0, bert.embeddings.word_embeddings.weight
    with torch.no_grad():
        table[: len(placed), : placed.shape[1]][known] = placed[known]
        bert.embeddings.position_embeddings.weight.zero_()
        bert.embeddings.token_type_embeddings.weight.mul_(0.1)
    for layer in bert.encoder.layer:
        layer.attention.self.key.load_state_dict(layer.attention.self.query.state_dict())


def fit(
    queries: Sequence[str], documents: Sequence[str], labels: Floats, shape: Shape, setting: Setting, words: Encoder
) -> Cross:
    """Pair i, [n] each: a query, a document's text, and how well it answers, from 0 to 1."""
    cross = untrained([*dict.fromkeys(documents), *queries], shape, setting.seed, words)
    columns = cross.read(queries, documents, padding="max_length", return_tensors="pt")

    def loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        long = int(batch["attention_mask"].sum(dim=1).max())  # no pass through padding that the whole batch has
        read = {name: column[:, :long] for name, column in batch.items() if name != "label"}
        return nn.functional.binary_cross_entropy_with_logits(module(**read).logits[:, 0], batch["label"])

    loop.train(
        cross.model,
        {**columns, "label": torch.from_numpy(labels.astype(np.float32))},
        loss,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        seed=setting.seed,
        name="cross-encoder",
    )
    return cross


def _one_number(logits: Tensor) -> Tensor:
    """[n, 1], or [n, 2] of no and yes -> [n]"""
    return logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)


def _tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer, cut = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(text)))
    made: Any = Tokenizer(models.WordPiece(_pieces(words, vocabulary), unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizer, cut
    made.post_processor = processors.BertProcessing(
        ("[SEP]", SPECIAL.index("[SEP]")), ("[CLS]", SPECIAL.index("[CLS]"))
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    wrapped: Any = PreTrainedTokenizerFast
    return wrapped(tokenizer_object=made, model_input_names=INPUTS, **names)


def _pieces(words: Mapping[str, int], vocabulary: int) -> dict[str, int]:
    """The most frequent words whole, any other letter by letter. Not WordPieceTrainer's: it breaks ties by chance, and a fit would not be a function
    of its arguments."""
    letters = Counter[str]()
    for word, count in words.items():
        letters.update({letter: count * word.count(letter) for letter in set(word)})
    pieces = [*SPECIAL, *(piece for letter in _frequent(letters) for piece in (letter, f"##{letter}"))]
    pieces += [word for word in _frequent(words) if word not in letters]
    return {piece: at for at, piece in enumerate(pieces[:vocabulary])}


def _frequent(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))
