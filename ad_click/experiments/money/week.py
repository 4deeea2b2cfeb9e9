"""New ads over a week of batches: what is learned of an ad depends on whether it is shown, and showing it costs.

An ad's appeal is a factor on its click rate. Of old ads it is known; of new ones the platform holds a gamma posterior over the factor,
updated by drawn clicks after each batch. Money and clicks are told by expectation. Users are split into small platforms of their own, each
with its own new ads, and intervals are over these platforms: what one draw of clicks taught is then inside the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.money.lab import Lab, Shown, auction_lab, percent
from common.contract import Bools, Experiment, Floats, Ints, Table

PAGES, MARKET, NEW = 500, 120, 0.3  # about as many on each platform; ads; share of them that is new
BATCHES, AFTER = 14, 7  # batches of a week; batches played after it, with what was learned and without exploring
STANDS_FOR = 40  # requests like it that each sampled one teaches as much as
Guess = Callable[["Belief", np.random.Generator, Ints], Floats]  # ads [n, k] -> the factor to bid with


@dataclass
class Belief:
    """Gamma(shape, rate) of each ad's factor, [num_ads]; of old ads the factor itself."""

    new: Bools
    factor: Floats
    shape: Floats
    rate: Floats

    def mean(self, rng: np.random.Generator, ads: Ints) -> Floats:
        return np.where(self.new, self.shape / self.rate, self.factor)[ads]

    def drawn(self, rng: np.random.Generator, ads: Ints) -> Floats:
        """Thompson sampling: a draw for each request and ad."""
        return np.where(self.new[ads], rng.gamma(self.shape[ads]) / self.rate[ads], self.factor[ads])

    def hopeful(self, rng: np.random.Generator, ads: Ints) -> Floats:
        """An upper confidence bound: what the factor exceeds one time in ten."""
        return np.where(self.new, gammaincinv(self.shape, 0.9) / self.rate, self.factor)[ads]

    def known(self, rng: np.random.Generator, ads: Ints) -> Floats:
        return self.factor[ads]

    def nothing(self, rng: np.random.Generator, ads: Ints) -> Floats:
        return np.where(self.new, 0.0, self.factor)[ads]

    def learn(self, ads: Ints, clicks: Floats, exposure: Floats) -> None:
        np.add.at(self.shape, ads, clicks)
        np.add.at(self.rate, ads, exposure)


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """epsilon: share of pages whose last slot goes to a new ad by chance, at the floor's price, whatever else
    its advertiser shows; after: how the learned is used."""

    guess: Guess = Belief.mean
    after: Guess = Belief.mean
    epsilon: float = 0.0
    text: bool = False


STRATEGIES = {
    "greedy": Strategy(),
    "epsilon 1 %": Strategy(epsilon=0.01),
    "epsilon 5 %": Strategy(epsilon=0.05),
    "Thompson": Strategy(guess=Belief.drawn),
    "upper bound": Strategy(guess=Belief.hopeful),
    "greedy, text prior": Strategy(text=True),
    "Thompson, text prior": Strategy(guess=Belief.drawn, text=True),
    "new ads known": Strategy(guess=Belief.known, after=Belief.known),
    "new ads left out": Strategy(guess=Belief.nothing, after=Belief.nothing),
}


def exploration(config: Config) -> Table:
    """What exploring new ads costs in the week and brings after it, against greedy bidding with the posterior mean. `new ads known` is a
    bound; the last row should lose: an ad without history is not shown."""
    size = config.num_users // 400
    lab = auction_lab(config, size * PAGES, num_candidates=10**9)
    found = {
        name: [_platform(lab, (number, size), strategy) for number in range(size)]
        for name, strategy in STRATEGIES.items()
    }
    base, rows = found["greedy"], []
    for name, platforms in found.items():
        for outcome in base[0]:
            ours, theirs = (np.array([one[outcome] for one in many]) for many in (platforms, base))
            change = percent(ours, theirs, np.arange(size))
            rows.append({"strategy": name, "outcome": outcome, "value": float(ours.mean()), "change_percent": change.value, "low": change.low, "high": change.high})  # fmt: skip
    return rows


def _platform(lab: Lab, which: tuple[int, int], strategy: Strategy) -> dict[str, float]:
    """One platform, `which` of how many, through the week and what comes after, per page: revenue in thousandths, clicks."""
    rng = np.random.default_rng([lab.config.seed, 11, which[0]])
    market = np.zeros(len(lab.catalog), bool)
    market[rng.choice(len(market), min(MARKET, len(market)), replace=False)] = True
    mine = np.flatnonzero(lab.rows.user_id % which[1] == which[0])
    lab = replace(lab, rows=lab.rows.take(mine), ads=lab.ads[mine]).among(market)
    belief = _belief(lab, market & (rng.random(len(market)) < NEW), strategy.text)
    base = lab.clicks / belief.factor[lab.ads]
    found = []
    for batch, pages in enumerate(np.array_split(np.arange(len(lab.ads)), BATCHES + AFTER)):
        is_after = batch >= BATCHES
        guess = (strategy.after if is_after else strategy.guess)(belief, rng, lab.ads[pages])
        predictions = np.zeros(base.shape)
        predictions[pages] = base[pages] * guess
        shown = lab.decide(predictions, requests=pages.tolist())
        if strategy.epsilon and not is_after:
            shown = _tried(lab, shown, belief, predictions, strategy.epsilon, rng)
        found.append(_told(lab, shown, belief))
        if not is_after:
            ads = lab.ads[shown.request, shown.place]
            exposure = STANDS_FOR * shown.clicked / belief.factor[ads]
            belief.learn(ads, rng.poisson(STANDS_FOR * shown.clicked).astype(np.float64), exposure)
    week, after = (np.sum(part, axis=0) for part in (found[:BATCHES], found[BATCHES:]))
    pages_of = np.array([BATCHES, AFTER]) / (BATCHES + AFTER) * len(lab.ads)
    return {
        "revenue, the week": float(week[0] / pages_of[0]),
        "clicks on new ads, the week": float(week[1] / pages_of[0]),
        "revenue, after it": float(after[0] / pages_of[1]),
        "clicks on new ads, after it": float(after[1] / pages_of[1]),
        "clicks, after it": float(after[2] / pages_of[1]),
    }


def _told(lab: Lab, shown: Shown, belief: Belief) -> tuple[float, float, float]:
    """Revenue in thousandths of the currency, clicks on new ads, clicks."""
    new = belief.new[lab.ads[shown.request, shown.place]]
    return float(1e-3 * lab.paid(shown).sum()), float(shown.clicked[new].sum()), float(shown.clicked.sum())


def _belief(lab: Lab, new: Bools, text: bool) -> Belief:
    """What old ads teach about a new one: how factors spread, and with `text` which words go with which factor."""
    factor = np.exp(lab.truth.quality)
    expected = _by_words(lab.catalog.categories["title"].tolist(), np.log(factor), ~new) if text else np.ones(len(new))
    spread = factor[~new] / expected[~new]
    shape = spread.mean() ** 2 / spread.var()
    return Belief(new, factor, np.full(len(new), shape), shape / (expected * spread.mean()))


def _by_words(titles: list[str], log_factor: Floats, known: Bools) -> Floats:
    """[num_ads] the factor that ridge regression on the words of the known ads' titles expects; of a known ad, on those of the other ads, or
    words would seem to say more than they do."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import cross_val_predict

    words, ridge = CountVectorizer(binary=True).fit_transform(titles), Ridge(alpha=3.0)
    expected = ridge.fit(words[known], log_factor[known]).predict(words)
    expected[known] = cross_val_predict(ridge, words[known], log_factor[known], cv=5)
    found: Floats = np.exp(expected)
    return found


def _tried(
    lab: Lab, shown: Shown, belief: Belief, predictions: Floats, epsilon: float, rng: np.random.Generator
) -> Shown:
    """The same pages; on a share of them the last slot goes to a new ad drawn from the candidates, which owes what the floor asks."""
    requests, first = np.unique(shown.request, return_index=True)
    last = np.append(first[1:], len(shown.request)) - 1
    pages = rng.random(len(requests)) < epsilon
    request, last = requests[pages], last[pages]
    draw = np.where(belief.new[lab.ads[request]], rng.random((len(request), lab.ads.shape[1])), -1.0)
    place = draw.argmax(axis=1)
    ads = lab.ads[request, place]
    there = np.array(
        [ad in lab.ads[at, shown.place[shown.request == at]] for at, ad in zip(request, ads, strict=True)], bool
    )
    usable = (draw.max(axis=1, initial=-1.0) >= 0) & ~there
    request, last, place, ads = request[usable], last[usable], place[usable], ads[usable]
    slot = last - first[pages][usable]
    columns = {name: column.copy() for name, column in vars(shown).items()}
    bid, cpm, floor = lab.catalog.bid_micros[ads], lab.cpm[ads], lab.rules.floor_micros / 1000
    columns["place"][last] = place
    columns["clicked"][last] = lab.clicks[request, place] * world.EXAMINED[slot]
    columns["price"][last] = np.where(cpm, 0, np.minimum(floor / predictions[request, place], bid))
    columns["charge"][last] = np.where(cpm, np.minimum(floor, bid / 1000), 0)
    return Shown(**columns)


EXPERIMENTS: Mapping[str, Experiment] = {"exploration": exploration}
