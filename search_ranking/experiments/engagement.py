"""What a click is worth: graded labels beside plain ones, and click-through rate as the measure of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from search_ranking import model, world
from search_ranking.config import Config
from search_ranking.experiments.lab import GAIN, Lab, against, change, columns, ordered, trained
from search_ranking.model.clicks import weights
from search_ranking.model.ltr import Groups, trees
from search_ranking.world.history import CLICK_CATCHY, CLICK_GRADE, Behaviour, clicky, react
from search_ranking.world.needs import grades_of

SERVED = "clicks, a list a click (served)"
CLICKED, SATISFIED = 1.0, 3.0  # grades
SATISFYING = 3  # grade from which a click ends a search
LIFT = 0.5  # of the ranker's score, for a title one deviation catchier than most
VIEWINGS = 50  # of each page, when people are asked


def engagement(config: Config) -> Table:
    """Do graded labels (shown 0, clicked 1, satisfied 3) teach the ranker more than plain clicks?

    In a list of one click they cannot: NDCG divides the grade away, and the trees are the same to the last bit. A grade tells only where a page's
    clicks stand in one list, or as a weight. `against`: paired difference of planted gain from the served labels. The foil learns from labels by lot."""
    lab = trained(config)
    a_click, _ = model.lessons(lab.dataset.train, lab.model.legs, lab.features, lab.dataset, config)
    plain, pages = a_click.grades, _pages(lab)
    rows = lab.dataset.train
    stayed = rows.labels["satisfied"][rows.labels["clicked"] > 0] > 0  # a list each, in their order
    happy = stayed[a_click.query]
    own = np.ones(len(plain)) if a_click.weights is None else a_click.weights
    lots = np.random.default_rng([config.seed, 41]).permutation(len(pages.grades))
    labels = {
        SERVED: a_click,
        "graded, a list a click": replace(a_click, grades=np.where(happy, SATISFIED, CLICKED) * plain),
        "clicks, the satisfied three times": replace(a_click, grades=plain, weights=own * np.where(happy, SATISFIED, 1.0)),
        "satisfied clicks alone": replace(a_click, grades=np.where(happy, plain, 0.0)),
        "graded, a list a page": pages,
        "clicks, a list a page": replace(pages, grades=np.minimum(pages.grades, CLICKED)),
        "by lot, a list a page": replace(pages, grades=pages.grades[lots]),
    }  # fmt: skip
    read = columns(lab, lab.candidates)
    rankers = {name: trees.fit(groups, None, model.setting(config)) for name, groups in labels.items()}
    found = {name: lab.report(ordered(lab.candidates, one.score(read))) for name, one in rankers.items()}
    return [row | {"lists": int((~labels[row["labels"]].one_grade).sum())} for row in against("labels", found, SERVED)]


def _pages(lab: Lab) -> Groups:
    """Every page with a click as one list, grades from engagement, a click weighed by one over examination."""
    rows, dataset = lab.dataset.train, lab.dataset
    page, back = np.unique(rows.request_id, return_inverse=True)
    rows = rows.take((np.bincount(back, rows.labels["clicked"], len(page)) > 0)[back])
    clicked, slot = rows.labels["clicked"] > 0, rows.numbers["slot"].astype(np.int64)
    asked, which = np.unique(rows.query_id, return_inverse=True)
    read = model.scored(
        lab.features, lab.model.legs, dataset.queries.of(asked).tolist(), which, rows.query_id, rows.doc_id, rows.event_time,
        rows.moment, dataset.history,
    )  # fmt: skip
    grades = np.where(rows.labels["satisfied"] > 0, SATISFIED, np.where(clicked, CLICKED, 0.0))
    sizes = np.unique(rows.request_id, return_counts=True)[1]
    weight = weights.ips(slot, clicked, model.curve(dataset.train, lab.config)).weights
    return Groups(features=read, grades=grades, sizes=sizes, weights=weight)


def clickbait(config: Config) -> Table:
    """Is the page that is clicked more the better page?

    The same candidates in several orders; people of the world read each page VIEWINGS times. `gain_change` and `ctr_change`: paired differences from the served order.
    `satisfied`: clicks a page on what is really an answer; `catchy`: planted, draws clicks and pleases nobody, mean of the page. The oracles know
    what nobody can know: they show how far a ranker may go for clicks, and for gain. Mostly both move together; it flips where catchy titles
    are lifted, and between the two oracles."""
    lab = trained(config)
    orders = _orders(lab)
    pages = {name: lab.page(one) for name, one in orders.items()}
    reports = {name: lab.report(one) for name, one in orders.items()}
    read = {name: _read(lab, page) for name, page in pages.items()}
    first, queries = next(iter(orders)), lab.dataset.test.query_id
    table: Table = []
    for name, report in reports.items():
        ctr = intervals.mean(read[name]["ctr"] - read[first]["ctr"], queries)
        table.append(
            {"order": name, GAIN: report.metrics[GAIN].value}
            | change(report.units, reports[first].units, queries, "gain_change")
            | {"ctr": float(read[name]["ctr"].mean()), "ctr_change": ctr.value, "ctr_change_low": ctr.low, "ctr_change_high": ctr.high}
            | {"satisfied": float(read[name]["satisfied"].mean()), "catchy": _catchy(lab, pages[name])}
        )  # fmt: skip
    return table


def _orders(lab: Lab) -> dict[str, Ranking]:
    """Of the candidates. A rate is smoothed clicks over expected looks, as of the moment of the request."""
    found, ids, test = lab.candidates, lab.candidates.ids, lab.dataset.test
    row, place = np.nonzero(ids >= 0)
    inputs = lab.features.of(
        lab.features.asked(test.query.tolist()), row, test.query_id[row], ids[row, place], test.event_time[row],
        test.moment[row], lab.dataset.history,
    )  # fmt: skip
    rate = {name: inputs.dense[:, inputs.names.index(name)] for name in ("doc_coec", "pair_coec")}
    score = lab.model.ranker.score(columns(lab, lab.candidates))
    grade, catchy = _planted(lab, ids)
    worth = lab.judgments.gain(test, ids)[row, place]
    return {
        "as served": ordered(found, score),
        "no ranker": lab.candidates,
        "by the document's click rate": ordered(found, rate["doc_coec"]),
        "by the pair's click rate": ordered(found, rate["pair_coec"]),
        "served, catchy titles lifted": ordered(found, score + LIFT * catchy[row, place]),
        "oracle: catchy titles": ordered(found, catchy[row, place]),
        "oracle: what will be clicked": ordered(found, (CLICK_GRADE * grade / 4 + CLICK_CATCHY * catchy)[row, place]),
        "oracle: what is worth most": ordered(found, worth),
    }


def _planted(lab: Lab, ids: Ints) -> tuple[Floats, Floats]:
    """ids [n, k] of the test requests -> grade, catchiness [n, k], 0 for -1."""
    truth, test = world.make(lab.config), lab.dataset.test
    row, place = np.nonzero(ids >= 0)
    found = truth.documents.take(ids[row, place])
    grade, catchy = np.zeros(ids.shape), np.zeros(ids.shape)
    grade[row, place] = grades_of(truth.queries.take(truth.meant(test.user_id, test.event_time)[row]), found)
    catchy[row, place] = found.catchy
    return grade, catchy


def _read(lab: Lab, page: Ranking) -> dict[str, Floats]:
    """[num_requests] of VIEWINGS readings, with the same luck for every order: clicks a result shown, clicks a page on an answer."""
    config, there = lab.config, page.ids >= 0
    grade, catchy = _planted(lab, page.ids)
    people = clicky(config.seed, lab.dataset.test.user_id)
    behaviour = Behaviour(config.steepness, config.cascade, config.trust, config.swapped)
    rng = np.random.default_rng([config.seed, 42])
    ctr, satisfied = np.zeros(len(there)), np.zeros(len(there))
    for _ in range(VIEWINGS):
        clicked = react(rng, grade, catchy, people, behaviour)[1] & there
        ctr += clicked.sum(axis=1) / np.maximum(there.sum(axis=1), 1) / VIEWINGS
        satisfied += (clicked & (grade >= SATISFYING)).sum(axis=1) / VIEWINGS
    return {"ctr": ctr, "satisfied": satisfied}


def _catchy(lab: Lab, page: Ranking) -> float:
    return float(_planted(lab, page.ids)[1][page.ids >= 0].mean())


EXPERIMENTS: Mapping[str, Experiment] = {"engagement": engagement, "clickbait": clickbait}
