"""What the model is told: positions, hashed ids, words of new ads, fresh counters, and what it must not be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.stream import SEEDS, compared, of_world, only_world, together, trees, worlds
from ad_click.experiments.tables import difference_of_means, loaded
from ad_click.features import Features, Inputs
from ad_click.model import fields, linear
from ad_click.model.fields import Fields, Rung, Seen
from ad_click.schema import Dataset, Rows
from ad_click.world.titles import appeal
from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.classification import log_loss_units
from common.features.encoders import hash_bucket
from common.population import normal

AGES = {"an hour old": 3600, "of last midnight": world.DAY, "three days old": 3 * world.DAY}
TABLES = (8, 10, 12, 14, 16, 18, 20)  # log2 of the rows of a hashing table
ACCURACIES = (0.0, 0.3, 0.6, 0.9)  # correlation of a stand-in judge with what words are really worth
PROMPT_WORDS = 100  # a judge reads so many words beside each title
PRICE = 1.0  # of a million words, in any currency: set your own


def position(config: Config) -> Table:
    """Where does the slot go? A feature that serving fixes to slot 0, or left out; on slots as the incumbent chose them and on drawn ones.

    `favour`: predictions over truth in slot 0 for the third of the ads that the incumbent showed highest, over that for the third it
    showed lowest; at 1 nobody gains from where it used to stand. The foil reads the slot and is served as if all were slot 0."""
    only_world(config)
    dataset, fitted, _ = loaded(config)
    seen, inputs = Seen.of(dataset, fitted), fitted.inputs(dataset.test, dataset.history)
    blind = replace(seen, inputs=seen.inputs.at("slot", 0.0), held_out=seen.held_out.at("slot", 0.0))
    reads, ignores = trees(seen, config), trees(blind, config)
    slot = dataset.test.numbers["slot"]
    drawn = np.random.default_rng([config.seed, 5]).permutation(slot)
    height = _height(dataset)
    table = []
    for name, slots in (("logged", slot), ("drawn", drawn)):
        numbers = inputs.numbers.copy()
        numbers[:, inputs.number_names.index("slot")] = slots
        scores = {
            f"slot read, {name} slots": reads.score(replace(inputs, numbers=numbers)),
            f"slot left out, {name} slots": ignores.score(inputs.at("slot", 0.0)),
            f"slot read, served as slot 0, {name} slots": reads.score(inputs.at("slot", 0.0)),
        }
        at_top = [reads.score(inputs.at("slot", 0.0)), ignores.score(inputs.at("slot", 0.0))]
        truth_at_top = _truth(config, dataset.test, np.zeros(len(slot)))
        rows = compared("slot", scores, _truth(config, dataset.test, slots), dataset.test.user_id)
        for row, found in zip(rows, (at_top[0], at_top[1], at_top[0]), strict=True):
            high, low = (found[third].sum() / truth_at_top[third].sum() for third in height)
            row["favour"] = float(high / low)
        table += rows
    return table


def hashing(config: Config) -> Table:
    """How small may the table of weights be? Logistic regression on ids and pairs of ids alone, all hashed into 2^bits rows.

    The first row has a weight for every value; the foil is the smallest table. `shared`: values that share their weight with another."""
    only_world(config)
    dataset, fitted, _ = loaded(config)
    seen, inputs = Seen.of(dataset, fitted), fitted.inputs(dataset.test, dataset.history)
    ids = Fields.fit(seen.inputs, bins=0)
    train, test = _values(ids, seen.inputs), _values(ids, inputs)
    known, exact = np.unique(train, return_inverse=True)
    at = np.searchsorted(known, test)
    place = np.where(known[np.minimum(at, len(known) - 1)] == test, at, len(known))
    scores = {"no hashing": _line(exact.reshape(train.shape), place, len(known) + 1, seen.label, config)}
    facts = [(0, len(known) + 1, 0.0)]
    for bits in TABLES:
        scores[f"2^{bits}"] = _line(
            hash_bucket(train, 2**bits), hash_bucket(test, 2**bits), 2**bits, seen.label, config
        )
        load = np.bincount(hash_bucket(known, 2**bits), minlength=2**bits)
        facts.append((bits, 2**bits, float(load[load > 1].sum() / len(known))))
    table = compared("table", scores, world.ceiling(config).score(dataset.test), dataset.test.user_id)
    return [
        row | {"bits": bits, "values": len(known), "shared": shared, "megabytes": 8 * width / 1e6}
        for row, (bits, width, shared) in zip(table, facts, strict=True)
    ]


def cold_start(config: Config) -> Table:
    """What do the words of an ad help, and whom? Trees with the text prior and without, on new ads, known ads, new people.

    The foil gives everybody the average click rate."""
    found: dict[str, list[Floats]] = {}
    truths, users, slices = [], [], []
    for here in worlds(config, SEEDS):
        dataset, fitted, key = loaded(here)
        wordless = replace(fitted, text_prior=np.zeros_like(fitted.text_prior))
        found.setdefault("with words", []).append(_fit_and_score(dataset, fitted, here))
        found.setdefault("without words", []).append(_fit_and_score(dataset, wordless, here))
        found.setdefault("average rate", []).append(np.full(len(dataset.test), dataset.train.label.mean()))
        truths.append(world.ceiling(here).score(dataset.test))
        users.append(of_world(here, key.user_id))
        slices.append(np.stack([key.slices["ad"], key.slices["user"]]))
    table = []
    scores, truth, user_id, (ad, user) = (
        _pooled(found),
        np.concatenate(truths),
        np.concatenate(users),
        np.hstack(slices),
    )
    for name, chosen in (("new ads", ad == "new"), ("known ads", ad == "known"), ("new people", user == "cold"), ("known people", user == "known")):  # fmt: skip
        rows = np.flatnonzero(chosen)
        here_only = {f"{name}, {way}": column[rows] for way, column in scores.items()}
        table += [row | {"rows": len(rows)} for row in compared("slice", here_only, truth[rows], user_id[rows])]
    return table


def text_prior(config: Config) -> Table:
    """What would a judge of an ad's words be worth? On new ads: a stand-in of stated accuracy in place of the prior learned from words.

    No language model runs here: the stand-in is the planted appeal of the words with noise, correlated `accuracy` with it. At accuracy 0
    it is the foil. The price is a sum: words read for a thousand ads, at PRICE a million words."""
    found: dict[str, list[Floats]] = {}
    truths, users, read, learned = [], [], 0.0, 0.0
    for here in worlds(config, SEEDS):
        dataset, fitted, key = loaded(here)
        rows, catalog = np.flatnonzero(key.slices["ad"] == "new"), dataset.catalog
        worth, noise = appeal(here.seed, catalog.ad_id), normal(here.seed, "ad_click.judge", catalog.ad_id)[:, 0]
        priors = {"no prior": np.zeros(len(catalog)), "learned from the words": fitted.text_prior}
        for accuracy in ACCURACIES:
            priors[f"stand-in judge, {accuracy:g}"] = accuracy * worth + np.sqrt(1 - accuracy**2) * noise
        for name, prior in priors.items():
            scores = _fit_and_score(dataset, replace(fitted, text_prior=prior), here)
            found.setdefault(name, []).append(scores[rows])
        truths.append(world.ceiling(here).score(dataset.test)[rows])
        users.append(of_world(here, key.user_id[rows]))
        learned += float(np.corrcoef(fitted.text_prior, worth)[0, 1]) / SEEDS
        read = 1000 * (PROMPT_WORDS + float(np.char.count(catalog.categories["title"], " ").mean()) + 1)
    accuracies = dict(zip(found, (0.0, learned, *ACCURACIES), strict=True))
    asked = {name: read if name.startswith("stand-in") else 0.0 for name in found}
    return [
        row | {"accuracy": accuracies[row["prior"]], "words_per_thousand_ads": asked[row["prior"]], "price_per_thousand_ads": PRICE * asked[row["prior"]] / 1e6}
        for row in compared("prior", _pooled(found), np.concatenate(truths), np.concatenate(users))
    ]  # fmt: skip


def leakage(config: Config) -> Table:
    """What does a leak look like? Rows held out at random or by time, features as of the moment or over the whole log.

    `offline`: log loss above the ceiling's on the rows held out, as a team would read it; `honest`: the same model on the days after,
    features as of the moment; `optimism`: honest minus offline, each user's rows of both together. Below zero offline, nobody can be that
    good: the foil, with the whole log, its own clicks included."""
    only_world(config)
    dataset, fitted, key = loaded(config)
    after = fitted.inputs(dataset.test, dataset.history)
    labelled = together([dataset.train, dataset.valid])
    by_time, end = np.arange(len(labelled)), len(dataset.history.events)
    orders = {"by time": by_time, "at random": np.random.default_rng([config.seed, 6]).permutation(by_time)}
    table = []
    for moments, rows in (
        ("as of the moment", labelled),
        ("whole log", replace(labelled, moment=np.full(len(labelled), end))),
    ):
        inputs = fitted.inputs(rows, dataset.history)
        for split, order in orders.items():
            train, held, judged = np.split(order, [int(0.7 * len(order)), int(0.85 * len(order))])
            label = rows.label
            seen = Seen(fields.rows(inputs, train), label[train], fields.rows(inputs, held), label[held])
            scorer = trees(seen, config)
            offline = _above(config, labelled.take(judged), label[judged], scorer.score(fields.rows(inputs, judged)))
            honest = _above(config, dataset.test, key.label, scorer.score(after))
            users = labelled.user_id[judged]
            optimism = difference_of_means(honest, offline, key.user_id, users)
            before, later = intervals.mean(offline, users), intervals.mean(honest, key.user_id)
            table.append({
                "rows_and_features": f"{split}, {moments}",
                "offline": before.value, "low": before.low, "high": before.high,
                "honest": later.value, "honest_low": later.low, "honest_high": later.high,
                "optimism": optimism.value, "optimism_low": optimism.low, "optimism_high": optimism.high,
            })  # fmt: skip
    return table


def counters(config: Config) -> Table:
    """What is freshness worth? Counters as they stream in, against batches an hour, a day and three days long, each trained as served.

    Another draw of the trees on the same inputs says how much of a difference is the fit's own noise. The foils: trained on streamed
    counters and served old ones, the skew that one feature code prevents."""
    found: dict[str, list[Floats]] = {}
    truths, users = [], []
    for here in worlds(config, SEEDS):
        dataset, fitted, _ = loaded(here)
        seen = Seen.of(dataset, fitted)
        fresh = trees(seen, here)
        other, inputs = trees(seen, replace(here, seed=here.seed + SEEDS)), fitted.inputs(dataset.test, dataset.history)
        found.setdefault("as they stream in", []).append(fresh.score(inputs))
        found.setdefault("the same, another draw", []).append(other.score(inputs))
        for name, period in AGES.items():
            batched = _batched(dataset, period)
            found.setdefault(name, []).append(_fit_and_score(batched, fitted, here))
            if period >= world.DAY:
                served = fresh.score(fitted.inputs(batched.test, dataset.history))
                found.setdefault(f"trained as they stream in, served {name}", []).append(served)
        truths.append(world.ceiling(here).score(dataset.test))
        users.append(of_world(here, dataset.test.user_id))
    return compared("counters", _pooled(found), np.concatenate(truths), np.concatenate(users))


def _pooled(found: Mapping[str, list[Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _fit_and_score(dataset: Dataset, fitted: Features, config: Config) -> Floats:
    scorer: Rung = trees(Seen.of(dataset, fitted), config)
    return scorer.score(fitted.inputs(dataset.test, dataset.history))


def _batched(dataset: Dataset, period: int) -> Dataset:
    """The same rows, with features as of when the last batch of `period` seconds was closed."""
    times = dataset.history.events.event_time

    def batched(rows: Rows) -> Rows:
        closed = np.searchsorted(times, rows.event_time // period * period)
        return replace(rows, moment=np.minimum(rows.moment, closed))

    return replace(dataset, train=batched(dataset.train), valid=batched(dataset.valid), test=batched(dataset.test))


def _truth(config: Config, rows: Rows, slots: Floats) -> Floats:
    return world.ceiling(config).score(replace(rows, numbers={**rows.numbers, "slot": slots}))


def _height(dataset: Dataset) -> tuple[Ints, Ints]:
    """Test rows of the third of the ads that stood highest in the training rows on average, and of the third that stood lowest."""
    shown = np.bincount(dataset.train.ad_id, minlength=len(dataset.catalog))
    slots = np.bincount(dataset.train.ad_id, dataset.train.numbers["slot"], minlength=len(dataset.catalog))
    mean = np.where(shown > 0, slots / np.maximum(shown, 1), np.nan)
    first, second = np.nanquantile(mean, (1 / 3, 2 / 3))
    of_row = mean[dataset.test.ad_id]
    return np.flatnonzero(of_row <= first), np.flatnonzero(of_row >= second)


def _values(ids: Fields, inputs: Inputs) -> Ints:
    """[n, columns] one number for each value of each id and of each named pair: what is hashed."""
    codes = ids.codes(inputs)
    pairs = [
        (ids.names.index(one), ids.names.index(two)) for one, two in linear.CROSSES if {one, two} <= set(ids.names)
    ]
    columns = [codes[:, at] for at in range(codes.shape[1])]
    columns += [codes[:, one] << 24 | codes[:, two] for one, two in pairs]
    return np.column_stack([place << 48 | column for place, column in enumerate(columns)])


def _line(train: Ints, test: Ints, width: int, label: Floats, config: Config) -> Floats:
    weights, intercept = linear.minimise(train, width, label, config.l2)
    scores: Floats = 1 / (1 + np.exp(-(weights[test].sum(axis=1) + intercept)))
    return scores


def _above(config: Config, rows: Rows, label: Floats, scores: Floats) -> Floats:
    """[n] log loss above the ceiling's on the same rows: comparable where the rows are not."""
    return log_loss_units(label, scores) - log_loss_units(label, world.ceiling(config).score(rows))


EXPERIMENTS: Mapping[str, Experiment] = {
    "position": position,
    "hashing": hashing,
    "cold_start": cold_start,
    "text_prior": text_prior,
    "leakage": leakage,
    "counters": counters,
}
