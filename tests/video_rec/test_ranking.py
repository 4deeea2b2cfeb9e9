"""The ranker: planted answers, heads that mean what they say, files that are refused, and the experiments' worlds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch

from common.contract import Floats, Ints
from common.errors import InputError
from common.size import num_lines
from video_rec.config import SMOKE
from video_rec.experiments import conflict, rankers, weights
from video_rec.model import ranking
from video_rec.model.ranking import Ranker, networks, trees
from video_rec.schema import TASKS

KINDS = tuple(ranking.FITTERS)
SMALL = replace(SMOKE, num_users=400, num_videos=800, num_impressions=20_000, num_judged=150, num_candidates=150)
CONFIG = replace(SMOKE, batch_size=256, ranker_epochs=12)
WATCHED_ONLY = ("completed", "liked", "shared", "watch_seconds")


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def planted(n: int, seed: int) -> tuple[Floats, dict[str, Floats]]:
    """Chances of each task are known; seconds scatter more where they are long, so that one smear from residuals would be wrong."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, 6))
    a, b, c = dense[:, 0], dense[:, 1], dense[:, 2]
    logits = {"clicked": a - 1, "completed": b, "liked": c - 1.5, "shared": b + c - 2.5, "hidden": -a - 3}
    labels = {task: (rng.random(n) < sigmoid(logits[task])).astype(float) for task in TASKS if task in logits}
    spread = 0.3 + 0.5 * sigmoid(2 * b)
    labels["watch_seconds"] = np.round(np.exp(3 + b + spread * rng.normal(size=n)))
    return dense, {t: np.where(labels["clicked"] > 0, x, np.nan) if t in WATCHED_ONLY else x for t, x in labels.items()}


def fitted(kind: str, n: int, **labels: Floats) -> Ranker:
    dense, known = planted(n, 0)
    return ranking.fit(dense, known | labels, np.arange(n) // 3, replace(CONFIG, ranker=kind))


@pytest.fixture(scope="module")
def all_kinds() -> Mapping[str, Ranker]:
    return {kind: fitted(kind, 9_000) for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_every_head_is_that_of_its_labels(all_kinds: Mapping[str, Ranker], kind: str) -> None:
    """On rows no fit has seen, where the task's label is known; and the heads tell rows apart, which a constant would not."""
    dense, labels = planted(40_000, 1)
    predicted = all_kinds[kind].predict(dense)
    assert set(predicted) == set(TASKS)
    for task, found in predicted.items():
        known = np.isfinite(labels[task])
        assert 0.9 < found[known].mean() / labels[task][known].mean() < 1.1, task
        assert np.corrcoef(found[known], labels[task][known])[0, 1] > 0.1, task


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_seconds_without_the_smear_are_too_few(all_kinds: Mapping[str, Ranker], kind: str) -> None:
    """The control: exp of a mean of logs. And the smear changes no order."""
    dense, labels = planted(40_000, 1)
    known = np.isfinite(labels["watch_seconds"])
    right, bare = all_kinds[kind], replace(all_kinds[kind], smear=1.0)
    ratio = bare.predict(dense)["watch_seconds"][known].mean() / labels["watch_seconds"][known].mean()
    assert right.smear > 1.1 and ratio < 0.9
    asked = {"watch_seconds": 1.0}
    scores = [replace(one, weights=asked).score(dense[:500]) for one in (right, bare)]
    assert np.array_equal(*(np.argsort(score, kind="stable").tolist() for score in scores))


def test_settling_moves_a_level_that_is_wrong_and_nothing_else() -> None:
    """Over all rows the means meet, a task without a yes stays near no, and the order of the rows is as before."""
    dense, labels = planted(2_000, 0)
    labels["hidden"] = np.zeros(2_000)
    target = np.stack([np.log1p(labels[task]) if task == "watch_seconds" else labels[task] for task in TASKS], axis=1)
    torch.manual_seed(0)
    heads, rows = networks.Heads(networks.SharedBottom(6, len(TASKS)), len(TASKS)), torch.from_numpy(dense).float()
    before = heads(rows).detach().numpy()
    heads.settle(rows, target)
    after = heads(rows).detach().numpy()
    assert np.ptp(after - before, axis=0).max() < 1e-4 < np.abs(after - before).max()
    for place, task in enumerate(TASKS):
        known = np.isfinite(target[:, place])
        said = after[:, place] if task == "watch_seconds" else sigmoid(after[:, place])
        assert abs(said[known].mean() - target[known, place].mean()) < 1e-3, task


@pytest.mark.slow
def test_a_head_that_takes_unknown_for_no_says_too_little() -> None:
    """The control of the ratio: what was not watched counted as not completed."""
    dense, labels = planted(40_000, 1)
    wrong = fitted("shared_bottom", 9_000, completed=np.nan_to_num(planted(9_000, 0)[1]["completed"]))
    known = np.isfinite(labels["completed"])
    assert wrong.predict(dense)["completed"][known].mean() / labels["completed"][known].mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_reloaded_ranker_scores_the_same_and_saves_the_same(
    all_kinds: Mapping[str, Ranker], kind: str, tmp_path: Path
) -> None:
    dense, _ = planted(3_000, 2)
    before, (first, second) = all_kinds[kind], (tmp_path / "first", tmp_path / "second")
    for folder in (first, second):
        folder.mkdir()
    before.save(first)
    after = ranking.load(first)
    after.save(second)
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}
    for rows in (dense[:1], dense[:500], dense):
        assert np.array_equal(before.score(rows), after.score(rows))
    assert before.weights == after.weights


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_torn_files_are_refused(all_kinds: Mapping[str, Ranker], kind: str, tmp_path: Path) -> None:
    """Each file cut anywhere, and one byte of it turned; whole again, it loads."""
    all_kinds[kind].save(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            with pytest.raises(InputError, match=r"ranker|trees"):
                ranking.load(tmp_path)
        path.write_bytes(whole)
    ranking.load(tmp_path)


@pytest.mark.slow
def test_files_of_another_ranker_are_refused(all_kinds: Mapping[str, Ranker], tmp_path: Path) -> None:
    all_kinds["mmoe"].save(tmp_path)
    about = json.loads((tmp_path / "ranker.json").read_text())
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "shared_bottom"}, "not a whole shared_bottom"),
        ({"kind": "transformer"}, "no ranker 'transformer'"),
        ({"tasks": ["clicked"]}, "learned"),
        ({"smear": None}, "not a whole ranker"),
        ({"weights": {"clicked": "much"}}, "not a whole ranker"),
        ({"weights": {"bought": 1.0}}, "weighs"),
    ]
    for change, said in wrong:
        (tmp_path / "ranker.json").write_text(json.dumps(about | change))
        with pytest.raises(InputError, match=said):
            ranking.load(tmp_path)


@pytest.mark.slow
def test_trees_of_one_request_score_as_lightgbm_does(all_kinds: Mapping[str, Ranker]) -> None:
    """LightGBM itself is the oracle, task by task, bit for bit."""
    dense, _ = planted(700, 3)
    found = all_kinds["lightgbm"].predictor
    assert isinstance(found, trees.Trees)
    predicted = found.predict(dense, TASKS)
    for task, text in found.texts.items():
        raw = np.asarray(lightgbm.Booster(model_str=text).predict(dense, raw_score=True))
        assert np.array_equal(predicted[task], raw if task == "watch_seconds" else sigmoid(raw)), task


def test_an_unknown_ranker_is_refused_before_anything_is_learned() -> None:
    dense, labels = planted(10, 0)
    with pytest.raises(InputError, match=r"no ranker 'mmeo'.*mmoe"):
        ranking.fit(dense, labels, np.arange(10), replace(CONFIG, ranker="mmeo"))


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_one_label_and_no_label_are_learned_from(kind: str) -> None:
    """Twenty rows of one user, nobody hid anything, nothing is known of likes."""
    dense, labels = planted(20, 0)
    labels |= {"hidden": np.zeros(20), "liked": np.full(20, np.nan)}
    found = ranking.fit(dense, labels, np.zeros(20, np.int64), replace(CONFIG, ranker=kind))
    assert "liked" not in found.weights and "hidden" in found.weights
    assert np.isfinite(found.score(dense)).all() and found.predict(dense)["hidden"].max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_ranker(kind: str) -> None:
    dense, labels = planted(600, 0)
    users: Ints = np.arange(600)
    first, second = (ranking.fit(dense, labels, users, replace(CONFIG, ranker=kind)) for _ in range(2))
    assert np.array_equal(first.score(dense), second.score(dense))


def test_the_score_is_the_weighted_sum_and_asks_for_no_more() -> None:
    class Known:
        asked: tuple[str, ...] = ()

        def predict(self, dense: Floats, tasks: tuple[str, ...]) -> dict[str, Floats]:
            self.asked = tasks
            return {task: np.full(len(dense), 0.1 * (1 + TASKS.index(task))) for task in tasks}

        def save(self, folder: Path) -> None: ...

    known = Known()
    found = Ranker(known, "known", {"clicked": 2.0, "completed": 0.0, "watch_seconds": -1.0}, smear=3.0)
    log_seconds = np.log1p(3.0 * np.exp(0.1 * (1 + TASKS.index("watch_seconds"))) - 1)
    assert np.allclose(found.score(np.zeros((4, 2))), 2.0 * 0.1 - 0.1 * log_seconds)  # seconds follow one click in ten
    assert known.asked == ("clicked", "watch_seconds")


def test_experts_are_mixed_as_the_paper_says() -> None:
    """The sum over experts of gate times expert, written out; gates add up to one, and no task hears another's gate."""
    torch.manual_seed(0)
    body, dense = networks.MMoE(5, 3, width=4, num_experts=2), torch.randn(7, 5)
    shares = body.shares(dense)
    assert torch.allclose(shares.sum(dim=-1), torch.ones(7, 3))
    for task in range(3):
        logits = dense @ body.gates.weight[2 * task : 2 * task + 2].T
        gate = torch.softmax(logits, dim=1)
        mixed = sum(gate[:, [at]] * expert(dense) for at, expert in enumerate(body.experts))
        assert isinstance(mixed, torch.Tensor)
        assert torch.allclose(body(dense)[:, task], mixed, atol=1e-6)


def test_a_task_of_its_own_network_learns_from_its_own_label_alone() -> None:
    """Against the shared bottom, where the other tasks' labels move what a task says."""
    dense, labels = planted(1_500, 0)
    turned = labels | {"hidden": 1 - labels["hidden"]}
    moved = {}
    for kind in ("single_task", "shared_bottom"):
        config = replace(CONFIG, ranker=kind, ranker_epochs=1)
        one, other = (ranking.fit(dense, given, np.arange(1_500), config).predict(dense) for given in (labels, turned))
        moved[kind] = float(np.abs(one["clicked"] - other["clicked"]).max())
    assert moved["single_task"] < 1e-6 < moved["shared_bottom"]


def test_experts_have_about_as_many_numbers_to_learn_as_one_bottom() -> None:
    sizes = {
        kind: sum(p.numel() for p in networks.Heads(networks.BODIES[kind](46, 6), 6).parameters())
        for kind in ("shared_bottom", "mmoe")
    }
    assert abs(sizes["mmoe"] / sizes["shared_bottom"] - 1) < 0.15, sizes


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_tasks_are_as_alike_as_asked(correlation: float) -> None:
    """Directions recovered by least squares: their cosine is the knob."""
    features, clean = conflict.drawn_tasks(correlation, 0, 40_000)
    directions = np.linalg.lstsq(features, clean, rcond=None)[0]
    directions /= np.linalg.norm(directions, axis=0)
    off = (directions.T @ directions)[~np.eye(clean.shape[1], dtype=bool)]
    assert np.allclose(off, correlation, atol=0.1)
    assert np.allclose(clean.std(axis=0), 1)


def test_lines_of_code_leave_out_what_is_said_about_it() -> None:
    def bare(x: int) -> int:
        return x

    def told(x: int) -> int:
        """What it
        does."""
        # and why

        return x

    assert num_lines(bare) == num_lines(told) == 2
    assert num_lines(bare, told) == 4


@pytest.mark.slow
def test_a_feed_asked_for_clicks_gets_the_most_of_them() -> None:
    """Along the frontier clicks fall; without a ranker there are fewer than at its start; nobody completes what was not clicked."""
    table = {row["weight of completed"]: row for row in weights.weights(SMALL)}
    clicks = [table[f"{share:g}"]["clicked"] for share in weights.SHARES]
    assert clicks[0] > 0.99 * max(clicks) and clicks[0] > clicks[-1] and clicks[0] > table[rankers.NO_RANKER]["clicked"]
    assert all(row["completed"] < row["clicked"] < SMALL.feed_size for row in table.values())
    assert table["0"]["against first"] == 0 and table[rankers.NO_RANKER]["high"] < 0


def test_what_only_the_world_can_say_is_not_asked_of_real_data() -> None:
    with pytest.raises(InputError, match="only the world"):
        weights.weights(replace(SMALL, data="microlens:somewhere"))
