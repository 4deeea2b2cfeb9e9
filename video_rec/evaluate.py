"""How good a feed is: planted gain where there is one, the video left out where there is not.

In:     a Ranking after the rules, whoever made it; Judgments.
Out:    Report: primary expected_gain@20 on the world, ndcg@20 on real data; logged metrics beside it; slices by length of history.
Choice: judge the answers themselves. A log knows only what its recommender showed: on it, the baseline may beat the truth.
Else:   logged metrics alone, on real data: then compare like with like, and mistrust the winner that resembles the incumbent.
Breaks: judging before the rules (pipeline applies the same ones to baseline, model and ceiling), rows instead of users in an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.contract import Ranking
from common.eval import intervals, ranking
from common.eval.report import Interval, Published, Report
from video_rec.config import Config
from video_rec.schema import Judgments

K = 20
LOGGED = (f"ndcg@{K}", f"hit_rate@{K}", f"recall@{K}", f"precision@{K}", f"map@{K}")


def evaluate(predictions: Ranking, judgments: Judgments, config: Config) -> Report:
    """Every metric is a mean over requests, its interval over users."""
    users = judgments.requests.user_id
    ids = predictions.ids[:, :K]
    units = ranking.judge(ids, judgments.relevant, LOGGED)
    primary = f"ndcg@{K}"
    if judgments.origin == "world":
        primary = f"expected_gain@{K}"
        units = {primary: ranking.expected_gain(judgments.gain(judgments.requests, ids), K), **units}
    metrics = {key: intervals.mean(unit, users) for key, unit in units.items()}
    shown = ranking.coverage(ids, judgments.num_videos)  # of the whole: no request has one of its own
    metrics["coverage"] = Interval(value=shown, low=None, high=None, n=len(ids))
    return Report(
        primary=primary,
        origin=judgments.origin,
        metrics=metrics,
        slices=intervals.by_slice(primary, units[primary], users, judgments.slices),
        units=units[primary],
        clusters=users,
    )


_RUN = (
    "third-party run on MicroLens-50K (Ni et al. 2023, arXiv:2309.15379), leave-last-out, full catalogue, seen removed"
)
PUBLISHED: Mapping[str, Sequence[Published]] = {
    "microlens": [
        Published(
            name="BM25 item-item, trained on train and validation",
            metric=f"ndcg@{K}",
            value=0.0334,
            source=_RUN,
            comparable="yes",
        ),
        Published(
            name="popularity",
            metric=f"ndcg@{K}",
            value=0.0028,
            source=_RUN,
            comparable="no, because it asks for the second last video",
        ),
    ]
}
"""By data set; the first figure is the third column of its reports."""
