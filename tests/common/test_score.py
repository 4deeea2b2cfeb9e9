"""`mlsd score`: row for row what HTTP answers, continued where it was killed, and nothing of it in the event log."""

from __future__ import annotations

import copy
import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.testclient import TestClient

from common import cases
from common.cases import Case
from common.checks import Trial
from common.cli import main
from common.commands.opened import Opened, serve
from common.commands.score import score
from common.contract import Event, Platform
from common.errors import InputError
from common.lifecycle import score as job
from common.lifecycle.home import Home
from common.lifecycle.log import EventLog
from common.lifecycle.still import StillLog
from common.serving import lanes
from common.serving.app import Server
from common.serving.clock import SimulatedClock
from common.serving.deadline import Fault
from common.serving.platform import record
from common.serving.requests import Requests
from tests.common.serving.toy import Request as ToyRequest

TOYS = {"toy_ranker": "tests.toy.ranker", "toy_scorer": "tests.toy.scorer"}
NUM_REQUESTS = 220
Body = dict[str, Any]


@pytest.fixture(scope="module", params=TOYS)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    yield from trained(Case(request.param, TOYS[request.param]), tmp_path_factory)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    yield from trained(Case("toy_scorer", TOYS["toy_scorer"]), tmp_path_factory)


def trained(case: Case, folders: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(case, folders.mktemp(case.name))
    assert trial.artifact
    yield trial
    trial.close()


@pytest.fixture(scope="module")
def whole(scorer: Trial, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Requests, and the answers of a job that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    source = written(folder / "in.jsonl", bodies(scorer, 60))
    scored(scorer, source, folder / "out.jsonl", batch=7)
    return source, (folder / "out.jsonl").read_bytes()


# ------------------------------------------------------------------------------------------------------- requests and answers


def bodies(trial: Trial, n: int = NUM_REQUESTS) -> list[Body]:
    """Those of simulated people, and of each a quarter: nobody knows the person; optional parts are missing; values nobody has seen."""
    rng = np.random.default_rng(0)
    log = trial.home.log(trial.artifact)
    visits = Opened(trial.case, trial.artifact, log).visits(n)
    log.close()
    found = [orjson.loads(orjson.dumps(visit.request(), option=orjson.OPT_SERIALIZE_NUMPY)) for visit in visits]
    required = required_of(trial.case)
    for i, body in enumerate(found):
        if i % 4 == 1:
            body["user_id"] = 2**31 - 1 - i
        elif i % 4 == 2:
            lean = copy.deepcopy(body)
            for inside in [lean, *(part for part in lean.values() if isinstance(part, dict))]:
                for name in [name for name in inside if name not in required and rng.random() < 0.5]:
                    del inside[name]
            found[i] = lean if is_taken(trial.case, lean) else body  # of text and picture a post has one
        elif i % 4 == 3:
            for name in required - {"user_id"}:
                body[name] = f"never seen {i}" if isinstance(body[name], str) else 2**31 - 1 - i
            for part in body.values():
                if isinstance(part, dict):
                    part |= {name: "never seen" for name, value in part.items() if isinstance(value, str)}
    return found


def is_taken(case: Case, body: Body) -> bool:
    request: type = case.stage("schema").Request
    try:
        TypeAdapter(request).validate_python(body)
    except ValidationError:
        return False
    return True


def required_of(case: Case) -> set[str]:
    request: type = case.stage("schema").Request
    return set(TypeAdapter(request).json_schema()["required"])


def written(path: Path, asked: Sequence[Body]) -> Path:
    """As JSON lines, or as a table whose empty cells were not given."""
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(body) + b"\n" for body in asked))
        return path
    flat = [flattened(body) for body in asked]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row.get(name) for row in flat] for name in names}), path)
        return path
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, names)
        rows.writeheader()
        rows.writerows(flat)
    return path


def flattened(body: Body) -> Body:
    inner = {
        f"{name}.{key}": value for name, part in body.items() if isinstance(part, dict) for key, value in part.items()
    }
    return {name: part for name, part in body.items() if not isinstance(part, dict)} | inner


def lines(path: Path) -> list[Body]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@contextmanager
def still(trial: Trial) -> Iterator[Platform]:
    clock = SimulatedClock(0)
    with trial.home.still(trial.artifact, trial.stage("features").VIEWS, clock) as platform:
        clock.set(Opened(trial.case, trial.artifact, platform.log).time())
        yield platform


def over_http(trial: Trial, platform: Platform, asked: Sequence[Body]) -> list[Body]:
    """What the case's own route answers, over ASGI; asked again where a loaded machine cut a stage off."""
    server = Server()
    server.add(serve(trial.case, trial.artifact, platform))
    with TestClient(server.app) as client:
        answers = [patiently(client, trial.stage("serve").ROUTE, body) for body in asked]
    server.close()
    return [{name: part for name, part in one.items() if name not in job.OF_THE_CALL} for one in answers]


def patiently(client: TestClient, route: str, body: Body) -> Body:
    for _ in range(50):
        answer = client.post(route, json=body)
        assert answer.status_code == 200, answer.text
        found: Body = answer.json()
        if all(stage["status"] == "ok" for stage in found["timings_ms"]["stages"]):
            return found
    raise AssertionError("fifty answers, and in each a stage was cut off")


def scored(trial: Trial, source: Path, out: Path, case: Case | None = None, **options: Any) -> Body:
    return score(case or trial.case, trial.home, trial.artifact, source, out, **options)


def differing(trial: Trial, asked: Sequence[Body], folder: Path, case: Case | None = None) -> int:
    """Score the requests as they stand and in another order; -> how many answers are not what HTTP says, whatever their place."""
    with still(trial) as platform:
        expected = over_http(trial, platform, asked)
    order = np.random.default_rng(1).permutation(len(asked)).tolist()
    wrong = 0
    for name, index in (("straight", list(range(len(asked)))), ("shuffled", order)):
        scored(trial, written(folder / f"{name}.jsonl", [asked[i] for i in index]), folder / f"{name}.out.jsonl", case)
        answers = lines(folder / f"{name}.out.jsonl")
        assert len(answers) == len(asked)
        wrong += sum(answer != expected[i] for answer, i in zip(answers, index, strict=True))
    return wrong


def changed(case: Case, change: Callable[[Any, Any, Callable[..., Any]], Any]) -> Case:
    """The case with its service's `respond` replaced by `change(service, request, respond)`."""
    stage = case.stage("serve")

    def start(artifact: Any, platform: Platform) -> Any:
        service = stage.start(artifact, platform)
        respond = service.respond
        service.respond = lambda request, deadline: change(service, request, lambda: respond(request, deadline))
        return service

    return Case(case.name, case.package, {"serve": SimpleNamespace(ROUTE=stage.ROUTE, start=start)})


def test_every_row_is_what_http_answers_in_any_order(trial: Trial, tmp_path: Path) -> None:
    asked = bodies(trial)
    assert differing(trial, asked, tmp_path) == 0
    answers = lines(tmp_path / "straight.out.jsonl")
    assert (
        len({orjson.dumps(answer) for answer in answers}) > 20
    )  # requests that all get one answer would prove nothing
    assert 0 < sum(bool(answer["degraded"]) for answer in answers) < len(answers)
    assert not any(name in answer for answer in answers for name in job.OF_THE_CALL)


def test_a_service_whose_answers_depend_on_the_rows_before_is_caught(scorer: Trial, tmp_path: Path) -> None:
    seen: list[Any] = []

    def leaks(service: Any, request: Any, respond: Callable[..., Any]) -> Any:
        seen.append(request)
        answer = respond()
        return replace(answer, probability=answer.probability + 1e-9 * (len(seen) % 2))

    asked = bodies(scorer, 40)
    assert differing(scorer, asked, tmp_path, changed(scorer.case, leaks)) > 0


def test_a_server_that_appends_answers_its_first_request_the_same(trial: Trial, tmp_path: Path) -> None:
    """Later ones see the impressions of those before them, which a batch job does not make: each gets a server of its own."""
    asked = bodies(trial, 4)
    scored(trial, written(tmp_path / "in.jsonl", asked), tmp_path / "out.jsonl")
    for i, (body, answer) in enumerate(zip(asked, lines(tmp_path / "out.jsonl"), strict=True)):
        home = Home(shutil.copytree(trial.home.root, tmp_path / f"home{i}"))
        artifact, clock = home.registry.open(trial.case.name), SimulatedClock(0)
        platform = home.platform(artifact, trial.stage("features").VIEWS, clock)
        clock.set(Opened(trial.case, artifact, platform.log).time())
        before = platform.log.end
        assert over_http(trial, platform, [body]) == [answer]
        assert platform.log.end > before  # an ordinary log keeps what was shown
        platform.store.close()
        platform.log.close()


def test_nothing_is_appended_and_a_server_that_goes_on_is_not_seen(
    scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path
) -> None:
    home = Home(shutil.copytree(scorer.home.root, tmp_path / "home"))
    artifact, views = home.registry.open("toy_scorer"), scorer.stage("features").VIEWS
    platform = home.platform(artifact, views, SimulatedClock(0))
    before, now = platform.log.end, Opened(scorer.case, artifact, platform.log).time()
    times = set()

    def meanwhile(service: Any, request: Any, respond: Callable[..., Any]) -> Any:
        """The server beside us hears that this person opens letters, and time goes on."""
        times.add(service.platform.clock.now())
        keys = {"request_id": 1, "user_id": request.user_id, "letter_id": request.letter_id}
        event_id = f"open-{platform.log.end}"
        record(platform, [Event(event_id=event_id, kind="open", event_time=now + 3600, keys=keys)])
        return respond()

    row = score(changed(scorer.case, meanwhile), home, artifact, whole[0], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == whole[1]
    assert (row["position"], times) == (before, {now})
    assert platform.log.end == platform.store.position == before + 60  # what the server heard, and nothing of ours
    platform.store.close()
    platform.log.close()
    assert not list(home.root.rglob(".staged-*"))
    # the control: answered as of now, the same requests get other answers
    score(scorer.case, home, artifact, whole[0], tmp_path / "later.jsonl")
    assert (tmp_path / "later.jsonl").read_bytes() != whole[1]


def test_a_still_log_ends_where_it_did(tmp_path: Path) -> None:
    def event(number: int) -> Event:
        return Event(event_id=f"e{number}", kind="open", event_time=number, keys={"user_id": number})

    log = EventLog.create(tmp_path / "log")
    log.append([event(0), event(1)])
    still_log = StillLog(EventLog.open(tmp_path / "log", read_only=True))
    still_log.append([event(2)])
    assert log.end == 2
    log.append([event(3)])
    for until in (None, 99):
        assert [int(time) for part in still_log.scan(0, until) for time in part.event_time] == [0, 1]
    assert not list(still_log.scan(2)) and log.end == 3
    still_log.close()
    log.close()


# ---------------------------------------------------------------------------------------------------------------- files of requests


def test_a_table_says_the_same_as_json_lines(trial: Trial, tmp_path: Path) -> None:
    asked = bodies(trial, 40)
    answers = []
    for kind in ("jsonl", "csv", "parquet"):
        scored(trial, written(tmp_path / f"in.{kind}", asked), tmp_path / f"{kind}.out.jsonl")
        answers.append((tmp_path / f"{kind}.out.jsonl").read_bytes())
    assert answers[0] == answers[1] == answers[2]


def asked_of(path: Path) -> list[ToyRequest]:
    return [request for _, request in Requests(path, ToyRequest)]


def test_cells_become_fields_and_an_empty_one_was_not_given(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("user_id,note,numbers.age,numbers.a.b\n1,007,34,\n2,,1e-3,5\n")
    assert asked_of(path) == [
        ToyRequest(user_id=1, note="007", numbers={"age": 34.0}),
        ToyRequest(user_id=2, numbers={"age": 1e-3, "a.b": 5.0}),
    ]
    table = pa.table({"user_id": [1, 2], "note": [None, ""], "numbers": [{"age": 3.5}, {"age": None}]})
    pq.write_table(table, tmp_path / "in.parquet")
    assert asked_of(tmp_path / "in.parquet") == [ToyRequest(user_id=1, numbers={"age": 3.5}), ToyRequest(user_id=2)]


REFUSED = [
    ("in.jsonl", '{"user_id": 1}\n{"user_id": "x"}\n', "line 2: user_id: Input should be a valid integer"),
    ("in.jsonl", '{"user_id": 1}\n\n{"user_id": 1}\n', "line 2: body: Invalid JSON"),
    ("in.jsonl", '{"user_id": NaN}\n', "line 1: It is not JSON"),
    ("in.jsonl", '{"user_id": 1, "note": "' + "x" * 1_000_001 + '"}\n', "line 1: longer than"),
    ("in.csv", "user_id\n1\n\n2\n-3\n", "row 3: user_id: Input should be greater than or equal to 0"),
    ("in.csv", "user_id\n1.0\n", "row 1: user_id: Input should be a valid integer"),
    ("in.csv", "user_id,numbers.age\n1,NaN\n", "row 1: numbers.age: Input should be a valid number"),
    ("in.csv", "user_id,colour\n1,\n2,red\n", "row 2: colour: There is no such field"),
    ("in.csv", "note,user_id\na,\n", "row 1: user_id: Field required"),
    ("in.csv", 'user_id,numbers,numbers.age\n1,"{}",3\n', "two columns fill the field 'numbers'"),
    ("in.csv", "user_id\n", "no rows"),
    ("in.txt", "1\n", "Expected one that ends in .jsonl, .csv, .csv.gz, .parquet"),
    ("none.csv", None, "no such file"),
]


@pytest.mark.parametrize(("name", "text", "told"), REFUSED, ids=[told[:40] for *_, told in REFUSED])
def test_a_request_that_http_refuses_is_named_with_its_place(
    name: str, text: str | None, told: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"(?s){name}.*") as error:
        asked_of(tmp_path / name)
    assert told in str(error.value)


def test_a_mistake_in_the_last_line_is_found_before_the_first_is_answered(scorer: Trial, tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", [*bodies(scorer, 60), {"user_id": 1}])
    with pytest.raises(InputError, match=r"line 61: letter_id: Field required"):
        scored(scorer, source, tmp_path / "out.jsonl", batch=10)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


# ------------------------------------------------------------------------------------------------------------------------ resumed


class Killed(BaseException):
    """As a signal ends a process: nothing of ours catches it."""


def killed(scorer: Trial, source: Path, out: Path, after: int) -> None:
    num_asked = 0

    def dies(service: Any, request: Any, respond: Callable[..., Any]) -> Any:
        nonlocal num_asked
        num_asked += 1
        if num_asked > after:
            raise Killed
        return respond()

    with pytest.raises(Killed):
        scored(scorer, source, out, changed(scorer.case, dies), batch=7)


@pytest.mark.parametrize("after", [0, 6, 7, 40, 59])
def test_a_killed_job_goes_on_and_gives_the_same_file(
    after: int, scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path
) -> None:
    source, expected = whole
    out = tmp_path / "out.jsonl"
    killed(scorer, source, out, after)
    done = after // 7 * 7
    assert out.read_bytes() == b"".join(expected.splitlines(keepends=True)[:done])
    row = scored(scorer, source, out, batch=11)
    assert (row["rows"], row["answered_now"]) == (60, 60 - done)
    assert out.read_bytes() == expected
    assert row["degraded"] == sum(bool(one["degraded"]) for one in lines(out))


@pytest.mark.parametrize("left", ["torn", "torn in the first line", "not counted", "gone"])
def test_what_a_power_cut_leaves_is_mended(left: str, scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path) -> None:
    source, expected = whole
    out = tmp_path / "out.jsonl"
    killed(scorer, source, out, 30)
    state, whole_line = out.read_bytes(), expected.splitlines(keepends=True)[28]
    if left == "gone":
        out.unlink()
    else:
        out.write_bytes(
            {"torn": state[:-9], "torn in the first line": state[:9], "not counted": state + whole_line + state[:9]}[
                left
            ]
        )
    row = scored(scorer, source, out)
    assert out.read_bytes() == expected
    assert row["answered_now"] == {"torn": 33, "torn in the first line": 60, "not counted": 32, "gone": 60}[left]


def test_a_job_that_is_done_has_nothing_to_do(
    scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, expected = whole
    out = tmp_path / "out.jsonl"
    killed(scorer, source, out, 30)
    assert json.loads((tmp_path / "out.jsonl.progress.json").read_text())["done"] is False
    scored(scorer, source, out)
    assert "nothing to do" not in capfd.readouterr().err
    assert json.loads((tmp_path / "out.jsonl.progress.json").read_text())["done"] is True
    row = scored(scorer, source, out)
    assert row["answered_now"] == 0 and out.read_bytes() == expected
    assert "nothing to do" in capfd.readouterr().err
    assert scored(scorer, source, out, restart=True)["answered_now"] == 60 and out.read_bytes() == expected


@pytest.mark.parametrize("what", ["in_sha256", "version", "position", "case"])
def test_another_job_is_refused_and_begins_with_restart(
    what: str, scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path
) -> None:
    source, expected = whole
    out = tmp_path / "out.jsonl"
    killed(scorer, source, out, 30)
    progress = tmp_path / "out.jsonl.progress.json"
    progress.write_text(json.dumps(json.loads(progress.read_text()) | {what: "another"}))
    left = out.read_bytes()
    with pytest.raises(InputError, match=rf"{what} was another, is .*--restart"):
        scored(scorer, source, out)
    assert out.read_bytes() == left
    assert scored(scorer, source, out, restart=True)["answered_now"] == 60 and out.read_bytes() == expected


def test_a_file_of_somebody_else_is_left_alone(scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("precious\n")
    for restart in (False, True):
        with pytest.raises(InputError, match="no job of ours wrote it"):
            scored(scorer, whole[0], out, restart=restart)
    assert out.read_text() == "precious\n"
    (tmp_path / "out.jsonl.progress.json").write_text("{")
    with pytest.raises(InputError, match="--restart"):
        scored(scorer, whole[0], out)
    assert out.read_text() == "precious\n"


def test_two_jobs_do_not_write_one_file(scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with job.Job(out, {}, 1).held(), pytest.raises(InputError, match="by another mlsd score"):
        scored(scorer, whole[0], out)


def test_a_request_the_service_itself_refuses_is_named(
    scorer: Trial, whole: tuple[Path, bytes], tmp_path: Path
) -> None:
    refused: list[Any] = []

    def refuses(service: Any, request: Any, respond: Callable[..., Any]) -> Any:
        refused.append(request)
        if len(refused) == 9:
            raise InputError("There is no such letter.")
        return respond()

    out = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match=r"in.jsonl, line 9: There is no such letter\."):
        scored(scorer, whole[0], out, changed(scorer.case, refuses), batch=4)
    assert out.read_bytes() == b"".join(whole[1].splitlines(keepends=True)[:8])


# ----------------------------------------------------------------------------------------------------------------- a batch has time


def failing(case: Case, fault: Fault, is_bad: Callable[[int], bool]) -> Case:
    """The stage `model` has the fault in those rows."""
    asked: dict[Any, int] = {}

    def change(service: Any, request: Any, respond: Callable[..., Any]) -> Any:
        number = asked.setdefault(id(request), len(asked))
        held.append(request)
        service.stages.faults.clear()
        service.stages.faults.update({"model": fault} if is_bad(number) else {})
        return respond()

    held: list[Any] = []  # so that no id is used twice
    return changed(case, change)


def test_a_slow_stage_is_not_cut_off(scorer: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = failing(scorer.case, Fault("slow", 90.0), lambda _: True)
    source = written(tmp_path / "in.jsonl", bodies(scorer, 4))
    assert scored(scorer, source, tmp_path / "patient.jsonl", slow)["failed"] == 0
    monkeypatch.setattr(job, "patient", lambda service: None)
    assert scored(scorer, source, tmp_path / "hurried.jsonl", slow)["failed"] == 4


@pytest.mark.parametrize(("tries", "num_failed"), [(3, 6), (1, 20)])
def test_rows_on_which_a_stage_fails_do_not_spoil_those_after_them(
    tries: int, num_failed: int, scorer: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one try each, the breaker they opened answers for the others as well: the mistake this test would catch."""
    monkeypatch.setattr(job, "TRIES", tries)
    if tries > 1:
        monkeypatch.setattr(lanes, "OPEN_SECONDS", 0.05)
        monkeypatch.setattr(job, "OPEN_SECONDS", 0.05)
    else:
        monkeypatch.setattr(lanes, "OPEN_SECONDS", 60.0)
        monkeypatch.setattr(job, "OPEN_SECONDS", 0.0)
    source = written(tmp_path / "in.jsonl", bodies(scorer, 20))
    row = scored(scorer, source, tmp_path / "out.jsonl", failing(scorer.case, Fault("fail"), lambda number: number < 6))
    assert row["failed"] == num_failed


# --------------------------------------------------------------------------------------------------------------- the command line


def ends(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(argv=words)
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_command_prints_one_row_and_its_exit_code_is_true(
    scorer: Trial,
    whole: tuple[Path, bytes],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"toy_scorer": scorer.case}
    monkeypatch.setattr(cases, "find", lambda: known)
    out = tmp_path / "out.jsonl"
    words = ["score", "toy_scorer", "--in", str(whole[0]), "--out", str(out), "--home", str(scorer.home.root)]
    code, told, _ = ends(capfd, *words, "--json")
    (row,) = json.loads(told)["score"]
    assert code == 0 and out.read_bytes() == whole[1]
    assert (row["rows"], row["version"], row["failed"], row["origin"]) == (60, scorer.artifact.version, 0, "machine")
    code, told, err = ends(capfd, *words, "--version", "latest")
    assert code == 0 and "nothing to do" in err and "answered now" in told
    for mistake, expected in MISTAKES.items():
        code, told, err = ends(capfd, *words, *mistake.split())
        assert (code, told) == (2, "") and expected in " ".join(err.split())
    known["toy_scorer"] = failing(scorer.case, Fault("fail"), lambda number: number == 3)
    for again in (["--restart"], []):  # that nothing is left to do does not make it whole
        code, _, err = ends(capfd, *words, *again)
        assert code == 1 and "Rows answered without a stage that failed: 1;" in " ".join(err.split())


MISTAKES: Mapping[str, str] = {
    "--version lates": "Did you mean 'latest'?",
    "--out answers.csv": "one that ends in .jsonl",
    "--out no/such/folder/out.jsonl": "Make it first",
    "--in no/such.csv": "no such file",
    "--home no/such": "mlsd run toy_scorer",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.find())
def test_every_case_answers_a_file_as_over_http(
    name: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    for trial in trained(cases.get(name), tmp_path_factory):
        assert differing(trial, bodies(trial), tmp_path) == 0
