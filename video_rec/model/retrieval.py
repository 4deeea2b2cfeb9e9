"""Two towers and an index: from every video to a few hundred, by the nearest vectors to the viewer's.

Both towers are sums of embeddings. The viewer is a weighted sum of the last watches; the video adds id, creator, language, title and length,
so a new video has a place before anyone has watched it. Trained with the other videos of the batch as negatives. Those come in proportion to
their popularity, so popular videos are pushed away more often than they should: the logQ correction gives that back (Yi et al. 2019,
"Sampling-bias-corrected neural modeling for large corpus item recommendations"). A video nobody watched is in no batch, so nothing pushes its
own vector away: further negatives drawn evenly from the catalogue do (Yang et al. 2020, "Mixed negative sampling for learning two-tower
neural networks in recommendations").
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.contract import Floats, Ints, Ranking
from common.training.loop import train
from video_rec.config import Config
from video_rec.features import Features, altered
from video_rec.model.index import build_index, read_index
from video_rec.model.towers import BUCKETS, Towers, described, numbered
from video_rec.schema import Dataset, find

QUERIES = 1_000  # viewers the index is tuned for


def fit(dataset: Dataset, features: Features, config: Config) -> Retrieval:
    torch.manual_seed(config.seed)
    return teach(Towers(*described(features), dim=config.dim), dataset, features, config)


def teach(towers: Towers, dataset: Dataset, features: Features, config: Config) -> Retrieval:
    """They learn from what was clicked in training; watched to the end or liked counts more."""
    rows = dataset.train
    index = find(features.video_id, rows.video_id)
    keep = (rows.labels["clicked"] > 0) & (index >= 0)
    recent = features.recent(rows.take(keep), dataset.history)
    worth = 1.0 + sum(
        2.0 * np.nan_to_num(rows.labels[task][keep]) for task in ("completed", "liked") if task in rows.labels
    )
    popularity = np.bincount(index[keep], minlength=len(features.video_id)) / max(int(keep.sum()), 1)
    negatives = Negatives(torch.from_numpy(popularity).float(), config.in_batch, config.num_uniform, config.log_q)
    batch = {
        "recent": torch.from_numpy(recent),
        "index": torch.from_numpy(index[keep]),
        "weight": torch.from_numpy(np.broadcast_to(worth, keep.sum()).astype(np.float32)),
    }

    def loss(module: nn.Module, rows: Any) -> Tensor:
        return sampled_softmax(towers, rows, negatives, config.temperature)

    train(
        towers, batch, loss, epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate,
        seed=config.seed, name="two-tower",
    )  # fmt: skip
    with torch.no_grad():
        vectors = towers.every_video().numpy()
        viewers = towers.viewer(batch["recent"][torch.randperm(len(recent))[:QUERIES]]).numpy()
    return Retrieval(features, towers, build_index(vectors, viewers))


def load(folder: Path, features: Features) -> Retrieval:
    """The registry has checked the files' sha256; what is read here is checked again for shape, and bounded."""
    dim = json.loads((folder / "towers.json").read_text())["dim"]
    towers = Towers(*described(features), dim=dim)
    towers.load_state_dict(load_file(folder / "towers.safetensors"))
    towers.eval()
    return Retrieval(features, towers, read_index(folder / "videos.faiss", (len(features.video_id), dim)))


@dataclass(frozen=True)
class Negatives:
    """Which videos a positive is compared with: the others of its batch, `num_uniform` drawn evenly from the catalogue, or both.
    `popularity` [num_videos] is the share of the training watches; `log_q` the strength of the correction."""

    popularity: Tensor
    in_batch: bool = True
    num_uniform: int = 0
    log_q: float = 1.0

    def log_expected(self, index: Tensor, batch_size: int) -> Tensor:
        """log of how often each video is expected among the candidates of one batch: batch_size q + num_uniform / num_videos (Yang et al.
        2020, section 3, but for a constant). Drawn evenly alone, it is the same for all and corrects nothing, as it should."""
        expected = self.popularity[index] * (batch_size * self.in_batch) + self.num_uniform / len(self.popularity)
        return expected.clamp(min=1e-12).log()


def sampled_softmax(towers: Any, rows: Any, negatives: Negatives, temperature: float) -> Tensor:
    """Softmax of each row's video against its candidates; a video that stands among them again is no negative of itself."""
    own = rows["index"]
    drawn = torch.randint(len(negatives.popularity), (negatives.num_uniform,))
    index = torch.cat([own, drawn])
    logits = towers.viewer(rows["recent"]) @ towers.video(index).T / temperature
    logits = corrected(logits, negatives.log_expected(index, len(own)), negatives.log_q)
    positive = torch.eye(len(own), len(index), dtype=torch.bool)
    left_out = own[:, None] == index[None, :]
    if not negatives.in_batch:
        left_out[:, : len(own)] = True
    losses: Tensor = nn.functional.cross_entropy(
        logits.masked_fill(left_out & ~positive, -1e9), torch.arange(len(own)), reduction="none"
    )
    mean: Tensor = (losses * rows["weight"]).sum() / rows["weight"].sum()
    return mean


def corrected(logits: Tensor, log_q: Tensor, strength: float = 1.0) -> Tensor:
    """logits [n, m] of m sampled videos minus log of the probability of being sampled. With a plus popular videos are punished twice."""
    return logits - strength * log_q[None, :]


@dataclass(frozen=True)
class Placed:
    """Where the towers put the videos of the shelf, [m, dim] each: as `vectors`, by `content` alone, and as `watched` ones."""

    vectors: NDArray[np.float32]
    content: NDArray[np.float32]
    watched: NDArray[np.float32]


NOTHING = Placed(*(np.empty((0, 0), np.float32) for _ in range(3)))


def _nobody() -> list[tuple[Ints, NDArray[np.float32]]]:
    return [(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))]


@dataclass(frozen=True)
class Retrieval:
    """`index` holds the vectors of all videos, in catalogue order, and is the one place where they stand: in half precision, where they are
    many. `put` stands beside it, and is small enough to be searched whole."""

    features: Features
    towers: Towers
    index: Any  # faiss.Index, whose types leave out what it can do
    put: Placed = NOTHING
    last: list[tuple[Ints, NDArray[np.float32]]] = field(default_factory=_nobody)

    def __post_init__(self) -> None:
        if isinstance(self.index, faiss.IndexIVF):
            self.index.make_direct_map()  # 8 bytes a video, and any of them can be read back

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[num_videos, dim], read anew whenever it is asked for."""
        every: NDArray[np.float32] = self.index.reconstruct_n(0, self.index.ntotal)
        return every

    def over(self, features: Features) -> Retrieval:
        """The same with the videos on the shelf of these features. What the id of one says is known only if training knew the video."""
        shelf = features.shelf
        with torch.inference_mode():
            was, towers = torch.from_numpy(shelf.was), self.towers
            seen = towers.seen(*numbered(features, shelf.videos, towers))
            own = towers.of_id(was.clamp(min=0) % BUCKETS) * (was >= 0)[:, None]
            vectors, content = (nn.functional.normalize(known, dim=-1).numpy() for known in (seen + own, seen))
            put = Placed(vectors, content, (seen + towers.watched(was)).numpy())
        return altered(self, features=features, put=put, last=_nobody())

    def viewer(self, recent: Ints) -> NDArray[np.float32]:
        """recent [n, HISTORY] -> [n, dim]. Several steps of one answer ask for the same viewer, who is kept until another comes."""
        asked, vectors = self.last[0]
        if len(recent) != 1 or not np.array_equal(asked, recent):
            vectors = self._viewer(recent)
            self.last[0] = (recent.copy(), vectors) if len(recent) == 1 else self.last[0]
        return vectors

    def _viewer(self, recent: Ints) -> NDArray[np.float32]:
        late = recent >= self.index.ntotal
        with torch.inference_mode():
            index = torch.from_numpy(np.where(late, -1, recent))
            watched = self.towers.watched(index) + self.towers.described(index.clamp(min=0))
            if late.any():
                put = self.put.watched[recent[late] - self.index.ntotal]
                watched[torch.from_numpy(late)] = torch.from_numpy(put)
            vectors: NDArray[np.float32] = self.towers.watching(watched, torch.from_numpy(recent >= 0)).numpy()
        return vectors

    def content(self, index: Ints) -> NDArray[np.float32]:
        """[n, dim] of unit length: where videos stand by what is known of them, their ids left out."""
        with torch.inference_mode():
            known = nn.functional.normalize(self.towers.described(torch.from_numpy(index)), dim=-1)
        vectors: NDArray[np.float32] = known.numpy()
        return vectors

    def nearest(self, recent: Ints, k: int) -> Ranking:
        """recent [n, HISTORY] -> the k videos whose vectors are nearest; -1 where an index with lists found fewer."""
        viewer, was = self.viewer(recent), self.features.shelf.was
        old = was[was >= 0]
        scores, index = self.index.search(viewer, min(k + len(old), self.index.ntotal))
        wanted = (index >= 0) & ~np.isin(index, old)  # as it was before it was put anew, a video is not to be found
        ids = np.where(wanted, self.features.video_id[index], -1)
        cosines: Floats = np.where(wanted, scores.astype(float), -np.inf)
        if not len(was):
            return Ranking(ids=ids, scores=cosines)
        put = np.broadcast_to(self.features.shelf.videos.video_id, (len(ids), len(was)))
        near = (viewer @ self.put.vectors.T).astype(float)
        return best_of(np.concatenate([cosines, near], axis=1), np.concatenate([ids, put], axis=1), k)

    def score(self, recent: Ints, index: Ints) -> Floats:
        """recent [n, HISTORY], index [n, k] -> [n, k] cosines, 0 for a video the catalogue lacks."""
        viewer = self.viewer(recent)
        cosines = np.einsum("nd,nkd->nk", viewer, self._placed(index))
        return np.where(index >= 0, cosines, 0.0).astype(float)

    def _placed(self, index: Ints) -> NDArray[np.float32]:
        """[..., dim] of videos of training and of the shelf; anything at -1."""
        late, num = index >= self.index.ntotal, self.index.ntotal
        old = np.where(late, 0, np.maximum(index, 0)).reshape(-1)
        vectors: NDArray[np.float32] = self.index.reconstruct_batch(old).reshape(*index.shape, -1)
        if late.any():
            vectors[late] = self.put.vectors[index[late] - num]
        return vectors

    def save(self, folder: Path) -> None:
        save_file(
            {name: tensor.contiguous() for name, tensor in self.towers.state_dict().items()},
            folder / "towers.safetensors",
        )
        (folder / "towers.json").write_text(json.dumps({"dim": int(self.index.d)}))
        (folder / "videos.faiss").write_bytes(faiss.serialize_index(self.index).tobytes())


def best_of(scores: Floats, ids: Ints, k: int) -> Ranking:
    """scores [n, m], of the videos `ids` [n, m] -> the k best of each row."""
    k = min(k, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable"), 1)
    return Ranking(ids=np.take_along_axis(ids, best, 1), scores=np.take_along_axis(scores, best, 1))
