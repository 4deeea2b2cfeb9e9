"""Two systems in front of the same people: clicks and time they spend, and whether offline gain said so (VIS-45)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ranking, Table
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.world import history
from visual_search.world.likeness import grades

VISITS = 20  # times each person makes each search
AGAIN = "histogram again (A/A)"


def online(config: Config) -> Table:
    """Do people click more, and stay longer with what they are shown, and had offline gain said so?

    Everybody makes the judged searches VISITS times under each system, and looks, clicks and stays by chance of their own each time: how likely is planted
    (world/history.py). `ctr` is clicks an image shown; `dwell`: seconds a search with images that were opened; each with its paired difference from the
    histogram's, the interval over users. `gain_change` is the offline difference on the same pages. The control is the histogram once more: all that
    differs is chance. Left out: that people come back more where they find something (simulate.py). It decides whether expected_gain@10 may stand for them."""
    lab = trained(config)
    found = {"histogram": lab.retrieved(lab.test, lab.histogram)}
    found |= {AGAIN: found["histogram"], "vectors alone": lab.nearest(lab.test), "model": lab.answers}
    found["ceiling"] = world.ceiling(config).rank(lab.test, config.num_candidates)
    pages = {name: lab.page(one) for name, one in found.items()}
    seen = {name: visited(lab, page, at) for at, (name, page) in enumerate(pages.items())}
    (clicks, seconds), gain, users = seen["histogram"], lab.paid(pages["histogram"]), lab.test.user_id
    return [
        {"system": name}
        | mean("ctr", seen[name][0], users)
        | mean("ctr_change", seen[name][0] - clicks, users)
        | mean("dwell", seen[name][1], users)
        | mean("dwell_change", seen[name][1] - seconds, users)
        | mean(GAIN, lab.paid(page), users)
        | mean("gain_change", lab.paid(page) - gain, users)
        for name, page in pages.items()
    ]


def visited(lab: Trained, page: Ranking, arm: int) -> tuple[Floats, Floats]:
    """-> [num_requests] clicks an image shown, and seconds with images a search, each over VISITS."""
    truth, rng = world.make(lab.config), np.random.default_rng([lab.config.seed, 45, arm])
    ids, n, k = np.maximum(page.ids, 0), *page.ids.shape
    shown, row = page.ids >= 0, np.repeat(np.arange(len(page.ids)), page.ids.shape[1])
    thing = truth.pictures.thing.take(ids.ravel())
    grade: Floats = grades(truth.wanted(lab.test).take(row), thing)
    user, when = lab.test.user_id[row], lab.test.event_time[row]
    clicks, seconds = np.zeros(n), np.zeros(n)
    for _ in range(VISITS):
        clicked = shown & history.react(
            truth.seed, grade.reshape(n, k), thing, ids.ravel(), user, when, lab.config.steepness, rng
        )
        clicks += clicked.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
        seconds += (clicked * history.dwell(grade, rng).reshape(n, k)).sum(axis=1)
    return clicks / VISITS, seconds / VISITS


EXPERIMENTS: Mapping[str, Experiment] = {"online": online}
