"""Probability to decision: send, or do not.

In:     probabilities on labelled validation rows.
Out:    Policy.decide -> which letters to send.
Choice: one threshold that sends the share the config asks for.
Else:   a cost per letter and a value per opening, once both are known.
Breaks: a letter below the threshold that is sent all the same: INVARIANTS says never.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, Floats, Invariant
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Request, Rows


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    return Policy(float(np.quantile(predictions, 1 - config.send_share)))


def load(folder: Path) -> Policy:
    return Policy(json.loads((folder / "policy.json").read_text())["threshold"])


@dataclass(frozen=True)
class Policy:
    threshold: float

    def decide(self, request: Request | None, candidates: Floats, context: None = None) -> Bools:
        return np.asarray(candidates >= self.threshold)

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps({"threshold": self.threshold}))


def _never_below(policy: Policy, rng: np.random.Generator) -> str:
    candidates = rng.random(50)
    wrong = candidates[policy.decide(None, candidates) & (candidates < policy.threshold)]
    return f"sent at {wrong[0]:.3f}, threshold {policy.threshold:.3f}" if len(wrong) else ""


INVARIANTS: Mapping[str, Invariant] = {"a letter below the threshold is never sent": _never_below}
