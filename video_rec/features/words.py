"""Title and tags as a short vector: TF-IDF, then SVD (latent semantic analysis, Deerwester et al. 1990): synonyms that keep the same company
come close. What was learned is kept, so a video that comes later gets the vector it would have had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats

TITLE_DIM = 32
MOST_WORDS = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """[num_words] each, in alphabetical order: the word, log of how rare it is, and where it lies; parts that were not needed are 0."""

    word: NDArray[np.str_]
    rarity: Floats
    part: Floats  # [num_words, TITLE_DIM]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, TITLE_DIM] of unit length, zero where no word is known."""
        if not len(self.word) or not texts:
            return np.zeros((len(texts), TITLE_DIM), np.float32)
        return self.placed(self._weigh.transform(texts))

    def placed(self, weights: Any) -> NDArray[np.float32]:
        """weights [n, num_words], sparse -> [n, TITLE_DIM]."""
        vectors = (weights @ self.part).astype(np.float32)
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = (vectors / np.maximum(norm, 1e-9)).astype(np.float32)
        return unit

    @cached_property
    def _weigh(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        made = TfidfVectorizer(vocabulary=self.word.tolist(), sublinear_tf=True)
        made.idf_ = self.rarity
        return made


NO_WORDS = Words(word=np.empty(0, np.str_), rarity=np.empty(0), part=np.empty((0, TITLE_DIM)))


def learn(texts: Sequence[str], seed: int) -> tuple[Words, NDArray[np.float32]]:
    """-> what was learned, and the vectors of these texts."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(max_features=MOST_WORDS, sublinear_tf=True)
    try:
        weights = made.fit_transform(texts)
    except ValueError:  # no title holds a word
        return NO_WORDS, NO_WORDS.vectors(texts)
    part = np.zeros((weights.shape[1], TITLE_DIM))
    dim = min(TITLE_DIM, min(weights.shape) - 1)  # SVD wants fewer than either side
    if dim > 0:
        part[:, :dim] = TruncatedSVD(dim, random_state=seed).fit(weights).components_.T
    words = Words(word=np.array(made.get_feature_names_out(), dtype=np.str_), rarity=made.idf_, part=part)
    return words, words.placed(weights)
