"""What a post is: who wrote it and when, what it says and shows, and how likely it violates each policy. A function of (seed, id, time)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import DAY, Population, choice, uniform
from harmful_content.config import Config
from harmful_content.schema import POLICIES
from harmful_content.world import people, wording
from harmful_content.world.lexicon import DIALECT_POLICIES, TREND_POLICY
from harmful_content.world.people import NUM_TOPICS, VALID, boundary
from harmful_content.world.pictures import BACKGROUNDS, HATCH, NO_ARROW, NOTHING, NUM_SHAPES, Sketches

FORMS = ("plain", "twin", "dialect", "text", "picture", "meme", "struck")
PLAIN, TWIN, FRIENDLY, TEXT, PICTURE, MEME, STRUCK = range(len(FORMS))
MODALITY = np.array(["none", "text", "text", "text", "image", "both", "image"])
"""Of each form: where the meaning lies, harmful or not."""
DEVICES = np.array(["desktop", "mobile", "tablet"])

# The frozen strengths. Changing one changes every number of the case.
SHARES = np.array([0.14, 0.15, 0.07, 0.18, 0.12, 0.12, 0.22])  # of the harm, by policy
BESIDE = np.array([3, 6, -1, 0, 6, 6, 5])  # the policy that is violated beside, and how often
BESIDE_SHARE = 0.12
OF_TEXT = 0.6  # of the harm in one modality: in the text; the rest in the picture
TWINS = 0.4  # harmless twins in words for each harmful post
STRUCK_SHARE = 0.4  # signs struck out for each harmful picture, so that a sign is no more proof of harm than a word is
STRUCK_PLAIN = 0.05  # of the other pictures without an arrow: the bar alone proves nothing either
FRIENDLY_SHARE = 0.25  # of the posts in dialect: friendly words that sound hard
CLEAR, IN_PICTURE, IN_BOTH = 0.97, 0.96, 0.94  # chance that a panel calls it a violation
BORDERLINE, BORDERLINE_SHARE = 0.5, 0.15
NOT_IN_BOTH, OF_TWIN, OF_FRIENDLY, OF_PLAIN = 0.03, 0.03, 0.02, 0.002
DISGUISED, DISGUISED_PLAIN = 0.3, 0.01
ODD = 0.1  # of the posts, before the test as in it, hold a word nobody knows: else an unknown word would be guilt, as only the test's harm had any
TREND_FROM, TREND_LATE, TREND_SHARE = (
    0.75,
    0.9,
    0.2,
)  # of the days: from when, and from when with words of its own; of the harm in text from then on
OWN_WORDING = 0.5  # of the posts from the test on: in sentences, and partly of words, that training has not seen
PICTURES = 0.45  # of the posts whose meaning is elsewhere
WORDLESS = 0.25  # of the pictures without a word


@dataclass(frozen=True, kw_only=True)
class Posts:
    """[n] each. `form` is the place in FORMS; `chance` [n, num_policies] that a panel which knows the context calls it a violation."""

    post_id: Ints
    user_id: Ints
    written: Ints  # seconds, UTC
    form: Ints
    policy: Ints  # of a plain post: none is meant
    is_harm: Bools
    is_new: Bools
    is_test: Bools  # worded as only the test is
    disguise: Ints
    dialect: Bools
    language: Ints
    device: NDArray[np.str_]
    text: NDArray[np.str_]
    has_image: Bools
    background: Ints
    shape: Ints
    arrow: Ints
    struck: Bools
    chance: Floats

    def __len__(self) -> int:
        return len(self.post_id)

    def take(self, index: Ints) -> Posts:
        return Posts(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def sketches(self) -> Sketches:
        """Of those that have a picture, in their order."""
        at = np.flatnonzero(self.has_image)
        return Sketches(self.post_id[at], self.background[at], self.shape[at], self.arrow[at], self.struck[at])


def plant(config: Config, post_id: Ints, written: Ints) -> Posts:
    """The posts of these ids, written at these seconds."""
    draw = uniform(config.seed, "harmful.post", post_id, 18)
    user_id: Ints = people.authors(config, post_id, written)
    dialect = people.speaks_dialect(config.seed, user_id)
    form, is_harm = _forms(config, user_id, dialect, draw)
    policy = choice(draw[:, 2], SHARES)
    is_new = (form == TEXT) & (written >= boundary(config, TREND_FROM)) & (draw[:, 3] < TREND_SHARE)
    policy = np.where(is_new, POLICIES.index(TREND_POLICY), policy)
    spoken = np.array([POLICIES.index(name) for name in DIALECT_POLICIES])
    policy = np.where(form == FRIENDLY, spoken[policy % len(spoken)], policy)
    is_test = (written >= boundary(config, VALID)) & (draw[:, 4] < OWN_WORDING)
    is_borderline = (form == TEXT) & (draw[:, 5] < BORDERLINE_SHARE)
    hidden = draw[:, 6] < np.where(form == TEXT, DISGUISED, DISGUISED_PLAIN)
    disguise = np.where(hidden & np.isin(form, (TWIN, TEXT)), 1 + np.floor(3 * draw[:, 7]).astype(np.int64), 0)
    language = people.language(config.seed, user_id)
    picture, arrow_is_up = _pictures(form, policy, draw)
    is_cold = np.where(is_harm, arrow_is_up, ~arrow_is_up)
    topic = _topics(config, user_id, written, draw[:, 8])
    says: dict[str, NDArray[Any]] = {
        "form": form,
        "policy": policy,
        "topic": topic,
        "is_new": is_new,
        "is_late": written >= boundary(config, TREND_LATE),
        "is_test": is_test,
        "is_cold": is_cold,
        "is_odd": draw[:, 16] < ODD,
    }
    says |= {"is_borderline": is_borderline, "dialect": dialect, "language": language, "disguise": disguise}
    text = _texts(config.seed, post_id, says)
    silent = picture["has_image"] & np.isin(form, (PLAIN, PICTURE, STRUCK)) & (draw[:, 9] < WORDLESS)
    return Posts(
        post_id=post_id,
        user_id=user_id,
        written=written,
        form=form,
        policy=policy,
        is_harm=is_harm,
        is_new=is_new,
        is_test=is_test,
        disguise=disguise,
        dialect=dialect,
        language=language,
        device=DEVICES[choice(draw[:, 10], np.array([0.3, 0.6, 0.1]))],
        text=np.where(silent, "", text),
        chance=_chances(form, policy, is_harm, is_borderline),
        **picture,
    )


def truth(config: Config, made: Posts) -> Floats:
    """[n, num_policies] 0/1: what the panel said. Drawn once for each post from its chances: the part of it that nobody can know."""
    drawn = uniform(config.seed, "harmful.truth", made.post_id, len(POLICIES)) < made.chance
    return drawn.astype(np.float64)


def _forms(config: Config, user_id: Ints, dialect: Bools, draw: Floats) -> tuple[Ints, Bools]:
    """An author who offends writes more memes, and half of an author's memes are harmless: who wrote a meme does not say which half."""
    cross = config.cross_share
    bad = draw[:, 0] < people.offends(config, user_id) * (1 + cross)
    part = draw[:, 1] * (1 + cross)
    form = np.where(part < 2 * cross, MEME, np.where(part < 2 * cross + OF_TEXT * (1 - cross), TEXT, PICTURE))
    twin = part < TWINS * config.harm_share * (1 + cross)
    in_pictures = (1 - OF_TEXT) * (1 - cross)  # of the harm
    struck = draw[:, 17] < STRUCK_SHARE * in_pictures * config.harm_share
    friendly = dialect & (draw[:, 11] < FRIENDLY_SHARE)
    good = np.select([twin, struck, friendly], [TWIN, STRUCK, FRIENDLY], PLAIN)
    return np.where(bad, form, good), bad & ~((form == MEME) & (part < cross))


def _chances(form: Ints, policy: Ints, is_harm: Bools, is_borderline: Bools) -> Floats:
    """[n, num_policies]"""
    harmless = np.array([OF_PLAIN, OF_TWIN, OF_FRIENDLY, 0, 0, NOT_IN_BOTH, OF_TWIN])[form]
    harmful = np.where(is_borderline, BORDERLINE, np.array([0, 0, 0, CLEAR, IN_PICTURE, IN_BOTH, 0])[form])
    main, rows = np.where(is_harm, harmful, harmless), np.arange(len(form))
    chance = np.zeros((len(form), len(POLICIES)))
    beside = BESIDE[policy]
    chance[rows[beside >= 0], beside[beside >= 0]] = BESIDE_SHARE * main[beside >= 0]
    chance[rows, policy] = main
    return chance


def _pictures(form: Ints, policy: Ints, draw: Floats) -> tuple[dict[str, NDArray[Any]], Bools]:
    """-> has_image, background, shape, arrow, struck; and whether the arrow of a meme points up. A harmless picture has a shape or a hatch, never both
    of those that make a sign."""
    is_sign = (form == PICTURE) | (form == STRUCK)
    has_image = is_sign | (form == MEME) | (draw[:, 12] < PICTURES)
    background = choice(draw[:, 13], np.array([0.4, 0.2, 0.2, 0.2]))
    background = np.where(form == MEME, background % HATCH, np.where(is_sign, HATCH, background))
    is_hatch = background == HATCH
    meaningless = NUM_SHAPES - 2 + np.floor(3 * draw[:, 14]).astype(np.int64)
    anything = np.floor((NUM_SHAPES + 3) * draw[:, 14]).astype(np.int64)
    shape = np.minimum(np.where(is_hatch, meaningless, anything), NOTHING)
    shape = np.where(is_sign, policy, np.where(form == MEME, NOTHING, shape))
    up = draw[:, 15] < 0.5
    stray = (shape == NOTHING) & (form != MEME)
    shown = np.where(stray, draw[:, 15] * 7 % 1 < 0.5, form == MEME)
    arrow = np.where(shown, np.where(up, 1, 2), NO_ARROW)
    barred = ~is_sign & ~shown & (draw[:, 17] * 11 % 1 < STRUCK_PLAIN)
    assert background.max(initial=0) < len(BACKGROUNDS)
    struck = (form == STRUCK) | barred
    return {"has_image": has_image, "background": background, "shape": shape, "arrow": arrow, "struck": struck}, up


def _topics(config: Config, user_id: Ints, written: Ints, draw: Floats) -> Ints:
    """[n] what a plain post is about: the author's taste, and what is on everybody's lips this week."""
    population = Population(config.seed, NUM_TOPICS)
    users, of_user = np.unique(user_id, return_inverse=True)
    days, of_day = np.unique(written // DAY, return_inverse=True)
    weight = population.tastes(users)[of_user]
    weight = weight * np.exp(population.trend(days * DAY, config.trend)[of_day])
    edges = np.cumsum(weight, axis=1)
    topic: Ints = (edges < draw[:, None] * edges[:, -1:]).sum(axis=1)
    return topic


def _texts(seed: int, post_id: Ints, says: dict[str, NDArray[Any]]) -> NDArray[np.str_]:
    numbers = np.floor(1_000 * uniform(seed, "harmful.words", post_id, 6)).astype(np.int64).tolist()
    columns = {name: column.tolist() for name, column in says.items()}
    columns["post_id"] = post_id.tolist()
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return np.array([_text(draw, **row) for draw, row in zip(numbers, rows, strict=True)], dtype=np.str_)


def _text(
    numbers: list[int], *, post_id: int, form: int, policy: int, topic: int, is_new: bool, is_late: bool, is_test: bool,
    is_cold: bool, is_odd: bool, is_borderline: bool, dialect: bool, language: int, disguise: int,
) -> str:  # fmt: skip
    draw, more = (numbers[0], numbers[1], numbers[2], numbers[3]), numbers[4]
    if form == TEXT:
        text = wording.phrase(policy, is_new, is_late, is_test, draw)
        text = wording.hedged(text, is_test, more) if is_borderline else text
    elif form == TWIN:
        text = wording.twin(wording.phrase(policy, is_new, is_late, is_test, draw), is_test, more)
    elif form == FRIENDLY:
        text = wording.friendly(policy, is_test, draw)
    elif form == MEME:
        text = wording.meme(policy, is_cold, is_test, draw)
    else:
        text = wording.plain(topic, is_test, draw)
    text = wording.in_dialect(text, numbers[5]) if dialect else text
    return wording.finished(_odd(text, post_id, form, numbers[3], numbers[4]) if is_odd else text, language, disguise)


def _odd(text: str, post_id: int, form: int, draw: int, which: int) -> str:
    """Harmful posts hold rare words too, else such a word would be innocence. Only words that mean nothing are misspelt: a greeting is half of
    a meme, and a term misspelt is a disguise."""
    if form in (PLAIN, PICTURE, STRUCK) and which % 2:
        return wording.misspelt(text, draw)
    return wording.with_rare(text, post_id, draw)
