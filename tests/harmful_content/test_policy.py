"""Enforcement on random posts: every rule holds, and each rule's test notices a policy that breaks it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from common.eval.calibration import Platt
from harmful_content import policy
from harmful_content.config import DEFAULT
from harmful_content.experiments import drawn
from harmful_content.policy import Context, Decision, Policy, Reports, Scored, enforcement
from harmful_content.policy.enforcement import ALLOW, DEMOTE, QUEUE, REMOVE
from harmful_content.policy.invariants import FAULTS, RULES, crowd, draw
from harmful_content.policy.reports import Trust, pushed
from harmful_content.schema import POLICIES, Request

HATE, SPAM, MISINFORMATION = (POLICIES.index(name) for name in ("hate", "spam", "misinformation"))
CLEAN = np.full(len(POLICIES), 0.001)


@cache
def fitted() -> Policy:
    return policy.solved(*drawn.labelled(DEFAULT, np.random.default_rng(0)), DEFAULT)


def identity() -> Policy:
    """As fitted, but a score is a probability."""
    return replace(
        fitted(),
        calibration=replace(fitted().calibration, curve=Platt(slope=1.0, offset=0.0), offsets=(0.0,) * len(POLICIES)),
    )


def scores(**of: float) -> Scored:
    found = CLEAN.copy()
    for name, score in of.items():
        found[POLICIES.index(name)] = score
    return Scored(score=found, unreported=found, version="v7")


def reports(m: int, under: int = HATE, **columns: int) -> Reports:
    whole = {"upheld": 0, "rejected": 0, "account_days": 1} | columns
    return Reports(reporter_id=np.arange(m), policy=np.full(m, under), **{name: np.full(m, value) for name, value in whole.items()})  # fmt: skip


@pytest.mark.parametrize("sentence", policy.INVARIANTS)
def test_every_rule_holds_on_random_posts(sentence: str) -> None:
    for seed in range(300):
        assert not policy.INVARIANTS[sentence](fitted(), np.random.default_rng(seed)), seed


def test_no_number_of_reports_removes_or_demotes_in_twenty_thousand_cases_and_the_foil_does() -> None:
    rng, n = np.random.default_rng(1), 20_000
    content = rng.beta(0.05, 2.0, (n, len(POLICIES)))
    score = np.clip(content + rng.random((n, 1)) * (rng.random((n, 1)) < 0.7), 0, 1)  # a model that believes reports
    crowds = [crowd(rng, len(POLICIES), int(m)) for m in rng.choice([1, 3, 30, 300], 500)]
    push = np.array([fitted().trust.pushes(one, len(POLICIES)) for one in crowds])[rng.integers(0, 500, n)]
    quiet, views = np.zeros(n, dtype=bool), rng.lognormal(3, 2, n)

    def harder(rules: Policy) -> tuple[int, int]:
        without = enforcement.act(rules, content, content, np.zeros_like(push), quiet, views)
        with_them = enforcement.act(rules, score, content, push, quiet, views)
        moved = with_them.action != without.action
        return int((moved & (with_them.action != QUEUE)).sum()), int(moved.sum())

    wrong, moved = harder(fitted())
    assert wrong == 0 and moved > 1_000, "reports moved nothing: the rule was never tried"
    assert harder(replace(fitted(), off=("report bound",)))[0] > 1_000


class Lenient(Policy):
    """Lets everything pass, and says nothing."""

    def decide(self, request: Request | None, candidates: Scored, context: Context) -> Decision:
        return replace(Policy.decide(self, request, candidates, context), action=ALLOW, why=[])


class Harsh(Policy):
    """Removes whatever was reported or cannot be judged, under the policy that happens to be first; what has a low score is removed too."""

    def decide(self, request: Request | None, candidates: Scored, context: Context) -> Decision:
        found = Policy.decide(self, request, candidates, context)
        strange = context.reports is not None or found.action == QUEUE or candidates.unreported.max() < 0.3
        return replace(found, action=REMOVE if strange else DEMOTE, policy=0)


class Credulous(Trust):
    """Everybody weighs the same, as often as they report."""

    def pushes(self, reports: Reports, num_policies: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return 1 - np.exp(-np.bincount(reports.policy, minlength=num_policies) / 3.0)


class Excusing(Policy):
    """Reports make it milder: whoever is attacked is right."""

    def decide(self, request: Request | None, candidates: Scored, context: Context) -> Decision:
        found = Policy.decide(self, request, candidates, context)
        return found if context.reports is None else replace(found, action=ALLOW)


@pytest.mark.parametrize("sentence", policy.INVARIANTS)
def test_every_rule_notices_a_policy_that_breaks_it(sentence: str) -> None:
    whole = vars(fitted())
    trusting = Policy(**whole | {"trust": Credulous(**vars(fitted().trust))})
    foils = [Lenient(**whole), Harsh(**whole), Excusing(**whole), trusting]
    holds = policy.INVARIANTS[sentence]
    assert any(holds(rules, np.random.default_rng(seed)) for rules in foils for seed in range(200))


def test_the_cases_drawn_reach_every_action_and_every_fault() -> None:
    drawn_ = [draw(fitted(), np.random.default_rng(seed)) for seed in range(500)]
    actions = {fitted().decide(None, *one).action for one in drawn_}
    assert actions == {ALLOW, DEMOTE, QUEUE, REMOVE}
    assert {fault for _, context in drawn_ for fault in context.faults} == set(FAULTS) and len(RULES) >= 8


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("score", [0.001, 0.999])
def test_a_fault_goes_to_a_reviewer_whatever_the_score(fault: str, score: float) -> None:
    decision = fitted().decide(None, scores(hate=score), Context(faults=[fault]))
    assert decision.action == QUEUE and decision.why[0].evidence == fault


def test_without_a_model_nothing_is_said_and_nothing_passes() -> None:
    nothing = np.full(len(POLICIES), np.nan)
    decision = fitted().decide(None, Scored(score=nothing, unreported=nothing), Context(faults=["no model"]))
    assert (decision.action, decision.policy, decision.is_demoted) == (QUEUE, -1, False)
    half = replace(scores(hate=0.999), score=np.where(np.arange(len(POLICIES)) == SPAM, np.nan, CLEAN))
    assert fitted().decide(None, half, Context()).action == QUEUE


def test_a_threshold_that_is_met_is_reached_and_one_below_is_not() -> None:
    rules = identity()
    exact = rules.calibration.apply(scores(hate=0.7).score[None])[0, HATE]  # to the last bit
    met = replace(rules, thresholds=tuple(replace(one, queue=0.5, remove=exact) for one in rules.thresholds))
    assert met.decide(None, scores(hate=0.7), Context()).action == REMOVE
    least = rules.thresholds[HATE]
    below = rules.decide(None, scores(hate=least.remove - 1e-9), Context())
    assert (below.action, below.is_demoted, below.threshold) == (QUEUE, True, least.queue)
    assert rules.decide(None, scores(hate=least.queue - 1e-9), Context()).action == ALLOW
    assert rules.decide(None, scores(misinformation=0.3), Context()).action == DEMOTE  # looking it up takes minutes


def test_the_why_names_policy_score_threshold_and_version_the_deciding_policy_first() -> None:
    decision = identity().decide(None, scores(spam=0.6, hate=0.4), Context())
    assert decision.policy == HATE, "both ask for a reviewer: hate is the more severe"
    first, second = decision.why
    assert first.evidence == "hate: probability 0.400, queue from 0.089; model v7" and first.effect == 0.4
    assert second.evidence.startswith("spam: probability 0.600, queue from 0.426")


def test_reports_bring_a_post_to_a_reviewer_and_the_reason_says_that_it_was_the_reports() -> None:
    good = reports(5, upheld=18, rejected=2, account_days=400)
    decision = identity().decide(None, scores(hate=0.01), Context(reports=good))
    assert (decision.action, decision.is_demoted) == (QUEUE, False)
    assert "0.010 without its reports" in decision.why[0].evidence
    assert identity().decide(None, scores(hate=0.01), Context(reports=good, reviewed=False)).action == ALLOW


def test_what_a_report_weighs_is_the_share_upheld_shrunk_to_the_prior() -> None:
    trust = fitted().trust  # prior .2 of strength 5
    one = replace(reports(3), upheld=np.array([0, 3, 30]), rejected=np.array([0, 1, 0]))
    assert trust.weight(one) == pytest.approx([0.2, 4 / 9, 31 / 35])
    twice = replace(one, reporter_id=np.array([4, 4, 5]))
    assert trust.weight(twice) == pytest.approx([0.2, 0.0, 31 / 35])


def test_ten_thousand_new_accounts_weigh_less_than_one_good_reporter() -> None:
    trust = fitted().trust
    bomb = trust.pushes(reports(10_000), len(POLICIES))
    assert bomb[HATE] == pytest.approx(trust.most_untested()) and bomb.sum() == bomb[HATE]
    liars = trust.pushes(reports(10_000, upheld=50), len(POLICIES))  # of one day: whatever their past, it is no past
    assert liars.max() <= trust.most_untested()
    assert trust.pushes(reports(1, upheld=30, account_days=400), len(POLICIES))[HATE] > bomb[HATE]
    assert pushed(np.array([0.2]), np.array([0.5])) == pytest.approx([0.6])


def test_the_priority_is_prevented_harm_a_minute() -> None:
    rules, post = identity(), scores(hate=0.05)
    costs = rules.costs
    decision = rules.decide(None, post, Context(views=1_000.0))
    harm = float(post.score @ np.array(costs.severity)) * 1_000
    assert decision.priority == pytest.approx(harm / costs.minutes[decision.policy])
    waits = rules.decide(None, scores(hate=0.5), Context(views=1_000.0))
    assert waits.is_demoted, "and a review prevents only what demotion leaves"
    harm = float(scores(hate=0.5).score @ np.array(costs.severity)) * 1_000
    assert waits.priority == pytest.approx(costs.kept * harm / costs.minutes[HATE])


def test_many_posts_at_once_are_decided_as_one_by_one() -> None:
    posts = drawn.draw(DEFAULT, np.random.default_rng(3), 300)
    together = fitted().act(posts.score, views=posts.expected)
    for row in range(0, 300, 7):
        one = Scored(score=posts.score[row], unreported=posts.score[row])
        decision = fitted().decide(None, one, Context(views=float(posts.expected[row])))
        assert (decision.action, decision.policy, decision.is_demoted) == (together.action[row], together.policy[row], together.is_demoted[row])  # fmt: skip
        assert decision.priority == pytest.approx(together.priority[row])


def test_a_saved_policy_is_the_same_policy(tmp_path: Path) -> None:
    for rules in (fitted(), replace(identity(), off=("report bound",))):
        rules.save(tmp_path)
        assert policy.load(tmp_path) == rules
