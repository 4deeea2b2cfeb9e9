"""Seeds and threads, in one place."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from common.errors import InputError


def seed_everything(seed: int) -> None:
    """numpy's and (if loaded) torch's generators; deterministic torch algorithms."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  libraries that draw from the global generator
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
        # use_deterministic_algorithms does the same and imports a compiler, two seconds of it; filling each new tensor with NaN is a tenth of a lesson
        torch.set_deterministic_debug_mode("error")
        torch.utils.deterministic.fill_uninitialized_memory = False


def num_threads() -> int:
    """Threads for a training run: MLSD_THREADS or the cores at hand. Serving uses one (`serving_threads`)."""
    said = os.environ.get("MLSD_THREADS", "")
    if not said:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if not said.isdecimal() or int(said) < 1:
        raise InputError(
            f"MLSD_THREADS={said!r}: expected a whole number of threads, 1 or more. Unset it to use every core."
        )
    return int(said)


def serving_threads() -> int:
    """1: a request's few rows are scored in 20-30 us on one thread and in about 1 ms on two."""
    return 1


def lightgbm_threads() -> int:
    """As num_threads, but 1 on macOS once torch is loaded: two OpenMP runtimes in one process crash there."""
    if sys.platform == "darwin" and "torch" in sys.modules:
        return 1
    return num_threads()


def limit(threads: int) -> None:
    """Holds every native pool of this process (BLAS, OpenMP, torch, faiss; those loaded by now) to so many threads, until called again."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=threads)
    torch, faiss = sys.modules.get("torch"), sys.modules.get("faiss")
    if torch is not None:
        torch.set_num_threads(threads)
    if faiss is not None:
        faiss.omp_set_num_threads(threads)


@contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """1 for a network so small that a second thread costs more than it brings: on a busy machine fifty times more, as threads wait for each other.
    And sums are taken in one order, so that it learns the same whatever the number of cores. More are had where the machine has them (`num_threads`)."""
    import threadpoolctl

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    threads = min(threads, num_threads())
    if before == threads == 1:  # a server's (`limit`): to look through all pools takes milliseconds
        yield
        return
    with threadpoolctl.threadpool_limits(limits=threads):
        try:
            if torch is not None:
                torch.set_num_threads(threads)
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)
