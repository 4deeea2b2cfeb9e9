"""The rules of a page, each tried on random candidates, and each seen to be caught when it is switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import Trial
from common.contract import Ints, Ranking
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

    def decide(
        self, request: Request | None, candidates: Ranking, context: Context, listed: Ints | None = None
    ) -> Decision:
        found = super().decide(request, candidates, context, listed)
        bent = {"short": found.kept[:-1], "turned": found.kept[::-1]}
        boast = np.append(found.listed, -1) if self.how == "more" else found.listed
        return replace(found, kept=bent.get(self.how, found.kept), listed=boast)


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


@pytest.mark.parametrize("seed", range(20))
def test_what_may_no_longer_be_shown_leaves_its_page_and_moves_no_other(seed: int) -> None:
    """Over all pages of a list: nothing twice, nothing left out, each in the page it was in. The control: without the first page's list they move."""
    rng = np.random.default_rng(seed)
    candidates, context, _ = invariants.draw(rng)
    first = WHOLE.decide(asked := Request(user_id=1, query="", page_size=3), candidates, context)
    now = replace(context, known=context.known & (rng.random(len(context.known)) < 0.8))
    pages = [replace(asked, offset=at) for at in range(0, len(first.listed), 3)]
    found = [WHOLE.decide(one, candidates, now, first.listed) for one in pages]
    gone = set(first.listed[~now.known[first.listed]].tolist())
    for at, one in zip(range(0, len(first.listed), 3), found, strict=True):
        assert one.kept.tolist() == [place for place in first.listed[at : at + 3].tolist() if place not in gone]
        assert one.total == first.total
    if gone & set(first.listed[:-3].tolist()):
        assert [one.kept.tolist() for one in found] != [
            WHOLE.decide(one, candidates, now).kept.tolist() for one in pages
        ]


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


@pytest.mark.slow
def test_the_rule_that_leaves_nothing_is_named_and_no_other(trial: Trial) -> None:
    fitted, now = features.load(trial.artifact.folder / "features"), int(trial.dataset.test.event_time[0])

    def why(rules: Policy = WHOLE, **who: Any) -> list[str]:
        one = np.array([0])
        who = {name: np.array([value]) for name, value in who.items()}
        asked = Requests(user_id=one, query_id=one, query=np.array([""]), event_time=one + now, moment=one, **who)
        found = rules.emptied(fitted, asked)
        assert bool(found) is not bool(rules.among(fitted, asked)(0).allowed.any())
        return [f"{each.stage} {each.reason}" for each in found]

    assert why() == why(language="en") == why(max_age_days=300) == []
    assert why(language="xx") == ["rules language"]
    assert why(language="xx", max_age_days=300) == ["rules language"]
    assert why(replace(WHOLE, off=("language",)), language="xx") == []
    youngest = float(np.nanmax(fitted.documents.uploaded))
    late = replace(WHOLE, off=("language",))
    assert why(late, language="xx", max_age_days=1) == ([] if now - youngest <= 86_400 else ["rules max_age_days"])


def test_a_policy_is_read_back_as_it_was(tmp_path: Path) -> None:
    saved = replace(WHOLE, off=("language", "copies"))
    saved.save(tmp_path)
    assert policy.load(tmp_path) == saved
