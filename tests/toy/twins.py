"""Broken twins: for every check, a toy in which exactly its sentence is false. A check nobody has seen failing proves nothing.

A twin is a copy of a toy with one mistake in it, written as the text that was there and the text that is there now: what a reviewer would
see in a diff. `make` copies the folder under a name of its own and applies the mistake; the toy itself is never touched.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from common.cases import Case
from tests.toy.new_case import copy


@dataclass(frozen=True)
class Twin:
    toy: str  # scorer | ranker
    mistake: str
    file: str
    was: str
    now: str


ROUTER = "        return route(self, ROUTE, Request, Answer, deadline_ms=DEFAULT.deadline_ms)"
OWN_DOOR = """        router = route(self, ROUTE, Request, Answer, deadline_ms=DEFAULT.deadline_ms)

        @router.post("/toy_scorer/events")
        async def take(batch: dict) -> dict:
            now, end = self.platform.clock.now(), self.platform.log.end
            self.platform.log.append([Event(**{"event_time": now, **event, "event_id": EVENT_ID}) for event in batch["events"]])
            accepted = self.platform.log.end - end
            return {"accepted": accepted, "repeated": len(batch["events"]) - accepted, "position": end}

        return router
"""

TWINS: dict[str, Twin] = {
    "every_stage_has_its_verbs_and_says_what_it_is": Twin(
        "ranker", "a label of the docstring is missing", "policy.py", "Breaks: a book", "Danger: a book"
    ),
    "the_verb_comes_first": Twin(
        "scorer", "a detail stands before the verb", "world.py", "def make(", "def detail() -> None: ...\n\n\ndef make("
    ),
    "importing_it_loads_nothing_heavy": Twin(
        "scorer", "schema imports pandas", "schema.py", "from pydantic import", "import pandas\nfrom pydantic import"
    ),
    "the_pipeline_runs": Twin(
        "scorer",
        "the pipeline asks for a key there is not",
        "pipeline.py",
        "judgments = data.judgments(config)",
        'judgments = {"test": data.judgments(config)}["tset"]',
    ),
    "the_same_seed_gives_the_same_data": Twin(
        "scorer", "a generator without a seed", "world.py", "default_rng(config.seed)", "default_rng()"
    ),
    "the_test_rows_carry_no_labels": Twin(
        "scorer",
        "test rows keep their labels",
        "data.py",
        "test=_take(rows, test, hidden)",
        "test=_take(rows, test, rows.label[test])",
    ),
    "the_split_is_by_time": Twin(
        "ranker",
        "a random split",
        "data.py",
        "train, valid, test = by_time(rows.event_time)",
        "train, valid, test = by_time(np.random.default_rng(0).permutation(rows.event_time))",
    ),
    "features_do_not_change_when_the_future_is_cut_off": Twin(
        "scorer",
        "rates are read a hundred events too late",
        "features.py",
        "store.read(USER, rows.user_id, rows.moment)",
        "store.read(USER, rows.user_id, rows.moment + 100)",
    ),
    "an_event_of_the_rows_own_second_is_seen_if_it_came_before": Twin(
        "scorer",
        "rates are read one event too early",
        "features.py",
        "store.read(USER, rows.user_id, rows.moment)",
        "store.read(USER, rows.user_id, rows.moment - 1)",
    ),
    "own_files_give_the_same_scores": Twin(
        "scorer",
        "the export rounds times to minutes",
        "data.py",
        '{"rows": Table(roles={**roles,',
        '{"rows": Table(roles={**roles, "event_time": roles["event_time"] // 60 * 60,',
    ),
    "the_key_answers_for_any_requests": Twin(
        "ranker",
        "the held-out key answers by row",
        "data.py",
        "relevant[np.searchsorted(user_id, requests.user_id)]",
        "relevant[: len(requests)]",
    ),
    "own_files_are_refused_when_broken": Twin(
        "scorer",
        "what cannot be read becomes the world",
        "data.py",
        'if name == "world":',
        'if name == "world" or "broken" in path:',
    ),
    "the_model_beats_the_baseline": Twin(
        "ranker",
        "the model answers what everybody reads",
        "model.py",
        "scores = scores + np.where",
        "scores = scores + 0 * np.where",
    ),
    "the_model_stays_under_the_ceiling": Twin(
        "scorer",
        "the truth is dull",
        "world.py",
        "        return probability(self.config, rows.user_id, rows.letter_id)",
        "        return probability(self.config, rows.user_id, rows.letter_id) * 0.3",
    ),
    "every_figure_is_known_and_has_an_interval": Twin(
        "ranker", "the units are not those of the primary", "evaluate.py", "units=units,", "units=units + 1,"
    ),
    "every_rule_holds_on_random_candidates": Twin(
        "ranker", "the rule looks at one book only", "policy.py", "context[:, None, :]", "context[:, None, :1]"
    ),
    "reloaded_parts_give_the_same_scores": Twin(
        "scorer",
        "save rounds the weights",
        "model.py",
        'json.dumps({"weights": self.weights})',
        'json.dumps({"weights": [round(w, 6) for w in self.weights]})',
    ),
    "a_reloaded_part_saves_the_same_files": Twin(
        "scorer",
        "load loses a digit",
        "policy.py",
        'return Policy(json.loads((folder / "policy.json").read_text())["threshold"])',
        'return Policy(round(json.loads((folder / "policy.json").read_text())["threshold"], 3))',
    ),
    "a_loaded_policy_and_reference_are_what_was_fitted": Twin(
        "scorer",
        "save rounds the threshold",
        "policy.py",
        'json.dumps({"threshold": self.threshold})',
        'json.dumps({"threshold": round(self.threshold, 3)})',
    ),
    "an_artifact_is_whole_or_refused": Twin(
        "scorer", "a part is not published", "pipeline.py", '        "reference": expect,\n', ""
    ),
    "an_artifact_waits_for_its_views": Twin(
        "scorer", "start forgets to ask for its views", "serve.py", "    require(platform, features.VIEWS)\n", ""
    ),
    "experiments_and_drills_are_well_formed": Twin(
        "ranker", "a drill of a stage there is not", "drills.py", 'stage="retrieve"', 'stage="retrieval"'
    ),
    "an_answer_has_its_envelope_and_keeps_its_deadline": Twin(
        "scorer", "two answers share an id", "serve.py", "secrets.randbits(52)", "secrets.randbits(1)"
    ),
    "an_answer_is_logged_with_the_moment_it_read": Twin(
        "ranker",
        "impressions carry a moment of their own",
        "serve.py",
        "moment=int(asked.moment[0])",
        "moment=int(asked.moment[0]) - 1",
    ),
    "an_event_changes_the_next_answer_as_the_offline_join_says": Twin(
        "scorer",
        "features are remembered between answers",
        "serve.py",
        "self.features.inputs(row, store)}",
        "self.__dict__['kept'] if 'kept' in self.__dict__ else self.__dict__.setdefault('kept', self.features.inputs(row, store))}",
    ),
    "a_repeated_event_is_accepted_once": Twin(
        "scorer",
        "the case takes events itself and gives each a new id",
        "serve.py",
        ROUTER,
        OWN_DOOR.replace("EVENT_ID", "secrets.token_hex(8)"),
    ),
    "an_unknown_user_gets_a_labelled_answer": Twin(
        "ranker", "a stranger is not labelled", "serve.py", 'deadline.degrade("features"', 'print("features"'
    ),
    "features_that_cannot_be_read_are_a_labelled_answer": Twin(
        "scorer",
        "features are read outside the stage",
        "serve.py",
        '            rungs = {"model": lambda: self.features.inputs(row, store)}',
        '            known = self.features.inputs(row, store)\n            rungs = {"model": lambda: known}',
    ),
    "a_store_that_does_not_open_is_a_labelled_answer_in_time": Twin(
        "ranker",
        "the store is opened outside any stage",
        "serve.py",
        "snapshot(self.stages, deadline, self.platform.store)",
        "self.platform.store.snapshot()",
    ),
    "a_failing_stage_is_a_labelled_answer_in_time": Twin(
        "scorer",
        "a fallback is not labelled",
        "serve.py",
        "degraded=deadline.degraded",
        'degraded=[stage for stage in deadline.degraded if stage != "model"]',
    ),
    "bad_requests_are_refused": Twin(
        "scorer",
        "a request may hold anything else",
        "schema.py",
        'class Request:\n    __pydantic_config__ = ConfigDict(extra="forbid"',
        'class Request:\n    __pydantic_config__ = ConfigDict(extra="ignore"',
    ),
    "bad_events_are_refused_and_nothing_is_written": Twin(
        "scorer",
        "the case takes events itself and looks at nothing",
        "serve.py",
        ROUTER,
        OWN_DOOR.replace("EVENT_ID", "event['event_id']"),
    ),
    "an_item_put_is_shown_and_a_deleted_one_is_gone_at_once": Twin(
        "ranker",
        "what is put is never taken in",
        "serve.py",
        "    return (*kept, *(book for book, item in changes.items() if item is not None))",
        "    return tuple(kept)",
    ),
    "no_deleted_item_is_in_an_answer_that_began_later": Twin(
        "ranker",
        "items are looked up twice a second",
        "serve.py",
        "books = self.current.now(self.stages, deadline)",
        "books = self.__dict__.setdefault(__import__('time').monotonic() // 0.5, self.current.now(self.stages, deadline))",
    ),
    "a_restart_forgets_no_item": Twin(
        "ranker",
        "a start deletes what was put",
        "serve.py",
        "        self.current = Current(",
        "        platform.items.delete(platform.items.known.item_id.tolist(), 0)\n        self.current = Current(",
    ),
    "no_failure_brings_a_deleted_item_back": Twin(
        "ranker",
        "what everybody reads is not asked whether it is there",
        "serve.py",
        "self.policy.decide(request, _shelved(candidates, books), just_read)",
        "self.policy.decide(request, _shelved(candidates, books) if rung == 'retrieve' else candidates, just_read)",
    ),
    "bad_items_are_refused_and_nothing_is_written": Twin(
        "scorer",
        "an item may hold anything else",
        "schema.py",
        '"""A letter that comes while the case is served. The id is the first field; whatever else is known of an item follows it."""\n\n    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)',
        '"""A letter."""\n\n    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)',
    ),
    "simulated_users_are_served_and_heard": Twin(
        "ranker",
        "nobody reacts",
        "simulate.py",
        "return [self._reads(answer.request_id, book) for book in read.tolist()]",
        "return []",
    ),
    "the_alerts_that_drills_name_fire": Twin(
        "scorer",
        "a drill names an alert there is not",
        "drills.py",
        '"mlsd_degraded_total in /metrics"',
        '"the alert `degraded` of monitor.py"',
    ),
    "the_monitor_is_quiet_on_healthy_traffic": Twin(
        "scorer", "a bound of nothing", "monitor.py", "< 4 * error", "< 0 * error"
    ),
    "the_monitor_fires_when_reactions_are_lost": Twin(
        "ranker", "a floor below the ground", "monitor.py", "floor = share - 4", "floor = share - 400"
    ),
}


def make(name: str, twin: Twin, folder: Path) -> Case:
    """A copy of the toy in `folder` as a package of its own, mistake included. The mistake's place must be found exactly once."""
    package = f"twin_{name}"
    copy(twin.toy, folder / package, package, f"toy_{twin.toy}")
    path = folder / package / twin.file
    text = path.read_text()
    assert text.count(twin.was) == 1, f"{name}: {twin.was!r} stands {text.count(twin.was)} times in {twin.file}"
    path.write_text(text.replace(twin.was, twin.now))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return Case(f"toy_{twin.toy}", package)
