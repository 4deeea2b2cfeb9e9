"""The world as tables: what its platform would have logged, and the truth as the key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Bools, Events, Ints
from common.events import key_column
from common.features.asof import AsOfStore
from visual_search.config import Config
from visual_search.data import labels
from visual_search.schema import Dataset, Judgments, Pairs, Requests, Rows, Texts

if TYPE_CHECKING:
    from visual_search.world import World

BELIEVED = 1.0  # the old engine took place p to be looked at as p ** -BELIEVED: nobody had measured it
MOST = 200  # images of a request's key, the best by grade
HEAD = 5  # shapes asked for most


def read(config: Config) -> tuple[Dataset, Judgments]:
    from visual_search import world  # the truth is opened here and nowhere upstream of training

    truth = world.make(config)
    events, arrival = arrived(truth)
    rows = _rows(truth, events)
    day = (rows.event_time - world.START) / (config.days * 86_400)
    requests = _requests(truth, arrival)
    photo, image, grade = truth.pairs
    dataset = Dataset(
        train=rows.take(day < world.TRAIN),
        valid=rows.take((day >= world.TRAIN) & (day < world.TEST_FROM)),
        test=requests,
        judged=Pairs(photo=photo, photos=truth.photos, image_id=truth.catalog.image_id[image], grade=grade),
        catalog=truth.catalog,
        history=AsOfStore(events),
    )
    return dataset, _key(truth, requests)


def arrived(truth: World) -> tuple[Events, Ints]:
    """The log in order of arrival: a click arrives when the person is back from it, one in thirty hours late. -> it, and when
    each came."""
    log, asked = truth.log, truth.log_searches
    shown_at, at = asked.event_time[log.request], np.flatnonzero(log.clicked)
    row = np.concatenate([np.arange(len(log)), at])
    kind = np.repeat(["impression", "click"], [len(log), len(at)])
    happened = np.concatenate([shown_at, (shown_at + 1 + log.dwell)[at]])
    arrival = happened + np.concatenate([np.zeros(len(log), np.int64), log.late[at]])
    order = np.argsort(arrival, kind="stable")
    row, kind, arrival = row[order], kind[order], arrival[order]
    moments = np.searchsorted(arrival, shown_at, side="left")  # what had arrived when the search was made
    click, request, slot = kind == "click", log.request[row], log.slot[row]
    image = truth.catalog.image_id[log.image[row]]
    events = Events(
        position=np.arange(len(row)),
        kind=kind,
        event_time=happened[order],
        moment=moments[row],
        keys={
            "request_id": request,
            "user_id": asked.user_id[request],
            "image_id": image,
            "owner_id": truth.catalog.owner_id[log.image[row]],
            "query_id": np.where(click, -1, asked.query_id[request]),
        },
        values={
            "slot": np.where(click, 0, slot),
            "propensity_ppm": np.where(click, 0, np.round(1e6 * (slot + 1.0) ** -BELIEVED)).astype(np.int64),
            **{name: np.zeros(len(row), np.int64) for name in ("score_ppm", "cold", "degraded")},
            "dwell_seconds": np.where(click, log.dwell[row], 0),
        },
    )
    return events, arrival


def _rows(truth: World, events: Events) -> Rows:
    """The log's rows, with what was asked beside them."""
    asked = truth.log_searches
    request = key_column(events, "request_id")[labels.shown(events)]
    return replace(
        labels.join(events),
        photo=asked.photo[request],
        photos=truth.photos,
        text=asked.text[request],
        crop=asked.crop[request],
    )


def _requests(truth: World, arrival: Ints) -> Requests:
    """Traffic as it is, of people who never came before."""
    asked = truth.judged
    return Requests(
        user_id=asked.user_id,
        photo=asked.photo,
        photos=truth.photos,
        event_time=asked.event_time,
        moment=np.searchsorted(arrival, asked.event_time, side="left"),
        text=asked.text,
        crop=asked.crop,
        query_id=asked.query_id,
        shop_only=asked.shop_only,
    )


def _key(truth: World, requests: Requests) -> Judgments:
    return Judgments(
        requests=requests,
        gain=truth.gain,
        relevant=_relevant(truth, requests),
        num_images=len(truth.catalog),
        slices=_slices(truth),
        origin="world",
    )


def _relevant(truth: World, requests: Requests) -> Ints:
    from visual_search.world import ALIKE, Ceiling

    best = Ceiling(truth).rank(requests, MOST)
    return np.where(best.scores >= ALIKE, best.ids, -1)


def _slices(truth: World) -> dict[str, Texts]:
    """Of what is judged: how it was asked, whether training knew such a thing, how the photo is, whether many ask for that shape."""
    from visual_search.world import KINDS, cast
    from visual_search.world.things import unseen_wish

    asked, num_shot = truth.judged, len(truth.shot)
    wanted, at = asked.wanted, np.where(asked.photo < num_shot, asked.photo, -1)
    whole = (wanted.shape >= 0) & (wanted.pattern >= 0) & ~np.isnan(wanted.hue)
    new = whole & unseen_wish(truth.seed, wanted.shape, wanted.pattern, np.nan_to_num(wanted.hue))
    head = np.argsort(-np.bincount(truth.log_searches.wanted.shape + 1)[1:], kind="stable")[:HEAD]

    def of_photo(found: Bools, names: tuple[str, str]) -> Texts:
        return np.where(at < 0, "no photo", np.array(names)[found[at].astype(int)])

    return {
        "kind": np.array(KINDS)[asked.kind],
        "combination": np.where(new, "unseen", "seen"),
        "clutter": of_photo(truth.shot.cluttered, ("alone", "cluttered")),
        "light": of_photo(cast(truth.shot), ("normal", "cast")),
        "traffic": np.where(np.isin(wanted.shape, head), "head", "tail"),
    }
