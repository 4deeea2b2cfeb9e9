"""Every case passes every check, and every check fails on its broken twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common import cases
from common.cases import Case
from common.checks import CHECKS, Check, Trial, named, run
from tests.toy import twins

TOYS = {f"toy_{kind}": Case(f"toy_{kind}", f"tests.toy.{kind}") for kind in ("scorer", "ranker")}
EVERY = [pytest.param(case, id=name) for name, case in TOYS.items()]
EVERY += [pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in cases.find().items()]
NAMES = [check.__name__ for check in CHECKS]
PLAYS_TRAFFIC = ("simulated_users", "the_alerts", "the_monitor")  # seconds each: not for `make check`
MARKED = [
    pytest.param(check, id=name, marks=[pytest.mark.slow] if name.startswith(PLAYS_TRAFFIC) else [])
    for check, name in zip(CHECKS, NAMES, strict=True)
]


@pytest.fixture(scope="module", params=EVERY)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(request.param, tmp_path_factory.mktemp(request.param.name))
    yield trial
    trial.close()


@pytest.mark.parametrize("check", MARKED)
def test_case_keeps_the_contract(trial: Trial, check: Check) -> None:
    check(trial)


@pytest.mark.parametrize("check", MARKED)
def test_check_fails_on_its_twin(check: Check, tmp_path: Path) -> None:
    twin = twins.TWINS[check.__name__]
    trial = Trial(twins.make(check.__name__, twin, tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(AssertionError) as failed:
            check(trial)
    finally:
        trial.close()
    assert len(str(failed.value)) > 20, f"{twin.mistake}: the check fails without saying what it saw: {failed.value}"


def test_every_check_has_a_twin_and_a_reason() -> None:
    assert sorted(twins.TWINS) == sorted(NAMES)
    assert all(check.__doc__ and len(check.__doc__) > 40 for check in CHECKS)


@pytest.mark.slow
def test_run_gives_one_row_a_check(tmp_path: Path) -> None:
    twin = twins.make("run", twins.TWINS["the_model_beats_the_baseline"], tmp_path / "package")
    trial = Trial(twin, tmp_path)
    try:
        table = run(trial)
    finally:
        trial.close()
    assert [row["check"] for row in table] == [named(check) for check in CHECKS]
    failed = {row["check"]: row["problem"] for row in table if not row["passed"]}
    assert list(failed) == ["the model beats the baseline"], failed
    assert "better side" in failed["the model beats the baseline"]
