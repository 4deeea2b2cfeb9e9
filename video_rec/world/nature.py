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
REPOST, BARRED, MISDECLARED = (
    0.04,
    0.04,
    0.12,
)  # shares: copies of an older video, forbidden somewhere, declared under a wrong topic
FROM_13, FROM_16, FROM_18 = 0.06, 0.04, 0.03  # shares of the videos that are for people of at least that age
MOVES, MOVES_FROM, MOVES_TO = (
    0.7,
    30.0,
    90.0,
)  # how far one viewer's tastes move, and within how many days they are back
LOOK = 0.12  # less and less, slot by slot
CLICK, CLICK_GAIN, CLICK_CATCHY = -2.6, 5.5, 0.6
WATCH, WATCH_GAIN, WATCH_CHANCE, COMPLETED = 0.1, 1.1, 0.35, 0.6  # shares of the length
LIKE, SHARE, HIDE = 0.5, 0.2, 0.06
DRAWS = 6  # chances a video shown takes
COUNTRIES = 10
FINGERPRINT_BITS = 52

LANGUAGES = ("en", "es", "de", "fr", "pt", "hi")


@dataclass(frozen=True, kw_only=True)
class Videos:
    """What is true of videos, [n] each (`mix` [n, num_topics] of unit length, `style` [n, 2])."""

    creator_id: Ints
    original: Ints  # the id it was copied from; itself for nearly all
    mix: Floats
    style: Floats
    quality: Floats
    catchy: Floats  # draws clicks, pleases nobody
    length: Floats  # seconds
    language: Ints
    topic: Ints  # as its creator declares it, not always truly
    uploaded: Ints
    explicit: Ints
    min_age: Ints  # 0, 13, 16 or 18 years
    barred_in: Ints  # bit c: not to be shown in country c
    fingerprint: Ints  # FINGERPRINT_BITS of what is seen and heard; a copy differs in at most three


def videos(seed: int, ids: Ints, days: int) -> Videos:
    """Any videos, in blocks of any size: a function of (seed, id). All are uploaded before the judged requests begin."""
    creator, original = ids // VIDEOS_PER_CREATOR, originals(seed, ids)
    maker = original // VIDEOS_PER_CREATOR
    people = Population(seed)
    draws, latent = uniform(seed, "video", original, 4), normal(seed, "video.latent", original, 5)
    other = choice(draws[:, 0], people.topic_shares)
    share = np.where(draws[:, 1] < OFF_TOPIC, 0.15, 0.6 + 0.35 * draws[:, 2])  # one in seven is off its creator's topic
    mix = np.full((len(ids), people.num_topics), 0.01)
    mix[np.arange(len(ids)), people.creator_topic(maker)] += share
    mix[np.arange(len(ids)), other] += 1 - share
    own, uploaded = uniform(seed, "video.own", ids, 3), _uploaded(seed, ids, days)
    of_original = np.where(original == ids, uploaded, _uploaded(seed, original, days))
    return Videos(
        creator_id=creator,
        original=original,
        mix=mix / np.linalg.norm(mix, axis=1, keepdims=True),
        style=latent[:, :2],
        quality=OF_CREATOR * normal(seed, "creator.quality", maker)[:, 0] + OF_VIDEO * latent[:, 2],
        catchy=normal(seed, "video.catchy", ids)[:, 0],
        length=np.exp(np.clip(4.2 + 0.9 * latent[:, 4], 2.0, 7.0)),
        language=choice(uniform(seed, "creator.language", maker)[:, 0], np.array([6.0, 2, 1.5, 1, 1, 1])),
        topic=np.where(own[:, 0] < MISDECLARED, choice(own[:, 1], people.topic_shares), mix.argmax(axis=1)),
        uploaded=np.maximum(uploaded, np.where(original == ids, uploaded, of_original + 3_600)),
        explicit=(uniform(seed, "video.explicit", original)[:, 0] < EXPLICIT).astype(np.int64),
        **_ruled(seed, ids, original),
    )


def originals(seed: int, ids: Ints) -> Ints:
    """The id each video was copied from, itself for nearly all; a copy of a copy is one of the first."""
    original = np.asarray(ids, np.int64).copy()
    while True:
        draws = uniform(seed, "video.repost", original, 2)
        copied = (draws[:, 0] < REPOST) & (original > 0)
        if not copied.any():
            return original
        original = np.where(copied, (draws[:, 1] * original).astype(np.int64), original)


def _uploaded(seed: int, ids: Ints, days: int) -> Ints:
    when = uniform(seed, "video.uploaded", ids)[:, 0]
    return (START + (when * (40 + TEST_FROM * days) - 40) * 86_400).astype(np.int64)


def _ruled(seed: int, ids: Ints, original: Ints) -> dict[str, Ints]:
    """What the rules ask of a video. Law follows the content, so a copy has its original's."""
    draws = uniform(seed, "video.ruled", original, 5)
    ages = choice(draws[:, 0], np.array([1 - FROM_13 - FROM_16 - FROM_18, FROM_13, FROM_16, FROM_18]))
    countries = 1 << (draws[:, 2:4] * COUNTRIES).astype(np.int64)  # one or two of them
    whole = (uniform(seed, "video.fingerprint", original)[:, 0] * 2.0**FINGERPRINT_BITS).astype(np.int64)
    flipped = np.bitwise_xor.reduce(
        1 << (uniform(seed, "video.recoded", ids, 3) * FINGERPRINT_BITS).astype(np.int64), 1
    )
    return {
        "min_age": np.array([0, 13, 16, 18])[ages],
        "barred_in": np.where(draws[:, 1] < BARRED, countries[:, 0] | countries[:, 1], 0),
        "fingerprint": np.where(original == ids, whole, whole ^ flipped),
    }


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


def viewers(seed: int, user_ids: Ints, times: Ints, drift: float = 1.0, spread: float = 1.0) -> Viewers:
    """`drift` multiplies all movement of tastes, of the platform and of each viewer: 1 is as planted. `spread`: 0 and all have one taste."""
    people = Population(seed)
    moved = people.trend(times, drift) + drift * _moves(seed, user_ids, times, people.num_topics)
    taste = people.tastes(user_ids) ** spread * people.topic_shares ** (1 - spread) * np.exp(moved)
    hour = (times % 86_400) / 86_400 * 2 * np.pi
    angle = 2 * np.pi * uniform(seed, "user.mood", user_ids)[:, 0] + hour
    return Viewers(
        taste=taste / np.linalg.norm(taste, axis=1, keepdims=True),
        mood=np.stack([np.cos(angle), np.sin(angle)], axis=1),
        length=4.2 + 0.6 * normal(seed, "user.patience", user_ids)[:, 0] - 0.4 * np.sin(hour),  # longer in the evening
        language=people.language(user_ids),
    )


def _moves(seed: int, user_ids: Ints, times: Ints, num_topics: int) -> Floats:
    """[n, num_topics] log-multipliers: each viewer's liking of each topic comes and goes, in weeks and at a pace of one's own."""
    draws = uniform(seed, "user.moves", user_ids, num_topics + 1)
    days = MOVES_FROM + (MOVES_TO - MOVES_FROM) * draws[:, :1]
    moves: Floats = MOVES * np.sin(2 * np.pi * (times[:, None] / 86_400 / days + draws[:, 1:]))
    return moves


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
    shared: Floats
    hidden: Floats
    watch_seconds: Floats


def react(gain: Floats, video: Videos, slot: Ints, draws: Floats) -> Outcomes:
    """Looks (less further down), clicks on what is catchy or pleasing, then watches, likes, shares or hides by how it pleases. `draws` [n, DRAWS] in (0, 1)."""
    looked = draws[:, 0] < 1 / (1 + LOOK * slot)
    appeal = 1 / (1 + np.exp(-(CLICK + CLICK_GAIN * gain + CLICK_CATCHY * video.catchy)))
    clicked = looked & (draws[:, 1] < appeal)
    share = np.clip(WATCH + WATCH_GAIN * gain + WATCH_CHANCE * (draws[:, 2] - 0.5), 0.02, 1.0)
    completed = clicked & (share > COMPLETED)
    liked = clicked & (draws[:, 3] < LIKE * gain**2)
    hidden = looked & (draws[:, 4] < HIDE * (1 - gain) ** 4)
    seconds = np.where(clicked, np.maximum(1.0, np.round(share * video.length)), 0.0)
    shared = clicked & (draws[:, 5] < SHARE * gain**3)
    found = (clicked, completed, liked, shared, hidden, seconds)
    return Outcomes(**dict(zip(Outcomes.__dataclass_fields__, (x.astype(float) for x in found), strict=True)))
