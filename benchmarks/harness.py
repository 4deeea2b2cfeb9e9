"""What every benchmark here shares: paired timing rounds, an open-loop load, and one shape of result file.

A ratio of two timings taken in turn survives a busy machine; two timings taken one after the other do not.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "fastapi", "starlette", "pydantic", "orjson", "lightgbm", "torch", "faiss-cpu", "scikit-learn")

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """a / b over the rounds: the median, the range, and each side's median in the unit it was measured in."""

    median: float
    low: float
    high: float
    a: float
    b: float
    rounds: int


def paired_rounds(a: Callable[[], float], b: Callable[[], float], rounds: int = 15) -> Ratio:
    """`a` and `b` each measure themselves once and return the figure; they take turns, the order swapped every round."""
    pairs = []
    for i in range(rounds):
        if i % 2:
            second = b()
            pairs.append((a(), second))
        else:
            pairs.append((a(), b()))
    ratios = [x / y for x, y in pairs]
    return Ratio(
        median=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        a=statistics.median(x for x, _ in pairs),
        b=statistics.median(y for _, y in pairs),
        rounds=rounds,
    )


def seconds(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least a share `q` of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1e6) * len(ordered) // 1_000_000) - 1))]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What an open-loop load saw. Latency counts from when a request was meant to leave, so a server that stalls cannot hide it."""

    sent: int
    seconds: float  # from the first request to the last answer
    statuses: Mapping[str, int]
    latency_ms: list[float]  # of the answers with status 200


async def open_loop(
    url: str, requests_per_second: float, seconds: float, bodies: Sequence[bytes], timeout_s: float = 10.0
) -> Load:
    """Posts the bodies in turn at a fixed rate, whether or not earlier answers have come: users do not wait for each other."""
    import httpx2

    statuses: dict[str, int] = {}
    latency: list[float] = []
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
    async with httpx2.AsyncClient(timeout=timeout_s, limits=limits) as client:
        start = time.perf_counter()

        async def send(due: float, body: bytes) -> None:
            try:
                answer = await client.post(url, content=body, headers={"content-type": "application/json"})
                status = str(answer.status_code)
            except httpx2.HTTPError as error:
                status = type(error).__name__
            statuses[status] = statuses.get(status, 0) + 1
            if status == "200":
                latency.append((time.perf_counter() - start - due) * 1e3)

        num = int(requests_per_second * seconds)
        async with asyncio.TaskGroup() as group:
            for i in range(num):
                due = i / requests_per_second
                await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
                group.create_task(send(due, bodies[i % len(bodies)]))
    return Load(sent=num, seconds=time.perf_counter() - start, statuses=statuses, latency_ms=latency)


class Child:
    """A server in its own process: `python -m` with these words. It prints a line when it answers, first where; and "ok" to every line it is told."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.told = self.line().split()
        self.url = self.told[0]
        self.connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        assert self.line() == "ok"

    def cpu_ms(self) -> float:
        """CPU its threads have used so far, where the system tells (Linux)."""
        told = Path(f"/proc/{self.process.pid}/stat")
        if not told.exists():
            return float("nan")
        ticks = told.read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) * 1e3 / os.sysconf("SC_CLK_TCK")

    def ask(self, path: str, body: bytes) -> tuple[float, bytes]:
        """-> (ms, answer)."""
        begin = time.perf_counter()
        self.connection.request("POST", path, body, {"content-type": "application/json"})
        response = self.connection.getresponse()
        answer = response.read()
        ms = (time.perf_counter() - begin) * 1e3
        assert response.status == 200, answer
        return ms, answer

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def write_result(name: str, rows: Sequence[Row], notes: str = "", seed: int | None = None) -> Path:
    """-> benchmarks/results/NAME.json, with NAME.md beside it: the rows, and the machine and versions they were measured with."""
    result = {
        "name": name,
        "origin": "machine",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "seed": seed,
        "notes": notes,
        "rows": [dict(row) for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    replace_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    replace_text(path.with_suffix(".md"), as_markdown(result))
    return path


def machine() -> dict[str, Any]:
    """What a reader needs to compare a timing with their own; no host name."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def as_markdown(result: Mapping[str, Any]) -> str:
    columns = list(dict.fromkeys(key for row in result["rows"] for key in row))
    lines = [
        f"# {result['name']}",
        "",
        result["notes"],
        "",
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
    ]
    lines += ["| " + " | ".join(cell(row.get(key)) for key in columns) + " |" for row in result["rows"]]
    box = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in box["versions"].items())
    lines += [
        "",
        f"Measured {result['date']} on {box['system']}, {box['processor']}, {box['cores']} cores, Python {box['python']}; {versions}; seed {result['seed']}.",
    ]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def replace_text(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
