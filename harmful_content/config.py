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
    data: str = "world"  # or edos:FOLDER, csv:FOLDER, parquet:FOLDER
    task: str = ""  # the question whose macro F1 is judged (of edos a, b or c; of your own files a label); "": every policy, by pr_auc
    # the world
    num_users: int = 20_000
    num_posts: int = 100_000
    days: int = 28
    harm_share: float = 0.05  # of the posts
    cross_share: float = 0.3  # of the harm, what lies in text and picture together and in neither alone
    trend: float = 1.0  # how strongly the appeal of topics drifts
    hand_share: float = 0.05  # of the posts, drawn by chance, labelled by hand
    # labels
    label_window_hours: int = 72  # reports and reviews that come later are none
    reports_enough: int = 2  # under one policy, to count as a label
    # features
    num_tokens: int = 32  # of a text; the rest is cut
    undisguise: bool = True  # h8, s p a c e s and look-alike letters are read as the words they stand for
    # baseline
    inverse_penalty: float = 3.0
    letters: int = 0  # the longest string of letters that counts beside words
    # model
    reads: str = "all"  # or text: words alone, by the encoder below
    encoder: str = "own"  # or pretrained, or best: which of the two is installed; or a folder or an id ORG/NAME of the Hugging Face hub
    passes: int = 4  # over the training posts, of an encoder that knows its language already
    width: int = 32
    head_width: int = 0  # hidden units each policy has of its own; 0: one layer for all policies
    drop_modality: float = 0.0  # chance that words or picture are left out of a training post that has both
    num_patches: int = 192  # of which a picture is made
    epochs: int = 12
    patience: int = 3  # epochs in which validation ranks no better, after which learning ends
    batch_size: int = 512
    learning_rate: float = 3e-3
    hand_weight: float = 3.0  # of a hand label against a natural one
    # policy: what things cost, in views of a hateful post by people who did not look for it; `thresholds` are solved from these
    severity: float = 1.0  # harm of one view under a policy that is not ours (data of one's own)
    severity_violence: float = 1.0  # a threat is as bad as hate
    severity_nudity: float = 0.3  # unwanted, seldom lasting
    severity_self_harm: float = 2.0  # who is moved by it may not live to appeal
    severity_hate: float = 1.0  # the unit
    severity_drugs: float = 0.5  # a buyer has to act on it first
    severity_misinformation: float = 0.5  # harm only to those who believe it
    severity_spam: float = 0.1  # a nuisance
    minutes: float = 1.5  # of a reviewer for one post under a policy that is not ours
    minutes_violence: float = 1.0
    minutes_nudity: float = 0.5  # a glance
    minutes_self_harm: float = 2.0  # help is offered beside
    minutes_hate: float = 1.5  # who is meant, by whom
    minutes_drugs: float = 1.0
    minutes_misinformation: float = 4.0  # somebody has to look it up
    minutes_spam: float = 0.3
    typical_views: float = 70.0  # still to come when a post is judged
    removal_cost: float = 100.0  # of removing a post that was fine: speech withheld, an appeal, an author who may leave
    demotion_cost: float = 5.0  # of demoting one: it is seen later and by fewer, and nobody is told they did wrong
    minute_cost: float = 1.0  # of a reviewer, their strain among it
    demoted_views: float = 0.3  # of its views a demoted post keeps
    waited_views: float = 0.3  # of its views a post has before a reviewer comes to it, on average
    reviewer_error: float = 0.03  # of the posts a reviewer decides wrongly, either way
    precision_floor: float = 0.9  # of the posts a machine removes alone, so many are violations, for sure at 95 %
    # reports
    report_push: float = 0.5  # of what is missing to certainty that any number of reports can add, for the queue alone
    reporter_prior: float = 0.2  # of reports of somebody unknown, how many are upheld
    reporter_strength: float = 5.0  # reports of a person that weigh as much as the prior
    untested_most: float = 0.5  # what all reporters without a past weigh together: less than one good one
    tested_reports: int = 3  # decided ones, from which a reporter has a past
    tested_days: int = 30  # of the account, likewise
    # queue
    oldest_every: int = 20  # one review in so many goes to the post that has waited longest; 0: none
    lot_every: int = (
        10  # one in so many goes by lot to a post of the day, flagged or not: labels for the estimates; 0: none
    )
    lot_patience: int = 10  # of these, how many may be put off until nobody waits
    view_half_life: float = 4.0  # hours in which half of a post's views have come
    # strikes and appeals
    strike_days: float = 90.0  # after which a strike weighs half
    warn_at: float = 0.9  # strikes
    limit_at: float = 2.5
    suspend_at: float = 4.0
    appeal_days: int = 14  # in which an author may appeal
    # simulated people
    drift: str = "none"  # of simulate.DRIFTS
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
    epochs=7,
    batch_size=128,
)
DEMO = replace(
    DEFAULT, preset="demo", num_users=5_000, num_posts=20_000, harm_share=0.1, hand_share=0.2, epochs=10, batch_size=256
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
    cpu_ms=10.0,  # of one post on one core: HTTP and log beside what benchmarks/results/moderation.md has for "ours, a post a call"
)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "edos": {  # chosen on its dev split
        "task": "a",
        "reads": "text",
        "encoder": "best",
        "num_tokens": 64,
        "undisguise": False,
        "letters": 5,
    },
    "csv": {},
    "parquet": {},
}
