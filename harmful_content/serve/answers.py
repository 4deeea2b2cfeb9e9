"""From scores to an answer and its impression: what people decided before stands, and what was not judged whole is held for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Event, Floats, Why
from common.serving.deadline import Deadline
from harmful_content.policy import Context, Decision, Policy, Scored
from harmful_content.schema import ACTIONS, Action, Answer, Catalog, Request
from harmful_content.serve.posts import GONE, Post


@dataclass(frozen=True, kw_only=True)
class Known:
    """What people decided of this post (`upheld`: whether it violates `policy`, None where nobody looked) or of another one with the same words and
    picture (`copy_of`)."""

    fingerprint: int = 0
    upheld: bool | None = None
    policy: int = -1
    copy_of: int = -1

    @classmethod
    def of(cls, fingerprint: int, post: Post | None, copy: tuple[int, int] | None) -> Known:
        if post is not None and post.stands(fingerprint):
            return cls(fingerprint=fingerprint, upheld=post.state in GONE, policy=post.policy)
        if copy is not None:
            return cls(fingerprint=fingerprint, upheld=True, policy=copy[0], copy_of=copy[1])
        return cls(fingerprint=fingerprint)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`words` speak for the policy, the loudest first; `is_degraded`: a stage has missed."""

    request: Request
    request_id: int
    deadline: Deadline
    decision: Decision
    scores: Floats | None
    known: Known
    words: Sequence[str]
    num_missing: int
    num_unknown: int
    num_words: int
    unknown_words: int
    is_degraded: bool


def decided(
    rules: Policy, requests: Sequence[Request], score: Floats, unreported: Floats, known: Sequence[Known],
    faults: Sequence[Sequence[str]], catalog: Catalog, version: str,
) -> list[Decision]:  # fmt: skip
    """Of each post a person's word, of it or of its copy, else the rules'. score, unreported [n, num_policies]. Most posts are allowed, and that needs
    no reasons: all are decided in one call, and the rest once more, one by one, for theirs."""
    n = len(requests)
    found = rules.act(score, views=np.full(n, rules.costs.views))
    plain = (found.action == ACTIONS.index("allow")) & (score == unreported).all(axis=1)
    names: list[str] = catalog.policy.tolist()
    decisions = []
    for at, (request, one, why_not) in enumerate(zip(requests, known, faults, strict=True)):
        if plain[at] and one.upheld is None and not why_not:
            policy = int(found.policy[at])
            decisions.append(
                Decision(
                    action=int(found.action[at]), policy=policy, probability=float(found.probability[at, policy]), threshold=float("nan"),
                    is_demoted=bool(found.is_demoted[at]), priority=float(found.priority[at]),
                )
            )  # fmt: skip
            continue
        context = Context(faults=why_not, reviewed=one.upheld, policies=names)
        each = rules.decide(request, Scored(score=score[at], unreported=unreported[at], version=version), context)
        decisions.append(each if one.upheld is None else replace(each, policy=one.policy))
    return decisions


def unjudged(request: Request, fault: str) -> Decision:
    """What nobody could decide waits for a person; nothing is known of how urgent it is."""
    why = [Why(item=request.post_id, stage="policy", reason="fails closed", effect=0.0, evidence=fault)]
    nothing = float("nan")
    return Decision(
        action=ACTIONS.index("queue"),
        policy=-1,
        probability=nothing,
        threshold=nothing,
        is_demoted=False,
        priority=0.0,
        why=why,
    )


def impression(one: Outcome, moment: int, now: int, version: str, views: float) -> Event:
    """`views`: as many as the priority counts; the log holds the priority of one."""
    request, decision = one.request, one.decision
    return Event(
        event_id=f"impression-{one.request_id}",
        kind="impression",
        event_time=now,
        keys={"request_id": one.request_id, "post_id": request.post_id, "user_id": request.user_id},
        values={
            "action": decision.action,
            "policy": max(decision.policy, 0),
            "probability_ppm": 0 if one.scores is None else round(1e6 * float(one.scores.max())),
            "removed": int(ACTIONS[decision.action] == "remove"),
            "num_missing": one.num_missing,
            "num_unknown": one.num_unknown,
            "degraded": int(one.is_degraded),
            "fingerprint": one.known.fingerprint,
            "version": content(version),
            "by_words": int(bool(one.words)),
            "priority_ppm": round(1e6 * decision.priority / views),
            "num_words": one.num_words,
            "unknown_words": one.unknown_words,
            "has_picture": int(bool(request.image)),
        },
        moment=moment,
    )


def content(version: str) -> int:
    """The part of a version's name that names its content, as a number for the log."""
    return int(version.rpartition("-")[2], 16)


def answer(one: Outcome, catalog: Catalog, version: str) -> Answer:
    names, decision, scores = catalog.policy.tolist(), one.decision, one.scores
    action: Action = ACTIONS[decision.action]
    named = decision.policy >= 0
    return Answer(
        request_id=one.request_id,
        model_version=version,
        degraded=one.deadline.degraded,
        timings_ms=one.deadline.timings(),
        why=_why(one, names),
        post_id=one.request.post_id,
        action=action,
        policy=names[decision.policy] if named else "",
        score=float(scores[decision.policy]) if named and scores is not None else 0.0,
        scores={} if scores is None else dict(zip(names, scores.tolist(), strict=True)),
        notice=str(catalog.notice[decision.policy]) if action in ("demote", "remove") else "",
    )


def _why(one: Outcome, names: Sequence[str]) -> list[Why]:
    """The rules' reasons; whose copy it is; and the words that speak for the policy. For the platform and its reviewers, not for the author: `notice`
    is theirs."""
    decision, known, item = one.decision, one.known, one.request.post_id
    why = list(decision.why)
    if known.copy_of >= 0:
        evidence = f"the same words and picture as post {known.copy_of}, which a reviewer found to violate"
        why.append(Why(item=item, stage="match", reason=names[known.policy], effect=1.0, evidence=evidence))
    if one.scores is not None and decision.policy >= 0:
        evidence = f"words: {', '.join(one.words)}" if one.words else "picture, author or reactions"
        score = float(one.scores[decision.policy])
        why.append(Why(item=item, stage="model", reason=names[decision.policy], effect=score, evidence=evidence))
    return why
