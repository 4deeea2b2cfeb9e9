"""What owners' words are worth, in finding candidates and in putting them in order, and how wrong they may be (VIS-62)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Floats, Ranking, Table
from visual_search.config import Config
from visual_search.experiments.lessons import Lessons, Shown, ordered
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.model import ranker
from visual_search.model.ranker import LIKE, READ, Linear
from visual_search.schema import Texts

WORDS = READ.index("words")
WRONG = {"tags, a quarter of them another's": 0.25, "tags, half of them another's": 0.5, "shuffled (foil)": 1.0}


def metadata(config: Config) -> Table:
    """Should what owners wrote about an image count when it is looked for?

    Owners' words find candidates for a search in words and are one input of the rerank, which is taught anew in every row. `none`: both without them; `tags`:
    words in common, as served; `text vectors`: the input is how near the owner's text lies to the request in the common space, which a photo has as
    well. `against none`: paired over users on all requests; `photo alone`, `with words`: the same on those. Some texts are given to other images, in teaching
    and in serving; all of them, the foil. `tags alone`: the gallery by its texts' vectors, and no picture of it is looked at. The encoder has learnt from
    texts in every row. It decides whether features.words and Model.called stand."""
    lab = trained(config)
    bench = Bench.of(lab)
    texts = lab.features.pictures.text
    ways = {"none": bench.tagged(np.full_like(texts, "")), "tags": bench.tagged(texts)}
    ways["text vectors"] = bench.ranked(texts, in_space(lab, texts))
    ways |= {name: bench.tagged(misplaced(texts, share, config.seed)) for name, share in WRONG.items()}
    ways["tags alone"] = by_texts(lab)
    gains = {name: lab.gains(found) for name, found in ways.items()}
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


@dataclass(frozen=True, eq=False)
class Bench:
    """The training pages as the ranker reads them; what the index finds for the test requests. Nothing of either hangs on owners' words."""

    lab: Trained
    lessons: Lessons
    near: Ranking

    @staticmethod
    def of(lab: Trained) -> Bench:
        return Bench(lab, Lessons.of(lab), lab.nearest(lab.test))

    def tagged(self, texts: Texts) -> Ranking:
        """Answers if the gallery's texts were these."""
        return self.ranked(texts, in_common(self.lab, texts))

    def ranked(self, texts: Texts, column: Column) -> Ranking:
        lab = self.lab
        pictures = replace(lab.features.pictures, text=texts)
        other = replace(lab.model, features=replace(lab.features, pictures=pictures))
        asked = other.asked(lab.features.seen(lab.test), lab.test.text)
        called = other.called(lab.test.text, lab.config.num_candidates)
        candidates = other.together(asked, self.near, called, lab.test.shop_only)
        shown = Shown.among(lab, candidates)
        return ordered(candidates, self._taught(column).score(_with(shown, column)))

    def _taught(self, column: Column) -> Linear:
        """The weights that clicks teach, anew; likeness, which they do not teach, as served."""
        shown, nothing = self.lessons.shown, np.empty((0, len(READ)))
        found = ranker.fit(nothing, nothing[:, 0], _with(shown, column), self.lessons.slot, self.lessons.label)
        served = self.lab.model.ranker
        return Linear({**found.weights, **{name: served.weights[name] for name in LIKE}}, served.intercept)


def _with(shown: Shown, column: Column) -> Floats:
    values = shown.values.copy()
    values[:, WORDS] = column(shown)
    return values


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
        near: Floats = np.einsum("nd,nd->n", shown.asked.query[shown.row], of_image).astype(np.float64)
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
    asked = lab.model.asked(lab.features.seen(lab.test), lab.test.text)
    near = (asked.query @ lab.model.encoder.texts(lab.features.pictures.text.tolist()).T).astype(np.float64)
    best = np.argsort(-near, axis=1, kind="stable")[:, : lab.config.num_candidates]
    return Ranking(ids=lab.features.pictures.image_id[best], scores=np.take_along_axis(near, best, 1))


EXPERIMENTS: Mapping[str, Experiment] = {"metadata": metadata}
