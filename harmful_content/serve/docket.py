"""What became of the posts: a fold over the event log, so that a restart, or a second server, knows what this one knew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from common.contract import FORGET, Bools, Event, Events, Floats, Platform
from common.events import key_column, take, value_column
from common.serving.platform import record
from harmful_content.config import Config
from harmful_content.features.shelf import CLEARED, EMPTY, Shelf
from harmful_content.features.shelf import Posts as Prints
from harmful_content.policy.queue import Shares
from harmful_content.policy.queue import take as take_one
from harmful_content.policy.views import to_come
from harmful_content.schema import ACTIONS, CHOSEN
from harmful_content.serve import posts
from harmful_content.serve.posts import BY_LOT, DAY, GONE, REPORTED_DAYS, Post

LEAST_KEPT = 10_000  # posts, before the old ones among them are looked for
KEYS = ("post_id", "user_id", "reviewer_id")
VALUES = (
    "action",
    "policy",
    "probability_ppm",
    "fingerprint",
    "picture_print",
    "text_print",
    "version",
    "by_words",
    "priority_ppm",
    "upheld",
    "until",
    "chosen",
    "propensity_ppm",
)


@dataclass(frozen=True)
class Chosen:
    """`kind` of CHOSEN; `propensity` NaN where it was no matter of chance."""

    post: Post
    kind: str
    propensity: float


class Docket:
    """Held are the posts that were acted on or that a person has seen, and for a few days those that were allowed, as somebody may yet report them.
    Whoever looks at a post, decides and writes holds `lock`: two reviewers must not both find it undecided."""

    def __init__(self, platform: Platform, config: Config, shelf: Shelf = EMPTY) -> None:
        """`shelf`: what reviewers had decided when the features were fitted."""
        self._platform, self._config, self._shares, self.shelf = platform, config, Shares.of(config), shelf
        self.lock = threading.RLock()
        self._position = self._assigned = self._lots = self._time = 0
        self._kept = LEAST_KEPT
        self._posts: dict[int, Post] = {}
        self._reviewed: list[Post] = []  # not on the shelf yet
        self.follow()

    def follow(self) -> None:
        """Takes in what the log has got since the last time."""
        with self.lock:
            for stretch in self._platform.log.scan(self._position):
                self._time = max(self._time, int(stretch.event_time.max(initial=0)))
                for kind, event in _each(take(stretch, np.flatnonzero(_of_interest(stretch, self._recent())))):
                    self._take(kind, event)
                self._shelve()
                self._position += len(stretch)
            if len(self._posts) > 2 * self._kept:
                self._forget_old()

    def write(self, events: Sequence[Event]) -> None:
        """Durable, and known here, on return."""
        record(self._platform, events)
        self.follow()

    def find(self, post_id: int) -> Post | None:
        return self._posts.get(post_id)

    def of_author(self, user_id: int) -> list[Post]:
        return [post for post in self._posts.values() if post.user_id == user_id]

    def next(self, reviewer_id: int, now: int, views: Callable[[Sequence[int]], Floats]) -> Chosen | None:
        """Which post this reviewer sees next: mostly the one whose review prevents most harm a minute, by `views` (posts -> how often each was seen so
        far). Chance is a function of the turn, so the log tells how likely each choice was."""
        free = [post for post in self._posts.values() if post.is_free(reviewer_id, now)]
        kind = self._shares.kind(self._assigned, self._lots, bool(free))
        if kind == "lot":
            free = [post for post in self._posts.values() if _is_of_the_day(post, reviewer_id, now)]
        if not free:
            return None
        chance = np.random.default_rng([self._config.seed, self._assigned]).random()
        at, propensity = take_one(kind, self._worth(free, now, views), np.array([post.since for post in free]), chance)
        return Chosen(free[at], "appeal" if free[at].state == "appealed" else kind, propensity)

    def _worth(self, free: Sequence[Post], now: int, views: Callable[[Sequence[int]], Floats]) -> Floats:
        seen = views([post.post_id for post in free])
        age = (now - np.array([post.judged_at or now for post in free])) / 3600
        left = to_come(seen, age, np.full(len(free), self._config.typical_views), self._config.view_half_life)
        worth: Floats = np.array([post.priority for post in free]) * left
        return worth

    def _recent(self) -> int:
        return self._time - REPORTED_DAYS * DAY

    def _take(self, kind: str, event: Mapping[str, int]) -> None:
        if kind == FORGET:
            for post in self.of_author(event["user_id"]):
                del self._posts[post.post_id]
            return
        post_id = event["post_id"]
        post = self._posts.get(post_id) or Post(post_id=post_id, user_id=event["user_id"])
        match kind:
            case "impression":
                post = posts.judged(post, event)
            case "report":
                post = posts.reported(post, event, self._config.reports_enough)
            case "assignment":
                post = posts.assigned(post, event)
                self._assigned += 1
                self._lots += CHOSEN[event["chosen"]] == "lot"
            case "appeal":
                post = posts.appealed(post, event)
            case "review":
                post = posts.reviewed(post, event)
                self._reviewed.append(post)
        self._posts[post_id] = post

    def _shelve(self) -> None:
        """What was judged before the log held prints can only be overruled. A forgotten author's posts stay: a print is no text, and whoever posts them
        again is told the same."""
        for has_prints, group in groupby(self._reviewed, key=lambda post: post.fingerprint > 0):
            some = list(group)
            policy = np.array([post.policy if post.state in GONE else CLEARED for post in some])
            post_id = np.array([post.post_id for post in some])
            if has_prints:
                self.shelf = self.shelf.after(post_id, policy, _printed(some))
                continue
            for one, verdict in zip(post_id.tolist(), policy.tolist(), strict=True):
                self.shelf = self.shelf.decided(one, verdict)
        self._reviewed = []

    def _forget_old(self) -> None:
        """Allowed, and nobody looked: what comes of them later is as if they were new."""
        plain = ("allowed", "demoted")
        self._posts = {
            post_id: post
            for post_id, post in self._posts.items()
            if post.state not in plain or post.since >= self._recent()
        }
        self._kept = max(LEAST_KEPT, len(self._posts))


def _printed(some: Sequence[Post]) -> Prints:
    return Prints(
        fingerprint=np.array([post.fingerprint for post in some]),
        picture=np.array([post.picture_print for post in some]).view(np.uint64),
        text=np.array([post.text_print for post in some]).view(np.uint64),
    )


def _is_of_the_day(post: Post, reviewer_id: int, now: int) -> bool:
    """In the lot: whatever was judged within a day and stands, flagged or not, that nobody has looked at."""
    fresh = post.judged_at > 0 and now - post.judged_at <= DAY
    return fresh and post.state in BY_LOT and not post.reviewed and not post.is_held(reviewer_id, now)


def _of_interest(events: Events, recent: int) -> Bools:
    """[n] whether an event can move a post: what people decided, what was acted on, and what is recent enough to be acted on yet."""
    acted = (events.kind == "impression") & (value_column(events, "action") != ACTIONS.index("allow"))
    fresh = np.isin(events.kind, ("impression", "report")) & (events.event_time >= recent)
    found: Bools = np.isin(events.kind, ("assignment", "appeal", "review", FORGET)) | acted | fresh
    return found


def _each(events: Events) -> Iterator[tuple[str, Mapping[str, int]]]:
    columns = {name: key_column(events, name) for name in KEYS} | {name: value_column(events, name) for name in VALUES}
    columns["event_time"] = events.event_time
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    for kind, row in zip(events.kind.tolist(), rows, strict=True):
        yield kind, dict(zip(columns, row, strict=True))
