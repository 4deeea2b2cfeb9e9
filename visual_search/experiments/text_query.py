"""Words as a second way into the space of pictures: alone, and beside a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from visual_search.config import Config
from visual_search.experiments.trained import Trained, beside, trained
from visual_search.schema import Requests
from visual_search.world.asking import BOTH, KINDS, WORDS

WEIGHTS = (0.25, 0.5, 2.0, 4.0)  # of words beside a photo of weight 1
ANOTHERS = "another's words (foil)"


def text_query(config: Config) -> Table:
    """Can people search pictures with words, and change a photo by them, "like this, in red"?

    Rows of `words` answer those who typed words alone: by the space that pictures and texts share, and by words in common with what owners wrote (TF-IDF),
    which reads no picture. Rows of `photo and words` answer those who asked for the photo's thing but as the words say: by either alone, and by the sum
    of both vectors, words counting more or less. Gain is judged by what was meant. All by the index alone; `served`: what owners wrote is asked as well, and
    all is put in order by the rerank.
    `difference`: paired over users, from the first row of the kind. Foils: the words of another request; what is clicked most. It decides that one
    space holds both, and Config.words_weight."""
    lab, table = trained(config), []
    kind = lab.judgments.slices["kind"]
    for which, ways in ((WORDS, _words), (BOTH, _photo_and_words)):
        asked = lab.test.take(np.flatnonzero(kind == KINDS[which]))
        found = ways(lab, asked)
        rows = beside(found, asked.user_id, next(iter(found)), "by", "difference")
        table += [{"asked with": KINDS[which], **row} for row in rows]
    return table


def _words(lab: Trained, asked: Requests) -> dict[str, Floats]:
    num, most = lab.config.num_candidates, lab.features.popular
    found = {
        "one space": lab.nearest(asked),
        "words in common": lab.retrieved(asked, lab.histogram),
        "served": lab.answered(asked),
        ANOTHERS: lab.nearest(another(asked)),
        "what is clicked most (foil)": _the_same(most[:num], len(asked)),
    }
    return {name: lab.gains(ranking, asked) for name, ranking in found.items()}


def _photo_and_words(lab: Trained, asked: Requests) -> dict[str, Floats]:
    photo = replace(asked, text=np.full(len(asked), ""))
    words = replace(asked, photo=np.full(len(asked), -1), crop=np.full((len(asked), 4), np.nan, np.float32))
    found = {
        "both added": lab.nearest(asked),
        "photo alone": lab.nearest(photo),
        "words alone": lab.nearest(words),
        **{
            f"both added, words at {weight:g}": lab.nearest(asked, replace(lab.model, words_weight=weight))
            for weight in WEIGHTS
        },
        "colours and words in common": lab.retrieved(asked, lab.histogram),
        "served": lab.answered(asked),
        ANOTHERS: lab.nearest(another(asked)),
    }
    return {name: lab.gains(ranking, asked) for name, ranking in found.items()}


def _the_same(ids: Ints, n: int) -> Ranking:
    return Ranking(ids=np.tile(ids, (n, 1)), scores=np.tile(-np.arange(len(ids), dtype=float), (n, 1)))


def another(asked: Requests) -> Requests:
    """Each with the words of the next that says something else."""
    text = np.roll(asked.text, -1)
    return replace(asked, text=np.where(text == asked.text, np.roll(asked.text, -2), text))


EXPERIMENTS: Mapping[str, Experiment] = {"text_query": text_query}
