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
    num_docs: int = 50_000
    num_queries: int = 20_000  # a query is one need in somebody's words
    num_sessions: int = 100_000  # pages of ten results
    num_judged: int = 1_000  # test requests
    days: int = 14
    mismatch: float = 0.36  # how far searchers and makers use other words for one thing
    steepness: float = 0.9  # a result in place p is looked at as p ** -steepness
    cascade: bool = False  # nobody reads on after a result that satisfies
    trust: float = 0.0  # chance that the first place is clicked on for being first
    swapped: float = 0.1  # share of pages in an order by lot
    drift: str = "none"  # what has changed about the simulated people: simulate.DRIFTS
    # labels
    click_window_hours: int = 1  # a click is reported when the person is back; until then nobody knows
    # queries
    mends: bool = True  # words nobody knows are taken for slips
    # lexical leg: BM25 over fields
    k1: float = 0.9
    b: float = 0.4
    weight_title: float = 1.0
    weight_description: float = 0.5
    weight_tags: float = 0.5
    # dense leg
    encoder: str = "looks"  # words by the thumbnails they stand with; or own (taught by clicks, else by titles), pretrained, or best: which
    # of the last two is installed; or a folder or an id ORG/NAME of a sentence encoder
    dim: int = 64
    epochs: int = 3
    batch_size: int = 512
    learning_rate: float = 0.003
    temperature: float = 0.07
    # fusion and ranking
    fusion: str = "rrf"  # or weighted, minmax
    fusion_weight: float = 0.3  # of the lexical leg, where fusion weighs
    cross: str = "own"  # of the experiment: or a folder or id of a cross-encoder
    debias: str = "ips"  # or none, position: what is done about where a result stood
    num_trees: int = 200
    tree_rate: float = 0.1  # how far each tree is believed
    num_leaves: int = 15
    min_leaf: int = 50  # rows
    # serving
    deadline_ms: float = 200.0
    num_candidates: int = 200
    page_size: int = 10


DEFAULT = Config()
SMOKE = replace(
    DEFAULT, preset="smoke", num_users=1_000, num_docs=2_000, num_queries=1_000, num_sessions=6_000, num_judged=300,
    epochs=1, num_trees=60,
)  # fmt: skip
DEMO = replace(
    DEFAULT, preset="demo", num_users=6_000, num_docs=10_000, num_queries=5_000, num_sessions=30_000, num_judged=500,
    epochs=2, num_trees=120,
)  # fmt: skip
LARGE = replace(DEFAULT, preset="large", num_docs=1_000_000)

CAPACITY = Plan(  # the platform on the whiteboard: a hundred million people, two searches a day each, a billion videos
    load=Load(daily_users=1e8, requests_per_user=2.0, peak_factor=3.0),
    shown_per_request=10.0,
    action_rate=0.1,
    bytes_per_event=100.0,
    keep_days=30.0,
    num_items=1e9,
    bytes_per_item=256.0,  # a vector of 64 dimensions in half precision, and postings of forty words
    cpu_ms=10.0,
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "beir": {  # chosen on SciFact's training queries, five folds
        "mends": False,  # claims are proofread: what no other document says is a rare word
        "k1": 1.2,
        "b": 0.6,
        "weight_title": 0.2,
        "weight_description": 1.0,
        "encoder": "best",
        "num_candidates": 50,
        "num_trees": 150,
        "tree_rate": 0.05,
        "num_leaves": 7,
    },
    "letor": {
        "num_trees": 600,
        "tree_rate": 0.05,
        "num_leaves": 31,
        "min_leaf": 20,
    },  # stopped by the validation queries
    "csv": {},
    "parquet": {},
}
