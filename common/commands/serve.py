"""`mlsd serve [CASE...]`: the live artifacts over HTTP, on one port, with a status page at /."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common import cases as installed
from common.cases import Case
from common.commands import options, output
from common.errors import InputError, NotReady

if TYPE_CHECKING:
    from common.contract import Platform
    from common.lifecycle.home import Home
    from common.serving.app import Server

LOOK_EVERY_SECONDS = 0.5
DAY = 86_400


class ClockKind(StrEnum):
    system = "system"
    simulated = "simulated"


def command(
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="The cases; without any, all.")] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535)] = 8000,
    clock: Annotated[
        ClockKind, typer.Option("--clock", help="simulated: time is set over HTTP, with a token.")
    ] = ClockKind.system,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", metavar="FILE", help="The token of the clock and of reviewers; made if not there."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Start at once and take in cases as they are trained.")] = False,
    out: options.Out = options.HOME,
) -> None:
    """Serve the live artifact of each case until Ctrl-C."""
    from common.lifecycle.home import Home
    from common.serving.app import Server
    from common.serving.pages import curl
    from common.serving.run import listen, run_server

    found = {name: installed.get(name) for name in cases or installed.find()}
    simulated = clock is ClockKind.simulated
    token = read_token(token_file or out / "token")  # reviewers need it whatever the clock
    server = Server(expected=tuple(found), token=token, simulated_clock=simulated)
    listen(host, port).close()  # a port that is taken is said before anything is loaded
    mounting = Mounting(server, Home(out))
    if wait:
        threading.Thread(target=mounting.take_in, args=(found,), daemon=True).start()
    else:
        for case in found.values():
            mounting.add(case)
    output.say(f"serving {', '.join(found)} on http://{host}:{port}  (Ctrl-C ends)")
    for one in server.cases():
        if "route" in one:
            output.say(curl(f"http://{host}:{port}{one['route']}", one["example"]))
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a server is meant to end
        run_server(server, host, port)
    mounting.close()


class Mounting:
    """Mounts the live version of each case. A log has one writer, so two versions that go on from one log share its platform."""

    def __init__(self, server: Server, home: Home) -> None:
        self.server = server
        self.home = home
        self.platforms: dict[tuple[str, str], Platform] = {}

    def add(self, case: Case) -> str:
        """-> the version mounted. A simulated clock goes on from where the latest log ends."""
        from common.commands.opened import Opened, serve

        artifact = self.home.registry.open(case.name)
        key = (case.name, artifact.manifest["config_fingerprint"])
        if key not in self.platforms:
            views = case.stage("features").VIEWS
            self.platforms[key] = self.home.platform(artifact, views, self.server.clock)
        platform = self.platforms[key]
        self.set_clock(case, Opened(case, artifact, platform.log).time())
        self.server.add(serve(case, artifact, platform))
        return artifact.version

    def set_clock(self, case: Case, end: int) -> None:
        from common.serving.clock import SimulatedClock

        clock = self.server.clock
        if isinstance(clock, SimulatedClock):
            clock.set(end if len(self.platforms) == 1 else max(end, clock.now()))
        elif clock.now() - end > DAY:
            output.say(
                f"{case.name}: its log ends {(clock.now() - end) // DAY:,} days ago, so features of recent time are empty. "
                f"--clock simulated goes on from there."
            )

    def take_in(self, found: Mapping[str, Case]) -> None:
        """Mounts a case as soon as it has a live artifact, and again whenever the alias moves. Never returns."""
        mounted: dict[str, str] = {}
        while True:
            for name, case in found.items():
                live = self.home.registry.aliases(name).get("live")
                if live and live != mounted.get(name):
                    try:
                        mounted[name] = self.add(case)
                    except NotReady:  # published a moment ago, its log is still being written
                        continue
                    except Exception as error:
                        output.say(f"{name}: {error}")
                        mounted[name] = live  # said once; the next version gets its chance
            time.sleep(LOOK_EVERY_SECONDS)

    def close(self) -> None:
        for platform in self.platforms.values():
            platform.close()


def read_token(path: Path) -> str:
    """The token in a file; made there, for its owner alone, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe() + "\n")
    token = path.read_text().strip()
    if len(token) < 16:
        raise InputError(
            f"{path} holds a token of {len(token)} characters; at least 16 are needed. Delete it and a new one is made."
        )
    return token
