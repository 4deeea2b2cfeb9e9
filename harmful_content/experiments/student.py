"""A student for the edge: what the model says, learned by a network a fraction of its size, in 8 bits, as one ONNX file. Needs the extra edge.

The model is mostly its TF-IDF lines: two weights for every word and pair of words, a policy. The student has none of them; it reads words in threes
instead, and learns what the model says of a post (Hinton, Vinyals, Dean 2015), not what people reported. The picture encoder is shared and counted in
both. The foil is the same network taught by the labels.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common import edge
from common.contract import Experiment, Floats, Table
from common.eval.report import Report, paired
from common.features.text import PAD, UNKNOWN
from common.training.loop import train
from harmful_content import data, evaluate, features, model
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.model import Model
from harmful_content.model.lesson import cross_entropy

EPOCHS, WIDTH = 20, 32
INPUTS = ("tokens", "seen", "has_image", "numbers", "codes")
SHARED = ("frozen.mean", "frozen.whiten", "frozen.centres", "frozen.seen_mean", "frozen.seen_scale")
AT_ONCE = 256  # posts in a timed call


def student(config: Config) -> Table:
    """Macro pr_auc on the test posts, what is lost against the model (paired, over authors), kilobytes and CPU time of a post: the model; the student
    taught by labels, by scores dealt to other posts, by the model; and the last in 8 bits."""
    dataset, judgments = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    teacher = model.fused(dataset, fitted, config)
    known, test = (fitted.inputs(rows, dataset.history) for rows in (dataset.train, dataset.test))
    label, weight = dataset.train.targets(config.hand_weight)
    batch, soft = columns(teacher, known), teacher.score(known)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole, shared = sizes(teacher, folder)
        by_labels = taught(teacher, known, batch | targets(label, weight), config)
        dealt = soft[np.random.default_rng(config.seed).permutation(len(soft))]
        by_chance = taught(teacher, known, batch | targets(dealt, np.ones(soft.shape)), config)
        by_model = taught(teacher, known, batch | targets(soft, np.ones(soft.shape)), config)
        plain, small = (Exported(teacher, exported(by_model, batch, folder, in_8_bits)) for in_8_bits in (False, True))
        asked: dict[str, tuple[Callable[[Inputs], Floats], float]] = {
            "the model": (teacher.score, whole),
            "student, taught by labels": (scorer(teacher, by_labels), shared + plain.num_bytes),
            "student, taught what the model says of other posts": (
                scorer(teacher, by_chance),
                shared + plain.num_bytes,
            ),
            "student, taught by the model": (scorer(teacher, by_model), shared + plain.num_bytes),
            "student, taught by the model, int8 in ONNX": (small.score, shared + small.num_bytes),
        }
        reports = {what: evaluate.evaluate(score(test), judgments, config) for what, (score, _) in asked.items()}
        return [
            row(what, reports, size / whole, size, microseconds(score, test)) for what, (score, size) in asked.items()
        ]


class Student(nn.Module):
    """Words in threes, the greatest of each direction kept; picture, their product, numbers and codes join before the first decision, as in the model."""

    def __init__(self, shape: Mapping[str, int], sizes: tuple[int, ...], width: int = WIDTH) -> None:
        super().__init__()
        self.words = nn.Embedding(shape["num_words"], width, padding_idx=PAD)
        self.threes = nn.Linear(3 * width, 2 * width)
        self.text = nn.Linear(2 * width, width)
        self.picture = nn.Linear(shape["num_seen"], width)
        self.none = nn.Parameter(torch.zeros(width))
        self.numbers = nn.Linear(shape["num_numbers"], width)
        self.codes = nn.ModuleList(nn.Embedding(size, 4) for size in sizes)
        self.forget = nn.Dropout(0.2)
        joined = 4 * width + 4 * len(sizes)
        self.shared = nn.Sequential(nn.Linear(joined, 2 * width), nn.ReLU(), nn.Linear(2 * width, 2 * width), nn.ReLU())
        self.heads = nn.Linear(2 * width, shape["num_policies"])

    def forward(self, tokens: Tensor, seen: Tensor, has_image: Tensor, numbers: Tensor, codes: Tensor) -> Tensor:
        """[n, t], [n, num_seen], [n], [n, k], [n, c] -> logits [n, num_policies]"""
        if self.training:
            left_out = (torch.rand(tokens.shape) < 0.1) & (tokens != PAD)
            tokens = torch.where(left_out, torch.full_like(tokens, UNKNOWN), tokens)
        said = nn.functional.pad(self.words(tokens), (0, 0, 1, 1))
        threes = torch.relu(self.threes(torch.cat([said[:, :-2], said[:, 1:-1], said[:, 2:]], dim=2)))
        text = self.text(self.forget(threes.amax(dim=1)))
        picture = torch.where(has_image[:, None], self.picture(self.forget(seen)), self.none)
        tables = [table(codes[:, at]) for at, table in enumerate(self.codes)]
        joined = [text, picture, text * picture, torch.relu(self.numbers(self.forget(numbers))), *tables]
        out: Tensor = self.heads(self.shared(torch.cat(joined, dim=1)))
        return out


class _Batched(nn.Module):
    """The loop hands over columns by name."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        out: Tensor = self.student(**{name: batch[name] for name in INPUTS})
        return out


def taught(teacher: Model, known: Inputs, batch: Mapping[str, Tensor], config: Config) -> Student:
    """batch: the columns, `label` and `weight` [n, num_policies]; a label between 0 and 1 is a probability."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        made = Student(teacher.shape, known.sizes)
    train(
        _Batched(made), batch, cross_entropy, epochs=EPOCHS, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        name="student",
    )  # fmt: skip
    return made.eval()


def columns(teacher: Model, inputs: Inputs) -> dict[str, Tensor]:
    """What the student reads: all that the model does but what its lines say."""
    nothing = np.zeros((len(inputs), teacher.shape["num_policies"]))
    found = teacher.reader.columns(inputs, nothing)
    return {name: found[name] for name in INPUTS}


def targets(label: Floats, weight: Floats) -> dict[str, Tensor]:
    return {"label": torch.from_numpy(label.astype(np.float32)), "weight": torch.from_numpy(weight.astype(np.float32))}


def scorer(teacher: Model, network: Student) -> Callable[[Inputs], Floats]:
    def score(inputs: Inputs) -> Floats:
        with torch.inference_mode():
            found: Floats = torch.sigmoid(network(**columns(teacher, inputs)).double()).numpy()
        return found

    return score


def exported(network: Student, batch: Mapping[str, Tensor], folder: Path, in_8_bits: bool) -> Path:
    plain, small = folder / "student.onnx", folder / "student-int8.onnx"
    some = {name: batch[name][:3] for name in INPUTS}
    edge.export(network, some, plain, {name: {0: "n"} for name in some})
    if in_8_bits:
        edge.quantise(plain, small)
    return small if in_8_bits else plain


class Exported:
    """The file in onnxruntime."""

    def __init__(self, teacher: Model, path: Path) -> None:
        self.teacher, self.session = teacher, edge.Session(path)
        self.num_bytes = self.session.contents.num_bytes

    def score(self, inputs: Inputs) -> Floats:
        feed = {name: column.numpy() for name, column in columns(self.teacher, inputs).items()}
        found: Floats = 1 / (1 + np.exp(-self.session.run(feed).astype(np.float64)))
        return found


def sizes(teacher: Model, folder: Path) -> tuple[float, float]:
    """-> bytes of the model as it lies in the artifact, and of the picture encoder in it, which the student needs too."""
    from safetensors.numpy import load_file

    where = folder / "model"
    where.mkdir()
    teacher.save(where)
    whole = sum(path.stat().st_size for path in where.iterdir())
    saved = load_file(where / model.WEIGHTS)
    return float(whole), float(sum(saved[name].nbytes for name in SHARED))


def microseconds(score: Callable[[Inputs], Floats], inputs: Inputs) -> float:
    """CPU of a post without its picture, which both encode alike; the median of nine calls."""
    some = Inputs(
        inputs.text[:AT_ONCE], inputs.tokens[:AT_ONCE], np.full(len(inputs.tokens[:AT_ONCE]), -1), inputs.images, inputs.numbers[:AT_ONCE],
        inputs.codes[:AT_ONCE], inputs.sizes,
    )  # fmt: skip
    score(some)
    taken = []
    for _ in range(9):
        begin = time.process_time()
        score(some)
        taken.append((time.process_time() - begin) / len(some) * 1e6)
    return float(np.median(taken))


def row(what: str, reports: Mapping[str, Report], share: float, size: float, us: float) -> dict[str, Any]:
    primary, lost = reports[what].metrics["pr_auc"], paired(reports[what], reports["the model"])
    return {
        "what": what, "pr_auc": primary.value, "low": primary.low, "high": primary.high, "change": lost.value,
        "change_low": lost.low, "change_high": lost.high, "kb": size / 1e3, "of_the_model": share, "cpu_us": us,
    }  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"student": student}
