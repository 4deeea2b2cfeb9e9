"""Your own tables, in and out."""

from __future__ import annotations

from pathlib import Path

from video_rec.schema import Dataset, Judgments


def read(path: Path) -> tuple[Dataset, Judgments]:
    raise NotImplementedError


def write(dataset: Dataset, judged: Judgments, folder: Path) -> None:
    raise NotImplementedError
