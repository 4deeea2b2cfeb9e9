"""The log: what the old engine showed and what people did with it.

The old engine is imperfect on purpose: it compares colour histograms of whole pictures, counts words in common, adds popularity, which its own
clicks feed, and is noisy. What is of an unseen combination or of no colour in common is hardly ever shown.

People read from the top and look at place p with probability p ** -steepness; what they look at they click on as it is alike and as things like
it appeal just now, and sometimes by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import DAY, Population, normal
from visual_search.schema import Pixels, Texts
from visual_search.world.asking import Searches
from visual_search.world.likeness import grades
from visual_search.world.things import COLOURS, SHAPES, START, Pictures, Things

Scores = NDArray[np.floating]
PAGE = 10
SCORED = 2**23  # pairs whose scores are held at once

# The frozen strengths: changing one changes every number of the case.
CLICK, CLICK_GRADE, CLICK_USER, CLICK_IMAGE, CLICK_APPEAL = -3.6, 5.5, 0.4, 0.4, 0.8  # log odds
ACCIDENT = 0.006  # clicks on what was looked at and not meant
DWELL, DWELL_GRADE, DWELL_CHANCE = 3.0, 45.0, 0.6  # seconds; the last: of their logarithm
COLOUR, WORD, POPULAR, NOISE = 4.0, 0.35, 0.06, 0.35  # of the old engine
FINE = 4  # levels of each of three colours in its histograms


@dataclass(frozen=True, kw_only=True)
class Log:
    """One row an image shown, by request in order of time, then by slot. `request`: place among the searches."""

    request: Ints
    image: Ints  # place in the gallery
    slot: Ints
    grade: Floats
    clicked: Bools
    dwell: Ints  # seconds, 0 without a click
    late: Ints  # seconds after which the click is reported, beside the dwell

    def __len__(self) -> int:
        return len(self.slot)


def simulate(seed: int, asked: Searches, query: Scores, gallery: Pictures, shelf: Scores, words: tuple[Scores, Scores], days: int, steepness: float, rng: np.random.Generator) -> Log:  # fmt: skip
    """Plays the old engine day by day. `query` [n, bins], `shelf` [num_images, bins]: histograms, 0 for words alone; `words`: of both, 0 or 1 each."""
    popular = np.zeros(len(gallery), np.float32)
    parts: list[Log] = []
    for day in range(days):
        rows = np.arange(*np.searchsorted(asked.event_time, START + DAY * np.array([day, day + 1])))
        if not len(rows):  # a quiet day of a tiny world
            continue
        shown = (gallery.private == 0) & (gallery.explicit == 0) & (gallery.uploaded < START + DAY * day)
        lists = []
        for some in np.array_split(rows, 1 + len(rows) * len(gallery) // SCORED):
            scores = COLOUR * query[some] @ shelf.T + WORD * words[0][some] @ words[1].T
            scores += POPULAR * np.log1p(popular) + _noise(len(some), len(gallery), rng)
            scores[:, ~shown] = -np.inf
            of_gallery = np.flatnonzero(asked.query_id[some] >= 0)
            scores[of_gallery, asked.query_id[some][of_gallery]] = -np.inf
            lists.append(best(scores, PAGE))
        part = _play(seed, asked, rows, np.concatenate(lists), gallery, steepness, rng)
        popular += np.bincount(part.image[part.clicked], minlength=len(popular)).astype(np.float32)
        parts.append(part)
    return Log(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Log)})


def best(scores: Scores, k: int) -> Ints:
    """[n, k] places of the highest, best first."""
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    found: Ints = np.take_along_axis(top, order, 1)
    return found


def _noise(num: int, width: int, rng: np.random.Generator) -> Scores:
    """[num, width]: stretches of one long row of normal numbers; fresh ones for every pair would cost more than all else."""
    long = (NOISE * rng.standard_normal(4 * width)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(long, width)
    return windows[rng.integers(0, len(windows), num)]


def _play(seed: int, asked: Searches, rows: Ints, lists: Ints, gallery: Pictures, steepness: float, rng: np.random.Generator) -> Log:  # fmt: skip
    request, image = np.repeat(rows, lists.shape[1]), lists.ravel()
    thing = gallery.thing.take(image)
    grade = grades(asked.wanted.take(request), thing)
    user, time = asked.user_id[request], asked.event_time[request]
    clicked = react(
        seed, grade.reshape(lists.shape), thing, gallery.image_id[image], user, time, steepness, rng
    ).ravel()
    late = np.where(rng.random(len(image)) < 1 / 30, rng.exponential(4 * 3_600, len(image)), 0.0)
    return Log(
        request=request,
        image=image,
        slot=np.tile(np.arange(lists.shape[1]), len(lists)),
        grade=grade,
        clicked=clicked,
        dwell=np.where(clicked, dwell(grade, rng), 0),
        late=late.astype(np.int64),
    )


def react(seed: int, grade: Floats, thing: Things, image_id: Ints, user_id: Ints, event_time: Ints, steepness: float, rng: np.random.Generator) -> Bools:  # fmt: skip
    """grade [n, k] of pages as shown; all else [n * k] -> clicked [n, k]."""
    n, k = grade.shape
    looked = rng.random((n, 1)) < examination(np.arange(1, k + 1), steepness)  # one lot a page: they read from the top
    merit = (
        CLICK_USER * normal(seed, "user.clicky", user_id)[:, 0]
        + CLICK_IMAGE * normal(seed, "image.catchy", image_id)[:, 0]
    )
    merit += CLICK_APPEAL * appeal(seed, thing, event_time)
    drawn = 1 / (1 + np.exp(-(CLICK + CLICK_GRADE * grade + merit.reshape(n, k))))
    clicked: Bools = looked & ((rng.random((n, k)) < drawn) | (rng.random((n, k)) < ACCIDENT))
    return clicked


def examination(places: Ints, steepness: float) -> Floats:
    """The probability with which place p = 1, 2, ... is looked at."""
    curve: Floats = np.asarray(places, float) ** -steepness
    return curve


def appeal(seed: int, thing: Things, event_time: Ints) -> Floats:
    """[n] log odds: how things of this shape and of this colour appeal at a time; it drifts as the platform's tastes do."""
    days, place = np.unique(event_time // DAY, return_inverse=True)
    moods = Population(seed, len(SHAPES) + len(COLOURS)).trend(days * DAY)
    known = np.minimum(thing.shape, len(SHAPES) - 1)
    both: Floats = 0.5 * (moods[place, known] + moods[place, len(SHAPES) + thing.colour])
    return both


def dwell(grade: Floats, rng: np.random.Generator) -> Ints:
    """[n] seconds spent with an image after a click, at least one: longer with what is alike."""
    seconds = (DWELL + DWELL_GRADE * grade) * np.exp(DWELL_CHANCE * rng.standard_normal(len(grade)))
    return np.maximum(1, np.round(seconds)).astype(np.int64)


def histograms(pixels: Pixels) -> Scores:
    """[n, FINE ** 3] of unit length: of every second pixel of the whole picture, square roots of shares."""
    levels = pixels[:, ::2, ::2] // (256 // FINE)
    cell = (levels[..., 0].astype(np.int64) * FINE + levels[..., 1]) * FINE + levels[..., 2]
    cell = cell.reshape(len(pixels), -1) + FINE**3 * np.arange(len(pixels))[:, None]
    counts = np.bincount(cell.ravel(), minlength=FINE**3 * len(pixels)).reshape(len(pixels), -1)
    bins: Scores = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return bins


def bags(texts: Texts, vocabulary: dict[str, int]) -> Scores:
    """[n, words]: 1 for each word of the vocabulary that a text has."""
    found = np.zeros((len(texts), len(vocabulary)), np.float32)
    for row, text in enumerate(texts.tolist()):
        for word in text.replace("#", "").split():
            if word in vocabulary:
                found[row, vocabulary[word]] = 1
    return found
