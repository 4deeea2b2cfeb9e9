"""Nearest by colour and by words: what a count by hand says, over the whole gallery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.contract import Floats
from common.features.asof import AsOfStore
from tests.visual_search.test_features import TEXTS, catalog, log, made
from visual_search import baseline
from visual_search.baseline import FEW, Colours
from visual_search.features import Features
from visual_search.features.preparation import WHOLE
from visual_search.schema import Images, Requests

NUM = 40


@pytest.fixture(scope="module")
def features() -> Features:
    of = made(replace(catalog(NUM), shop=(np.arange(NUM) % 2).astype(np.int64)))
    clicks = np.where(np.arange(NUM) == 7, 5.0, 0.0)
    return replace(of, pictures=replace(of.pictures, clicks=clicks))


@pytest.fixture(scope="module")
def nothing() -> AsOfStore:
    return log(["click"], [0], [0])


def requests(photos: int, texts: list[str], shop_only: int = 0) -> Requests:
    """The gallery's first images asked with, then words alone."""
    n = photos + len(texts)
    return Requests(
        user_id=np.arange(n),
        photo=np.concatenate([np.arange(photos), np.full(len(texts), -1)]),
        photos=Images(catalog(NUM).images.pixels),
        event_time=np.zeros(n, np.int64),
        moment=np.zeros(n, np.int64),
        text=np.array([""] * photos + texts),
        crop=np.tile(np.array(WHOLE, np.float32), (n, 1)),
        shop_only=np.full(n, shop_only),
    )


def by_hand(features: Features, asked: Requests, words_weight: float) -> Floats:
    of = features.pictures
    scores = np.zeros((len(asked), NUM))
    for row in range(len(asked)):
        for image in range(NUM):
            colour = of.histogram[asked.photo[row]] if asked.photo[row] >= 0 else np.zeros_like(of.histogram[0])
            alike = colour.astype(np.float64) @ of.histogram[image].astype(np.float64)
            said = [features.words.said([text]).toarray()[0] for text in (str(asked.text[row]), str(of.text[image]))]
            scores[row, image] = alike + words_weight * (said[0] @ said[1]) + FEW * of.clicks[image] / 5.0
    return scores


def test_the_nearest_are_those_a_count_by_hand_finds(features: Features, nothing: AsOfStore) -> None:
    asked, found = requests(5, ["red chair", "striped"]), Colours(features, 0.7)
    ranking, scores = found.retrieve(asked, 10, nothing), by_hand(features, requests(5, ["red chair", "striped"]), 0.7)
    assert np.allclose(ranking.scores, -np.sort(-scores, axis=1)[:, :10], atol=2e-3), (
        "histograms are kept in half precision"
    )
    assert ranking.ids[:5, 0].tolist() == [0, 2, 4, 6, 8], "an image is nearest to itself"
    assert (np.diff(ranking.scores, axis=1) <= 0).all()
    again = found.rerank(asked, ranking, nothing)
    assert np.array_equal(again.ids, ranking.ids) and np.allclose(again.scores, ranking.scores)


def test_words_nobody_wrote_are_answered_with_what_is_clicked_most(features: Features, nothing: AsOfStore) -> None:
    found = Colours(features, 1.0).retrieve(requests(0, ["zebra"]), 3, nothing)
    assert found.ids[0, 0] == 14, "the eighth image: its id is 14"


def test_what_cannot_be_bought_is_not_among_what_can(features: Features, nothing: AsOfStore) -> None:
    found = Colours(features, 1.0).retrieve(requests(3, ["red"], shop_only=1), NUM, nothing)
    assert ((found.ids // 2 % 2 == 1) | (found.ids < 0)).all() and (found.ids >= 0).sum(axis=1).tolist() == [
        NUM // 2
    ] * 4


def test_a_photo_with_words_is_the_sum_of_both(features: Features, nothing: AsOfStore) -> None:
    asked = requests(1, [])
    both = replace(asked, text=np.array(["striped"]))
    found = Colours(features, 5.0).retrieve(both, 3, nothing)
    named = [at for at, text in enumerate(TEXTS) if "striped" in text]
    assert (found.ids[0] // 2 % len(TEXTS)).tolist() == named * 3, "words of so much weight decide"


def test_it_comes_back_as_it_was(features: Features, nothing: AsOfStore, tmp_path: Path) -> None:
    found = Colours(features, 0.7)
    found.save(tmp_path)
    again = baseline.load(tmp_path, features)
    asked = requests(4, ["red"])
    assert np.array_equal(found.retrieve(asked, 9, nothing).scores, again.retrieve(asked, 9, nothing).scores)
