"""What an ad's words say about it before anybody has seen it: a prior for new ads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ad_click.schema import Catalog, Rows
from common.contract import Floats, Ints

FOLDS = 5
STRENGTH = 50.0  # impressions an ad's click rate has to outweigh
L2 = 20.0  # of the words' weights, in units of ads with many impressions


BASE = ""  # stands among the words for the title without any


def text_prior(train: Rows, catalog: Catalog) -> tuple[Floats, dict[str, float]]:
    """[num_ads] log of how many times the average an ad should be clicked, from its title alone: ridge regression over words. And what each
    word is worth to an ad that comes later.

    An ad's own clicks are in its training label, so each fifth of the ads is told what the words of the other ads are worth (cross-fitting);
    ads without training rows get the mean of the five. 0 for all without titles.
    """
    from sklearn.linear_model import Ridge

    if "title" not in catalog.categories or not len(catalog):
        return np.zeros(len(catalog)), {}
    names, words = _words(catalog.categories["title"].tolist())
    shown, rate = _rates(train, catalog)
    fold, prior = catalog.ad_id % FOLDS, np.zeros((FOLDS, len(catalog)))
    worth = np.zeros(1 + words.shape[1])
    for number in range(FOLDS):
        known = (shown > 0) & (fold != number)
        if known.any():
            weight = shown[known] / (shown[known] + STRENGTH)
            learned = Ridge(alpha=L2).fit(words[known], rate[known], sample_weight=weight)
            prior[number] = learned.predict(words)
            worth += np.append(learned.intercept_, learned.coef_) / FOLDS
    own = np.where(shown > 0, prior[fold, np.arange(len(catalog))], prior.mean(axis=0))
    return own, dict(zip([BASE, *names], worth.tolist(), strict=False))


def prior_of(titles: list[str], worth: Mapping[str, float]) -> Floats:
    """[n] the same of ads that training did not know: the mean of the five. A word nobody has seen is worth nothing."""
    return np.array([worth.get(BASE, 0.0) + sum(worth.get(word, 0.0) for word in _of(title)) for title in titles])


def _rates(train: Rows, catalog: Catalog) -> tuple[Ints, Floats]:
    """Of each ad: its training rows, and the log of its smoothed click rate over the average."""
    place = catalog.find(train.ad_id)
    place, label = place[place >= 0], train.label[place >= 0]
    shown = np.bincount(place, minlength=len(catalog))
    clicks = np.bincount(place, label, minlength=len(catalog))
    mean = max(float(label.mean()), 1e-6) if len(label) else 1.0
    return shown, np.log((clicks + STRENGTH * mean) / (shown + STRENGTH) / mean)


def _of(title: str) -> set[str]:
    return set(title.lower().split())


def _words(titles: list[str]) -> tuple[list[str], Floats]:
    """-> the words, and [num_ads, num_words] 1 where the title holds the word."""
    found = [_of(title) for title in titles]
    place = {word: at for at, word in enumerate(sorted(set().union(*found)))}
    matrix = np.zeros((len(titles), max(len(place), 1)))
    for row, words in enumerate(found):
        matrix[row, [place[word] for word in words]] = 1.0
    return list(place), matrix
