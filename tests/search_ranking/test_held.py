"""Words of a query held against the words of a field."""

from __future__ import annotations

import numpy as np

from search_ranking import features


def test_a_word_is_held_where_a_set_says_so() -> None:
    """Token 0 pads and 1 is unknown: neither is ever found, on whichever side it stands."""
    rng = np.random.default_rng(0)
    for width in (1, 4, 12):
        words, field = rng.integers(0, 9, (40, width)), rng.integers(0, 9, (40, 6))
        words[:, rng.random(width) < 0.5] = 0  # columns that nobody uses
        expected = [
            [word > 1 and word in set(there) for word in asked]
            for asked, there in zip(words.tolist(), field.tolist(), strict=True)
        ]
        assert features._held(words, field).tolist() == expected
