"""Strings of letters inside words, hashed: what is spelled otherwise still shares most of them. No string is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

BUCKETS = 2**17
SHORTEST = 2


def counts(texts: Sequence[str], longest: int) -> csr_matrix:
    """[n, BUCKETS] 1 + log of how often each string of SHORTEST to `longest` letters stands in the words of a text."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(SHORTEST, longest), n_features=BUCKETS, alternate_sign=False, norm=None
    )
    found = csr_matrix(hashed.transform(texts))
    found.data = 1 + np.log(found.data)
    return found
