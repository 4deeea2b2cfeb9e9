"""What people look for, and how well a document answers it: grades 0..4, from meaning and never from words.

A query is a function of (seed, id): a need, its traffic, and (wording.py) one wording of the need. Several queries may share a need, and a few
even their text; what is learnt about a query should be kept under its normalised text, not its id.

Planted beyond what a match of words or vectors can say: whether an intent pleases depends on the concept (`pleases`), and some combinations
are first asked for in the last days (`fresh`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import Population, choice, uniform
from search_ranking.world.nature import INTENT_SHARES, Documents, entities, homes, ranks, several
from search_ranking.world.words import (
    CONCEPTS_PER_TOPIC,
    NUM_CONCEPTS,
    NUM_ENTITIES,
    NUM_INTENTS,
)

Grades = NDArray[np.int8]

# The frozen strengths: changing one changes every number of the case.
KINDS = ("head", "torso", "tail")
KIND_SHARES, KIND_TRAFFIC = (0.1, 0.4, 0.5), (0.5, 0.3, 0.2)  # of the query ids; of what is asked
PATTERNS = (  # kind, share within it, concepts, intent, entity, language
    (0, 0.65, 1, 0, 0, 0),
    (0, 0.35, 0, 0, 1, 0),
    (1, 0.50, 1, 1, 0, 0),
    (1, 0.30, 2, 0, 0, 0),
    (1, 0.20, 0, 1, 1, 0),
    (2, 0.35, 2, 1, 0, 0),
    (2, 0.25, 1, 1, 1, 0),
    (2, 0.25, 1, 1, 0, 1),
    (2, 0.15, 2, 0, 0, 1),
)
DEMAND = 1.0  # a concept is asked for like rank ** -DEMAND within its topic (Zipf)
SKEW, MOST = 0.5, 20.0  # traffic within a kind: u ** -SKEW, at most MOST
FRESH, FRESH_TRAFFIC = (
    0.15,
    2.0,
)  # share of the torso's and tail's needs that are new in the last days; their traffic then
LANGUAGE_SHARES = (4.0, 2, 1.5, 1, 1, 1)
PLEASES = 0.6  # share of (concept, intent) pairs that please
FULL = (0.5, 0.35)  # weight in a document at which one of one, one of two concepts counts in full
HOME, NAMED_ONLY = 0.5, 0.5  # a document of the entity's concepts without it; of the entity without the concepts
INTENT_MISS, ENTITY_MISS, LANGUAGE_MISS = 0.5, 0.5, 0.55  # of the merit lost by a complete miss
SUBSTITUTE, ENGLISH = 0.5, 0.5  # half a match: another intent that pleases, English instead of the language
CUTS = (0.2, 0.42, 0.62, 0.82)  # merit at which grades 1 to 4 begin
GAINS = (0.0, 0.1, 0.3, 0.65, 1.0)  # of a grade
WORST, BEST = 0.7, 1.0  # bounds of the factor quality puts on the gain


@dataclass(frozen=True, kw_only=True)
class Queries:
    """The truth behind queries, [n] each; -1 where a need does not ask for a part."""

    query_id: Ints
    kind: Ints  # 0 head, 1 torso, 2 tail
    topic: Ints
    concepts: Ints  # [n, 2]
    intent: Ints
    entity: Ints
    language: Ints
    home: Ints  # [n, 2] what the entity is known for
    pleases: Bools  # [n, NUM_INTENTS] which intents go with the first concept
    traffic: Floats  # how often asked, relative to the mean
    fresh: Bools  # asked in the last days only

    def __len__(self) -> int:
        return len(self.query_id)

    def take(self, rows: Ints) -> Queries:
        return Queries(**{name: column[rows] for name, column in vars(self).items()})


def queries(seed: int, ids: Ints) -> Queries:
    """Any queries, in blocks of any size."""
    ids = np.asarray(ids, np.int64)
    draws, table = uniform(seed, "query", ids, 7), np.array(PATTERNS)
    shares = table[:, 1] * np.array(KIND_SHARES)[table[:, 0].astype(int)]
    kind, num, asks_intent, asks_entity, asks_language = table[choice(draws[:, 0], shares)][:, [0, 2, 3, 4, 5]].T
    kind = kind.astype(np.int64)
    topic = choice(draws[:, 1], Population(seed).topic_shares)
    entity = np.where(asks_entity > 0, entities(topic, draws[:, 2]), -1)
    home = homes(seed, entity)
    wanted = several(-DEMAND * np.log(ranks(seed))[topic], uniform(seed, "query.concepts", ids, CONCEPTS_PER_TOPIC), 2)
    concepts = np.where(entity[:, None] >= 0, home, topic[:, None] * CONCEPTS_PER_TOPIC + wanted)
    concepts = np.sort(np.where(np.arange(2) < num[:, None], concepts, NUM_CONCEPTS), axis=1)
    concepts[concepts == NUM_CONCEPTS] = -1
    intent = np.where(asks_intent > 0, choice(draws[:, 3], np.array(INTENT_SHARES)), -1)
    language = np.where(asks_language > 0, choice(draws[:, 4], np.array(LANGUAGE_SHARES)), -1)
    fresh = (kind > 0) & (uniform(seed, "need.fresh", _key(concepts, intent, entity, language))[:, 0] < FRESH)
    weight = np.array(KIND_TRAFFIC)[kind] / np.array(KIND_SHARES)[kind]
    skew = np.minimum(draws[:, 5] ** -SKEW, MOST) / (2 - 1 / MOST)  # the mean of u ** -0.5 cut off at MOST
    first = np.where(concepts[:, 0] >= 0, concepts[:, 0], home[:, 0])
    return Queries(
        query_id=ids, kind=kind, topic=topic, concepts=concepts, intent=intent, entity=entity, language=language, home=home,
        pleases=_pleases(seed)[first], traffic=weight * skew * np.where(fresh, FRESH_TRAFFIC, 1.0), fresh=fresh,
    )  # fmt: skip


def relevance(need: Queries, documents: Documents) -> Grades:
    """[n, m] grades 0..4 of every document for every need. No text enters: another wording changes nothing."""
    grades = np.zeros((len(need), len(documents)), np.int8)
    rows, places = _touching(need, documents)
    grades[rows, places] = grades_of(need.take(rows), documents.take(places))
    return grades


def gain(need: Queries, documents: Documents) -> Floats:
    """[n, m] in [0, 1]: what `expected_gain@10` pays, the grade's worth times a bounded factor for the document's quality."""
    return np.array(GAINS)[relevance(need, documents)] * worth(documents.quality)


def grades_of(need: Queries, documents: Documents) -> Grades:
    """[n] grades row by row: need i with document i."""
    return np.digitize(merits_of(need, documents), CUTS).astype(np.int8)


def gains_of(need: Queries, documents: Documents) -> Floats:
    """[n] gains row by row."""
    gains: Floats = np.array(GAINS)[grades_of(need, documents)] * worth(documents.quality)
    return gains


def worth(quality: Floats) -> Floats:
    """The factor on the gain, in [WORST, BEST]."""
    factor: Floats = (WORST + BEST) / 2 + (BEST - WORST) / 2 * np.tanh(quality)
    return factor


def merits_of(need: Queries, documents: Documents) -> Floats:
    """[n] in [0, 1] row by row: the topical match, times what is left of it after each miss of intent, entity and language."""
    n = len(need)
    named = (documents.entity == need.entity) & (need.entity >= 0)
    by_name, double = need.concepts[:, 0] < 0, need.concepts[:, 1] >= 0
    first, second = (_overlap(documents, concept, np.where(double, FULL[1], FULL[0])) for concept in need.concepts.T)
    home = np.maximum(*(_overlap(documents, concept, np.full(n, FULL[0])) for concept in need.home.T))
    about = np.maximum(np.where(double, (first + second) / 2, first), NAMED_ONLY * named)
    about = np.where(by_name, np.where(named, 1.0, HOME * home), about)

    pleasing = need.pleases[np.arange(n), documents.intent]
    instead = np.where(pleasing, SUBSTITUTE, 0.0)
    fits = np.where(need.intent < 0, np.where(pleasing, 1.0, SUBSTITUTE), instead)
    fits = np.where(need.intent == documents.intent, 1.0, fits)
    spoken = np.where(documents.language == need.language, 1.0, np.where(documents.language == 0, ENGLISH, 0.0))
    missed = (need.entity >= 0) & ~by_name & ~named
    merit: Floats = about * (1 - INTENT_MISS * (1 - fits)) * (1 - ENTITY_MISS * missed)
    return merit * np.where(need.language < 0, 1.0, 1 - LANGUAGE_MISS * (1 - spoken))


def _overlap(documents: Documents, concept: Ints, full: Floats) -> Floats:
    """[n] how far each document is about a concept, 1 at the weight `full`; 0 where the concept is -1."""
    same = (documents.concepts == concept[:, None]) & (concept[:, None] >= 0)
    overlap: Floats = np.minimum(1.0, (documents.weights * same).sum(axis=1) / full)
    return overlap


def _touching(need: Queries, documents: Documents) -> tuple[Ints, Ints]:
    """The pairs whose merit can be above 0: rows of `need`, places in `documents`; a concept or the entity in common."""
    keys = np.column_stack([documents.concepts, np.where(documents.entity < 0, -1, NUM_CONCEPTS + documents.entity)])
    order = np.argsort(keys, axis=None, kind="stable")
    places, ordered = order // keys.shape[1], keys.ravel()[order]
    wants = np.column_stack([need.concepts, need.home, np.where(need.entity < 0, -1, NUM_CONCEPTS + need.entity)])
    spans = np.searchsorted(ordered, np.stack([wants, wants + 1], axis=-1))
    found = []
    for row, want in enumerate(wants):
        parts = [places[low:high] for (low, high), key in zip(spans[row], want, strict=True) if key >= 0]
        found.append(np.unique(np.concatenate(parts)))
    rows = np.repeat(np.arange(len(need)), [len(part) for part in found])
    return rows, np.concatenate([np.empty(0, np.int64), *found])


def _pleases(seed: int) -> Bools:
    """[NUM_CONCEPTS, NUM_INTENTS]: nobody wants a live broadcast of some things, and a review of others."""
    lots = uniform(seed, "concept.intent", np.arange(NUM_CONCEPTS * NUM_INTENTS))[:, 0]
    return lots.reshape(NUM_CONCEPTS, NUM_INTENTS) < PLEASES


def _key(concepts: Ints, intent: Ints, entity: Ints, language: Ints) -> Ints:
    """One number for each combination of parts."""
    key = (concepts[:, 0] + 1) * (NUM_CONCEPTS + 1) + concepts[:, 1] + 1
    key = (key * (NUM_INTENTS + 1) + intent + 1) * (NUM_ENTITIES + 1) + entity + 1
    return key * 8 + language + 1
