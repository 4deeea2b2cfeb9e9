"""The platform's people, from outside: they post, see, like, object and report; reviewers decide, authors object to what was removed.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its post, how people react to what is done with it, and who comes back for it.
Choice: reactions by the planted truth to whatever stays up: a removed post is seen by nobody and reported by nobody. Reviewers know that truth too,
        but for their planted error.
Else:   a replay of the log, which knows nothing of posts that the incumbent took down.
Breaks: people who turn away from a platform that is full of harm, or that removes too much: nobody leaves here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Errand, Event, Ints
from common.errors import InputError, did_you_mean
from harmful_content.config import Config
from harmful_content.schema import POLICIES, Answer, Request
from harmful_content.simulate import desk

if TYPE_CHECKING:
    from harmful_content.world import Posts

DRIFTS: Mapping[str, str] = {
    "none": "people go on as in the log",
    "report_bombing": "a crowd reports one post in seven within the hour, whatever it says",
    "dialect_mix": "six posts in ten are by people who write in the dialect",
    "new_harm": "the kind of harm that training never saw is in a third of the posts",
    "pictures_lost": "posts come without their pictures: whatever brings them is broken",
}
MORE: Mapping[str, tuple[str, float]] = {"dialect_mix": ("dialect", 0.6), "new_harm": ("is_new", 1 / 3)}
"""Drifts that are more of something: the column of Posts, and its share."""
CANDIDATES = 20  # for each post of such a drift: what there shall be more of is rare
BOMBED, BOMB = 1 / 7, 12.0  # of the posts; reports of each
DAY = 86_400
SEEN_DEMOTED = 0.3  # of the views of a post that was not demoted


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many posts a day as the log had, day by day, from `since` up to but without `until` (seconds UTC)."""
    if config.drift not in DRIFTS:
        raise InputError(f"drift={config.drift!r}. {did_you_mean(config.drift, DRIFTS)}")
    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        made = _written(config, start, stretch, rng)
        for place, seed in enumerate(rng.integers(0, 2**62, len(made)).tolist()):
            yield Visit(int(made.written[place]), made.take(np.array([place])), seed, config)


def _written(config: Config, start: int, stretch: int, rng: np.random.Generator) -> Posts:
    """No two in one second."""
    num = min(stretch, int(rng.poisson(config.num_posts / config.days * stretch / DAY)))
    if config.drift not in MORE:
        return desk.posts(config, np.sort(start + rng.choice(stretch, num, replace=False)))
    column, share = MORE[config.drift]
    many = desk.posts(config, np.sort(start + rng.choice(stretch, min(stretch, CANDIDATES * num), replace=False)))
    such, others = (rng.permutation(np.flatnonzero(getattr(many, column) == wanted)) for wanted in (True, False))
    such = such[: round(share * num)]
    chosen: Ints = np.sort(np.concatenate([such, others[: num - len(such)]]))
    return many.take(chosen)


@dataclass(frozen=True, eq=False)
class Visit:
    """One post, as it is published. `seed` decides everything that chance decides."""

    event_time: int
    post: Posts
    seed: int
    config: Config

    def request(self) -> Request:
        from harmful_content import world

        post = self.post
        profile = world.profile(self.config, post.user_id)
        is_lost = self.config.drift == "pictures_lost" and post.text[0] != ""
        return Request(
            post_id=int(post.post_id[0]),
            user_id=int(post.user_id[0]),
            text=str(post.text[0]),
            image="" if is_lost else self._image(),
            numbers={"age_hours": 0.0, **{name: float(column[0]) for name, column in profile.items()}},
            categories={"language": str(world.language_names(post.language)[0]), "device": str(post.device[0])},
        )

    def react(self, answer: Answer) -> list[Event | Errand]:
        """Reactions as they are counted over two days, and reports in between; nothing of a post that was removed. Whoever posts and reviews comes back
        for it."""
        coming: list[Event | Errand] = [*desk.errands(self.config, self.post, answer, self.seed)]
        if answer.action == "remove":
            return coming
        from harmful_content.world import expected_views, tick, tick_times

        rng = np.random.default_rng(self.seed)
        share = SEEN_DEMOTED if answer.action == "demote" else 1.0
        expected, before, events = expected_views(self.config, self.post) * share, 0, self._bomb()
        for place, after in enumerate(tick_times()):
            counted = tick(self.config, self.post, expected, place, rng)
            counts = {
                name: int(getattr(counted, name)[0]) for name in ("views", "likes", "shares", "comments", "objections")
            }
            if counts["views"]:
                events.append(self._event("reactions", place, after, counts))
            for policy in np.repeat(np.arange(counted.reports.shape[1]), counted.reports[0]).tolist():
                second = int(rng.integers(before + 1, after))
                events.append(self._event("report", len(events), second, {"policy": policy}))
            before = after
        return coming + events

    def _bomb(self) -> list[Event]:
        """The reports of a campaign, all under one policy."""
        rng = np.random.default_rng([self.seed, 1])
        if self.config.drift != "report_bombing" or rng.random() >= BOMBED:
            return []
        policy, seconds = int(rng.integers(len(POLICIES))), rng.integers(1, 3_600, rng.poisson(BOMB))
        return [self._event("report", at, second, {"policy": policy}) for at, second in enumerate(seconds.tolist())]

    def _image(self) -> str:
        from PIL import Image

        from harmful_content.world import drawn

        if not self.post.has_image[0]:
            return ""
        file = io.BytesIO()
        Image.fromarray(drawn(self.config, self.post)[0]).save(file, format="PNG", compress_level=1)
        return base64.b64encode(file.getvalue()).decode()

    def _event(self, kind: str, number: int, after: int, values: dict[str, int]) -> Event:
        post_id = int(self.post.post_id[0])
        return Event(
            event_id=f"{kind}-{post_id}-{number}",
            kind=kind,
            event_time=self.event_time + after,
            keys={"post_id": post_id, "user_id": int(self.post.user_id[0])},
            values=values,
        )
