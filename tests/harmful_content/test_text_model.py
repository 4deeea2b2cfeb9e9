"""The model that reads words alone: its questions, its thresholds, its batches, its encoder by folder, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from common.contract import Floats
from common.errors import InputError
from common.eval.classification import macro_f1
from common.training import formats, pretrained
from harmful_content import data, features, model
from harmful_content.baseline import thresholds
from harmful_content.baseline.questions import Questions
from harmful_content.config import SMOKE, Config
from harmful_content.model import encoders, finetuned
from tests.harmful_content.real import MARK, edos_folder, tiny_bert


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


def test_outputs_and_policies_fit_whatever_the_tasks() -> None:
    """Random labels: the targets of a post, taken for certain logits, give its labels back."""
    rng = np.random.default_rng(3)
    policies = ("spam", "b=x", "a=only", "c=p", "b=y", "c=q", "c=r")
    questions = Questions.of(policies)
    assert questions.num_outputs == 9 and questions.num_yes == 4
    label = np.zeros((50, 7))
    label[:, [0, 2]] = rng.integers(0, 2, (50, 2))
    for of in ((1, 4), (3, 5, 6)):
        some = np.flatnonzero(rng.random(50) < 0.6)
        label[some, rng.choice(of, len(some))] = 1
    answer, asked = questions.targets(label, np.ones(label.shape))
    assert np.allclose(questions.probabilities(40 * answer - 20), label, atol=1e-6)
    assert np.array_equal(asked[:, 4:6].any(axis=1), label[:, [1, 4]].any(axis=1)), "which one is asked where one is"
    assert [questions.output(at) for at in range(7)] == [0, 4, 1, 6, 5, 7, 8]
    chances = questions.probabilities(rng.normal(size=(50, 9)))
    assert (chances[:, [1, 4]].sum(axis=1) < 1).all() and (chances > 0).all()


def test_half_known_labels_ask_only_what_they_answer() -> None:
    questions = Questions.of(("b=x", "b=y"))
    label = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    answer, asked = questions.targets(label, np.array([[1, 0], [1, 0], [1, 1], [0, 0]]))
    assert answer[:, 0].tolist() == [1, 0, 0, 0] and asked[:, 0].tolist() == [1, 0, 1, 0]
    assert asked[:, 1].tolist() == [1, 0, 0, 0]


def test_a_planted_threshold_is_found_and_few_answers_choose_none() -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(size=4_000)
    answer = ((logit > 0.8) ^ (rng.random(4_000) < 0.05)).astype(float)
    assert thresholds.threshold(logit, answer) == pytest.approx(0.8, abs=0.1)
    assert thresholds.threshold(logit[:30], answer[:30]) == 0.0


def drawn(n: int, seed: int) -> tuple[Floats, Floats]:
    """One yes in four, its logits higher and wider."""
    rng = np.random.default_rng(seed)
    answer = (rng.random(n) < 0.25).astype(float)
    return rng.normal(1.6 * answer, 1 + 0.3 * answer), answer


def test_a_threshold_chosen_on_few_rows_loses_less_than_the_best_on_those_rows() -> None:
    grid = np.linspace(-1, 3, 81)

    def curve(logit: Floats, answer: Floats) -> Floats:
        return np.array([macro_f1(answer.astype(int), (logit > at).astype(int)) for at in grid])

    wanted = curve(*drawn(20_000, 0))
    draws = [drawn(600, seed) for seed in range(1, 31)]
    lost = [wanted.max() - np.interp(thresholds.threshold(*few), grid, wanted) for few in draws]
    lost_by_argmax = [wanted.max() - wanted[curve(*few).argmax()] for few in draws]
    assert np.mean(lost) < 0.6 * np.mean(lost_by_argmax) and np.mean(lost) < 0.004, (lost, lost_by_argmax)


def test_thresholds_help_macro_f1_where_a_class_is_rare_and_scores_do_not_know() -> None:
    rng = np.random.default_rng(4)
    truth = rng.choice(3, 3_000, p=[0.85, 0.1, 0.05])
    prior = np.log(np.array([0.85, 0.1, 0.05]))
    logits = 1.2 * np.eye(3)[truth] + rng.normal(size=(3_000, 3)) + prior
    questions = Questions.of(("b=x", "b=y", "b=z"))
    outputs = np.concatenate([np.full((3_000, 1), 9.0), logits], axis=1)
    added = thresholds.fit(outputs, *questions.targets(np.eye(3)[truth], np.ones((3_000, 3))), questions)
    assert macro_f1(truth, (logits + added[1:]).argmax(axis=1)) > macro_f1(truth, logits.argmax(axis=1)) + 0.02


def test_a_pass_takes_every_rare_post_and_half_of_the_others_by_turns() -> None:
    rng = np.random.default_rng(6)
    rare, lengths = rng.random(1_000) < 0.2, rng.integers(3, 60, 1_000)
    found = list(finetuned.batches(lengths, rare, passes=2, size=16, seed=1, halve=True))
    times = np.bincount(np.concatenate(found), minlength=1_000)
    assert (times[rare] == 2).all() and (times[~rare] == 1).all() and max(map(len, found)) == 16
    spread = np.mean([np.ptp(lengths[rows]) for rows in found])
    assert spread < 0.5 * np.ptp(lengths), "texts of like length share a batch"
    whole = np.concatenate(list(finetuned.batches(lengths, rare, passes=2, size=16, seed=1, halve=False)))
    assert (np.bincount(whole) == 2).all()


def taught(folder: Path, **changes: object) -> tuple[Config, finetuned.TextModel, features.Inputs]:
    config = replace(SMOKE, data=f"edos:{folder}", task="a", reads="text", letters=3, **changes)  # type: ignore[arg-type]
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    made = model.fit(dataset, fitted, config)
    assert isinstance(made, finetuned.TextModel)
    return config, made, fitted.inputs(dataset.valid, dataset.history)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "folder"])
def test_what_is_saved_answers_the_same_and_the_folder_may_be_gone(tmp_path: Path, name: str) -> None:
    bert = tiny_bert(tmp_path / "bert")
    _, made, inputs = taught(
        edos_folder(tmp_path / "edos", 300), encoder=str(bert) if name == "folder" else "own", epochs=1, passes=1
    )
    (tmp_path / "saved").mkdir()
    made.save(tmp_path / "saved")
    bert.rename(tmp_path / "gone")
    back = model.load(tmp_path / "saved")
    assert np.array_equal(back.score(inputs), made.score(inputs))
    weights = tmp_path / "saved" / finetuned.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="not a whole model"):
        model.load(tmp_path / "saved")


@pytest.mark.slow
def test_word_vectors_and_the_lowest_layer_stay_as_they_are(tmp_path: Path, bert: Path) -> None:
    _, made, _ = taught(edos_folder(tmp_path, 300), encoder=str(bert), passes=1)
    before, after = load_file(bert / "model.safetensors"), made.network.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[f"model.{name}"]) and "pooler" not in name}
    assert moved and all(name.startswith("encoder.layer.1.") for name in moved)


@pytest.mark.slow
def test_another_batch_gives_the_same_answer(tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding says nothing; half precision says almost the same."""
    _, made, inputs = taught(edos_folder(tmp_path, 300), encoder=str(bert), passes=1)
    encoder = made.network.encoder
    assert isinstance(encoder, encoders.Named)
    tokens = encoder.tokens(inputs)
    with torch.inference_mode():
        together = made.network(*finetuned.padded(tokens, np.arange(8)))
        alone = torch.cat([made.network(*finetuned.padded(tokens, np.array([row]))) for row in range(8)])
        monkeypatch.setattr(formats, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))
        half = made.network(*finetuned.padded(tokens, np.arange(8)))
    assert torch.allclose(together, alone, atol=1e-5) and torch.allclose(together, half, atol=0.1)
    assert not torch.equal(together, half)


def test_marks_for_people_and_links_are_read_as_words(bert: Path, tmp_path: Path) -> None:
    config = replace(SMOKE, data=f"edos:{edos_folder(tmp_path, 300)}", task="a")
    dataset = data.load(config)
    inputs = features.fit(dataset, config).inputs(dataset.valid.take(np.array([0, 1])), dataset.history)
    encoder = encoders.of(replace(config, encoder=str(bert)), 0)
    marked = replace(inputs, text=np.array([f"[USER] {MARK} [URL]", f"user {MARK} url"]))
    first, second = encoder.tokens(marked)
    assert torch.equal(first, second)
    long = replace(inputs, text=np.array(["word1 " * 500, ""]))
    assert [len(each) for each in encoder.tokens(long)] == [encoders.MOST_TOKENS, 2]


def _unfinished(folder: Path) -> None:
    arrays = load_file(folder / "model.safetensors")
    del arrays["encoder.layer.1.output.dense.weight"]
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})


def _torn(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_unfinished, r"lacks the weights encoder\.layer\.1"),
        (_torn, "not a model that transformers reads"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"lacks tokenizer\.json"),
    ],
)
def test_what_is_no_encoder_is_refused(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    folder = tiny_bert(tmp_path / "bert")
    spoil(folder)
    with pytest.raises(InputError, match=words):
        encoders.of(replace(SMOKE, encoder=str(folder)), 0)


def test_a_name_that_is_nothing_is_refused_and_without_the_wheel_our_own_learns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="Did you mean 'pretrained'"):
        encoders.of(replace(SMOKE, encoder="pretraned"), 10)
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    assert isinstance(encoders.of(replace(SMOKE, encoder="best"), 10), encoders.Own)
    assert "no pretrained encoder is installed" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"mlsd\[pretrained\]"):
        encoders.of(replace(SMOKE, encoder="pretrained"), 10)
