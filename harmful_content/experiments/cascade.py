"""Posts the model is unsure of go to a judge ten times as dear: how many should, and where it stops paying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.calibration import Platt
from common.eval.chart import Chart
from harmful_content import world
from harmful_content.config import Config
from harmful_content.experiments.trained import Case, trained

# Stated, not measured; in units of what it costs to remove a post that was fine.
WRONG_REMOVAL, MISSED = 1.0, 2.0
CHEAP = 0.002  # a post through the model
DEAR = 10 * CHEAP  # through the judge, beside the model
JUDGES = (0.7, 0.8, 0.9, 0.97)  # share of posts on which the stand-in says what the panel said, harmful or not
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
REPS = 20  # of the stand-in's luck


@dataclass(frozen=True)
class Posts:
    """[n]: is it harmful, the calibrated probability that it is, the author."""

    harmful: Bools
    probability: Floats
    user_id: Ints


def cascade(config: Config) -> Table:
    """Which share of the posts should a judge ten times as dear see, given how often it is right?

    No language model is called: the judge is a stand-in that knows what the panel said and repeats it with the stated accuracy, each post by itself.
    A real one errs on the same posts as the model does; then less is gained. Sent are those whose probability is nearest to the threshold that
    costs alone give. `saved`: cost of mistakes avoided minus the judge's price, a thousand posts, against no judge at all, its interval over authors;
    `by_lot`: as many sent by chance, the foil; `accuracy` of the decisions; `price` of model and judge a thousand posts. It stops paying where
    `saved` no longer rises; where it falls below zero no judge is cheaper than this much of one."""
    posts = _judged(trained(config))
    none = costs(posts, np.zeros(len(posts.harmful), dtype=bool), 1.0, config.seed)
    return [_row(posts, accuracy, share, none, config.seed) for accuracy in JUDGES for share in SHARES]


def costs(posts: Posts, sent: Bools, accuracy: float, seed: int) -> Floats:
    """[n] expected cost of each post's decision and its price, over the stand-in's luck. Of what is sent the judge's word counts."""
    threshold = WRONG_REMOVAL / (WRONG_REMOVAL + MISSED)
    right = np.random.default_rng([seed, 48]).random((REPS, len(posts.harmful))) < accuracy
    removed = np.where(sent, right == posts.harmful, posts.probability >= threshold)
    mistakes = np.where(posts.harmful, MISSED * ~removed, WRONG_REMOVAL * removed).mean(axis=0)
    found: Floats = mistakes + CHEAP + DEAR * sent
    return found


def unsure(probability: Floats, share: float) -> Bools:
    """[n] the share whose log odds are nearest to the threshold's."""
    threshold = WRONG_REMOVAL / (WRONG_REMOVAL + MISSED)
    away = np.abs(_logit(probability) - _logit(np.array(threshold)))
    sent = np.zeros(len(probability), dtype=bool)
    sent[np.argsort(away, kind="stable")[: round(share * len(probability))]] = True
    return sent


def _row(posts: Posts, accuracy: float, share: float, none: Floats, seed: int) -> dict[str, object]:
    sent = unsure(posts.probability, share)
    lot = np.random.default_rng([seed, 49]).permutation(sent)
    ours, theirs = (costs(posts, which, accuracy, seed) for which in (sent, lot))
    saved = intervals.mean(1_000 * (none - ours), posts.user_id)
    price = CHEAP + DEAR * share
    wrong = (ours - CHEAP - DEAR * sent) / np.where(posts.harmful, MISSED, WRONG_REMOVAL)
    row = {
        "judge": f"right on {accuracy:.0%}",
        "share": share,
        "saved": saved.value,
        "low": saved.low,
        "high": saved.high,
    }
    row |= {
        "by_lot": float(1_000 * (none - theirs).mean()),
        "accuracy": 1 - float(wrong.mean()),
        "price": 1_000 * price,
    }
    return row


def _judged(case: Case) -> Posts:
    """The test posts; the probability of any policy, calibrated on validation against the panel."""
    valid = case.score(case.model, case.dataset.valid).max(axis=1)
    label = world.make(case.config).truth[case.dataset.valid.post_id].max(axis=1)
    calibrated = Platt.fit(label, valid).apply(case.score(case.model, case.dataset.test).max(axis=1))
    return Posts(case.judgments.label.max(axis=1) > 0, calibrated, case.judgments.user_id)


def _logit(probability: Floats) -> Floats:
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    found: Floats = np.log(inside / (1 - inside))
    return found


EXPERIMENTS: Mapping[str, Experiment] = {"cascade": cascade}
CHARTS: Mapping[str, Chart] = {
    "cascade": Chart(
        title="What a judge ten times as dear saves, by the share of posts it sees",
        x="share", y="saved", series="judge",
        x_label="share of the posts sent to the judge, the least sure first",
        y_label="saved a thousand posts, in costs of a wrong removal",
    )
}  # fmt: skip
