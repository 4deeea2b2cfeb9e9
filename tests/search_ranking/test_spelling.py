"""Spelling against brute force over the vocabulary, and a planted log whose most frequent typo is no word."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from search_ranking.features import spelling
from search_ranking.features.spelling import PRICE, Distance, Spelling, reach

SHORT = st.text("abcd", max_size=9)


def by_table(one: str, two: str) -> int:
    """The textbook's table, cell by cell: the oracle of the bit-parallel one."""
    cost = [[i + j if not i * j else 0 for j in range(len(two) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(two) + 1):
            same = one[i - 1] == two[j - 1]
            cost[i][j] = min(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 1] == two[j - 2] and one[i - 2] == two[j - 1]:
                cost[i][j] = min(cost[i][j], cost[i - 2][j - 2] + 1)
    return cost[-1][-1]


def best_by_force(known: dict[str, int], near: dict[str, int], word: str) -> str:
    if word in known:
        return word
    scored = [(PRICE * d - math.log(known[other]), d, other) for other, d in near.items() if d <= reach(word)]
    return min(scored)[2] if scored else word


@settings(max_examples=200, deadline=None)
@given(SHORT, SHORT)
def test_the_distance_is_the_textbooks(one: str, two: str) -> None:
    assert Distance(one).to(two) == by_table(one, two)


def vocabulary(letters: str, most: int, seed: int, size: int = 300) -> dict[str, int]:
    rng = random.Random(seed)
    return {"".join(rng.choices(letters, k=rng.randint(1, most))): int(rng.paretovariate(0.6)) for _ in range(size)}


def near_of(spelled: Spelling, word: str, most: int) -> dict[str, int]:
    return {str(spelled.word[at]): distance for at, distance in spelled._near(word, most)}


@pytest.mark.parametrize(("letters", "most"), [("ab", 11), ("abcdef", 7), ("aé動", 9)])
def test_candidates_and_the_choice_are_those_of_brute_force(letters: str, most: int) -> None:
    known = vocabulary(letters, most, seed=1)
    spelled = Spelling.of(known)
    rng = random.Random(2)
    for _ in range(25):
        word = "".join(rng.choices(letters, k=rng.randint(0, most + 2)))
        near = {other: by_table(word, other) for other in known}
        assert spelled.correct(word) == best_by_force(known, near, word)
        for far in (0, 1, 2):
            assert near_of(spelled, word, far) == {other: d for other, d in near.items() if d <= far}


def test_an_index_of_too_few_deletions_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    known = vocabulary("abcdef", 7, seed=1)
    monkeypatch.setattr(spelling, "REACH", 1)
    spelled = Spelling.of(known)
    assert spelled._index is not None  # built while REACH is 1
    monkeypatch.setattr(spelling, "REACH", 2)
    near = {"abcdef"[:n] + "cbafed"[n:] for n in range(6)}
    assert any(near_of(spelled, word, 2) != {o: d for o in known if (d := by_table(word, o)) <= 2} for word in near)


def test_a_known_word_is_never_touched() -> None:
    known = vocabulary("abc", 8, seed=3)
    assert all(Spelling.of(known).correct(word) == word for word in known)


def test_a_frequent_typo_is_no_word_and_a_new_word_of_queries_is() -> None:
    documents = [["guitar", "lessons"]] * 400 + [["accoustic"]]
    queries = {"guitar": 5_000, "guitr": 60, "lessons": 900, "ukulele": 40, "accoustic": 1}
    spelled = Spelling.fit(documents, queries)
    known = set(spelled.word.tolist())
    assert "guitr" not in known and spelled.correct("guitr") == "guitar"
    assert "ukulele" in known and spelled.correct("ukuleel") == "ukulele"
    assert "accoustic" not in known  # one document and one query: no evidence
    naive = Spelling.of({"guitar": 5_400, "lessons": 1_300} | queries)  # the foil: whatever is frequent is known
    assert naive.correct("guitr") == "guitr"


def test_planted_slips_are_undone_and_what_is_far_or_short_is_left() -> None:
    rng = random.Random(4)
    syllables = ["ba", "kor", "ri", "ten", "mul", "sa", "dov", "gra", "pel", "chi", "nar", "fu"]
    known = {"".join(rng.choices(syllables, k=4)): rng.randint(5, 500) for _ in range(3_000)}
    spelled = Spelling.of(known)
    meant = rng.sample(sorted(known), 500)
    right = sum(spelled.correct(slip(word, rng)) == word for word in meant)
    assert right / len(meant) > 0.9
    assert [spelled.correct(word) for word in ("xx", "2024", "zzzzzzzzzz", "")] == ["xx", "2024", "zzzzzzzzzz", ""]


def slip(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word) - 1)
    kinds = [word[at + 1] + word[at], word[at], word[at : at + 2] + "q", "q" + word[at + 1]]
    return word[:at] + rng.choice(kinds) + word[at + 2 :]


def test_saved_and_loaded_it_is_the_same_and_torn_it_is_refused(tmp_path: Path) -> None:
    spelled = Spelling.of(vocabulary("abcé", 9, seed=5))
    spelled.save(tmp_path / "spelling.parquet")
    loaded = spelling.load(tmp_path / "spelling.parquet")
    assert loaded.word.tolist() == spelled.word.tolist() and loaded.count.tolist() == spelled.count.tolist()
    (tmp_path / "spelling.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match="Parquet"):
        spelling.load(tmp_path / "spelling.parquet")


def test_an_empty_vocabulary_changes_nothing() -> None:
    assert Spelling.of({}).correct("guitar") == "guitar"
