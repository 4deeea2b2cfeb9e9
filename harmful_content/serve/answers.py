"""From scores to an answer and its impression: what people decided before stands, and what was not judged whole is held for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.contract import Event, Floats, Why
from common.serving.deadline import Deadline
from harmful_content.policy import Decision
from harmful_content.schema import ACTIONS, Action, Answer, Catalog, Request
from harmful_content.serve.posts import GONE, Post


@dataclass(frozen=True, kw_only=True)
class Known:
    """What people decided of this post (`action` of the post itself) or of another one with the same words and picture (`copy_of`)."""

    fingerprint: int = 0
    action: Action | None = None
    policy: int = -1
    copy_of: int = -1

    @classmethod
    def of(cls, fingerprint: int, post: Post | None, copy: tuple[int, int] | None) -> Known:
        if post is not None and post.stands(fingerprint):
            action: Action = "remove" if post.state in GONE else "allow"
            return cls(fingerprint=fingerprint, action=action, policy=post.policy)
        if copy is not None:
            return cls(fingerprint=fingerprint, action="remove", policy=copy[0], copy_of=copy[1])
        return cls(fingerprint=fingerprint)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`words` speak for the policy, the loudest first; `faults` are the stages without which the post was judged."""

    request: Request
    request_id: int
    deadline: Deadline
    decision: Decision
    scores: Floats | None
    known: Known
    words: Sequence[str]
    faults: Sequence[str]
    num_missing: int
    num_unknown: int


def decided(judged: Decision, known: Known, faults: Sequence[str]) -> Decision:
    """A person's word, else the machine's where it saw all there is, else a person's to come."""
    if known.action is not None:
        return Decision(known.action, known.policy, 1.0 if known.action == "remove" else judged.score)
    return Decision("queue", judged.policy, judged.score) if faults else judged


def impression(one: Outcome, moment: int, now: int, version: str) -> Event:
    request, decision = one.request, one.decision
    return Event(
        event_id=f"impression-{one.request_id}",
        kind="impression",
        event_time=now,
        keys={"request_id": one.request_id, "post_id": request.post_id, "user_id": request.user_id},
        values={
            "action": ACTIONS.index(decision.action),
            "policy": max(decision.policy, 0),
            "probability_ppm": 0 if one.scores is None else round(1e6 * float(one.scores.max())),
            "removed": int(decision.action == "remove"),
            "num_missing": one.num_missing,
            "num_unknown": one.num_unknown,
            "degraded": int(bool(one.faults)),
            "fingerprint": one.known.fingerprint,
            "version": content(version),
            "by_words": int(bool(one.words)),
        },
        moment=moment,
    )


def content(version: str) -> int:
    """The part of a version's name that names its content, as a number for the log."""
    return int(version.rpartition("-")[2], 16)


def answer(one: Outcome, catalog: Catalog, version: str) -> Answer:
    names, decision = catalog.policy.tolist(), one.decision
    told = decision.action in ("demote", "remove")
    return Answer(
        request_id=one.request_id,
        model_version=version,
        degraded=one.deadline.degraded,
        timings_ms=one.deadline.timings(),
        why=[_why(one, names)],
        post_id=one.request.post_id,
        action=decision.action,
        policy=names[decision.policy] if decision.policy >= 0 else "",
        score=decision.score,
        scores={} if one.scores is None else dict(zip(names, one.scores.tolist(), strict=True)),
        notice=str(catalog.notice[decision.policy]) if told else "",
    )


def _why(one: Outcome, names: Sequence[str]) -> Why:
    """For the platform and its reviewers, not for the author: `notice` is theirs."""
    decision, known = one.decision, one.known
    stage, reason = "policy", names[decision.policy] if decision.policy >= 0 else "not judged"
    if known.copy_of >= 0:
        stage, evidence = (
            "match",
            f"the same words and picture as post {known.copy_of}, which a reviewer found to violate",
        )
    elif known.action is not None:
        stage, evidence = "match", "a reviewer has decided of this post"
    elif one.faults:
        evidence = f"held for a reviewer: judged without {', '.join(one.faults)}"
    else:
        evidence = f"words: {', '.join(one.words)}" if one.words else "picture, author or reactions"
    return Why(item=one.request.post_id, stage=stage, reason=reason, effect=decision.score, evidence=evidence)
