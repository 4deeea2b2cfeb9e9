"""Why a result stands where it stands: the legs that found it, and the features that moved its score most."""

from __future__ import annotations

import numpy as np

from common.contract import Ints, Why
from search_ranking.model import TwoStage
from search_ranking.serve.lists import Ordered

REASONS = 3  # features named for each result


def brought(ordered: Ordered, place: Ints) -> list[Why]:
    """Of each result at these places of the list, who brought it."""
    whys = []
    for at in place.tolist():
        ranks = {name: int(rank[at]) for name, rank in ordered.ranks.items() if rank[at] >= 0}
        found = ", ".join(f"place {rank} of {name}" for name, rank in ranks.items())
        whys.append(
            Why(
                item=int(ordered.ids[at]),
                stage="+".join(ranks) or "popular",
                reason="candidate",
                effect=float(ordered.scores[at]),
                evidence=found or "no leg found it: among what is watched most",
            )
        )
    return whys


def moved(model: TwoStage, names: tuple[str, ...], ordered: Ordered, place: Ints) -> list[Why]:
    """Of each result the REASONS features that moved its score furthest from the others of the page, up or down, in units of the score. What
    moves all of them alike, such as how often the query is asked, is no reason for any."""
    if ordered.rows is None or not len(place):
        return []
    rows = ordered.rows[place]
    effects = model.ranker.contributions(rows)
    effects = effects - effects.mean(axis=0)
    most = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :REASONS]
    return [
        Why(
            item=doc_id,
            stage="ranker",
            reason=names[column],
            effect=float(effects[at, column]),
            evidence=f"{names[column]} is {rows[at, column]:.3g}",
        )
        for at, doc_id in enumerate(ordered.ids[place].tolist())
        for column in most[at].tolist()
        if abs(effects[at, column]) > 1e-9
    ]
