"""The desk: which post a reviewer sees next, what they decide, what authors are told, how they object, what their removals come to.

Reviewers need the server's token. Authors come through the platform, which knows who they are: a post of somebody else is as unknown to them as one
that is not there. A move that the post's state does not allow is refused 409, and says in what state it is.

What an author is told: the policy, whether the words or something else spoke for it, who decided, by which version, until when they may object. Not the
score, nor which words: a number to get below and a list of words to spell otherwise serve those who try again, and nobody who wants to know what was
wrong. Reviewers see both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anyio import to_thread
from pydantic import TypeAdapter

from common.contract import Event, Floats, Platform
from common.errors import InputError, did_you_mean
from common.serving.app import json_post
from common.serving.guards import Refused
from harmful_content.config import Config
from harmful_content.features import POST
from harmful_content.policy import appeals
from harmful_content.schema import CHOSEN, EVENTS, Catalog
from harmful_content.serve.answers import content
from harmful_content.serve.docket import Docket
from harmful_content.serve.forms import Author, Case, Notice, OfAuthor, Reviewer, Strikes, Verdict
from harmful_content.serve.posts import DAY, DECIDES, NOBODY, Post

if TYPE_CHECKING:
    from fastapi import APIRouter

ROUTE = "/harmful_content"
ASSIGNED_SECONDS = 600  # for one post; after that another reviewer may have it
IN_FLIGHT = 8
VIEWS = EVENTS["reactions"].values.index("views")  # its column of POST


class Desk:
    def __init__(self, docket: Docket, platform: Platform, catalog: Catalog, config: Config, version: str) -> None:
        self.docket, self.platform, self.config, self.version = docket, platform, config, version
        self.policies: list[str] = catalog.policy.tolist()
        self.notices: list[str] = catalog.notice.tolist()

    def next(self, asked: Reviewer) -> Case:
        """Hands out a post for ASSIGNED_SECONDS; asked again before the verdict, perhaps another one."""
        with self.docket.lock:
            self.docket.follow()
            now = self.platform.clock.now()
            chosen = self.docket.next(asked.reviewer_id, now, self._views)
            if chosen is None:
                return Case(post_id=-1)
            post, until = chosen.post, now + ASSIGNED_SECONDS
            how = {"chosen": CHOSEN.index(chosen.kind), "propensity_ppm": _ppm(chosen.propensity)}
            self._write("assignment", post, now, {"reviewer_id": asked.reviewer_id}, {"until": until, **how})
        return Case(
            post_id=post.post_id, user_id=post.user_id, state=post.state, policy=self.policies[post.policy], probability=post.probability,
            by_words=post.by_words, reports=post.reports, waiting_seconds=now - post.since, chosen=chosen.kind, until=until,
        )  # fmt: skip

    def verdict(self, said: Verdict) -> Case:
        """Takes the decision; -> the post in its new state. Refused where it is another's, or no longer to be decided."""
        if said.policy and said.policy not in self.policies:
            raise _unknown("policy", did_you_mean(said.policy, self.policies))
        with self.docket.lock:
            self.docket.follow()
            now, post = self.platform.clock.now(), self._post(said.post_id)
            if post.state not in DECIDES:
                raise _moved(post, "There is nothing to decide.")
            if post.assigned_to != said.reviewer_id or now >= post.assigned_until:
                whose = "nobody's" if post.assigned_to == NOBODY else "another reviewer's, or was yours too long ago"
                raise _moved(post, f"It is {whose}. Ask for the next post first.")
            policy = self.policies.index(said.policy) if said.policy else post.policy
            values = {"policy": policy, "upheld": int(bool(said.policy))}
            values |= {"chosen": post.chosen, "propensity_ppm": post.propensity_ppm}
            self._write("review", post, now, {"reviewer_id": said.reviewer_id}, values)
            decided = self._post(said.post_id)
        return Case(
            post_id=decided.post_id, user_id=decided.user_id, state=decided.state, policy=self.policies[decided.policy]
        )

    def appeal(self, asked: OfAuthor) -> Notice:
        with self.docket.lock:
            self.docket.follow()
            now, post = self.platform.clock.now(), self._post(asked.post_id, asked.user_id)
            removal = post.removal()
            if removal is None:
                raise _moved(post, "An appeal is for a post that is removed.")
            try:
                appeals.move(removal, "appealed", now, self.config)
            except InputError as error:
                raise _moved(post, str(error)) from None
            self._write("appeal", post, now, {}, {})
            return self._notice(self._post(asked.post_id), now)

    def notice(self, asked: OfAuthor) -> Notice:
        self.docket.follow()
        return self._notice(self._post(asked.post_id, asked.user_id), self.platform.clock.now())

    def strikes(self, asked: Author) -> Strikes:
        self.docket.follow()
        now, posts = self.platform.clock.now(), self.docket.of_author(asked.user_id)
        removals = [removal for post in posts if (removal := post.removal()) is not None]
        counted = sorted(one.post_id for one in removals if appeals.is_strike(one, now, self.config))
        return Strikes(
            user_id=asked.user_id, strikes=round(appeals.strikes(removals, now, self.config), 3),
            standing=appeals.standing(removals, now, self.config),
            open_appeals=sum(one.state == "appealed" for one in removals), posts=counted,
        )  # fmt: skip

    def _notice(self, post: Post, now: int) -> Notice:
        own = content(self.version) == post.version
        acted = post.state not in ("allowed", "waiting", "cleared", "reversed")
        removal = post.removal()
        open_ = removal is not None and appeals.may_appeal(removal, now, self.config)
        return Notice(
            post_id=post.post_id, state=post.state, policy=self.policies[post.policy] if acted else "",
            text=self.notices[post.policy] if acted else "", because=("words" if post.by_words else "more than words") if acted else "",
            decided_by="reviewer" if post.reviewed else "machine", version=self.version if own else f"{post.version:08x}", since=post.since,
            appeal_until=post.removed_at + self.config.appeal_days * DAY if open_ else 0,
        )  # fmt: skip

    def _post(self, post_id: int, user_id: int | None = None) -> Post:
        post = self.docket.find(post_id)
        if post is None or user_id not in (None, post.user_id):
            raise _unknown("post", f"No post {post_id} of this author was acted on, or waits.")
        return post

    def _views(self, post_ids: Sequence[int]) -> Floats:
        with self.platform.store.snapshot() as store:
            found: Floats = store.read(POST, np.array(post_ids), np.full(len(post_ids), store.position))[:, VIEWS]
        return found

    def _write(self, kind: str, post: Post, now: int, keys: dict[str, int], values: dict[str, int]) -> None:
        """Under the docket's lock, so the log's end names the event."""
        event_id = f"{kind}-{post.post_id}-{self.platform.log.end}"
        self.docket.write(
            [Event(event_id=event_id, kind=kind, event_time=now, keys={"post_id": post.post_id, "user_id": post.user_id, **keys}, values=values)]
        )  # fmt: skip


def router(desk: Desk) -> APIRouter:
    from fastapi import APIRouter

    router = APIRouter()
    routes: list[tuple[str, type, type, Callable[[Any], Any], dict[str, Any], bool]] = [
        ("review/next", Reviewer, Case, desk.next, {"reviewer_id": 1}, True),
        ("review/verdict", Verdict, Case, desk.verdict, {"reviewer_id": 1, "post_id": 7, "policy": "spam"}, True),
        ("appeal", OfAuthor, Notice, desk.appeal, {"post_id": 7, "user_id": 42}, False),
        ("notice", OfAuthor, Notice, desk.notice, {"post_id": 7, "user_id": 42}, False),
        ("strikes", Author, Strikes, desk.strikes, {"user_id": 42}, False),
    ]
    for path, asked, given, call, example, guarded in routes:
        router.include_router(
            json_post(
                f"{ROUTE}/{path}", TypeAdapter(asked), given, _in_a_thread(call), IN_FLIGHT, example, guarded=guarded
            )
        )
    return router


def _in_a_thread(call: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    async def respond(asked: Any, metrics: Any) -> Any:
        return await to_thread.run_sync(call, asked)

    return respond


def _ppm(propensity: float) -> int:
    """0 where it was no matter of chance."""
    return 0 if np.isnan(propensity) else round(1e6 * propensity)


def _moved(post: Post, why: str) -> Refused:
    return Refused(
        409, why=f"Post {post.post_id} is {post.state}. {why}", next="Ask for its notice, or for the next post."
    )


def _unknown(what: str, why: str) -> Refused:
    return Refused(
        404, what=f"There is no such {what}.", why=why, next="Mend the id or the name; /docs shows what is taken."
    )
