"""The parts of the experiments with planted answers; then each experiment, small: finite numbers, intervals in order, foils that lose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from common.contract import Events
from common.errors import InputError
from common.eval.chart import flips
from common.events import key_column
from harmful_content import data
from harmful_content.config import SMOKE
from harmful_content.experiments import (
    CHARTS,
    EXPERIMENTS,
    cascade,
    fairness,
    few_shot,
    functions,
    labelling,
    obfuscation,
    temporal,
)
from harmful_content.experiments.trained import fresh, trained
from harmful_content.world import TERMS, make

TINY = replace(SMOKE, num_users=400, num_posts=2_500, epochs=2)
OURS = ("obfuscation", "obfuscation_cost", "undisguised", "duplicates", "copies", "functions", "fairness", "fairness_repair", "trending", "active", "cascade", "sweep", "temporal")  # fmt: skip


@pytest.fixture(scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, constants in {
            few_shot: {"SHOTS": (5,), "DRAWS": 2, "POSTS": 1_500, "OLD": 300, "EPOCHS": 1},
            labelling: {"BUDGETS": (100, 150, 200), "SEEDS": 2, "CROWD": 300},
            fairness: {"RELABELLED": (50,), "DRAWS": 2, "REPS": 10},
        }.items():
            for name, value in constants.items():
                patch.setattr(module, name, value)
        yield
    trained.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", OURS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str) -> None:
    table = EXPERIMENTS[name](TINY)
    numbers = [value for row in table for value in row.values() if isinstance(value, int | float)]
    assert len(table) > 1 and all(map(math.isfinite, numbers)) and all(set(row) == set(table[0]) for row in table)
    assert all(row["low"] <= row["high"] for row in table if row.get("low") is not None)
    if name in CHARTS:
        flips(table, CHARTS[name])


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_what_must_hold_holds_however_little_was_learnt() -> None:
    copies = {str(row["posts"]): row for row in EXPERIMENTS["duplicates"](TINY)}
    assert copies["posted again as it was"]["matched"] == 1.0
    assert copies["text disguised in spaces"]["matched"] > 0.95 and copies["picture mirrored (foil)"]["matched"] < 0.2
    assert copies["picture a fifth darker"]["exact"] == 0.0 and copies["picture a fifth darker"]["matched"] > 0.9
    assert copies["10000 harmless of another world"]["matched"] < 0.01
    swept = EXPERIMENTS["sweep"](TINY)
    assert [row["encoded"] for row in swept[:2]] == [swept[0]["posts"], 0] and swept[1]["decisions_changed"] == 0
    assert str(swept[-1]["way"]).endswith("refused")
    cost = EXPERIMENTS["obfuscation_cost"](TINY)
    assert all(row["changed"] < 0.01 for row in cost[:-1]) and cost[-1]["changed"] > 0.1


def test_every_experiment_asks_in_one_line_and_real_data_is_turned_away() -> None:
    assert set(OURS) <= set(EXPERIMENTS) and set(CHARTS) <= set(EXPERIMENTS)
    assert all((EXPERIMENTS[name].__doc__ or "").split("\n")[0].endswith("?") for name in OURS)
    with pytest.raises(InputError, match="Leave --data out"):
        trained(replace(TINY, data="csv:nowhere"))


# ------------------------------------------------------------------------------------------------------------ fairness


def test_a_gap_is_the_difference_of_means_and_its_interval_covers() -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        user = rng.integers(0, 150, 900)
        ours = user % 3 == 0
        rate = np.where(ours, 0.3, 0.2) + 0.1 * np.sin(user)  # authors differ
        truth = rate[ours].mean() - rate[~ours].mean()
        values = (rng.random(900) < rate).astype(float)
        found = fairness.gap(values, ours, ~ours, user)
        assert math.isclose(found.value, values[ours].mean() - values[~ours].mean())
        covered += int(found.low is not None and found.high is not None and found.low <= truth <= found.high)
    assert covered >= 180


def test_rows_of_neither_group_move_no_gap() -> None:
    rng = np.random.default_rng(0)
    values, user, group = rng.random(300), rng.integers(0, 40, 300), rng.integers(0, 3, 300)
    one = fairness.gap(values, group == 0, group == 1, user)
    two = fairness.gap(np.where(group == 2, 99.0, values), group == 0, group == 1, user)
    assert one == two


# ----------------------------------------------------------------------------------------------- functions, obfuscation


def test_the_sentences_are_nobody_elses_and_mean_what_they_say() -> None:
    texts = {
        policy: {name: functions.sentences(policy, one)[0] for name, one in table.items()}
        for policy, table in functions.FUNCTIONS.items()
    }
    every = [
        text for table in texts.values() for name, part in table.items() if name != functions.KNOWN for text in part
    ]
    assert not set(every) & set(make(TINY).posts.text.tolist()), "no fit may have seen one"
    assert all(set(table) == set(functions.FUNCTIONS["violence"]) for table in functions.FUNCTIONS.values())
    for policy, table in texts.items():
        assert not any(term in text for text in table["no keyword"] for term in (*TERMS[policy][0], *TERMS[policy][1]))
    for name in functions.FUNCTIONS["violence"]:
        says = {functions.FUNCTIONS[policy][name].harmful for policy in functions.FUNCTIONS}
        assert len(says) == 1, name


def test_only_the_telling_words_are_disguised() -> None:
    text = "we will smash the velns at the mill"
    assert (
        obfuscation.disguise(text, frozenset({"smash"}), obfuscation.WAYS["digits"])
        == "we will 5m45h the velns at the mill"
    )


# ---------------------------------------------------------------------------------------------------- few-shot, active


def test_recall_at_a_precision_is_that_of_every_threshold_tried() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        scores, label = rng.integers(0, 8, 60).astype(float), rng.random(60) < 0.4
        tried = [(label[scores >= at].mean(), label[scores >= at].sum() / label.sum()) for at in np.unique(scores)]
        expected = max((recall for precision, recall in tried if precision >= few_shot.PRECISION), default=0.0)
        assert math.isclose(few_shot.recall_at(scores, label), expected)


def test_choices_of_posts_to_label_are_what_they_are_called() -> None:
    class Views:
        views = np.array([1.0, 100.0, 1.0, 1.0, 1.0])

        def __len__(self) -> int:
            return 5

    said = np.array([[0.9], [0.2], [0.55], [0.01], [0.02]])
    rest, rng = np.arange(1, 5), np.random.default_rng(0)
    chosen = {name: way(Views(), said, rest, 1, rng).tolist() for name, way in labelling.WAYS.items()}  # type: ignore[arg-type]
    assert chosen["uncertainty"] == [2] and chosen["expected harm"] == [1] and chosen["least likely (foil)"] == [3]
    assert chosen["diversity"] == [3], "farthest in log odds from the one that is labelled"
    assert chosen["by lot"][0] in rest


def test_fresh_posts_are_in_no_log_and_know_only_what_was_before_them() -> None:
    case = trained(TINY)
    begin, end = int(case.dataset.valid.event_time[0]), int(case.dataset.test.event_time[0])
    rows, posts = fresh(case, 200, begin, end, 1)
    events = case.dataset.history.events
    assert not np.isin(rows.post_id, key_column(events, "post_id")).any() and len(posts) == 200
    assert all(
        (events.event_time[:moment] < at).all()
        for moment, at in zip(rows.moment[::20], rows.event_time[::20], strict=True)
    )
    again, _ = fresh(case, 200, begin, end, 2)
    assert not np.isin(again.post_id, rows.post_id).any()


# -------------------------------------------------------------------------------------------------------------- cascade


def drawn(num: int) -> cascade.Posts:
    rng = np.random.default_rng(7)
    probability = rng.beta(0.3, 1.5, num)
    return cascade.Posts(rng.random(num) < probability, probability, np.arange(num))


def test_a_judge_who_is_always_right_leaves_only_its_price() -> None:
    posts = drawn(4_000)
    every = np.ones(4_000, dtype=bool)
    assert np.allclose(cascade.costs(posts, every, 1.0, 0), cascade.CHEAP + cascade.DEAR)


def test_what_a_judge_saves_is_what_the_sum_says() -> None:
    """Everything sent: costs are (1 - accuracy) of every post's mistake, in expectation."""
    posts, every = drawn(4_000), np.ones(4_000, dtype=bool)
    mistakes = np.where(posts.harmful, cascade.MISSED, cascade.WRONG_REMOVAL) * 0.2
    found = cascade.costs(posts, every, 0.8, 0) - cascade.CHEAP - cascade.DEAR
    assert abs(found.mean() - mistakes.mean()) < 0.01


def test_sending_the_unsure_beats_the_lot_and_a_poor_judge_stops_paying_sooner() -> None:
    posts, none = drawn(4_000), cascade.costs(drawn(4_000), np.zeros(4_000, dtype=bool), 1.0, 0)
    rng = np.random.default_rng(8)
    best = {}
    for accuracy in (0.7, 0.97):
        saved = {
            share: (none - cascade.costs(posts, cascade.unsure(posts.probability, share), accuracy, 0)).mean()
            for share in cascade.SHARES
        }
        best[accuracy] = max(saved, key=lambda share: saved[share])
        sent = cascade.unsure(posts.probability, 0.1)
        lot = (none - cascade.costs(posts, rng.permutation(sent), accuracy, 0)).mean()
        assert saved[0.0] == 0 and saved[0.1] > lot and sent.sum() == 400
    assert best[0.7] < best[0.97]


# ------------------------------------------------------------------------------------------------------------- temporal


def test_last_actions_are_those_a_reader_of_the_log_would_find() -> None:
    dataset = data.load(TINY)
    rows, events = dataset.train.take(np.arange(0, len(dataset.train), 40)), dataset.history.events
    found = temporal.last_actions(events, rows).reshape(len(rows), temporal.LAST, -1)
    for row in range(len(rows)):
        expected = by_hand(events, int(rows.user_id[row]), int(rows.moment[row]), int(rows.event_time[row]))
        assert np.allclose(found[row], expected)
    assert found[:, 0, 1:].any(axis=0).all(), "every kind of action was seen"


def by_hand(events: Events, user: int, moment: int, now: int) -> np.ndarray:
    out = np.zeros((temporal.LAST, 1 + temporal.NUM_KINDS))
    out[:, 0] = np.log1p(temporal.NEVER)
    kinds = {"impression": temporal.POSTED, "report": temporal.REPORTED}
    back = 0
    for at in range(moment - 1, -1, -1):
        kind = str(events.kind[at])
        if events.keys["user_id"][at] != user or kind not in (*kinds, "review") or back == temporal.LAST:
            continue
        which = kinds.get(kind, temporal.UPHELD if events.values["upheld"][at] else temporal.CLEARED)
        out[back, 0] = np.log1p((now - events.event_time[at]) / 3600)
        out[back, 1 + which] = 1
        back += 1
    return out
