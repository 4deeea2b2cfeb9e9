"""Configs from the command line: parsed by type, typos answered, fingerprints that see every field."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from common.config import fingerprint, override, split_data, with_data
from common.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config:
    preset: str = "default"
    seed: int = 0
    data: str = "world"
    num_trees: int = 400
    learning_rate: float = 0.05
    name: str = "x"
    early: bool = True


def test_values_are_parsed_by_the_type_of_their_field() -> None:
    changed = override(Config(), ["num_trees=1_000", "learning_rate=1e-3", "name=a=b", "early=no", "seed = 7"])
    assert changed == Config(num_trees=1000, learning_rate=1e-3, name="a=b", early=False, seed=7)
    assert override(Config(), ["learning_rate=1"]).learning_rate == 1.0
    assert override(Config(), []) == Config()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_tree=5", "Did you mean 'num_trees'"),
        ("num_trees", "expected key=value"),
        ("num_trees=5.5", "num_trees is a whole number, not '5.5'"),
        ("learning_rate=nan", "finite number"),
        ("learning_rate=fast", "finite number"),
        ("early=maybe", "true or false"),
        ("preset=smoke", "--preset"),
        ("data=csv:x", "--data"),
        ("__class__=5", "there is no setting"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        override(Config(), [setting])


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        override(Config(), ["seed=1", "seed=2"])


def test_data_fills_the_config_and_applies_its_overrides(tmp_path: Path) -> None:
    sets = {"csv": {"num_trees": 50}}
    changed = with_data(Config(), f"csv:{tmp_path}", sets)
    assert changed == Config(data=f"csv:{tmp_path}", num_trees=50)
    assert with_data(changed, "world", sets).data == "world"
    assert split_data(changed.data) == ("csv", str(tmp_path))
    assert split_data("frappe:C:/x") == ("frappe", "C:/x") and split_data("world") == ("world", "")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cvs:.", "Did you mean 'csv'"),
        ("csv", "csv:PATH"),
        ("csv:", "csv:PATH"),
        ("csv:no/such", "there is no 'no/such'"),
        ("csv:no.csv", "mlsd data FILE --case CASE"),
        ("movies:no/such", "docs/data.md says where movies comes from"),
        ("some.csv", "--data csv:some.csv"),
        ("some.parquet", "--data parquet:some.parquet"),
        ("some/folder", "a path alone .* Known names: csv, movies, world; docs/data.md"),
        ("world:x", "takes no path"),
    ],
)
def test_unknown_data_is_refused(data: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_data(Config(), data, {"csv": {}, "movies": {}})


def test_the_fingerprint_sees_every_field_and_nothing_else() -> None:
    config = Config()
    assert fingerprint(config) == fingerprint(Config()) and len(fingerprint(config)) == 12
    other: dict[str, Any] = {"str": "other", "int": 99, "float": 0.5, "bool": False}
    for field in fields(Config):
        assert fingerprint(replace(config, **{field.name: other[str(field.type)]})) != fingerprint(config), field.name
