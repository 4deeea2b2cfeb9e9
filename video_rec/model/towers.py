"""The two towers themselves: sums of embeddings, one for a viewer, one for a video."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from video_rec.features import HISTORY, TITLE_DIM, Features
from video_rec.features.catalogue import Videos
from video_rec.schema import find

BUCKETS = 2**17  # ids beyond that share an embedding


class Towers(nn.Module):
    def __init__(self, creator: Tensor, language: Tensor, title: Tensor, length: Tensor, dim: int) -> None:
        super().__init__()
        # of every video, not trained
        self.creator, self.language, self.title, self.length = creator, language, title, length
        num_videos = min(len(creator), BUCKETS)
        self.of_id = nn.Embedding(num_videos, dim)
        self.of_watched = nn.Embedding(num_videos + 1, dim, padding_idx=num_videos)
        self.of_creator = nn.Embedding(int(creator.max()) + 1, dim)
        self.of_language = nn.Embedding(int(language.max()) + 1, dim)
        self.of_title = nn.Linear(TITLE_DIM, dim)
        self.of_length = nn.Linear(2, dim)
        self.recency = nn.Parameter(torch.linspace(0.5, -1.5, HISTORY))
        self.nobody = nn.Parameter(torch.zeros(dim))
        self.bend = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        for table in (self.of_id, self.of_watched, self.of_creator, self.of_language):
            nn.init.normal_(table.weight, std=0.1)
        with torch.no_grad():
            self.of_watched.weight[num_videos] = 0

    def described(self, index: Tensor) -> Tensor:
        """What is known of a video without its id."""
        return self.seen(self.creator[index], self.language[index], self.title[index], self.length[index])

    def seen(self, creator: Tensor, language: Tensor, title: Tensor, length: Tensor) -> Tensor:
        known: Tensor = (
            self.of_creator(creator)
            + self.of_language(language)
            + self.of_title(title.float())
            + self.of_length(torch.stack([length, length**2 / 10], dim=-1))
        )
        return known

    def video(self, index: Tensor) -> Tensor:
        """[..., dim] of unit length."""
        return nn.functional.normalize(self.described(index) + self.of_id(index % BUCKETS), dim=-1)

    def viewer(self, recent: Tensor) -> Tensor:
        """recent [n, HISTORY] catalogue indices, -1 pads -> [n, dim] of unit length."""
        return self.watching(self.watched(recent) + self.described(recent.clamp(min=0)), recent >= 0)

    def watched(self, index: Tensor) -> Tensor:
        """What it says of a viewer to have watched just this video, whatever it is like; nothing at -1."""
        own: Tensor = self.of_watched(torch.where(index >= 0, index % BUCKETS, self.of_watched.num_embeddings - 1))
        return own

    def watching(self, watched: Tensor, known: Tensor) -> Tensor:
        """watched [n, HISTORY, dim], of which those `known` count -> [n, dim] of unit length."""
        weight = torch.exp(self.recency) * known
        total = (weight[:, :, None] * watched).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp(min=1e-6)
        summed = total + self.nobody
        return nn.functional.normalize(summed + self.bend(summed), dim=-1)

    def every_video(self) -> Tensor:
        return torch.cat([self.video(part) for part in torch.split(torch.arange(len(self.creator)), 50_000)])


def described(features: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The catalogue as tensors; creator and language are numbered from 1, 0 is unknown."""
    return numbered(features, features)


def numbered(features: Features, videos: Videos, towers: Towers | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`videos` in the numbers of training; what it did not know is 0, and so is what these `towers` have no row for."""
    creator = find(features.creators, videos.creator_id)
    language = videos.language + 1
    if towers is not None:
        language = np.where(language < towers.of_language.num_embeddings, language, 0)
    return (
        torch.from_numpy(np.where((videos.creator_id < 0) | (creator < 0), 0, creator % BUCKETS + 1)),
        torch.from_numpy(language),
        torch.from_numpy(videos.title),
        torch.from_numpy(videos.length).float(),
    )
