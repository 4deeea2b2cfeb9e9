"""What experiments on encoders share: what belongs together, networks taught from it alike and for as long, and the pages that come of each.

Nothing is chosen by anything here: a network sees as many batches as another while its rate falls to 0, and is what it is then. Each is the residual
network at SIDE pixels, the cheapest that learns, since many are taught, and is judged alone: the outlines made by hand and the rerank that stand beside it when it is
served would hide what it learnt. `ladder` asks what each of them is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from common.contract import Floats, Ints
from visual_search import model
from visual_search.config import Config
from visual_search.experiments.trained import Trained, trained
from visual_search.features import Seen
from visual_search.model import Model, ranker
from visual_search.model.encoders import lesson, own
from visual_search.model.encoders.lesson import ALIKE, Bags, Lesson
from visual_search.model.encoders.own import MIN_COUNT, Own
from visual_search.model.encoders.training import Choice, Teacher
from visual_search.model.encoders.words import Words
from visual_search.model.gallery import Gallery
from visual_search.model.index.served import Served
from visual_search.model.index.settings import FLAT, Setting, make
from visual_search.model.parts import Encoder
from visual_search.schema import Dataset

STEPS, SIDE, TOWER, DEPTH = 120, 32, "resnet", "111"
BATCH, RATE = 64, 6e-3
SMALLEST = 10  # steps, however little a preset learns
Teaches = Callable[..., Teacher]


@dataclass(frozen=True, eq=False)
class Lab:
    """`config` of the networks; `dataset`, its pictures as an encoder is given them; `lesson`: all that people judged. Pictures have the lesson's numbers."""

    case: Trained
    config: Config
    dataset: Dataset
    lesson: Lesson
    words: Words

    @classmethod
    def read(cls, config: Config) -> Lab:
        """InputError on real data."""
        case = trained(config)
        small = replace(
            config,
            encoder=TOWER,
            depth=DEPTH,
            encoder_side=SIDE,
            served_side=SIDE,
            batch_size=BATCH,
            learning_rate=RATE,
        )
        prepared = model.prepared(case.dataset, case.features)
        words = Words.fit(prepared.catalog.text.tolist(), MIN_COUNT)
        return cls(case, small, prepared, lesson.of(prepared, prepared.judged, small), words)

    @cached_property
    def steps(self) -> int:
        """STEPS at DEMO and above; of a smaller preset as much less as it trains the served network less."""
        return max(SMALLEST, min(STEPS, STEPS * self.config.num_images // 3_000))

    def pairs(self, positives: str) -> Ints:
        """[m, 2] pictures that belong together, by one way to come by them, in an order by lot; an augmented pair is one picture twice."""
        found = lesson.of(self.dataset, self.dataset.judged, replace(self.config, positives=positives))
        paired = found.bags.size > 0
        both = np.stack([found.bags.anchor[paired], found.bags.members[found.bags.first[paired]]], axis=1)
        return np.random.default_rng([self.config.seed, 71]).permutation(both)

    def alike(self, rows: Ints) -> Ints:
        """[m, 2] of these rows of what people judged: the pairs they called alike."""
        judged, num_photos = self.dataset.judged, len(self.lesson.photos)
        kept = rows[judged.grade[rows] >= ALIKE]
        photo = judged.photo[kept] + num_photos - len(judged.photos)
        image = num_photos + np.searchsorted(self.dataset.catalog.image_id, judged.image_id[kept])
        return np.unique(np.stack([photo, image], axis=1), axis=0)

    def taught(
        self,
        pairs: Ints,
        texts: bool = True,
        begin: Own | None = None,
        steps: int = 0,
        by: Teaches = Teacher,
        **knobs: Any,
    ) -> Own:
        """A network from weights by lot, or from where another stands, after `steps` batches (0: `self.steps`). One half of what it is shown are pairs [m, 2], the
        other, if `texts`, images of the gallery with what their owners wrote; without pairs all are such."""
        config = replace(self.config, epochs=1, **knobs)
        num = (steps or self.steps) * config.batch_size
        num_pairs = num if not texts else num // 2 if len(pairs) else 0
        one = own.begun(self.words, config, begin)
        by(
            one.network, self.words, self.lessons(pairs, num_pairs, num - num_pairs), _nothing(self.dataset), config
        ).teach()
        return one

    def lessons(self, pairs: Ints, num_pairs: int, num_named: int) -> Lesson:
        """These pairs, over and over until they are num_pairs, and images that have a text in the same way. No others are known to be alike."""
        named = np.flatnonzero(self.lesson.text >= 0)
        both, alone = np.resize(pairs, (num_pairs, 2)), np.resize(named, num_named)
        first = np.arange(num_pairs + num_named)
        bags = Bags(
            anchor=np.concatenate([both[:, 0], alone]),
            first=first,
            size=(first < num_pairs).astype(np.int64),
            members=np.concatenate([both[:, 1], alone]),
        )
        return replace(self.lesson, bags=bags, known=pairs, label=np.full_like(self.lesson.label, -1))

    def scanned(self, encoder: Encoder) -> Model:
        """The gallery by this encoder, every image compared: what an index loses is not asked here."""
        catalog, flat = self.dataset.catalog, Setting(kind=FLAT)
        vectors = encoder.images(catalog.images.pixels)
        index = Served(flat, catalog.image_id, vectors, make(flat, vectors))
        gallery = Gallery(encoder.fingerprint, index, vectors[:0], {})
        return Model(self.case.features, encoder, gallery, ranker.PLAIN, self.config.words_weight)

    def gains(self, encoder: Encoder) -> Floats:
        """[num_requests] of the test requests' pages, in the order of this encoder's likeness and of nothing else."""
        found, test = self.scanned(encoder), self.case.test
        asked = found.asked(self.seen, test.text)
        return self.case.gains(found.neighbours(asked, test.shop_only, self.config.num_candidates))

    @cached_property
    def seen(self) -> Seen:
        return self.case.features.seen(self.case.test)


def _nothing(dataset: Dataset) -> Choice:
    """To choose by."""
    none = dataset.catalog.images.pixels[:0]
    return Choice(photos=none, images=none, alike=torch.zeros(0, 0, dtype=torch.bool))
