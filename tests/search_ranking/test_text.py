"""Text to words to ids: any str goes through, bounded; the same words however they were typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import unicodedata
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.features import text
from common.features.text import HashTable, TokenTable, analyse, collision_rate, normalise, words

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
ANY = st.text(st.characters(exclude_categories=()))  # lone surrogates, controls and unassigned code points too
WILD = st.one_of(ANY, st.text(st.sampled_from("aéIİßﬁ\u0301\u0323\u0345\ufdfa ǅ'’-_한が東")))


@settings(max_examples=150, deadline=None)
@given(WILD, st.integers(1, 40))
def test_any_text_is_normalised_once_for_all_within_its_cap(raw: str, cap: int) -> None:
    clean = normalise(raw, cap)
    assert normalise(clean, cap) == clean and len(clean) <= cap
    assert clean == " ".join(clean.split()) and clean == clean.lower()
    assert all(unicodedata.category(letter)[0] in "LMN" for letter in clean.replace(" ", ""))


@settings(max_examples=200, deadline=None)
@given(WILD)
def test_no_text_raises_and_nothing_grows_without_bound(raw: str) -> None:
    found = words(raw)
    assert len(found) <= text.QUERY_CHARS and all(0 < len(word) <= text.WORD_CHARS for word in found)
    assert found == words(raw.upper().lower()) or not raw.isascii()
    ids = text.subword_ids(analyse(raw), 1_000)
    assert all(1 <= number <= 1_000 for number in [*ids, *HashTable(1_000).ids([raw]), *HashTable(1_000).ids(found)])


def test_every_code_point_goes_through() -> None:
    for letter in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(letter) not in ("Cn", "Co"):  # a sixth of them: the others are unassigned or private
            clean = normalise(letter)
            assert clean == letter or normalise(clean) == clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  Crème BRÛLÉE!!  don’t ", ["creme", "brulee", "dont"]),
        ("ﬁne İstanbul, Straße; Łódź_2024", ["fine", "istanbul", "strasse", "lodz", "2024"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("हिन्दी गाने", ["हिन्दी", "गाने"]),  # vowel signs are no accents
        ("한국어 노래", ["한국어", "노래"]),
        ("東京タワー動画youtube", ["東京", "京タ", "タワ", "ワー", "ー動", "動画", "youtube"]),
        ("か が", ["か", "が"]),  # nor are voicing marks
        ("\ud800 \x00 ?!", []),
    ],
)
def test_words_as_a_reader_would_have_them(raw: str, expected: list[str]) -> None:
    assert words(raw) == expected
    assert words(unicodedata.normalize("NFD", raw)) == expected


def test_the_work_is_bounded_by_the_cap_and_not_by_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    real = unicodedata.combining

    def counted(letter: str) -> int:
        nonlocal looked
        looked += 1
        return real(letter)

    monkeypatch.setattr(unicodedata, "combining", counted)
    for bomb in ("é" * 10**6, "\ufdfa" * 10**6, "a" + "\u0301\u0323" * 10**6):
        looked = 0
        assert len(normalise(bomb)) <= text.QUERY_CHARS
        assert looked <= 10 * text.QUERY_CHARS


def test_a_pile_of_accents_never_reaches_unicodes_reordering(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0
    real = unicodedata.normalize

    def watched(form: Form, value: str) -> str:
        nonlocal longest
        runs = "".join("m" if unicodedata.combining(letter) else " " for letter in value).split()
        longest = max(longest, *map(len, runs), 0)
        return real(form, value)

    monkeypatch.setattr(unicodedata, "normalize", watched)
    assert normalise("a" + "\u0301\u0323" * 100) == "a"
    assert 0 < longest <= 4


def test_only_english_is_stemmed_and_in_every_thread_alike() -> None:
    assert analyse("Running runners’ lessons") == ["run", "runner", "lesson"]
    assert analyse("laufen läuft", language="de") == ["laufen", "lauft"]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(analyse("guitars playing " * 40))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["guitar", "play"] * 40] * 4


def test_a_table_gives_each_token_its_own_id_and_reads_it_back() -> None:
    table = TokenTable.fit([["b", "a", "a"], ["b", "c"]], min_count=2)
    assert table.ids(["a", "b", "c", "a"]) == [2, 3, text.UNKNOWN, 2]
    assert [table.token(number) for number in (2, 3, text.UNKNOWN, text.PAD)] == ["a", "b", "", ""]
    assert len(table) == 4


@pytest.mark.parametrize("num_buckets", [1_000, 4_096, 20_000])
def test_hashing_collides_as_often_as_chance_says(num_buckets: int) -> None:
    tokens = [f"{a}{b}" for a in ("guitar", "cook", "réseau", "動") for b in range(500)]
    chance = 1 - (1 - 1 / num_buckets) ** (len(tokens) - 1)
    assert collision_rate(tokens * 2, num_buckets) == pytest.approx(chance, abs=0.035)


@pytest.mark.parametrize("poor", [len, lambda token: zlib.crc32(token.encode())])
def test_a_hash_that_is_not_even_would_be_seen(poor: Callable[[str], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "bucket", lambda token, num_buckets: poor(token) % num_buckets + 1)
    tokens = [f"{a}{b}" for a in ("guitar", "cook", "réseau", "動") for b in range(500)]
    assert abs(collision_rate(tokens, 4_096) - (1 - (1 - 1 / 4_096) ** (len(tokens) - 1))) > 0.2


def test_ids_are_the_same_in_every_process() -> None:
    asked = "from common.features.text import HashTable as H; print(H(10**9).ids(['guitar', '動画']))"
    env = dict(os.environ, PYTHONHASHSEED="7", PYTHONPATH=os.pathsep.join(sys.path))
    answer = subprocess.run([sys.executable, "-c", asked], env=env, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == HashTable(10**9).ids(["guitar", "動画"])


def test_subwords_bring_a_misspelt_word_near_its_own() -> None:
    def overlap(one: str, two: str) -> float:
        a, b = (set(text.subword_ids([word], 10**6)) for word in (one, two))
        return len(a & b) / len(a | b)

    assert overlap("photography", "photografy") > 0.3
    assert overlap("photography", "basketball") < 0.05
    assert text.ngrams("ab") == ("<ab", "ab>", "<ab>")
    assert len(text.ngrams("x" * 10**6)) <= 3 * (text.WORD_CHARS + 2)


def test_rows_are_cut_and_padded() -> None:
    assert np.array_equal(text.padded([[1, 2, 3], [], [4]], 2), [[1, 2], [0, 0], [4, 0]])
    with pytest.raises(InputError, match="length is 0"):
        text.padded([[1]], 0)
