"""When does a feed of one's own pay? Personalised against popular, over how different tastes are and how long the histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from video_rec import baseline, data, evaluate, features, model
from video_rec.config import Config
from video_rec.experiments.lab import answers, feed

SPREADS = (0.0, 0.5, 1.0)
SHOWN = (2, 5, 15, 60)  # impressions a viewer; about one in six is watched
USERS, VIDEOS, SEEDS = 800, 1_600, 3


def taste_spread(config: Config) -> Table:
    """Gain of the model minus gain of what everybody watches, under the same rules, in worlds of USERS viewers and SEEDS seeds.

    Where all like the same topics (0) language, hours and length are left to personalise. Popularity is the foil that should win where next to
    nothing is known of anybody."""
    table: Table = []
    for spread in SPREADS:
        for shown in SHOWN:
            units, users = zip(*(_difference(replace(config, seed=config.seed + seed, taste_spread=spread, num_users=USERS, num_videos=VIDEOS, num_impressions=USERS * shown, num_judged=400, epochs=2, num_candidates=200)) for seed in range(SEEDS)), strict=True)  # fmt: skip
            found = intervals.mean(np.concatenate(units), np.concatenate([USERS * seed + one for seed, one in enumerate(users)]))  # fmt: skip
            table.append({"taste_spread": f"{spread:g}", "impressions a viewer": shown, "difference": found.value, "low": found.low, "high": found.high})  # fmt: skip
    return table


def _difference(config: Config) -> tuple[Floats, Ints]:
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    better, simple = model.fit(dataset, fitted, config), baseline.fit(dataset, fitted, config)
    popular = simple.nearest(np.full((len(dataset.test), 1), -1), config.num_candidates)
    key = data.judgments(config)
    ours, theirs = (
        evaluate.evaluate(feed(dataset, fitted, ranking, config), key, config).units
        for ranking in (answers(dataset, better, config), popular)
    )
    return ours - theirs, dataset.test.user_id


EXPERIMENTS: Mapping[str, Experiment] = {"taste_spread": taste_spread}
CHARTS: Mapping[str, Chart] = {
    "taste_spread": Chart(
        title="A feed of one's own against what everybody watches, by how different tastes are (0: all alike, 1: as planted)",
        x="impressions a viewer",
        y="difference",
        series="taste_spread",
        x_label="impressions a viewer in the log",
        y_label="gain, model minus popular",
        log_x=True,
    )
}
