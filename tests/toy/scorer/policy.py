"""Probability to decision: does this letter arrive with a notification, or in silence?

In:     probabilities on labelled validation rows.
Out:    Policy.decide -> which letters to announce.
Choice: one threshold that announces the share the config asks for; letters arrive all the same, and are opened or not.
Else:   what a notification costs and what it adds to the chance of opening (uplift), where that is known; in this world it adds nothing.
Breaks: a letter below the threshold that is announced all the same: INVARIANTS says never.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, Floats, Invariant
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Rows


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    return Policy(float(np.quantile(predictions, 1 - config.announce_share)))


def load(folder: Path) -> Policy:
    return Policy(json.loads((folder / "policy.json").read_text())["threshold"])


@dataclass(frozen=True)
class Policy:
    threshold: float

    def decide(self, candidates: Floats) -> Bools:
        """probabilities [n] -> [n]. A rule that needs the request or a context takes them as well: see the ranker's."""
        return np.asarray(candidates >= self.threshold)

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps({"threshold": self.threshold}))


def _never_below(policy: Policy, rng: np.random.Generator) -> str:
    candidates = rng.random(50)
    wrong = candidates[policy.decide(candidates) & (candidates < policy.threshold)]
    return f"announced at {wrong[0]:.3f}, threshold {policy.threshold:.3f}" if len(wrong) else ""


INVARIANTS: Mapping[str, Invariant] = {"a letter below the threshold is never announced": _never_below}
