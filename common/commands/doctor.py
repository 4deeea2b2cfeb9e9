"""`mlsd doctor`: is this machine ready, and if not, what to do about it. Each check is a function named after what it looks at."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from common.commands import options, output

ROOT = Path(__file__).resolve().parents[2]
MEMORY_GB = 4  # DEMO of the largest case, and a server beside it
Finding = tuple[str, str, str]  # ok | warn | fail, what was found, what to do

# LightGBM and torch bring an OpenMP each. Where the two cannot share a process, the process dies: so another one tries.
BOTH_OPENMP = """
import numpy as np, torch, lightgbm
(torch.ones(512, 512) @ torch.ones(512, 512)).sum().item()
x = np.random.default_rng(0).normal(size=(500, 4))
lightgbm.train({"verbosity": -1, "num_threads": 2}, lightgbm.Dataset(x, label=x[:, 0]), 3)
(torch.ones(512, 512) @ torch.ones(512, 512)).sum().item()
"""


def command(out: options.Out = options.HOME, as_json: options.AsJson = False) -> None:
    """Look at this machine: ok, warn or fail a line, and what to do."""
    rows = []
    for name, look in checks(out).items():
        state, found, do = look()
        rows.append({"check": name, "state": state, "found": found, "do": do})
    output.show("checks", rows, as_json=as_json)
    if any(row["state"] == "fail" for row in rows):
        raise SystemExit(1)


def checks(out: Path) -> dict[str, Callable[[], Finding]]:
    return {
        "python": python,
        "platform code": platform_code,
        "packages": packages,
        "cases": installed_cases,
        "threads": threads,
        "openmp": openmp,
        "number formats": number_formats,
        "home": lambda: writable(out),
        "data": data,
        "memory": memory,
    }


def python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return "ok", f"{found} at {sys.executable}", ""  # an older one cannot import this file; `make` says so


def platform_code() -> Finding:
    """`common` is a taken name on the package index: an installed stranger of that name would hide ours."""
    import common

    folder = Path(str(common.__file__)).resolve().parent
    if folder != ROOT / "common" or not (ROOT / "pyproject.toml").exists():
        return "fail", f"common is {folder}", "pip uninstall common, then: make install"
    return "ok", str(folder), ""


def packages() -> Finding:
    pins = dict(_pins(ROOT / "constraints.txt"))
    wanted = {_name(line) for line in importlib.metadata.requires("mlsd") or []}
    core = {_name(line) for line in importlib.metadata.requires("mlsd") or [] if "extra ==" not in line}
    have = {_plain(found.name): found.version.partition("+")[0] for found in importlib.metadata.distributions()}
    lacking = sorted(core - have.keys())
    if lacking:
        return "fail", f"missing: {', '.join(lacking)}", "make install"
    other = [name for name in sorted(wanted & have.keys() & pins.keys()) if have[name] != pins[name]]
    if other:
        told = ", ".join(f"{name} {have[name]} (tried with {pins[name]})" for name in other)
        return "warn", told, "make install brings the versions everything was tried with"
    return "ok", f"{len(wanted & have.keys())} as in constraints.txt", ""


def _pins(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        name, pinned, version = line.partition("==")
        if pinned:
            yield _plain(name), version.strip()


def _name(requirement: str) -> str:
    return _plain(re.split(r"[^A-Za-z0-9._-]", requirement)[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_cases() -> Finding:
    from common import cases

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"].get(cases.GROUP, {})
    unseen = sorted(declared.keys() - cases.find().keys())
    if unseen:
        return "fail", f"listed in pyproject.toml but not installed: {', '.join(unseen)}", "make install"
    return "ok", ", ".join(cases.find()), ""


def threads() -> Finding:
    from common.training.seeding import num_threads

    said = os.environ.get("OMP_NUM_THREADS")
    found = f"{num_threads()} of {os.cpu_count()} cores" + (f", OMP_NUM_THREADS={said}" if said else "")
    if num_threads() < 2:
        return "warn", found, "Times in the pages are from two cores; training takes longer on one"
    return "ok", found, ""


def openmp() -> Finding:
    if sys.platform != "darwin":
        return "ok", "torch and LightGBM share a process (only macOS is affected)", ""
    try:
        done = subprocess.run([sys.executable, "-c", BOTH_OPENMP], capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "fail", "torch and LightGBM hang in one process", "brew install libomp, then run this again"
    if done.returncode:
        return (
            "fail",
            f"torch and LightGBM crash one process (exit {done.returncode})",
            "brew install libomp, then run this again",
        )
    return "ok", "torch and LightGBM shared a process", ""


def number_formats() -> Finding:
    """What networks are served in follows from it, so timings of two machines may differ by more than their clocks."""
    from common.training import formats

    return "ok", f"networks are served in {str(formats.number_format()).removeprefix('torch.')} ({formats.told()})", ""


def writable(out: Path) -> Finding:
    folder = out.resolve()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=nearest):
            return "ok", f"{folder} can be written", ""
    except OSError as error:
        return "fail", f"{folder}: {error.strerror}", "Name another folder with --out DIR"


def data() -> Finding:
    said = os.environ.get("MLSD_DATA")
    if not said:
        return "warn", "MLSD_DATA is not set", "Tests on public data are skipped; set it to the folder that holds them"
    if not Path(said).is_dir():
        return (
            "fail",
            f"MLSD_DATA={said} is no folder",
            "Set MLSD_DATA to the folder that holds the public data, or unset it",
        )
    return "ok", said, ""


def memory() -> Finding:
    try:
        with Path("/proc/meminfo").open() as lines:  # counts what the kernel would give back as well
            free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    except (OSError, StopIteration):  # not Linux
        return "ok", "free memory is not known here", ""
    if free < MEMORY_GB:
        return "warn", f"{free:.1f} GB free", f"DEMO wants about {MEMORY_GB} GB: close something, or use --preset smoke"
    return "ok", f"{free:.1f} GB free", ""
