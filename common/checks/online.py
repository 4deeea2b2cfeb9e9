"""Checks of a case at work: the artifact it is served from, its answers, its events, its failures, its users and its monitor."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from common import events as columns
from common.checks.trial import TOKEN, NotHere, Read, Running, Trial, offline, same_bits, scores, state, want
from common.contract import FORGET, Drill, EventKind, Events
from common.errors import InputError, NotReady
from common.features.live import LiveStore
from common.lifecycle.traffic import play

UNKNOWN = 2**31 - 1
WEEK = 7 * 86_400
LAST = 2  # visits at the end of the week
PARTS = ("features", "baseline", "model", "policy", "reference")
ENVELOPE = {"request_id": int, "model_version": str, "degraded": list, "timings_ms": dict, "why": list}


def reloaded_parts_give_the_same_scores(trial: Trial) -> None:
    """What a server loads from the artifact scores as what was trained, bit for bit: nothing is lost on the way to disk."""
    models = {name: trial.part(name) for name in ("baseline", "model")}
    reloaded = scores(models, trial.part("features"), trial.dataset, trial.config)
    same_bits(trial.trained, reloaded, "scores before saving and after loading")


def a_reloaded_part_saves_the_same_files(trial: Trial) -> None:
    """load, save, and every byte is back: policy and reference have no scores to compare, and must not lose anything either."""
    for name in PARTS:
        again = trial.folder / "again" / name
        again.mkdir(parents=True, exist_ok=True)
        trial.part(name).save(again)
        for path in (path for path in (trial.artifact.folder / name).rglob("*") if path.is_file()):
            copy = again / path.relative_to(trial.artifact.folder / name)
            want(copy.is_file(), f"{name}: {path.name} is not written by a reloaded part")
            want(
                copy.read_bytes() == path.read_bytes(), f"{name}: {path.name} changes when it is loaded and saved again"
            )


def a_loaded_policy_and_reference_are_what_was_fitted(trial: Trial) -> None:
    """They have no scores to compare, and a `save` that rounds writes the same files twice: what each holds in memory is compared instead.
    What is only made on the way belongs in a cached_property."""
    for name in ("policy", "reference"):
        same_bits(state(trial.fitted(name)), state(trial.part(name)), f"{name}, before saving and after loading")


def an_artifact_is_whole_or_refused(trial: Trial) -> None:
    """In any of its files: a model file that was tampered with must not reach a parser."""
    lacking = {"catalog", *PARTS} - {path.name for path in trial.artifact.folder.iterdir()}
    want(not lacking, f"the artifact lacks {', '.join(sorted(lacking))}")
    copy = trial.folder / "flipped"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(trial.home.root / trial.case.name / "versions", copy / trial.case.name / "versions")
    shutil.copy(trial.home.root / trial.case.name / "aliases.json", copy / trial.case.name)
    registry, version = type(trial.home.registry)(copy), trial.artifact.version
    registry.open(trial.case.name, version)
    for path in (path for path in (copy / trial.case.name / "versions" / version).rglob("*") if path.is_file()):
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        try:
            registry.open(trial.case.name, version)
        except InputError:
            path.write_bytes(whole)
        else:
            want(False, f"{path.name}: opened with a flipped byte")


def an_artifact_waits_for_its_views(trial: Trial) -> None:
    """A live store that does not hold the features the model was trained with is refused until it was filled from the log."""
    views, platform = trial.stage("features").VIEWS, trial.served.platform
    want(bool(views), "features.VIEWS is empty")
    empty = LiveStore(trial.folder / "empty.sqlite", ())
    try:
        trial.stage("serve").start(trial.artifact, replace(platform, store=empty))
    except NotReady as error:
        want(any(view.name in str(error) for view in views), f"the refusal names no view: {error}")
    else:
        want(False, "serve.start accepted a store that holds none of its views")
    finally:
        empty.close()


def an_answer_has_its_envelope_and_keeps_its_deadline(trial: Trial) -> None:
    """Who answered, what was left out, where the time went; one of five is whole and in time (the others may meet a busy machine)."""
    served = trial.served
    answers = [served.ask() for _ in range(5)]
    for name, kind in ENVELOPE.items():
        want(isinstance(answers[0].get(name), kind), f"the answer lacks {name}: {kind.__name__}")
    want(
        len({answer["request_id"] for answer in answers}) == 5,
        "five answers share their request_ids: events could not be told apart",
    )
    want(all(0 <= answer["request_id"] < 2**53 for answer in answers), "request_id does not fit JSON's integers")
    want(answers[0]["model_version"] == trial.artifact.version, "model_version is not the artifact's")
    want(any(not answer["degraded"] for answer in answers), f"a known user is degraded: {answers[-1]['degraded']}")
    stages = answers[0]["timings_ms"]["stages"]
    want(bool(stages), "timings_ms names no stage")
    want(all(stage.keys() >= {"name", "start", "end", "status"} for stage in stages), f"stages lack a field: {stages}")
    quickest = min(answer["timings_ms"]["total"] for answer in answers)
    want(quickest <= trial.config.deadline_ms, f"the quickest answer took {quickest} ms of {trial.config.deadline_ms}")


def an_answer_is_logged_with_the_moment_it_read(trial: Trial) -> None:
    """Impressions carry the log position at which their features were read: training reads there, so online and offline agree."""
    served = trial.served
    reads, logged, answer = watched(served)
    want(len(logged) > 0, "the answer left no impression in the log")
    want(set(logged.keys["request_id"].tolist()) == {answer["request_id"]}, "impressions carry another request_id")
    asked = trial.stage("schema").EXAMPLE.get("user_id")
    want(asked is not None, "schema.EXAMPLE names no user_id: put one there who has a history at SMOKE")
    want(set(logged.keys["user_id"].tolist()) == {asked}, f"user {asked} asked, impressions name another")
    want(
        {read.position for read in reads} == set(logged.moment.tolist()),
        f"read at {sorted({read.position for read in reads})}, logged {sorted(set(logged.moment.tolist()))}",
    )


def an_event_changes_the_next_answer_as_the_offline_join_says(trial: Trial) -> None:
    """The parity proof over HTTP: what answers read, before and after an event, is bit for bit the point-in-time join over the log."""
    served = trial.served
    before, logged, _ = watched(served)
    served.post(reaction(trial, logged))
    after, _, _ = watched(served)
    for read in (*before, *after):
        same_bits({"": offline(served.logged(), read)}, {"": read.values}, f"view {read.view.name} at {read.position}")
    both = said(before).keys() & said(after).keys()
    want(bool(both), "the next answer did not read what the last one read")
    changed = any(said(before)[one] != said(after)[one] for one in both)
    want(changed, "an event was posted and no feature of the next answer changed")


def a_repeated_event_is_accepted_once(trial: Trial) -> None:
    """Clients retry: the same event_id again is acknowledged and changes nothing."""
    served = trial.served
    _, logged, _ = watched(served)
    event = reaction(trial, logged)
    first, end = served.post(event), served.platform.log.end
    again = served.post(event, event)
    want((first["accepted"], first["repeated"]) == (1, 0), f"first time: {first}")
    want((again["accepted"], again["repeated"]) == (0, 2), f"second time: {again}")
    want(served.platform.log.end == end, "a repeated event made the log longer")


def an_unknown_user_gets_a_labelled_answer(trial: Trial) -> None:
    """Somebody new is served, not refused, and the loss of quality is in `degraded`; so is the loss after FORGET. NotHere where nothing is kept
    by user: there a stranger is answered as everybody is."""
    served = trial.served
    degraded = served.ask(user_id=UNKNOWN)["degraded"]
    if not any("user_id" in view.entity for view in trial.stage("features").VIEWS):
        raise NotHere("no view of features.VIEWS is kept by user_id: this case knows nobody, a stranger loses nothing")
    want(bool(degraded), "an unknown user's answer is not labelled")
    if FORGET in trial.stage("schema").EVENTS:
        served.post(posted(served, FORGET, {"user_id": 7}))
        want(
            bool(served.ask(user_id=7)["degraded"]),
            "a forgotten user's answer is not labelled: something is still known",
        )


def features_that_cannot_be_read_are_a_labelled_answer(trial: Trial) -> None:
    """A store whose every read fails or hangs costs quality, not availability: reads belong inside a stage, with something to fall back on."""
    without_the_store(trial, "read")


def a_store_that_does_not_open_is_a_labelled_answer_in_time(trial: Trial) -> None:
    """A disk that stalls stalls the opening first, before any read: that belongs inside a stage too (common.serving.snapshot)."""
    without_the_store(trial, "open")


def a_failing_stage_is_a_labelled_answer_in_time(trial: Trial) -> None:
    """Every drill: slow, failing or hanging, the answer comes inside the deadline and says which stage it lacks; /metrics counts it; then
    it recovers."""
    served = trial.served
    for name, drill in trial.stage("drills").DRILLS.items():
        before = counted(served, drill.stage)
        answers = drilled(served, drill, trial.config.deadline_ms)
        counts = counted(served, drill.stage) - before
        want(counts == len(answers), f"drill {name!r}: mlsd_degraded_total rose by {counts:.0f}, not {len(answers)}")
        for answer in answers:
            want(drill.stage in answer["degraded"], f"drill {name!r}: degraded is {answer['degraded']}")
        quickest = min(answer["timings_ms"]["total"] for answer in answers)
        want(quickest <= trial.config.deadline_ms, f"drill {name!r}: {quickest} ms of {trial.config.deadline_ms}")
        want(recovers(served, drill.stage), f"drill {name!r}: still degraded three seconds after it ended")


def simulated_users_are_served_and_heard(trial: Trial) -> None:
    """Hundreds of visits without a single error, and what the visitors did stands in the log."""
    (played, live), half = traffic(trial), trial.num_visits // 2
    want(not played.errors, f"errors: {played.errors}")
    want(played.visits >= half, f"simulate.visits gave {played.visits} visits in a week, {trial.num_visits} are wanted")
    kinds = set(np.unique(live.kind).tolist())
    want("impression" in kinds and len(kinds) > 1, f"the log holds {sorted(kinds)}: nobody reacted")
    rows = trial.stage("data").live(live, trial.config).rows
    read = (live.kind == "impression") & (live.moment >= 0)  # the others were shown while the store could not be read
    want(len(rows) == int(read.sum()) > half, "data.live does not give a row for each impression with a moment")


def the_monitor_is_quiet_on_healthy_traffic(trial: Trial) -> None:
    """An alarm that rings on ordinary traffic is switched off within a week, and then it is missing when it counts."""
    alerts = watch(trial, traffic(trial)[1])
    want(
        not alerts,
        "alerts on healthy traffic: "
        + "; ".join(f"{alert.name} {alert.value:.4g}, expected {alert.expected}" for alert in alerts),
    )


def the_monitor_fires_when_reactions_are_lost(trial: Trial) -> None:
    """The most common failure there is: the pipeline that brings clicks back stops, and every number looks calm."""
    live = traffic(trial)[1]
    alerts = watch(trial, columns.take(live, np.flatnonzero(live.kind == "impression")))
    want(bool(alerts), "every reaction was removed from the log and no alert fired")
    want(all(alert.means and alert.action for alert in alerts), "an alert does not say what it means or what to do")


def the_alerts_that_drills_name_fire(trial: Trial) -> None:
    """A drill that says "the alert `NAME`" notices it is played on as many visits: a watch that is blind to the failure is worse than
    none. A drill may name /metrics alone; an answer that shows nothing leaves no impression for a monitor to see."""
    drills = {drill.stage: drill for drill in trial.stage("drills").DRILLS.values() if drill.fault == "fail"}
    for stage, drill in drills.items():
        named = set(re.findall(r"\balerts? `(\w+)`", drill.notices))
        seen = {alert.name for alert in watch(trial, broken_traffic(trial, drill))} if named else set()
        want(
            named <= seen,
            f"{stage} fails for {trial.num_visits} visits: {drill.notices!r}, but the alerts were {sorted(seen)}",
        )


# ---------------------------------------------------------------------------------------------------------------- what the checks do


def watched(served: Running, **changed: Any) -> tuple[list[Read], Events, dict[str, Any]]:
    """Asks -> what the answer read from the live store, the impressions it logged, the answer. On a busy machine a stage may come too
    late for one answer, which then read or logged nothing; it is asked again, five times in all."""
    for _ in range(5):
        start, end = len(served.recorder.reads), served.platform.log.end
        answer = served.ask(**changed)
        if len(impressions := served.impressions(end)) and not answer["degraded"]:
            break
    return served.recorder.reads[start:], impressions, answer


def said(reads: list[Read]) -> dict[tuple[str, int], bytes]:
    """(view, key) -> what was said of it."""
    return {
        (read.view.name, int(key)): row.tobytes()
        for read in reads
        for key, row in zip(read.keys, read.values, strict=True)
    }


def reaction(trial: Trial, impressions: Events) -> dict[str, Any]:
    """A person's reaction to the first of these impressions: the case's first kind of event that needs no other keys."""
    want(len(impressions) > 0, "the answer left no impression in the log to react to (common.serving.platform.record)")
    keys = {name: int(column[0]) for name, column in impressions.keys.items() if column[0] >= 0}
    kinds: Mapping[str, EventKind] = trial.stage("schema").EVENTS
    found = [
        name
        for name, kind in kinds.items()
        if kind.posted and name != FORGET and set(kind.keys) - set(kind.optional) <= set(keys)
    ]
    want(
        bool(found),
        f"schema.EVENTS ({', '.join(kinds)}) has no kind a client may post whose keys are among those of an impression "
        f"({', '.join(keys)}). Add what people do with what they are shown.",
    )
    name, kind = found[0], kinds[found[0]]
    values = dict.fromkeys(kind.posted_values, max(1, kind.least))
    return posted(trial.served, name, {key: keys[key] for key in kind.keys if key in keys}, values)


def posted(
    served: Running, kind: str, keys: Mapping[str, int], values: Mapping[str, int] | None = None
) -> dict[str, Any]:
    event_id = f"trial-{served.platform.log.end}"
    return {"event_id": event_id, "kind": kind, "keys": dict(keys), "values": dict(values or {})}


def without_the_store(trial: Trial, where: str) -> None:
    """Reading or opening the live store fails, then hangs: labelled, inside the deadline, and over when the store is back."""
    served, limit = trial.served, trial.config.deadline_ms
    for fault in ("fail", "hang"):
        with served.recorder.broken(where, fault):
            answers = [served.ask() for _ in range(2)]
        want(all(answer["degraded"] for answer in answers), f"{where} {fault}s: the answer does not say so")
        quickest = min(answer["timings_ms"]["total"] for answer in answers)
        want(quickest <= limit, f"{where} {fault}s: {quickest} ms of {limit}")
        stages = {stage for answer in answers for stage in answer["degraded"]}
        want(recovers(served, *stages), f"{where} {fault}s: still degraded three seconds after the store came back")


def drilled(served: Running, drill: Drill, deadline_ms: float) -> list[dict[str, Any]]:
    """Two answers while the fault is on: few enough that no breaker opens."""
    from common.serving.deadline import Fault

    faults = served.service.stages.faults
    faults[drill.stage] = Fault(drill.fault, ms=2 * deadline_ms)
    try:
        return [served.ask() for _ in range(2)]
    finally:
        del faults[drill.stage]


def broken_traffic(trial: Trial, drill: Drill) -> Events:
    """What a stretch of visits leaves in the log while the fault is on."""
    from common.serving.deadline import Fault

    served, start = trial.served, trial.served.platform.log.end
    served.service.stages.faults[drill.stage] = Fault(drill.fault)
    try:
        play(trial.case, stretch(trial), served.client, served.clock, token=TOKEN)
    finally:
        del served.service.stages.faults[drill.stage]
    return served.logged(start)


def counted(served: Running, stage: str) -> float:
    """mlsd_degraded_total of this stage, as a scraper reads it."""
    found = re.search(rf'^mlsd_degraded_total{{.*stage="{stage}".*}} (\S+)$', served.client.get("/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def recovers(served: Running, *stages: str) -> bool:
    """Within three seconds: a breaker that opened stays open for one."""
    import time

    end = time.monotonic() + 3
    while time.monotonic() < end:
        if not set(stages) & set(served.ask()["degraded"]):
            return True
        time.sleep(0.02)
    return False


def traffic(trial: Trial) -> tuple[Any, Events]:
    """`stretch` played once a trial; -> what was played, and what it left in the log."""
    if not hasattr(trial, "_traffic"):
        served, start = trial.served, trial.served.platform.log.end
        played = play(trial.case, stretch(trial), served.client, served.clock, token=TOKEN)
        trial._traffic = played, served.logged(start)  # type: ignore[attr-defined]
    found: tuple[Any, Events] = trial._traffic  # type: ignore[attr-defined]
    return found


def stretch(trial: Trial) -> Iterator[Any]:
    """The next visits one after the other, at the pace the features were trained on; then the last of the week, by when it is known what
    became of the stretch: a label that takes hours to close would be open all through it."""
    since = trial.served.clock.now()
    visits = iter(trial.stage("simulate").visits(trial.config, since, since + WEEK))
    yield from islice(visits, trial.num_visits)
    yield from deque(visits, maxlen=LAST)


def watch(trial: Trial, events: Events) -> list[Any]:
    live = trial.stage("data").live(events, trial.config)
    alerts: list[Any] = trial.stage("monitor").check(trial.part("reference"), live, trial.config)
    return alerts
