"""From scores to an answer and its impression: what people decided before stands, and what was not judged whole is held for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from common.contract import Event, Floats, Why
from common.serving.deadline import Deadline
from harmful_content.features.shelf import Posts, Shelf
from harmful_content.policy import Context, Decision, Policy, Scored
from harmful_content.policy.enforcement import NEARLY_RIGHT
from harmful_content.schema import ACTIONS, Action, Answer, Catalog, Request
from harmful_content.serve.posts import GONE, Post

PRINTS = ("fingerprint", "picture_print", "text_print")
"""Of features.shelf.Posts, as the log names them."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What people decided of this post (`upheld`: whether it violates `policy`, None where nobody looked) or of one taken down (`copy_of`) that has the
    same words and picture, or, `upheld` None, nearly. `prints`: as the log holds them."""

    prints: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(PRINTS, 0))
    upheld: bool | None = None
    policy: int = -1
    copy_of: int = -1

    @property
    def nearly(self) -> int:
        """The policy under which a post nearly like it was taken down, -1 for none."""
        return self.policy if self.upheld is None else -1


def known(prints: Posts, decided: Sequence[Post | None], shelf: Shelf) -> list[Known]:
    """Of each post, in their order; `decided`: what the docket holds of it."""
    columns = {name: column.view(np.int64).tolist() for name, column in zip(PRINTS, vars(prints).values(), strict=True)}
    places = shelf.matches(prints).tolist()
    return [
        _known({name: column[at] for name, column in columns.items()}, post, shelf, place)
        for at, (post, place) in enumerate(zip(decided, places, strict=True))
    ]


def _known(prints: Mapping[str, int], post: Post | None, shelf: Shelf, place: int) -> Known:
    fingerprint = prints["fingerprint"]
    if post is not None and post.stands(fingerprint):
        return Known(prints=prints, upheld=post.state in GONE, policy=post.policy)
    if place < 0:
        return Known(prints=prints)
    is_same = int(shelf.fingerprint[place]) == fingerprint
    policy, copy_of = int(shelf.policy[place]), int(shelf.post_id[place])
    return Known(prints=prints, upheld=True if is_same else None, policy=policy, copy_of=copy_of)


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
        if plain[at] and one.upheld is None and one.nearly < 0 and not why_not:
            policy = int(found.policy[at])
            decisions.append(
                Decision(
                    action=int(found.action[at]), policy=policy, probability=float(found.probability[at, policy]), threshold=float("nan"),
                    is_demoted=bool(found.is_demoted[at]), priority=float(found.priority[at]),
                )
            )  # fmt: skip
            continue
        context = Context(faults=why_not, reviewed=one.upheld, nearly=one.nearly, policies=names)
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
            **one.known.prints,
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
        like = "the same words and picture as" if known.upheld else "nearly the words and picture of"
        evidence = f"{like} post {known.copy_of}, which a reviewer found to violate"
        effect = 1.0 if known.upheld else NEARLY_RIGHT
        why.append(Why(item=item, stage="match", reason=names[known.policy], effect=effect, evidence=evidence))
    if one.scores is not None and decision.policy >= 0:
        evidence = f"words: {', '.join(one.words)}" if one.words else "picture, author or reactions"
        score = float(one.scores[decision.policy])
        why.append(Why(item=item, stage="model", reason=names[decision.policy], effect=score, evidence=evidence))
    return why
