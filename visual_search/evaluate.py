"""How good a page is: by how like each image is to what was meant, where that is known in grades; by who shares its class, where it is not.

In:     a Ranking after the rules, whoever made it; Judgments.
Out:    Report: primary expected_gain@10 on the world, hit_rate@1 on real data; mrr, recall, precision, map and ndcg beside it, in slices.
Choice: truth in grades is judged in grades: ndcg@10 counts them, and expected_gain@10 does so without a discount: a page of pictures is seen whole.
        `truth=binary` is the same page where "alike enough" is all that is known.
Else:   recall@10 where few images are relevant; mrr where one is enough (known-item search).
Breaks: recall@10 of a query with a thousand alike (never above a hundredth), mrr that stops at the first, map that takes a near thing for a wrong one:
        they stand side by side so that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.contract import Floats, Ranking
from common.eval import intervals, ranking
from common.eval.report import Interval, Published, Report
from visual_search.config import Config
from visual_search.schema import Judgments

K = 10
BINARY = ("mrr", f"recall@{K}", f"precision@{K}", f"map@{K}", "hit_rate@1", f"hit_rate@{K}")


def evaluate(predictions: Ranking, judgments: Judgments, config: Config) -> Report:
    """Every metric is a mean over requests, its interval over users."""
    users, ids = judgments.requests.user_id, predictions.ids[:, :K]
    units = ranking.judge(ids, judgments.relevant, (*BINARY, f"ndcg@{K}"))
    binary, primary = units.pop(f"ndcg@{K}"), "hit_rate@1"
    if judgments.origin == "world":
        primary = f"expected_gain@{K}"
        units = {primary: ranking.expected_gain(judgments.gain(judgments.requests, ids), K), **units}
    units[f"ndcg@{K}"] = _graded(predictions, judgments)
    metrics = {key: intervals.mean(unit, users) for key, unit in units.items()}
    shown = ranking.coverage(ids, judgments.num_images)  # of the whole: no request has one of its own
    metrics["coverage"] = Interval(value=shown, low=None, high=None, n=len(ids))
    slices = intervals.by_slice(primary, units[primary], users, judgments.slices)
    if judgments.origin == "real":  # a class near by has some gain, and counts as right where classes are coarse
        near = judgments.gain(judgments.requests, ids[:, :1]).max(axis=1, initial=0.0) > 0
        slices["coarse"] = {primary: intervals.mean(near.astype(float), users)}
    slices["truth=binary"] = {f"ndcg@{K}": intervals.mean(binary, users)}
    return Report(
        primary=primary,
        origin=judgments.origin,
        metrics=metrics,
        slices=slices,
        units=units[primary],
        clusters=users,
    )


def _graded(predictions: Ranking, judgments: Judgments) -> Floats:
    """ndcg of the grades of those alike enough: what is less alike counts as nothing, as it is not among what the best page is made of."""
    requests, ids = judgments.requests, predictions.ids[:, :K]
    gains = judgments.gain(requests, ids) * ranking.hits(ids, judgments.relevant)
    return ranking.ndcg(gains, judgments.gain(requests, judgments.relevant[:, :K]), K)


PUBLISHED: Mapping[str, Sequence[Published]] = {
    "grocery": [
        Published(
            name="DenseNet-169, pretrained on ImageNet and fine-tuned",
            metric="hit_rate@1",
            value=0.86,
            source="Klasson, Zhang, Kjellstrom 2019, A Hierarchical Grocery Store Image Dataset, WACV",
            comparable="no, because it is a classifier, pretrained, on full-size photos",
        )
    ]
}
"""By data set; the first figure is the third column of its reports."""
