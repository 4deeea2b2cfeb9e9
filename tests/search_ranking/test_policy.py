"""The rules of a page, each tried on random candidates, and each seen to be caught when it is switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import Trial
from common.contract import Ranking
from search_ranking import features, policy
from search_ranking.policy import INVARIANTS, RULES, Context, Decision, Policy, invariants
from search_ranking.schema import Request, Requests

WHOLE = Policy(page_size=10)


def caught(rules: Policy, sentence: str, draws: int = 200) -> bool:
    return any(INVARIANTS[sentence](rules, np.random.default_rng(seed)) for seed in range(draws))


@pytest.mark.parametrize("sentence", INVARIANTS)
def test_every_rule_holds(sentence: str) -> None:
    assert not caught(WHOLE, sentence)


@pytest.mark.parametrize("name", [*RULES, "copies"])
def test_a_rule_that_is_off_is_missed(name: str) -> None:
    sentence = invariants.COPIES if name == "copies" else invariants._NEVER[name]
    assert caught(replace(WHOLE, off=(name,)), sentence)


@dataclass(frozen=True, kw_only=True)
class Bent(Policy):
    """Decides, and then spoils it."""

    how: str = ""

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        found = super().decide(request, candidates, context)
        bent = {"short": found.kept[:-1], "turned": found.kept[::-1]}
        return replace(found, kept=bent.get(self.how, found.kept), total=found.total + (self.how == "more"))


@pytest.mark.parametrize(
    ("how", "sentence"), [("short", invariants.SHORT), ("turned", invariants.ORDER), ("more", invariants.TOTAL)]
)
def test_a_page_that_is_short_or_out_of_order_or_boasts_is_caught(how: str, sentence: str) -> None:
    assert caught(Bent(page_size=10, how=how), sentence)
    assert not caught(Bent(page_size=10), sentence)


def test_many_pages_at_once_are_those_of_one_at_a_time() -> None:
    drawn = [invariants.draw(np.random.default_rng(seed)) for seed in range(30)]
    longest = max(one.ids.shape[1] for one, _, _ in drawn)
    ids = np.array([np.pad(one.ids[0], (0, longest - one.ids.shape[1]), constant_values=-1) for one, _, _ in drawn])
    rows = range(len(drawn))
    padded = [_padded(context, longest) for _, context, _ in drawn]
    found = WHOLE.apply(Ranking(ids=ids, scores=-np.broadcast_to(np.arange(longest), ids.shape)), padded)
    for row in rows:
        candidates, context, _ = drawn[row]
        kept = WHOLE.decide(None, candidates, context).kept
        assert found.ids[row][found.ids[row] >= 0].tolist() == candidates.ids[0][kept].tolist()


def _padded(context: Context, length: int) -> Context:
    """Of candidates that are not there behind the others."""
    more: dict[str, Any] = {
        name: np.concatenate([column, np.zeros(length - len(column), column.dtype)])
        for name, column in vars(context).items()
        if isinstance(column, np.ndarray)
    }
    return replace(context, **more)


@pytest.mark.slow
def test_the_legs_look_among_what_the_rules_allow(trial: Trial) -> None:
    """Of the whole catalogue what is allowed is what a page of all of it would hold, copies aside; a rule that is off is off for the legs too."""
    fitted, rng = features.load(trial.artifact.folder / "features"), np.random.default_rng(0)
    doc_id, now = fitted.documents.doc_id, int(trial.dataset.test.event_time[0])
    n = 40
    asked = Requests(
        user_id=np.arange(n), query_id=np.arange(n), query=np.full(n, ""), event_time=np.full(n, now), moment=np.zeros(n, np.int64),
        age=rng.choice([-1, 9, 15, 40], n), country=rng.integers(-1, 10, n), language=rng.choice(["", "en", "de", "xx"], n),
        max_age_days=rng.choice([0, 3, 300], n),
    )  # fmt: skip
    everything = Ranking(ids=doc_id[None], scores=-np.arange(len(doc_id))[None].astype(float))
    sizes = set()
    for off in ((), ("age",), ("explicit", "language")):
        rules = Policy(page_size=len(doc_id), off=(*off, "copies"))
        among = replace(WHOLE, off=off).among(fitted, asked)
        for row in range(n):
            context = policy.contexts(fitted, asked.take(slice(row, row + 1)), everything)[0]
            assert np.flatnonzero(among(row).allowed).tolist() == rules.decide(None, everything, context).kept.tolist()
            sizes.add((off, int(among(row).allowed.sum())))
    assert len(sizes) > 20, "the requests differ"


def test_a_policy_is_read_back_as_it_was(tmp_path: Path) -> None:
    saved = replace(WHOLE, off=("language", "copies"))
    saved.save(tmp_path)
    assert policy.load(tmp_path) == saved
