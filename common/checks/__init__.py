"""The suite every case must pass. A check is a function named as a sentence; its docstring says what must hold and why.

`run(Trial(case, folder))` carries the case once through its pipeline at SMOKE and gives one row a check; `ask` asks one. tests/toy/twins.py holds, for
every check, a case in which exactly that sentence is false: a check nobody has seen failing proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from common.checks.door import bad_events_are_refused_and_nothing_is_written, bad_requests_are_refused
from common.checks.items import (
    a_restart_forgets_no_item,
    an_item_put_is_shown_and_a_deleted_one_is_gone_at_once,
    bad_items_are_refused_and_nothing_is_written,
    no_deleted_item_is_in_an_answer_that_began_later,
    no_failure_brings_a_deleted_item_back,
)
from common.checks.offline import (
    an_event_of_the_rows_own_second_is_seen_if_it_came_before,
    every_figure_is_known_and_has_an_interval,
    every_rule_holds_on_random_candidates,
    every_stage_has_its_verbs_and_says_what_it_is,
    experiments_and_drills_are_well_formed,
    features_do_not_change_when_the_future_is_cut_off,
    importing_it_loads_nothing_heavy,
    own_files_are_refused_when_broken,
    own_files_give_the_same_scores,
    the_key_answers_for_any_requests,
    the_model_beats_the_baseline,
    the_model_stays_under_the_ceiling,
    the_pipeline_runs,
    the_same_seed_gives_the_same_data,
    the_split_is_by_time,
    the_test_rows_carry_no_labels,
    the_verb_comes_first,
)
from common.checks.online import (
    a_failing_stage_is_a_labelled_answer_in_time,
    a_loaded_policy_and_reference_are_what_was_fitted,
    a_reloaded_part_saves_the_same_files,
    a_repeated_event_is_accepted_once,
    a_store_that_does_not_open_is_a_labelled_answer_in_time,
    an_answer_has_its_envelope_and_keeps_its_deadline,
    an_answer_is_logged_with_the_moment_it_read,
    an_artifact_is_whole_or_refused,
    an_artifact_waits_for_its_views,
    an_event_changes_the_next_answer_as_the_offline_join_says,
    an_unknown_user_gets_a_labelled_answer,
    features_that_cannot_be_read_are_a_labelled_answer,
    reloaded_parts_give_the_same_scores,
    simulated_users_are_served_and_heard,
    the_alerts_that_drills_name_fire,
    the_monitor_fires_when_reactions_are_lost,
    the_monitor_is_quiet_on_healthy_traffic,
)
from common.checks.trial import Needs, NotHere, Trial, told
from common.contract import Table

__all__ = ["CHECKS", "Check", "Needs", "Trial", "ask", "named", "run"]

Check = Callable[[Trial], None]

NEXT = (
    "The check could not be asked to its end: see its docstring, common/contract.py, and the same file in tests/toy/."
)

CHECKS: tuple[Check, ...] = (
    every_stage_has_its_verbs_and_says_what_it_is,
    the_verb_comes_first,
    importing_it_loads_nothing_heavy,
    the_pipeline_runs,
    the_same_seed_gives_the_same_data,
    the_test_rows_carry_no_labels,
    the_split_is_by_time,
    features_do_not_change_when_the_future_is_cut_off,
    an_event_of_the_rows_own_second_is_seen_if_it_came_before,
    own_files_give_the_same_scores,
    own_files_are_refused_when_broken,
    the_key_answers_for_any_requests,
    the_model_beats_the_baseline,
    the_model_stays_under_the_ceiling,
    every_figure_is_known_and_has_an_interval,
    every_rule_holds_on_random_candidates,
    reloaded_parts_give_the_same_scores,
    a_reloaded_part_saves_the_same_files,
    a_loaded_policy_and_reference_are_what_was_fitted,
    an_artifact_is_whole_or_refused,
    an_artifact_waits_for_its_views,
    experiments_and_drills_are_well_formed,
    an_answer_has_its_envelope_and_keeps_its_deadline,
    an_answer_is_logged_with_the_moment_it_read,
    an_event_changes_the_next_answer_as_the_offline_join_says,
    a_repeated_event_is_accepted_once,
    an_unknown_user_gets_a_labelled_answer,
    features_that_cannot_be_read_are_a_labelled_answer,
    a_store_that_does_not_open_is_a_labelled_answer_in_time,
    a_failing_stage_is_a_labelled_answer_in_time,
    bad_requests_are_refused,
    bad_events_are_refused_and_nothing_is_written,
    an_item_put_is_shown_and_a_deleted_one_is_gone_at_once,
    no_deleted_item_is_in_an_answer_that_began_later,
    a_restart_forgets_no_item,
    no_failure_brings_a_deleted_item_back,
    bad_items_are_refused_and_nothing_is_written,
    simulated_users_are_served_and_heard,
    the_monitor_is_quiet_on_healthy_traffic,
    the_monitor_fires_when_reactions_are_lost,
    the_alerts_that_drills_name_fire,
)


def run(trial: Trial) -> Table:
    """One row a check: {"check", "passed", "seconds", "problem"}. What a case need not have, and has not, is passed."""
    return [_row(check, trial) for check in CHECKS]


def ask(check: Check, trial: Trial) -> None:
    """The check. What it stumbles over in a half-built case becomes a sentence: what, where, what next."""
    try:
        check(trial)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{told(error, trial.case.package)} {NEXT}") from error


def named(check: Check) -> str:
    """the_model_beats_the_baseline -> "the model beats the baseline"."""
    return check.__name__.replace("_", " ")


def _row(check: Check, trial: Trial) -> dict[str, object]:
    started, problem = time.monotonic(), ""
    try:
        ask(check, trial)
    except NotHere:
        pass
    except AssertionError as error:
        problem = str(error) or type(error).__name__
    return {
        "check": named(check),
        "passed": not problem,
        "seconds": round(time.monotonic() - started, 2),
        "problem": problem,
    }
