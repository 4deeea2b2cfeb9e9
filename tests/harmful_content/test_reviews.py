"""What reviewers decided as labels: read of the log, corrected by appeals, weighed by their lots."""

from __future__ import annotations

import numpy as np
import pytest

from common import events as columns
from common.contract import Event, Events
from common.errors import InputError
from harmful_content import data
from harmful_content.config import SMOKE
from harmful_content.data.reviews import Reviews, labels, read
from harmful_content.schema import CHOSEN, POLICIES, POSTED

NAMES = ("policy", "upheld", "chosen", "propensity_ppm", "action", "views")


def log(*happened: tuple[str, int, dict[str, int]]) -> Events:
    """(kind, post, keys and values) each, a second apart; the author of a post is ten times its id."""
    events = []
    for at, (kind, post, more) in enumerate(happened):
        keys = {"post_id": post, "user_id": 10 * post} | {name: more[name] for name in more if name == "reviewer_id"}
        values = {name: more[name] for name in more if name != "reviewer_id"}
        events.append(Event(event_id=str(at), kind=kind, event_time=at, keys=keys, values=values, moment=at))
    return columns.of(events, keys=(*POSTED, "reviewer_id"), values=NAMES)


def said(policy: int, upheld: int, chosen: str, ppm: int = 0, reviewer: int = 1) -> dict[str, int]:
    return {"reviewer_id": reviewer, "policy": policy, "upheld": upheld, "chosen": CHOSEN.index(chosen), "propensity_ppm": ppm}  # fmt: skip


LOG = log(
    ("impression", 7, {"action": 2}),
    ("impression", 9, {"action": 0}),
    ("impression", 4, {"action": 0}),
    ("review", 7, said(2, 1, "priority")),
    ("review", 9, said(0, 0, "lot", 250_000)),
    ("review", 4, said(3, 1, "priority", reviewer=-1)),  # of the log before the desk
)
APPEALED = columns.concat([LOG, log(*[("report", 9, {})] * 6, ("review", 7, said(2, 0, "appeal", reviewer=5)))])


def test_the_log_is_read_as_reviews_and_the_incumbents_are_not_told_by_hand() -> None:
    found = read(LOG)
    assert found.post_id.tolist() == [7, 9] and found.upheld.tolist() == [True, False]
    assert found.chosen.tolist() == ["priority", "lot"]
    assert np.isnan(found.propensity[0]) and found.propensity[1] == 0.25


def test_live_rows_are_told_by_hand_and_a_granted_appeal_corrects_them() -> None:
    before, after = (data.live(events, SMOKE) for events in (LOG, APPEALED))
    row = before.rows.post_id.tolist().index
    assert before.rows.hand_label[row(7)].tolist() == [at == 2 for at in range(len(POLICIES))]
    assert not after.rows.hand_label[row(7)].any()
    assert not before.rows.hand_label[row(9)].any()
    assert np.isnan(before.rows.hand_label[row(4)]).all(), "nobody at the desk has seen it"
    assert before.weight.tolist() == after.weight.tolist() == [0, 4, 0]


def reviews(post_id: list[int], policy: list[int], upheld: list[bool], chosen: list[str], propensity: list[float]) -> Reviews:  # fmt: skip
    return Reviews(post_id=np.array(post_id), policy=np.array(policy), upheld=np.array(upheld), chosen=np.array(chosen), propensity=np.array(propensity))  # fmt: skip


def test_a_review_becomes_a_label_of_every_policy_and_an_appeal_corrects_it() -> None:
    nan = float("nan")
    found = labels(reviews([7, 9, 7, 3], [2, 0, 2, 1], [True, False, False, True], ["priority", "lot", "appeal", "oldest"], [nan, 0.25, nan, nan]), 3)  # fmt: skip
    assert found.post_id.tolist() == [3, 7, 9]
    assert found.hand_label.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found.weight.tolist() == [0, 0, 4]


def test_labels_by_lot_weigh_up_to_all_posts_and_all_labels_do_not() -> None:
    rng, total = np.random.default_rng(0), 0.0
    n, harmful = 4_000, np.arange(4_000) < 160
    estimates, naive = [], []
    for _ in range(200):
        lot, best = rng.choice(n, 200, replace=False), np.flatnonzero(harmful)[:100]
        seen = np.concatenate([lot, best])
        found = labels(reviews(seen.tolist(), [0] * 300, harmful[seen].tolist(), ["lot"] * 200 + ["priority"] * 100, [200 / n] * 200 + [float("nan")] * 100), 1)  # fmt: skip
        estimates.append(float(found.weight @ found.hand_label[:, 0]))
        naive.append(n * float(found.hand_label.mean()))
        total += len(found.post_id)
    assert np.mean(estimates) == pytest.approx(160, rel=0.05)
    assert np.mean(naive) > 1_000, "the foil: the queue's labels taken for all posts"


@pytest.mark.parametrize(("chosen", "propensity"), [("luck", 0.5), ("lot", 0.0), ("lot", 1.5), ("lot", float("nan"))])
def test_a_review_nobody_can_weigh_is_refused(chosen: str, propensity: float) -> None:
    with pytest.raises(InputError):
        labels(reviews([1], [0], [True], [chosen], [propensity]), 2)
    assert "lot" in CHOSEN
