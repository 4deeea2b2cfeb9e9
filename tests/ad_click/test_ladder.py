"""The rungs against what they are written after: brute force, the written formula, a closed form, an independent library."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from ad_click import model
from ad_click.config import SMOKE
from ad_click.experiments import ladder, tables, variants
from ad_click.experiments.ladder import fitting, levels, rungs
from ad_click.features import Inputs
from ad_click.model import leaves, linear, matrix
from ad_click.model.fields import Fields, Seen, rows
from common.contract import Floats, Ints
from common.eval.classification import log_loss
from common.eval.report import Interval
from common.features.asof import AsOfStore
from common.size import num_lines
from common.training import loop


def planted(num_rows: int = 4_000, order: int = 1, seed: int = 0) -> Seen:
    """Three categories of 6 values and one number without a meaning; the sign of one value, or of the product of two, decides."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 7, (num_rows, 3))
    sign = np.where(codes % 2 == 0, 1.0, -1.0)
    label = (rng.random(num_rows) < 1 / (1 + np.exp(-2.5 * sign[:, :order].prod(axis=1)))).astype(float)
    inputs = Inputs(rng.normal(size=(num_rows, 1)), codes, ("noise",), ("topic_id", "device", "ad_id"), (7, 7, 7))
    half = num_rows // 2
    return Seen(rows(inputs, slice(half)), label[:half], rows(inputs, slice(half, None)), label[half:])


# ------------------------------------------------------------------------------------------------------------------------- fields


def test_fields_are_bins_and_codes() -> None:
    numbers = np.array([[1.0, 5.0], [2.0, 5.0], [np.nan, 5.0], [4.0, 5.0]])
    codes = np.array([[1, 1, 3], [1, 1, 3], [2, 2, 3], [3, 3, 3]])
    inputs = Inputs(numbers, codes, ("x", "constant"), ("ad_id", "campaign_id", "one_value"), (4, 4, 4))
    fields = Fields.fit(inputs, bins=3)
    assert fields.names == ("x", "ad_id"), "a constant says nothing, the campaign repeats the ad"
    assert fields.codes(inputs).tolist() == [[1, 1], [2, 1], [0, 2], [3, 3]]
    assert fields.places(inputs)[:, 1].min() >= fields.sizes[0], "two fields never share a weight"
    assert Fields.fit(inputs, bins=3, rare=2).codes(inputs)[:, 1].tolist() == [1, 1, 0, 0]


# ------------------------------------------------------------------------------------------------------------------------- linear


def test_ftrl_follows_the_closed_form_of_one_coordinate() -> None:
    """With one weight, the w after T rows is -z / ((beta + sqrt(n)) / alpha + l2), z and n summed by hand."""
    step, label = linear.Step(alpha=0.3, l2=0.5), np.array([1.0, 0.0, 1.0, 1.0])
    z = n = 0.0
    for y in label:
        w = -z / ((1.0 + n**0.5) / 0.3 + 0.5)
        g = 1 / (1 + np.exp(-w)) - y
        z, n = z + g - ((n + g * g) ** 0.5 - n**0.5) / 0.3 * w, n + g * g
    whole, parts = (np.zeros(1), np.zeros(1)), (np.zeros(1), np.zeros(1))
    linear.follow(*whole, np.empty((4, 0), np.int64), label, step)
    for part in (slice(1), slice(1, None)):
        linear.follow(*parts, np.empty((4, 0), np.int64)[part], label[part], step)
    assert np.allclose(whole, ([z], [n])) and np.array_equal(whole, parts), "and goes on from where it stood"
    assert linear.proximal(np.array([0.1, -2.0]), np.ones(2), linear.Step(alpha=1.0, l1=0.5)).tolist() == [0.0, 0.5]


def test_ftrl_without_steps_of_its_own_minimises_its_regret_bound() -> None:
    """Its weight is the minimiser of g w + sigma-weighted proximal terms + l2 w^2 / 2: checked by a grid over w."""
    step, rng = linear.Step(alpha=0.5, l2=1.0, l1=0.1), np.random.default_rng(1)
    gradients, weights, n, z = rng.normal(size=30), [], 0.0, 0.0
    sigmas = []
    for g in gradients:
        weights.append(linear.proximal(np.array([z]), np.array([n]), step)[0])
        sigmas.append(((n + g * g) ** 0.5 - n**0.5) / step.alpha)
        n, z = n + g * g, z + g - sigmas[-1] * weights[-1]
    grid = np.linspace(-3, 3, 60_001)
    bound = gradients.sum() * grid + step.l1 * np.abs(grid) + (step.l2 + step.beta / step.alpha) * grid**2 / 2
    bound += sum(s * (grid - w) ** 2 / 2 for s, w in zip(sigmas, weights, strict=True))
    assert linear.proximal(np.array([z]), np.array([n]), step)[0] == pytest.approx(grid[bound.argmin()], abs=2e-4)


def test_the_linear_rungs_agree_where_the_truth_is_linear_and_crosses_alone_see_a_product() -> None:
    seen = planted(20_000)  # one pass needs more rows than a minimum does
    loss = {
        "rate": log_loss(seen.held_label, linear.rate(seen, np.inf).score(seen.held_out)),
        "lr": log_loss(seen.held_label, linear.lr(seen, 1.0).score(seen.held_out)),
        "ftrl": log_loss(seen.held_label, linear.ftrl(seen, linear.Step(alpha=0.1)).score(seen.held_out)),
    }
    assert abs(loss["ftrl"] - loss["lr"]) < 0.02 < loss["rate"] - loss["lr"]
    product = planted(order=2)
    foil = log_loss(product.held_label, linear.lr(product, 1.0).score(product.held_out))
    assert log_loss(product.held_label, linear.crosses(product, 1.0).score(product.held_out)) < foil - 0.1


def test_a_rate_is_held_back_by_everybodys() -> None:
    seen = planted()
    few = replace(seen, inputs=rows(seen.inputs, slice(1)), label=np.ones(1))
    assert linear.rate(few, 1e-9).score(few.inputs)[0] == pytest.approx(1.0)
    many = linear.rate(replace(seen, label=np.concatenate([[1.0], np.zeros(len(seen.label) - 1)])), 1e9)
    assert many.score(seen.inputs) == pytest.approx(np.full(len(seen.label), 1 / len(seen.label)), rel=1e-3)


# -------------------------------------------------------------------------------------------------------------------------- trees


def test_leaves_become_one_hot() -> None:
    found = np.array([[0, 2, 1], [1, 0, 0]])
    places = leaves.one_hot(found, np.array([2, 3, 2]))
    wide = np.zeros((2, 7))
    np.put_along_axis(wide, places, 1.0, axis=1)
    assert wide.tolist() == [[1, 0, 0, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1, 0]]


@pytest.mark.slow
def test_trees_and_their_leaves_see_a_product_that_a_line_cannot() -> None:
    seen, config = planted(order=2), replace(SMOKE, num_trees=20, min_leaf=20, min_group=5, min_hessian=1.0)
    foil = log_loss(seen.held_label, linear.lr(seen, 1.0).score(seen.held_out))
    trees = leaves.gbdt(seen, leaves.Growth(8), config)
    over = leaves.gbdt_lr(seen, leaves.Growth(8, l2=10.0), config)
    for rung in (trees, over):
        assert log_loss(seen.held_label, rung.score(seen.held_out)) < foil - 0.1
    place = trees.leaves(seen.inputs)
    assert (place < over.sizes).all() and len(np.unique(place[:, 0])) > 1
    raw = trees.booster.predict(matrix(seen.inputs, trees.numbers, trees.few), raw_score=True)
    values = np.array([[trees.booster.get_leaf_output(t, leaf) for t, leaf in enumerate(row)] for row in place[:50]])
    assert np.allclose(values.sum(axis=1), raw[:50]), "the leaves are those the trees add up"


# ------------------------------------------------------------------------------------------------------------------------- neural


def test_fm_equals_the_double_sum_over_pairs() -> None:
    import torch

    from ad_click.model import neural

    v = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    brute = torch.stack([(v[:, i] * v[:, j]).sum(dim=1) for i, j in combinations(range(4), 2)]).sum(dim=0)
    assert torch.allclose(neural.pairwise(v), brute, atol=1e-5)
    squares = torch.stack([(v[:, i] * v[:, j]).sum(dim=1) for i in range(4) for j in range(4)]).sum(dim=0)
    assert not torch.allclose(neural.pairwise(v), squares, atol=1e-2), "a field is no pair with itself"


def test_cross_layers_are_the_written_formulas() -> None:
    import torch

    from ad_click.model import neural

    torch.manual_seed(0)
    x0, x = torch.randn(6, 5), torch.randn(6, 5)
    one, two = neural.Cross(5), neural.CrossV2(5)
    torch.nn.init.normal_(one.b)
    for row in range(6):
        outer = torch.outer(x0[row], x[row]) @ one.w + one.b + x[row]
        assert torch.allclose(one(x0, x)[row], outer, atol=1e-5)
        matrix = x0[row] * (two.linear.weight @ x[row] + two.linear.bias) + x[row]
        assert torch.allclose(two(x0, x)[row], matrix, atol=1e-5)
    with torch.no_grad():  # V2 with a matrix of equal rows is V1
        two.linear.weight.copy_(one.w.expand(5, 5))
        two.linear.bias.zero_()
        one.b.zero_()
    assert torch.allclose(one(x0, x), two(x0, x), atol=1e-5)


def test_deep_fm_shares_its_embeddings() -> None:
    import torch

    from ad_click.model import neural

    fields = Fields.fit(planted(200).inputs)
    module = neural.DeepFM(fields, neural.Setting(hidden=(8,), dropout=0.0)).eval()
    places = torch.from_numpy(fields.places(planted(200).inputs))
    whole = module(places)
    alone = neural.FM.logit(module, places, module.table(places)) + module.deep(module.table(places).flatten(1))[:, 0]
    assert torch.allclose(whole, alone + module.bias)
    assert sum(isinstance(part, torch.nn.Embedding) and part.embedding_dim > 1 for part in module.modules()) == 1


def test_a_tower_never_sees_the_pair() -> None:
    from ad_click.model import neural

    names = (
        "user.click",
        "ad.impression",
        "user_topic.click",
        "user_ad.hide",
        "topic.trend",
        "user_id",
        "ad_id",
        "slot",
    )
    user, ad = neural.tower_fields(names, False), neural.tower_fields(names, True)
    assert [names[at] for at in user] == ["user.click", "user_id", "slot"]
    assert [names[at] for at in ad] == ["ad.impression", "topic.trend", "ad_id"]


@pytest.mark.slow
def test_every_torch_rung_learns_what_its_order_allows() -> None:
    from ad_click.model import neural

    seen = planted(order=2)
    setting = neural.Setting(hidden=(16,), penalty=1e-4, learning_rate=1e-2, batch_size=256, patience=3, bins=0)
    foil = log_loss(seen.held_label, linear.lr(seen, 1.0).score(seen.held_out))
    for name, kind in neural.KINDS.items():
        net = neural.fit(seen, kind, setting)
        assert log_loss(seen.held_label, net.score(seen.held_out)) < foil - 0.1, name
        best = min(row["valid"] for row in net.history)
        assert best == pytest.approx(log_loss(seen.held_label, net.score(seen.held_out)), abs=1e-6), (
            "the best epoch is kept"
        )
    hashed = neural.fit(seen, neural.FM, replace(setting, buckets=64))
    assert log_loss(seen.held_label, hashed.score(seen.held_out)) < foil - 0.1
    crowded = neural.fit(seen, neural.FM, replace(setting, buckets=2))
    assert log_loss(seen.held_label, crowded.score(seen.held_out)) > foil - 0.1, "two rows of a table hold nothing"


@pytest.mark.slow
def test_a_third_order_is_seen_by_cross_layers_and_by_no_machine_of_pairs() -> None:
    from ad_click.model import neural

    seen = planted(order=3)
    setting = neural.Setting(
        size=8, hidden=(32,), dropout=0.0, penalty=1e-5, learning_rate=1e-2, batch_size=256, patience=3, bins=0
    )
    loss = {
        kind: log_loss(seen.held_label, neural.fit(seen, neural.KINDS[kind], setting).score(seen.held_out))
        for kind in ("FM", "DCN")
    }
    assert loss["DCN"] < 0.4 and loss["FM"] == pytest.approx(np.log(2), abs=0.02), "two of the three say nothing"


@pytest.mark.slow
def test_nothing_but_the_penalty_holds_embeddings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for a value that no row has keeps the embedding it was drawn with; AdamW's own decay would shrink it."""
    import torch

    from ad_click.model import neural

    seen, setting = planted(), neural.Setting(penalty=0.0, learning_rate=0.1, epochs=2, bins=0)

    def moved(setting: neural.Setting) -> float:
        net = neural.fit(seen, neural.NN, setting)
        torch.manual_seed(setting.seed)
        drawn, now = neural.NN(net.fields, setting).table.weight, net.module.table.weight
        unseen = np.cumsum(net.fields.sizes) - net.fields.sizes
        return float((now - drawn).detach()[unseen].abs().max())

    assert moved(setting) == 0 < moved(replace(setting, penalty=1.0))
    train = loop.train
    monkeypatch.setattr(loop, "train", lambda *args, **named: train(*args, **{**named, "weight_decay": 0.01}))
    assert moved(setting) > 0


def test_a_fit_that_fails_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ad_click.model import neural

    def diverges(*args: object, **named: object) -> None:
        assert torch.get_num_threads() == 1 and torch.tensor(1e-40) * 1 == 0, "denormals are flushed"
        raise FloatingPointError

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(loop, "train", diverges)
    with pytest.raises(FloatingPointError):
        neural.fit(planted(100), neural.FM, neural.Setting())
    assert torch.get_num_threads() == 2 and torch.tensor(1e-40) * 1 > 0
    torch.set_num_threads(before)


# -------------------------------------------------------------------------------------------------------------------------- ladder


def test_tuning_keeps_the_trial_that_validates_best() -> None:
    seen = planted()
    entry = rungs.Entry(name="LR", fit=linear.lr, trials=(1e6, 1.0), refresh=rungs.FULL, code=(linear.lr,))
    loss = {
        trials: log_loss(seen.held_label, fitting.tuned(entry, trials, seen).score(seen.held_out))
        for trials in ((1e6,), (1.0,), (1e6, 1.0))
    }
    assert loss[1e6, 1.0] == loss[1.0,] < loss[1e6,]


@pytest.mark.slow
def test_rungs_are_held_against_the_model_that_saw_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        SMOKE, num_users=500, num_ads=60, num_advertisers=10, num_impressions=30_000, num_trees=20, preset="demo"
    )
    some = [entry for entry in rungs.entries(config) if entry.name in ("global rate", "LR", "GBDT")]
    monkeypatch.setattr(ladder, "entries", lambda config: some)
    table = {row["model"]: row for row in ladder.ladder(config)}
    assert list(table) == [rungs.MODEL, rungs.SERVED, "global rate", "LR", "GBDT"]
    assert [row["trials"] for row in table.values()] == [2, 1, 1, 2, 2]
    dataset, fitted, key = tables.loaded(config)
    loss = {}
    for name, changed in (
        ("all rows", {}),
        ("many leaves", {"refit": False}),
        ("half", {"refit": False, "num_leaves": 7}),
    ):
        scorer = model.fit(dataset, fitted, replace(config, **changed))
        loss[name] = log_loss(key.label, scorer.score(fitted.inputs(dataset.test, dataset.history)))
    assert table[rungs.SERVED]["log_loss"] == loss["all rows"] != table[rungs.MODEL]["log_loss"]
    assert (
        table[rungs.MODEL]["log_loss"] in (loss["many leaves"], loss["half"])
        and table[rungs.MODEL]["against_model"] == 0
    )
    assert table["global rate"]["low"] > 0, "the foil"
    assert not [row for row in ladder.ladder(replace(config, refit=False)) if row["model"] == rungs.SERVED]


def test_lines_are_of_code_alone() -> None:
    assert num_lines(linear.lr) == 2, "a def and a return: the docstring is no code"
    assert num_lines(linear.lr, linear.lr) == 2 < num_lines(linear.lr, linear.crosses)


def test_every_rung_of_the_issue_is_there_with_as_many_trials() -> None:
    found = {entry.name: entry for entry in rungs.entries(SMOKE)}
    assert list(found) == [
        "global rate", "ad rate", "LR", "crosses + LR", "FTRL online", "GBDT", "GBDT + LR on leaves",
        "NN", "two-tower", "FM", "DeepFM", "DCN", "DCN-V2",
    ]  # fmt: skip
    assert {len(entry.trials) for name, entry in found.items() if name != "global rate"} == {2}


def test_rank_agreement_of_what_is_on_file(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {f"rung {place}": float(place) for place in range(12)}
    turned = {name: -value for name, value in losses.items()}
    for other, expected in ((losses, 1.0), (turned, -1.0)):
        on_file = {"ladder": losses, "ladder.frappe": other}
        monkeypatch.setattr(levels, "_column", lambda name, column, on_file=on_file: on_file[name])
        kendall, random = levels.rank_agreement(SMOKE)[:2]
        assert kendall["agreement"] == pytest.approx(expected)
        assert not random["low"] < kendall["agreement"] < random["high"] and abs(random["agreement"]) < 0.1


# ---------------------------------------------------------------------------------------------------------------- the small worlds


@pytest.mark.parametrize("order", variants.CLAIMS)
def test_a_small_world_has_one_order_of_interaction(order: str) -> None:
    world = variants.plant(order, 60_000, seed=3)
    assert 0.2 < world.label.mean() < 0.4
    codes, logit = world.test.codes, np.log(world.probability / (1 - world.probability))
    one, two = (1 - _within(logit, codes[:, at]) / logit.var() for at in ([2], [1, 2]))
    if order == "linear":
        assert one > 0.05
    if order == "pairwise":
        assert one < 0.05 < two, "one field alone says nothing"
    if order == "third":
        assert one < 0.05 and two < 0.05, "nor do two"
        assert _within(logit, codes) < 1e-9, "three say all"


def _within(values: Floats, groups: Ints) -> float:
    """The variance that is left within the groups of equal rows, free of the chance of small groups."""
    _, at = np.unique(groups, axis=0, return_inverse=True)
    count, total, square = (np.bincount(at, weights) for weights in (np.ones(len(values)), values, values**2))
    return float((square - total**2 / count).sum() / (len(values) - len(count)))


def test_a_claim_holds_by_its_whole_interval() -> None:
    below, across, above = (Interval(value=v, low=v - 0.1, high=v + 0.1, n=50) for v in (-0.2, 0.05, 0.2))
    assert [variants.holds("third", one) for one in (below, across, above)] == [True, False, False]
    assert [variants.holds("linear", one) for one in (below, across, above)] == [True, True, False]


@pytest.mark.slow
def test_the_order_decides_which_rung_wins() -> None:
    loss = {}
    for order in ("pairwise", "linear"):
        world = variants.plant(order, 40_000, seed=1)
        for name in ("LR", "FM"):
            loss[order, name] = log_loss(world.label, variants.fit(name, world.seen, SMOKE).score(world.test))
    assert loss["pairwise", "FM"] < loss["pairwise", "LR"] - 0.02
    assert loss["linear", "LR"] < loss["linear", "FM"], "the foil: no pair is planted here"


def test_what_is_on_file_holds_what_was_planted() -> None:
    from common.commands import report

    path = report.folder() / "ad_click.experiments" / "planted_orders.json"
    found = {row["world"]: row for row in report.read(path)["rows"]}
    assert {world: row["holds"] for world, row in found.items()} == dict.fromkeys(variants.CLAIMS, "5 of 5")
    assert all(0.2 < row["clicked"] < 0.4 for row in found.values())
    assert all(row["truth"] < min(row[name] for name in variants.RUNGS) for row in found.values()), (
        "the truth is a bound"
    )


def test_real_data_without_a_clock_leave_the_rungs_their_ids() -> None:
    from common.features.leave_one_out import LeaveOneOutStore

    inputs = planted(50).inputs
    assert ladder.ids_alone(inputs, LeaveOneOutStore.__new__(LeaveOneOutStore)).numbers.shape == (len(inputs), 0)
    assert ladder.ids_alone(inputs, AsOfStore.__new__(AsOfStore)) is inputs
    frappe = [entry.name for entry in rungs.entries(replace(SMOKE, data="frappe:somewhere"))]
    assert set(frappe) - {entry.name for entry in rungs.entries(SMOKE)} == {rungs.FM_CUT_OFF}
