"""One action for each of many posts, and for one post the reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Bools, Floats, Ints, Why
from harmful_content.policy.reports import Reports, pushed
from harmful_content.schema import ACTIONS, POLICIES

if TYPE_CHECKING:
    from harmful_content.policy import Policy

ALLOW, DEMOTE, QUEUE, REMOVE = range(len(ACTIONS))
NEARLY_RIGHT = 0.15  # of posts nearly like one that a reviewer took down, how many violate (experiment `copies`)
ADVERBS = ("no action", "demoted", "a reviewer decides", "removed")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a model said of one post, [num_policies] each, uncalibrated; NaN where it said nothing. `unreported`: the same post scored as if nobody had
    reported it. Only that score removes or demotes: a model that learnt to believe reports must not become their weapon."""

    score: Floats
    unreported: Floats
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What else is known of a post. `faults`: why the scores are not to be relied on (no model, late, unknown language, an image that cannot be
    decoded), one sentence each. `reviewed`: what a person decided of this very post, None where nobody looked; `nearly`: the place of the policy under which one took down a post nearly like it, -1 for none. `views`: still to come."""

    reports: Reports | None = None
    faults: Sequence[str] = ()
    reviewed: bool | None = None
    nearly: int = -1
    views: float | None = None  # None: as many as the config's typical post
    policies: Sequence[str] = POLICIES


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`action`, `policy`: places in ACTIONS and in the policies; `policy` is the one acted on, of an allowed post the likeliest, -1 where nothing is
    known. `threshold`: the one that was reached, NaN where none was. `is_demoted`: shown less, now. `priority`: harm a review would prevent, a
    minute."""

    action: int
    policy: int
    probability: float
    threshold: float
    is_demoted: bool
    priority: float
    why: list[Why] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Actions:
    """Of n posts: action, policy, is_demoted, priority as in Decision [n]; probability [n, num_policies] as calibrated, with reports; `hardness`
    [n, num_policies] what each policy by itself asks for."""

    action: Ints
    policy: Ints
    is_demoted: Bools
    priority: Floats
    probability: Floats
    hardness: Ints


def act(rules: Policy, score: Floats, unreported: Floats, push: Floats, faulty: Bools, views: Floats) -> Actions:
    """score, unreported, push [n, num_policies], faulty, views [n] -> an action each.

    Every policy asks for the action its probability reaches; the hardest wins, ties go to the more severe policy, then to the likelier. Reports can ask
    for no more than the queue. What could not be judged whole goes to the queue, whatever the rest says."""
    content, full = rules.calibration.apply(unreported), rules.calibration.apply(score)
    unbounded = "report bound" in rules.off
    hurried = pushed(full, push)
    asked = _reached(rules, hurried)
    hardness = np.maximum(_reached(rules, content), asked if unbounded else np.where(asked >= QUEUE, QUEUE, ALLOW))
    faulty = faulty | ~np.isfinite(content).all(axis=1) | ~np.isfinite(full).all(axis=1)
    known = np.where(np.isfinite(hurried), hurried, 0.0)
    severity = np.broadcast_to(rules.costs.severity, known.shape)
    policy = np.lexsort((known, severity, np.where(faulty[:, None], 0, hardness)), axis=-1)[:, -1]
    quiet = hardness.max(axis=1) == ALLOW
    policy = np.where(faulty | quiet, (known * severity).argmax(axis=1), policy)
    policy = np.where(np.isfinite(hurried).any(axis=1), policy, -1)
    action = np.where(faulty, QUEUE, hardness.max(axis=1))
    waits = (np.where(np.isfinite(content), content, 0.0) >= rules.column("waiting")).any(axis=1)
    is_demoted = (action == DEMOTE) | ((action == QUEUE) & waits)
    kept = np.where(is_demoted, rules.costs.kept, 1.0)
    minutes = np.array(rules.costs.minutes)[policy]
    priority = (known * severity).sum(axis=1) * views * kept / minutes
    return Actions(
        action=action, policy=policy, is_demoted=is_demoted, priority=priority, probability=hurried, hardness=hardness
    )


def _reached(rules: Policy, probability: Floats) -> Ints:
    """[n, num_policies] place in ACTIONS; a threshold that is exactly met is reached, NaN reaches none."""
    levels = np.stack([rules.column(name) for name in ("demote", "queue", "remove")], axis=-1)
    reached: Ints = (probability[..., None] >= levels).sum(axis=-1)
    return reached


def decide(rules: Policy, item: int, scored: Scored, context: Context) -> Decision:
    """One post: what a person decided stands; else `act`, with its reasons."""
    views = rules.costs.views if context.views is None else context.views
    push = np.zeros(len(scored.score))
    if context.reports is not None and context.reviewed is None:
        push = rules.trust.pushes(context.reports, len(push))
    faulty = np.array([len(context.faults) > 0])
    found = act(rules, scored.score[None], scored.unreported[None], push[None], faulty, np.array([views]))
    policy, action = int(found.policy[0]), int(found.action[0])
    probability = float(found.probability[0, policy]) if policy >= 0 else float("nan")
    is_demoted, priority = bool(found.is_demoted[0]), float(found.priority[0])
    if context.reviewed is not None:
        action, is_demoted, priority = (REMOVE if context.reviewed else ALLOW), False, 0.0
        said = f"a reviewer has looked: {'a violation' if context.reviewed else 'no violation'}"
        why = [_because(item, ADVERBS[action], float(context.reviewed), said)]
        return Decision(action=action, policy=policy, probability=probability, threshold=float("nan"), is_demoted=False, priority=0.0, why=why)  # fmt: skip
    why = [_because(item, "fails closed", 0.0, fault) for fault in context.faults]
    if not np.isfinite([scored.score, scored.unreported]).all():
        why.append(_because(item, "fails closed", 0.0, "a score is missing"))
    if context.nearly >= 0 and action < REMOVE:
        action, policy = QUEUE, context.nearly
        is_demoted |= float(rules.column("waiting")[policy]) <= NEARLY_RIGHT
        priority = max(priority, _worth_of_a_copy(rules, policy, views, is_demoted))
        probability = float(found.probability[0, policy])
        said = f"{context.policies[policy]}: nearly a post that a reviewer took down, and {NEARLY_RIGHT:.0%} of such violate"
        why.append(_because(item, ADVERBS[QUEUE], NEARLY_RIGHT, said))
    content = rules.calibration.apply(scored.unreported[None])[0]
    order = [policy, *(one for one in range(len(push)) if one != policy)]
    why += [
        _evidence(rules, item, one, int(found.hardness[0, one]), (float(content[one]), float(found.probability[0, one])), scored.version, context)
        for one in order
        if found.hardness[0, one] > ALLOW
    ]  # fmt: skip
    hard = int(found.hardness[0, policy])
    reached = float(rules.column(("demote", "queue", "remove")[hard - 1])[policy]) if hard > ALLOW else float("nan")
    return Decision(
        action=action,
        policy=policy,
        probability=probability,
        threshold=reached,
        is_demoted=is_demoted,
        priority=priority,
        why=why,
    )


def _worth_of_a_copy(rules: Policy, policy: int, views: float, is_demoted: bool) -> float:
    """Harm that a review of it prevents, a minute, if nothing else is known of it."""
    costs = rules.costs
    return NEARLY_RIGHT * costs.severity[policy] * views * (costs.kept if is_demoted else 1.0) / costs.minutes[policy]


def _because(item: int, reason: str, effect: float, evidence: str) -> Why:
    return Why(item=item, stage="policy", reason=reason, effect=effect, evidence=evidence)


def _evidence(
    rules: Policy, item: int, policy: int, hard: int, probability: tuple[float, float], version: str, context: Context
) -> Why:
    """probability: without reports, with them."""
    least = rules.column(("demote", "queue", "remove")[hard - 1])[policy]
    content, hurried = probability
    by = hurried if content < least else content
    said = f"{context.policies[policy]}: probability {by:.3f}, {ACTIONS[hard]} from {least:.3f}"
    said += f"; {content:.3f} without its reports, which only hurry a reviewer" if content < least else ""
    return _because(item, ADVERBS[hard], by, said + (f"; model {version}" if version else ""))
