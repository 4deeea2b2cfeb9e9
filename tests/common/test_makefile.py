"""The build: what `make` offers, the message for a Python that is too old, and where packages come from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.commands import doctor

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in PIP_SETTINGS and not key.startswith("MAKE")}
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False)


def test_help_names_every_target_once() -> None:
    phony = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    listed = re.findall(r"^  make ([a-z]+) +\S", make("help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony)


def test_check_runs_its_parts_in_order_and_trains_nothing() -> None:
    done = make("-n", "check", "VENV=.nowhere", "-o", ".nowhere/.dev").stdout
    parts = ["ruff format --check", "ruff check", "mypy", "lint-imports", '-m "not slow"']
    assert [part for line in done.splitlines() for part in parts if part in line] == parts


def test_demo_args_reach_the_command() -> None:
    assert "mlsd demo --no-serve" in make("-n", "demo", "DEMO_ARGS=--no-serve", "-o", ".venv/.test").stdout


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_is_too_old_is_named_with_the_way_out(tmp_path: Path) -> None:
    old = script(tmp_path / "python", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    done = make("doctor", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0 and "Python 3.9.2, and 3.11 or newer is needed" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    done = make("doctor", f"PYTHON={tmp_path}/none", f"VENV={tmp_path}/venv")
    assert done.returncode != 0 and "There is no" in done.stderr


def installed_with(tmp_path: Path, config: str = "", **environment: str) -> str:
    """The words pip was called with, on an environment whose Python only writes them down."""
    venv, said = tmp_path / "venv", tmp_path / "said"
    script(venv / "bin" / "python", f'case "$*" in *"config list"*) echo "{config}";; *) echo "$*" >> {said};; esac')
    (venv / ".made").touch()
    done = make(f"{venv}/.test", f"VENV={venv}", **environment)
    assert done.returncode == 0, done.stderr
    return said.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux do PyTorch's default wheels bring CUDA")
def test_the_cpu_index_is_added_unless_pip_was_told_where_to_look(tmp_path: Path) -> None:
    cpu = "--extra-index-url https://download.pytorch.org/whl/cpu"
    plain = installed_with(tmp_path / "plain")
    assert (cpu in plain) is not Path("/proc/driver/nvidia/version").exists()
    assert "-c constraints.txt -e .[test]" in plain
    for name in PIP_SETTINGS:
        assert cpu not in installed_with(tmp_path / name, **{name: "1"})
    assert cpu not in installed_with(tmp_path / "configured", "global.extra-index-url='https://example.org/simple'")
    assert (cpu in installed_with(tmp_path / "other", "global.timeout='60'")) == (cpu in plain)


def test_torch_is_pinned_without_a_local_version() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert pins["torch"] == "2.13.0" and not any("+" in version for version in pins.values())


def test_what_is_installed_is_what_was_pinned() -> None:
    state, found, _ = doctor.packages()
    assert state == "ok", found


def test_ci_is_a_sound_script_that_calls_check_then_test() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=False).returncode == 0
    assert text.rstrip().endswith("make check\nmake test")
