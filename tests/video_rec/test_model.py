"""The towers, the index, the ranker: planted answers, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from common.checks import Trial
from common.contract import Ranking
from common.errors import InputError
from video_rec import model
from video_rec.config import SMOKE
from video_rec.model import index, ranking, retrieval
from video_rec.schema import TASKS


class TwoTastes(torch.nn.Module):
    """Stands for the towers: a free score for each (kind of viewer, video), nothing shared."""

    def __init__(self, num_videos: int) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(torch.zeros(num_videos, 2))

    def viewer(self, recent: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(recent[:, 0], 2).float()

    def video(self, index: torch.Tensor) -> torch.Tensor:
        return self.scores[index]


def learnt_by_fans(
    log_q: float, in_batch: bool = True, num_uniform: int = 0, num_videos: int = 20
) -> tuple[float, float]:
    """Four viewers in five are the crowd and watch by a steep popularity; one is a fan and watches every video alike. -> slope of the
    fans' scores, and of the crowd's, over log popularity: 0 for the fans and 1 for the crowd is the truth."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    crowd = (1 / torch.arange(1, num_videos + 1) ** 1.5).float()
    crowd, fans = crowd / crowd.sum(), torch.full((num_videos,), 1 / num_videos)
    popularity = 0.8 * crowd + 0.2 * fans
    module = TwoTastes(num_videos)
    negatives = retrieval.Negatives(popularity, in_batch, num_uniform, log_q)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    average = torch.zeros(num_videos, 2)
    for step in range(300):
        fan = torch.rand(128, generator=generator) < 0.2
        watched = torch.multinomial(torch.stack([crowd, fans])[fan.long()], 1, generator=generator)[:, 0]
        rows = {"recent": fan.long()[:, None], "index": watched, "weight": torch.ones(128)}
        loss = retrieval.sampled_softmax(module, rows, negatives, temperature=1.0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average += module.scores.detach() * (step >= 150) / 150
    over = popularity.log().numpy()
    return float(np.polyfit(over, average[:, 1].numpy(), 1)[0]), float(
        np.polyfit(crowd.log().numpy(), average[:, 0].numpy(), 1)[0]
    )


EVENLY, AS_WATCHED = 0.2, 0.25  # how far a slope may lie from the truth


@pytest.mark.slow
@pytest.mark.parametrize(("in_batch", "num_uniform"), [(True, 0), (True, 128), (False, 128)])
def test_equally_relevant_videos_score_alike_however_popular(in_batch: bool, num_uniform: int) -> None:
    """The right sign of logQ, whatever the negatives; and the crowd still prefers what it watches most."""
    fans, crowd = learnt_by_fans(1.0, in_batch, num_uniform)
    assert abs(fans) < EVENLY and abs(crowd - 1) < AS_WATCHED, (fans, crowd)


@pytest.mark.slow
@pytest.mark.parametrize("num_uniform", [0, 128])
@pytest.mark.parametrize("log_q", [0.0, -1.0])
def test_without_log_q_or_with_its_sign_wrong_they_do_not(log_q: float, num_uniform: int) -> None:
    fans, _ = learnt_by_fans(log_q, True, num_uniform)
    assert fans < -2 * EVENLY, f"popular videos are pushed away: {fans}"


def test_a_video_that_is_drawn_again_is_no_negative_of_itself() -> None:
    """A batch of one video alone: nothing but itself to compare with, so nothing to learn; with its twins as negatives it would be log 4."""
    module = TwoTastes(1)
    rows = {
        "recent": torch.zeros((4, 1), dtype=torch.long),
        "index": torch.zeros(4, dtype=torch.long),
        "weight": torch.ones(4),
    }
    for in_batch, num_uniform in ((True, 0), (True, 8), (False, 8)):
        negatives = retrieval.Negatives(torch.ones(1), in_batch, num_uniform)
        assert retrieval.sampled_softmax(module, rows, negatives, 1.0).item() == pytest.approx(0.0)


def test_an_index_that_is_torn_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    vectors = np.eye(8, dtype=np.float32)
    whole = faiss.serialize_index(index.build_index(vectors)).tobytes()
    path = tmp_path / "videos.faiss"
    for size in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="faiss"):
            index.read_index(path, vectors.shape)
    path.write_bytes(whole)
    assert index.read_index(path, (8, 8)).ntotal == 8
    with pytest.raises(InputError, match="expected 9"):
        index.read_index(path, (9, 8))


def test_candidates_are_merged_by_quota_each_once() -> None:
    found = {
        "towers": Ranking(ids=np.arange(0, 20)[None], scores=np.zeros((1, 20))),
        "co_watch": Ranking(ids=np.arange(10, 30)[None], scores=np.zeros((1, 20))),
        "popular": Ranking(ids=np.array([[5, 40, -1]]), scores=np.zeros((1, 3))),
    }
    quotas = {"towers": 0.5, "co_watch": 0.4, "popular": 0.1}
    merged = model.merge(found, 10, quotas).ids[0].tolist()
    assert len(set(merged)) == 10
    assert sum(video < 10 for video in merged) >= 5 and sum(10 <= video < 30 for video in merged) >= 3
    short = model.merge({"popular": found["popular"]}, 4)
    assert short.ids.tolist() == [[5, 40, -1, -1]] and np.isneginf(short.scores[0, 2:]).all()


def test_the_quotas_name_every_source_and_share_out_the_whole() -> None:
    assert sum(model.QUOTAS.values()) == pytest.approx(1.0) and min(model.QUOTAS.values()) > 0
    assert set(model.COLD) < set(model.QUOTAS)


def test_a_head_learns_from_the_rows_its_task_is_known_of() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(4_000, 3))
    clicked = (dense[:, 0] > 0).astype(float)
    completed = np.where(clicked > 0, dense[:, 1] > 0, np.nan)
    ranker = ranking.fit(dense, {"clicked": clicked, "completed": completed}, np.arange(4_000), SMOKE)
    assert set(ranker.weights) == {"clicked", "completed"} <= set(TASKS), "a task without labels has no say"
    predicted = ranker.predict(dense)
    assert np.corrcoef(predicted["clicked"], dense[:, 0] > 0)[0, 1] > 0.9
    assert np.corrcoef(predicted["completed"], dense[:, 1] > 0)[0, 1] > 0.8


@pytest.mark.slow
def test_a_log_of_watches_alone_gets_candidates_as_negatives(trial: Trial) -> None:
    """Without a row that was not clicked every order looks equally good to the ranker, and it would answer with noise."""
    dataset, sources = trial.dataset, trial.part("model").sources
    watches = dataset.valid.take(dataset.valid.labels["clicked"] > 0)
    for rows, expected in ((watches, True), (dataset.valid, False)):
        _, ids, labels = model.lessons(rows, sources, dataset.history, trial.config)
        assert (ids.shape[1] > 1) is expected
        assert (labels["clicked"] == 0).any() and (labels["clicked"] == 1).any()


@pytest.mark.slow
def test_a_reloaded_model_gives_the_same_feed(trial: Trial) -> None:
    dataset = trial.dataset
    some = dataset.test.take(slice(0, 20))
    loaded, again = trial.part("model"), trial.part("model")
    first = loaded.rerank(some, loaded.retrieve(some, 100, dataset.history), dataset.history)
    second = again.rerank(some, again.retrieve(some, 100, dataset.history), dataset.history)
    assert np.array_equal(first.ids, second.ids) and np.array_equal(first.scores, second.scores)
    assert (np.diff(np.where(first.ids >= 0, first.scores, -1e9), axis=1) <= 0).all()


@pytest.mark.slow
def test_a_video_nobody_has_watched_can_be_retrieved(trial: Trial) -> None:
    """What co-watch cannot do and the towers are for."""
    dataset, loaded = trial.dataset, trial.part("model")
    watched = np.unique(dataset.train.video_id[dataset.train.labels["clicked"] > 0])
    found = loaded.sources.towers.nearest(loaded.sources.features.recent(dataset.test, dataset.history), 100)
    assert not np.isin(found.ids, watched).all()
