"""Scores -> enforcement: allow, demote, queue for a reviewer, or remove and say why.

In:     the scores of a post, with its reports and without; what is not known of it; who reported it; how often it will be seen.
Out:    Policy.decide(request, candidates, context) -> Decision: the action, under which policy, at which threshold, for what reasons. Beside it
        the queue's order (queue), what reports are worth (reports), appeals and strikes (appeals).
Choice: thresholds solved from stated costs on calibrated probabilities, raised to each policy's precision floor where labels by hand show that it is
        kept, and no removal by machine where they do not. What cannot be judged goes to a person. Reports hurry a person, and do no more.
Else:   thresholds that follow each post's own views, when reviewers are so few that a machine must take the popular posts too; one threshold for
        all, in week one.
Breaks: a floor that is not kept (test_policy_thresholds.py counts how often), a bomb of reports, a fault that lets a post pass: INVARIANTS;
        costs that nobody believes: experiments review_or_act and rules show what each changes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats
from harmful_content.config import Config
from harmful_content.policy import enforcement
from harmful_content.policy.calibrating import Calibration
from harmful_content.policy.costs import Costs
from harmful_content.policy.enforcement import Actions, Context, Decision, Scored
from harmful_content.policy.invariants import INVARIANTS
from harmful_content.policy.reports import Reports, Trust
from harmful_content.policy.thresholds import Threshold, solve
from harmful_content.schema import Request, Rows

__all__ = ["INVARIANTS", "Actions", "Context", "Decision", "Policy", "Reports", "Scored", "Threshold", "fit", "load"]


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    """predictions [n, num_policies] on labelled validation rows -> the thresholds. Only labels by hand count: natural ones say what was reported."""
    return solved(predictions, rows.hand_label, config)


def solved(scores: Floats, labels: Floats, config: Config, off: tuple[str, ...] = ()) -> Policy:
    """scores, labels [n, num_policies], labels NaN where nobody looked. `off`: rules of RULES that do not hold, to learn what they cost."""
    costs, calibration = Costs.of(config, scores.shape[1]), Calibration.fit(scores, labels)
    floor = 0.0 if "floor" in off else config.precision_floor
    thresholds = solve(costs, calibration.apply(scores), labels, floor, "demotion while waiting" not in off)
    return Policy(costs=costs, calibration=calibration, thresholds=thresholds, trust=Trust.of(config), off=off)


def load(folder: Path) -> Policy:
    read = json.loads((folder / "policy.json").read_text())
    costs: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in read["costs"].items()
    }
    return Policy(
        costs=Costs(**costs),
        calibration=Calibration.of_json(read["calibration"]),
        thresholds=tuple(Threshold(**one) for one in read["thresholds"]),
        trust=Trust(**read["trust"]),
        off=tuple(read["off"]),
    )


@dataclass(frozen=True, kw_only=True)
class Policy:
    costs: Costs
    calibration: Calibration
    thresholds: tuple[Threshold, ...]
    trust: Trust
    off: tuple[str, ...] = ()

    def decide(self, request: Request | None, candidates: Scored, context: Context) -> Decision:
        """One post: candidates are its scores."""
        return enforcement.decide(self, -1 if request is None else request.post_id, candidates, context)

    def act(self, scores: Floats, push: Floats | None = None, views: Floats | None = None) -> Actions:
        """Many posts at once, for a sweep after a policy changed and for experiments: scores [n, num_policies] without reports; push [n, num_policies] of
        Trust.pushes; views [n] still to come."""
        n = len(scores)
        return enforcement.act(
            self,
            scores,
            scores,
            np.zeros(scores.shape) if push is None else push,
            np.zeros(n, dtype=bool),
            np.full(n, self.costs.views) if views is None else views,
        )

    def column(self, name: str) -> Floats:
        """[num_policies] of the thresholds: demote, queue, remove or waiting."""
        return np.array([getattr(one, name) for one in self.thresholds])

    def save(self, folder: Path) -> None:
        saved = {
            "costs": asdict(self.costs),
            "calibration": self.calibration.as_json(),
            "thresholds": [asdict(one) for one in self.thresholds],
            "trust": asdict(self.trust),
            "off": self.off,
        }
        (folder / "policy.json").write_text(json.dumps(saved))
