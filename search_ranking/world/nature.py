"""What is true of documents: what they are about, for what use, how good, and what a frozen image encoder sees of them.

A document is a function of (seed, id) alone, made in blocks of any size; only its time of upload depends on the days of the log. Its channel
is a creator of `Population`, with the same home topic, language and quality as in the other cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints
from common.population import Population, choice, normal, uniform
from search_ranking.world.words import CONCEPTS_PER_TOPIC, ENTITIES_PER_TOPIC, NUM_CONCEPTS, NUM_TOPICS

START = 20_250 * 86_400  # the first second of the log, UTC
TEST_FROM = 0.85  # share of the days after which queries are judged, and new needs asked
DOCUMENTS_PER_CHANNEL = 20

# The frozen strengths: changing one changes every number of the case.
OFF_TOPIC, REPOST, MISDECLARED = 0.15, 0.04, 0.12  # shares of the documents
NUM_PARTS = (0.35, 0.40, 0.25)  # shares of documents about one, two, three concepts
SUPPLY = 0.5  # a concept's share of the documents falls like rank ** -SUPPLY within its topic
CHANNEL = 1.0  # how much a channel keeps to its own concepts
NAMED, OF_ENTITY = 0.4, 4.0  # share with an entity; how much such a document keeps to its entity's two concepts
HABIT = 0.5  # share of documents with the intent their channel prefers
OF_CREATOR, OF_DOCUMENT = 0.6, 0.8  # how good a document is comes from both
VIEWED, VIEWED_QUALITY, VIEWED_CATCHY, VIEWED_AGE, VIEWED_CHANCE = 3.0, 0.5, 0.7, 0.4, 1.0  # log views before the log
EXPLICIT, BARRED = 0.02, 0.04
FROM_13, FROM_16, FROM_18 = 0.06, 0.04, 0.03  # shares for people of at least that age
INTENT_SHARES = (5.0, 3, 2, 1.5, 2.5, 2, 1.5, 2.5)
DIM, BLUR, TOPIC_LOOK = 32, 1.5, 0.6  # of the image embedding: numbers, noise, likeness of a topic's concepts
COUNTRIES, FINGERPRINT_BITS = 10, 52


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What is true of documents, [n] each; `concepts` and `weights` [n, 3], -1 and 0 for none, heaviest first, weights of sum 1."""

    document_id: Ints
    channel_id: Ints
    original: Ints  # the id it was copied from; itself for nearly all
    topic: Ints
    declared: Ints  # the topic its channel says, not always truly
    concepts: Ints
    weights: Floats
    intent: Ints
    entity: Ints  # -1: none
    language: Ints
    length: Floats  # seconds
    quality: Floats
    catchy: Floats  # draws clicks, pleases nobody
    uploaded: Ints
    views: Ints  # before the log begins: popular is not relevant
    explicit: Ints
    min_age: Ints  # 0, 13, 16 or 18 years
    barred_in: Ints  # bit c: not to be shown in country c
    fingerprint: Ints  # FINGERPRINT_BITS of what is seen and heard; a copy differs in at most three

    def __len__(self) -> int:
        return len(self.document_id)

    def take(self, rows: Ints) -> Documents:
        return Documents(**{name: column[rows] for name, column in vars(self).items()})


def documents(seed: int, ids: Ints, days: int) -> Documents:
    """Any documents, in blocks of any size. All are uploaded before the judged queries begin."""
    ids = np.asarray(ids, np.int64)
    original = originals(seed, ids)
    maker = original // DOCUMENTS_PER_CHANNEL
    people, draws = Population(seed), uniform(seed, "document", original, 7)
    elsewhere = choice(draws[:, 0], people.topic_shares)
    topic = np.where(draws[:, 1] < OFF_TOPIC, elsewhere, people.creator_topic(maker))
    entity = np.where(draws[:, 2] < NAMED, entities(topic, draws[:, 3]), -1)
    habit = choice(uniform(seed, "channel.intent", maker)[:, 0], np.array(INTENT_SHARES))
    own, latent = uniform(seed, "document.own", ids, 2), normal(seed, "document.latent", original, 3)
    quality = OF_CREATOR * normal(seed, "creator.quality", maker)[:, 0] + OF_DOCUMENT * latent[:, 0]
    catchy = normal(seed, "document.catchy", ids)[:, 0]
    first, uploaded = _uploaded(seed, original, days), _uploaded(seed, ids, days)
    uploaded = np.where(original == ids, uploaded, np.maximum(uploaded, first + 3_600))
    concepts, weights = _about(seed, original, maker, topic, entity)
    return Documents(
        document_id=ids,
        channel_id=ids // DOCUMENTS_PER_CHANNEL,
        original=original,
        topic=topic,
        declared=np.where(own[:, 0] < MISDECLARED, choice(own[:, 1], people.topic_shares), topic),
        concepts=concepts,
        weights=weights,
        intent=np.where(draws[:, 4] < HABIT, habit, choice(draws[:, 5], np.array(INTENT_SHARES))),
        entity=entity,
        language=choice(uniform(seed, "creator.language", maker)[:, 0], np.array([6.0, 2, 1.5, 1, 1, 1])),
        length=np.exp(np.clip(4.2 + 0.9 * latent[:, 1], 2.0, 7.0)),
        quality=quality,
        catchy=catchy,
        uploaded=uploaded,
        views=_viewed(seed, ids, quality, catchy, uploaded),
        explicit=(uniform(seed, "document.explicit", original)[:, 0] < EXPLICIT).astype(np.int64),
        **_ruled(seed, ids, original),
    )


def originals(seed: int, ids: Ints) -> Ints:
    """The id each document was copied from, itself for nearly all; a copy of a copy is one of the first."""
    original = np.asarray(ids, np.int64).copy()
    while True:
        draws = uniform(seed, "document.repost", original, 2)
        copied = (draws[:, 0] < REPOST) & (original > 0)
        if not copied.any():
            return original
        original = np.where(copied, (draws[:, 1] * original).astype(np.int64), original)


def embeddings(seed: int, of: Documents) -> Floats:
    """[n, DIM] of unit length: what a frozen image encoder makes of the thumbnail, given with the document and never trained here.

    Concepts, blurred: neither intent, entity nor language can be seen, and the nearest concept is often another (test_world.py). A copy
    looks nearly as its original does.
    """
    looks = TOPIC_LOOK * np.repeat(normal(seed, "topic.look", np.arange(NUM_TOPICS), DIM), CONCEPTS_PER_TOPIC, axis=0)
    looks = looks + normal(seed, "concept.look", np.arange(NUM_CONCEPTS), DIM)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    seen = (of.weights[:, :, None] * looks[of.concepts]).sum(axis=1)  # weight 0 where the concept is -1
    seen += BLUR / np.sqrt(DIM) * normal(seed, "document.look", of.original, DIM)
    recoded = np.where(of.original == of.document_id, 0.0, 0.02)[:, None]
    seen += recoded * normal(seed, "document.recoded_look", of.document_id, DIM)
    unit: Floats = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    return unit


def entities(topic: Ints, u: Floats) -> Ints:
    """[n] an entity of each topic; entity j of a topic comes up like 1 / (j + 3)."""
    shares: Floats = 1.0 / np.arange(3.0, 3 + ENTITIES_PER_TOPIC)
    return topic * ENTITIES_PER_TOPIC + choice(u, shares)


def homes(seed: int, entity: Ints) -> Ints:
    """[n, 2] the concepts an entity is known for, distinct and of its topic; -1 where `entity` is."""
    u = uniform(seed, "entity.home", entity, 2)
    first = (u[:, 0] * CONCEPTS_PER_TOPIC).astype(np.int64)
    second = (first + 1 + (u[:, 1] * (CONCEPTS_PER_TOPIC - 1)).astype(np.int64)) % CONCEPTS_PER_TOPIC
    base = entity // ENTITIES_PER_TOPIC * CONCEPTS_PER_TOPIC
    return np.where(entity[:, None] < 0, -1, base[:, None] + np.stack([first, second], axis=1))


def ranks(seed: int) -> Floats:
    """[NUM_TOPICS, CONCEPTS_PER_TOPIC] 1..24: how popular a concept is within its topic, with makers and with searchers."""
    lots = uniform(seed, "concept.rank", np.arange(NUM_CONCEPTS))[:, 0].reshape(NUM_TOPICS, CONCEPTS_PER_TOPIC)
    places: Floats = lots.argsort(axis=1).argsort(axis=1).astype(np.float64)
    return places + 1.0


def several(log_weights: Floats, draws: Floats, k: int) -> Ints:
    """[n, k] distinct columns a row, drawn one after the other in proportion to exp(log_weights) (Gumbel top-k, Kool et al. 2019)."""
    return np.argsort(-(log_weights - np.log(-np.log(draws))), axis=1, kind="stable")[:, :k]


def _about(seed: int, original: Ints, maker: Ints, topic: Ints, entity: Ints) -> tuple[Ints, Floats]:
    n, base = len(original), topic * CONCEPTS_PER_TOPIC
    liking = -SUPPLY * np.log(ranks(seed))[topic]
    liking = liking + CHANNEL * normal(seed, "channel.concepts", maker, CONCEPTS_PER_TOPIC)
    named = np.flatnonzero(entity >= 0)
    home = homes(seed, entity[named]) - base[named][:, None]
    np.add.at(liking, (named[:, None], home), OF_ENTITY)
    concepts = base[:, None] + several(liking, uniform(seed, "document.concepts", original, CONCEPTS_PER_TOPIC), 3)
    draws = uniform(seed, "document.weights", original, 2)
    num, u = 1 + choice(draws[:, 0], np.array(NUM_PARTS)), draws[:, 1]
    first = np.where(num == 1, 1.0, np.where(num == 2, 0.55 + 0.25 * u, 0.45 + 0.15 * u))
    second = np.where(num == 3, 0.6, 1.0) * (1 - first)
    weights = np.stack([first, second, np.where(num == 3, 1 - first - second, 0.0)], axis=1)
    return np.where(np.arange(3) < num[:, None], concepts, np.full((n, 3), -1)), weights


def _uploaded(seed: int, ids: Ints, days: int) -> Ints:
    when = uniform(seed, "document.uploaded", ids)[:, 0]
    return (START + (when * (40 + TEST_FROM * days) - 40) * 86_400).astype(np.int64)


def _viewed(seed: int, ids: Ints, quality: Floats, catchy: Floats, uploaded: Ints) -> Ints:
    age = np.maximum(START - uploaded, 0) / 86_400
    level = VIEWED + VIEWED_QUALITY * quality + VIEWED_CATCHY * catchy + VIEWED_AGE * np.log1p(age)
    views = np.exp(level + VIEWED_CHANCE * normal(seed, "document.views", ids)[:, 0])
    return np.where(age > 0, np.minimum(views, 1e7), 0.0).astype(np.int64)


def _ruled(seed: int, ids: Ints, original: Ints) -> dict[str, Ints]:
    """What the rules ask of a document. Law follows the content, so a copy has its original's."""
    draws = uniform(seed, "document.ruled", original, 4)
    ages = choice(draws[:, 0], np.array([1 - FROM_13 - FROM_16 - FROM_18, FROM_13, FROM_16, FROM_18]))
    countries = 1 << (draws[:, 2:] * COUNTRIES).astype(np.int64)  # one or two of them
    whole = (uniform(seed, "document.fingerprint", original)[:, 0] * 2.0**FINGERPRINT_BITS).astype(np.int64)
    bits = 1 << (uniform(seed, "document.recoded", ids, 3) * FINGERPRINT_BITS).astype(np.int64)
    return {
        "min_age": np.array([0, 13, 16, 18])[ages],
        "barred_in": np.where(draws[:, 1] < BARRED, countries[:, 0] | countries[:, 1], 0),
        "fingerprint": np.where(original == ids, whole, whole ^ np.bitwise_xor.reduce(bits, 1)),
    }
