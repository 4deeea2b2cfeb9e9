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
    data: str = "world"  # or csv:FOLDER, parquet:FOLDER
    # the world
    num_users: int = 20_000
    num_posts: int = 100_000
    days: int = 28
    harm_share: float = 0.04  # of the posts
    cross_share: float = 0.3  # of the harm, what lies in text and picture together and in neither alone
    trend: float = 1.0  # how strongly the appeal of topics drifts
    hand_share: float = 0.01  # of the posts, drawn by chance, labelled by hand
    # labels
    label_window_hours: int = 72  # reports and reviews that come later are none
    reports_enough: int = 2  # under one policy, to count as a label
    # features
    num_tokens: int = 32  # of a text; the rest is cut
    # baseline
    inverse_penalty: float = 3.0
    # model
    width: int = 32
    num_patches: int = 96  # of which a picture is made
    epochs: int = 12
    batch_size: int = 512
    learning_rate: float = 3e-3
    hand_weight: float = 3.0  # of a hand label against a natural one
    # policy
    removal_cost: float = 1.0  # of removing a post that was fine
    harm_cost: float = 2.0  # of leaving a post that violates a policy
    # serving
    deadline_ms: float = 200.0


DEFAULT = Config()
# A test of 800 posts would hold 30 harmful ones of seven policies at the share of DEFAULT: the smaller presets have more harm.
SMOKE = replace(
    DEFAULT,
    preset="smoke",
    num_users=1_000,
    num_posts=4_000,
    harm_share=0.25,
    hand_share=0.5,
    epochs=10,
    batch_size=128,
)
DEMO = replace(
    DEFAULT, preset="demo", num_users=5_000, num_posts=20_000, harm_share=0.1, hand_share=0.1, epochs=10, batch_size=256
)
LARGE = replace(DEFAULT, preset="large", num_users=200_000, num_posts=1_000_000)

CAPACITY = Plan(  # the platform on the whiteboard: 500 million posts a day, ten thousand of them labelled by hand
    load=Load(daily_users=5e8, requests_per_user=1.0, peak_factor=3.0),
    shown_per_request=1.0,
    action_rate=0.04,
    bytes_per_event=100.0,
    keep_days=30.0,
    num_items=5e8,
    bytes_per_item=1024.0,  # of a post, for a sweep after a policy changes: its picture as 192 numbers, its words as 32
    cpu_ms=10.0,  # features and model of one post on one core, measured at 2.4 ms, and what surrounds them
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {"csv": {}, "parquet": {}}
