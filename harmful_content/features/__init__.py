"""Rows to inputs as of a moment: words, pixels, and what is known of the author, of this post's reception and of the request.

In:     rows, and a store that answers as of their moments.
Out:    Inputs: word numbers, places of pictures in their pool, standardised numbers, coded categories.
Choice: own vocabulary of whole words, fitted on training texts; disguises are undone before a word is looked up (spelling.py); counts through a
        logarithm; nothing known is a number of its own, not a crash.
Else:   subwords of a pretrained encoder, where languages are real and half of the words are rare.
Breaks: a word nobody wrote in training (new, or disguised in a new way) is UNKNOWN, and so is what hides behind it; reports of a campaign look like reports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, FeatureStore, Floats, Ints
from common.features.encoders import Standardizer, Vocabulary, signed_log
from common.features.text import TokenTable, padded, words
from common.features.views import Count, Decayed, View
from harmful_content.config import Config
from harmful_content.features import shelf
from harmful_content.features.shelf import Posts, Shelf
from harmful_content.features.spelling import Speller
from harmful_content.schema import EVENTS, MOST_CHARS, Dataset, Images, Rows

AUTHOR = View(
    "author",
    ("user_id",),
    (
        Count("impression"),
        Count("impression", "removed"),
        Count("review", "upheld"),
        Decayed("report", half_life=168),
        Decayed("reactions", half_life=168, value="objections"),
    ),
)
POST = View("post", ("post_id",), (*(Count("reactions", name) for name in EVENTS["reactions"].values), Count("report")))
VIEWS = (AUTHOR, POST)
POSTED, REMOVED, UPHELD = 0, 1, 2  # columns of AUTHOR
TEXTS_KEPT = 256
REPORTED = (3, AUTHOR.width + POST.width - 1)  # columns of the numbers: reports of the author's posts, of this one


@dataclass(frozen=True)
class Inputs:
    """text [n] as written; tokens [n, num_tokens] (0 pads, 1 unknown); image [n] places in `images`, -1 none; numbers [n, k] standardised; codes [n, c],
    0 unknown, below sizes[c]."""

    text: NDArray[np.str_]
    tokens: Ints
    image: Ints
    images: Images
    numbers: Floats
    codes: Ints
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def fit(dataset: Dataset, config: Config) -> Features:
    """Words, categories and scales of the training rows alone, so that validation meets as much that is unknown as serving will."""
    train = dataset.train
    names, categories = tuple(sorted(train.numbers)), tuple(sorted(train.categories))
    table = _table(train, config.undisguise)
    fitted = Features(
        num_policies=len(dataset.catalog),
        num_tokens=config.num_tokens,
        undisguise=config.undisguise,
        words=table,
        number_names=names,
        scale=Standardizer.fit(_numbers(train, names, dataset.history)),
        vocabularies={name: Vocabulary.fit(train.categories[name]) for name in categories},
        reviewed=shelf.EMPTY,
    )
    return replace(fitted, reviewed=shelf.fit(train, fitted.said, dataset.history.events))


def load(folder: Path) -> Features:
    saved = json.loads((folder / "features.json").read_text())
    return Features(
        num_policies=saved["num_policies"],
        num_tokens=saved["num_tokens"],
        undisguise=saved["undisguise"],
        words=TokenTable(np.array(saved["words"], dtype=np.str_)),
        number_names=tuple(saved["number_names"]),
        scale=Standardizer.from_json(saved["scale"]),
        vocabularies={name: Vocabulary.from_json(known) for name, known in saved["vocabularies"].items()},
        reviewed=shelf.load(folder),
    )


@dataclass(frozen=True, eq=False)
class Features:
    num_policies: int
    num_tokens: int
    undisguise: bool
    words: TokenTable
    number_names: tuple[str, ...]
    scale: Standardizer
    vocabularies: Mapping[str, Vocabulary]
    reviewed: Shelf

    def inputs(self, rows: Rows, store: FeatureStore | None) -> Inputs:
        """One code for training (AsOfStore) and serving (LiveStore). `store` None: nothing is known of authors and reactions, as when the live
        store cannot be read; words and pixels are there all the same."""
        cut = [self.words.ids(self.said(text)[: self.num_tokens]) for text in rows.text.tolist()]
        codes = [known.encode(self._category(rows, name)) for name, known in self.vocabularies.items()]
        return Inputs(
            text=rows.text,
            tokens=padded(cut, self.num_tokens),
            image=rows.image,
            images=rows.images,
            numbers=self.scale.scale(_numbers(rows, self.number_names, store)),
            codes=np.column_stack([np.zeros((len(rows), 0), dtype=np.int64), *codes]),
            sizes=tuple(len(known) for known in self.vocabularies.values()),
        )

    def printed(self, rows: Rows) -> Posts:
        """What tells each post again, on the shelf of those that people decided: asked before any model."""
        return shelf.printed(rows, self.said)

    def said(self, text: str) -> Sequence[str]:
        """The words of a text as the vocabulary has them. Those of the last texts are kept: inputs and prints ask for the same, and disguises take time
        to undo."""
        return self._said(text)

    @cached_property
    def _said(self) -> Callable[[str], Sequence[str]]:
        if not self.undisguise:
            return lambda text: words(text, MOST_CHARS)
        speller = Speller(self.words.tokens.tolist())
        return lru_cache(maxsize=TEXTS_KEPT)(lambda text: speller.words(text, MOST_CHARS))

    def unreported(self, inputs: Inputs) -> Inputs:
        """The same posts, as if nobody had ever reported them or their authors. What is unknown stays unknown."""
        numbers, columns = inputs.numbers.copy(), list(REPORTED)
        nothing = -self.scale.mean[columns] / self.scale.sd[columns]
        numbers[:, columns] = np.where(numbers[:, columns] > nothing, nothing, numbers[:, columns])
        return replace(inputs, numbers=numbers)

    def is_new_author(self, inputs: Inputs) -> Bools:
        """[n] has the author posted nothing before? False where the store could not be read: then nobody knows."""
        nothing = -self.scale.mean[POSTED] / self.scale.sd[POSTED]
        return np.asarray(inputs.numbers[:, POSTED] == nothing)

    def gaps(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Of the first row: which numbers and categories are missing, and which categories hold a value training never saw."""
        missing = [name for name in self.number_names if np.isnan(_column(rows, name)[0])]
        said = {name: self._category(rows, name)[:1] for name in self.vocabularies}
        missing += [name for name, value in said.items() if not value[0]]
        unknown = [name for name, value in said.items() if value[0] and not self.vocabularies[name].encode(value)[0]]
        return missing, unknown

    def _category(self, rows: Rows, name: str) -> NDArray[np.str_]:
        return rows.categories.get(name, np.full(len(rows), ""))

    def save(self, folder: Path) -> None:
        saved = {name: getattr(self, name) for name in ("num_policies", "num_tokens", "undisguise", "number_names")}
        vocabularies = {name: known.as_json() for name, known in self.vocabularies.items()}
        saved |= {"words": self.words.tokens.tolist(), "scale": self.scale.as_json(), "vocabularies": vocabularies}
        self.reviewed.save(folder)
        (folder / "features.json").write_text(json.dumps(saved))


def _table(train: Rows, undisguise: bool) -> TokenTable:
    """Once over the texts for the words that are known as written; once more, because what is undone counts as the word it is."""
    table = TokenTable.fit(words(text, MOST_CHARS) for text in train.text.tolist())
    if not undisguise:
        return table
    speller = Speller(table.tokens.tolist())
    return TokenTable.fit(speller.words(text, MOST_CHARS) for text in train.text.tolist())


def _numbers(rows: Rows, names: tuple[str, ...], store: FeatureStore | None) -> Floats:
    """[n, k] before scaling: the author, the post's reception, the share of the author's posts that were strikes, the request."""
    author, post = (
        np.full((len(rows), view.width), np.nan) if store is None else store.read(view, keys, rows.moment)
        for view, keys in ((AUTHOR, rows.user_id), (POST, rows.post_id))
    )
    strikes = (author[:, REMOVED] + author[:, UPHELD]) / (author[:, POSTED] + 1)
    said = [signed_log(_column(rows, name)) for name in names]
    return np.column_stack([signed_log(author), signed_log(post), strikes, *said])


def _column(rows: Rows, name: str) -> Floats:
    return rows.numbers.get(name, np.full(len(rows), np.nan))
