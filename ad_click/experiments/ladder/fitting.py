"""One rung fitted, the better of its trials kept, and what it costs: seconds, megabytes, lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ad_click import model
from ad_click.experiments.ladder.rungs import Entry
from ad_click.features import Inputs
from ad_click.model.fields import Rung, Seen
from ad_click.schema import Rows
from common.contract import FeatureStore, Floats
from common.eval import classification
from common.eval.calibration import Platt
from common.training.progress import say


def tuned(entry: Entry, trials: Sequence[Any], seen: Seen) -> Fitted:
    """The trial of least log loss on the validation rows, after the calibration that was fitted on them."""
    found = []
    for place, trial in enumerate(trials):
        one = fitted(entry, trial, seen)
        loss = classification.log_loss(seen.held_label, one.score(seen.held_out))
        say(f"{entry.name}, trial {place + 1}: valid log_loss {loss:.5f}, {one.seconds:.1f} s {_plateau(one.rung)}")
        found.append((loss, place, one))
    return min(found, key=lambda one: one[:2])[2]


def fitted(entry: Entry, trial: Any, seen: Seen) -> Fitted:
    start = time.process_time()
    rung = entry.fit(seen, trial)
    seconds = time.process_time() - start
    return Fitted(rung, Platt.fit(seen.held_label, rung.score(seen.held_out)) if entry.platt else None, seconds)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A rung under Platt's two numbers, and the CPU seconds its fit took."""

    rung: Rung
    platt: Platt | None
    seconds: float

    def score(self, inputs: Inputs) -> Floats:
        raw = self.rung.score(inputs)
        return raw if self.platt is None else self.platt.apply(raw)


@dataclass(frozen=True)
class Served:
    """The model as a rung: its size is that of its trees."""

    scorer: model.Model

    def score(self, inputs: Inputs) -> Floats:
        return self.scorer.score(inputs)

    def num_bytes(self) -> int:
        return len(self.scorer.trees)


@dataclass(frozen=True)
class AtHand:
    """In place of Features: inputs that are read already, so what the model's fit takes is its own time."""

    read: Sequence[tuple[Rows, Inputs]]

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        return next(inputs for these, inputs in self.read if these is rows)


def microseconds(score: Callable[[Inputs], Floats], inputs: Inputs) -> float:
    """CPU time of a row when these are scored together: the median of seven."""
    score(inputs)
    times = []
    for _ in range(7):
        start = time.process_time()
        score(inputs)
        times.append(time.process_time() - start)
    return float(np.median(times)) / len(inputs) * 1e6


def _plateau(rung: Rung) -> str:
    """The last validation values of a torch rung: where it stopped getting better."""
    history = [row["valid"] for row in getattr(rung, "history", [])]
    return f"after {len(history)} epochs: " + " ".join(f"{value:.5f}" for value in history[-4:]) if history else ""
