"""What these experiments share: the case trained once, the planted posts behind its test rows, and what it acts on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints, Scorer
from common.errors import InputError
from common.eval import intervals
from harmful_content import baseline, data, features, model, policy, world
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.schema import NO_IMAGES, POLICIES, Dataset, Images, Judgments, Rows

if TYPE_CHECKING:
    from harmful_content.world import Posts


@dataclass(frozen=True, eq=False)
class Case:
    config: Config
    dataset: Dataset
    judgments: Judgments
    features: Features

    @cached_property
    def baseline(self) -> Scorer[Inputs]:
        return baseline.fit(self.dataset, self.features, self.config)

    @cached_property
    def model(self) -> model.Model:
        return model.fit(self.dataset, self.features, self.config)

    @cached_property
    def train(self) -> Inputs:
        return self.inputs(self.dataset.train)

    @cached_property
    def posts(self) -> Posts:
        """Of the test rows, in their order."""
        return world.make(self.config).posts.take(self.dataset.test.post_id)

    def scorers(self) -> dict[str, Scorer[Inputs]]:
        return {"baseline": self.baseline, "model": self.model}

    def inputs(self, rows: Rows) -> Inputs:
        return self.features.inputs(rows, self.dataset.history)

    def score(self, scorer: Scorer[Inputs], rows: Rows) -> Floats:
        found: Floats = scorer.score(self.inputs(rows))
        return found

    def acted_on(self, scorer: Scorer[Inputs], scores: Floats) -> Bools:
        """[n, num_policies] which of these scores of this scorer reach the threshold from which a post is queued or removed, as the policy solves it on
        validation."""
        rules = policy.fit(self.score(scorer, self.dataset.valid), self.dataset.valid, self.config)
        reached: Bools = rules.calibration.apply(scores) >= np.minimum(rules.column("queue"), rules.column("remove"))
        return reached


@lru_cache(maxsize=2)
def trained(config: Config) -> Case:
    """Raises InputError on real data: what is asked here only the world answers."""
    if config.data != "world":
        raise InputError(f"This experiment asks what was planted; {config.data} does not know. Leave --data out.")
    dataset = data.load(config)
    return Case(config, dataset, data.judgments(config), features.fit(dataset, config))


def texts_alone(texts: NDArray[np.str_], like: Rows) -> Rows:
    """Posts of nothing but these texts, by nobody known, with the numbers and categories of the first row of `like`."""
    n, nothing = len(texts), np.full((len(texts), len(POLICIES)), np.nan)
    return Rows(
        post_id=2**31 - 1 - np.arange(n),
        user_id=np.full(n, 2**31 - 1),
        event_time=np.full(n, like.event_time[0]),
        moment=np.full(n, like.moment[0]),
        text=texts,
        image=np.full(n, -1),
        images=NO_IMAGES,
        natural_label=nothing,
        hand_label=nothing,
        numbers={name: np.full(n, column[0]) for name, column in like.numbers.items()},
        categories={name: np.full(n, column[0]) for name, column in like.categories.items()},
    )


def retold(rows: Rows, texts: NDArray[np.str_]) -> Rows:
    return replace(rows, text=texts)


def fresh(case: Case, num: int, since: int, until: int, block: int) -> tuple[Rows, Posts]:
    """Posts that are in no log, written evenly between two seconds, as they are judged when they come: nobody has reacted yet. `block`: another
    number gives other posts."""
    config, times = case.config, np.linspace(since, until - 1, num).astype(np.int64)
    posts = world.plant(config, 1_200_000_000 + 1_000_000 * block + np.arange(num), times)
    image = np.where(posts.has_image, np.cumsum(posts.has_image) - 1, -1)
    nothing = np.full((num, len(POLICIES)), np.nan)
    rows = Rows(
        post_id=posts.post_id,
        user_id=posts.user_id,
        event_time=times,
        moment=np.searchsorted(case.dataset.history.events.event_time, times),
        text=posts.text,
        image=image,
        images=Images(world.drawn(config, posts)),
        natural_label=nothing,
        hand_label=nothing,
        numbers={**world.profile(config, posts.user_id), "age_hours": np.zeros(num)},
        categories={"language": world.language_names(posts.language), "device": posts.device},
    )
    return rows, posts


def share(which: Bools | Floats, clusters: Ints, name: str) -> dict[str, float | None]:
    """{name, low, high}: the mean of [n], its interval over clusters."""
    found = intervals.mean(np.asarray(which, dtype=np.float64), clusters)
    return {name: found.value, "low": found.low, "high": found.high}
