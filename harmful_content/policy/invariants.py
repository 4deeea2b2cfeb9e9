"""Every rule as a sentence, and the function that tries to break it on random posts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Floats, Invariant
from harmful_content.policy.enforcement import ALLOW, DEMOTE, QUEUE, REMOVE, Context, Decision, Scored
from harmful_content.policy.reports import Reports
from harmful_content.schema import ACTIONS

if TYPE_CHECKING:
    from harmful_content.policy import Policy

FAULTS = ("the model is absent", "the model is late", "the language is unknown", "the image cannot be decoded")


def draw(policy: Policy, rng: np.random.Generator) -> tuple[Scored, Context]:
    """A random post: scores at both ends and exactly on thresholds, missing ones, reports from none to thousands by anybody, faults, earlier reviews."""
    n = len(policy.thresholds)
    unreported = rng.beta(0.1, float(rng.choice([0.5, 5.0])), n)
    met = rng.random(n) < 0.1
    unreported[met] = np.clip(policy.column(str(rng.choice(["demote", "queue", "remove"]))), 0, 1)[met]
    score = unreported.copy()
    reports = None
    if rng.random() < 0.6:
        reports = crowd(rng, n, int(rng.choice([1, 5, 50, 2_000])))
        score = np.clip(unreported + rng.random() * (rng.random(n) < 0.5), 0, 1)  # a model that believes them
    if rng.random() < 0.1:
        score[rng.integers(n)] = unreported[rng.integers(n)] = np.nan
    faults = [fault for fault in FAULTS if rng.random() < 0.03]
    if FAULTS[0] in faults:
        score, unreported = np.full(n, np.nan), np.full(n, np.nan)
    reviewed = None if rng.random() < 0.9 else bool(rng.random() < 0.5)
    context = Context(
        reports=reports,
        faults=faults,
        reviewed=reviewed,
        views=float(rng.lognormal(3, 2)),
        policies=tuple(f"policy {one}" for one in range(n)),
        nearly=-1 if rng.random() < 0.9 else int(rng.integers(n)),
    )
    return Scored(score=score, unreported=unreported, version="v1"), context


def crowd(rng: np.random.Generator, num_policies: int, m: int) -> Reports:
    """m reports by anybody, some by the same person."""
    return Reports(
        reporter_id=rng.integers(0, 2 * m, m),
        policy=rng.integers(0, num_policies, m),
        upheld=rng.integers(0, 30, m) * (rng.random(m) < 0.3),
        rejected=rng.integers(0, 30, m) * (rng.random(m) < 0.3),
        account_days=rng.exponential(60, m),
    )


def _unreported(scored: Scored, context: Context) -> tuple[Scored, Context]:
    """The same post, had nobody reported it."""
    return replace(scored, score=scored.unreported), replace(context, reports=None)


def _reports_only_queue(policy: Policy, scored: Scored, context: Context) -> str:
    with_them = policy.decide(None, scored, context)
    without = policy.decide(None, *_unreported(scored, context))
    if with_them.action in (DEMOTE, REMOVE) and with_them.action != without.action:
        return f"{ACTIONS[without.action]} without its reports, {ACTIONS[with_them.action]} with them"
    return "demoted by its reports alone" if with_them.is_demoted and not without.is_demoted else ""


def _reports_never_excuse(policy: Policy, scored: Scored, context: Context) -> str:
    with_them = policy.decide(None, scored, context).action
    without = policy.decide(None, *_unreported(scored, context)).action
    return f"{ACTIONS[without]} without its reports, {ACTIONS[with_them]} with them" if with_them < without else ""


def _untested_bounded(policy: Policy, scored: Scored, context: Context) -> str:
    """However many, whatever they report: under no policy more than the stated bound, not even together."""
    if context.reports is None:
        return ""
    new = replace(context.reports, account_days=np.zeros(len(context.reports.policy)))
    push, bound = policy.trust.pushes(new, len(scored.score)), policy.trust.most_untested()
    return f"new accounts add {push.max():.3f}, the bound is {bound:.3f}" if push.max() > bound + 1e-12 else ""


def _once_a_person(policy: Policy, scored: Scored, context: Context) -> str:
    if context.reports is None:
        return ""
    columns = vars(context.reports)
    twice = Reports(**{name: np.concatenate([column, column]) for name, column in columns.items()})
    once, again = (policy.trust.pushes(one, len(scored.score)) for one in (context.reports, twice))
    return "" if np.allclose(once, again) else f"reporting twice adds {np.abs(again - once).max():.3f}"


def _closed(policy: Policy, scored: Scored, context: Context) -> str:
    whole = np.isfinite([scored.score, scored.unreported]).all() and not context.faults
    if whole or context.reviewed is not None:
        return ""
    decision = policy.decide(None, scored, context)
    if decision.action != QUEUE:
        return f"{ACTIONS[decision.action]} though {', '.join(context.faults) or 'a score is missing'}"
    return "" if any(one.reason == "fails closed" for one in decision.why) else "queued, and the fault is not said"


def _decided(policy: Policy, scored: Scored, context: Context) -> str:
    if context.reviewed is None:
        return ""
    decision = policy.decide(None, scored, context)
    want = REMOVE if context.reviewed else ALLOW
    right = decision.action == want and not decision.is_demoted
    return "" if right else f"{ACTIONS[decision.action]} though a reviewer said {context.reviewed}"


def _hardest(policy: Policy, scored: Scored, context: Context) -> str:
    """Policy by policy once more, by other means than enforcement.act."""
    if (
        context.faults
        or context.reviewed is not None
        or context.nearly >= 0
        or not np.isfinite([scored.score, scored.unreported]).all()
    ):
        return ""
    alone, _ = _unreported(scored, context)
    content = policy.calibration.apply(alone.score[None])[0].tolist()
    asked = [_asks(policy, one, probability) for one, probability in enumerate(content)]
    decision = policy.decide(None, *_unreported(scored, context))
    if decision.action != max(asked):
        return f"{ACTIONS[decision.action]}, and a policy asks for {ACTIONS[max(asked)]}"
    tied = [one for one, action in enumerate(asked) if action == max(asked)]
    most = max(policy.costs.severity[one] for one in tied)
    wrong = decision.action > ALLOW and (decision.policy not in tied or policy.costs.severity[decision.policy] < most)
    return f"policy {decision.policy} is named, of {tied}" if wrong else ""


def _asks(policy: Policy, one: int, probability: float) -> int:
    least = policy.thresholds[one]
    if probability >= least.remove:
        return REMOVE
    return QUEUE if probability >= least.queue else DEMOTE if probability >= least.demote else ALLOW


def _said(policy: Policy, scored: Scored, context: Context) -> str:
    decision: Decision = policy.decide(None, scored, context)
    if decision.action == ALLOW and context.reviewed is None:
        return "allowed, and a reason is given" if decision.why else ""
    if not decision.why:
        return f"{ACTIONS[decision.action]} without a reason"
    named = decision.policy >= 0 and any(f"policy {decision.policy}:" in one.evidence for one in decision.why)
    return (
        ""
        if named or context.reviewed is not None or decision.why[0].reason == "fails closed"
        else "the policy is not said"
    )


def _harder_with_more(policy: Policy, scored: Scored, context: Context) -> str:
    more: Floats = np.minimum(scored.unreported + 0.1, 1.0)
    before, after = (policy.decide(None, one, replace(context, reports=None)).action for one in (replace(scored, score=scored.unreported), replace(scored, score=more, unreported=more)))  # fmt: skip
    return f"{ACTIONS[before]} became {ACTIONS[after]} at a higher score" if after < before else ""


def _copies_wait(policy: Policy, scored: Scored, context: Context) -> str:
    if context.nearly < 0 or context.reviewed is not None:
        return ""
    found = policy.decide(None, scored, context).action
    alone = policy.decide(None, scored, replace(context, nearly=-1)).action
    return "" if found == max(alone, QUEUE) else f"{ACTIONS[found]}, as no copy {ACTIONS[alone]}"


def _invariant(breaks: Callable[[Policy, Scored, Context], str]) -> Invariant:
    return lambda policy, rng: breaks(policy, *draw(policy, rng))


RULES: Mapping[str, Callable[[Policy, Scored, Context], str]] = {
    "no number of reports alone removes or demotes a post": _reports_only_queue,
    "no report makes an action milder": _reports_never_excuse,
    "reporters without a past add no more than the stated bound": _untested_bounded,
    "a person's second report of a post adds nothing": _once_a_person,
    "what cannot be judged goes to a reviewer, and it is said why": _closed,
    "what a reviewer decided stands": _decided,
    "what nearly is a post taken down goes to a reviewer, and that alone removes nothing": _copies_wait,
    "the hardest action wins, and of equals the most severe policy": _hardest,
    "every action has a reason that names its policy": _said,
    "a higher score never makes an action milder": _harder_with_more,
}
INVARIANTS: Mapping[str, Invariant] = {sentence: _invariant(breaks) for sentence, breaks in RULES.items()}
