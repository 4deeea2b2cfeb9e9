"""A network as one file: the same answers, free lengths stay free, eight bits are smaller, and what is not whole is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from common import edge
from common.errors import InputError

onnx = pytest.importorskip("onnx", reason="the edge extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

pytestmark = pytest.mark.slow


def network() -> torch.nn.Module:
    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(300, 64)
            self.out = torch.nn.Linear(64, 5)

        def forward(self, tokens: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.out(self.words(tokens).amax(dim=1)) * has[:, None]
            return found

    torch.manual_seed(0)
    return Reader()


def batch(n: int, t: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng([n, t])
    return {"tokens": torch.from_numpy(rng.integers(0, 300, (n, t))), "has": torch.ones(n)}


FREE: Mapping[str, Mapping[int, str]] = {"tokens": {0: "n", 1: "t"}, "has": {0: "n"}}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, torch.nn.Module]:
    folder, module = tmp_path_factory.mktemp("edge"), network()
    plain, small = folder / "reader.onnx", folder / "reader-int8.onnx"
    edge.export(module, batch(2, 4), plain, FREE)
    edge.quantise(plain, small)
    return plain, small, module


def test_the_file_answers_as_the_module_at_any_size(files: tuple[Path, Path, torch.nn.Module]) -> None:
    plain, small, module = files
    exact, rough = edge.Session(plain), edge.Session(small)
    for n, t in ((1, 1), (2, 4), (7, 3), (30, 12)):
        given = batch(n, t)
        feed = {name: column.numpy() for name, column in given.items()}
        with torch.inference_mode():
            right = module(**given).numpy()
        np.testing.assert_allclose(exact.run(feed), right, atol=1e-5)
        assert 0 < np.abs(rough.run(feed) - right).max() < 0.05 * np.abs(right).max()
    assert exact.contents.inputs == {"tokens": ("n", "t"), "has": ("n",)} and exact.contents.outputs == ("logits",)
    assert small.stat().st_size < 0.4 * plain.stat().st_size
    assert "MatMulInteger" in rough.contents.operators and "MatMulInteger" not in exact.contents.operators


def test_what_is_not_whole_is_refused(files: tuple[Path, Path, torch.nn.Module], tmp_path: Path) -> None:
    body = files[0].read_bytes()
    bad = tmp_path / "bad.onnx"
    for what in (b"", b"no model", body[: len(body) // 2]):
        bad.write_bytes(what)
        with pytest.raises(InputError, match=r"bad\.onnx"):
            edge.Session(bad)
    with pytest.raises(InputError, match="none"):
        edge.check(tmp_path / "none")


def test_weights_elsewhere_and_operators_of_strangers_are_refused(
    files: tuple[Path, Path, torch.nn.Module], tmp_path: Path
) -> None:
    model = onnx.load(files[0])
    outside = tmp_path / "outside.onnx"
    onnx.save(model, outside, save_as_external_data=True, location="secret.bin", size_threshold=0)
    with pytest.raises(InputError, match="another file"):
        edge.check(outside)
    model = onnx.load(files[0])
    model.opset_import.append(onnx.helper.make_opsetid("com.stranger", 1))
    strange = tmp_path / "strange.onnx"
    onnx.save(model, strange)
    with pytest.raises(InputError, match=r"com\.stranger"):
        edge.check(strange)
