"""Whether to undo position bias when the rerank learns from clicks: over how steeply people stop looking, and with which curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.report import Interval
from common.population import DAY
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.lessons import Lessons, Shown, ordered
from visual_search.experiments.trained import GAIN, Trained, trained
from visual_search.model import ranker
from visual_search.world import World, history

COLOUR = ranker.READ.index("histogram")
STEEP = (0.0, 0.9, 2.0)
LOGS = 8  # draws of who looks and clicks, over the same pages
WRONG = 2.5  # steepness that is believed, where it is 0.9
BELIEVED = 1.0  # what the old engine took for granted (data/planted.py)
MOST = 30.0  # that one click counts


def position_bias(config: Config) -> Table:
    """Does it pay to weigh a click by one over how often its place is looked at?

    Training's pages, looked at and clicked on anew in LOGS draws by people who stop looking more or less steeply; on each the same rerank learns from the clicks
    alone, as they are, and from clicks that weigh one over the look (Saito et al. 2020), the least looked-at places held at MOST. `difference`: planted
    gain of the test requests, weighed minus as they are, paired; the interval is the wider of over users and over draws. Rows named by a number weigh by
    the curve measured on the same clicks: `curve` is what was found. `known`: by the planted one; `believed`: by the old engine's guess. `by colour`: each page is put
    in order by one of the inputs, so that the place and the input say the same. Where all is looked at, 0, there is nothing to undo: the control.
    The foil weighs by a curve that is not the log's. `place beside`: no weights, the place as one input more, as ranker.fit has it. `grades` learns what people
    would say of every image shown: what is left to gain from these pages. `served`: likeness learnt from judged pairs, clicks for the rest. It decides how
    ranker.fit treats the place, and what it learns from clicks."""
    log = Clicked.of(trained(config))
    own, steep, by_colour = config.steepness, max(STEEP), log.by_colour()
    ways: list[tuple[float | str, Clicked, float, Way]] = [
        (steepness, log, steepness, _measured) for steepness in sorted({*STEEP, own})
    ]
    ways += [(f"{steepness:g}, by colour", by_colour, steepness, _measured) for steepness in (own, steep)]
    ways += [(f"{steepness:g}, known", log, steepness, weighed_by(steepness)) for steepness in (own, steep)]
    ways += [
        (f"{own:g}, believed", log, own, weighed_by(BELIEVED)),
        ("wrong curve (foil)", log, own, weighed_by(WRONG)),
        (f"{own:g}, place beside", log, own, _beside),
        (f"{own:g}, by colour, place beside", by_colour, own, _beside),
        (f"{steep:g}, by colour, place beside", by_colour, steep, _beside),
        (f"{own:g}, grades", log, own, lambda of, clicks: (of.taught(of.grade), 0.0)),
        (f"{own:g}, served", log, own, lambda of, clicks: (of.lab.gains(of.lab.answers), 0.0)),
    ]
    return [{"steepness": name, **of.compared(steepness, way, config.seed)} for name, of, steepness, way in ways]


@dataclass(frozen=True, eq=False, kw_only=True)
class Clicked:
    """Training's pages as the ranker reads them, and what makes clicks of them; the candidates of the test requests."""

    lab: Trained
    truth: World
    rows: Ints  # of the log
    values: Floats  # [n, d], the last column ones
    slot: Ints
    grade: Floats
    candidates: Shown

    @staticmethod
    def of(lab: Trained) -> Clicked:
        truth = world.make(lab.config)
        asked = truth.log_searches.event_time[truth.log.request]
        rows = np.flatnonzero(asked < world.START + world.TRAIN * lab.config.days * DAY)
        lessons = Lessons.of(lab)
        assert np.array_equal(truth.log.image[rows], lessons.shown.image_id), "the log's rows are training's, in order"
        return Clicked(
            lab=lab,
            truth=truth,
            rows=rows,
            values=read(lessons.shown),
            slot=truth.log.slot[rows],
            grade=truth.log.grade[rows],
            candidates=Shown.among(lab, lab.candidates),
        )

    def by_colour(self) -> Clicked:
        """The same pages, each with the images first whose colours are most like the photo's. A page of words alone stays as it was."""
        page = np.arange(len(self.rows)) // history.PAGE
        order = np.lexsort((-self.values[:, COLOUR], page))
        return replace(self, rows=self.rows[order], values=self.values[order], grade=self.grade[order])

    def drawn(self, steepness: float, rng: np.random.Generator) -> Floats:
        """[n] 1 or 0: the pages as they were, looked at and clicked on anew."""
        asked, image = self.truth.log_searches, self.truth.log.image[self.rows]
        request = self.truth.log.request[self.rows]
        clicked = history.react(
            self.truth.seed, self.grade.reshape(-1, history.PAGE), self.truth.pictures.thing.take(image),
            self.truth.catalog.image_id[image], asked.user_id[request], asked.event_time[request], steepness, rng,
        )  # fmt: skip
        return clicked.ravel().astype(np.float64)

    def taught(self, label: Floats) -> Floats:
        """-> [num_requests] gain of the pages of a ranker that learnt these labels."""
        return self.gains(ranker.logistic(self.values, label))

    def gains(self, weights: Floats) -> Floats:
        """Of a ranker with weights [d'], of which those of the columns it reads of candidates come first, and the intercept last."""
        columns = read(self.candidates)
        scores = columns[:, :-1] @ weights[: columns.shape[1] - 1]
        return self.lab.gains(ordered(self.lab.candidates, scores))

    def compared(self, steepness: float, way: Way, seed: int) -> dict[str, float | None]:
        better, curves, raw = [], [], []
        for draw in range(LOGS):
            clicks = self.drawn(steepness, np.random.default_rng([seed, 61, draw]))
            gains, curve = way(self, clicks)
            better.append(gains)
            curves.append(curve)
            raw.append(self.taught(clicks))
        gains, base = np.array(better), np.array(raw)
        found = wider(gains - base, self.lab.test.user_id)
        return {"difference": found.value, "low": found.low, "high": found.high} | {
            GAIN: float(gains.mean()), "curve": float(np.mean(curves)), "as they are": float(base.mean()),
        }  # fmt: skip


Way = Callable[[Clicked, Floats], tuple[Floats, float]]
"""Clicks -> gains of what was learnt from them, and the steepness it went by."""


def weighed_by(steepness: float) -> Way:
    def way(log: Clicked, clicks: Floats) -> tuple[Floats, float]:
        look = np.maximum((log.slot + 1.0) ** -steepness, 1 / MOST)
        return log.taught(clicks / look), steepness

    return way


def _measured(log: Clicked, clicks: Floats) -> tuple[Floats, float]:
    found = steepness_of(log.values, log.slot, clicks)
    return weighed_by(found)(log, clicks)[0], found


def _beside(log: Clicked, clicks: Floats) -> tuple[Floats, float]:
    values = np.column_stack([log.values[:, :-1], np.log1p(log.slot), log.values[:, -1:]])
    weights = ranker.logistic(values, clicks)
    return log.gains(weights), float(-weights[-2])


def steepness_of(values: Floats, slot: Ints, clicks: Floats) -> float:
    """By how much the log odds of a click fall with the logarithm of the place, what is shown held still: where clicks are few, odds are chances."""
    held = np.column_stack([values[:, :-1], np.log1p(slot), values[:, -1:]])
    return max(0.0, float(-ranker.logistic(held, clicks)[-2]))


def read(shown: Shown) -> Floats:
    """[n, d] as the served ranker reads, and a column of ones."""
    return np.column_stack([shown.values, np.ones(len(shown.row))])


def wider(units: Floats, users: Ints) -> Interval:
    """units [num_draws, num_requests] -> their mean, with the wider of two intervals: over users, each a mean over the draws, and over draws."""
    found = intervals.mean(units.mean(axis=0), users)
    between = intervals.mean(units.mean(axis=1), np.arange(len(units)))
    return max(found, between, key=lambda one: (one.high or 0.0) - (one.low or 0.0))


EXPERIMENTS: Mapping[str, Experiment] = {"position_bias": position_bias}
