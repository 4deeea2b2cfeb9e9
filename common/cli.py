"""The command line. `mlsd` offers every command; `python -m CASE` the same commands with the case filled in.

One file per command in common/commands/. They import nothing heavy before they run, so `mlsd --help` answers at once; libraries are
loaded by the stage that needs them. Exit codes: 0 done, 1 it failed, 2 what was asked for cannot be done (the message says what to change).
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from common.commands import (
    capacity,
    compare,
    coverage,
    data,
    demo,
    doctor,
    drill,
    experiment,
    output,
    registry,
    report,
    run,
    score,
    serve,
    traffic,
)
from common.commands import list as list_
from common.errors import InputError

COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_.command,
    "demo": demo.command,
    "run": run.command,
    "report": report.command,
    "compare": compare.command,
    "experiment": experiment.command,
    "serve": serve.command,
    "score": score.command,
    "traffic": traffic.command,
    "registry": registry.command,
    "drill": drill.command,
    "data": data.command,
    "coverage": coverage.command,
    "capacity": capacity.command,
    "doctor": doctor.command,
}
ABOUT = "Machine-learning systems from the system-design whiteboard, really running."


def main(case: str | None = None, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits. --debug and --json may stand anywhere on the line."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Read when the first library with OpenMP is loaded. Threads that wait would else spin: beside one other busy process training took ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a polite kill ends like Ctrl-C: children are ended first
    try:
        if "--json" in words:
            with output.results_alone():
                build(case)(words)
        build(case)(words)
    except InputError as error:
        _stop(2, str(error), debug)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `mlsd list | head -1`
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        _stop(1, f"{type(error).__name__}: {error}. That is a fault of ours; --debug shows where.", debug)
    sys.exit(0)


def build(case: str | None = None) -> typer.Typer:
    """The app; with a case, every command that takes one has it filled in."""
    app = typer.Typer(
        name=f"python -m {case}" if case else "mlsd",
        help=ABOUT,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        context_settings={"max_content_width": output.WIDTH},
    )
    app.callback()(_options)
    for name, command in COMMANDS.items():
        app.command(name)(with_case(command, case) if case else command)
    return app


def with_case(command: Callable[..., None], case: str) -> Callable[..., None]:
    """The command without its CASE argument, as typer reads it from the signature."""
    signature = inspect.signature(command, eval_str=True)
    fixed: dict[str, Any] = {"case": case, "cases": [case]}
    fixed = {name: value for name, value in fixed.items() if name in signature.parameters}

    @functools.wraps(command)
    def bound(**given: Any) -> None:
        command(**fixed, **given)

    left = [parameter for name, parameter in signature.parameters.items() if name not in fixed]
    bound.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return bound


def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """--debug is taken out in `main`, before typer looks; declared here so that --help names it."""


def _stop(code: int, message: str, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    output.say("error: " + textwrap.fill(message, 110, break_long_words=False, break_on_hyphens=False))
    sys.exit(code)


if __name__ == "__main__":
    main()
