"""Scores to an action: one threshold a policy, solved from what mistakes cost.

In:     scores on labelled validation rows, and the two costs; later, the scores of one post.
Out:    Policy.decide -> allow, queue or remove, with the policy and the score that decided.
Choice: the threshold of each policy is where its mistakes on validation cost least; it fails closed: what nobody could judge is queued.
Else:   the threshold costs alone give (cost of a removal over both), where scores are calibrated; one for all, where policies cost alike.
Breaks: a threshold from a handful of positives (then the costs alone decide); a score that is not comparable with last month's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Floats, Invariant
from harmful_content.config import Config
from harmful_content.schema import ACTIONS, Action, Rows

FEWEST = 5  # positives on validation; below, the costs alone decide


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    """predictions [n, num_policies] of labelled rows."""
    label, weight = rows.targets(config.hand_weight)
    columns = zip(predictions.T, label.T, weight.T, strict=True)
    return Policy(tuple(cheapest(*column, config.removal_cost, config.harm_cost) for column in columns))


def load(folder: Path) -> Policy:
    return Policy(tuple(json.loads((folder / "policy.json").read_text())["thresholds"]))


@dataclass(frozen=True)
class Decision:
    """`policy` and `score` are those that decided, or the nearest to it; -1 and 0 where nothing was judged."""

    action: Action
    policy: int
    score: float


@dataclass(frozen=True)
class Policy:
    thresholds: tuple[float, ...]  # one a policy

    def decide(self, scores: Floats | None) -> Decision:
        """scores [num_policies] of one post; None where no stage could judge it."""
        if scores is None:
            return Decision("queue", -1, 0.0)
        above = scores / np.array(self.thresholds)
        policy = int(above.argmax())
        return Decision("remove" if above[policy] >= 1 else "allow", policy, float(scores[policy]))

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps({"thresholds": self.thresholds}))


def cheapest(score: Floats, label: Floats, weight: Floats, removal_cost: float, harm_cost: float) -> float:
    """The threshold, in (0, 1], at which removing from it upwards costs least: removal_cost for each post that was fine, harm_cost for each
    that stays and was not. It stands half way to the next score below."""
    by_cost = removal_cost / (removal_cost + harm_cost)
    if label[weight > 0].sum() < FEWEST:
        return by_cost
    order = np.argsort(-score, kind="stable")
    ranked, saved = score[order], (weight * (harm_cost * label - removal_cost * (1 - label)))[order]
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))  # equal scores go together
    worth = np.cumsum(saved)[ends]
    best = int(worth.argmax())
    if worth[best] <= 0:
        return max(by_cost, float(ranked[0]))
    below = float(ranked[ends[best] + 1]) if ends[best] + 1 < len(ranked) else 0.0
    return (float(ranked[ends[best]]) + below) / 2


def _milder(policy: Policy, rng: np.random.Generator) -> str:
    scores = rng.random(len(policy.thresholds))
    higher = scores + rng.random(len(scores)) * (1 - scores)
    first, then = policy.decide(scores), policy.decide(higher)
    if ACTIONS.index(then.action) < ACTIONS.index(first.action):
        return f"{first.action} at {scores.round(3)}, {then.action} at {higher.round(3)}"
    return ""


def _unjudged(policy: Policy, rng: np.random.Generator) -> str:
    action = policy.decide(None).action
    return "" if action == "queue" else f"{action} without a score"


def _unfounded(policy: Policy, rng: np.random.Generator) -> str:
    scores = rng.random(len(policy.thresholds)) ** 4
    found = policy.decide(scores)
    if found.action == "remove" and scores[found.policy] < policy.thresholds[found.policy]:
        return f"removed at {found.score:.3f}, threshold {policy.thresholds[found.policy]:.3f}"
    if found.action == "allow" and (scores >= np.array(policy.thresholds)).any():
        return f"allowed at {scores.round(3)}, thresholds {np.round(policy.thresholds, 3)}"
    return ""


INVARIANTS: Mapping[str, Invariant] = {
    "a higher score never brings a milder action": _milder,
    "what nobody could judge is queued, never allowed": _unjudged,
    "a post is removed if, and only if, a policy's threshold is reached": _unfounded,
}
