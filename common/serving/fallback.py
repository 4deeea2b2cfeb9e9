"""The fallback ladder: the best rung that answers in time; which one it was is never a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from common.serving.deadline import Deadline, Stages

T = TypeVar("T")

LAST = "last"


def ladder(
    stages: Stages, deadline: Deadline, rungs: Mapping[str, Callable[[], T]], last: Callable[[], T]
) -> tuple[str, T]:
    """Tries the rungs in order, each as a stage under its own limit; `last` cannot fail. -> (name of the rung that answered, its answer).

    Every rung that missed stands in `deadline.degraded`; "last" is the name when none answered. The limits of the rungs have to add up to
    less than the deadline, or the lower ones are cut before they start.
    """
    for name, rung in rungs.items():
        came = stages.side_by_side(deadline, {name: rung})
        if came:
            return name, came[name]
    return LAST, last()
