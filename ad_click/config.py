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
    num_users: int = 40_000
    num_ads: int = 4_000
    num_advertisers: int = 400
    num_impressions: int = 2_040_000
    days: int = 14
    trend: float = 1.0  # how strongly the appeal of topics drifts
    interaction: float = 1.0  # how strongly two columns say together what neither says alone
    delays: str = "mixture"  # how clicks come late: see world/nature.py, DELAYS
    drift: str = "none"  # what simulated users do differently after the log ends: see simulate.py, DRIFTS
    # labels
    click_window_hours: int = 24
    # baseline
    l2: float = 30.0
    # model
    num_trees: int = 400
    num_leaves: int = 31
    learning_rate: float = 0.1
    min_leaf: int = 200
    min_hessian: float = (
        30.0  # of a leaf: p (1 - p) summed over its rows, which is about its clicks where clicks are rare
    )
    min_group: int = 200  # rows a value of a category needs before a split may name it
    l2_leaves: float = 0.0
    most_values: int = 100  # a category with more values than this is left to its statistics
    unseen: str = ""  # columns the trees do not see, by how their names begin, a space between
    negative_rate: float = 1.0  # share of the training negatives kept; below 1 the scores are corrected for it
    calibrate: bool = True
    refit: bool = True  # on train and validation rows, once validation has said how many trees
    # policy
    floor_micros: int = 200_000  # the least a thousand impressions have to be worth
    hide_cost_micros: int = 50_000  # what a hide costs the platform
    most_seen: int = 5  # times a person is shown one ad in 24 hours
    pacing: float = 2.0  # bids fall from the moment 1 - 1 / pacing of the budget is spent; 0: never
    # serving
    deadline_ms: float = 50.0
    num_candidates: int = 500
    num_slots: int = 3


DEFAULT = Config()
SMOKE = replace(
    DEFAULT,
    preset="smoke",
    num_users=2_000,
    num_ads=200,
    num_advertisers=20,
    num_impressions=120_000,
    num_trees=60,
    num_leaves=15,
)
DEMO = replace(
    DEFAULT,
    preset="demo",
    num_users=8_000,
    num_ads=800,
    num_advertisers=80,
    num_impressions=300_000,
    num_trees=150,
)
LARGE = replace(
    DEFAULT, preset="large", num_users=1_000_000, num_ads=20_000, num_advertisers=2_000, num_impressions=10_000_000
)

CAPACITY = Plan(  # the platform on the whiteboard: a billion people a day, a hundred ads each
    load=Load(daily_users=1e9, requests_per_user=33.3, peak_factor=3.0),
    shown_per_request=3.0,
    action_rate=0.01,
    bytes_per_event=100.0,
    keep_days=30.0,
    num_items=1e7,
    bytes_per_item=200.0,
    cpu_ms=8.0,  # an auction over num_candidates on one core of the machine of docs/results, rounded up
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    # A person's own totals without the row itself tell the row's label to a tree that finds the person (leave-one-out leaks):
    # the trees get the ids instead.
    "frappe": {
        "num_leaves": 16,
        "num_trees": 800,
        "learning_rate": 0.05,
        "min_leaf": 100,
        "min_hessian": 0.001,
        "refit": False,  # the published models did not see the validation rows either
        "min_group": 20,
        "l2_leaves": 5.0,
        "most_values": 5_000,
        "unseen": "user.",
        "l2": 2.0,
    },
    "csv": {},
    "parquet": {},
}
