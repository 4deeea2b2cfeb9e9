"""The gallery's vectors lean towards the mean of their class, where somebody said which it is: a photo taken badly is found like its fellows.

Database-side augmentation (Turcot and Lowe 2009), with the known class in the place of neighbours that are only likely to belong together. On Grocery's bursts of train
photos left out it is worth 5 points of hit_rate@1 after 12 epochs, after 60 on val one; leaning on 3 neighbours less, leaning the query nothing.
"""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from visual_search.model.parts import Vectors


def leaning(vectors: Vectors, label: Ints) -> Vectors:
    """vectors [n, dim] of length 1, label [n], -1 unknown: those stay as they are. -> [n, dim] of length 1."""
    known = np.flatnonzero(label >= 0)
    classes, place = np.unique(label[known], return_inverse=True)
    centre = np.zeros((len(classes), vectors.shape[1]), np.float32)
    np.add.at(centre, place, vectors[known])
    found = vectors.copy()
    found[known] = _unit(vectors[known] + _unit(centre)[place])
    return found


def _unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return found
