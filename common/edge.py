"""A network as one small file that runs without torch: exported to ONNX, its weights in 8 bits, looked at before anybody runs it.

In:     a torch module, and a batch it takes.
Out:    FILE.onnx; `check` says what is in it; `Session.run` answers.
Choice: weights are quantised, activations as they come (dynamic quantisation): no calibration data, and a text network loses next to nothing.
Else:   static quantisation, where convolutions carry the time; a compiler's own format, where the device has one.
Breaks: a file that points at others, or that holds operators of a stranger: refused by `check`; a shape fixed by accident at export (the batch is
        declared free, and tried at another size).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

Arrays = Mapping[str, NDArray[Any]]
OPSET = 17
DOMAINS = (
    "",
    "ai.onnx",
    "com.microsoft",
)  # whose operators onnxruntime brings; the last has those of quantised products
MOST_BYTES = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What `check` found: input name -> its shape ("n" where it is free), operators by how often, bytes."""

    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    num_bytes: int


def export(
    module: Any, batch: Mapping[str, Any], path: Path, free: Mapping[str, Mapping[int, str]], output: str = "logits"
) -> None:
    """module(**batch) -> a tensor. `batch`: tensors by name; `free`: input -> axis -> the name of a length that may differ. Writes `path`, float32."""
    import torch

    module.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        # The newer exporter cannot follow a length that is read from the batch, so the older one, which says in many ways that it is older.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _positional()(module, tuple(batch)).eval(), tuple(batch.values()), str(path), dynamo=False, opset_version=OPSET,
            input_names=list(batch), output_names=[output], dynamic_axes={**free, output: {0: "n"}} if free else None,
        )  # fmt: skip


def quantise(path: Path, target: Path) -> None:
    """The products' weights in 8 bits, signed, of which 7 are used: two products of 8 bits, added, do not fit the 16 that a processor without VNNI adds
    in, and it saturates without a word. A look-up table of words is quantised too."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level, root.level = root.level, logging.ERROR  # it advises a step that changes nothing here
    try:
        quantize_dynamic(path, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    finally:
        root.level = level


def check(path: Path) -> Contents:
    """InputError unless the file is whole and holds all of its weights, of operators that onnxruntime knows, and nothing that names another file."""
    import onnx

    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= MOST_BYTES:
        raise InputError(f"{path}: {size:,} bytes. Expected a file of at most {MOST_BYTES:,}.")
    try:
        model = onnx.load(path, load_external_data=False)
        elsewhere = [one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
        if elsewhere:
            raise InputError(
                f"{path}: the weight {elsewhere[0][:60]!r} lies in another file. Export it with its weights inside."
            )
        onnx.checker.check_model(model, full_check=False)
    except InputError:
        raise
    except Exception as error:  # protobuf and the checker each have their own
        raise InputError(f"{path}: not a whole ONNX file ({type(error).__name__}). Export it again.") from error
    strangers = {one.domain for one in (*model.opset_import, *model.graph.node)} - set(DOMAINS)
    if strangers:
        raise InputError(
            f"{path}: operators of {', '.join(sorted(strangers))[:80]}. Known: {', '.join(filter(None, DOMAINS))}."
        )
    counts: dict[str, int] = {}
    for node in model.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return Contents(
        inputs={one.name: _shape(one) for one in model.graph.input},
        outputs=tuple(one.name for one in model.graph.output),
        operators=counts,
        num_bytes=size,
    )


class Session:
    """A checked file, ready to answer, on so many threads."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        self.contents = check(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, batch: Arrays) -> NDArray[np.float32]:
        found: Sequence[NDArray[np.float32]] = self._session.run(
            None, {name: batch[name] for name in self.contents.inputs}
        )
        return found[0]


def _positional() -> Any:
    import torch

    class Positional(torch.nn.Module):
        """The exporter names inputs by place."""

        def __init__(self, module: Any, names: tuple[str, ...]) -> None:
            super().__init__()
            self.module, self.names = module, names

        def forward(self, *given: Any) -> Any:
            return self.module(**dict(zip(self.names, given, strict=True)))

    return Positional


def _shape(value: Any) -> tuple[int | str, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
