"""What the ranker reads of a pair: the sums by hand on six documents, and as of the moment, not as of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.contract import Events, Floats, Ints
from common.eval.classification import auc
from common.features.asof import AsOfStore
from common.features.text import normalise
from search_ranking import data, features
from search_ranking.config import SMOKE
from search_ranking.features import Features
from search_ranking.features.understanding import Understanding
from search_ranking.schema import EVENTS, Catalog, Dataset, Queries, Requests, Rows, query_id

TITLES = ("bicycle repair", "bicycle tour", "violin lesson", "violin repair", "rice", "bicycle")
DAY = 86_400
NOW = 100 * DAY
UNKNOWN = 99
NO_IDS = np.empty(0, np.int64)


def log(rows: list[tuple[str, int, int, int, int]]) -> AsOfStore:
    """(kind, query, document, seen_ppm, satisfied), in the order of arrival."""
    kind, query, document, seen, satisfied = zip(*rows, strict=True) if rows else ((),) * 5
    n = len(rows)
    keys = {"query_id": query, "doc_id": document, "user_id": (1,) * n, "request_id": range(n)}
    known: Mapping[str, object] = {"seen_ppm": seen, "satisfied": satisfied}
    return AsOfStore(
        Events(
            position=np.arange(n), kind=np.array(kind, dtype=np.str_), event_time=np.full(n, NOW - DAY), moment=np.full(n, -1),
            keys={name: np.array(column, dtype=np.int64) for name, column in keys.items()},
            values={
                name: np.array(known.get(name, (0,) * n), dtype=np.int64) for of in EVENTS.values() for name in of.values
            },
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> Features:
    """Six documents; the last says it all in its tags. Nobody has asked anything."""
    n = len(TITLES)
    catalog = Catalog(
        doc_id=np.arange(n), channel_id=np.zeros(n, np.int64), title=np.array([*TITLES[:-1], "untitled"]),
        description=np.array([""] * n), tags=np.array([""] * (n - 1) + [TITLES[-1]]), frames=np.zeros((n, 0), np.float32),
        numbers={"length_seconds": np.full(n, 60.0), "uploaded": np.full(n, NOW - 3.0 * DAY), "views": np.arange(0.0, 10 * n, 10)},
        categories={"language": np.array(["en"] * n), "topic": np.array(["cars"] * n)},
    )  # fmt: skip
    rows = Rows(
        request_id=NO_IDS, user_id=NO_IDS, query_id=NO_IDS, doc_id=NO_IDS, event_time=NO_IDS, moment=NO_IDS,
        labels={"clicked": np.empty(0)}, numbers={"slot": np.empty(0)},
    )  # fmt: skip
    test = Requests(user_id=NO_IDS, query_id=NO_IDS, query=np.empty(0, np.str_), event_time=NO_IDS, moment=NO_IDS)
    queries = Queries(query_id=NO_IDS, text=np.empty(0, np.str_))
    dataset = Dataset(train=rows, valid=rows, test=test, queries=queries, catalog=catalog, history=log([]))
    return features.fit(dataset, SMOKE)


def read(
    fitted: Features, query: str, doc_id: Ints, store: AsOfStore, moment: Ints, query_id: Ints | None = None
) -> dict[str, Floats]:
    same = np.zeros(len(doc_id), np.int64)
    asked = same + 7 if query_id is None else query_id
    inputs = fitted.of(fitted.asked([query]), same, asked, doc_id, same + NOW, moment, store)
    return dict(zip(inputs.names, inputs.dense.T, strict=True))


def test_words_of_a_query_count_by_how_rare_they_are_in_the_field_that_holds_them(fitted: Features) -> None:
    ids = np.array([0, 1, 3, 2, 5, UNKNOWN])
    found = read(fitted, "Bicycle  REPAIR", ids, log([]), ids * 0)
    bicycle, repair = (np.log(1 + (6 - held + 0.5) / (held + 0.5)) for held in (3, 2))
    total = bicycle + repair
    assert found["query_idf"] == pytest.approx([total] * 6) and found["query_words"].tolist() == [2.0] * 6
    assert found["title_match"] == pytest.approx([1, bicycle / total, repair / total, 0, 0, 0])
    assert found["tags_match"] == pytest.approx([0, 0, 0, 0, bicycle / total, 0])
    assert found["any_match"] == pytest.approx([1, bicycle / total, repair / total, 0, bicycle / total, 0])


def test_length_views_and_age_are_those_of_the_document(fitted: Features) -> None:
    ids = np.array([0, 4, UNKNOWN])
    found = read(fitted, "rice", ids, log([]), ids * 0)
    assert found["length"] == pytest.approx([np.log1p(60), np.log1p(60), 0])
    assert found["views"] == pytest.approx([0, np.log1p(40), 0])
    assert found["age_days"] == pytest.approx([np.log1p(3), np.log1p(3), 0])


def test_clicks_are_held_against_looks_and_not_against_impressions(fitted: Features) -> None:
    """One click each, of four impressions: the one that stood where a quarter looks has the higher rate."""
    shown = [("impression", 7, at, ppm, 0) for at, ppm in ((0, 1_000_000), (1, 250_000)) for _ in range(4)]
    store = log([*shown, ("click", 7, 0, 0, 1), ("click", 7, 1, 0, 0)])
    ids = np.array([0, 1, 2])
    found = read(fitted, "bicycle", ids, store, ids * 0 + 10)
    assert found["pair_coec"] == pytest.approx([1.9 / 7, 1.9 / 4, 0.9 / 3])
    assert found["pair_satisfied"] == pytest.approx([1.3 / 1.6, 0.3 / 1.6, 0.5])
    assert found["pair_seen"] == pytest.approx(np.log1p([4, 1, 0]))
    assert found["query_asked"] == pytest.approx(np.log1p([8, 8, 8]))
    before = read(fitted, "bicycle", ids, store, ids * 0 + 8)
    assert before["pair_coec"] == pytest.approx([0.9 / 7, 0.9 / 4, 0.9 / 3]), "the clicks have not arrived"
    other = read(fitted, "bicycle", ids, store, ids * 0 + 10, ids * 0 + 8)
    assert other["pair_coec"] == pytest.approx([0.3] * 3) and other["doc_coec"] == pytest.approx(found["pair_coec"])


def test_a_rate_over_the_whole_log_knows_the_label_and_as_of_the_moment_knows_nothing(fitted: Features) -> None:
    """SRC-35: clicks by a coin, each pair shown once. Leaked 1.00, honest 0.50."""
    clicked = np.random.default_rng(0).random(400) < 0.5
    rows: list[tuple[str, int, int, int, int]] = []
    moment = []
    for query, click in enumerate(clicked.tolist()):
        moment.append(len(rows))
        rows += [("impression", query, 0, 1_000_000, 0)] + [("click", query, 0, 0, 1)] * click
    store, asked, same = log(rows), np.arange(400), np.zeros(400, np.int64)
    honest, leaked = (
        read(fitted, "bicycle", same, store, at, asked)["pair_coec"] for at in (np.array(moment), same + len(rows))
    )
    assert auc(clicked.astype(float), leaked) == 1.0
    assert auc(clicked.astype(float), honest) == 0.5


# ------------------------------------------------------------------------------------------------------------------------ what it may see


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load(replace(SMOKE, num_users=300, num_docs=800, num_queries=300, num_sessions=4_000, num_judged=50))


def bytes_of(fitted: Features, folder: Path) -> dict[str, bytes]:
    fitted.understanding.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_wording_known_is_that_of_rows_alone(dataset: Dataset) -> None:
    rows = np.concatenate([dataset.train.query_id, dataset.valid.query_id])
    assert np.array_equal(dataset.queries.query_id, np.unique(rows))
    assert dataset.queries.query_id.tolist() == [query_id(normalise(text)) for text in dataset.queries.text.tolist()]
    later = dataset.test.query_id[~np.isin(dataset.test.query_id, rows)]
    assert len(later), "somebody asks for the first time in the test"
    with pytest.raises(AssertionError, match="no text"):
        dataset.queries.of(later)


@pytest.mark.slow
def test_understanding_learns_from_no_wording_but_what_training_asked(dataset: Dataset, tmp_path: Path) -> None:
    """Known queries that hold two synonyms side by side would make company of them (synonyms.MOST_TOGETHER). Asked after training nothing moves;
    asked in training the pair is gone, and the new word is known."""
    before = features.fit(dataset, SMOKE)
    assert isinstance(before.understanding, Understanding)
    found = before.understanding.synonyms
    pair = f"{found.word[0]} {found.other[0]}"
    texts = [f"{pair} zyqqo{'x' * at}" for at in range(300)]
    new = np.array([query_id(text) for text in texts])
    every, order = np.append(dataset.queries.query_id, new), np.argsort(np.append(dataset.queries.query_id, new))
    queries = Queries(query_id=every[order], text=np.append(dataset.queries.text, texts)[order])
    valid, train = asked(dataset.valid, new), asked(dataset.train, np.append(new, new[[0] * 9]))
    later = features.fit(replace(dataset, queries=queries, valid=valid), SMOKE)
    assert bytes_of(before, tmp_path / "before") == bytes_of(later, tmp_path / "later")
    known = features.fit(replace(dataset, queries=queries, train=train), SMOKE)
    assert isinstance(known.understanding, Understanding) and isinstance(later.understanding, Understanding)
    other = known.understanding.synonyms
    assert (found.word[0], found.other[0]) not in set(zip(other.word.tolist(), other.other.tolist(), strict=True))
    assert "zyqqo" in known.understanding.spelling.word and "zyqqo" not in later.understanding.spelling.word


def asked(rows: Rows, query: Ints) -> Rows:
    """The rows, and a page of one result nobody clicked on for each of these queries."""
    more = rows.take(np.zeros(len(query), np.int64))
    request, none = int(rows.request_id.max()) + 1 + np.arange(len(query)), np.zeros(len(query))
    labels = {name: none for name in rows.labels}
    columns: dict[str, Any] = {
        name: np.append(getattr(rows, name), getattr(more, name))
        for name in ("user_id", "doc_id", "event_time", "moment")
    }
    return Rows(
        request_id=np.append(rows.request_id, request), query_id=np.append(rows.query_id, query), **columns,
        labels={name: np.append(column, labels[name]) for name, column in rows.labels.items()},
        numbers={name: np.append(column, more.numbers[name]) for name, column in rows.numbers.items()},
    )  # fmt: skip
