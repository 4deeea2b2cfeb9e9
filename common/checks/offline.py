"""Checks of a case on paper: its form, its data, its features and its figures. No server runs here."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from common import events as columns
from common.checks.trial import Trial, arrays, digests, same_bits, want
from common.contract import FORGET, STAGES, Events
from common.errors import InputError
from common.eval.report import is_better, metric
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

LABELS = ("In:", "Out:", "Choice:", "Else:", "Breaks:")
HEAVY = ("torch", "lightgbm", "faiss", "pandas", "sklearn", "transformers")


def every_stage_has_its_verbs_and_says_what_it_is(trial: Trial) -> None:
    """The contract's verbs are there and the module opens with In, Out, Choice, Else, Breaks: five files compare at a glance."""
    for name in STAGES:
        module = trial.stage(name)
        text = module.__doc__ or ""
        lines = [line.split(" ")[0] for line in text.splitlines()]
        lacking = [label for label in LABELS if label not in lines]
        want(not lacking, f"{name}: the docstring lacks {', '.join(lacking)}")
        places = [lines.index(label) for label in LABELS]
        want(places == sorted(places), f"{name}: the labels stand in another order than {' '.join(LABELS)}")


def the_verb_comes_first(trial: Trial) -> None:
    """A reader finds the verb of the contract as the first function of its file, before the details."""
    for name, verbs in STAGES.items():
        path = Path(trial.stage(name).__file__)
        defined = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        wanted = [verb for verb in verbs if verb in defined]
        if path.name != "__init__.py" and wanted:  # a package re-exports its verbs from files named for them
            want(defined[0] == wanted[0], f"{name}: the first function is {defined[0]}, expected {wanted[0]}")


def importing_it_loads_nothing_heavy(trial: Trial) -> None:
    """`mlsd --help` answers at once and a wrong request is refused without torch: nouns and knobs import no training library."""
    package = trial.case.package
    loaded = child(
        f"import {package}, {package}.config, {package}.schema; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    )
    want(not loaded, f"import {package} loads {loaded}: import it inside the function that needs it")


def the_pipeline_runs(trial: Trial) -> None:
    """At SMOKE, from data to a published artifact, with the reports every other check reads. If it fails, it is said here, once."""
    for held, keys in (("reports", ("baseline", "model", "ceiling")), ("paired", ("model-baseline", "model-ceiling"))):
        found = getattr(trial.result, held, {})
        lacking = [key for key in keys if key not in found]
        want(not lacking, f"the pipeline's Result.{held} lacks {', '.join(lacking)}; it holds {', '.join(found)}")


def the_same_seed_gives_the_same_data(trial: Trial) -> None:
    """Bit for bit, in another process with another hash seed: a result that cannot be repeated cannot be argued about."""
    name, package = trial.case.name, trial.case.package
    code = (
        "import json; from common.cases import Case; from common.checks.trial import arrays, digests; "
        f"case = Case({name!r}, {package!r}); data = case.stage('data').load(case.preset('smoke')); "
        "print(json.dumps(digests(arrays(data))))"
    )
    ours, theirs = digests(arrays(trial.dataset)), json.loads(child(code, PYTHONHASHSEED="7"))
    different = [name for name in ours if ours[name] != theirs.get(name)]
    want(not different, f"the same seed gives other data in another process: {', '.join(different)}")
    other = digests(arrays(trial.stage("data").load(replace(trial.config, seed=trial.config.seed + 1))))
    want(ours != other, "another seed gives the same data: the seed is not used")


def the_test_rows_carry_no_labels(trial: Trial) -> None:
    """The key to the test is in data.judgments; a label that travels with the row will be used by somebody, some day."""
    for name, array in arrays(trial.dataset.test).items():
        if "label" in name:
            want(
                bool(np.isnan(array.astype(float)).all()), f"dataset.test{name} holds labels; they belong in judgments"
            )


def the_split_is_by_time(trial: Trial) -> None:
    """What trains comes before what is judged, in time and in the log. A table without a clock says so by its LeaveOneOutStore."""
    if isinstance(trial.dataset.history, LeaveOneOutStore):
        return
    parts = [(name, getattr(trial.dataset, name)) for name in ("train", "valid", "test")]
    for (name, rows), (later_name, later) in pairwise(parts):
        for clock in ("event_time", "moment"):
            last, first = getattr(rows, clock).max(), getattr(later, clock).min()
            want(last <= first, f"{name} reaches {clock} {last}, {later_name} begins at {first}: the future trains")


def features_do_not_change_when_the_future_is_cut_off(trial: Trial) -> None:
    """A training row reads the log up to its moment. Cut everything after: if its inputs change, it had read its own future."""
    history = trial.dataset.history
    if isinstance(history, LeaveOneOutStore):
        return
    features, train = trial.part("features"), trial.dataset.train
    read = np.flatnonzero(train.moment > 0)
    latest = np.maximum.accumulate(history.events.event_time)[train.moment[read] - 1]
    ahead = read[latest > train.event_time[read]]
    want(
        not len(ahead),
        f"{len(ahead)} training rows stand at a moment with events later than the row, row {ahead[:1]} first",
    )
    cut = int(np.quantile(train.moment, 0.7))
    some = _sample(train, np.flatnonzero(train.moment <= cut)[-200:])
    past = AsOfStore(columns.take(history.events, np.flatnonzero(history.events.position < cut)))
    whole, seen = arrays(features.inputs(some, history), "inputs"), arrays(features.inputs(some, past), "inputs")
    want(bool(whole), "Features.inputs gives no arrays")
    same_bits(whole, seen, f"inputs of training rows with the log cut off at position {cut}")


def an_event_of_the_rows_own_second_is_seen_if_it_came_before(trial: Trial) -> None:
    """Within a second the log decides, not the clock: an event that stands at the row's moment or later is not seen, one before it is."""
    history, train = trial.dataset.history, trial.dataset.train
    if isinstance(history, LeaveOneOutStore):
        return
    features, seen = trial.part("features"), []
    for index in np.linspace(len(train) // 2, len(train) - 1, 5).astype(np.int64).tolist():
        row, moment = _sample(train, np.array([index])), int(train.moment[index])
        past = columns.take(history.events, np.flatnonzero(history.events.position < moment))
        without = arrays(features.inputs(row, AsOfStore(past)), "inputs")
        seen.append(False)
        for event in _at(history.events, row, _entities(trial, row), moment):
            store, later = AsOfStore(columns.concat([past, event])), replace(row, moment=row.moment + 1)
            beside = arrays(features.inputs(row, store), "inputs")
            same_bits(
                without, beside, f"inputs of row {index} without and with {event.kind[0]!r} at its moment {moment}"
            )
            seen[-1] |= digests(arrays(features.inputs(later, store), "inputs")) != digests(without)
    want(
        2 * sum(seen) > len(seen),
        f"an event of the row's own second that stands before it in the log changed the inputs of {sum(seen)} of "
        f"{len(seen)} training rows, expected most: features are read as of another moment than the row's",
    )


def the_model_beats_the_baseline(trial: Trial) -> None:
    """The paired interval of model minus baseline lies wholly on the better side of zero; else the simple thing should be shipped."""
    the_pipeline_runs(trial)
    difference, primary = trial.result.paired["model-baseline"], trial.result.reports["model"].primary
    want(is_better(difference, primary), f"model-baseline of {primary} is {difference}: not wholly on the better side")


def the_model_stays_under_the_ceiling(trial: Trial) -> None:
    """Nobody beats the truth on its own rows. If the interval says so: look for a leak."""
    the_pipeline_runs(trial)
    difference, primary = trial.result.paired["model-ceiling"], trial.result.reports["model"].primary
    want(
        not is_better(difference, primary),
        f"model-ceiling of {primary} is {difference}: better than the truth, so something leaks",
    )


def every_figure_is_known_and_has_an_interval(trial: Trial) -> None:
    """One definition a metric, in common/eval; the primary never stands without its interval; all three columns judge the same rows."""
    for name, report in trial.result.reports.items():
        for key in (*report.metrics, *(key for some in report.slices.values() for key in some)):
            _known(key)
        primary = report.metrics.get(report.primary)
        want(primary is not None, f"{name}: the primary {report.primary} is not among its metrics")
        assert primary is not None
        want(primary.low is not None and primary.high is not None, f"{name}: {report.primary} has no interval")
        want(primary.n == len(np.unique(report.clusters)), f"{name}: n is {primary.n}, not the number of clusters")
        mean = float(np.mean(report.units))
        want(
            abs(mean - primary.value) <= 1e-9 + 1e-6 * abs(mean),
            f"{name}: {report.primary} is not the mean of its units",
        )
        want(report.origin == "world", f"{name}: origin is {report.origin!r} on the world")


def the_key_answers_for_any_requests(trial: Trial) -> None:
    """Part of the requests in another order get their own gains, on the world and on own files: a key that answers by row number pays
    one person for another's taste. A case whose key has no gain has nothing to show here."""
    for config in (trial.config, exported(trial)):
        judgments = trial.stage("data").judgments(config)
        if not hasattr(judgments, "gain"):
            return
        relevant = np.unique(judgments.relevant[judgments.relevant >= 0])
        want(len(relevant) > 0, f"judgments.relevant names no item ({judgments.origin}): nobody would ever be right")
        rng = np.random.default_rng(0)
        ids = rng.choice(relevant, (len(judgments.requests), 20))
        ids[:, 0] = judgments.relevant[:, 0]
        some = rng.permutation(len(ids))[: len(ids) // 2]
        whole = judgments.gain(judgments.requests, ids)
        part = judgments.gain(_sample(judgments.requests, some), ids[some])
        want(bool(whole.any()), "every gain is 0")
        same_bits({"": whole[some]}, {"": part}, f"gain of part of the requests ({judgments.origin})")


def own_files_give_the_same_scores(trial: Trial) -> None:
    """A Dataset written to the bring-your-own files, read back and fitted again gives the same scores bit for bit: no hidden columns."""
    config = exported(trial)
    same_bits(trial.trained, trial.fit(config), "scores after writing the data and reading it back")


def own_files_are_refused_when_broken(trial: Trial) -> None:
    """A torn file, a value of the wrong type, an undeclared column, no schema.toml: refused by name, before anything is trained."""
    config = exported(trial)
    folder = Path(config.data.partition(":")[2])
    for problem, says, breaks in BROKEN_FILES:
        broken = trial.folder / "broken"
        _fresh(folder, broken)
        breaks(broken)
        bad = replace(config, data=f"csv:{broken}")
        try:
            trial.stage("data").load(bad)
        except InputError as error:
            want(says in str(error), f"{problem}: the message does not name {says!r}: {error}")
        except Exception as error:
            want(False, f"{problem}: {type(error).__name__} instead of an InputError: {error}")
        else:
            want(False, f"{problem}: read without complaint")


def every_rule_holds_on_random_candidates(trial: Trial) -> None:
    """policy.INVARIANTS: each rule tries to break the fitted policy on candidates nobody chose."""
    policy, rules = trial.part("policy"), trial.stage("policy").INVARIANTS
    want(bool(rules), "policy.INVARIANTS is empty: name at least one rule")
    for sentence, holds in rules.items():
        for seed in range(20):
            seen = holds(policy, np.random.default_rng(seed))
            want(not seen, f"{sentence}: broken with seed {seed}: {seen}")


def experiments_and_drills_are_well_formed(trial: Trial) -> None:
    """Names for people, functions with a first sentence, stages that exist, faults that can be switched on."""
    from common.serving.deadline import FAULTS

    experiments, drills = trial.stage("experiments").EXPERIMENTS, trial.stage("drills").DRILLS
    want(bool(experiments) and bool(drills), "EXPERIMENTS or DRILLS is empty")
    for name, run in experiments.items():
        want(callable(run) and bool(run.__doc__), f"experiment {name!r}: not a function with a docstring")
    stages = trial.served.service.stages.limits_ms
    for name, drill in drills.items():
        want(drill.fault in FAULTS, f"drill {name!r}: fault {drill.fault!r} is not one of {', '.join(FAULTS)}")
        want(drill.stage in stages, f"drill {name!r}: there is no stage {drill.stage!r}; there are {', '.join(stages)}")
        want(bool(drill.looks and drill.notices), f"drill {name!r}: say how it looks and who notices")
    faults = {drill.fault for drill in drills.values()}
    want({"slow", "fail", "hang"} <= faults, f"drills cover {sorted(faults)}; slow, fail and hang are wanted")


def child(code: str, **env: str) -> str:
    """What a fresh Python says that imports from where we do."""
    path = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", f"import sys; {code}"]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path, **env}, check=False
    )
    want(ran.returncode == 0, f"a fresh Python fails: {ran.stderr[-300:]}")
    return ran.stdout.strip()


def exported(trial: Trial) -> Any:
    """The config that reads the trial's own data back from CSV files."""
    folder = trial.folder / "own"
    if not folder.exists():
        folder.mkdir()
        trial.stage("data").write(trial.dataset, trial.stage("data").judgments(trial.config), folder)
    return replace(trial.config, data=f"csv:{folder}")


def _fresh(folder: Path, into: Path) -> None:
    import shutil

    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(folder, into)


def _table(folder: Path) -> Path:
    """The largest table that has a clock."""
    clocked = [path for path in folder.glob("*.csv") if "event_time" in path.read_text().split("\n", 1)[0]]
    want(
        bool(clocked),
        f"data.write wrote no CSV table with an event_time; there are {sorted(path.name for path in folder.iterdir())}",
    )
    return max(clocked, key=lambda path: path.stat().st_size)


def _tear(folder: Path) -> None:
    table = _table(folder)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[: len(lines) // 2], lines[len(lines) // 2].split(",")[0]]))


def _mistype(folder: Path) -> None:
    table = _table(folder)
    header, first, *rest = table.read_text().splitlines()
    cells = [
        "zebra" if column.strip('"') == "event_time" else cell
        for column, cell in zip(header.split(","), first.split(","), strict=True)
    ]
    table.write_text("\n".join([header, ",".join(cells), *rest]))


def _add_column(folder: Path) -> None:
    table = _table(folder)
    header, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header + ",zebra", *(line + ",1" for line in rest)]))


def _drop_schema(folder: Path) -> None:
    (folder / "schema.toml").unlink()


BROKEN_FILES = (
    ("a torn file", ".csv", _tear),
    ("a time that is a word", "event_time", _mistype),
    ("an undeclared column", "zebra", _add_column),
    ("no schema.toml", "schema.toml", _drop_schema),
)


def _entities(trial: Trial, row: Any) -> list[tuple[str, ...]]:
    """Whose events a row's inputs may depend on: the person's; in a case that keeps nothing by person, of what else its views are kept by."""
    entities = {
        view.entity for view in trial.stage("features").VIEWS if all(hasattr(row, name) for name in view.entity)
    }
    return [("user_id",)] if any("user_id" in entity for entity in entities) else sorted(entities)


def _at(events: Events, row: Any, entities: list[tuple[str, ...]], moment: int) -> Iterator[Events]:
    """The last event of each kind that shares an entity with the row, one at a time, as if it stood at `moment` and had happened in the row's second."""
    for entity in entities:
        same = np.logical_and.reduce([events.keys[name] == getattr(row, name)[0] for name in entity])
        theirs = np.flatnonzero(same & (events.kind != FORGET))
        for kind in np.unique(events.kind[theirs]):
            last = columns.take(events, theirs[events.kind[theirs] == kind][-1:])
            yield replace(last, position=np.array([moment]), event_time=row.event_time)


def _known(key: str) -> None:
    try:
        metric(key)
    except InputError as error:
        want(False, str(error))


def _sample(rows: Any, index: Any) -> Any:
    """Some of the rows: every array of the dataclass, taken at `index`."""
    taken = {name: _taken(getattr(rows, name), index) for name in rows.__dataclass_fields__}
    return replace(rows, **taken)


def _taken(column: Any, index: Any) -> Any:
    if isinstance(column, np.ndarray):
        return column[index]
    return {name: _taken(part, index) for name, part in column.items()} if isinstance(column, dict) else column
