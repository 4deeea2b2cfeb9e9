"""Early against late fusion: what lies in text and picture together and in neither alone, and the chart over how much of that there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Table
from common.eval import intervals
from common.eval.chart import Chart
from common.eval.report import paired
from harmful_content.config import Config
from harmful_content.evaluate import pr_auc_units
from harmful_content.experiments.lab import Lab
from harmful_content.model.late import Late
from harmful_content.model.lesson import learn, scores

SHARES = (0.0, 0.1, 0.3, 0.6)
SIZES = (1.0, 0.25)
"""Of the chart: shares of the harm that lie in both together; parts of the config's posts."""
HARM, BOTH, HAND, POSTS = 0.25, 0.5, 1.0, 24_000
"""Of the world of `memes`: share of the posts that do harm, of the harm that lies in both together, of the posts labelled by hand; posts."""


def memes(config: Config) -> Table:
    """Can it see what only text and picture together say? Posts in which they do are the slice "both": half of its greetings under an arrow do
    harm. recall: of the slice's violating posts, at a precision of .8, whatever the policy (for text and for pictures among
    plain posts too); pr_auc over (post, policy) pairs of the slice;
    against_late: its paired difference. In a world of its own, of much harm, half of it such, all of it labelled by
    hand: the question is whether it can be learnt.
    Late fusion is the foil, and the picture alone."""
    lab = Lab.read(replace(config, harm_share=HARM, cross_share=BOTH, hand_share=HAND, num_posts=POSTS, batch_size=256))
    late = Late.fit(lab.lesson, lab.config)
    found = {
        "early": scores(learn(lab.lesson, lab.config), lab.test),
        "late": late.scores(lab.test),
        "image alone": scores(late.parts["image"], lab.test),
    }
    return [_row(lab, name, found, part) for part in ("both", "text", "image") for name in found]


def _row(lab: Lab, name: str, found: Mapping[str, Floats], part: str) -> dict[str, float | str]:
    which = lab.only("modality", part)
    units = {
        fusion: pr_auc_units(lab.key.label[which].ravel(), some[which].ravel())
        for fusion, some in found.items()
        if fusion in (name, "late")
    }
    users = np.repeat(lab.key.user_id[which], lab.key.label.shape[1])
    primary, change = intervals.mean(units[name], users), intervals.mean(units[name] - units["late"], users)
    return {
        "meaning in": part, "fusion": name, **lab.found_interval(found[name], which if part == "both" else which | lab.only("modality", "none")),
        "pr_auc": primary.value, "pr_auc_low": primary.low or 0.0, "pr_auc_high": primary.high or 1.0,
        "against_late": change.value, "against_late_low": change.low or 0.0, "against_late_high": change.high or 0.0,
    }  # fmt: skip


def fusion_chart(config: Config) -> Table:
    """When does early fusion pay? Macro pr_auc, early minus late, over the share of the harm that lies in text and picture together, with all
    posts and with a part of them. At 0 there is nothing for it to see that the parts cannot: the foil."""
    table = []
    for size in SIZES:
        for share in SHARES:
            lab = Lab.read(replace(config, cross_share=share, num_posts=int(config.num_posts * size)))
            late = lab.report(Late.fit(lab.lesson, lab.config).scores(lab.test))
            early = lab.report(scores(learn(lab.lesson, lab.config), lab.test))
            difference = paired(early, late)
            row = {"posts": f"{lab.config.num_posts:,}", "cross_share": share, "difference": difference.value}
            row |= {"low": difference.low, "high": difference.high}
            table.append(row | {"early": early.metrics["pr_auc"].value, "late": late.metrics["pr_auc"].value})
    return table


EXPERIMENTS: Mapping[str, Experiment] = {"memes": memes, "fusion_chart": fusion_chart}
CHARTS: Mapping[str, Chart] = {
    "fusion_chart": Chart(
        title="Early against late fusion, as more harm lies in text and picture together",
        x="cross_share",
        y="difference",
        series="posts",
        x_label="share of the harm in both together and in neither alone",
        y_label="macro pr_auc, early minus late (above zero: early)",
    )
}
