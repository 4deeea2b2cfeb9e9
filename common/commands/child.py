"""`mlsd serve --wait` as a child process: up before the first case is trained, ended whatever happens to the demo."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.cases import Case
from common.commands import output

HOST = "127.0.0.1"
UP_SECONDS = 30.0
READY_SECONDS = 120.0
END_SECONDS = 10.0


class Child:
    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.process = process

    def until_up(self) -> None:
        self._until(lambda: self._get("/health") is not None, UP_SECONDS, "The server does not answer.")

    def until_ready(self, versions: Mapping[str, str]) -> None:
        """Until every case answers with the version just trained."""

        def ready() -> bool:
            found = self._get("/cases")
            served = {case["name"]: case.get("version") for case in found["cases"]} if found else {}
            return served == dict(versions)

        self._until(ready, READY_SECONDS, "The server did not take in every case; what it said stands above.")

    def try_curl(self, case: Case) -> str:
        """The curl line that asks a case its example; run before it is shown, so it is known to work."""
        from common.serving.pages import curl

        line = curl(self.url + case.stage("serve").ROUTE, case.stage("schema").EXAMPLE)
        answer = _run(shlex.split(line))
        if b'"request_id"' not in answer:
            raise RuntimeError(
                f"This line was to be printed as one that works, and does not: {line}\nIt gave: {answer.decode()[:300]}"
            )
        return line

    def wait(self) -> None:
        """Until Ctrl-C, which ends the demo well; a server that ends by itself does not."""
        try:
            code = self.process.wait()
        except KeyboardInterrupt:
            output.say("\nended")
            return
        raise RuntimeError(f"The server ended by itself (exit {code}); what it said stands above.")

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _get(self, path: str) -> Any:
        import httpx2

        try:
            return httpx2.get(self.url + path, timeout=5).json()
        except (httpx2.HTTPError, ValueError):
            return None

    def _until(self, true: Callable[[], bool], seconds: float, otherwise: str) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(otherwise)
            time.sleep(0.1)


@contextmanager
def serving(found: Sequence[Case], port: int, out: Path) -> Iterator[Child]:
    """A server of these cases while the block runs. Its clock goes on from where the logs end: these worlds are not of today."""
    from common.serving.run import listen

    listen(HOST, port).close()  # a port that is taken is said here, before anything is trained
    names = [case.name for case in found]
    words = ["serve", *names, "--wait", "--clock", "simulated", "--host", HOST, "--port", str(port), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "common.cli", *words], stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()
    )
    child = Child(f"http://{HOST}:{port}", process)
    try:
        child.until_up()
        output.say(f"status page: {child.url}")
        yield child
    finally:
        child.end()


def _run(words: Sequence[str]) -> bytes:
    """curl's answer; where there is no curl, the same request by other means."""
    if shutil.which("curl"):
        return subprocess.run([*words, "--max-time", "10"], capture_output=True, check=False).stdout
    import httpx2

    url, header, body = words[2], words[4], words[6]
    name, _, value = header.partition(": ")
    return bytes(httpx2.post(url, headers={name: value}, content=body, timeout=10).content)
