"""Which formats of numbers this processor multiplies in hardware: asked once, used by whoever serves a network, printed by `mlsd doctor`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BF16, INT8 = ("amx_bf16", "avx512_bf16"), ("amx_int8", "avx512_vnni", "avx_vnni")


@lru_cache(maxsize=1)
def flags() -> frozenset[str]:
    """As Linux names them; none where it is not Linux."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def number_format() -> torch.dtype:
    """bfloat16 where the processor has matrix units for it (AMX): a MiniLM batch takes an eighth of the time there. Else float32."""
    import torch

    return torch.bfloat16 if "amx_bf16" in flags() else torch.float32


def autocast() -> AbstractContextManager[Any]:
    """Around the scoring of a network: its products in `number_format`."""
    import torch

    dtype = number_format()
    return nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)


def told() -> str:
    """In a sentence."""
    found = {kind: [name for name in names if name in flags()] for kind, names in (("bf16", BF16), ("int8", INT8))}
    return "; ".join(f"{kind}: {', '.join(names) or 'no unit for it'}" for kind, names in found.items())
