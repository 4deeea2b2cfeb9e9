"""Names, learned from documents: phrases they tag themselves with, and two words that hardly stand apart in their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

MOST_WORDS = 3
MIN_DOCUMENTS = 3
SUBJECT = 0.01  # a single word that more of the documents are tagged with is a subject, not a name


def learn_names(
    texts: Sequence[Sequence[str]], tags: Sequence[Sequence[Sequence[str]]], confidence: float
) -> dict[str, float]:
    """texts [d]: words of each document; tags [d]: of each its tags, in words -> phrase of up to MOST_WORDS words: how sure, in order.

    A tag: of the documents that hold it, the share tagged with it. Two words of a text: 2 c(ab) / (c(a) + c(b)) over documents, Dice's
    coefficient. The greater of both, if it reaches `confidence`.
    """
    own = [{" ".join(tag) for tag in of_one if 0 < len(tag) <= MOST_WORDS} for of_one in tags]
    tagged = Counter(tag for of_one in own for tag in of_one)
    held, single = Counter[str](), Counter[str]()
    for text, of_one in zip(texts, own, strict=True):
        held.update(of_one | {phrase for phrase in phrases(text) if phrase in tagged or phrase.count(" ") == 1})
        single.update(set(text))
    found = {tag: count / held[tag] for tag, count in tagged.items() if _may_name(tag, count, len(texts))}
    for phrase, count in held.items():
        if phrase.count(" ") == 1 and count >= MIN_DOCUMENTS:
            apart = sum(single[word] for word in phrase.split(" "))
            found[phrase] = max(2 * count / max(apart, 2 * count), found.get(phrase, 0.0))  # a tag may stand in no text
    return {name: sure for name, sure in sorted(found.items()) if sure >= confidence}


def _may_name(tag: str, count: int, num_documents: int) -> bool:
    return count >= MIN_DOCUMENTS and (" " in tag or count <= SUBJECT * num_documents)


def phrases(tokens: Sequence[str]) -> set[str]:
    """Runs of one, two and three words (MOST_WORDS)."""
    pairs = [f"{a} {b}" for a, b in pairwise(tokens)]
    return {*tokens, *pairs, *(f"{pair} {last}" for pair, last in zip(pairs, tokens[2:], strict=False))}


def name_in(tokens: Sequence[str], names: Mapping[str, float]) -> str:
    """The longest name among the words, of one length the surest, of one sureness the first; "" if there is none."""
    for length in range(MOST_WORDS, 0, -1):
        found = [" ".join(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]
        known = [name for name in found if name in names]
        if known:
            return max(known, key=names.__getitem__)
    return ""
