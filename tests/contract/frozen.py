"""Hashes of a planted world, for the test that holds it to what docs/LOG.md says was frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


def strengths(modules: Sequence[ModuleType]) -> str:
    """Of every constant, by the module that holds it."""
    block = {
        module.__name__: {
            name: np.asarray(value).tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, int | float | str | tuple | list | dict | np.ndarray)
        }
        for module in modules
    }
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:16]


def outputs(given: Mapping[str, Any]) -> str:
    """Of every array inside. Floats to six decimals: the last bits are the machine's."""
    found = hashlib.sha256()
    for name, array in arrays("", given):
        plain = np.round(array.astype(np.float64), 6) + 0.0 if array.dtype.kind == "f" else array  # no minus zero
        found.update(f"{name} {array.shape} {plain.tolist()}\n".encode())
    return found.hexdigest()[:16]


def arrays(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each by its name."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, tuple | list):
        yield from arrays(name, dict(enumerate(value)))
    elif is_dataclass(value) or isinstance(value, Mapping):
        for key, part in (value if isinstance(value, Mapping) else vars(value)).items():
            yield from arrays(f"{name}.{key}", part)
