"""What leaves: images as they are shown, why each is there, and the impressions that are logged of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Event, Floats, Ints, Why
from visual_search.features import NAMES, Features
from visual_search.schema import SHOWN, ShownImage
from visual_search.serve import thumbnails

WORDS, RATE, TIMES = (NAMES.index(name) for name in ("words", "rate", "shown"))


@dataclass(frozen=True, eq=False)
class Ordered:
    """Candidates of one request, best first, [k] each. `by`: the stage that brought them; `near`: how like each is by its measure; `dense` [k, num_features],
    None where the ranker had no part in the order."""

    ids: Ints
    scores: Floats
    near: Floats
    by: str
    dense: Floats | None = None


def shown(features: Features, ordered: Ordered, place: Ints, user_id: int) -> list[ShownImage]:
    ids, index, of = ordered.ids[place], features.find(ordered.ids[place]), features.pictures
    columns = (ids, of.owner_id[index], of.text[index], ordered.scores[place], of.private[index])
    return [
        ShownImage(
            image_id=image_id, owner_id=owner, slot=slot, text=text, score=score,
            thumbnail=thumbnails.path(image_id, user_id, private > 0),
        )
        for slot, (image_id, owner, text, score, private) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    ]  # fmt: skip


def reasons(ordered: Ordered, place: Ints, part: str) -> Iterator[Why]:
    """Of each image at these places what spoke for it. `part`: what of the photo was looked at."""
    for at in place.tolist():
        item, near = int(ordered.ids[at]), float(ordered.near[at])
        if ordered.by == "popular":
            yield Why(item=item, stage="popular", reason="clicks", effect=0.0, evidence="among what is clicked most")
            continue
        measure = "cosine" if ordered.by == "neighbours" else "colours and words in common,"
        yield Why(
            item=item, stage=ordered.by, reason="similarity", effect=near, evidence=f"{measure} {near:.2f} with {part}"
        )
        if ordered.dense is not None:
            yield from _weighed(item, ordered.dense[at])


def _weighed(item: int, dense: Floats) -> Iterator[Why]:
    words, rate, times = float(dense[WORDS]), float(dense[RATE]), round(float(np.expm1(dense[TIMES])))
    if words > 0:
        evidence = f"words in common, {words:.2f} of 1"
        yield Why(item=item, stage="rerank", reason="words", effect=words, evidence=evidence)
    if times > 0:
        evidence = f"clicked {np.exp(rate):.2f} times as often as usual, shown {times} times"
        yield Why(item=item, stage="rerank", reason="clicks", effect=rate, evidence=evidence)


def impressions(
    request_id: int, user_id: int, query_id: int, images: list[ShownImage], now: int, moment: int, flags: Mapping[str, bool]
) -> list[Event]:  # fmt: skip
    return [
        Event(
            event_id=f"impression-{request_id}-{image.slot}",
            kind="impression",
            event_time=now,
            keys=dict(zip(SHOWN, (request_id, user_id, image.image_id, image.owner_id), strict=True))
            | {"query_id": query_id},
            values={
                "slot": image.slot,
                "propensity_ppm": round(
                    1e6 / (image.slot + 1)
                ),  # how likely it is looked at: what the log that training read believed
                "score_ppm": round(1e6 * image.score),
                **{name: int(flag) for name, flag in flags.items()},
            },
            moment=moment,
        )
        for image in images
    ]
