"""GET /visual_search/index: what index answers, and whether it still finds what it found when it was built.

A gallery that is added to and deleted from for long is no longer the one that was measured. So it is measured again when enough has changed, beside
the answers and in none of them, by who takes the changes in (common/serving/current.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from fastapi import APIRouter
from starlette.responses import Response

from common.monitoring.alerts import Alert
from common.serving.guards import answer_json
from visual_search.model.gallery import Gallery

PATH = "/visual_search/index"
OFTEN = 0.05  # of the gallery: so many images put and deleted, and it is measured again
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A gallery when it was last looked at. `recall`: ann_recall@100 by kind of query; `nbytes`: what a search needs in memory; `changes`: images put and
    deleted since."""

    recall: Mapping[str, float]
    nbytes: int
    alerts: Sequence[Alert] = ()
    changes: int = 0


@dataclass(frozen=True, kw_only=True)
class Index:
    """What GET /visual_search/index answers. `knobs`: of this kind of index; `removed`: share of its rows that are gone and still carried along. `bytes`,
    `recall_measured` and `alerts` are of the last measurement, `changes_since` it; until the first, recall is as built."""

    model_version: str
    kind: str
    knobs: dict[str, int]
    images: int
    removed: float
    bytes: int
    recall_built: dict[str, float]
    recall_measured: dict[str, float]
    changes_since: int
    alerts: list[Alert]


def as_built(gallery: Gallery) -> Measured:
    return Measured(recall=gallery.built, nbytes=gallery.index.nbytes)


def after(before: Measured, gallery: Gallery, num_changes: int) -> Measured:
    """`gallery` is by so many images another than the one before. Measured anew, and its alerts logged, once that is OFTEN of it."""
    changes = before.changes + num_changes
    if changes < OFTEN * len(gallery):
        return replace(before, changes=changes)
    recall = gallery.recall()
    alerts = gallery.alerts(recall)
    for alert in alerts:
        logger.warning("%s is %.3f, expected %s. %s", alert.name, alert.value, alert.expected, alert.action)
    return Measured(recall=recall, nbytes=gallery.index.nbytes, alerts=alerts)


def shown(version: str, gallery: Gallery, measured: Measured) -> Index:
    knobs = asdict(gallery.index.setting)
    return Index(
        model_version=version,
        kind=knobs.pop("kind"),
        knobs={name: value for name, value in knobs.items() if value},
        images=len(gallery),
        removed=gallery.removed,
        bytes=measured.nbytes,
        recall_built=dict(gallery.built),
        recall_measured=dict(measured.recall),
        changes_since=measured.changes,
        alerts=list(measured.alerts),
    )


def router(now: Callable[[], Index]) -> APIRouter:
    made = APIRouter()

    @made.get(PATH, response_model=Index, summary="The index that answers, and what it finds")
    def index() -> Response:
        return answer_json(now())

    return made
