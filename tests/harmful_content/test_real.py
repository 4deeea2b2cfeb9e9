"""EDOS and one's own posts, through the one pipeline: what is read, what is refused, what is learnt, and that no text gets out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.cases import Case
from common.commands.run import train
from common.commands.score import score
from common.config import with_data
from common.data.door import draft
from common.errors import InputError
from common.eval.classification import macro_f1
from common.lifecycle.home import Home
from common.lifecycle.registry import Registry
from harmful_content import baseline, data, evaluate, features, pipeline
from harmful_content.config import OVERRIDES, SMOKE, Config
from harmful_content.data import edos
from harmful_content.evaluate import classes
from harmful_content.schema import Judgments
from tests.harmful_content.real import MARK, edos_folder, tiny_bert


def config_of(folder: Path, **changes: object) -> Config:
    changes = {"encoder": "own", "epochs": 6} | changes
    return replace(with_data(SMOKE, f"edos:{folder}", OVERRIDES), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return edos_folder(tmp_path_factory.mktemp("edos"))


def test_the_three_questions_are_policies_and_the_splits_are_those_of_the_file(folder: Path) -> None:
    dataset, key = data.load(config_of(folder)), data.judgments(config_of(folder))
    assert [len(part) for part in (dataset.train, dataset.valid, dataset.test)] == [1050, 150, 300]
    assert key.policies == tuple(dataset.catalog.policy.tolist())
    assert [name[0] for name in key.policies] == ["a"] + ["b"] * 2 + ["c"] * 4
    yes = key.label[:, 0]
    assert np.array_equal(key.label[:, 1:3].sum(axis=1), yes) and np.array_equal(key.label[:, 3:].sum(axis=1), yes)
    assert np.isnan(dataset.test.hand_label).all() and np.isnan(dataset.test.natural_label).all()
    assert (dataset.train.image == -1).all() and dataset.published == "", "figures are of the whole set alone"


def _spoil(column: str, value: str) -> Callable[[str], str]:
    place = edos.COLUMNS.index(column)

    def spoil(line: str) -> str:
        cells = line.split(",")
        cells[place] = value
        return ",".join(cells)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_spoil("split", "tset"), r"row 3 \(below the header\): split is none of dev, test, train"),
        (_spoil("label_sexist", "maybe"), r"row 3 .*label_sexist is none of not sexist, sexist"),
        (_spoil("label_vector", "9.9 new"), r"row 3 .*label_vector is none of none, 1\.1 one"),
        (_spoil("label_category", "none"), r"label_sexist and label_category do not agree"),
        (lambda line: line.rsplit(",", 2)[0], r"line \d+: does not have the cells"),
        (lambda line: line.replace(MARK, "x" * 6_000), r"row 3 holds a text of more than 5,000 characters"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_row_and_never_by_its_text(
    tmp_path: Path, spoil: Callable[[str], str], words: str
) -> None:
    path = edos_folder(tmp_path, 400) / edos.FILE
    lines = path.read_text().splitlines()
    yes = next(at for at, line in enumerate(lines) if ",sexist," in line and at > 2)
    lines[3], lines[yes] = lines[yes], lines[3]  # the third row is a sexist one of the test
    lines[3] = spoil(lines[3].rpartition(",")[0] + ",test")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=words) as refused:
        data.load(config_of(tmp_path))
    assert MARK not in str(refused.value) and "xxxx" not in str(refused.value)


def test_an_unknown_task_and_a_missing_file_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task=d.*a, b, c"):
        data.load(config_of(folder, task="d"))
    with pytest.raises(InputError, match="no such file"):
        data.load(config_of(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["own", "folder"])
def test_real_posts_run_from_end_to_end_and_no_text_gets_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], encoder: str
) -> None:
    """Every question is learnt in one run. A file of requests is answered from the artifact as over HTTP. None of what is written or said holds a text."""
    source = edos_folder(tmp_path / "edos")
    name = str(tiny_bert(tmp_path / "bert")) if encoder == "folder" else "own"
    capfd.readouterr()
    case, home = Case("harmful_content", "harmful_content"), Home(tmp_path / "home")
    result = train(case, config_of(source, encoder=name, passes=6), tmp_path / "home")
    slices = result.reports["model"].slices
    assert {task: found["macro_f1"].value > 0.9 for task, found in slices.items()} == {
        f"task={one}": True for one in "abc"
    }
    said = capfd.readouterr()
    assert MARK not in said.out + said.err and MARK not in json.dumps(result.reports["model"].as_json())
    texts = {str(text).encode() for text in data.load(config_of(source)).train.text}
    for file in (path for path in (tmp_path / "home").rglob("*") if path.is_file()):
        assert not any(text in file.read_bytes() for text in texts), file
    request = {"post_id": 7, "user_id": 7, "text": "word1 sign21 word2 word3"}
    (tmp_path / "in.jsonl").write_text(
        json.dumps(request) + "\n" + json.dumps(request | {"text": "word1 word2"}) + "\n"
    )
    score(case, home, result.artifact, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    harmful, fine = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert harmful["scores"]["a=sexist"] > 0.5 > fine["scores"]["a=sexist"]
    assert harmful["action"] in ("queue", "remove") and harmful["model_version"] == result.artifact.version
    of = {name: value for name, value in harmful["scores"].items() if name.startswith("c=")}
    assert max(of, key=lambda name: of[name]) == "c=2.1 three"


@pytest.mark.slow
def test_labels_dealt_to_other_posts_teach_nothing(tmp_path: Path) -> None:
    """The negative control for a leak: nothing but its text says what a post is, so a figure above that of guessing would have seen the key."""
    result = pipeline.run(config_of(edos_folder(tmp_path / "dealt", dealt=True)), Registry(tmp_path / "runs"))
    for name in ("baseline", "model"):
        found = result.reports[name].metrics["macro_f1"]
        assert found.value < 0.6 and found.low is not None and found.low < 0.5
    true = pipeline.run(config_of(edos_folder(tmp_path / "true")), Registry(tmp_path / "runs"))
    assert true.reports["model"].metrics["macro_f1"].value > 0.9


@pytest.mark.slow
def test_letters_find_what_words_cannot(tmp_path: Path) -> None:
    """Signs that training never saw whole: sign20 and sign21 are of training, the test says ssign20 and the like."""
    path = edos_folder(tmp_path) / edos.FILE
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line.replace("sign", "xsign") if line.endswith(",test") else line for line in lines) + "\n"
    )
    found = {}
    for letters in (0, 5):
        config = config_of(tmp_path, letters=letters)
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
        scores = baseline.fit(dataset, fitted, config).score(fitted.inputs(dataset.test, dataset.history))
        found[letters] = evaluate.evaluate(scores, data.judgments(config), config)
    assert found[5].metrics["macro_f1"].value > found[0].metrics["macro_f1"].value + 0.3


def test_the_units_of_macro_f1_have_its_mean_and_its_slope() -> None:
    """The oracle is the metric itself, each row weighed up a little."""
    rng = np.random.default_rng(5)
    for num_classes in (2, 4, 11):
        truth, guess = rng.integers(0, num_classes, (2, 300))
        guess[:150] = truth[:150]
        units = classes.macro_f1_units(truth, guess)
        assert units.mean() == pytest.approx(macro_f1(truth, guess), abs=1e-12)
        for row in (0, 200, 299):
            weights = np.ones(300)
            weights[row] += 1e-6
            slope = (macro_f1(truth, guess, weights) - macro_f1(truth, guess)) / 1e-6
            assert units[row] - units.mean() == pytest.approx(300 * slope, abs=1e-3)


def test_the_classes_of_a_task_are_asked_of_posts_that_are_of_one_and_yes_or_no_of_all() -> None:
    nan = np.nan
    key = Judgments(
        label=np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1], [nan, nan, nan], [0, 0, 0]]), user_id=np.arange(5), views=np.ones(5),
        policies=("a=bad", "b=one", "b=two"), slices={}, origin="real",
    )  # fmt: skip
    scores = np.array([[0.9, 0.2, 0.1], [0.6, 0.9, 0.1], [0.7, 0.3, 0.4], [0.9, 0.1, 0.2], [0.4, 0.0, 0.9]])
    units, rows = classes.units(scores, key, "a")
    assert rows.tolist() == [0, 1, 2, 4] and units.mean() == pytest.approx((4 / 5 + 2 / 3) / 2)
    units, rows = classes.units(scores, key, "b")
    assert rows.tolist() == [0, 2] and units.mean() == pytest.approx(1.0)
    with pytest.raises(InputError, match="no such task"):
        classes.evaluate(scores, key, "c")


def test_real_edos_is_the_set_the_published_figures_are_of() -> None:
    root = os.environ.get("MLSD_DATA")
    if not root:
        pytest.skip("MLSD_DATA is not set: no EDOS here")
    config = config_of(Path(root) / "harmful_content" / "edos")
    for task, first in (("a", 0.8746), ("b", 0.7326), ("c", 0.5606)):
        dataset = data.load(replace(config, task=task))
        assert evaluate.PUBLISHED[dataset.published][0].value == first and len(dataset.catalog) == 16


def test_a_draft_of_the_schema_finds_the_columns_of_a_file_of_posts(folder: Path) -> None:
    text = draft(folder / edos.FILE, data.ROLES)
    assert 'text = "text"' in text and 'split = "split"' in text and MARK not in text
