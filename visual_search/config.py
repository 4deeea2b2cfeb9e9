"""Every knob of the case, and its presets.

In:     nothing.
Out:    Config and SMOKE, DEMO, DEFAULT, LARGE; OVERRIDES per real data set; CAPACITY, the plan of the sums.
Choice: one flat frozen dataclass, so a preset is a diff against the defaults and --set reaches everything.
Else:   nested or file-based configs, once several teams own the parts.
Breaks: a typo in --set (refused with the nearest name), a preset that outgrows its seconds (`make report` prints them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from common.capacity import Load, Plan


@dataclass(frozen=True, kw_only=True)
class Config:
    preset: str = "default"
    seed: int = 0
    data: str = "world"  # or NAME:PATH, see data/
    # the world
    num_users: int = 20_000
    num_images: int = 20_000  # in the gallery
    num_searches: int = 20_000  # pages of ten that the incumbent showed
    num_photos: int = 6_000  # that people asked with, several searches each
    num_pairs: int = 20_000  # judged by people
    num_judged: int = 1_000  # test requests
    days: int = 14
    side: int = 64  # pixels; of every picture
    clutter: float = 0.6  # share of photos in which other things stand around the one that is meant
    steepness: float = 0.9  # a result in place p is looked at as p ** -steepness
    click_window_hours: int = 1  # a click is reported when the person is back; until then nobody knows
    drift: str = "none"  # what has changed about the simulated people: simulate.DRIFTS
    # real data
    protocol: str = "photo"  # of Grocery: what is asked with what; or shop, text
    # encoder
    encoder: str = "resnet"  # convolutions, trained here; or clip, a small CLIPModel trained here; or a folder or an id ORG/NAME of a CLIP
    positives: str = (
        "judged"  # or clicks, augmented, judged+clicks ...: where two pictures that belong together come from
    )
    dim: int = 64
    encoder_side: int = 32  # pixels of the views that the encoder learns from
    served_side: int = 48  # of what it looks at afterwards; more, as a view magnifies its part
    mirrored: bool = False  # it looks at the mirror image as well, and takes the mean: twice the time
    least_area: float = 0.35  # of the picture that a view shows
    width: int = 16  # channels of its first stage
    depth: str = "111"  # residual blocks of each stage
    epochs: int = 4
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    temperature: float = 0.07
    weight_text: float = 1.0  # of telling a picture's text from others, beside telling its like from others
    num_hard: int = 0  # negatives from the memory, for each anchor
    threads: int = 1  # it learns on: a small network is slower on two, and sums in another order teach another
    held_out: float = 0.15  # share of the judged photos that the best epoch is chosen by
    # what is looked at, and how words count
    proposal: bool = True  # of a photo in which nobody marked anything: what stands out, else the whole
    edges: float = 0.5  # share of outlines made by hand in how alike two pictures are; the rest is the encoder's
    words_weight: float = 1.0  # of words beside a photo of weight 1
    # index
    recall: float = 0.95  # ann_recall@100 that the index is tuned to
    # serving
    deadline_ms: float = 300.0
    num_candidates: int = 100
    page_size: int = 10
    # rules
    owner_cap: int = 3  # images of one owner on a page


DEFAULT = Config()
SMOKE = replace(
    DEFAULT, preset="smoke", num_users=500, num_images=600, num_searches=800, num_photos=300, num_pairs=1_500,
    num_judged=150, side=32, encoder_side=32, served_side=32, batch_size=128, epochs=2,
)  # fmt: skip
DEMO = replace(
    DEFAULT, preset="demo", num_users=6_000, num_images=3_000, num_searches=4_000, num_photos=1_200, num_pairs=6_000,
    num_judged=400, epochs=3,
)  # fmt: skip
LARGE = replace(DEFAULT, preset="large", num_images=100_000)

CAPACITY = Plan(  # the platform on the whiteboard: a hundred million people, a search every second day each, 200 billion images
    load=Load(daily_users=1e8, requests_per_user=0.5, peak_factor=3.0),
    shown_per_request=10.0,
    action_rate=0.1,
    bytes_per_event=100.0,
    keep_days=30.0,
    num_items=2e11,
    bytes_per_item=16.0,  # a product-quantised vector: 64 dimensions in 8 bytes, and an id
    cpu_ms=40.0,  # a photo decoded and encoded, twelve million codes read at two nanoseconds each, rows and rules of a hundred
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "grocery": {  # chosen with held_out=1, val teaching nothing, and on bursts of train left out
        "proposal": False,  # a photo is taken of one thing, and fills it
        "edges": 0.0,
        "side": 128,
        "encoder_side": 64,
        "served_side": 96,
        "mirrored": True,
        "least_area": 0.1,
        "width": 32,
        "depth": "1111",
        "dim": 128,
        "epochs": 70,
        "batch_size": 128,
        "threads": 2,
        "held_out": 0.0,  # val teaches too: its photos are of other days than train's
    },
    "images": {"proposal": False},
    "csv": {},
    "parquet": {},
}
