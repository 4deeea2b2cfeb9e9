"""The coverage map is sound, its proof proves, and a test that ignores its symbol is caught."""

from __future__ import annotations

import importlib
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from common import coverage, coverage_plugin
from common.coverage import Entry
from common.errors import InputError

HERE = "tests/common/test_coverage.py"
VICTIM = "common.errors:did_you_mean"
SYLLABUS = Counter(SEED=21, LLM=6, FW=14, ADS=42, SRC=30, HRM=32, VIS=25, VID=28)


def test_every_id_of_the_syllabus_is_listed_once() -> None:
    listed = (coverage.ROOT / "docs/coverage.yaml").read_text().splitlines()
    names = [line.partition(":")[0] for line in listed if line[:1].isalpha()]
    assert len(names) == len(set(names)), "YAML keeps the last of two equal keys without a word"
    counted = Counter(name.split("-")[0] for name in coverage.load())
    assert counted <= SYLLABUS
    if all(
        (coverage.ROOT / case).is_dir() for case in ("ad_click", "video_rec")
    ):  # a case taken out takes its lines along
        assert counted == SYLLABUS


def test_what_is_mapped_exists() -> None:
    assert coverage.problems(coverage.load()) == []


def test_page_entries_answer() -> None:
    entries = coverage.load()
    for name, entry in entries.items():
        if entry.kind == "page" and entry.page:
            assert coverage.page_entries(coverage.ROOT / entry.page.partition("#")[0]).get(name), name


@pytest.mark.slow
def test_ten_mapped_ids_by_a_fixed_seed_are_proved() -> None:
    entries = coverage.load()
    mapped = coverage.select(entries, [])
    drawn = random.Random(0).sample(mapped, min(10, len(mapped)))
    assert {name: problem for name, problem in coverage.prove(drawn, entries).items() if problem} == {}


# ---- the guard guards: what follows is run by `prove` in a child process


def test_that_uses_its_symbol() -> None:
    from common.errors import did_you_mean

    assert did_you_mean("a", ["ab"]).startswith("Did")


def test_that_ignores_its_symbol() -> None:
    assert coverage.KINDS


def test_that_swallows_everything() -> None:
    from common.errors import did_you_mean

    with pytest.raises((RuntimeError, TypeError)):
        did_you_mean(1, [1])  # type: ignore[arg-type, list-item]


def test_that_needs_what_is_never_there() -> None:
    if "MLSD_TEST_SKIP" in os.environ:
        pytest.skip("as on a machine without the data")


def test_that_reads_a_page() -> None:
    page = os.environ.get("MLSD_TEST_PAGE")
    assert page is None or "FW-98" in coverage.page_entries(Path(page))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("test_that_uses_its_symbol", ""),
        ("test_that_ignores_its_symbol", "still passes with common.errors:did_you_mean gone"),
        ("test_that_swallows_everything", "still passes"),
        ("test_that_needs_what_is_never_there", "does not pass as things stand"),
        ("test_that_does_not_exist", "there is no test"),
    ],
)
def test_prove_tells_a_test_from_a_pretence(test: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSD_TEST_SKIP", "1")
    entries = {"FW-99": Entry(kind="code", symbol=VICTIM, test=f"{HERE}::{test}")}
    found = coverage.prove(["FW-99"], entries)["FW-99"]
    assert says in found and bool(says) == bool(found)


@pytest.mark.slow
def test_prove_drops_the_entry_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "QUESTIONS.md"
    page.write_text("## Why? <!-- FW-98 -->\n\n*mid* Because [so](x.md).\n")
    monkeypatch.setenv("MLSD_TEST_PAGE", str(page))
    entries = {"FW-98": Entry(kind="page", test=f"{HERE}::test_that_reads_a_page", page=f"{page}#FW-98")}
    assert coverage.prove(["FW-98"], entries) == {"FW-98": ""}
    blind = {"FW-98": Entry(kind="page", test=f"{HERE}::test_that_ignores_its_symbol", page=f"{page}#FW-98")}
    assert "still passes" in coverage.prove(["FW-98"], blind)["FW-98"]


SOURCE = """
from functools import cache, cached_property
LIMITS = {"a": 1}
def plain(x, *, y=2): return x
def around():
    inside = 3
    def closure(): return inside
    return closure
closure = around()
@cache
def cached(): return 1
def lazily(): yield 1
class Thing:
    def __init__(self): self.x = 1
    def method(self): return 1
    @property
    def read(self): return 1
    @cached_property
    def once(self): return 1
    @staticmethod
    def static(): return 1
    @classmethod
    def build(cls): return 1
"""


@pytest.mark.parametrize(
    ("symbol", "use"),
    [
        ("plain", "plain(1, y=3)"),
        ("closure", "closure()"),
        ("cached", "cached()"),
        ("lazily", "lazily()"),
        ("LIMITS", "LIMITS['a']"),
        ("Thing", "Thing()"),
        ("Thing.method", "Thing().method()"),
        ("Thing.read", "Thing().read"),
        ("Thing.once", "Thing().once"),
        ("Thing.static", "Thing.static()"),
        ("Thing.build", "Thing.build()"),
    ],
)
def test_a_broken_symbol_raises_for_those_who_imported_it_before(
    symbol: str, use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user took every name before the break, as a test module that says `from victim import plain` does."""
    name = f"victim_{symbol.replace('.', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"user_of_{name}.py").write_text(f"from {name} import *\ndef use(): return {use}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    user = importlib.import_module(f"user_of_{name}")
    user.use()
    coverage_plugin.break_symbol(f"{name}:{symbol}")
    with pytest.raises(RuntimeError, match="is broken on purpose"):
        user.use()


def test_an_unmapped_id_fails_when_it_is_named() -> None:
    entries = {"ADS-01": Entry()}
    assert "nothing shows it yet" in coverage.prove(["ADS-01"], entries)["ADS-01"]


def test_a_prefix_selects_its_mapped_ids_and_an_id_itself() -> None:
    entries = {"ADS-01": Entry(), "ADS-60": Entry(kind="code"), "VIS-40": Entry(kind="code")}
    assert coverage.select(entries, ["ADS"]) == ["ADS-60"]
    assert coverage.select(entries, ["ADS-01"]) == ["ADS-01"]
    assert coverage.select(entries, []) == ["ADS-60", "VIS-40"]
    with pytest.raises(InputError, match="Did you mean 'ADS'"):
        coverage.select(entries, ["ADZ"])


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (Entry(kind="idea", symbol=VICTIM, test=f"{HERE}::test_that_uses_its_symbol"), "kind 'idea' is none of"),
        (
            Entry(kind="code", symbol="common.errors:no", test=f"{HERE}::test_that_uses_its_symbol"),
            "there is no symbol",
        ),
        (Entry(kind="code", symbol="common.no:no", test=f"{HERE}::test_that_uses_its_symbol"), "there is no symbol"),
        (Entry(kind="code", symbol=VICTIM, test=f"{HERE}::test_no"), "there is no test"),
        (
            Entry(kind="code", symbol=VICTIM, test=f"{HERE}::test_that_uses_its_symbol", page="NO.md"),
            "there is no page",
        ),
        (Entry(kind="page", test=f"{HERE}::test_page_entries_answer", page="README.md#ADS-99"), "there is no page"),
        (Entry(kind="page", test=f"{HERE}::test_page_entries_answer", page="docs/LOG.md#ADS-01"), "has no entry"),
    ],
)
def test_a_map_to_nowhere_is_found(entry: Entry, says: str) -> None:
    assert any(says in problem for problem in coverage.problems({"ADS-01": entry})), coverage.problems(
        {"ADS-01": entry}
    )
