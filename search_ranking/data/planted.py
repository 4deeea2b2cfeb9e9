"""The world as tables: what its platform would have logged, and the truth as the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Events, Floats, Ints
from common.features.asof import AsOfStore
from common.features.text import normalise
from common.population import Population
from search_ranking.config import Config
from search_ranking.data import labels
from search_ranking.schema import Catalog, Dataset, Judgments, Queries, Requests, Texts, query_id

if TYPE_CHECKING:
    from search_ranking.world import World

TRAIN = 0.7  # of the days; then validation, up to the judged requests
SATISFIED = 30.0  # seconds of dwell, or half the video, after which a click counts as satisfied
BELIEVED = 1.0  # the old engine took place p to be looked at as p ** -BELIEVED: nobody had measured it
MOST = 200  # documents of a query's key, the best by grade


def read(config: Config) -> tuple[Dataset, Judgments]:
    from search_ranking import world  # the truth is opened here and nowhere upstream of training

    truth = world.make(config)
    begin, day = world.START, config.days * 86_400
    events, ids = arrived(truth)
    rows = labels.join(events)
    part = (rows.event_time - begin) / day
    since = begin + world.TEST_FROM * day
    requests, asked = _requests(truth, ids, events, since, config)
    dataset = Dataset(
        train=rows.take(part < TRAIN),
        valid=rows.take((part >= TRAIN) & (rows.event_time < since)),
        test=requests,
        queries=_asked_before(truth, ids, since),
        catalog=catalog(truth),
        history=AsOfStore(events),
    )
    return dataset, _key(truth, requests, asked)


def arrived(truth: World) -> tuple[Events, Ints]:
    """The log in order of arrival: a click arrives when the person is back from it. -> it, and the hash of each query of the world."""
    log, ids = truth.log, np.array([query_id(normalise(text)) for text in truth.query_text.tolist()])
    at = np.flatnonzero(log.clicked)
    row = np.concatenate([np.arange(len(log)), at])
    kind = np.repeat(["impression", "click"], [len(log), len(at)])
    time = log.event_time[row] + np.concatenate([np.zeros(len(log)), 1 + log.dwell[at]]).astype(np.int64)
    order = np.argsort(time, kind="stable")
    row, kind = row[order], kind[order]
    moments = np.searchsorted(time[order], log.event_time, side="left")  # what had arrived when the query was asked
    click = kind == "click"
    long = truth.documents.length[log.doc_id]
    satisfied = (log.dwell >= SATISFIED) | (log.dwell >= 0.5 * long)
    events = Events(
        position=np.arange(len(row)),
        kind=kind,
        event_time=time[order],
        moment=moments[row],
        keys={"query_id": ids[log.query_id][row]}
        | {name: getattr(log, name)[row] for name in ("request_id", "user_id", "doc_id")},
        values={
            "slot": np.where(click, 0, log.slot[row]),
            "seen_ppm": np.where(click, 0, np.round(1e6 * (log.slot[row] + 1.0) ** -BELIEVED)).astype(np.int64),
            "swapped": np.where(click, 0, log.swapped[row]).astype(np.int64),
            **{name: np.zeros(len(row), np.int64) for name in ("score_ppm", "cold", "degraded")},
            "dwell_seconds": np.where(click, log.dwell[row], 0).astype(np.int64),
            "satisfied": np.where(click, satisfied[row], 0).astype(np.int64),
        },
    )
    return events, ids


def catalog(truth: World) -> Catalog:
    """What the platform knows of the documents: nothing of what is planted behind the words."""
    from search_ranking.world.words import LANGUAGES, NAMES

    of, texts = truth.documents, truth.texts
    languages, names = np.array(LANGUAGES), np.array(NAMES)
    return Catalog(
        doc_id=of.document_id,
        channel_id=of.channel_id,
        title=texts.title,
        description=texts.description,
        tags=texts.tags,
        frames=truth.embedding.astype(np.float32),
        explicit=of.explicit,
        min_age=of.min_age,
        barred_in=of.barred_in,
        fingerprint=of.fingerprint,
        numbers={
            "length_seconds": np.round(of.length),
            "uploaded": of.uploaded.astype(float),
            "views": of.views.astype(float),
        },
        categories={"language": languages[of.language], "topic": names[of.declared]},
    )


def _asked_before(truth: World, ids: Ints, until: float) -> Queries:
    """Each query of the log before the cut, as it was first typed. What is first asked later has no text here: nobody could have learnt it."""
    asked = truth.log.query_id[truth.log.event_time < until]
    known, first = np.unique(ids[asked], return_index=True)
    return Queries(query_id=known, text=truth.query_text[asked[first]])


def _requests(truth: World, ids: Ints, events: Events, since: float, config: Config) -> tuple[Requests, Ints]:
    """`num_judged` of the searches after the cut, drawn evenly: traffic as it is. -> they, and the world's query behind each."""
    log = truth.log
    first = np.flatnonzero((log.slot == 0) & (log.event_time >= since))
    drawn = np.sort(np.random.default_rng([config.seed, 5]).permutation(len(first))[: config.num_judged])
    at = first[drawn]
    asked = log.query_id[at]
    moment = np.searchsorted(events.event_time, log.event_time[at], side="left")
    people = Population(config.seed)
    requests = Requests(
        user_id=log.user_id[at],
        query_id=ids[asked],
        query=truth.query_text[asked],
        event_time=log.event_time[at],
        moment=moment,
        age=people.age(log.user_id[at]),
        country=people.country(log.user_id[at]),
    )
    return requests, asked


def _key(truth: World, requests: Requests, asked: Ints) -> Judgments:
    from search_ranking.world import unshared
    from search_ranking.world.needs import KINDS, relevance

    need = truth.queries.take(asked)
    grades = relevance(need, truth.documents)
    best = np.argsort(-grades, axis=1, kind="stable")[:, :MOST]
    found = np.take_along_axis(grades, best, axis=1).astype(float)
    relevant = np.where(found >= 2, truth.documents.document_id[best], -1)
    total, strange = unshared(need, requests.query, truth.documents, truth.texts)
    share = np.where(total > 0, strange / np.maximum(total, 1), 0.0)
    words = np.where(share > 0.5, "few shared", np.where(share > 0, "some shared", "all shared"))
    slices: dict[str, Texts] = {
        "traffic": np.array(KINDS)[need.kind],
        "words": np.where(total > 0, words, "nothing relevant"),  # of what answers well, as `unshared` counts it
    }
    return Judgments(
        requests=requests,
        gain=_gain(truth, requests, asked),
        relevant=relevant,
        grades=np.where(relevant >= 0, found, 0.0),
        num_docs=len(truth.documents),
        slices=slices,
        origin="world",
    )


def _gain(truth: World, requests: Requests, asked: Ints) -> Callable[[Requests, Ints], Floats]:
    """One text may stand for two needs: what a request meant is known by who asked, and when."""
    meant = dict(
        zip(zip(requests.user_id.tolist(), requests.event_time.tolist(), strict=True), asked.tolist(), strict=True)
    )

    def gain(these: Requests, ids: Ints) -> Floats:
        pairs = zip(these.user_id.tolist(), these.event_time.tolist(), strict=True)
        return truth.gain(np.array([meant[pair] for pair in pairs], dtype=np.int64), ids)

    return gain
