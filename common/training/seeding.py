"""Seeds and threads, in one place."""

from __future__ import annotations


def seed_everything(seed: int) -> None:
    """numpy's and (if loaded) torch's generators; deterministic torch algorithms."""
    raise NotImplementedError


def num_threads() -> int:
    """Threads for a training run: MLSD_THREADS or the cores at hand. Serving uses one (`serving_threads`)."""
    raise NotImplementedError


def lightgbm_threads() -> int:
    """As num_threads, but 1 on macOS once torch is loaded: two OpenMP runtimes in one process crash there."""
    raise NotImplementedError
