"""Text to words, words to numbers: the one preparation that documents, logged queries and live queries all pass.

In:     any str: a query, a title, a description, a tag.
Out:    normalise -> words -> analyse (stemmed, for the inverted index); TokenTable and HashTable give ids, subword_ids those of the encoder.
Choice: NFKD, lower case, accents off, NFC; a word is a run of letters, marks and digits, and scripts that put no space between words give
        pairs of characters, as Lucene's CJK analyser does. English is stemmed (Porter 2), no other language: a wrong stemmer joins words that differ.
        Subwords are hashed character n-grams (fastText, Bojanowski et al. 2017), so a word nobody has seen still has a vector near its kin.
Else:   a learned subword vocabulary (BPE), when a pretrained encoder brings its own; lemmas, when a reader sees the words.
Breaks: a query prepared otherwise than its documents finds nothing (one code, so it cannot); c++ and c# are both c; a cut at the cap loses
        the rest (QUERY_CHARS, DOCUMENT_CHARS: work is linear in what is kept, however long the text); hashing joins words (collision_rate).
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from common.errors import InputError

QUERY_CHARS, DOCUMENT_CHARS = 256, 8_192
WORD_CHARS = 40  # no word is longer: what is, is a link or an attack, and is cut
PAD, UNKNOWN = 0, 1

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "ς": "σ"})  # fmt: skip
_MARKS = 4  # in a row: a text of a thousand accents on one letter costs Unicode's reordering a thousand squared
_ACCENT = 200  # combining classes from here on are accents; below are vowel signs and voicing, without which a word is another word
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def normalise(text: str, max_chars: int = QUERY_CHARS) -> str:
    """Words in one spelling, a space between them, at most max_chars characters; the same again when normalised again. Raises on no str."""
    text = text[:max_chars]
    if text.isascii():
        return " ".join(text.lower().translate(_ASCII).split())
    text = unicodedata.normalize("NFKD", _few_marks(text)).lower()[
        : 2 * max_chars
    ]  # one ligature may become 18 letters
    text = unicodedata.normalize("NFD", text.translate(_LETTERS))  # lower() may have made an accented letter
    text = "".join(letter for letter in text if unicodedata.combining(letter) < _ACCENT)
    text = unicodedata.normalize("NFC", text)
    return " ".join("".join(map(_spaced, text)).split())[:max_chars].rstrip()


def _few_marks(text: str) -> str:
    """At most _MARKS combining characters in a row are kept."""
    kept, run = [], 0
    for letter in text:
        run = run + 1 if unicodedata.combining(letter) else 0
        if run <= _MARKS:
            kept.append(letter)
    return "".join(kept)


def _spaced(letter: str) -> str:
    """Apostrophes vanish (don't, dont), letters, marks and digits stay, all else parts words."""
    if letter in "'’ʼ":
        return ""
    return letter if unicodedata.category(letter)[0] in "LMN" else " "


_ASCII = {code: _spaced(chr(code)) for code in range(128)}


def words(text: str, max_chars: int = QUERY_CHARS) -> list[str]:
    """The words of a text, normalised; unspaced scripts as overlapping pairs of characters (a lone character as itself)."""
    found = normalise(text, max_chars).split()
    if not text.isascii():
        found = [part for word in found for part in _parts(word)]
    return [word[:WORD_CHARS] for word in found]


def _parts(word: str) -> list[str]:
    """A word cut where its script changes to or from one without spaces: youtube動画 -> youtube, 動画."""
    parts: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        parts += [word[end : run.start()], *pairs(run.group())]
        end = run.end()
    return [part for part in [*parts, word[end:]] if part]


def pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


_stemmers = threading.local()  # a stemmer keeps a buffer: one a thread


def stem(word: str, language: str = "en") -> str:
    """The stem of an English word (Porter 2, Snowball); any other language, and any word beyond ASCII, as it is."""
    if language != "en" or not word.isascii():
        return word
    if not hasattr(_stemmers, "english"):
        import Stemmer  # PyStemmer brings no types

        _stemmers.english = Stemmer.Stemmer("english")
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed


def analyse(text: str, language: str = "en", max_chars: int = DOCUMENT_CHARS) -> list[str]:
    """What the inverted index holds and what it is asked: words, stemmed."""
    return [stem(word, language) for word in words(text, max_chars)]


# --------------------------------------------------------------------------------------------------------------------------- ids


@dataclass(frozen=True)
class TokenTable:
    """Token to id by lookup: no two share one and an id can be read back; unseen tokens are all UNKNOWN, and the table is held in memory."""

    tokens: NDArray[np.str_]  # [n], sorted; the id of the first is 2

    @classmethod
    def fit(cls, texts: Iterable[Sequence[str]], min_count: int = 2) -> TokenTable:
        """texts: tokens of each; those seen min_count times or more are known."""
        counts = Counter(token for tokens in texts for token in tokens)
        return cls(np.array(sorted(token for token, count in counts.items() if count >= min_count), dtype=np.str_))

    def __len__(self) -> int:
        """Rows of an embedding table, those of PAD and UNKNOWN included."""
        return len(self.tokens) + 2

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: at for at, token in enumerate(self.tokens.tolist(), start=2)}

    def ids(self, tokens: Sequence[str]) -> list[int]:
        return [self._ids.get(token, UNKNOWN) for token in tokens]

    def token(self, number: int) -> str:
        """The way back, which hashing lacks; "" for PAD and UNKNOWN."""
        return str(self.tokens[number - 2]) if number >= 2 else ""


@dataclass(frozen=True)
class HashTable:
    """Token to id by hashing: nothing to build, hold or refresh and nothing unseen; tokens that share a bucket are one from then on."""

    num_buckets: int

    def __len__(self) -> int:
        return self.num_buckets + 1

    def ids(self, tokens: Sequence[str]) -> list[int]:
        return [bucket(token, self.num_buckets) for token in tokens]


def bucket(token: str, num_buckets: int) -> int:
    """1..num_buckets, the same in every process and on every machine, unlike hash(). BLAKE2 and not CRC-32, which is linear: words of one
    pattern (clip1, clip2, ...) would not fall into buckets as if by chance."""
    digest = blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % num_buckets + 1


def collision_rate(tokens: Iterable[str], num_buckets: int) -> float:
    """Share of the distinct tokens that share their bucket with another. Even hashing gives 1 - (1 - 1/num_buckets)^(n - 1)."""
    distinct = set(tokens)
    held = Counter(bucket(token, num_buckets) for token in distinct)
    return sum(count for count in held.values() if count > 1) / max(len(distinct), 1)


@lru_cache(maxsize=65_536)
def ngrams(word: str, least: int = 3, most: int = 5) -> tuple[str, ...]:
    """Character n-grams of "<word>", and the whole of it last: the ends are marked, so the her of where is not the word her."""
    marked = f"<{word[:WORD_CHARS]}>"
    grams = (marked[at : at + n] for n in range(least, most + 1) for at in range(len(marked) - n + 1))
    return (*(gram for gram in grams if gram != marked), marked)


@lru_cache(maxsize=65_536)
def _subwords(word: str, num_buckets: int) -> tuple[int, ...]:
    return tuple(bucket(gram, num_buckets) for gram in ngrams(word))


def subword_ids(tokens: Sequence[str], num_buckets: int) -> list[int]:
    """Hashed n-grams of all the words, 1..num_buckets: the bag whose mean embedding is the text."""
    return [number for token in tokens for number in _subwords(token, num_buckets)]


def padded(rows: Sequence[Sequence[int]], length: int) -> Ints:
    """The first `length` ids of each row -> [n, length], PAD behind."""
    if length < 1:
        raise InputError(f"length is {length}; expected at least 1.")
    out = np.full((len(rows), length), PAD, dtype=np.int64)
    for at, row in enumerate(rows):
        out[at, : len(row)] = row[:length]
    return out
