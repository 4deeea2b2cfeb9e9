"""Suggestions against brute force over the log; privacy; what a slip finds."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.features.text import normalise
from search_ranking.features import suggest
from search_ranking.features.suggest import MIN_SLIP, Suggestions
from tests.search_ranking.test_spelling import by_table

DAY = 86_400


def asked(rows: list[tuple[str, int, int]]) -> Suggestions:
    """rows of (text, how many users, days ago)."""
    texts = [text for text, users, _ in rows for _ in range(users)]
    ago = np.array([days for _, users, days in rows for _ in range(users)], dtype=np.int64)
    users = np.array([user for _, many, _ in rows for user in range(many)], dtype=np.int64)
    return Suggestions.fit(texts, users, 100 * DAY - ago * DAY, 100 * DAY)


def by_force(found: Suggestions, typed: str, k: int) -> list[str]:
    score = dict(zip(found.text.tolist(), found.score.tolist(), strict=True))
    ordered = sorted(score, key=lambda text: (-score[text], text))
    answers = [text for text in ordered if text.startswith(typed)][:k]
    head, last = typed[: typed.rfind(" ") + 1], typed[typed.rfind(" ") + 1 :]
    if len(last) >= MIN_SLIP:
        for text in ordered:
            tail = text.removeprefix(head)
            near = text.startswith(head) and min(by_table(last, tail[:n]) for n in range(len(last) + 2)) <= 1
            answers += [text] if near and text not in answers else []
    return answers[:k]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_answers_are_those_of_brute_force(seed: int) -> None:
    rng = random.Random(seed)

    def draw() -> str:
        return " ".join("".join(rng.choices("abcé", k=rng.randint(1, 5))) for _ in range(rng.randint(1, 2)))

    rows = [(draw(), rng.randint(5, 8), rng.choice([0, 0, 14, 28])) for _ in range(60)]
    found = asked(rows)
    for typed in {normalise(draw()[: rng.randint(1, 8)]) for _ in range(6)}:
        for k in (1, 3, 20):
            assert found.suggest(typed, k) == by_force(found, typed, k)


def test_recent_counts_weigh_more_and_ties_fall_by_alphabet() -> None:
    found = asked([("guitar old", 12, 28), ("guitar new", 6, 0), ("guitar b", 6, 14), ("guitar a", 6, 14)])
    assert found.suggest("gui") == ["guitar new", "guitar a", "guitar b", "guitar old"]
    assert found.score[found.text == "guitar old"] == pytest.approx(12 / 4)


def test_one_slip_in_the_last_word_is_forgiven_and_only_there() -> None:
    found = asked([("guitar lessons", 6, 0), ("guitar chords", 9, 0), ("cooking", 9, 0)])
    assert found.suggest("guiatr") == ["guitar chords", "guitar lessons"]
    assert found.suggest("Guitar lexs") == ["guitar lessons"]
    assert found.suggest("guiatr les") == [] and found.suggest("gxxtar") == [] and found.suggest("cu") == []
    assert found.suggest("guitar ") == ["guitar chords", "guitar lessons"] and found.suggest("guitars ") == []
    assert found.suggest("", 2) == found.suggest("  ", 2) == ["cooking", "guitar chords"]


def test_what_fewer_than_min_users_asked_is_neither_offered_nor_written(tmp_path: Path) -> None:
    texts = ["my address"] * 50 + ["anonymous"] * 50 + ["popular"] * 5
    users = np.array([1, 2, 3, 4] * 12 + [1, 2] + [-1, -7] * 25 + [1, 2, 3, 4, 5], dtype=np.int64)
    times = np.zeros(len(texts), dtype=np.int64)
    found = Suggestions.fit(texts, users, times, now=10)
    assert found.suggest("") == ["popular"] and found.suggest("my") == found.suggest("anon") == []
    found.save(tmp_path / "s.parquet")
    assert b"my address" not in (tmp_path / "s.parquet").read_bytes()
    assert suggest.load(tmp_path / "s.parquet").suggest("pop") == ["popular"]
    assert Suggestions.fit(texts, users, times, now=10, min_users=4).suggest("my") == [
        "my address"
    ]  # the guard is what held it back


def test_what_is_later_than_now_is_not_seen() -> None:
    users, times = np.arange(10), np.full(10, 50, dtype=np.int64)
    assert Suggestions.fit(["tomorrow"] * 10, users, times, now=49).suggest("tom") == []
    assert Suggestions.fit(["tomorrow"] * 10, users, times, now=50).suggest("tom") == ["tomorrow"]


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=())), st.integers(-1, 3))
def test_no_prefix_raises(prefix: str, k: int) -> None:
    found = asked([("guitar", 6, 0), ("東京", 6, 0), ("été", 6, 0)])
    assert len(found.suggest(prefix, k)) <= max(k, 0)
    assert Suggestions.fit([], np.empty(0, np.int64), np.empty(0, np.int64), 0).suggest(prefix) == []


def test_wrong_rows_are_refused() -> None:
    none = np.empty(0, dtype=np.int64)
    with pytest.raises(InputError, match="1 texts, 0 users"):
        Suggestions.fit(["a"], none, none, 0)
    with pytest.raises(InputError, match="min_users 0"):
        Suggestions.fit([], none, none, 0, min_users=0)
