"""What holds for every test: where MLSD_DATA leads the data are there, and on the machine that guards `main` nothing is skipped quietly."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: two threads each would be two processes in each other's way
    os.environ.update(MLSD_THREADS="1", OMP_NUM_THREADS="1")

MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:  # on a disk every log and artifact waits for fsync
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

MAY_SKIP = (
    "one case alone",
    "only on ",
    "no view of features.VIEWS is kept by user_id",
    "there is no schema.Item",
    "the pretrained extra is not installed",
)
"""How the reason of a skip begins that is right anywhere: a copy with one case, another operating system, a case that knows nobody, one whose items are its
requests, weights that .ci/run could not have."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that was skipped has failed: an engine or data set that is not there proves nothing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = _reason(report.longrepr)
        if not reason.startswith(MAY_SKIP) and not ("MLSD_DATA" in reason and not os.environ.get("MLSD_DATA")):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped in CI: {reason}"
    return report


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]).removeprefix("Skipped: ") if isinstance(longrepr, tuple) else str(longrepr)
