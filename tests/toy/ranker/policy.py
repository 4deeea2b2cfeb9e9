"""Ranking to page: nothing the person has just read.

In:     a ranking longer than the page, and what the person read last.
Out:    Policy.decide -> the page.
Choice: one hard rule, in order of score; its price is the gain of the books it drops.
Else:   quotas by topic, once pages look alike.
Breaks: a book shown again the day it was read: INVARIANTS says never.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Ints, Invariant, Ranking
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Request, Requests, Rows


def fit(predictions: Ranking, rows: Rows, config: Config) -> Policy:
    return Policy(config.page)


def load(folder: Path) -> Policy:
    return Policy(json.loads((folder / "policy.json").read_text())["page"])


@dataclass(frozen=True)
class Policy:
    page: int

    def decide(self, request: Request | Requests | None, candidates: Ranking, context: Ints) -> Ranking:
        """candidates [n, k], context [n, m] books just read -> [n, page]."""
        out = (candidates.ids < 0) | (candidates.ids[:, :, None] == context[:, None, :]).any(axis=2)
        order = np.argsort(out, axis=1, kind="stable")[
            :, : request.num_books if isinstance(request, Request) else self.page
        ]
        left_out = np.take_along_axis(out, order, axis=1)
        ids = np.where(left_out, -1, np.take_along_axis(candidates.ids, order, axis=1))
        return Ranking(
            ids=ids, scores=np.where(left_out, -np.inf, np.take_along_axis(candidates.scores, order, axis=1))
        )

    def save(self, folder: Path) -> None:
        (folder / "policy.json").write_text(json.dumps({"page": self.page}))


def _never_again(policy: Policy, rng: np.random.Generator) -> str:
    ids, scores = rng.permutation(30)[None, :20], -np.sort(rng.random((1, 20)))
    just_read = rng.integers(-1, 30, (1, 10))
    page = policy.decide(None, Ranking(ids=ids, scores=-np.sort(scores)), just_read)
    again = np.intersect1d(page.ids[page.ids >= 0], just_read)
    return f"book {again[0]} was read and is shown again" if len(again) else ""


INVARIANTS: Mapping[str, Invariant] = {"a book just read is never shown": _never_again}
