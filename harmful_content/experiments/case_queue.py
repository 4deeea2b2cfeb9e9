"""The same queue over the case's own posts: scores of the trained model, which is wrong where models are, and views of the world."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from harmful_content import data, features, model, policy
from harmful_content.config import Config
from harmful_content.experiments import drawn
from harmful_content.experiments.desk import Desk
from harmful_content.experiments.drawn import Posts
from harmful_content.experiments.review import compared

HOUR = 3600
TURN = 12 * HOUR  # of reviewers: each is a desk of its own


def case_queue(config: Config) -> Table:
    """Does the order hold with a model's scores? `queue` again, over the test posts: half a day is a desk, and intervals are over these.

    Nothing is known of a post's views before it was seen, but how often the typical post is. How fast views end and how often a post is reported is
    drawn as in `queue`; what is violated and how often a post is seen is the world's."""
    dataset, key = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    trained = model.fit(dataset, fitted, config)
    rules = policy.fit(trained.score(fitted.inputs(dataset.valid, dataset.history)), dataset.valid, config)
    score = trained.score(fitted.unreported(fitted.inputs(dataset.test, dataset.history)))
    turn = dataset.test.event_time // TURN
    turns = [np.flatnonzero(turn == one) for one in np.unique(turn)]
    rng = np.random.default_rng(config.seed)
    desks = [Desk.of(config, _posts(config, rng, dataset.test.event_time[at], score[at], key.label[at], key.views[at]), rules) for at in turns]  # fmt: skip
    return compared([one for one in desks if one.flagged.sum() >= FEWEST])


FEWEST = 10  # flagged posts, for there to be an order


def _posts(
    config: Config, rng: np.random.Generator, event_time: Ints, score: Floats, label: Floats, views: Floats
) -> Posts:
    """The test posts of one turn [n]; a label nobody knows is none."""
    n, order = len(score), np.argsort(event_time, kind="stable")
    truth = np.nan_to_num(label[order])
    reported = np.where(truth.any(axis=1), drawn.REPORTED, drawn.MISREPORTED)
    return Posts(
        arrived=(event_time[order] - event_time.min()) / HOUR,
        score=score[order],
        truth=truth,
        views=np.maximum(views[order], 1e-9),
        expected=np.full(n, config.typical_views),
        half_life=config.view_half_life * np.exp(drawn.PACE * rng.normal(size=n)),
        reports_a_view=reported * np.exp(drawn.TASTE * rng.normal(size=n)),
        luck=rng.random(n),
    )


EXPERIMENTS: Mapping[str, Experiment] = {"case_queue": case_queue}
