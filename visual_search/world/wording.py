"""What owners write about their images and what people search with: words for some of what is to be seen, in synonyms of their own, some of them
wrong. Two images of one kind may share no word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.population import uniform
from visual_search.world.likeness import Wanted
from visual_search.world.things import COLOURS, MATERIALS, PATTERNS, SHAPES, Pictures, named

Texts = NDArray[np.str_]

# Words of each value, three forms; a person has one form for each.
WORDS: tuple[tuple[str, ...], ...] = (
    (
        "vase/urn/amphora", "chair/seat/stool", "lamp/light/lantern", "bag/handbag/purse", "shoe/sneaker/trainer", "cup/mug/beaker",
        "dress/gown/frock", "clock/alarm/timepiece", "plant/houseplant/greenery", "bottle/flask/decanter", "sofa/couch/settee",
        "teapot/pot/kettle", "hat/fedora/trilby", "guitar/ukulele/acoustic", "umbrella/parasol/brolly", "shirt/blouse/tee", "kite/kite/kite",
    ),
    ("ceramic/porcelain/glazed", "metal/steel/metallic", "wood/wooden/timber", "cloth/fabric/textile"),
    ("plain/solid/simple", "striped/stripes/lines", "dotted/dots/polka", "checked/checks/chequered", "zigzag/chevron/herringbone", "marbled/swirled/marble"),
    (
        "red/crimson/scarlet", "orange/tangerine/amber", "yellow/golden/mustard", "lime/chartreuse/pistachio", "green/emerald/forest",
        "teal/turquoise/petrol", "blue/azure/cobalt", "indigo/navy/midnight", "purple/violet/plum", "pink/rose/magenta",
    ),
)  # fmt: skip
SHAPE, MATERIAL, PATTERN, COLOUR = range(4)
ORDER = (COLOUR, PATTERN, MATERIAL, SHAPE)  # red striped wooden chair
PRAISE = [
    "lovely",
    "new",
    "handmade",
    "vintage",
    "classic",
    "favourite",
    "little",
    "modern",
    "beautiful",
    "rare",
    "cosy",
    "bright",
]
PLACES = [
    "home",
    "kitchen",
    "garden",
    "weekend",
    "gift",
    "studio",
    "market",
    "morning",
    "corner",
    "shelf",
    "style",
    "today",
]
VOCABULARY = sorted({word for attribute in WORDS for words in attribute for word in words.split("/")})

# The frozen strengths: shares of images whose text names an attribute, in the order of WORDS; of those names, wrong ones.
SHOP_SAYS, POST_SAYS = np.array([0.95, 0.6, 0.6, 0.75]), np.array([0.55, 0.2, 0.3, 0.4])
SHOP_WRONG, POST_WRONG = 0.03, 0.1
PLAIN_SAID = 0.3  # as often as another pattern: nobody writes that there is none
FIRST_FORM = 0.55  # of people use the commonest word
ASKS = np.array([0.9, 0.4, 0.45, 0.7])  # of those who search with words


def _forms(seed: int, stream: str, people: Ints, attribute: int, value: Ints) -> Ints:
    """Which of the three words: a habit, for this value of theirs."""
    key = people * 128 + attribute * 32 + value
    u = uniform(seed, stream, key)[:, 0]
    return np.where(u < FIRST_FORM, 0, 1 + (2 * (u - FIRST_FORM) / (1 - FIRST_FORM)).astype(np.int64))


def _named(seed: int, people: Ints, attribute: int, value: Ints) -> list[str]:
    """[n] words; "" for value -1."""
    form = _forms(seed, "user.words", people, attribute, value).tolist()
    table = [words.split("/") for words in WORDS[attribute]]
    return ["" if of < 0 else table[of][one] for of, one in zip(value.tolist(), form, strict=True)]


def texts(seed: int, of: Pictures) -> Texts:
    """[n]: what each image's owner wrote, a function of (seed, id): some words of the title, then tags."""
    thing, draws = of.thing, uniform(seed, "image.text", of.image_id, 20)
    values = (thing.shape, thing.material, thing.pattern, thing.colour)
    shop = (of.shop > 0)[:, None]
    says = np.where(shop, SHOP_SAYS, POST_SAYS)
    says[:, PATTERN] *= np.where(thing.pattern == 0, PLAIN_SAID, 1.0)
    said = draws[:, :4] < says
    wrong = draws[:, 4:8] < np.where(shop, SHOP_WRONG, POST_WRONG)
    words = []
    for attribute, true in enumerate(values):
        other = (draws[:, 8 + attribute] * _number(attribute)).astype(np.int64)
        value = np.where(said[:, attribute], np.where(wrong[:, attribute], other, true), -1)
        words.append(_named(seed, of.owner_id, attribute, value))
    praise = [PRAISE[at] if u < 0.6 else "" for at, u in _picks(draws[:, 12], len(PRAISE), draws[:, 13])]
    places = [PLACES[at] if u < 0.7 else "my" for at, u in _picks(draws[:, 14], len(PLACES), draws[:, 15])]
    tagged = (draws[:, 16:20] < 0.35).tolist()
    rows = zip(praise, *(words[attribute] for attribute in ORDER), places, tagged, strict=True)
    return np.array([_joined(row[0], row[1:5], row[5], row[6]) for row in rows], dtype=np.str_)


def _picks(u: Floats, num: int, chance: Floats) -> list[tuple[int, float]]:
    return list(zip((u * num).astype(np.int64).tolist(), chance.tolist(), strict=True))


def _joined(praise: str, words: Sequence[str], place: str, tagged: Sequence[bool]) -> str:
    """A tagged word stands behind the title, as a tag."""
    title = [word for word, tag in zip(words, tagged, strict=True) if word and not tag]
    tags = [f"#{word}" for word, tag in zip(words, tagged, strict=True) if word and tag]
    return " ".join(part for part in (praise, *title, place, *tags) if part)


def _number(attribute: int) -> int:
    return (len(SHAPES), len(MATERIALS), len(PATTERNS), len(COLOURS))[attribute]


def queries(seed: int, people: Ints, wanted: Wanted) -> Texts:
    """[n]: what these people type for what they want."""
    values = _values(wanted)
    words = [_named(seed, people, attribute, values[attribute]) for attribute in ORDER]
    return np.array([" ".join(word for word in row if word) for row in zip(*words, strict=True)], dtype=np.str_)


def changes(seed: int, people: Ints, wanted: Wanted, attribute: Ints) -> Texts:
    """[n]: what they type beside a photo, of which one attribute shall be another: in red, wooden, dots."""
    values = _values(wanted)
    said = {one: _named(seed, people, one, values[one]) for one in (MATERIAL, PATTERN, COLOUR)}
    words = [said[one][at] for at, one in enumerate(attribute.tolist())]
    return np.array(
        [f"in {word}" if one == COLOUR else word for word, one in zip(words, attribute, strict=True)], np.str_
    )


def _values(wanted: Wanted) -> tuple[Ints, Ints, Ints, Ints]:
    colour = np.where(np.isnan(wanted.hue), -1, named(np.nan_to_num(wanted.hue)))
    return wanted.shape, wanted.material, wanted.pattern, colour
