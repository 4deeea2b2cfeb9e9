"""The planted truth: what is on the gallery's images and on people's photos, who looks for what, what the old engine showed and what they clicked on.

In:     a Config.
Out:    make(config) -> World: the gallery and the photos with their pixels, searches, the log, rated pairs, the true gain of any pair; ceiling(config).
Choice: things, pictures and people are functions of (seed, id), drawn by code: what is alike is known, and the pages may show it.
Else:   public photos: nobody knows what would have been alike that no rater saw, and few licences let a repository show them.
Breaks: a text or a column that gives a thing away, a combination that training should not know, a click curve that is not the planted one:
        test_world.py.

Gain in [0, 1] is how alike the thing on the photo (or in the words) and the thing on the image are, to who asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from common.contract import Floats, Ints, Ranking
from common.population import DAY
from visual_search.config import Config
from visual_search.schema import Catalog, Images, Requests
from visual_search.world import asking, history, rating, wording
from visual_search.world.asking import KINDS, Searches, Taken
from visual_search.world.history import Log
from visual_search.world.likeness import ALIKE, Wanted, grades
from visual_search.world.painting import draw
from visual_search.world.scenes import Scenes, boxes, cast, gallery
from visual_search.world.things import START, TEST_FROM, Pictures, pictures

__all__ = ["ALIKE", "KINDS", "START", "TEST_FROM", "Ceiling", "World", "boxes", "cast", "ceiling", "described", "make"]

TRAIN = 0.7  # of the days: what is rated was asked before


def make(config: Config) -> World:
    """The world of this config; kept, because data, judgments and ceiling all look at the same one."""
    return _make(
        config.seed, config.num_users, config.num_images, config.num_searches, config.num_photos, config.num_pairs,
        config.num_judged, config.days, config.side, config.clutter, config.steepness,
    )  # fmt: skip


def ceiling(config: Config) -> Ceiling:
    return Ceiling(make(config))


@dataclass(frozen=True, kw_only=True)
class World:
    """The platform as it is. Images have the ids 0, 1, ... `photos` holds the pixels of the log's photos, then of the judged ones, then of the gallery's
    images that were asked with; a search's `photo` is a place in it."""

    seed: int
    catalog: Catalog
    pictures: Pictures
    photos: Images
    shot: Scenes  # of the log's photos, then of the judged ones
    log_searches: Searches
    judged: Searches
    log: Log
    pairs: tuple[Ints, Ints, Floats]  # photo, image, grade

    def gain(self, requests: Requests, ids: Ints) -> Floats:
        """requests [n], ids [n, k] -> [n, k] in [0, 1]; 0 for id -1, for the image that was asked with and for
        what is not for sale where that was asked for."""
        wrong = (requests.shop_only[:, None] > 0) & (self.pictures.shop[ids] == 0)
        rows, places = np.nonzero((ids >= 0) & (ids != requests.query_id[:, None]) & ~wrong)
        image = ids[rows, places]
        values = np.zeros(ids.shape)
        values[rows, places] = grades(self.wanted(requests).take(rows), self.pictures.thing.take(image))
        return values

    def wanted(self, requests: Requests) -> Wanted:
        """What each request means: who asked when is one search, of the log or judged."""
        pairs = zip(requests.user_id.tolist(), requests.event_time.tolist(), strict=True)
        at = np.array([self._place[pair] for pair in pairs], dtype=np.int64)
        of_log, judged = self.log_searches.wanted, self.judged.wanted
        return Wanted(
            **{name: np.concatenate([column, getattr(judged, name)])[at] for name, column in vars(of_log).items()}
        )

    @cached_property
    def _place(self) -> dict[tuple[int, int], int]:
        user = np.concatenate([self.log_searches.user_id, self.judged.user_id])
        time = np.concatenate([self.log_searches.event_time, self.judged.event_time])
        return {pair: at for at, pair in enumerate(zip(user.tolist(), time.tolist(), strict=True))}


@dataclass(frozen=True)
class Ceiling:
    """Ranks by the true gain. It knows what matters to whom, which no model can: an oracle, not a bound."""

    world: World

    def rank(self, requests: Requests, k: int) -> Ranking:
        """The k images of greatest true gain for each request, before any rule."""
        world, wanted = self.world, self.world.wanted(requests)
        k = min(k, len(world.catalog))
        ids, scores = np.empty((len(requests), k), np.int64), np.empty((len(requests), k))
        for row in range(len(requests)):
            every = grades(wanted.take(np.array([row])), world.pictures.thing)
            if requests.query_id[row] >= 0:
                every[requests.query_id[row]] = 0.0
            if requests.shop_only[row]:
                every[world.pictures.shop == 0] = 0.0
            best = np.argpartition(-every, k - 1)[:k]
            best = best[np.argsort(-every[best], kind="stable")]
            ids[row], scores[row] = world.catalog.image_id[best], every[best]
        return Ranking(ids=ids, scores=scores)


@lru_cache(maxsize=2)
def _make(seed: int, num_users: int, num_images: int, num_searches: int, num_photos: int, num_pairs: int, num_judged: int, days: int, side: int, clutter: float, steepness: float) -> World:  # fmt: skip
    rng = np.random.default_rng([seed, 80])
    of = pictures(seed, np.arange(num_images), days)
    catalog = described(seed, of, Images(draw(seed, gallery(seed, of, clutter), side)))
    taken, judged_taken = (
        _taken(seed, num, first, num_users, of, clutter, days, new, rng)
        for num, first, new in ((num_photos, 0, False), (num_judged, num_photos, True))
    )
    asked, judged = (
        asking.searches(seed, first, *_asking(seed, num, num_users, days, new, rng), photos_of, of, new, rng)
        for first, num, photos_of, new in (
            (0, num_searches, taken, False),
            (num_searches, num_judged, judged_taken, True),
        )
    )
    shot = Scenes.joined(taken.scene, judged_taken.scene)
    asked, judged, of_gallery = _placed(asked, judged, len(taken), len(shot))
    photos = Images(np.concatenate([draw(seed, shot, side), catalog.images.pixels[of_gallery]]))
    log = _log(seed, asked, photos, catalog, of, days, steepness, rng)
    return World(
        seed=seed,
        catalog=catalog,
        pictures=of,
        photos=photos,
        shot=shot,
        log_searches=asked,
        judged=judged,
        log=log,
        pairs=_rated(taken, asked, log, of, days, num_pairs, rng),
    )


def _taken(seed: int, num: int, first: int, num_users: int, of: Pictures, clutter: float, days: int, new: bool, rng: np.random.Generator) -> Taken:  # fmt: skip
    who, when = _asking(seed, num, num_users, days, new, rng)
    return asking.take_photos(seed, first + np.arange(num), who, when, of, clutter, rng, new)


def _asking(seed: int, num: int, num_users: int, days: int, new: bool, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """[num] people and times; new: people who never came before, in the judged days."""
    when = asking.times(seed, TEST_FROM * days if new else 0, days, num, rng)
    return asking.people(seed, num_users, num, new, rng), rng.permutation(when)


def _placed(asked: Searches, judged: Searches, num_photos: int, num_shot: int) -> tuple[Searches, Searches, Ints]:
    """Both with their photo's place in the pool, and the gallery's images that stand at its end."""
    query_id = np.concatenate([asked.query_id, judged.query_id])
    photo = np.concatenate([asked.photo, np.where(judged.photo >= 0, judged.photo + num_photos, -1)])
    from_gallery = np.flatnonzero(query_id >= 0)
    photo[from_gallery] = num_shot + np.arange(len(from_gallery))
    parts = np.split(photo, [len(asked)])
    return replace(asked, photo=parts[0]), replace(judged, photo=parts[1]), query_id[from_gallery]


def _log(seed: int, asked: Searches, photos: Images, catalog: Catalog, of: Pictures, days: int, steepness: float, rng: np.random.Generator) -> Log:  # fmt: skip
    query = history.histograms(photos.pixels)[asked.photo] * (asked.photo >= 0)[:, None]
    vocabulary = {word: at for at, word in enumerate(wording.VOCABULARY)}
    words = history.bags(asked.text, vocabulary), history.bags(catalog.text, vocabulary)
    shelf = history.histograms(catalog.images.pixels)
    return history.simulate(seed, asked, query, of, shelf, words, days, steepness, rng)


def _rated(taken: Taken, asked: Searches, log: Log, of: Pictures, days: int, num: int, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:  # fmt: skip
    """Of photos of the training days, and of images that were there by then: by page or as a rater would look for them."""
    until = START + round(TRAIN * days * DAY)
    early = np.flatnonzero(taken.event_time < until)
    own = (asked.photo[log.request] >= 0) & (asked.query_id[log.request] < 0) & (asked.event_time[log.request] < until)
    allowed = (of.private == 0) & (of.explicit == 0) & ~of.unseen & (of.uploaded < until)
    shown = asked.photo[log.request][own], log.image[own]
    return rating.rate(taken, early, of, allowed, shown, num, rng)


def described(seed: int, of: Pictures, images: Images) -> Catalog:
    """What a platform would know of these images, in blocks of any size."""
    return Catalog(
        image_id=of.image_id,
        owner_id=of.owner_id,
        text=wording.texts(seed, of),
        images=images,
        explicit=of.explicit,
        private=of.private,
        shop=of.shop,
        fingerprint=of.fingerprint,
        numbers={"uploaded": of.uploaded.astype(float)},
    )
