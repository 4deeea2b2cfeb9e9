"""Understanding on a small planted platform: slips, two words for one thing, intents, names, two languages; and what it must not claim."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.errors import InputError
from search_ranking.features import understanding
from search_ranking.features.bayes import NaiveBayes
from search_ranking.features.names import learn_names, name_in
from search_ranking.features.understanding import Documents, Log, Understanding

SUBJECTS = {
    "music": ["guitar", "piano", "chords", "melody", "singing", "violin", "rhythm", "ballad"],
    "cooking": ["recipe", "pasta", "baking", "noodles", "dessert", "kitchen", "roasted", "sauce"],
    "sport": ["football", "training", "match", "goals", "running", "tennis", "marathon", "league"],
}
GERMAN = [
    "einfache",
    "schnelle",
    "gitarre",
    "lernen",
    "kuchen",
    "backen",
    "fussball",
    "spielen",
    "zwischen",
    "wunderbare",
]
NAMES = {"music": "nora velasquez", "cooking": "chef bodari", "sport": "arno kaltenbrun"}
SAME = ("football", "soccer")  # documents say the one, some people ask for the other


def platform(seed: int = 0, num_documents: int = 900, clicks: int = 6_000) -> tuple[Documents, Log]:
    rng = np.random.default_rng(seed)
    labels = list(SUBJECTS)
    texts, tags, languages, categories = [], [], [], []
    for _ in range(num_documents):
        label = labels[rng.integers(3)]
        german = rng.random() < 0.3
        said = rng.choice(GERMAN if german else SUBJECTS[label], 5).tolist()
        named = rng.random() < 0.1
        texts.append(" ".join([*said[:2], *([NAMES[label]] if named else []), *said[2:]]))
        tags.append([label, *([NAMES[label].title()] if named else [])])
        languages.append("de" if german else "en")
        categories.append(label)
    return Documents(texts, tags, languages, categories), _asked(rng, texts, languages, categories, clicks)


def _asked(rng: np.random.Generator, texts: list[str], languages: list[str], categories: list[str], clicks: int) -> Log:
    """Ten percent of the clicks go anywhere."""
    numbers: dict[str, int] = {}
    query, document = [], []
    english = np.array(languages) == "en"
    for _ in range(clicks):
        label = list(SUBJECTS)[rng.integers(3)]
        about = str(rng.choice(SUBJECTS[label]))
        fits = np.array([about in text for text in texts]) if about not in _FITS else _FITS[about]
        _FITS[about] = fits
        led = np.flatnonzero(fits & english) if rng.random() < 0.9 else np.arange(len(texts))
        word = SAME[1] if about == SAME[0] and rng.random() < 0.4 else about
        text = word if rng.random() < 0.5 else f"{rng.choice(['best', 'easy', 'new'])} {word}"
        query.append(numbers.setdefault(text, len(numbers)))
        document.append(int(rng.choice(led)))
    _FITS.clear()
    asked = np.bincount(query)
    return Log(list(numbers), asked, np.array(query), np.array(document), np.ones(clicks, dtype=np.int64))


_FITS: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}


@pytest.fixture(scope="module")
def learned() -> Understanding:
    return understanding.fit(*platform())


def test_a_query_is_read_as_it_was_meant(learned: Understanding) -> None:
    (found,) = learned.understand(["  Best FOOTBAL, Arno Kaltenbrnu! "])
    assert found.text == "best footbal arno kaltenbrnu"
    assert found.tokens == ("best", "footbal", "arno", "kaltenbrnu")
    assert found.corrected == ("best", "football", "arno", "kaltenbrun")
    assert (found.intent, found.entity) == ("sport", "arno kaltenbrun")
    assert [word for word, _ in found.expansions] == ["soccer"]
    assert all(0 < weight <= 1 for _, weight in found.expansions)


def test_intents_come_from_what_was_clicked_and_need_evidence(learned: Understanding) -> None:
    asked = [(word, label) for label, own in SUBJECTS.items() for word in own] + [("soccer", "sport")]
    found = learned.understand([word for word, _ in asked])
    assert np.mean([one.intent == label for one, (_, label) in zip(found, asked, strict=True)]) > 0.95
    unsure = learned.understand(["best", "zzqx", "", "guitar pasta", "!!"])  # of all, of none, of two
    assert [one.intent for one in unsure] == [""] * 5
    sure = replace(learned, settings=replace(learned.settings, intent_confidence=0.0))
    assert sure.understand(["best"])[0].intent != ""  # confidence is what held it back


def test_shuffled_clicks_teach_no_intent() -> None:
    documents, log = platform(1)
    shuffled = replace(log, document=np.random.default_rng(0).permutation(log.document))
    found = understanding.fit(documents, shuffled).understand([word for own in SUBJECTS.values() for word in own])
    assert np.mean([one.intent != "" for one in found]) < 0.1


def test_names_are_told_from_words_and_the_longest_wins(learned: Understanding) -> None:
    found = learned.understand(["live nora velasquez guitar", "guitar velasquez nora", "music guitar"])
    assert [one.entity for one in found] == ["nora velasquez", "", ""]
    texts = [["big", "apple", "tour"]] * 4 + [["apple", "pie"], ["green", "apple"]] + [["how", "to", "bake"]] * 600
    tags = [[["apple"], ["big", "apple", "tour"]]] * 4 + [[["how"]]] * 602
    nothing: list[list[str]] = [[]] * len(texts)
    names = learn_names(texts, tags, nothing, 0.5)
    assert names["apple"] == pytest.approx(4 / 6) and names["big apple tour"] == 1.0
    assert "how" not in names  # nearly all documents are tagged so: a subject
    assert name_in(["the", "big", "apple", "tour"], names) == "big apple tour" and name_in([], names) == ""
    mentioned = [[], *[["an", "apple", "a", "day"]] * 2, *nothing[3:]]
    assert "apple" in learn_names(texts, tags, mentioned, 0.5), "of who says it, all say it in the title"
    mentioned[-1] = ["apple", "sauce"]
    assert learn_names(texts, tags, mentioned, 0.5).keys() == {*names} - {"apple"}, (
        "what texts only mention is a subject"
    )


def test_language_is_that_of_the_letters_and_abstains_on_too_few(learned: Understanding) -> None:
    found = learned.understand(["schnelle kuchen backen", "easy pasta recipe", "wunderbarer gitarren", "7", "東京", ""])
    assert [one.language for one in found] == ["de", "en", "de", "", "", ""]


def test_alone_among_others_loaded_or_fitted_again_it_answers_the_same(learned: Understanding, tmp_path: Path) -> None:
    texts = ["guitr", "best pasta", "schnelle kuchen", "Chef Bodari", "", "\ud800", "東京 guitar"]
    together = learned.understand(texts)
    assert [learned.understand([text])[0] for text in texts] == together
    assert understanding.fit(*platform()).understand(texts) == together
    learned.save(tmp_path / "features")
    assert understanding.load(tmp_path / "features").understand(texts) == together


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_no_text_raises(learned: Understanding, text: str) -> None:
    (found,) = learned.understand([text])
    assert len(found.tokens) == len(found.corrected)


def test_nothing_is_learned_from_nothing_and_it_can_be_saved(tmp_path: Path) -> None:
    none = np.empty(0, dtype=np.int64)
    empty = understanding.fit(Documents([], [], [], []), Log([], none, none, none, none))
    empty.save(tmp_path)
    (found,) = understanding.load(tmp_path).understand(["Guitar lessons"])
    assert found == understanding.Understood(
        "guitar lessons", ("guitar", "lessons"), ("guitar", "lessons"), (), "", "", ""
    )


def test_wrong_rows_and_torn_folders_are_refused(learned: Understanding, tmp_path: Path) -> None:
    documents, log = platform(clicks=50)
    with pytest.raises(InputError, match="there are 900"):
        understanding.fit(documents, replace(log, document=log.document + 900))
    with pytest.raises(InputError, match="expected one for each"):
        understanding.fit(documents, replace(log, asked=log.asked[1:]))
    learned.save(tmp_path)
    (tmp_path / "understanding.json").write_text('{"other": 1}')
    with pytest.raises(InputError, match="not the settings"):
        understanding.load(tmp_path)
    with pytest.raises(InputError, match="fit the features again"):
        understanding.load(tmp_path / "nowhere")
    learned.spelling.save(tmp_path / "intent.parquet")
    with pytest.raises(InputError, match="Fit the features again"):
        NaiveBayes.load(tmp_path / "intent.parquet")


def test_naive_bayes_is_scikit_learns() -> None:
    from sklearn.naive_bayes import MultinomialNB

    rng = np.random.default_rng(0)
    counts = rng.poisson(0.5, (200, 12))
    label = rng.integers(0, 3, 200)
    rows = [[f"t{at:02}" for at, n in enumerate(row) for _ in range(n)] for row in counts.tolist()]
    ours = NaiveBayes.fit(rows, ["a", "b", "c"], np.eye(3)[label], even=True)
    theirs = MultinomialNB(alpha=0.1, fit_prior=False).fit(counts, label).predict_proba(counts)
    assert np.allclose([ours.posterior(row) for row in rows], theirs)


def test_how_long_it_takes_is_printed(learned: Understanding) -> None:
    texts = ["best footbal", "easy pasta recipe", "schnelle kuchen backen"] * 100
    start = time.perf_counter()
    learned.understand(texts)
    print(f"{(time.perf_counter() - start) / len(texts) * 1e6:.0f} us a query")  # noqa: T201  (shown by pytest -s; a machine under load asserts nothing)
