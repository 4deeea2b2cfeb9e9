"""What a query says beyond its letters: the words meant, other words for them, what kind of thing is wanted, a name, a language.

In:     documents' texts, tags, languages and categories; logged queries, and what was clicked for them.
Out:    understand(texts) -> Understood, one each; the same object in training and in serving, saved and loaded as columns.
Choice: the plainest learned classifier, multinomial naive Bayes, twice: intent over stems (a query's label is the category of what was clicked
        for it), language over character n-grams of documents. A name is a phrase documents tag themselves with and hardly ever say
        outside their titles, or two words that hardly stand apart there. What is below its confidence is "": a wrong intent costs more than none.
Else:   a small Transformer for intent and a tagger for names, when queries are sentences; a language code from the client, when it sends one.
Breaks: position bias labels intents too; naive Bayes is surer than it is right; a query of one short word has no language; a name that is
        also a word ("apple") is always the name. Text in a language no document has is given to its nearest relative or to none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from common.contract import Floats, Ints
from common.data import columns
from common.data.durable import write_bytes
from common.errors import InputError
from common.features.text import DOCUMENT_CHARS, ngrams, normalise, stem, words
from search_ranking.features import spelling, synonyms
from search_ranking.features.bayes import NaiveBayes
from search_ranking.features.names import learn_names, name_in
from search_ranking.features.spelling import Spelling
from search_ranking.features.synonyms import Synonyms

LANGUAGE_CHARS = 400  # of a text: more says no more about its language
LANGUAGE_TEXTS = 1_000  # of a language


@dataclass(frozen=True)
class Understood:
    """`text` normalised, `tokens` its words, `corrected` the same words as meant. "" where intent, entity or language is not sure enough."""

    text: str
    tokens: tuple[str, ...]
    corrected: tuple[str, ...]
    expansions: tuple[tuple[str, float], ...]
    intent: str
    entity: str
    language: str


@dataclass(frozen=True, eq=False)
class Documents:
    """[d] each: titles (or more), tags, language and category; "" where not known. `bodies`, if there are any: what else they say, whose words
    are spelled right as well."""

    texts: Sequence[str]
    tags: Sequence[Sequence[str]]
    languages: Sequence[str]
    categories: Sequence[str]
    bodies: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns.equal_lengths(
            "Documents", {name: part for name, part in vars(self).items() if name != "bodies" or part}
        )


@dataclass(frozen=True, eq=False)
class Log:
    """Distinct queries [q] and how often each was asked [q]; clicks [n] as index of query, index of document and how many."""

    queries: Sequence[str]
    asked: Ints
    query: Ints
    document: Ints
    clicks: Ints


@dataclass(frozen=True, kw_only=True)
class Settings:
    intent_confidence: float = 0.6
    language_confidence: float = 0.8
    name_confidence: float = 0.5
    min_cosine: float = synonyms.MIN_COSINE
    mends: bool = True  # spelling; queries that somebody has read through hold rare words, not slips


@dataclass(frozen=True, eq=False)
class Understanding:
    spelling: Spelling
    synonyms: Synonyms
    intent: NaiveBayes
    language: NaiveBayes
    names: Mapping[str, float]
    settings: Settings

    def understand(self, texts: Sequence[str]) -> list[Understood]:
        """One for each text, alone or among others the same; raises on no str."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Understood:
        tokens = tuple(words(text))
        corrected = tuple(self.spelling.correct(token) for token in tokens)
        return Understood(
            text=normalise(text),
            tokens=tokens,
            corrected=corrected,
            expansions=tuple(self.synonyms.expand(corrected).items()),
            intent=self.intent.label(stems(corrected), self.settings.intent_confidence),
            entity=name_in(corrected, self.names),
            language=self.language.label(letters(tokens), self.settings.language_confidence),
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.spelling.save(folder / "spelling.parquet")
        self.synonyms.save(folder / "synonyms.parquet")
        self.intent.save(folder / "intent.parquet")
        self.language.save(folder / "language.parquet")
        name, confidence = np.array(list(self.names), dtype=np.str_), np.array(list(self.names.values()))
        columns.write(folder / "names.parquet", {"name": name, "confidence": confidence.astype(np.float64)})
        write_bytes(folder / "understanding.json", json.dumps(asdict(self.settings), indent=1).encode())


def fit(documents: Documents, log: Log, settings: Settings = Settings()) -> Understanding:
    """Learns all of it. Raises InputError where a click names no query or document."""
    _refuse(documents, log)
    texts = [words(text, DOCUMENT_CHARS) for text in documents.texts]
    tags = [[words(tag) for tag in sorted(set(tags))] for tags in documents.tags]
    queries = [words(query) for query in log.queries]
    asked: Counter[str] = Counter()
    for tokens, count in zip(queries, log.asked.tolist(), strict=True):
        asked.update(dict.fromkeys(tokens, count))
    said = [words(text, DOCUMENT_CHARS) for text in documents.bodies] or [[]] * len(texts)
    held = (
        [*text, *body, *(word for tag in own for word in tag)]
        for text, body, own in zip(texts, said, tags, strict=True)
    )
    spelled = Spelling.fit(held, asked) if settings.mends else Spelling.of({})
    meant = [[spelled.correct(token) for token in tokens] for tokens in queries]
    return Understanding(
        spelling=spelled,
        synonyms=synonyms.learn(meant, log.query, log.document, log.clicks, settings.min_cosine),
        intent=_intent(meant, documents.categories, log),
        language=_language(documents),
        names=learn_names(texts, tags, said, settings.name_confidence),
        settings=settings,
    )


def load(folder: Path) -> Understanding:
    """What `save` wrote; a folder that is torn, foreign or of another version is an InputError."""
    path = folder / "understanding.json"
    try:
        saved = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}. Expected what Understanding.save wrote: fit the features again.") from error
    if not isinstance(saved, dict) or set(saved) != {field.name for field in fields(Settings)}:
        raise InputError(f"{path}: not the settings of this version: {str(saved)[:80]}. Fit the features again.")
    named = columns.read(folder / "names.parquet")
    return Understanding(
        spelling=spelling.load(folder / "spelling.parquet"),
        synonyms=synonyms.load(folder / "synonyms.parquet"),
        intent=NaiveBayes.load(folder / "intent.parquet"),
        language=NaiveBayes.load(folder / "language.parquet"),
        names=dict(zip(named["name"].tolist(), named["confidence"].tolist(), strict=True)),
        settings=Settings(**saved),
    )


def stems(tokens: Sequence[str]) -> list[str]:
    """What intent reads: English stems; a word of another language is seldom changed, and then the same way every time."""
    return [stem(token) for token in tokens]


def letters(tokens: Sequence[str]) -> list[str]:
    """What language reads: n-grams of 1 to 3 letters of each word, its ends marked, and the word."""
    return [gram for token in tokens for gram in ngrams(token, 1, 3)]


def _intent(queries: Sequence[Sequence[str]], categories: Sequence[str], log: Log) -> NaiveBayes:
    labels = sorted({category for category in categories if category})
    place = {label: at for at, label in enumerate(labels)}
    of = np.array([place.get(category, -1) for category in categories], dtype=np.int64)[log.document]
    weights = np.zeros((len(queries), len(labels)))
    np.add.at(weights, (log.query[of >= 0], of[of >= 0]), log.clicks[of >= 0])
    return NaiveBayes.fit([stems(tokens) for tokens in queries], labels, weights)


def _language(documents: Documents) -> NaiveBayes:
    """LANGUAGE_TEXTS of each, evenly from all there are, and each language as likely as another: a query is no document, so how many
    documents a language has says little about it, and would decide every short one."""
    labels = sorted({language for language in documents.languages if language})
    known = np.array(documents.languages, dtype=np.str_)
    rows: list[list[str]] = []
    weights: list[Floats] = []
    for label, one in zip(labels, np.eye(len(labels)), strict=True):
        at = np.flatnonzero(known == label)
        for index in at[np.linspace(0, len(at) - 1, min(len(at), LANGUAGE_TEXTS)).astype(np.int64)].tolist():
            rows.append(letters(words(documents.texts[index], LANGUAGE_CHARS)))
            weights.append(one)
    return NaiveBayes.fit(rows, labels, np.array(weights).reshape(len(rows), len(labels)), even=True, min_weight=2)


def _refuse(documents: Documents, log: Log) -> None:
    if len(log.queries) != len(log.asked):
        raise InputError(f"{len(log.queries)} queries and {len(log.asked)} counts; expected one for each.")
    for thing, index, total in (
        ("query", log.query, len(log.queries)),
        ("document", log.document, len(documents.texts)),
    ):
        if len(index) and not 0 <= index.min() <= index.max() < total:
            raise InputError(
                f"Clicks name {thing} {int(index.min())} to {int(index.max())}; there are {total}, from 0."
            )
