"""Titles and tags: words of the video's topics, in its creator's own choice of synonyms. Two videos of one topic may share no word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import uniform
from video_rec.world.nature import VIDEOS_PER_CREATOR, Videos

TOPICS = (  # eight concepts a topic, two words for each
    "guitar/riff concert/gig drummer/percussion melody/tune chorus/refrain vinyl/record bass/groove encore/setlist",
    "pasta/noodles recipe/dish oven/bake spicy/chili dessert/sweets knife/chopping soup/broth takeaway/snack",
    "goal/strike keeper/goalie league/cup penalty/spotkick derby/rivalry coach/trainer pitch/stadium transfer/signing",
    "boss/raid speedrun/anypercent loot/drop controller/gamepad patch/update quest/mission pixel/retro stream/playthrough",
    "puppy/doggo kitten/cat aquarium/fishtank rescue/shelter parrot/bird leash/walkies paws/claws vet/checkup",
    "lipstick/makeup skincare/serum outfit/look vintage/thrift runway/catwalk braid/hairstyle perfume/scent wardrobe/closet",
    "engine/motor drift/skid garage/workshop electric/hybrid racing/laps turbo/boost paint/wrap roadtrip/drive",
    "beach/coast hostel/backpacking temple/ruins train/railway visa/passport island/archipelago hiking/trek sunset/dusk",
    "deadlift/squat protein/shake marathon/running yoga/stretching abs/core homegym/dumbbell cardio/hiit recovery/rest",
    "rocket/launch galaxy/nebula quantum/physics fossil/dinosaur volcano/lava telescope/observatory neuron/brain lab/experiment",
    "python/coding laptop/notebook robot/drone chip/processor startup/founder phone/smartphone server/cloud hacker/security",
    "prank/hoax standup/comedian parody/spoof sketch/skit fail/blooper roast/banter meme/gag awkward/cringe",
    "watercolor/painting sculpture/clay origami/paperfold mural/graffiti pottery/ceramics calligraphy/lettering easel/canvas doodle/drawing",
    "tomato/vegetable compost/mulch orchid/flower greenhouse/polytunnel pruning/trimming beehive/bees lawn/mowing bonsai/pot",
    "election/vote budget/deficit protest/march minister/senator treaty/accord court/ruling inflation/prices border/migration",
    "toddler/baby homework/school lullaby/bedtime playground/swings pregnancy/bump stroller/pram teenager/teen birthday/party",
)
FILLERS = [
    "my",
    "the",
    "best",
    "new",
    "day",
    "part",
    "live",
    "full",
    "how",
    "why",
    "first",
    "top",
    "story",
    "tips",
    "challenge",
    "now",
]


NAMES = (  # of the topics, as creators declare them
    "music", "cooking", "football", "games", "pets", "fashion", "cars", "travel", "fitness", "science", "technology", "comedy", "art",
    "garden", "politics", "family",
)  # fmt: skip


def titles(seed: int, ids: Ints, truth: Videos) -> NDArray[np.str_]:
    """[n] titles of five words, a function of (seed, id), in the synonyms their creator likes. A copy changes one word of its original's."""
    draws = uniform(seed, "video.title", truth.original, 25).reshape(len(ids), 5, 5)
    copied = np.flatnonzero(truth.original != ids)
    own = uniform(seed, "video.retitled", ids[copied], 6)
    draws[copied, (own[:, 0] * 5).astype(int)] = own[:, 1:]
    habit = uniform(seed, "creator.synonym", truth.original // VIDEOS_PER_CREATOR)
    return _joined(truth, draws, np.repeat(habit < 0.5, 5, axis=1))


def tags(seed: int, ids: Ints, truth: Videos) -> NDArray[np.str_]:
    """[n] three words each that the creator hopes to be found by: either synonym, and one word in four says nothing."""
    draws = uniform(seed, "video.tags", ids, 15).reshape(len(ids), 3, 5)
    return _joined(truth, draws, draws[:, :, 4] < 0.5)


def _joined(truth: Videos, draws: Floats, synonym: Bools) -> NDArray[np.str_]:
    """draws [n, words, 5], synonym [n, words] -> as many words each."""
    words = np.array([[pair.split("/") for pair in line.split()] for line in TOPICS])  # [topics, concepts, synonyms]
    cumulative = (truth.mix / truth.mix.sum(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = []
    for place in range(draws.shape[1]):
        topic = np.minimum((draws[:, place, 0, None] > cumulative).sum(axis=1), len(TOPICS) - 1)
        word = words[topic, (draws[:, place, 1] * 8).astype(int), synonym[:, place].astype(int)]
        filler = np.array(FILLERS)[(draws[:, place, 2] * len(FILLERS)).astype(int)]
        chosen.append(np.where(draws[:, place, 3] < 0.25, filler, word))
    written: NDArray[np.str_] = chosen[0]
    for word in chosen[1:]:
        written = np.strings.add(np.strings.add(written, " "), word)
    return written
