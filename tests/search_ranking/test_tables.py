"""Own tables: written and read again they are the same data; what does not fit is refused. The contract fits both and compares scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from common.errors import InputError
from search_ranking import data
from search_ranking.config import SMOKE, Config

TINY = replace(SMOKE, num_users=100, num_docs=300, num_queries=100, num_sessions=400, num_judged=20)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("own")
    data.write(data.load(TINY), data.judgments(TINY), folder)
    return replace(TINY, data=f"csv:{folder}")


def test_what_is_written_is_read_again_bit_for_bit(own: Config) -> None:
    before, after = data.load(TINY), data.load(own)
    for name in ("train", "valid", "test", "catalog", "queries"):
        for key, column in vars(getattr(before, name)).items():
            again = getattr(getattr(after, name), key)
            both = ((column[one], again[one]) for one in column) if isinstance(column, dict) else [(column, again)]
            assert all(np.array_equal(old, new, equal_nan=old.dtype.kind == "f") for old, new in both), (name, key)
    for key, values in before.history.events.values.items():
        assert np.array_equal(values, after.history.events.values[key]), key


def test_the_key_holds_the_judged_grades_and_nothing_planted(own: Config) -> None:
    planted, key = data.judgments(TINY), data.judgments(own)
    assert key.origin == "real" and np.array_equal(key.relevant[:, 0], planted.relevant[:, 0])
    assert np.array_equal(key.gain(key.requests, key.relevant), key.grades)
    assert not key.gain(key.requests, np.full((len(key.requests), 1), 10_000)).any()


@pytest.mark.parametrize(
    ("table", "column", "value", "says"),
    [
        ("rows", "split", "test", "split 'test'"),
        ("rows", "request_id", 10**6, "not in order"),
        ("rows", "query_id", 5, "query 5 has no text"),
        ("relevant", "request", 20, "request 20 of 20"),
        ("queries", "", None, "no queries"),
    ],
)
def test_what_does_not_fit_is_refused(
    own: Config, tmp_path: Path, table: str, column: str, value: Any, says: str
) -> None:
    for path in Path(own.data.partition(":")[2]).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / f"{table}.csv"
    if column:
        read = pd.read_csv(path)
        read.loc[0, column] = value
        read.to_csv(path, index=False)
    else:
        path.unlink()
        schema = tmp_path / "schema.toml"
        kept = [part for part in schema.read_text().split("\n\n") if not part.startswith(f"[{table}.")]
        schema.write_text("\n\n".join(kept).replace(f'{table} = "{table}.csv"\n', ""))
    with pytest.raises(InputError, match=says):
        data.load(replace(own, data=f"csv:{tmp_path}"))
