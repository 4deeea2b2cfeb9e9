"""What experiments on searches share: the case trained once, its answers, pages under the rules, and their planted gain beside another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

from common.contract import Floats, Ints, Ranking
from common.errors import InputError
from common.eval import intervals, ranking
from visual_search import baseline, data, evaluate, features, model, policy
from visual_search.baseline import Colours
from visual_search.config import Config
from visual_search.features import Features
from visual_search.model import Model
from visual_search.policy import Policy
from visual_search.schema import Dataset, Judgments, Requests

T = TypeVar("T")
GAIN = f"expected_gain@{evaluate.K}"


@dataclass(frozen=True, eq=False)
class Trained:
    """The case as pipeline has it. `requests` are the test requests, or some of them, or those in another form: who asked when says what was meant."""

    config: Config
    dataset: Dataset
    judgments: Judgments
    features: Features

    @cached_property
    def histogram(self) -> Colours:
        return baseline.fit(self.dataset, self.features, self.config)

    @cached_property
    def model(self) -> Model:
        return model.fit(self.dataset, self.features, self.config)

    @property
    def test(self) -> Requests:
        return self.dataset.test

    @property
    def rules(self) -> Policy:
        return Policy(page_size=self.config.page_size, owner_cap=self.config.owner_cap)

    @cached_property
    def candidates(self) -> Ranking:
        """[num_requests, num_candidates] of the test requests, before the rerank."""
        return self.retrieved(self.test)

    @cached_property
    def answers(self) -> Ranking:
        """The same, put in order as it is served."""
        return self.reranked(self.test, self.candidates)

    def retrieved(self, requests: Requests, by: Model | Colours | None = None) -> Ranking:
        """[n, num_candidates], of the model or of another ranker."""
        return (by or self.model).retrieve(requests, self.config.num_candidates, self.dataset.history)

    def nearest(self, requests: Requests, by: Model | None = None) -> Ranking:
        """[n, num_candidates] by the index alone: nothing is found by owners' words, and nothing put in order anew."""
        ranker = by or self.model
        asked = ranker.asked(ranker.features.seen(requests), requests.text)
        return ranker.neighbours(asked, requests.shop_only, self.config.num_candidates)

    def reranked(self, requests: Requests, candidates: Ranking) -> Ranking:
        return self.model.rerank(requests, candidates, self.dataset.history)

    def answered(self, requests: Requests) -> Ranking:
        return self.reranked(requests, self.retrieved(requests))

    def page(self, found: Ranking, requests: Requests | None = None, rules: Policy | None = None) -> Ranking:
        """First pages, [n, page_size], under the rules of the config or under `rules`."""
        asked = self.test if requests is None else requests
        return (rules or self.rules).apply(found, policy.contexts(self.features, asked, found))

    def gains(self, found: Ranking, requests: Requests | None = None) -> Floats:
        """[n] planted gain of the page that comes of `found`."""
        asked = self.test if requests is None else requests
        return self.paid(self.page(found, asked), asked)

    def paid(self, page: Ranking, requests: Requests | None = None) -> Floats:
        """[n] planted gain of pages as they are."""
        asked = self.test if requests is None else requests
        return ranking.expected_gain(self.judgments.gain(asked, page.ids[:, : evaluate.K]), evaluate.K)


@lru_cache(maxsize=2)
def trained(config: Config) -> Trained:
    """Raises InputError on real data: what is asked here only the world answers."""
    if config.data != "world":
        raise InputError(f"This experiment asks what was planted; {config.data} does not know. Leave --data out.")
    dataset = data.load(config)
    return Trained(config, dataset, data.judgments(config), features.fit(dataset, config))


def mean(name: str, units: Floats, users: Ints) -> dict[str, float | None]:
    """{name, name_low, name_high}: units [n], one a request, their mean and its interval over users [n]."""
    found = intervals.mean(units, users)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def beside(
    ways: Mapping[str, Floats], users: Ints, base: str, column: str, called: str = "against"
) -> list[dict[str, object]]:
    """A row a way: its gain, and the paired difference from the way `base`, both with their intervals over users."""
    return [
        {column: name, **mean(GAIN, units, users), **mean(called, units - ways[base], users)}
        for name, units in ways.items()
    ]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """-> what it gives, and its processor seconds."""
    begin = time.process_time()
    found = work()
    return found, time.process_time() - begin
