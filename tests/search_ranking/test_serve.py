"""Over HTTP: every loss is labelled, pages are stretches of one list, an event changes the next answer, documents come and go at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from common.checks import Trial
from common.contract import Ranking
from common.features.asof import AsOfStore
from common.features.text import normalise
from common.serving.deadline import Deadline, Fault
from search_ranking.features import DOC, QUERY_DOC, VIEWS
from search_ranking.features.understanding import Understood
from search_ranking.model.ltr.trees import Trees
from search_ranking.policy import contexts
from search_ranking.schema import ITEM, Request, Requests, query_id
from search_ranking.serve import SHARES, SUGGEST
from search_ranking.serve.lists import MOST, SECONDS, Lists, Ordered, places

pytestmark = pytest.mark.slow
DAY = 86_400
PATH = "/search_ranking/items"


def ids(answer: dict[str, Any]) -> list[int]:
    return [result["doc_id"] for result in answer["results"]]


def whole(trial: Trial, **request: Any) -> dict[str, Any]:
    """An answer nothing was late for: a busy machine is asked again."""
    for _ in range(20):
        answer = trial.served.ask(**request)
        if not set(answer["degraded"]) & set(SHARES):
            return answer
        time.sleep(0.2)
    raise AssertionError(f"always degraded: {answer['degraded']}")


def asked_often(trial: Trial, n: int = 5) -> list[str]:
    train = trial.dataset.train
    query, count = np.unique(train.query_id, return_counts=True)
    return [str(text) for text in trial.dataset.queries.of(query[np.argsort(-count)[:n]])]


@contextmanager
def broken(trial: Trial, *stages: str, kind: str = "fail") -> Iterator[None]:
    faults = trial.served.service.stages.faults
    faults |= {stage: Fault(kind, ms=400.0) for stage in stages}
    try:
        yield
    finally:
        for stage in stages:
            del faults[stage]
        for _ in range(400):  # abandoned calls end on their own, breakers close
            if not set(stages) & set(trial.served.ask(user_id=99)["degraded"]):
                break
            time.sleep(0.01)
        else:
            raise AssertionError(f"{stages} never recovered")


def now(trial: Trial) -> Any:
    """The service over the documents there are."""
    service = trial.served.service
    return service.current.now(service.stages, Deadline(1e3)).known.service


def as_asked(query: str, now: int = 0, moment: int = -1, language: str = "", max_age_days: int = 0) -> Requests:
    """What `ask` asks, as the offline track has it."""
    return Requests(
        user_id=np.array([42]), query_id=np.array([query_id(normalise(query))]), query=np.array([query]),
        event_time=np.array([now]), moment=np.array([moment]), language=np.array([language]), max_age_days=np.array([max_age_days]),
    )  # fmt: skip


def offline(trial: Trial, asked: Requests) -> Ranking:
    """The list of the offline track, before the rules decide."""
    model, store = trial.part("model"), AsOfStore(trial.served.logged())
    among = trial.part("policy").among(model.features, asked)
    ranked: Ranking = model.rerank(asked, model.retrieve(asked, trial.config.num_candidates, store, among), store)
    return ranked


def impressions(trial: Trial, answer: dict[str, Any]) -> Any:
    events = trial.served.logged()
    mine = (events.kind == "impression") & (events.keys["request_id"] == answer["request_id"])
    return {name: column[mine] for name, column in {**events.keys, **events.values, "moment": events.moment}.items()}


# ------------------------------------------------------------------------------------------------------------------------ answers


def test_a_page_is_full_ranked_explained_and_logged(trial: Trial) -> None:
    query = asked_often(trial)[0]
    answer = whole(trial, query=query, page_size=7)
    results, scores = answer["results"], [result["score"] for result in answer["results"]]
    assert len(results) == len(set(ids(answer))) == 7 <= answer["total"]
    assert scores == sorted(scores, reverse=True) and not answer["degraded"]
    assert {why["item"] for why in answer["why"] if why["reason"] == "candidate"} == set(ids(answer))
    assert {why["item"] for why in answer["why"] if why["stage"] == "ranker"} == set(ids(answer))
    assert {name for result in results for name in result["ranks"]} <= {"lexical", "dense"}

    logged = impressions(trial, answer)
    assert logged["slot"].tolist() == list(range(7)) and logged["doc_id"].tolist() == ids(answer)
    assert logged["seen_ppm"].tolist() == [round(1e6 * (slot + 1) ** -1) for slot in range(7)]
    assert logged["score_ppm"].tolist() == [round(1e6 * score) for score in scores]
    assert set(logged["query_id"].tolist()) == {query_id(normalise(query))}
    assert (logged["moment"] >= 0).all() and not logged["cold"].any() and not logged["degraded"].any()
    assert not logged["swapped"].any()


def test_the_answer_is_the_offline_ranker_on_the_same_log(trial: Trial) -> None:
    """What is served is what is evaluated: the same candidates, in the same order, before the rules."""
    query, served = asked_often(trial)[1], trial.served
    before = served.platform.log.end
    answer = whole(trial, query=query, page_size=50)
    moment = int(impressions(trial, answer)["moment"][0])
    assert moment >= before
    ranked = offline(trial, as_asked(query, served.clock.now(), moment))
    order = [doc_id for doc_id in ranked.ids[0].tolist() if doc_id in set(ids(answer))]
    assert order == ids(answer)
    kept = np.isin(ranked.ids[0], ids(answer))
    assert np.array_equal(ranked.scores[0][kept], [result["score"] for result in answer["results"]])


def test_of_one_log_one_request_has_one_answer(trial: Trial) -> None:
    with broken(trial, "log"):  # nothing is written, so both read the same log
        first, second = (trial.served.ask(query=asked_often(trial)[0], page_size=30) for _ in range(2))
    assert first["results"] == second["results"] and first["total"] == second["total"]
    assert first["request_id"] != second["request_id"]


def test_without_a_word_it_is_what_is_watched_most_and_says_so(trial: Trial) -> None:
    popular = trial.part("features").popular
    for query in ("", "   ", "?! ...", "🙂"):
        answer = trial.served.ask(query=query)
        assert "query" in answer["degraded"] and len(answer["results"]) == 10
        places_ = [int(np.flatnonzero(popular == doc_id)[0]) for doc_id in ids(answer)]
        assert places_ == sorted(places_) and answer["understood"]["corrected"] == ""
        assert {why["stage"] for why in answer["why"] if why["reason"] == "candidate"} == {"popular"}


def test_what_was_first_asked_in_the_test_is_cold_and_answered_as_offline(trial: Trial) -> None:
    """The log holds its pages, the artifact nothing of it: it is judged as a query that somebody brings tomorrow."""
    test, known = trial.dataset.test, trial.dataset.queries.query_id
    asked_before = np.isin(test.query_id, known)
    assert asked_before.any() and not asked_before.all()
    assert np.array_equal(trial.part("features").queries.query_id, known)
    for cold, query in ((False, test.query[asked_before][0]), (True, test.query[~asked_before][0])):
        answer = whole(trial, query=str(query), page_size=50)
        logged = impressions(trial, answer)
        assert len(logged["cold"]) and (logged["cold"] == cold).all(), query
        ranked = offline(trial, as_asked(str(query), trial.served.clock.now(), int(logged["moment"][0])))
        kept = np.isin(ranked.ids[0], ids(answer))
        assert ranked.ids[0][kept].tolist() == ids(answer)
        assert ranked.scores[0][kept].tolist() == [result["score"] for result in answer["results"]]


def test_words_nobody_knows_and_slips_of_the_finger_are_answered(trial: Trial) -> None:
    answer = whole(trial, query="qzxv jjkwq")
    assert len(answer["results"]) == 10 and answer["degraded"] == ["query", "candidates"]
    found = offline(trial, as_asked("qzxv jjkwq"))
    assert ids(answer) == [doc_id for doc_id in found.ids[0].tolist() if doc_id in ids(answer)], "the same offline"
    assert (found.scores[0] < 0).all() and set(ids(answer)) < set(found.ids[0, :12].tolist()), "copies aside, the same"
    assert impressions(trial, answer)["cold"].all()
    assert all("lexical" not in result["ranks"] for result in answer["results"]), "what is popular was not found"
    wrong, right = whole(trial, query="bicylce"), whole(trial, query="bicycle")
    assert wrong["understood"]["corrected"] == "bicycle" and not wrong["degraded"]
    assert len(set(ids(wrong)) & set(ids(right))) >= 5


@pytest.mark.parametrize("query", ["a" * 300, "\u0300" * 300, "the " * 75, "DROP TABLE", "动画 视频", "\\ud800", "%00"])
def test_any_text_is_a_query(trial: Trial, query: str) -> None:
    assert trial.served.ask(query=query)["results"]


def test_the_schema_refuses_what_it_does_not_know(trial: Trial) -> None:
    good = {"user_id": 1, "query": "x"}
    for body in ({}, {**good, "zebra": 1}, {**good, "offset": -1}, {**good, "page_size": 0}, {**good, "query": 7}):
        assert trial.served.client.post("/search_ranking/search", json=body).status_code == 422


# -------------------------------------------------------------------------------------------------------------------- what fails


@pytest.mark.parametrize("kind", ["slow", "fail", "hang"])
@pytest.mark.parametrize("stage", list(SHARES))
def test_whatever_breaks_there_is_a_labelled_page_in_time(trial: Trial, stage: str, kind: str) -> None:
    with broken(trial, stage, kind=kind):
        answers = [trial.served.ask(query=asked_often(trial)[0]) for _ in range(2)]
    for answer in answers:
        assert stage in answer["degraded"] and len(answer["results"]) == 10
        if kind == "fail" and stage != "log":
            assert impressions(trial, answer)["degraded"].all()
    quickest = min(answer["timings_ms"]["total"] for answer in answers)  # the others may have met a busy machine
    assert quickest <= trial.config.deadline_ms


def test_each_leg_stands_in_for_the_other(trial: Trial) -> None:
    query, legs = asked_often(trial)[0], trial.part("model").legs
    corrected = " ".join(trial.part("features").understand([query])[0].corrected)
    for late, left in (("dense", "lexical"), ("lexical", "dense")):
        with broken(trial, late, "ranker"):  # in the order of the leg that is left
            answer = trial.served.ask(query=query)
        among = trial.part("policy").among(trial.part("features"), as_asked(query))
        alone = getattr(legs, left)([corrected], trial.config.num_candidates, among).ids[0].tolist()
        assert late in answer["degraded"] and "candidates" not in answer["degraded"]
        assert {name for result in answer["results"] for name in result["ranks"]} == {left}
        assert [alone.index(doc_id) for doc_id in ids(answer)] == sorted(alone.index(doc_id) for doc_id in ids(answer))


def test_without_both_legs_it_is_what_is_watched_most(trial: Trial) -> None:
    with broken(trial, "lexical", "dense"):
        answer = trial.served.ask(query=asked_often(trial)[0])
    assert {"lexical", "dense", "candidates"} <= set(answer["degraded"])
    assert ids(answer) == ids(trial.served.ask(query=""))


def test_a_leg_that_finds_nothing_is_no_list(trial: Trial) -> None:
    with broken(trial, "lexical"):
        answer = trial.served.ask(query="qzxv jjkwq")
    assert {"lexical", "candidates"} <= set(answer["degraded"]) and len(answer["results"]) == 10
    ranked = trial.part("model").legs.dense(["qzxv jjkwq", "bicycle"], 5).ids
    assert (ranked[0] == -1).all() and (ranked[1] >= 0).all()


@pytest.mark.parametrize("stage", ["store", "features", "ranker"])
def test_without_the_ranker_it_is_the_order_of_the_fused_legs(trial: Trial, stage: str) -> None:
    query, model = asked_often(trial)[0], trial.part("model")
    with broken(trial, stage):
        answer = trial.served.ask(query=query)
    among = trial.part("policy").among(model.features, as_asked(query))
    fused = model.retrieve(as_asked(query), trial.config.num_candidates, None, among).ids[0].tolist()
    at = [fused.index(doc_id) for doc_id in ids(answer)]
    assert at == sorted(at) and not [why for why in answer["why"] if why["stage"] == "ranker"]
    assert set(impressions(trial, answer)["moment"].tolist()) == {-1} or stage != "store"


def test_a_query_that_is_not_understood_in_time_is_taken_as_typed(trial: Trial) -> None:
    with broken(trial, "understanding"):
        answer = trial.served.ask(query="Bicylce")
    assert answer["understood"] == {"corrected": "bicylce", "language": "", "intent": "", "entity": ""}
    assert whole(trial, query="Bicylce")["understood"]["corrected"] == "bicycle"


# ---------------------------------------------------------------------------------------------------------------- filters, pages


def in_pages(trial: Trial, query: str, size: int, between: Callable[[], None] = lambda: None) -> list[int]:
    """The whole list, page by page; `between` happens after the first."""
    found: list[int] = []
    offset = 0
    while offset <= 200:
        page = trial.served.ask(query=query, page_size=size, offset=offset)
        if not offset:
            between()
        if not page["results"]:
            break
        assert [result["slot"] for result in page["results"]] == list(range(offset, offset + len(page["results"])))
        found, offset = found + ids(page), offset + size
    assert len(found) == page["total"]
    return found


@pytest.mark.parametrize("kept", [True, False])
def test_pages_are_stretches_of_one_list_whatever_happens_meanwhile(trial: Trial, kept: bool) -> None:
    """Between two pages others click on what stands further down. The control: of lists that are not kept a result comes twice."""
    query = asked_often(trial)[0]
    answer = whole(trial, query=query, page_size=30)

    def others_click() -> None:
        for doc_id in ids(answer)[15:]:
            users = range(700_000 + 100 * kept, 700_020 + 100 * kept)
            trial.served.post(*(click(answer, doc_id, query, user_id) for user_id in users))
        if not kept:
            trial.served.service.lists._kept.clear()

    found = in_pages(trial, query, 7, others_click)
    assert (len(set(found)) == len(found)) is kept


def test_the_next_page_says_what_its_list_was_made_without_and_when(trial: Trial) -> None:
    query = asked_often(trial)[0]
    with broken(trial, "dense"):
        first = trial.served.ask(query=query)
    second = trial.served.ask(query=query, offset=10)
    assert "dense" in second["degraded"] and not set(ids(first)) & set(ids(second))
    assert set(impressions(trial, first)["moment"].tolist()) == set(impressions(trial, second)["moment"].tolist())
    assert ids(second) and impressions(trial, second)["slot"].tolist() == list(range(10, 10 + len(ids(second))))
    assert "dense" not in whole(trial, query=query)["degraded"]
    assert "dense" not in whole(trial, query=query, offset=10)["degraded"]


def test_filters_leave_what_fits_and_total_says_how_much(trial: Trial) -> None:
    query, catalog, today = asked_often(trial)[0], trial.dataset.catalog, trial.served.clock.now()
    every = whole(trial, query=query, page_size=50)
    for language in ("en", "de"):
        some = whole(trial, query=query, page_size=50, language=language)
        assert set(catalog.categories["language"][ids(some)].tolist()) <= {language}
        assert some["total"] == len(in_pages_with(trial, query, language=language))
    days = int(np.median(today - catalog.numbers["uploaded"]) / DAY)
    young = whole(trial, query=query, page_size=50, max_age_days=days)
    assert len(young["results"]) == 50 and young["total"] == len(in_pages_with(trial, query, max_age_days=days))
    assert (today - catalog.numbers["uploaded"][ids(young)] <= days * DAY).all()
    none = trial.served.ask(query=query, language="xx")
    assert none["total"] == 0 and not none["results"] and not none["degraded"], "the filter's doing, not the query's"
    assert [(why["stage"], why["reason"]) for why in none["why"]] == [("rules", "language")]
    nonsense = trial.served.ask(query="qzxv jjkwq")
    assert nonsense["degraded"] == ["query", "candidates"] and {why["stage"] for why in nonsense["why"]} <= {
        "popular",
        "rules",
    }
    assert not catalog.explicit[ids(every)].any() and (catalog.min_age[ids(every)] == 0).all()


def narrow(trial: Trial) -> tuple[dict[str, Any], Any]:
    """-> filters, and the ids they leave of what everybody may see: one document in a hundred, or little more."""
    features, today = trial.part("features"), trial.served.clock.now()
    doc_id = features.documents.doc_id
    for language, days in product(features.names.languages, range(1, 400)):
        asked = as_asked("", today, language=language, max_age_days=days)
        left = doc_id[trial.part("policy").among(features, asked)(0).of(doc_id)]
        if 0.0125 * len(doc_id) <= len(left) <= 0.016 * len(doc_id):
            return {"language": language, "max_age_days": days}, left
    raise AssertionError("no filter leaves so few")


def test_a_filter_that_one_document_in_a_hundred_passes_leaves_a_full_page(trial: Trial) -> None:
    """And every page after it is a stretch of the same list. The control: of the candidates found without it the rules leave a few."""
    query, model, rules = asked_often(trial)[0], trial.part("model"), trial.part("policy")
    filters, left = narrow(trial)
    answer = whole(trial, query=query, **filters)
    groups = model.features.groups[model.features.find(left)]
    num = len(left) - sum(np.unique(groups[groups >= 0], return_counts=True)[1] - 1)
    assert answer["total"] == num and len(answer["results"]) == min(10, num) and set(ids(answer)) <= set(left.tolist())
    assert whole(trial, query=query, **filters, offset=200, page_size=50)["results"] == []
    pages = in_pages_with(trial, query, size=4, **filters)
    assert len(pages) == num and sorted(pages) == sorted(in_pages_with(trial, query, **filters))
    asked = as_asked(query, trial.served.clock.now(), **filters)
    found = model.retrieve(asked, trial.config.num_candidates)
    kept = rules.decide(None, found, contexts(model.features, asked, found)[0]).kept
    assert len(kept) < 0.5 * num


def test_each_fallback_looks_among_what_the_filter_leaves(trial: Trial) -> None:
    query, (filters, left) = asked_often(trial)[0], narrow(trial)
    for stages in (("lexical",), ("dense",), ("lexical", "dense"), ("store",), ("ranker",)):
        with broken(trial, *stages):
            answer = trial.served.ask(query=query, **filters)
        assert answer["results"] and set(ids(answer)) <= set(left.tolist()), stages
    assert set(ids(trial.served.ask(query="", **filters))) <= set(left.tolist())


def in_pages_with(trial: Trial, query: str, size: int = 50, **filters: Any) -> list[int]:
    pages = [trial.served.ask(query=query, page_size=size, offset=at, **filters) for at in range(0, 201, size)]
    return [doc_id for page in pages for doc_id in ids(page)]


# ------------------------------------------------------------------------------------------------------------------------ events


def click(answer: dict[str, Any], doc_id: int, query: str, user_id: int) -> dict[str, Any]:
    keys = {"request_id": answer["request_id"], "user_id": user_id, "query_id": query_id(normalise(query)), "doc_id": doc_id}  # fmt: skip
    values = {"dwell_seconds": 300, "satisfied": 1}
    return {"event_id": f"click-{user_id}-{doc_id}", "kind": "click", "keys": keys, "values": values}


def test_an_event_changes_the_counters_of_the_next_answer_as_the_offline_join_says(trial: Trial) -> None:
    served, query = trial.served, asked_often(trial)[2]
    answer = whole(trial, query=query)
    start = len(served.recorder.reads)
    whole(trial, query=query)
    before = served.recorder.reads[start:]
    served.post(click(answer, ids(answer)[3], query, 500_001))
    start = len(served.recorder.reads)
    whole(trial, query=query)
    after = served.recorder.reads[start:]
    offline = AsOfStore(served.logged())
    for read in (*before, *after):
        moments = np.full(len(read.keys), read.position)
        assert np.array_equal(read.values, offline.read(read.view, read.keys, moments), equal_nan=True)
    for view in (DOC, QUERY_DOC):
        clicks = [sum(float(r.values[:, 1].sum()) for r in reads if r.view == view) for reads in (before, after)]
        assert clicks[1] >= clicks[0] + 1
    assert {read.view.name for read in after} == {view.name for view in VIEWS}


def test_a_click_raises_its_result_where_the_ranker_goes_by_clicks(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way from an event to the next order, with a ranker planted of which the order is known; and the reason given is the planted one."""
    query, service = asked_often(trial)[3], trial.served.service
    column = service.names.index("pair_coec")
    monkeypatch.setattr(Trees, "score", lambda self, rows: rows[:, column])
    monkeypatch.setattr(Trees, "contributions", lambda self, rows: rows * (np.arange(rows.shape[1]) == column))
    answer = whole(trial, query=query, page_size=20)
    target = ids(answer)[12]
    trial.served.post(*(click(answer, target, query, user_id) for user_id in range(500_100, 501_000)))
    again = whole(trial, query=query)
    assert ids(again)[0] == target
    assert [why["reason"] for why in again["why"] if why["item"] == target and why["stage"] == "ranker"] == [
        "pair_coec"
    ]
    other = whole(trial, query=asked_often(trial)[4])
    assert other["results"][0]["doc_id"] != target, "it was clicked for another query"


# --------------------------------------------------------------------------------------------------------------------- documents


def put(trial: Trial, *items: dict[str, Any]) -> None:
    assert trial.served.client.request("PUT", PATH, json={"items": list(items)}).status_code == 200


def delete(trial: Trial, *doc_ids: int) -> None:
    assert trial.served.client.request("DELETE", PATH, json={"ids": list(doc_ids)}).status_code == 200


def until(trial: Trial, holds: Callable[[dict[str, Any]], bool], **request: Any) -> dict[str, Any]:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        answer = trial.served.ask(**request)
        if holds(answer):
            return answer
        time.sleep(0.02)
    raise AssertionError("not within five seconds")


@pytest.fixture
def new(trial: Trial) -> Iterator[int]:
    doc_id = int(ITEM["doc_id"]) + 7
    yield doc_id
    delete(trial, doc_id, doc_id + 1)


def test_a_document_put_is_found_by_both_legs_and_a_deleted_one_is_gone(trial: Trial, new: int) -> None:
    query = "zyqqo bicycle concert"  # a word nobody knows, for one leg, and two that mean something, for the other
    put(trial, {**ITEM, "doc_id": new, "title": query, "tags": "", "channel_id": 5})
    answer = until(trial, lambda answer: new in ids(answer), query=query)
    result = next(result for result in answer["results"] if result["doc_id"] == new)
    assert result["title"] == query and result["channel_id"] == 5
    assert result["ranks"] == {"lexical": 0, "dense": 0}
    delete(trial, new)
    assert new not in ids(trial.served.ask(query=query))
    time.sleep(0.3)
    assert new not in ids(trial.served.ask(query=query, page_size=50))


def test_a_document_put_anew_has_its_new_words(trial: Trial, new: int) -> None:
    put(trial, {**ITEM, "doc_id": new, "title": "zyqqo lantern", "tags": ""})
    until(trial, lambda answer: new in ids(answer), query="zyqqo lantern")
    put(trial, {**ITEM, "doc_id": new, "title": "wexxop teapot", "tags": ""})
    answer = until(trial, lambda answer: new in ids(answer), query="wexxop teapot")
    assert next(result["title"] for result in answer["results"] if result["doc_id"] == new) == "wexxop teapot"
    assert "lexical" not in next(
        (r["ranks"] for r in trial.served.ask(query="zyqqo", page_size=50)["results"] if r["doc_id"] == new), {}
    )


def test_a_document_of_training_is_deleted_from_every_rung_and_every_page(trial: Trial) -> None:
    query = asked_often(trial)[4]
    first = whole(trial, query=query)
    rest = trial.served.ask(query=query, offset=10)
    popular = ids(trial.served.ask(query=""))[0]
    gone = sorted({ids(first)[0], ids(rest)[0], popular})
    try:
        delete(trial, *gone)
        assert ids(rest)[0] not in ids(trial.served.ask(query=query, offset=10)), "a kept list shows what is gone"
        assert not set(gone) & set(ids(trial.served.ask(query=query, page_size=50)))
        for stages in (("lexical", "dense"), ("ranker",), ("store",), ("items",)):
            with broken(trial, *stages):
                assert not set(gone) & set(ids(trial.served.ask(query=query, page_size=50)))
        assert popular not in ids(trial.served.ask(query=""))
    finally:
        catalog = trial.dataset.catalog
        put(trial, *(_item(catalog, doc_id) for doc_id in gone))
        until(trial, lambda answer: popular in ids(answer), query="")


@pytest.mark.parametrize("kept", [True, False])
def test_documents_deleted_between_two_pages_move_no_other(
    trial: Trial, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the first page, one of a later one: the list goes on where it stood, without them. The control: of places counted anew one is
    skipped for each that was deleted before."""
    query = asked_often(trial)[0]
    if not kept:
        keep = Lists.keep
        monkeypatch.setattr(Lists, "keep", lambda self, asked, made: keep(self, asked, replace(made, listed=None)))
    first = whole(trial, query=query, page_size=5)
    rest = ids(trial.served.ask(query=query, offset=5, page_size=30))
    gone = [ids(first)[2], rest[7]]
    try:
        delete(trial, *gone)
        pages = [trial.served.ask(query=query, page_size=5, offset=offset) for offset in range(5, 35, 5)]
        assert [len(page["results"]) for page in pages] == ([5, 4, 5, 5, 5, 5] if kept else [5] * 6)
        found = [doc_id for page in pages for doc_id in ids(page)]
        assert (found == [doc_id for doc_id in rest if doc_id not in gone]) is kept
        assert (pages[-1]["total"] == first["total"]) is kept, "nothing is beyond what is said to be there"
    finally:
        put(trial, *(_item(trial.dataset.catalog, doc_id) for doc_id in gone))
        until(trial, lambda answer: set(gone) <= set(ids(answer)), query=query, page_size=50)


def _item(catalog: Any, doc_id: int) -> dict[str, Any]:
    texts = {name: str(getattr(catalog, name)[doc_id]) for name in ("title", "description", "tags")}
    numbers = {name: int(catalog.numbers[name][doc_id]) for name in ("length_seconds", "uploaded")}
    categories = {name: str(catalog.categories[name][doc_id]) for name in ("language", "topic")}
    return {
        "doc_id": doc_id, "channel_id": int(catalog.channel_id[doc_id]), "fingerprint": int(catalog.fingerprint[doc_id]),
        **texts, **numbers, **categories,
    }  # fmt: skip


def test_who_may_see_a_document_that_was_put(trial: Trial, new: int) -> None:
    words = {"title": "zyqqo lantern", "tags": ""}
    put(trial, {**ITEM, **words, "doc_id": new}, {**ITEM, **words, "doc_id": new + 1, "min_age": 18})
    until(trial, lambda answer: new in ids(answer), query="zyqqo lantern")
    assert new + 1 not in ids(trial.served.ask(query="zyqqo lantern", page_size=50))
    assert new + 1 in ids(trial.served.ask(query="zyqqo lantern", page_size=50, age=30))
    assert new not in ids(trial.served.ask(query="zyqqo lantern", page_size=50, language="de"))


# --------------------------------------------------------------------------------------------------------------------- the rest


def test_suggestions_begin_with_what_was_typed(trial: Trial) -> None:
    letter = asked_often(trial)[0][0]
    answer = trial.served.client.post(SUGGEST, json={"prefix": letter, "k": 3})
    assert answer.status_code == 200
    found = answer.json()["suggestions"]
    assert 0 < len(found) <= 3 and all(text.startswith(letter) for text in found)
    assert set(found) <= {normalise(text) for text in trial.dataset.queries.text.tolist()}
    assert trial.served.client.post(SUGGEST, json={"prefix": letter, "zebra": 1}).status_code == 422
    assert trial.served.client.post(SUGGEST, json={"prefix": "qzxv"}).json() == {"suggestions": []}


def test_an_answer_is_one_state_from_first_to_last(trial: Trial, new: int) -> None:
    """A service over other documents stands beside the one that answers: neither index of the old one has changed."""
    old = now(trial)
    query = "zyqqo bicycle concert"
    put(trial, {**ITEM, "doc_id": new, "title": query, "tags": ""})
    until(trial, lambda answer: new in ids(answer), query=query)
    new_ = now(trial)
    assert new_ is not old and new not in old.model.legs.lexical([query], 50).ids
    assert new in new_.model.legs.dense([query], 50).ids
    assert new not in old.model.legs.dense([query], 50).ids and old.features.find(np.array([new]))[0] == -1
    assert new_.features.find(np.array([new]))[0] >= 0 and new in new_.model.legs.lexical([query], 50).ids


def test_lists_are_kept_for_the_same_search_of_the_same_person_for_a_while() -> None:
    none = np.empty(0, np.int64)
    nothing = Understood("x", ("x",), ("x",), (), "", "", "")
    made = Ordered(ids=none, scores=np.empty(0), ranks={}, rows=None, understood=nothing, made=100, moment=-1)
    lists, first = Lists(), Request(user_id=1, query="x", page_size=5)
    lists.keep(first, made)
    assert lists.find(first, 100) is None, "a first page is made anew"
    assert lists.find(Request(user_id=1, query="x", offset=5), 100) is made
    assert lists.find(Request(user_id=1, query="x", offset=5), 100 + SECONDS + 1) is None
    for other in ({"user_id": 2}, {"query": "y"}, {"language": "en"}, {"max_age_days": 3}, {"age": 30}):
        assert lists.find(Request(**{"user_id": 1, "query": "x", "offset": 5, **other}), 100) is None  # type: ignore[arg-type]
    for user_id in range(2, MOST + 2):
        lists.keep(Request(user_id=user_id, query="x"), made)
    assert lists.find(Request(user_id=1, query="x", offset=5), 100) is None and len(lists._kept) == MOST


def test_places_are_those_of_the_leg() -> None:
    leg = Ranking(ids=np.array([[7, 3, 9, -1]]), scores=np.array([[2.0, 1.0, 0.5, -np.inf]]))
    assert places(np.array([3, 5, 7, 8]), {"a": leg})["a"].tolist() == [1, -1, 0, -1]
    nothing = Ranking(ids=np.full((1, 2), -1), scores=np.full((1, 2), -np.inf))
    assert places(np.array([3]), {"a": nothing})["a"].tolist() == [-1]
