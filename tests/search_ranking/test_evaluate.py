"""The judge: planted gain on the world and grades elsewhere, by how often a query is asked, and queries as the independent units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contract import Floats, Ints, Ranking
from search_ranking import evaluate
from search_ranking.config import SMOKE
from search_ranking.schema import Judgments, Requests

KINDS = np.array(["head", "torso", "tail"])


def judged(origin: str = "world", num: int = 90, copies: int = 1) -> Judgments:
    """Query q is answered by documents 3q (grade 3) and 3q + 1 (grade 1); every query is asked `copies` times."""
    query = np.repeat(np.arange(num), copies)
    requests = Requests(
        user_id=np.arange(len(query)), query_id=query, query=np.full(len(query), "q"), event_time=query, moment=query
    )
    relevant = np.stack([3 * query, 3 * query + 1], axis=1)

    def gain(these: Requests, ids: Ints) -> Floats:
        found: Floats = (ids == 3 * these.query_id[:, None]) + 0.1 * (ids == 3 * these.query_id[:, None] + 1)
        return found

    return Judgments(
        requests=requests, gain=gain, relevant=relevant, grades=np.tile([3.0, 1.0], (len(query), 1)), num_docs=10_000,
        slices={"traffic": KINDS[query % 3]}, origin=origin,
    )  # fmt: skip


def answers(ids: Ints) -> Ranking:
    return Ranking(ids=ids, scores=-np.tile(np.arange(ids.shape[1], dtype=float), (len(ids), 1)))


def perfect(key: Judgments, but: int | None = None) -> Ranking:
    """Both relevant ones first, then nothing that answers; for the kind `but` nothing at all that does."""
    ids = np.concatenate([key.relevant, np.tile(np.arange(5_000, 5_008), (len(key.relevant), 1))], axis=1)
    if but is not None:
        ids[key.requests.query_id % 3 == but, :2] = [6_000, 6_001]
    return answers(ids)


def test_the_mean_hides_the_tail_and_the_slices_show_it() -> None:
    key = judged()
    report = evaluate.evaluate(perfect(key, but=2), key, SMOKE)
    assert report.primary == "expected_gain@10"
    assert report.metrics["expected_gain@10"].value == pytest.approx(1.1 / 10 * 2 / 3)
    traffic = {kind: report.slices[f"traffic={kind}"]["expected_gain@10"].value for kind in KINDS}
    assert traffic == pytest.approx({"head": 0.11, "torso": 0.11, "tail": 0.0})
    whole = evaluate.evaluate(perfect(key), key, SMOKE).slices
    values = [whole[f"traffic={kind}"]["expected_gain@10"].value for kind in KINDS]
    assert values == pytest.approx([0.11] * 3), "the control: no kind is worse"


def test_graded_ndcg_is_that_of_ir_measures() -> None:
    import ir_measures

    rng = np.random.default_rng(0)
    relevant = np.stack([rng.permutation(40)[:6] for _ in range(30)])
    grades = rng.integers(1, 5, relevant.shape).astype(float)
    ids = np.stack([rng.permutation(40)[:15] for _ in range(30)])
    qrels = [
        ir_measures.Qrel(str(row), str(doc), int(grade))
        for row in range(30)
        for doc, grade in zip(relevant[row].tolist(), grades[row].tolist(), strict=True)
    ]
    run = [
        ir_measures.ScoredDoc(str(row), str(doc), -at) for row in range(30) for at, doc in enumerate(ids[row].tolist())
    ]
    wanted = {int(one.query_id): one.value for one in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run)}
    assert evaluate.graded(ids, relevant, grades) == pytest.approx([wanted[row] for row in range(30)])


def test_on_real_data_the_grades_are_the_judge() -> None:
    key = judged("real")
    report = evaluate.evaluate(perfect(key), key, SMOKE)
    assert report.primary == "ndcg@10" and report.metrics["ndcg@10"].value == pytest.approx(1)
    assert "expected_gain@10" not in report.metrics
    turned = perfect(key).ids.copy()
    turned[:, :2] = turned[:, 1::-1]
    value = evaluate.evaluate(answers(turned), key, SMOKE).metrics["ndcg@10"].value
    assert value == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))


def test_one_query_asked_by_many_is_one_query() -> None:
    """Ten times the rows and not one query more: the interval stays as wide."""
    once, often = judged(), judged(copies=10)
    widths = []
    for key in (once, often):
        interval = evaluate.evaluate(perfect(key, but=2), key, SMOKE).metrics["expected_gain@10"]
        assert interval.low is not None and interval.high is not None
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    alone = replace(
        often, requests=replace(often.requests, query_id=often.requests.query_id + 90 * (np.arange(900) % 10))
    )
    found = evaluate.evaluate(perfect(often, but=2), replace(alone, gain=lambda _, ids: often.gain(often.requests, ids)), SMOKE)  # fmt: skip
    interval = found.metrics["expected_gain@10"]
    assert interval.low is not None and interval.high is not None
    assert interval.high - interval.low < 0.5 * widths[0], "the control: as many queries as rows would be surer"
