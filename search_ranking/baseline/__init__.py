"""BM25 over fields: the strong old way, and the fallback when vectors or the ranker are late.

In:     documents' ids and texts by field (title, description, tags); queries in words, prepared as documents are (one code, SRC-20 and 22).
Out:    Lexical: search -> Ranking, score -> each field's BM25 for the ranker's features.
Choice: an inverted index: no training, a new document is found the moment it is put, a rare word or a name is matched exactly, and `why` is
        the words themselves. k1, b and a weight for each field.
Else:   TF-IDF with cosine, where no length is to be tuned; an encoder, where queries and documents share no words.
Breaks: synonyms and typos (recall falls with the share of documents that share no word with the query: the chart over mismatch), words that
        became common (their idf follows every put and delete: test_lexical), scores beside a cosine's (`fusion.share_of_decision`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.contract import Ints
from search_ranking.baseline import lexical
from search_ranking.baseline.lexical import Lexical
from search_ranking.baseline.postings import Field, Texts

FIELDS = {"title": Field(weight=1.0, k1=0.9, b=0.4), "description": Field(1.0, 0.9, 0.4), "tags": Field(0.5, 0.9, 0.4)}
"""k1 and b as Anserini's: on SciFact's train queries k1 .6 to 1.6 and b .2 to .75 all lie within .008 of each other."""


def fit(document_id: Ints, texts: Texts, fields: Mapping[str, Field] | None = None) -> Lexical:
    """document_id [n], each once; texts[field] [n]."""
    return lexical.build(document_id, texts, fields or FIELDS)


def load(folder: Path) -> Lexical:
    return lexical.load(folder)
