"""Small folders in EDOS's form, and a small transformer, for tests: posts of made-up words, some of which mean something."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from harmful_content.data.edos import COLUMNS, FILE

KINDS = {"1. first": ("1.1 one", "1.2 two"), "2. second": ("2.1 three", "2.2 four")}
VECTORS = [(category, vector) for category, vectors in KINDS.items() for vector in vectors]
SPLITS = ("train",) * 7 + ("dev",) + ("test",) * 2
MARK = "quibbleford"  # stands in every text, and nowhere else


def edos_folder(folder: Path, num: int = 1_500, dealt: bool = False, seed: int = 0) -> Path:
    """A post is sexist where it holds one of a vector's words, three times in ten. `dealt`: the labels go to other posts of the same split."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    for at in range(num):
        words = [f"word{number}" for number in rng.integers(0, 60, rng.integers(4, 12))]
        kind = int(rng.integers(len(VECTORS))) if rng.random() < 0.3 else -1
        if kind >= 0:
            words.insert(int(rng.integers(len(words))), f"sign{kind}{rng.integers(3)}")
        category, vector = VECTORS[kind] if kind >= 0 else ("none", "none")
        said = (
            f"post-{at}",
            f"{MARK} {' '.join(words)}",
            "sexist" if kind >= 0 else "not sexist",
            category,
            vector,
            SPLITS[at % 10],
        )
        rows.append(dict(zip(COLUMNS, said, strict=True)))
    if dealt:
        other = [dict(row) for row in rows]
        for split in set(SPLITS):
            places = [at for at, row in enumerate(rows) if row["split"] == split]
            for at, place in zip(places, rng.permutation(places).tolist(), strict=True):
                rows[at] |= {name: other[place][name] for name in COLUMNS[2:5]}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def tiny_bert(folder: Path, seed: int = 0) -> Path:
    """Two layers of 32 numbers that have learnt nothing, with a tokenizer of single letters and the words of `edos_folder`."""
    import torch
    import transformers

    library: Any = transformers  # its types do not know every name

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(97, 123)] + [str(digit) for digit in range(10)]
    signs = [f"sign{kind}{which}" for kind in range(len(VECTORS)) for which in range(3)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", MARK, *letters, *(f"##{one}" for one in letters)]
    vocabulary += [*signs, *(f"word{number}" for number in range(60))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = library.BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = library.BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=64,
        )  # fmt: skip
        library.BertModel(shape).save_pretrained(folder)
    return folder
