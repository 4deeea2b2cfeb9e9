"""What owners' words are worth in putting candidates in order, and how wrong they may be (VIS-62)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.contract import Experiment, Floats, Ranking, Table
from visual_search.config import Config
from visual_search.experiments.lessons import Lessons, Shown, ordered
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.features import NAMES
from visual_search.model import ranker
from visual_search.schema import Texts

WORDS = NAMES.index("words")
WRONG = {"tags, a quarter of them another's": 0.25, "tags, half of them another's": 0.5, "shuffled (foil)": 1.0}


def metadata(config: Config) -> Table:
    """Should what owners wrote about an image count when candidates are put in order?

    The same candidates and clicks; the rerank is taught anew with one input changed: no words, words in common with what was typed (served), or how near
    the owner's text lies to the request in the common space, which a photo has as well. `against none`: paired over users on all requests; `photo alone`
    and `with words`: the same on those. Some texts are given to other images, in teaching and in serving; all of them, the foil. `tags alone`: the
    gallery by its texts' vectors, and no picture of it is looked at. The encoder has learnt from texts in every row. It decides the input `words`."""
    lab = trained(config)
    lessons, candidates = Lessons.of(lab), Shown.among(lab, lab.candidates)
    texts = lab.features.pictures.text
    ways = {"none": _nothing, "tags": in_common(lab, texts), "text vectors": in_space(lab, texts)}
    ways |= {name: in_common(lab, misplaced(texts, share, config.seed)) for name, share in WRONG.items()}
    gains = {name: lab.gains(_ranked(lab, lessons, candidates, way)) for name, way in ways.items()}
    gains["tags alone"] = lab.gains(by_texts(lab))
    users, photo = lab.test.user_id, lab.test.text == ""
    return [
        {"owners' words": name, **mean(GAIN, units, users)}
        | mean("against none", units - gains["none"], users)
        | mean("photo alone", (units - gains["none"])[photo], users[photo])
        | mean("with words", (units - gains["none"])[~photo], users[~photo])
        for name, units in gains.items()
    ]


Column = Callable[[Shown], Floats]
"""What stands in the place of the input `words`, [n]."""


def _nothing(shown: Shown) -> Floats:
    return np.zeros(len(shown.row))


def in_common(lab: Trained, texts: Texts) -> Column:
    """As served (features/words.py), if the gallery's texts were these."""
    held = lab.features.words.said(texts.tolist())

    def column(shown: Shown) -> Floats:
        text, said = np.unique(shown.text, return_inverse=True)
        asked = lab.features.words.said(text.tolist())
        shared = asked[said[shown.row]].multiply(held[lab.features.find(shown.image_id)]).sum(axis=1)
        return np.asarray(shared, np.float64).ravel()

    return column


def in_space(lab: Trained, texts: Texts) -> Column:
    held = lab.model.encoder.texts(texts.tolist())

    def column(shown: Shown) -> Floats:
        of_image = held[lab.features.find(shown.image_id)]
        near: Floats = np.einsum("nd,nd->n", shown.vectors[shown.row], of_image).astype(np.float64)
        return near

    return column


def misplaced(texts: Texts, share: float, seed: int) -> Texts:
    """The texts of this share of the images, given to others among them."""
    rng = np.random.default_rng([seed, 62])
    moved = rng.permutation(len(texts))[: round(share * len(texts))]
    given = texts.copy()
    given[moved] = texts[np.roll(moved, 1)]
    return given


def by_texts(lab: Trained) -> Ranking:
    """The gallery by how near each image's text lies to what is asked, photo or words."""
    vectors = lab.model.vectors(lab.features.seen(lab.test), lab.test.text)
    near = (vectors @ lab.model.encoder.texts(lab.features.pictures.text.tolist()).T).astype(np.float64)
    best = np.argsort(-near, axis=1, kind="stable")[:, : lab.config.num_candidates]
    return Ranking(ids=lab.features.pictures.image_id[best], scores=np.take_along_axis(near, best, 1))


def _ranked(lab: Trained, lessons: Lessons, candidates: Shown, way: Column) -> Ranking:
    dense = _with(lessons.shown, way)
    taught = ranker.fit(lessons.shown.similarity, dense, lessons.slot, lessons.label)
    return ordered(lab.candidates, taught.score(candidates.similarity, _with(candidates, way)))


def _with(shown: Shown, way: Column) -> Floats:
    dense = shown.dense.copy()
    dense[:, WORDS] = way(shown)
    return dense


EXPERIMENTS: Mapping[str, Experiment] = {"metadata": metadata}
