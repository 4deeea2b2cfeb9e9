"""The platform's people, from outside: they post, and others see it, like it, object and report.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its post and how people will react to what is done with it.
Choice: reactions by the planted truth to whatever stays up: a removed post is seen by nobody and reported by nobody.
Else:   a replay of the log, which knows nothing of posts that the incumbent took down.
Breaks: people who turn away from a platform that is full of harm, or that removes too much: nobody leaves here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event
from harmful_content.config import Config
from harmful_content.schema import Answer, Request

if TYPE_CHECKING:
    from harmful_content.world import Posts

DAY = 86_400
FIRST_ID = 1_000_000_000  # posts of the log are numbered from 0
SEEN_DEMOTED = 0.3  # of the views of a post that was not demoted


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many posts a day as the log had, day by day, from `since` up to but without `until` (seconds UTC)."""
    from harmful_content import world

    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        num = rng.poisson(config.num_posts / config.days * stretch / DAY)
        times = np.sort(start + rng.integers(0, stretch, num))
        made = world.plant(config, FIRST_ID + start - world.START + np.arange(num), times)
        for place, seed in enumerate(rng.integers(0, 2**62, num).tolist()):
            yield Visit(int(times[place]), made.take(np.array([place])), seed, config)


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
        return Request(
            post_id=int(post.post_id[0]),
            user_id=int(post.user_id[0]),
            text=str(post.text[0]),
            image=self._image(),
            numbers={"age_hours": 0.0, **{name: float(column[0]) for name, column in profile.items()}},
            categories={"language": str(world.language_names(post.language)[0]), "device": str(post.device[0])},
        )

    def react(self, answer: Answer) -> list[Event]:
        """Reactions as they are counted over two days, and reports in between; nothing of a post that was removed."""
        if answer.action == "remove":
            return []
        from harmful_content.world import expected_views, tick, tick_times

        rng = np.random.default_rng(self.seed)
        share = SEEN_DEMOTED if answer.action == "demote" else 1.0
        expected, before, events = expected_views(self.config, self.post) * share, 0, list[Event]()
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
        return events

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
