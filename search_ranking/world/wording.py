"""What stands written: titles, descriptions and tags in each channel's own words, queries in the searcher's, misspelt ones among them.

Each channel has one preferred word a concept, and keeps to it. At `mismatch` 0 everybody says the plain word; at 1 channels never do and
searchers mostly do. In between each (channel, concept) and (query, concept) has its own lot, so a channel that says "fretboard" says it always.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.population import choice, uniform
from search_ranking.world.nature import DOCUMENTS_PER_CHANNEL, Documents
from search_ranking.world.needs import Queries
from search_ranking.world.words import (
    CONCEPTS_PER_TOPIC,
    NUM_CONCEPTS,
    bait,
    concept_word,
    entity_word,
    filler,
    intent_word,
    small_word,
    spelled,
)

MISMATCH = 0.36  # of the frozen world: about three in ten relevant documents share no word with the query

# The frozen strengths: changing one changes every number of the case.
CHANNEL_FORMS, SEARCHER_FORMS = (0.0, 0.5, 0.5), (0.85, 0.075, 0.075)  # which word, once the lot says "one's own"
OTHER_FORM = 0.06  # share of a description's concept words that are another word for the same
TITLED = (0.97, 0.7, 0.45)  # how likely the first, second, third concept stands in the title
INTENT_TITLED, ENTITY_TITLED, SMALL_TITLED = 0.55, 0.9, 0.6
TAGGED, TAGGED_OTHER, WRONG_TAG = (
    0.6,
    0.15,
    0.3,
)  # a concept is tagged; with any of its words; one tag is of another concept
TYPO = (0.02, 0.06, 0.12)  # per word of a head, torso, tail query
INTENT_ASKED = 0.95  # in words, where the need has one
SHOUTED, ACCENTED, SPACED, PADDED = 0.04, 0.01, 0.04, 0.08  # upper case, a stray accent, extra spaces, a filler word

_NEAR = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioposdfghjklkxcvbnmn", strict=True))  # a key beside each


@dataclass(frozen=True, kw_only=True)
class Texts:
    """[n] each, as a platform would store them; `tags` with spaces between."""

    title: NDArray[np.str_]
    description: NDArray[np.str_]
    tags: NDArray[np.str_]


def texts(seed: int, of: Documents, mismatch: float = MISMATCH) -> Texts:
    """A function of (seed, id). A copy has its original's text, but for a word of the title or two, and tags of its own."""
    words = _concept_words(seed, of, mismatch)
    maker = of.original // DOCUMENTS_PER_CHANNEL
    habit = (uniform(seed, "channel.intent_form", maker)[:, 0] * 3).astype(np.int64)
    intent = intent_word(of.intent, habit)
    return Texts(
        title=spelled(_titles(seed, of, words, intent)),
        description=spelled(_descriptions(seed, of, words, intent)),
        tags=spelled(_tags(seed, of, words, intent)),
    )


def query_texts(
    seed: int, of: Queries, mismatch: float = MISMATCH, forms: tuple[float, ...] = SEARCHER_FORMS
) -> NDArray[np.str_]:
    """[n] a function of (seed, id): the words of the need in any order, then what fingers make of them."""
    draws = uniform(seed, "query.text", of.query_id, 16)
    keys = of.query_id[:, None] * (NUM_CONCEPTS + 1) + of.concepts
    words = concept_word(of.concepts, _forms(seed, "query.form", keys, forms, mismatch))
    intent = intent_word(of.intent, (draws[:, 0] * 3).astype(np.int64))
    columns = [
        words[:, 0],
        words[:, 1],
        np.where(draws[:, 1] < INTENT_ASKED, intent, -1),
        entity_word(of.entity),
        small_word(of.language, draws[:, 2]),
        np.where(draws[:, 3] < 0.6, small_word(of.language, draws[:, 4]), -1),
        np.where(draws[:, 5] < PADDED, filler(draws[:, 6]), -1),
    ]
    order = np.argsort(draws[:, 7:14], axis=1, kind="stable")
    clean = spelled(np.take_along_axis(np.stack(columns, axis=1), order, axis=1))
    return _typed(seed, of, clean)


def _forms(seed: int, stream: str, keys: Ints, shares: tuple[float, ...], mismatch: float) -> Ints:
    """The form used for each key, of the keys' shape: the plain one, or by lot one's own."""
    draws = uniform(seed, stream, keys.ravel(), 2)
    own = choice(draws[:, 1], np.array(shares))
    return np.where(draws[:, 0] < mismatch, own, 0).reshape(keys.shape)


def _concept_words(seed: int, of: Documents, mismatch: float) -> Ints:
    """[n, 3] each concept in the word its channel prefers, -1 for none."""
    keys = (of.original // DOCUMENTS_PER_CHANNEL)[:, None] * (NUM_CONCEPTS + 1) + of.concepts
    return concept_word(of.concepts, _forms(seed, "channel.form", keys, CHANNEL_FORMS, mismatch))


def _other(words: Ints, u: Floats) -> Ints:
    """One of the two other words for the same."""
    return np.where(words < 0, -1, words // 3 * 3 + (words % 3 + 1 + (u * 2).astype(np.int64)) % 3)


def _titles(seed: int, of: Documents, words: Ints, intent: Ints) -> Ints:
    """Five to eight words: what it is about, with a small word, bait where it is catchy, and fillers up to the length."""
    draws = uniform(seed, "document.title", of.original, 26)
    said = draws[:, :3] < np.array(TITLED)
    columns = [
        *np.where(said, words, -1).T,
        np.where(draws[:, 3] < ENTITY_TITLED, entity_word(of.entity), -1),
        np.where(draws[:, 4] < INTENT_TITLED, intent, -1),
        np.where(draws[:, 5] < SMALL_TITLED, small_word(of.language, draws[:, 6]), -1),
        np.where(of.catchy + 1.5 * (draws[:, 7] - 0.5) > 1.0, bait(draws[:, 8]), -1),
        *filler(draws[:, 9:14]).T,
    ]
    candidates = np.stack(columns, axis=1)
    copied = np.flatnonzero(of.original != of.document_id)
    own = uniform(seed, "document.retitled", of.document_id[copied], 1)
    candidates[copied, 7] = filler(own[:, 0])
    length = 5 + (draws[:, 14] * 4).astype(np.int64)
    place = (candidates >= 0).cumsum(axis=1)
    kept = np.where(place <= length[:, None], candidates, -1)
    order = np.argsort(uniform(seed, "document.title_order", of.original, kept.shape[1]), axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def _descriptions(seed: int, of: Documents, words: Ints, intent: Ints) -> Ints:
    """Fifteen to thirty words: a third concepts by weight, a third small words, the rest fillers, some intent and entity."""
    most = 30
    draws = uniform(seed, "document.description", of.original, 3 * most + 1)
    kind, which, more = (draws[:, i * most : (i + 1) * most] for i in range(3))
    part = np.minimum((which[:, :, None] > of.weights.cumsum(axis=1)[:, None, :]).sum(axis=2), 2)
    about = np.take_along_axis(words, part, axis=1)
    about = np.where(more < OTHER_FORM, _other(about, more / OTHER_FORM % 1), about)
    small, fill = small_word(of.language[:, None], which), filler(which)
    named = np.where(of.entity >= 0, entity_word(of.entity), intent)[:, None]
    text = np.select([kind < 0.3, kind < 0.65, kind < 0.7, kind < 0.74], [about, small, intent[:, None], named], fill)
    length = 15 + (draws[:, -1] * 16).astype(np.int64)
    return np.where(np.arange(most) < length[:, None], text, -1)


def _tags(seed: int, of: Documents, words: Ints, intent: Ints) -> Ints:
    """Up to six, noisy: some missing, some in another word, one in a few about something else of the topic."""
    draws = uniform(seed, "document.tags", of.document_id, 12)
    said = np.where(draws[:, 3:6] < TAGGED_OTHER, _other(words, draws[:, 6:9]), words)
    wrong = of.topic * CONCEPTS_PER_TOPIC + (draws[:, 9] * CONCEPTS_PER_TOPIC).astype(np.int64)
    wrong = concept_word(wrong, (draws[:, 10] * 3).astype(np.int64))
    chance = draws[:, 11]
    columns = [
        *np.where(draws[:, :3] < TAGGED, said, -1).T,
        np.where(chance < WRONG_TAG, wrong, -1),
        np.where(chance < 0.6, entity_word(of.entity), -1),
        np.where(chance > 0.6, intent, -1),
    ]
    return np.stack(columns, axis=1)


def _typed(seed: int, of: Queries, clean: NDArray[np.str_]) -> NDArray[np.str_]:
    draws = uniform(seed, "query.typed", of.query_id, 4)
    slips = uniform(seed, "query.typos", of.query_id, 3 * 7).reshape(len(of), 7, 3)
    rate = np.array(TYPO)[of.kind]
    slipped = np.any(slips[:, :, 0] < rate[:, None], axis=1)
    odd = np.any(draws[:, :3] < (SHOUTED, ACCENTED, SPACED), axis=1)
    found = clean.astype(object)
    for row in np.flatnonzero(slipped | odd):  # most are left as they are
        words = [
            _slip(word, kind, place) if hit < rate[row] else word
            for word, (hit, kind, place) in zip(str(clean[row]).split(), slips[row], strict=False)
        ]
        text = (" " if draws[row, 2] >= SPACED else "  ").join(words)
        text = _accented(text, float(draws[row, 3])) if draws[row, 1] < ACCENTED else text
        found[row] = text.upper() if draws[row, 0] < SHOUTED else text
    return found.astype(np.str_)


def _slip(word: str, kind: float, place: float) -> str:
    """One slip of the fingers after the first letter: two letters swapped, one dropped, doubled, or its neighbour on the keyboard."""
    if len(word) < 4:
        return word
    i = 1 + int(place * (len(word) - 2))
    head, letter, tail = word[:i], word[i], word[i + 1 :]
    return (
        head + tail[0] + letter + tail[1:],
        head + tail,
        head + letter * 2 + tail,
        head + _NEAR.get(letter, letter) + tail,
    )[int(kind * 4)]


def _accented(text: str, place: float) -> str:
    i = int(place * len(text))
    return text[:i] + text[i:].translate(str.maketrans("aeiou", "áéíóú"))
