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
    num_videos: int = 50_000  # a creator makes 20 of them
    num_impressions: int = 1_000_000
    num_judged: int = 1_000  # test requests
    days: int = 14
    taste_spread: float = 1.0  # 0: everybody likes the same
    drift: str = "none"  # what has changed about the simulated viewers: simulate.DRIFTS
    # labels
    watch_window_hours: int = 6  # a watch is reported when it ends; until then nobody knows
    # co-watch
    popularity_exponent: float = 0.15
    popularity_blend: float = 5.0  # the most popular video starts from so many times the usual weight of a neighbour
    history_decay: float = 1.0
    backward: float = 1.0  # weight of "watched before" beside "watched after"
    num_neighbours: int = 200
    # two-tower
    dim: int = 32
    epochs: int = 3
    batch_size: int = 1024
    learning_rate: float = 0.003
    temperature: float = 0.1
    log_q: float = 1.0  # the strength of the logQ correction; 0 switches it off
    in_batch: bool = True  # the other videos of the batch are negatives
    num_uniform: int = 0  # further negatives a batch, drawn evenly from the whole catalogue
    # matrix factorisation
    mf_dim: int = 32
    mf_rounds: int = 6  # each solves for all viewers, then for all videos
    mf_ridge: float = 5.0
    mf_unobserved: float = 0.2  # confidence that a pair nobody tried is a 0, beside 1 for a watch
    # ranker
    ranker: str = "shared_bottom"  # or mmoe, single_task, lightgbm: model/ranking
    ranker_epochs: int = 6
    num_negatives: int = 0  # candidates taken as not clicked per clicked row; 0: model.NEGATIVES if all rows are clicks
    weight_clicked: float = 0.1
    weight_completed: float = 0.5
    weight_liked: float = 0.4
    weight_shared: float = 0.2
    weight_hidden: float = -0.2
    weight_watch: float = 0.0  # of the predicted log(1 + seconds): time spent is not satisfaction
    # serving
    deadline_ms: float = 150.0
    num_candidates: int = 500
    feed_size: int = 20
    # rules
    creator_cap: int = 2
    creator_spacing: int = 4  # places from one video of a creator to the next
    fresh_every: int = 10  # of so many places one is for a fresh video; 0: none
    fresh_days: float = 3.0
    explore_slot: int = 14  # given by lot; -1: none
    popularity_dial: float = 0.0  # 0: the ranker's order, 1: what everybody watches
    mute: float = 0.4  # of its score a video loses that is just like those of a hidden creator


DEFAULT = Config()
SMOKE = replace(
    DEFAULT, preset="smoke", num_users=1_000, num_videos=2_000, num_impressions=60_000, num_judged=400, epochs=2
)
DEMO = replace(
    DEFAULT, preset="demo", num_users=6_000, num_videos=10_000, num_impressions=300_000, num_judged=500, epochs=2
)
LARGE = replace(DEFAULT, preset="large", num_videos=2_000_000)

CAPACITY = Plan(  # the platform on the whiteboard: a hundred million people, ten feeds a day each, ten billion videos
    load=Load(daily_users=1e8, requests_per_user=10.0, peak_factor=3.0),
    shown_per_request=20.0,
    action_rate=0.2,
    bytes_per_event=100.0,
    keep_days=30.0,
    num_items=1e10,
    bytes_per_item=64.0,  # a vector of 64 dimensions, eight bits each
    cpu_ms=16.0,  # a feed of num_candidates on one core of the machine of docs/results, rounded up
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "microlens": {
        "popularity_exponent": 0.2,
        "popularity_blend": 0.001,
        "history_decay": 0.8,
        "backward": 0.3,
        "dim": 64,
        "epochs": 5,
        "num_negatives": 40,
        "num_candidates": 300,
        "explore_slot": -1,  # what is left out cannot judge a lot
    },
    "movielens": {"weight_liked": 0.0},  # the key is the next film rated, liked or not; nothing is tuned
    "csv": {},
    "parquet": {},
}
