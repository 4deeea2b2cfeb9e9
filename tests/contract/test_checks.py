"""Every case passes every check, and every check fails on its broken twin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import cases
from common.cases import Case
from common.checks import CHECKS, Check, Needs, Trial, ask, named, run
from common.checks.online import LAST, WEEK, stretch
from common.checks.trial import NotHere
from tests.toy import twins
from tests.toy.twins import Twin

TOYS = {f"toy_{kind}": Case(f"toy_{kind}", f"tests.toy.{kind}") for kind in ("scorer", "ranker")}
EVERY = [pytest.param(case, id=name) for name, case in TOYS.items()]
EVERY += [pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in cases.find().items()]
NAMES = [check.__name__ for check in CHECKS]
PLAYS_TRAFFIC = (
    "simulated_users",
    "the_alerts",
    "the_monitor",
    "no_deleted_item",
)  # seconds each: not for `make check`
MARKED = [
    pytest.param(check, id=name, marks=[pytest.mark.slow] if name.startswith(PLAYS_TRAFFIC) else [])
    for check, name in zip(CHECKS, NAMES, strict=True)
]


HALF_BUILT = {
    "nobody_may_post": (
        "a_repeated_event_is_accepted_once",
        Twin("scorer", "", "schema.py", '"letter_id")),\n    "forget"', '"letter_id"), posted=False),\n    "forget"'),
        "no kind a client may post whose keys are among those of an impression",
    ),
    "nothing_may_be_posted": (
        "bad_events_are_refused_and_nothing_is_written",
        Twin(
            "scorer",
            "",
            "schema.py",
            '"open": EventKind(keys=("request_id", "user_id", "letter_id")),\n    "forget": EventKind(keys=("user_id",)),\n',
            "",
        ),
        "has no kind that a client may post",
    ),
    "nobody_asks": (
        "bad_requests_are_refused",
        Twin("scorer", "", "schema.py", '{"user_id": 42, "letter_id": 7}', "{}"),
        "holds no number",
    ),
    "no_ceiling": (
        "the_model_stays_under_the_ceiling",
        Twin("scorer", "", "pipeline.py", 'predictions["ceiling"] =', 'predictions["roof"] ='),
        "Result.reports lacks ceiling",
    ),
    "a_part_unpublished": (
        "a_reloaded_part_saves_the_same_files",
        Twin("scorer", "", "pipeline.py", '        "policy": decide,\n', ""),
        "has no policy/. Add it",
    ),
    "no_clock_in_the_files": (
        "own_files_are_refused_when_broken",
        Twin("scorer", "", "data.py", 'write_tables(folder, {"rows"', 'write_tables(folder, {} and {"rows"'),
        "no CSV table with an event_time",
    ),
    "no_visits_to_judge_by": (
        "simulated_users_are_served_and_heard",
        Twin("scorer", "", "monitor.py", "\n\ndef reference(", "\nNUM_VISITS = 0\n\n\ndef reference("),
        "NUM_VISITS is 0",
    ),
    "no_item_that_works": (
        "an_item_put_is_shown_and_a_deleted_one_is_gone_at_once",
        Twin("scorer", "", "schema.py", 'ITEM: Mapping[str, Any] = {"letter_id": 1_000}\n', ""),
        "schema.ITEM is not there or has no letter_id",
    ),
    "an_item_without_an_id": (
        "a_restart_forgets_no_item",
        Twin("ranker", "", "schema.py", "    book_id: Annotated[int, Field(ge=0, lt=2**31)]\n", "    book: int\n"),
        "schema.Item begins with 'book', expected its id",
    ),
    "a_rule_stumbles": (
        "every_rule_holds_on_random_candidates",
        Twin("scorer", "", "policy.py", "candidates = rng.random(50)", "candidates = next(iter(()))"),
        "StopIteration:  at policy.py",
    ),
}


@pytest.fixture(scope="module", params=EVERY)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(request.param, tmp_path_factory.mktemp(request.param.name))
    yield trial
    trial.close()


@pytest.mark.parametrize("check", MARKED)
def test_case_keeps_the_contract(trial: Trial, check: Check) -> None:
    try:
        ask(check, trial)
    except Needs as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("check", MARKED)
def test_check_fails_on_its_twin(check: Check, tmp_path: Path) -> None:
    twin = twins.TWINS[check.__name__]
    trial = Trial(twins.make(check.__name__, twin, tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(AssertionError) as failed:
            check(trial)
    finally:
        trial.close()
    assert not isinstance(failed.value, Needs), f"{twin.mistake}: the check was not asked: {failed.value}"
    assert len(str(failed.value)) > 20, f"{twin.mistake}: the check fails without saying what it saw: {failed.value}"


def test_every_check_has_a_twin_and_a_reason() -> None:
    assert sorted(twins.TWINS) == sorted(NAMES)
    assert all(check.__doc__ and len(check.__doc__) > 40 for check in CHECKS)


def test_a_row_that_sees_the_event_at_its_moment_is_caught(tmp_path: Path) -> None:
    """The other side of the twin, which does not see the event just before."""
    late = Twin("scorer", "", "features.py", "rows.user_id, rows.moment)", "rows.user_id, rows.moment + 1)")
    trial = Trial(twins.make("late", late, tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(AssertionError, match=r"inputs of row .* at its moment"):
            ask(CHECKS[NAMES.index("an_event_of_the_rows_own_second_is_seen_if_it_came_before")], trial)
    finally:
        trial.close()


@pytest.mark.parametrize("name", HALF_BUILT)
def test_a_half_built_case_is_told_what_it_lacks(name: str, tmp_path: Path) -> None:
    """A sentence in place of a StopIteration, a KeyError or an IndexError."""
    check, twin, says = HALF_BUILT[name]
    trial = Trial(twins.make(f"half_{name}", twin, tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(AssertionError, match=re.escape(says)):
            ask(CHECKS[NAMES.index(check)], trial)
    finally:
        trial.close()


def test_a_case_that_takes_no_items_is_not_asked_about_them(tmp_path: Path) -> None:
    """Its answers know nothing of the store, and `run` counts what it need not have as passed."""
    without = Twin("ranker", "", "schema.py", "class Item:", "class Book:")
    case = twins.make("no_items", without, tmp_path / "package")
    served = tmp_path / "package" / case.package / "serve.py"
    served.write_text(served.read_text().replace("Answer, Item, Request", "Answer, Book as Item, Request"))
    trial = Trial(case, tmp_path)
    try:
        with pytest.raises(NotHere, match=r"no schema\.Item"):
            ask(CHECKS[NAMES.index("a_restart_forgets_no_item")], trial)
        assert trial.served.client.request("DELETE", "/toy_ranker/items", json={"ids": [1]}).status_code == 404
    finally:
        trial.close()


def test_a_case_that_knows_nobody_is_not_asked_about_strangers(tmp_path: Path) -> None:
    """It serves them all the same; one that keeps anything by user is asked (its broken twin fails)."""
    nobody = Twin("scorer", "", "features.py", 'View("user", ("user_id",)', 'View("user", ("letter_id",)')
    trial = Trial(twins.make("nobody", nobody, tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(NotHere, match="kept by user_id"):
            ask(CHECKS[NAMES.index("an_unknown_user_gets_a_labelled_answer")], trial)
    finally:
        trial.close()


@pytest.mark.parametrize(("read", "caught"), [("", False), (" - 1", True), (" + 1", True)])
def test_a_case_that_knows_nobody_is_asked_by_what_it_keeps(read: str, caught: bool, tmp_path: Path) -> None:
    """Its rows may depend on events about the letter alone, whoever opened it; read a moment early or late they are caught."""
    person = 'View("user", ("user_id",), (Count("impression"), Rate("open", "impression", prior=0.4, strength=4)))'
    nobody = Twin("scorer", "", "features.py", f"USER = {person}", "")
    case = twins.make(f"letters{len(read)}{caught}{'+' in read}", nobody, tmp_path / "package")
    path = tmp_path / "package" / case.package / "features.py"
    text = (
        path.read_text().replace("(USER, LETTER)", "(LETTER,)").replace("USER, rows.user_id", "LETTER, rows.letter_id")
    )
    path.write_text(text.replace("rows.moment)", f"rows.moment{read})"))
    trial, check = (
        Trial(case, tmp_path),
        CHECKS[NAMES.index("an_event_of_the_rows_own_second_is_seen_if_it_came_before")],
    )
    try:
        if caught:
            with pytest.raises(AssertionError, match=r"as of another moment|at its moment"):
                ask(check, trial)
        else:
            ask(check, trial)
    finally:
        trial.close()


def test_a_pipeline_that_fails_is_told_once(tmp_path: Path) -> None:
    trial = Trial(twins.make("failing", twins.TWINS["the_pipeline_runs"], tmp_path / "package"), tmp_path)
    try:
        with pytest.raises(
            AssertionError, match=r"the pipeline failed: KeyError: 'tset' at pipeline\.py:\d+, in run\. .mlsd run"
        ) as first:
            ask(CHECKS[NAMES.index("the_pipeline_runs")], trial)
        assert not isinstance(first.value, Needs)
        for name in ("the_model_beats_the_baseline", "bad_requests_are_refused"):
            with pytest.raises(Needs, match=r"^needs the pipeline, which failed: KeyError: 'tset'"):
                ask(CHECKS[NAMES.index(name)], trial)
    finally:
        trial.close()


def test_as_many_visits_in_a_row_are_played_as_the_monitor_asks_for(tmp_path: Path) -> None:
    says = Twin("scorer", "", "monitor.py", "\n\ndef reference(", "\nNUM_VISITS = 30\n\n\ndef reference(")
    trial = Trial(twins.make("visits", says, tmp_path / "package"), tmp_path)
    try:
        now = trial.served.clock.now()
        week = list(trial.stage("simulate").visits(trial.config, now, now + WEEK))
        assert list(stretch(trial)) == week[:30] + week[-LAST:]
    finally:
        trial.close()


@pytest.mark.slow
@pytest.mark.parametrize("check", ["the_model_beats_the_baseline", "a_loaded_policy_and_reference_are_what_was_fitted"])
def test_run_gives_one_row_a_check_and_only_the_broken_one_fails(check: str, tmp_path: Path) -> None:
    twin = twins.make(f"run_{check}", twins.TWINS[check], tmp_path / "package")
    trial = Trial(twin, tmp_path)
    try:
        table = run(trial)
    finally:
        trial.close()
    assert [row["check"] for row in table] == [named(check) for check in CHECKS]
    failed = {row["check"]: row["problem"] for row in table if not row["passed"]}
    assert list(failed) == [named(CHECKS[NAMES.index(check)])], failed
