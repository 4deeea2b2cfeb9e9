"""Who comes back for a post: reviewers, who take whatever is next and decide it, and authors, who look what became of it and may object.

A reviewer reads what the author wrote, so a post has to be known by its id alone: here the id says in which second it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.contract import Errand, Ints
from harmful_content.config import Config
from harmful_content.schema import POLICIES, Answer

if TYPE_CHECKING:
    from harmful_content.world import Posts

ROUTE = "/harmful_content"
FIRST_ID = 1_000_000_000  # posts of the log are numbered from 0
NUM_REVIEWERS = 10_000
REVIEWS = 0.5  # a reviewer comes for every second post that is written, whichever is next then
COMES, READS = 6 * 3_600, 60  # seconds until one comes, at most; that one reads
LOOKS = (
    2 * 86_400 + 60
)  # seconds until an author looks what became of a post that came through: it is hardly seen any more
OBJECTS_WRONGED, OBJECTS_CAUGHT = (
    0.6,
    0.1,
)  # of the authors whose post is fine, and of the others, who would object to a removal


def posts(config: Config, written: Ints) -> Posts:
    """[n] those that are written in these seconds, after the log's."""
    from harmful_content import world

    return world.plant(config, FIRST_ID + written - world.START, written)


def errands(config: Config, post: Posts, answer: Answer, seed: int) -> Iterator[Errand]:
    """Who would not object does not look."""
    rng = np.random.default_rng([seed, 2])
    written = int(post.written[0])
    if rng.random() < REVIEWS:
        yield review(config, written + int(rng.integers(1, COMES)), int(rng.integers(2**62)))
    if "log" in answer.degraded:  # the platform lost the post: there is nothing to look at
        return
    whose = {"post_id": int(post.post_id[0]), "user_id": int(post.user_id[0])}
    looks = written + (READS if answer.action == "remove" else LOOKS)
    heard = review(config, looks + READS + int(rng.integers(1, COMES)), int(rng.integers(2**62)))

    def told(notice: Mapping[str, Any]) -> list[Errand]:
        if not notice["appeal_until"]:
            return []
        return [Errand(event_time=looks + READS, route=f"{ROUTE}/appeal", body=whose, react=lambda _: [heard])]

    if rng.random() < (OBJECTS_CAUGHT if is_harmful(config, post) else OBJECTS_WRONGED):
        yield Errand(event_time=looks, route=f"{ROUTE}/notice", body=whose, react=told)


def review(config: Config, when: int, seed: int) -> Errand:
    """One reviewer, one post: the next, whichever that is."""
    rng = np.random.default_rng([seed, 3])
    who = {"reviewer_id": int(rng.integers(NUM_REVIEWERS))}

    def decides(case: Mapping[str, Any]) -> list[Errand]:
        if case["post_id"] < 0:  # nothing waits
            return []
        body = {**who, "post_id": case["post_id"], "policy": verdict(config, case, when, rng)}
        return [Errand(event_time=when + READS, route=f"{ROUTE}/review/verdict", body=body, react=lambda _: [])]

    return Errand(event_time=when, route=f"{ROUTE}/review/next", body=who, react=decides)


def verdict(config: Config, case: Mapping[str, Any], now: int, rng: np.random.Generator) -> str:
    """The policy that the panel finds violated, the suspected one first, "" for none; the other way round by the planted error of a reviewer. Nothing
    is said against a post that nobody here wrote."""
    from harmful_content.world.posts import FRIENDLY, truth
    from harmful_content.world.reach import FRIENDLY_ERROR, REVIEW_ERROR

    post = written_as(config, case["post_id"], now)
    if post is None:
        return ""
    said, suspected = truth(config, post)[0] > 0, POLICIES.index(case["policy"])
    errs = rng.random() < (FRIENDLY_ERROR if post.form[0] == FRIENDLY else REVIEW_ERROR)
    if said.any() == errs:
        return ""
    return POLICIES[suspected if errs or said[suspected] else int(said.argmax())]


def written_as(config: Config, post_id: int, now: int) -> Posts | None:
    """The post of that id; None where no simulated person has written it yet."""
    from harmful_content import world
    from harmful_content.world.people import times

    if post_id < config.num_posts:
        which = np.array([post_id])
        return world.plant(config, which, times(config, which))
    second = post_id - FIRST_ID + world.START
    return posts(config, np.array([second])) if world.START <= second <= now else None


def is_harmful(config: Config, post: Posts) -> bool:
    from harmful_content.world.posts import truth

    return bool(truth(config, post).any())
