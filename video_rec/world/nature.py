"""What is true of videos and viewers, and how much a video would please."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints
from common.population import Population, choice, normal, uniform

START = 20_250 * 86_400  # the first second of the log, UTC
TEST_FROM = 0.85  # share of the days after which requests are judged
VIDEOS_PER_CREATOR = 20

# The frozen strengths: changing one changes every number of the case. docs/LOG.md holds their hash, that of a small world, and the reasons.
INTERCEPT, TASTE, QUALITY, MOOD, LENGTH = -2.9, 6.0, 0.5, 0.35, -0.3
SPOKEN, ENGLISH, FOREIGN = 0.8, 0.1, -0.9  # a video in one's own language, in English, in another
WEARY, MOST_WEARY = -0.25, 6.0
OF_CREATOR, OF_VIDEO = 0.6, 0.8  # how good a video is comes from both
OFF_TOPIC, EXPLICIT = 0.15, 0.02  # shares of the videos
LOOK = 0.12  # less and less, slot by slot
CLICK, CLICK_GAIN, CLICK_CATCHY = -2.6, 5.5, 0.6
WATCH, WATCH_GAIN, WATCH_CHANCE, COMPLETED = 0.1, 1.1, 0.35, 0.6  # shares of the length
LIKE, HIDE = 0.5, 0.06

LANGUAGES = ("en", "es", "de", "fr", "pt", "hi")


@dataclass(frozen=True, kw_only=True)
class Videos:
    """What is true of videos, [n] each (`mix` [n, num_topics] of unit length, `style` [n, 2])."""

    creator_id: Ints
    mix: Floats
    style: Floats
    quality: Floats
    catchy: Floats  # draws clicks, pleases nobody
    length: Floats  # seconds
    language: Ints
    uploaded: Ints
    explicit: Ints


def videos(seed: int, ids: Ints, days: int) -> Videos:
    """Any videos, in blocks of any size: a function of (seed, id). All are uploaded before the judged requests begin."""
    creator = ids // VIDEOS_PER_CREATOR
    people = Population(seed)
    draws, latent = uniform(seed, "video", ids, 4), normal(seed, "video.latent", ids, 5)
    other = choice(draws[:, 0], people.topic_shares)
    share = np.where(draws[:, 1] < OFF_TOPIC, 0.15, 0.6 + 0.35 * draws[:, 2])  # one in seven is off its creator's topic
    mix = np.full((len(ids), people.num_topics), 0.01)
    mix[np.arange(len(ids)), people.creator_topic(creator)] += share
    mix[np.arange(len(ids)), other] += 1 - share
    return Videos(
        creator_id=creator,
        mix=mix / np.linalg.norm(mix, axis=1, keepdims=True),
        style=latent[:, :2],
        quality=OF_CREATOR * normal(seed, "creator.quality", creator)[:, 0] + OF_VIDEO * latent[:, 2],
        catchy=latent[:, 3],
        length=np.exp(np.clip(4.2 + 0.9 * latent[:, 4], 2.0, 7.0)),
        language=choice(uniform(seed, "creator.language", creator)[:, 0], np.array([6.0, 2, 1.5, 1, 1, 1])),
        uploaded=(START + (draws[:, 3] * (40 + TEST_FROM * days) - 40) * 86_400).astype(np.int64),
        explicit=(uniform(seed, "video.explicit", ids)[:, 0] < EXPLICIT).astype(np.int64),
    )


@dataclass(frozen=True, kw_only=True)
class Viewers:
    """What is true of viewers at a moment, [n] each (`taste` [n, num_topics] of unit length, `mood` [n, 2])."""

    taste: Floats
    mood: Floats
    length: Floats  # log seconds they are in the mood for
    language: Ints

    def take(self, rows: Ints) -> Viewers:
        return Viewers(
            taste=self.taste[rows], mood=self.mood[rows], length=self.length[rows], language=self.language[rows]
        )


def viewers(seed: int, user_ids: Ints, times: Ints, drift: float = 1.0) -> Viewers:
    """`drift` multiplies the trend of topics: 1 is the platform as planted."""
    people = Population(seed)
    taste = people.tastes(user_ids) * np.exp(people.trend(times, drift))
    hour = (times % 86_400) / 86_400 * 2 * np.pi
    angle = 2 * np.pi * uniform(seed, "user.mood", user_ids)[:, 0] + hour
    return Viewers(
        taste=taste / np.linalg.norm(taste, axis=1, keepdims=True),
        mood=np.stack([np.cos(angle), np.sin(angle)], axis=1),
        length=4.2 + 0.6 * normal(seed, "user.patience", user_ids)[:, 0] - 0.4 * np.sin(hour),  # longer in the evening
        language=people.language(user_ids),
    )


def gains(viewer: Viewers, video: Videos, tired: Floats) -> Floats:
    """The truth [n] in [0, 1], row by row (one viewer broadcasts over many videos): taste meets topic, quality, language and length; a mood
    by the hour that no model sees; tiredness [n, num_topics] of what was just watched."""
    match = (viewer.taste * video.mix).sum(axis=1)
    length = LENGTH * (np.log(video.length) - viewer.length) ** 2
    spoken = np.where(video.language == viewer.language, SPOKEN, np.where(video.language == 0, ENGLISH, FOREIGN))
    mood = MOOD * (viewer.mood * video.style).sum(axis=1)
    weary = WEARY * np.minimum((tired * video.mix).sum(axis=1), MOST_WEARY)
    merit = INTERCEPT + TASTE * match + QUALITY * video.quality + spoken + length + mood + weary
    worth: Floats = 1 / (1 + np.exp(-merit))
    return worth


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What viewers did with videos shown to them, [n] each; 0 or 1 but for the seconds."""

    clicked: Floats
    completed: Floats
    liked: Floats
    hidden: Floats
    watch_seconds: Floats


def react(gain: Floats, video: Videos, slot: Ints, draws: Floats) -> Outcomes:
    """Looks (less further down), clicks on what is catchy or pleasing, then watches, likes or hides by how it pleases. `draws` [n, 5] in (0, 1)."""
    looked = draws[:, 0] < 1 / (1 + LOOK * slot)
    appeal = 1 / (1 + np.exp(-(CLICK + CLICK_GAIN * gain + CLICK_CATCHY * video.catchy)))
    clicked = looked & (draws[:, 1] < appeal)
    share = np.clip(WATCH + WATCH_GAIN * gain + WATCH_CHANCE * (draws[:, 2] - 0.5), 0.02, 1.0)
    completed = clicked & (share > COMPLETED)
    liked = clicked & (draws[:, 3] < LIKE * gain**2)
    hidden = looked & (draws[:, 4] < HIDE * (1 - gain) ** 4)
    seconds = np.where(clicked, np.maximum(1.0, np.round(share * video.length)), 0.0)
    found = (clicked, completed, liked, hidden, seconds)
    return Outcomes(**dict(zip(Outcomes.__dataclass_fields__, (x.astype(float) for x in found), strict=True)))
