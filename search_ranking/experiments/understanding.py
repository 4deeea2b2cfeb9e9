"""What reading the query is worth: its parts off one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Bools, Experiment, Table
from common.features.text import words
from search_ranking import model
from search_ranking.config import Config
from search_ranking.experiments.lab import GAIN, Lab, change, trained
from search_ranking.features.spelling import Spelling
from search_ranking.features.synonyms import Synonyms
from search_ranking.features.understanding import Understanding

NEVER = 2.0  # a confidence nothing reaches


def understanding(config: Config) -> Table:
    """What is each part of query understanding worth, and to whom?

    Each row is the whole case learnt anew without one part (the last: without all, the foil). `change`: gain without the part minus gain with
    all, paired over the queries of the slice: below zero, the part is worth having. `a typo`: a word of the query is none of the world's.
    It flips with the slip: spelling carries nearly all of it, and of a query without a slip hardly anything is lost.
    `read_otherwise`: share of the slice's requests that are read otherwise without the part."""
    lab = trained(config)
    whole, served = lab.features.understanding, lab.report(lab.ranked(lab.candidates))
    assert isinstance(whole, Understanding)
    read = lab.features.understand(lab.dataset.test.query.tolist())
    table: Table = []
    for name, without in _off(whole).items():
        fitted = replace(lab.features, understanding=without)
        better = model.fit(lab.dataset, fitted, config)
        report = lab.report(lab.ranked(lab.retrieved(better), better))
        other = fitted.understand(lab.dataset.test.query.tolist())
        moved = np.array([one != two for one, two in zip(read, other, strict=True)])
        for part, rows in _slices(lab).items():
            found = change(report.units[rows], served.units[rows], served.clusters[rows], "change")
            table.append(
                {"off": name, "slice": part, GAIN: float(report.units[rows].mean()), **found}
                | {"read_otherwise": float(moved[rows].mean()), "requests": int(rows.sum())}
            )
    return table


def _off(whole: Understanding) -> dict[str, Understanding]:
    none, never = np.empty(0, np.str_), replace(whole.settings, intent_confidence=NEVER, language_confidence=NEVER)
    unread, unlike = Spelling.of({}), Synonyms(none, none, np.empty(0))
    return {
        "spelling": replace(whole, spelling=unread),
        "synonyms": replace(whole, synonyms=unlike),
        "topic": replace(whole, settings=replace(whole.settings, intent_confidence=NEVER)),
        "language": replace(whole, settings=replace(whole.settings, language_confidence=NEVER)),
        "names": replace(whole, names={}),
        "all of it": replace(whole, spelling=unread, synonyms=unlike, names={}, settings=never),
    }


def _slices(lab: Lab) -> dict[str, Bools]:
    """Rows of the test requests; a slice of fewer than two queries is left out, for it has no interval."""
    from search_ranking.world.words import VOCABULARY

    known = {word for one in VOCABULARY for word in words(one)}
    typo = np.array([any(word not in known for word in words(text)) for text in lab.dataset.test.query.tolist()])
    traffic = lab.judgments.slices["traffic"]
    every = {"all": np.ones(len(typo), bool), **{kind: traffic == kind for kind in ("head", "torso", "tail")}}
    every |= {"a typo": typo, "no typo": ~typo}
    return {name: rows for name, rows in every.items() if len(np.unique(lab.dataset.test.query_id[rows])) > 1}


EXPERIMENTS: Mapping[str, Experiment] = {"understanding": understanding}
