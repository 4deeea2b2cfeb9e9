"""A new kind of harm starts to trend: what a few labelled posts are worth, the same day, against training everything again."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import intervals
from common.features.text import subword_ids
from common.training.loop import train
from harmful_content.config import Config
from harmful_content.experiments.trained import Case, fresh, trained
from harmful_content.model.head import Head, Prototypes, embed
from harmful_content.model.lesson import cross_entropy
from harmful_content.schema import POLICIES, Rows
from harmful_content.world import TREND_POLICY

SHOTS = (5, 20, 100)  # labelled posts of the new kind; as many others of the same days are labelled beside them
DRAWS = 4  # sets of shots
POSTS = 5_000  # of the days in which shots are drawn, and as many of those in which is judged
OLD = 1_500  # training posts that every way sees as well, with the labels they have
PRECISION = 0.8
PIECES = 2**14  # buckets for pieces of words
EPOCHS = 3  # of fine-tuning
HIDDEN, OTHER = "kettle dare", "pieces of words, a term no shot had"
KIND = POLICIES.index(TREND_POLICY)


def trending(config: Config) -> Table:
    """How many labels of a new kind of harm does it take to find it, and by which way of learning?

    A row is a way and a number of shots. `recall`: of the new kind, in posts of the test days that are in no log, at the score from which PRECISION of
    what is found is of the new kind; mean over DRAWS sets of shots with its interval over them. `served`: the model as it is, which nobody told.
    On the frozen encoder: a head, or nearest prototypes; `fine-tuned`: the whole network, EPOCHS more epochs; `pieces of words`: a line on
    hashed pieces of words, without any vocabulary. `nobody told it` (control): pieces, with labels of shots permuted. `seconds` of learning, the
    median. Training everything again needs days that have the new words.
    The new kind has nine phrases where shots are drawn and sixteen in the second half of the test: most of what is found again is phrases. The
    last way is asked for a term that no shot had, mostly in sentences that shots had."""
    case = trained(config)
    bench = Bench(
        case,
        *(
            int(rows.event_time[at])
            for rows, at in ((case.dataset.valid, 0), (case.dataset.test, 0), (case.dataset.test, -1))
        ),
    )
    asked = [("served", 0), *((name, shots) for name in WAYS if name != "served" for shots in SHOTS)]
    table = [_row(bench, name, shots) for name, shots in asked]
    return table + [_row(bench.of_another_term(), "pieces of words", shots) | {"way": OTHER} for shots in SHOTS]


def _row(bench: Bench, name: str, shots: int) -> dict[str, object]:
    found, seconds = [], []
    for draw in range(DRAWS):
        began = time.perf_counter()
        scores = WAYS[name](bench, bench.shots(shots, draw))
        seconds.append(time.perf_counter() - began)
        found.append(recall_at(scores[bench.judged], bench.is_new[bench.judged]))
    mean = intervals.mean(np.array(found), np.arange(DRAWS))
    row = {"way": name, "shots": shots, "recall": mean.value, "low": mean.low, "high": mean.high}
    return row | {"seconds": float(np.median(seconds)), "new": int(bench.is_new.sum())}


class Bench:
    """Posts to learn from and posts to be judged; their vectors, computed once, as a cache would have them."""

    def __init__(self, case: Case, since: int, until: int, end: int) -> None:
        self.case, self.seed = case, case.config.seed
        self.pool, posts = fresh(case, POSTS, since, until, 1)
        self.is_open = {"pool": (posts.language == 0) & (posts.disguise == 0)}
        self.not_new: Bools = ~posts.is_new
        self.pool_new: Bools = posts.is_new & (posts.chance[:, KIND] > 0.5)
        self.asked, posts = fresh(case, POSTS, until, end, 2)
        self.is_open["asked"] = (posts.language == 0) & (posts.disguise == 0)
        self.any_new: Bools = posts.is_new
        self.is_new: Bools = posts.is_new & (posts.chance[:, KIND] > 0.5)
        self.judged = np.ones(len(self.asked), dtype=bool)
        self.old = case.dataset.train.take(
            np.random.default_rng([self.seed, 44]).permutation(len(case.dataset.train))[:OLD]
        )
        parts = {"pool": self.pool, "asked": self.asked, "old": self.old}
        inputs = {name: case.inputs(rows) for name, rows in parts.items()}
        self.vectors = {name: embed(case.model, part) for name, part in inputs.items()}
        self.columns = {name: case.model.reader.columns(part) for name, part in inputs.items()}
        self.counts = {name: _pieces(case, rows) for name, rows in parts.items()}

    def of_another_term(self) -> Bench:
        """Shots without HIDDEN, and of the new kind only HIDDEN is asked for: written openly in the first language, so that no shot shows it."""
        other = copy.copy(self)
        told, hidden = (np.char.find(rows.text, HIDDEN) >= 0 for rows in (self.pool, self.asked))
        other.pool_new = self.pool_new & self.is_open["pool"] & ~told
        other.is_new = self.is_new & self.is_open["asked"] & hidden
        other.judged = other.is_new | ~self.any_new
        return other

    def shots(self, num: int, draw: int) -> Ints:
        """Places in the pool: `num` of the new kind, then as many others."""
        rng = np.random.default_rng([self.seed, 45, draw])
        new, others = (rng.permutation(np.flatnonzero(which))[:num] for which in (self.pool_new, self.not_new))
        return np.concatenate([new, others])

    def label(self, shots: Ints) -> Floats:
        """[len(shots) + OLD]"""
        return np.concatenate([self.pool_new[shots], np.zeros(OLD)]).astype(np.float64)


def recall_at(scores: Floats, label: Bools) -> float:
    """The most recall at which precision is PRECISION; ties go together. 0 where no score gives it."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(label[order])
    good = ends & (found >= PRECISION * np.arange(1, len(scores) + 1))
    return float(found[good].max() / label.sum()) if good.any() else 0.0


def _served(bench: Bench, shots: Ints) -> Floats:
    return bench.case.score(bench.case.model, bench.asked)[:, KIND]


def _on_vectors(fit: Callable[..., Head | Prototypes]) -> Callable[[Bench, Ints], Floats]:
    def way(bench: Bench, shots: Ints) -> Floats:
        seen = np.concatenate([bench.vectors["pool"][shots], bench.vectors["old"]])
        return fit(seen, bench.label(shots)).score(bench.vectors["asked"])

    return way


def _line(bench: Bench, label: Floats, shots: Ints) -> Floats:
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear", max_iter=500)
    line.fit(vstack([bench.counts["pool"][shots], bench.counts["old"]]), label)
    found: Floats = line.decision_function(bench.counts["asked"])
    return found


def _told_nothing(bench: Bench, shots: Ints) -> Floats:
    label = bench.label(shots)
    return _line(bench, np.random.default_rng([bench.seed, 46, len(shots)]).permutation(label), shots)


def _fine_tuned(bench: Bench, shots: Ints) -> Floats:
    """The label of the new kind alone is learned from the shots; the old posts keep the network from forgetting."""
    case = bench.case
    network = copy.deepcopy(case.model.network)
    columns = [
        {name: column[torch.from_numpy(shots)] for name, column in bench.columns["pool"].items()},
        bench.columns["old"],
    ]
    targets = [_only_kind(bench, shots), bench.old.targets(case.config.hand_weight)]
    both = {name: torch.cat([one[name] for one in columns]) for name in columns[0]}
    both |= {name: _tensor(np.concatenate([one[at] for one in targets])) for at, name in enumerate(("label", "weight"))}
    train(
        network,
        both,
        cross_entropy,
        epochs=EPOCHS,
        batch_size=64,
        learning_rate=1e-3,
        seed=bench.seed,
        name="fine-tuning",
    )
    with torch.inference_mode():
        found: Floats = network(bench.columns["asked"])[:, KIND].double().numpy()
    return found


def _only_kind(bench: Bench, shots: Ints) -> tuple[Floats, Floats]:
    label, weight = np.zeros((len(shots), len(POLICIES))), np.zeros((len(shots), len(POLICIES)))
    label[:, KIND], weight[:, KIND] = bench.pool_new[shots], bench.case.config.hand_weight
    return label, weight


def _tensor(column: Floats) -> Tensor:
    return torch.from_numpy(column.astype(np.float32))


def _pieces(case: Case, rows: Rows) -> csr_matrix:
    """[n, PIECES + 1] 1 where a piece of a word is in the text, each row at length 1."""
    texts = [sorted(set(subword_ids(case.features.said(text), PIECES))) for text in rows.text.tolist()]
    ends = np.cumsum([0, *map(len, texts)])
    length = np.repeat(1 / np.sqrt(np.maximum(np.diff(ends), 1)), np.diff(ends))
    return csr_matrix(
        (length, np.array([at for text in texts for at in text], dtype=np.int64), ends), shape=(len(texts), PIECES + 1)
    )


WAYS: Mapping[str, Callable[[Bench, Ints], Floats]] = {
    "served": _served,
    "frozen encoder, prototypes": _on_vectors(Prototypes.fit),
    "frozen encoder, head": _on_vectors(Head.fit),
    "fine-tuned": _fine_tuned,
    "pieces of words": lambda bench, shots: _line(bench, bench.label(shots), shots),
    "nobody told it (control)": _told_nothing,
}
EXPERIMENTS: Mapping[str, Experiment] = {"trending": trending}
