"""The rules of a page, each tried on random candidates, and each seen to be caught when it is switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.contract import Ranking
from tests.visual_search.conftest import SMALL
from tests.visual_search.test_features import catalog, made
from visual_search import policy
from visual_search.experiments import rules
from visual_search.experiments.trained import GAIN
from visual_search.policy import FITS, INVARIANTS, RULES, Context, Decision, Policy, invariants
from visual_search.schema import Request

WHOLE = Policy(page_size=10, owner_cap=2)
RULED = {**invariants._NEVER, "copies": invariants.COPIES, "owner_cap": invariants.OWNERS}


def caught(rules: Policy, sentence: str, draws: int = 200) -> bool:
    return any(INVARIANTS[sentence](rules, np.random.default_rng(seed)) for seed in range(draws))


@pytest.mark.parametrize("sentence", INVARIANTS)
def test_every_rule_holds(sentence: str) -> None:
    assert not caught(WHOLE, sentence)


@pytest.mark.parametrize("name", [*RULES, *FITS])
def test_a_rule_that_is_off_is_missed(name: str) -> None:
    assert caught(replace(WHOLE, off=(name,)), RULED[name])


@dataclass(frozen=True, kw_only=True)
class Bent(Policy):
    """Decides, and then spoils it."""

    how: str = ""

    def decide(self, request: Request | None, candidates: Ranking, context: Context) -> Decision:
        found = super().decide(request, candidates, context)
        bent = {"short": found.kept[:-1], "turned": found.kept[::-1], "worse": found.kept[1:]}
        return replace(found, kept=bent.get(self.how, found.kept))


@pytest.mark.parametrize(
    ("how", "sentence"), [("short", invariants.SHORT), ("worse", invariants.SHORT), ("turned", invariants.ORDER)]
)
def test_a_page_that_is_short_or_out_of_order_is_caught(how: str, sentence: str) -> None:
    assert caught(Bent(page_size=10, owner_cap=2, how=how), sentence)
    assert not caught(Bent(page_size=10, owner_cap=2), sentence)


def test_no_lawful_page_stands_higher_place_by_place() -> None:
    """Against brute force over all pages of small lists: greedy's first place is the best any page has, then its second, and so on."""
    rules = Policy(page_size=3, owner_cap=1)
    for seed in range(60):
        candidates, context, request = invariants.draw(np.random.default_rng(seed), most=8)
        kept = rules.decide(replace(request, page_size=3), candidates, context).kept.tolist()
        lawful = np.flatnonzero(rules.may_be_shown(candidates.ids[0], context)).tolist()
        pages = [page for size in range(4) for page in combinations(lawful, size) if _fits(page, context)]
        best = min(pages, key=lambda page: [*page, *([99] * (3 - len(page)))])
        assert kept == list(best), seed


def _fits(page: tuple[int, ...], context: Context) -> bool:
    groups = [int(context.group[place]) for place in page if context.group[place] >= 0]
    owners = [int(context.owner[place]) for place in page if context.owner[place] >= 0]
    return len(set(groups)) == len(groups) and len(set(owners)) == len(owners)


def test_many_pages_at_once_are_those_of_one_at_a_time() -> None:
    features = made(catalog(30))
    rng = np.random.default_rng(8)
    ids = np.array([rng.permutation(35)[:20] * 2 for _ in range(12)])
    requests: Any = [{"user_id": row % 3, "query_id": int(ids[row, 0]), "shop_only": False} for row in range(12)]
    given = [Context.of(features, ids[row], **requests[row]) for row in range(12)]
    ranking = Ranking(ids=ids, scores=-np.broadcast_to(np.arange(20.0), ids.shape))
    found = WHOLE.apply(ranking, given)
    for row in range(12):
        kept = WHOLE.decide(None, Ranking(ids=ids[[row]], scores=ranking.scores[[row]]), given[row]).kept
        assert found.ids[row][found.ids[row] >= 0].tolist() == ids[row][kept].tolist()
        assert int(ids[row, 0]) not in found.ids[row], "the image asked with"
        shown = features.find(found.ids[row][found.ids[row] >= 0])
        assert (features.pictures.private[shown] == 0).all() or row % 3 == 1, "image 2 is private, and of owner 1"


def test_what_is_left_out_for_its_copy_or_its_owner_is_said() -> None:
    ids = np.arange(4)
    yes, no = np.ones(4, bool), np.zeros(4, bool)
    context = Context(
        known=yes, owner=np.array([5, 5, 5, -1]), explicit=no, private=no, shop=no, group=np.array([1, -1, -1, 1])
    )
    found = WHOLE.decide(None, Ranking(ids=ids[None], scores=-np.arange(4.0)[None]), context)
    assert found.kept.tolist() == [0, 1] and [(why.item, why.reason) for why in found.why] == [
        (2, "owner_cap"),
        (3, "copy"),
    ]


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    rules = replace(WHOLE, off=("copies",))
    rules.save(tmp_path)
    assert policy.load(tmp_path) == rules


@pytest.mark.slow
def test_every_rule_has_a_price_and_without_it_pages_break_it() -> None:
    table = rules.rules(SMALL)
    by_name = {str(row["without"]): row for row in table}
    assert list(by_name) == ["none", *rules.OFF, "all", rules.SHOP_ONLY]
    assert set(by_name["none"].values()) == {"none", 0.0, by_name["none"][GAIN]}, "without nothing, nothing changes"
    assert all(by_name[name]["broken"] > 0 for name in ("private", "owner", "all", rules.SHOP_ONLY))
    assert all(row["cost_low"] <= row["cost"] <= row["cost_high"] for row in table)
    assert by_name["all"]["images"] == max(by_name[name]["images"] for name in (*rules.OFF, "all")), "the foil"
    assert by_name["itself"]["cost"] <= 0, "who asks with an image is not served by it"
