"""The command line: exit codes, readable errors, and a stdout that holds the JSON object alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import cases
from common.cases import Case
from common.cli import COMMANDS, main
from common.commands import doctor, drill, output
from common.commands.demo import beside_readme

ROOT = Path(__file__).resolve().parents[2]
TOYS = {"toy_ranker": "tests.toy.ranker", "toy_scorer": "tests.toy.scorer"}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys as if they were installed."""
    monkeypatch.setattr(cases, "find", lambda: {name: Case(name, package) for name, package in TOYS.items()})


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a child process in which the toys are installed from outside this repository."""
    folder = tmp_path_factory.mktemp("outside")
    info = folder / "mlsd_toys-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlsd-toys\nVersion: 0\n")
    points = "\n".join(f"{name} = {package}" for name, package in TOYS.items())
    (info / "entry_points.txt").write_text(f"[mlsd.cases]\n{points}\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "OMP_NUM_THREADS": "1"}


def child(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "common.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def ends(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """-> (exit code, stdout, stderr) of a command run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(argv=words)
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


# ------------------------------------------------------------------------------------------------------------------ errors

MISTAKES = [
    (["run", "toy_scorr"], "Did you mean 'toy_scorer'?"),
    (["run", "toy_scorer", "--preset", "smok"], "Did you mean 'smoke'?"),
    (["run", "toy_scorer", "--set", "num_usrs=5"], "Did you mean 'num_users'?"),
    (["run", "toy_scorer", "--set", "num_users=many"], "num_users is a whole number"),
    (["run", "toy_scorer", "--data", "cvs:x"], "Did you mean 'csv'?"),
    (["run", "toy_scorer", "--data", "csv:no/such/folder"], "there is no 'no/such/folder'"),
    (["run", "toy_scorer", "--data", "mine.csv"], "Expected NAME:PATH, for a table of yours --data csv:mine.csv"),
    (["experiment", "toy_scorer", "more male"], "Did you mean 'more mail'?"),
    (["drill", "toy_scorer", "hang modle"], "Did you mean 'hang model'?"),
    (["demo", "toy_scorr"], "Did you mean 'toy_scorer'?"),
    (["serve", "toy_scorer", "--out", "{empty}"], "mlsd run toy_scorer"),
    (["traffic", "toy_scorer", "--out", "{empty}"], "mlsd run toy_scorer"),
    (["registry", "--point", "live=1"], "needs the case"),
    (["data", "no/such.csv", "--case", "toy_scorer"], "Expected a .csv, .csv.gz or .parquet file, or a folder"),
    (["data", "no/such.csv"], "Say --case CASE"),
    (["capacity", "toy_scorer"], "states no CAPACITY"),
    (["coverage", "NONSENSE"], "No syllabus id begins with 'NONSENSE'"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=lambda part: " ".join(part) if isinstance(part, list) else "")
def test_a_mistake_is_one_paragraph_that_says_what_to_change(
    words: list[str], told: str, toys: None, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = ends(capfd, *(word.replace("{empty}", str(tmp_path)) for word in words))
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())
    assert err.startswith("error: ") and "Traceback" not in err and "\n\n" not in err.strip()


def test_debug_adds_the_traceback_and_keeps_the_exit_code(toys: None, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = ends(capfd, "run", "toy_scorr", "--debug")
    assert code == 2 and "Traceback" in err and "Did you mean" in err


def test_our_own_fault_is_exit_1_and_one_line(
    toys: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Case, "stage", lambda *_: 1 / 0)
    code, out, err = ends(capfd, "capacity", "toy_scorer")
    assert (code, out) == (1, "") and "ZeroDivisionError" in err and "Traceback" not in err


@pytest.mark.parametrize("said", [None, "ACTIVE"])
def test_waiting_threads_sleep_unless_somebody_said_otherwise(
    said: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", said or "")
    if said is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    ends(capfd, "list")
    assert os.environ["OMP_WAIT_POLICY"] == (said or "PASSIVE")


def test_an_unknown_command_names_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = ends(capfd, "rnu")
    assert code == 2 and "Did you mean 'run'?" in err


def test_a_port_in_use_is_said_before_anything_is_trained(
    toys: None, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = ends(capfd, "demo", "toy_scorer", "--port", port, "--out", str(tmp_path))
    assert code == 2 and port in err and "--port" in err and not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------- one case filled in


def test_python_m_case_is_the_same_commands_without_the_case(toys: None, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(case="toy_scorer", argv=["--help"])
    out = capfd.readouterr().out
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in COMMANDS)
    with pytest.raises(SystemExit) as ended:
        main(case="toy_scorer", argv=["experiment", "--json"])
    assert ended.value.code == 0
    assert json.loads(capfd.readouterr().out)["experiments"][0]["experiment"] == "more mail"


# ------------------------------------------------------------------------------------------------------------------- output

JSON_COMMANDS = [["list"], ["registry"], ["drill"], ["experiment", "toy_scorer"], ["coverage"]]


@pytest.mark.parametrize("words", JSON_COMMANDS, ids=" ".join)
def test_with_json_stdout_holds_one_object(words: list[str], toys: None, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ends(capfd, *words, "--json")
    assert code == 0 and isinstance(json.loads(out), dict)


def test_a_failed_check_of_the_doctor_is_exit_1(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, state in ((0, "ok"), (0, "warn"), (1, "fail")):
        monkeypatch.setattr(doctor, "checks", lambda _, state=state: {"memory": lambda: (state, "found", "do")})
        ended, out, _ = ends(capfd, "doctor", "--json")
        assert ended == code and json.loads(out)["checks"][0]["state"] == state


def test_whatever_a_library_prints_stays_off_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with output.results_alone():
        os.write(1, b"from C\n")
        output.write("from Python")
        output.show("things", [{"a": 1}], as_json=True)
    os.write(1, b"after\n")
    out, err = capfd.readouterr()
    assert json.loads(out.removesuffix("after\n")) == {"things": [{"a": 1}]}
    assert "from C" in err and "from Python" in err


def test_a_table_is_never_wider_than_120() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a" * 40, "n": i, "words": "word " * 40, "path": "x/" * 60} for i in range(3)
    ]
    assert max(map(len, output.table(rows).splitlines())) <= 120


def test_help_and_list_load_nothing_heavy(outside: dict[str, str]) -> None:
    code = """
import sys
import tomllib
from common.cli import main
for words in (["--help"], ["run", "--help"], ["list"]):
    try:
        main(argv=words)
    except SystemExit:
        pass
heavy = {"torch", "lightgbm", "faiss", "pandas", "transformers", "sklearn", "fastapi"} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_data_drafts_a_schema_for_every_installed_case(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("user_id,event_time,colour\n1,1700000000,red\n2,1700000100,blue\n")
    for case in cases.find():
        code, out, _ = ends(capfd, "data", str(file), "--case", case)
        assert code == 0 and 'user_id = "user_id"' in out and 'colour = "category"' in out


def test_the_draft_says_what_comes_next_and_keeps_it_out_of_the_file(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, toys: None
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("user_id,event_time\n1,1700000000\n2,1700000100\n")
    _, out, err = ends(capfd, "data", str(file), "--case", "toy_scorer")
    following = f"save it as {tmp_path / 'schema.toml'}, then: mlsd run toy_scorer --data csv:{file}"
    assert following in err and following not in out
    tomllib.loads(out)


def test_data_md_names_every_data_set_and_every_role_of_the_rows() -> None:
    """A data set or a role that a case gains is missing on the page until somebody says where it comes from."""
    page = (ROOT / "docs" / "data.md").read_text()
    for name, case in cases.find().items():
        rows = next(iter(case.stage("data").ROLES.values()))
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} | `"))
        _, _, required, optional, _ = row.split("|")
        assert re.findall(r"`(\w+)`", required) == list(rows.required)
        assert re.findall(r"`(\w+)`", optional) == list(rows.optional)
        for data in case.stage("config").OVERRIDES:
            assert re.search(rf"^\| .*`{data}:\w+`.* \| ({name}|all) \|", page, re.MULTILINE), data


def test_the_times_of_the_demo_are_called_what_they_are() -> None:
    """`seconds` is the whole pipeline, so nothing may call it the training."""
    run = {"case": "nobody", "preset": "demo", "seconds": 7.5, "latency": {"p50_ms": 1.0, "p99_ms": 2.0}}
    primary = {"name": "auc", "value": 0.5}
    rows = beside_readme(run | {"reports": {"model": {"primary": primary}}})
    assert {row["what"]: row["this machine"] for row in rows} == {
        "auc": 0.5,
        "run, s": 7.5,
        "p50 of an answer, ms": 1.0,
        "p99 of an answer, ms": 2.0,
    }


# ------------------------------------------------------------------------------------------------------------------- drills


@pytest.mark.parametrize("flaw", ["late", "unlabelled", "errors"])
def test_a_drill_that_finds_a_flaw_is_exit_1(
    flaw: str, toys: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = {"drill": "x", "late": 0, "unlabelled": 0, "errors": 0, "looks": ""}
    (tmp_path / "toy_scorer" / "versions" / "20260101-000000-000000-00000000").mkdir(parents=True)
    for code, found in ((0, row), (1, row | {flaw: 1})):
        monkeypatch.setattr(drill, "run", lambda *_, found=found: [found])
        assert ends(capfd, "drill", "toy_scorer", "--out", str(tmp_path))[0] == code


# -------------------------------------------------------------------------------------------------------------------- pages


def test_every_command_the_pages_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/DESIGN.md")]:
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))
        named = {(word, name) for word, name in re.findall(r"\b(mlsd|make) +([a-z]+)\b", code)}
        unknown = [f"{word} {name}" for word, name in named if name not in (COMMANDS if word == "mlsd" else targets)]
        assert not unknown, f"{page.relative_to(ROOT)} names {unknown}"


# ------------------------------------------------------------------------------------------------------------ the whole way


@pytest.mark.slow
def test_run_serve_and_drill_a_case_from_outside_the_repository(outside: dict[str, str], tmp_path: Path) -> None:
    home = str(tmp_path)
    ran = child(outside, "run", "toy_scorer", "--preset", "smoke", "--set", "seed=3", "--out", home, "--json")
    found = json.loads(ran.stdout)
    assert ran.returncode == 0 and (found["case"], found["preset"]) == ("toy_scorer", "smoke")
    assert set(found["reports"]) == {"baseline", "model", "ceiling"}
    assert set(found["paired"]) == {"model-baseline", "model-ceiling"}
    assert set(found["reports"]["model"]["primary"]) == {"name", "value", "low", "high", "n", "direction", "origin"}
    listed = json.loads(child(outside, "registry", "toy_scorer", "--out", home, "--json").stdout)
    assert listed["versions"] == [{"case": "toy_scorer", "version": found["artifact"], "aliases": ["latest", "live"]}]
    played = child(outside, "traffic", "toy_scorer", "--visits", "30", "--out", home, "--json")
    row = json.loads(played.stdout)["traffic"][0]
    assert (row["visits"], row["answered"], row["errors"]) == (30, 30, {})
    drilled = child(outside, "drill", "toy_scorer", "fail model", "--out", home, "--json")
    rows = json.loads(drilled.stdout)["drills"]
    assert drilled.returncode == 0 and rows[1]["degraded"] == ["model"] and rows[1]["unlabelled"] == 0


@pytest.mark.slow
def test_a_drill_without_an_artifact_trains_one_for_itself(outside: dict[str, str], tmp_path: Path) -> None:
    done = child(outside, "drill", "toy_scorer", "fail model", "--out", str(tmp_path / "none"))
    assert done.returncode == 0 and "training it at SMOKE" in done.stderr and not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures(outside: dict[str, str], tmp_path: Path) -> None:
    words = ["run", "toy_ranker", "--preset", "smoke", "--json", "--out"]
    first, second = (json.loads(child(outside, *words, str(tmp_path / name)).stdout) for name in "ab")
    assert first["reports"] == second["reports"] and first["paired"] == second["paired"]


@pytest.fixture
def demo(outside: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo of one toy, and the port it serves on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["demo", "toy_scorer", "--preset", "smoke", "--port", port, "--out", str(tmp_path / "runs")]
    command = [sys.executable, "-u", "-m", "common.cli", *words]
    with subprocess.Popen(command, env=outside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, port
        process.kill()


@pytest.mark.slow
def test_the_demo_prints_a_curl_line_that_works_and_ends_on_ctrl_c(demo: tuple[subprocess.Popen[str], str]) -> None:
    process, port = demo
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("curl "):
            break
    assert len([line for line in lines if re.match(r"[1-7] [a-z]+ ", line)]) == 7
    *_, url_line = (line for line in lines if line.startswith("http"))
    assert url_line.startswith(f"http://127.0.0.1:{port} ")
    answer = subprocess.run(shlex.split(lines[-1]), capture_output=True, check=True)
    assert "request_id" in json.loads(answer.stdout)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", int(port))) != 0
