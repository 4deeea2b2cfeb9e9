"""What an ad says: an opening, a thing, a call. Everybody reads the words; what a word is worth is latent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.population import normal, uniform

# fmt: off
OPENINGS = np.array([
    "new", "fresh", "classic", "simple", "bright", "quiet", "bold", "light", "handmade", "local", "daily", "honest", "clever", "sturdy",
    "soft", "quick", "slow", "little", "grand", "open", "early", "golden", "plain", "warm",
])
CALLS = np.array(["today", "now", "free", "here", "soon", "again", "together", "outside", "tonight", "anywhere", "first", "direct"])
THINGS = np.array([  # three for each topic
    "shoes", "jackets", "scarves", "phones", "lamps", "cameras", "bread", "coffee", "noodles", "trains", "hostels", "maps",
    "guitars", "drums", "records", "bikes", "tents", "boots", "novels", "comics", "atlases", "plants", "seeds", "tools",
    "films", "tickets", "series", "courses", "notebooks", "pens", "chess", "puzzles", "dice", "loans", "accounts", "cards",
    "yoga", "weights", "mats", "sofas", "shelves", "rugs", "leads", "bowls", "baskets", "paints", "brushes", "clay",
])
# fmt: on


def titles(seed: int, ad_id: Ints, topic_id: Ints) -> NDArray[np.str_]:
    opening, call, thing = _words(seed, ad_id)
    words: NDArray[np.str_] = np.char.add(np.char.add(OPENINGS[opening], " "), THINGS[3 * topic_id + thing])
    return np.char.add(np.char.add(words, " "), CALLS[call])


def appeal(seed: int, ad_id: Ints) -> Floats:
    """[n], variance 1: what the opening and the call are worth together. The thing is worth nothing beyond its topic."""
    opening, call, _ = _words(seed, ad_id)
    worth: Floats = normal(seed, "ad_click.opening", opening)[:, 0] + normal(seed, "ad_click.call", call)[:, 0]
    worth /= np.sqrt(2)
    return worth


def _words(seed: int, ad_id: Ints) -> tuple[Ints, Ints, Ints]:
    draw = uniform(seed, "ad_click.words", ad_id, 3)
    opening, call, thing = np.floor(draw * np.array([len(OPENINGS), len(CALLS), 3])).astype(np.int64).T
    return opening, call, thing
