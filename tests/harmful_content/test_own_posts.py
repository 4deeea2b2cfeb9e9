"""One's own posts: text, pictures, one label column or several, cells that nobody filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.contract import Floats
from common.errors import InputError
from common.lifecycle.registry import Registry
from harmful_content import data, evaluate, pipeline
from harmful_content.baseline.questions import Questions
from harmful_content.config import SMOKE, Config
from harmful_content.model import finetuned

NAMES = ("dark", "loud")


def own_folder(folder: Path, num: int = 900, missing: float = 0.5, seed: int = 0, zeros: bool = False) -> Path:
    """Posts that are dark, or loud, or both, each by words of its own; `missing` of the cells are empty, or say 0 where `zeros`."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    truth = rng.random((num, len(NAMES))) < 0.4
    texts = []
    for row in truth:
        words = [f"word{number}" for number in rng.integers(0, 40, 6)]
        words += [f"{name}{rng.integers(3)}" for name, is_so in zip(NAMES, row, strict=True) if is_so]
        texts.append(" ".join(rng.permutation(words)))
    table = pd.DataFrame(
        {"said": texts, "part": np.array(["train", "train", "train", "dev", "test"])[np.arange(num) % 5]}
    )
    for at, name in enumerate(NAMES):
        cells = truth[:, at].astype(float)
        cells[(rng.random(num) < missing) & (table.part != "test")] = 0.0 if zeros else np.nan
        table[f"hand.{name}"] = cells
    table["slice.length"] = np.where(rng.random(num) < 0.5, "long", "short")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "posts.parquet")
    lines = [
        "[roles]",
        'text = "said"',
        'split = "part"',
        "[columns]",
        *(f'"hand.{name}" = "number"' for name in NAMES),
    ]
    (folder / "schema.toml").write_text("\n".join([*lines, '"slice.length" = "category"']) + "\n")
    return folder / "posts.parquet"


def config_of(path: Path) -> Config:
    return replace(SMOKE, data=f"parquet:{path}", reads="text", epochs=10)


def test_empty_cells_are_unknown_and_say_nothing_of_a_post(tmp_path: Path) -> None:
    dataset, key = data.load(config_of(own_folder(tmp_path))), data.judgments(config_of(own_folder(tmp_path)))
    label, weight = dataset.train.targets(3.0)
    unknown = np.isnan(dataset.train.hand_label)
    assert 0.4 < unknown.mean() < 0.6 and np.array_equal(weight == 0, unknown) and not label[unknown].any()
    assert key.policies == NAMES and set(np.unique(key.slices["length"])) == {"long", "short"}
    assert not np.isnan(key.label).any() and dataset.train.user_id.tolist() != [0] * len(dataset.train)


@pytest.mark.slow
def test_half_of_the_cells_missing_costs_little_and_counting_them_as_no_costs_much(tmp_path: Path) -> None:
    """The control: the same folder with 0 in the place of every empty cell. What it learns is half too shy."""
    mean = {}
    for name, zeros in (("masked", False), ("counted", True)):
        config = config_of(own_folder(tmp_path / name, zeros=zeros))
        result = pipeline.run(config, Registry(tmp_path / "runs"))
        mean[name] = [result.reports[which].metrics["calibration_ratio"].value for which in ("baseline", "model")]
        assert result.reports["model"].metrics["pr_auc"].value > 0.9
    assert max(abs(ratio - 1) for ratio in mean["masked"]) < 0.15
    assert max(mean["counted"]) < 0.75


def test_an_unknown_label_moves_neither_the_loss_nor_its_slope_and_a_no_does() -> None:
    questions = Questions.of(("a", "b=one", "b=two", "b=three"))
    rng = np.random.default_rng(1)
    label = np.zeros((12, 4))
    label[:, 0] = rng.integers(0, 2, 12)
    label[np.arange(12), rng.integers(1, 4, 12)] = 1
    weight = np.ones((12, 4))
    weight[:5] = 0
    logits = torch.from_numpy(rng.normal(size=(12, questions.num_outputs)).astype(np.float32)).requires_grad_()

    def found(label: Floats, weight: Floats) -> tuple[float, torch.Tensor]:
        answer, asked = (torch.from_numpy(column.astype(np.float32)) for column in questions.targets(label, weight))
        value = finetuned.loss(logits, answer, asked, [torch.ones(3)], questions)
        (slope,) = torch.autograd.grad(value, logits)
        return float(value.detach()), slope

    value, slope = found(label, weight)
    other = np.where(weight > 0, label, 1 - label)
    assert found(other, weight)[0] == pytest.approx(value) and not slope[:5].any() and slope[5:].any()
    assert found(np.where(weight > 0, label, 0), np.ones((12, 4)))[0] != pytest.approx(value, abs=0.01)


def test_a_category_column_is_a_task_of_which_exactly_one_class_is_true(tmp_path: Path) -> None:
    rows = [f"text {at},{('red', 'green', 'blue', '')[at % 4]},{('train', 'dev', 'test')[at % 3]}" for at in range(60)]
    (tmp_path / "posts.csv").write_text("text,label.colour,split\n" + "\n".join(rows) + "\n")
    schema = '[roles]\ntext = "text"\nsplit = "split"\n[columns]\n"label.colour" = "category"\n'
    (tmp_path / "schema.toml").write_text(schema)
    config = replace(SMOKE, data=f"csv:{tmp_path / 'posts.csv'}", task="colour", reads="text")
    dataset, key = data.load(config), data.judgments(config)
    assert key.policies == ("colour=blue", "colour=green", "colour=red")
    known = ~np.isnan(key.label)
    assert known.any(axis=1).mean() == 0.75 and np.array_equal(known.any(axis=1), known.all(axis=1))
    assert (key.label[known.all(axis=1)].sum(axis=1) == 1).all()
    report = evaluate.evaluate(np.nan_to_num(key.label), key, config)
    assert report.metrics["macro_f1"].value == 1.0 and report.metrics["macro_f1"].n == 15
    data.write(dataset, key, tmp_path / "back")
    back = data.load(replace(config, data=f"csv:{tmp_path / 'back'}"))
    assert np.array_equal(back.train.hand_label, dataset.train.hand_label, equal_nan=True)
    assert back.catalog.policy.tolist() == list(key.policies)
    (tmp_path / "schema.toml").write_text(
        schema.replace('split = "split"\n', "").replace('"category"', '"category"\nsplit = "ignore"')
    )
    with pytest.raises(InputError, match="neither the role event_time nor split"):
        data.load(config)


@pytest.mark.parametrize(
    "path", ["../secret.png", "images/../../secret.png", "/etc/hostname", "link.png", "linked/secret.png", "loop.png"]
)
def test_a_picture_outside_the_folder_is_refused_by_its_row(tmp_path: Path, path: str) -> None:
    from PIL import Image

    folder, outside = tmp_path / "posts", tmp_path / "outside"
    for each in (folder / "images", outside):
        each.mkdir(parents=True)
    for place in (tmp_path / "secret.png", outside / "secret.png", folder / "images" / "fine.png"):
        Image.new("RGB", (40, 40), (200, 30, 30)).save(place)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(outside)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    head = '[roles]\ntext = "text"\nsplit = "split"\nimage = "image"\nlabel = "label"\n'
    (folder / "schema.toml").write_text(head)
    lines = [f"text {at},{('train', 'dev', 'test')[at % 3]},images/fine.png,{at % 2}" for at in range(12)]
    (folder / "rows.csv").write_text("text,split,image,label\n" + "\n".join(lines) + "\n")
    config = replace(SMOKE, data=f"csv:{folder}")
    assert (data.load(config).train.image == 0).all(), "one inside is read"
    lines[4] = lines[4].replace("images/fine.png", path)
    (folder / "rows.csv").write_text("text,split,image,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"row 5: the picture .* lies outside"):
        data.load(config)
