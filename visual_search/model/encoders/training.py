"""Contrastive learning: what belongs together is drawn near, all else in the batch is pushed away (InfoNCE, van den Oord et al. 2018).

Each step shows anchors and a partner of each, as two views. Pictures meet pictures, and pictures meet the texts of the gallery (CLIP, Radford et al. 2021): in one space,
so that words find pictures and pictures with a text share what it says. They also meet single words: hardly two texts are one, many share a word, and
people search with a word or two. Where an anchor has several partners in a batch each counts (SupCon, Khosla et al.
2020); what is alike is never a negative. With few different texts all of them stand against each picture: a text is then the centre of its class.

Hard negatives: a memory keeps the last vector of every picture. The config.num_hard nearest to an anchor that are not alike stand beside the batch, and
being some steps old cost no pass through the network (cross-batch memory, Wang et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, logsumexp, nn
from torch.nn.functional import cross_entropy, normalize

from common.contract import Bools, Ints
from common.training import loop
from visual_search.config import Config
from visual_search.model.encoders import views
from visual_search.model.encoders.lesson import ALIKE, Lesson
from visual_search.model.encoders.muon import Muon
from visual_search.model.encoders.towers import Clip, Residual
from visual_search.model.encoders.words import Words, some
from visual_search.schema import Dataset, Pairs, Pixels

WARM_UP = 0.1
FEW_TEXTS = 256
SMOOTHING = 0.1  # of classes (Szegedy et al. 2016, section 7)
HARD_FROM, SLACK = 0.2, 4  # share of the run before the memory is asked; how many more are looked at, as some are alike
BLOCK = 64  # pictures at once
MOST_IMAGES = 500  # among which a photo kept to choose by is looked for


def schedule(share: float) -> float:
    """Up to 1 over the warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017)."""
    if share < WARM_UP:
        return max(share, 0.01) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def contrast(scores: Tensor, alike: Tensor, hard: Tensor) -> Tensor:
    """scores [n, m] of left with right, alike [n, m] bool -> how badly each left one tells what it is like from the rest, over those that are like
    any, and the same from the right; their mean. `hard` [n, k]: scores of the left with what is like none of them."""
    return (_told(scores, alike, hard) + _told(scores.T, alike.T, scores.T[:, :0])) / 2


def _told(scores: Tensor, alike: Tensor, hard: Tensor) -> Tensor:
    """Mean over positives, then over rows (Khosla et al. 2020, L_out)."""
    counted = alike.sum(dim=1)
    against = logsumexp(torch.cat([scores, hard], dim=1), dim=1, keepdim=True)
    each = ((scores - against) * alike).sum(dim=1) / counted.clamp(min=1)
    return -each.sum() / (counted > 0).sum().clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Photos kept to choose by, [n], and images to find theirs among, [m]; alike [n, m]."""

    photos: Pixels
    images: Pixels
    alike: Tensor


def choice(dataset: Dataset, held: Pairs) -> Choice:
    """Of each held photo the images it is like, MOST_IMAGES in all by lot, and others up to that number."""
    ids, judged, rng = dataset.catalog.image_id, held.grade >= ALIKE, np.random.default_rng(0)
    known = np.isin(held.image_id, ids)
    photo, place = held.photo[judged & known], np.searchsorted(ids, held.image_id[judged & known])
    wanted = rng.permutation(np.unique(place))
    others = rng.permutation(np.setdiff1d(np.arange(len(ids)), wanted))
    images = np.sort(np.concatenate([wanted, others])[:MOST_IMAGES])
    left = np.isin(place, images)
    photos, row = np.unique(photo[left], return_inverse=True)
    alike = torch.zeros(len(photos), len(images), dtype=torch.bool)
    alike[row, np.searchsorted(images, place[left])] = True
    return Choice(photos=held.photos.pixels[photos], images=dataset.catalog.images.pixels[images], alike=alike)


class Taught(nn.Module):
    """The network, and what is thrown away after the lesson: the centres of its classes, [num_classes, dim]."""

    def __init__(self, network: Clip | Residual, num_classes: int, config: Config) -> None:
        super().__init__()
        self.network = network
        lot = torch.randn(num_classes, config.dim, generator=torch.Generator().manual_seed(config.seed))
        self.centres = nn.Parameter(lot)


@dataclass(eq=False)
class Teacher:
    """One run: what is shown in a batch and what it costs, and between epochs what to choose by and the hard negatives."""

    network: Clip | Residual
    words: Words
    lesson: Lesson
    choice: Choice
    config: Config

    def __post_init__(self) -> None:
        classes, place = np.unique(self.lesson.label, return_inverse=True)
        self.label = torch.from_numpy(place - int((classes < 0).any()))  # [num_pictures], -1 where unknown
        self.taught = Taught(self.network, int((classes >= 0).sum()), self.config)
        self.known = self.words.known(self.lesson.texts)
        named = np.array([bool(words) for words in [*self.known, []]])  # the last for -1
        self.text = np.where(named[self.lesson.text], self.lesson.text, -1)
        self.common = self.words.common(self.known, FEW_TEXTS)
        self.holds = np.array([np.isin(self.common, words) for words in self.known])  # [num_texts, num_common]
        self.memory = torch.zeros(len(self.lesson.label), self.config.dim)
        # until the memory is asked
        self.steps_left = HARD_FROM * self.config.epochs * len(self.lesson) / self.config.batch_size

    def teach(self) -> list[dict[str, float]]:
        config = self.config
        return loop.train(
            self.taught,
            {"row": torch.arange(len(self.lesson))},
            lambda _, batch: self.loss(batch["row"].numpy()),
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            optimizer=Muon(self.taught, config.learning_rate, config.weight_decay),
            seed=config.seed,
            validate=self.validate if len(self.choice.photos) else None,
            patience=config.epochs,  # the rate falls to 0: whoever stops halfway has the noise of the high rate
            schedule=schedule,
            name="visual_search encoder",
        )

    def loss(self, rows: Ints) -> Tensor:
        """Of anchors [b] of the lesson."""
        anchors, partners = self.lesson.bags.anchor[rows], self.lesson.partners(rows)
        paired = np.flatnonzero(partners >= 0)
        pictures = np.concatenate([anchors, partners[paired]])
        vectors = self.network.pictures(
            views.viewed(self.lesson.pixels(pictures), self.config.encoder_side, self.config.least_area)
        )
        told = self.paired(
            anchors[paired], vectors[torch.from_numpy(paired)], partners[paired], vectors[len(anchors) :]
        )
        self.memory[pictures] = vectors.detach()
        return told + self.classed(pictures, vectors) + self.config.weight_text * self.named(pictures, vectors)

    def paired(self, anchors: Ints, left: Tensor, partners: Ints, right: Tensor) -> Tensor:
        """What these pairs [n] cost, their vectors [n, dim]."""
        self.steps_left -= 1
        if not len(anchors):
            return left.new_zeros(())
        alike = torch.from_numpy(self.lesson.alike(anchors[:, None], partners[None, :]))
        hard = self.nearest(left, anchors) if self.config.num_hard and self.steps_left < 0 else left[:, :0]
        return contrast(left @ right.T / self.config.temperature, alike, hard / self.config.temperature)

    def classed(self, pictures: Ints, vectors: Tensor) -> Tensor:
        """What the classes of these pictures [n] cost, told from other classes by the centre of each, which is learnt with them (Zhai and Wu 2019): a
        picture meets all classes in each batch, not those that happen to be there."""
        label = self.label[torch.from_numpy(pictures)]
        if not (label >= 0).any():
            return vectors.new_zeros(())
        scores = vectors @ normalize(self.taught.centres, dim=1).T / self.config.temperature
        return cross_entropy(scores, label, ignore_index=-1, label_smoothing=SMOOTHING)

    def nearest(self, left: Tensor, anchors: Ints) -> Tensor:
        """[b, num_hard] scores of the pictures of the memory that look most like each anchor and are not."""
        first = len(self.lesson.photos)
        scores = left @ self.memory[first:].clone().T  # it changes before the gradient is taken
        found, at = scores.topk(min(SLACK * self.config.num_hard, scores.shape[1]), dim=1)
        alike = torch.from_numpy(self.lesson.alike(anchors[:, None], first + at.numpy()))
        return found.masked_fill(alike, -math.inf).topk(min(self.config.num_hard, found.shape[1]), dim=1).values

    def named(self, pictures: Ints, vectors: Tensor) -> Tensor:
        """What the texts of these pictures [n] cost, told from other texts, and their words, told from other words."""
        text = self.text[pictures]
        rows = np.flatnonzero(text >= 0)
        if not len(rows):
            return vectors.new_zeros(())
        vectors, text = vectors[torch.from_numpy(rows)], text[rows]
        shown = np.unique(self.text[self.text >= 0] if len(self.known) <= FEW_TEXTS else text)
        texts = self.told(vectors, text[:, None] == shown[None, :], [some(self.known[at]) for at in shown])
        return texts + self.told(vectors, self.holds[text], [[word] for word in self.common])

    def told(self, vectors: Tensor, alike: Bools, words: Sequence[Sequence[int]]) -> Tensor:
        meant = self.network.words(self.words.ids(words))
        return contrast(vectors @ meant.T / self.config.temperature, torch.from_numpy(alike), vectors[:, :0])

    def validate(self, _: torch.nn.Module) -> float:
        """1 - the mean of 1 / place of the first image that is alike, over the photos kept to choose by."""
        photos, images = (
            vectors(self.network, pixels, self.config.encoder_side)
            for pixels in (self.choice.photos, self.choice.images)
        )
        scores = photos @ images.T
        best = scores.masked_fill(~self.choice.alike, -math.inf).max(dim=1, keepdim=True).values
        return 1 - float((1 / (1 + (scores > best).sum(dim=1))).mean())


def vectors(network: Clip | Residual, pixels: Pixels, side: int) -> Tensor:
    """uint8 [n, any, any, 3] -> [n, dim], of a network in eval mode."""
    with torch.inference_mode():
        parts = [network.pictures(views.plain(pixels[at : at + BLOCK], side)) for at in range(0, len(pixels), BLOCK)]
        return torch.cat(parts)
