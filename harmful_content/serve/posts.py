"""One post and the moves it may make; pure, so that the log folded again gives the same posts.

    waiting -> removed | cleared              a reviewer decides; so may one who was handed an allowed post by lot
    removed -> appealed -> upheld | reversed  its author objects, another reviewer decides; both are final (policy.appeals)

Every other move of people is refused. A machine moves a post only as long as no person has looked: what a person decided of these words and this
picture stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harmful_content.policy.appeals import Removal
from harmful_content.schema import ACTIONS

State = Literal["allowed", "demoted", "waiting", "removed", "cleared", "appealed", "upheld", "reversed"]
OF_ACTION: Mapping[str, State] = {"allow": "allowed", "demote": "demoted", "queue": "waiting", "remove": "removed"}
WAITS: tuple[State, ...] = ("waiting", "appealed")
BY_LOT: tuple[State, ...] = ("allowed", "demoted", "waiting")
DECIDES: Mapping[State, tuple[State, State]] = {
    **dict.fromkeys(BY_LOT, ("cleared", "removed")),
    "appealed": ("reversed", "upheld"),
}
"""Where a review leads that finds nothing, and one that finds a violation."""
GONE: tuple[State, ...] = ("removed", "appealed", "upheld")
DAY = 86_400
REPORTED_DAYS = (
    3  # a post that only reports brought to the reviewers is hardly seen any more after that, and waits no longer
)
NOBODY = -1
Event = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Post:
    """Times are seconds UTC. `since`: it is in its state; `reviewer_id`: who decided last; `assigned_to` may decide until `assigned_until`."""

    post_id: int
    user_id: int
    state: State = "allowed"
    policy: int = 0
    probability: float = 0.0
    priority: float = 0.0  # harm that a review prevents, a view and a minute
    fingerprint: int = 0  # of words and picture; 0 in what was judged before they were logged
    picture_print: int = 0  # as signed numbers; 0 for none
    text_print: int = 0
    version: int = 0
    by_words: bool = False
    reports: int = 0
    by_reports: bool = False  # what it waits for
    since: int = 0
    judged_at: int = 0  # first
    removed_at: int = 0
    reviewed: bool = False
    reviewer_id: int = NOBODY
    assigned_to: int = NOBODY
    assigned_until: int = 0
    chosen: int = 0
    propensity_ppm: int = 0

    def removal(self) -> Removal | None:
        """As the rules of appeals and strikes see it; None where it was not removed."""
        if self.state not in ("removed", "appealed", "upheld", "reversed"):
            return None
        return Removal(
            post_id=self.post_id, user_id=self.user_id, policy=self.policy, removed_at=self.removed_at, by_reviewer=self.reviewed,
            state=self.state, moved_at=self.since,
        )  # fmt: skip

    def is_held(self, reviewer_id: int, now: int) -> bool:
        """Does somebody else have it?"""
        return self.assigned_to not in (NOBODY, reviewer_id) and now < self.assigned_until

    def is_free(self, reviewer_id: int, now: int) -> bool:
        """Does it wait, and may this reviewer have it? Nobody hears an appeal against a decision of their own."""
        if self.state not in WAITS or self.is_held(reviewer_id, now):
            return False
        if self.state == "appealed":
            return not self.reviewed or self.reviewer_id != reviewer_id
        return not self.by_reports or now - self.since <= REPORTED_DAYS * DAY

    def stands(self, fingerprint: int) -> bool:
        """Has a person decided of these words and this picture? A removal stands whatever the post is made into: its author may object, or write
        another, but not edit a strike away."""
        return self.reviewed and (self.state in GONE or self.fingerprint == fingerprint > 0)


def judged(post: Post, event: Event) -> Post:
    """By a machine. No second look undoes what a person decided, ends an appeal, or lets pass what waits for a person."""
    if post.state == "appealed" or post.stands(event["fingerprint"]):
        return post
    found, time = OF_ACTION[ACTIONS[event["action"]]], event["event_time"]
    before = "allowed" if post.reviewed else post.state  # reviewed, but since then it has become another post
    if (before == "waiting" and found in ("allowed", "demoted")) or (before, found) == ("removed", "waiting"):
        found = before
    return replace(
        post, state=found, priority=event["priority_ppm"] / 1e6, judged_at=post.judged_at or time,
        probability=event["probability_ppm"] / 1e6, by_words=bool(event["by_words"]), reviewed=False,
        by_reports=post.by_reports and before == found, since=post.since if before == found else time,
        removed_at=time if found == "removed" != before else post.removed_at, policy=event["policy"],
        fingerprint=event["fingerprint"], picture_print=event["picture_print"], text_print=event["text_print"], version=event["version"],
    )  # fmt: skip


def reported(post: Post, event: Event, enough: int) -> Post:
    """Reports bring a post to a person. However many there are, they do no more, and not twice."""
    post = replace(post, reports=post.reports + 1)
    if post.reports < enough or post.state not in ("allowed", "demoted") or post.reviewed:
        return post
    return replace(post, state="waiting", policy=event["policy"], by_reports=True, since=event["event_time"])


def assigned(post: Post, event: Event) -> Post:
    return replace(
        post, assigned_to=event["reviewer_id"], assigned_until=event["until"], chosen=event["chosen"],
        propensity_ppm=event["propensity_ppm"],
    )  # fmt: skip


def appealed(post: Post, event: Event) -> Post:
    return replace(post, state="appealed", since=event["event_time"], assigned_to=NOBODY)


def reviewed(post: Post, event: Event) -> Post:
    """A review of the history comes without an assignment: its post waited elsewhere."""
    upheld, time = bool(event["upheld"]), event["event_time"]
    state = DECIDES["appealed" if post.state == "appealed" else "waiting"][upheld]
    return replace(
        post, state=state, since=time, reviewed=True, reviewer_id=event["reviewer_id"], assigned_to=NOBODY, by_reports=False,
        policy=event["policy"] if upheld else post.policy, removed_at=time if state == "removed" else post.removed_at,
    )  # fmt: skip
