"""The platform's searchers, from outside: they take a photo, or type, or start from an image; they look from the top, click, and come back less when
nothing is like it.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its request and how it will react to an answer. uploads: the images that owners add meanwhile.
Choice: reactions by the planted truth for whatever is shown, so a new ranking meets people who react to it; every photo is drawn afresh.
Else:   a replay of the log, which knows nothing of images it did not show.
Breaks: a page of the right colour and the wrong shape: it looks right, is hardly clicked on, and its searchers stay away.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, Floats
from common.errors import InputError, did_you_mean
from common.population import DAY, Population
from visual_search.config import Config
from visual_search.schema import SHOWN, Answer, Catalog, Images, Item, Pixels, Request, ShownImage

if TYPE_CHECKING:
    from visual_search.world.asking import Searches, Taken
    from visual_search.world.scenes import Scenes
    from visual_search.world.things import Pictures

DRIFTS: Mapping[str, str] = {
    "none": "people go on as in the log",
    "dark_photos": "photos come from a new camera, at a third of the light",
    "new_style": "half of the photos show kites, of which the gallery has none",
    "more_words": "four searches in five are words alone",
    "clicks_lost": "two clicks in three never arrive: the tracking is broken",
}
DARK, KITES, LOST = 0.3, 0.5, 2 / 3
WORDY = np.array([0.08, 0.04, 0.8, 0.04, 0.04])  # shares of the kinds of searches
FRESH = 2**30  # numbers of photos that no log has begin here; a day has 10,000
UPLOADS = 20  # made at once
ORDINARY = 0.4  # mean grade of a page that is nothing special


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many searches a day as the log had, day by day, from `since` up to but without `until` (seconds UTC); fewer once people find
    nothing."""
    if config.drift not in DRIFTS:
        raise InputError(f"drift={config.drift!r}. {did_you_mean(config.drift, DRIFTS)}")
    from visual_search.world import things

    gallery, memory = things.pictures(config.seed, np.arange(config.num_images), config.days), Memory()
    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        num = int(rng.poisson(config.num_searches / config.days * stretch / DAY))
        asked, scenes = _day(config, gallery, start, stretch, num, rng)
        seeds, chance = rng.integers(0, 2**62, num).tolist(), rng.random(num)
        for i in np.flatnonzero(asked.event_time < until).tolist():
            if chance[i] < memory.comes_back(int(asked.user_id[i])):
                at = int(asked.photo[i])
                yield Visit(
                    asked.take(np.array([i])),
                    scenes.take(np.array([at])) if at >= 0 else None,
                    seeds[i],
                    config,
                    memory,
                )


def _day(config: Config, gallery: Pictures, start: int, stretch: int, num: int, rng: np.random.Generator) -> tuple[Searches, Scenes]:  # fmt: skip
    from visual_search.world import asking

    weights = Population(config.seed).activity(np.arange(config.num_users))
    first = FRESH + start // DAY * 10_000
    who = rng.choice(config.num_users, (2, num), p=weights / weights.sum())
    when = np.sort(start + rng.integers(0, stretch, (2, num)), axis=1)
    taken = asking.take_photos(config.seed, first + np.arange(num), who[0], when[0], gallery, config.clutter, rng, True)
    if config.drift == "new_style":
        taken = _kites(taken, rng)
    if config.drift == "dark_photos":
        taken = replace(taken, scene=replace(taken.scene, tint=DARK * taken.scene.tint))
    shares = WORDY if config.drift == "more_words" else asking.ASKED
    return asking.searches(config.seed, first, who[1], when[1], taken, gallery, True, rng, shares), taken.scene


def _kites(taken: Taken, rng: np.random.Generator) -> Taken:
    from visual_search.world.scenes import MEANT
    from visual_search.world.things import NEW_SHAPE

    new = rng.random(len(taken)) < KITES
    thing = replace(taken.thing, shape=np.where(new, NEW_SHAPE, taken.thing.shape))
    shape = taken.scene.thing.shape.copy()
    shape[:, MEANT] = thing.shape
    return replace(taken, thing=thing, scene=replace(taken.scene, thing=replace(taken.scene.thing, shape=shape)))


def uploads(config: Config, since: int, until: int) -> Iterator[tuple[int, Item]]:
    """(when, what) in order of time, from `since` up to but without `until`: as many a day as before training, evenly from where the gallery
    ends, and ids that go on from its last. What an image is like is a function of (seed, id), as ever."""
    from visual_search import world
    from visual_search.world import painting, scenes, things

    began = things.START + things.TEST_FROM * config.days * DAY
    pace = DAY * (things.BEFORE + things.TEST_FROM * config.days) / config.num_images  # seconds from one to the next
    for first in count(max(0, int(np.ceil((since - began) / pace))), UPLOADS):
        place = first + np.arange(UPLOADS)
        when = (began + place * pace).astype(np.int64)
        of = replace(things.pictures(config.seed, config.num_images + place, config.days), uploaded=when)
        pixels = painting.draw(config.seed, scenes.gallery(config.seed, of, config.clutter), config.side)
        catalog = world.described(config.seed, of, Images(pixels))
        for at in np.flatnonzero(when < until).tolist():
            yield int(when[at]), _item(catalog, at)
        if when[-1] >= until:
            return


def _item(catalog: Catalog, at: int) -> Item:
    return Item(
        image_id=int(catalog.image_id[at]),
        image=encoded(catalog.images.pixels[at], "PNG"),
        uploaded=int(catalog.numbers["uploaded"][at]),
        text=str(catalog.text[at]),
        owner_id=int(catalog.owner_id[at]),
        shop=bool(catalog.shop[at]),
        explicit=bool(catalog.explicit[at]),
        private=bool(catalog.private[at]),
    )


def encoded(pixels: Pixels, form: str) -> str:
    """[side, side, 3] -> base64 of a PNG or JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    options = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 92}}[form]
    Image.fromarray(pixels).save(file, format=form, **options)
    return base64.b64encode(file.getvalue()).decode()


@dataclass
class Memory:
    """What searchers carry from visit to visit: how well they were answered."""

    answered: dict[int, float] = field(default_factory=dict)

    def comes_back(self, user_id: int) -> float:
        """P(a visit happens): 1 for the content, down to a half for those who find nothing."""
        return float(np.clip(0.5 + self.answered.get(user_id, ORDINARY), 0.5, 1.0))


@dataclass(frozen=True, eq=False)
class Visit:
    """One person, one search [1]; `scene` [1] is what the photo is of. `seed` decides everything that chance decides."""

    asked: Searches
    scene: Scenes | None
    seed: int
    config: Config
    memory: Memory

    @property
    def event_time(self) -> int:
        return int(self.asked.event_time[0])

    def request(self) -> Request:
        crop, query_id = self.asked.crop[0].tolist(), int(self.asked.query_id[0])
        return Request(
            user_id=int(self.asked.user_id[0]),
            image=self._photo(),
            image_id=query_id if query_id >= 0 else None,
            text=str(self.asked.text[0]),
            crop=None if np.isnan(crop[0]) else crop,
            page_size=self.config.page_size,
            shop_only=bool(self.asked.shop_only[0]),
        )

    def react(self, answer: Answer) -> list[Event]:
        """Looks from the top. A click is reported when the person is back from it."""
        from visual_search.world import history, things

        ids = np.array([image.image_id for image in answer.images], dtype=np.int64)
        of = things.pictures(self.config.seed, ids, self.config.days)
        grade = self._grades(of)
        self._remember(grade)
        rng, seed, steepness = np.random.default_rng(self.seed), self.config.seed, self.config.steepness
        user, time = (np.repeat(column, len(ids)) for column in (self.asked.user_id, self.asked.event_time))
        clicked = history.react(seed, grade[None], of.thing, ids, user, time, steepness, rng)[0]
        dwell = history.dwell(grade, rng)
        arrives = rng.random(len(ids)) >= (LOST if self.config.drift == "clicks_lost" else 0.0)
        events, now = [], self.event_time
        for place in np.flatnonzero(clicked).tolist():
            now += 1 + int(dwell[place])
            if arrives[place]:
                events.append(self._click(answer, answer.images[place], now, int(dwell[place])))
        return events

    def _grades(self, of: Pictures) -> Floats:
        from visual_search.world import likeness

        grade = likeness.grades(self.asked.wanted.take(np.zeros(len(of), np.int64)), of.thing)
        return np.where((self.asked.shop_only > 0) & (of.shop == 0), 0.0, grade)

    def _remember(self, grade: Floats) -> None:
        before = self.memory.answered.get(int(self.asked.user_id[0]), ORDINARY)
        found = float(grade.mean()) if len(grade) else 0.0
        self.memory.answered[int(self.asked.user_id[0])] = 0.7 * before + 0.3 * found

    def _photo(self) -> str:
        from visual_search.world import painting

        if self.scene is None:
            return ""
        form = "JPEG" if self.seed % 2 else "PNG"
        return encoded(painting.draw(self.config.seed, self.scene, self.config.side)[0], form)

    def _click(self, answer: Answer, image: ShownImage, time: int, dwell: int) -> Event:
        keys = (answer.request_id, int(self.asked.user_id[0]), image.image_id, image.owner_id)
        return Event(
            event_id=f"click-{answer.request_id}-{image.slot}",
            kind="click",
            event_time=time,
            keys=dict(zip(SHOWN, keys, strict=True)),
            values={"dwell_seconds": dwell},
        )
