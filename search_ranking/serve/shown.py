"""What leaves: results as they are shown, and the impressions that are logged of them."""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Event, Ints
from search_ranking.features import Features
from search_ranking.features.understanding import Understood
from search_ranking.schema import SHOWN, Result, query_id
from search_ranking.serve.lists import Ordered


def shown(features: Features, titles: Mapping[int, str], ordered: Ordered, place: Ints, offset: int) -> list[Result]:
    """The results at these places of the list. A slot counts over all pages, so that the second page is not taken for looked at as the first."""
    ids, scores = ordered.ids[place].tolist(), ordered.scores[place].tolist()
    channels = features.documents.channel_id[features.find(ordered.ids[place])].tolist()
    ranks = {name: rank[place].tolist() for name, rank in ordered.ranks.items()}
    return [
        Result(
            doc_id=ids[at],
            channel_id=channels[at],
            slot=offset + at,
            title=titles[ids[at]],
            score=scores[at],
            ranks={name: rank[at] for name, rank in ranks.items() if rank[at] >= 0},
        )
        for at in range(len(ids))
    ]


def impressions(
    request_id: int, user_id: int, results: list[Result], ordered: Ordered, now: int, *, cold: bool, degraded: bool
) -> list[Event]:
    asked = query_id(ordered.understood.text)
    return [
        Event(
            event_id=f"impression-{request_id}-{result.slot}",
            kind="impression",
            event_time=now,
            keys=dict(zip(SHOWN, (request_id, user_id, asked, result.doc_id), strict=True)),
            values={
                "slot": result.slot,
                "seen_ppm": round(1e6 / (result.slot + 1)),  # what the log that training read believed
                "score_ppm": round(1e6 * result.score),
                "swapped": 0,
                "cold": int(cold),
                "degraded": int(degraded),
            },
            moment=ordered.moment,
        )
        for result in results
    ]


def said(understood: Understood) -> dict[str, str]:
    names = ("language", "intent", "entity")
    return {"corrected": " ".join(understood.corrected)} | {name: getattr(understood, name) for name in names}
