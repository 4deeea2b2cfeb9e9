"""The foundations load nothing heavy until it is needed: `mlsd --help` and a server's start depend on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "lightgbm", "faiss", "pandas", "pyarrow", "sklearn", "scipy", "rich")
LIGHT = (
    "common.config",
    "common.population",
    "common.data.door",
    "common.data.splits",
    "common.lifecycle.registry",
    "common.lifecycle.home",
    "common.training.loop",
    "common.training.seeding",
)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"
