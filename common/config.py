"""Configs from the command line: presets, --data, --set; a typo is answered with the nearest name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from common.errors import InputError, did_you_mean

C = TypeVar("C")

_FLAGS = {"preset": "--preset smoke|demo|default|large", "data": "--data NAME:PATH"}
PAGE = "docs/data.md"  # where each data set comes from, and its layout
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def override(config: C, settings: Sequence[str]) -> C:
    """["num_trees=50", "seed=1"] -> a changed copy; values are parsed by the field's type, an unknown key gets a did-you-mean."""
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        if not equals:
            raise InputError(f"--set {setting!r}: expected key=value, for example --set seed=1.")
        if key in _FLAGS:
            raise InputError(f"--set {setting!r}: {key} has a flag of its own, {_FLAGS[key]}.")
        known = _settable(config)
        if key not in known:
            raise InputError(f"--set {setting!r}: there is no setting {key!r}. {did_you_mean(key, known)}")
        if key in changes:
            raise InputError(f"--set {key} is given twice. Keep one.")
        changes[key] = _parse(key, text, type(getattr(config, key)))
    return replace(config, **changes)  # type: ignore[type-var]  # C is a dataclass, which typing cannot say


def with_data(config: C, data: str, overrides: Mapping[str, Mapping[str, Any]]) -> C:
    """data "NAME:PATH" -> config.data filled in and that data set's overrides applied; an unknown NAME or missing PATH is an InputError."""
    name, path = split_data(data)
    if name == "world":
        if path:
            raise InputError(f"--data {data!r}: the world is made, not read; it takes no path. Write --data world.")
        return replace(config, data="world")  # type: ignore[type-var]
    if name not in overrides:
        if not path and ("." in name or "/" in name):
            kind = "parquet" if name.endswith(".parquet") else "csv"
            raise InputError(
                f"--data {data!r}: a path alone does not say how to read it. Expected NAME:PATH, for a table of yours --data {kind}:{name}. "
                f"Known names: {', '.join(sorted(['world', *overrides]))}; {PAGE} says what each one reads."
            )
        known = did_you_mean(name, ["world", *overrides])
        raise InputError(f"--data {data!r}: there is no data set {name!r}. {known} {PAGE} says what each one reads.")
    if not path or not Path(path).exists():
        lacking = f"there is no {path!r} (looked from {Path.cwd()})" if path else "the path is missing"
        raise InputError(f"--data {data!r}: {lacking}. Expected {name}:PATH. {_layout(name)}")
    return replace(config, data=data, **overrides[name])  # type: ignore[type-var]


def _layout(name: str) -> str:
    """Which file or folder a data set wants; those of a case are its own business, so the page says it."""
    if name in ("csv", "parquet"):
        return (
            "PATH is a .csv, .csv.gz or .parquet file, or a folder of them, with a schema.toml beside (in a folder: inside) that "
            f"says what each column is. To draft it: mlsd data FILE --case CASE. {PAGE} shows the whole way."
        )
    return f"{PAGE} says where {name} comes from and which files its folder holds."


def split_data(data: str) -> tuple[str, str]:
    """ "frappe:some/dir" -> ("frappe", "some/dir"); "world" -> ("world", "")."""
    name, _, path = data.partition(":")
    return name, path


def fingerprint(config: Any) -> str:
    """12 hex digits over every field: two runs with the same fingerprint have the same inputs."""
    text = json.dumps({"type": type(config).__module__, **asdict(config)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _settable(config: Any) -> list[str]:
    return [field.name for field in fields(config) if field.name not in _FLAGS]


def _parse(key: str, text: str, kind: type) -> Any:
    """`text` as an int, float, bool or str. Strict: "50.5" is no int and "nan" is no float, here rather than an hour into training."""
    try:
        if kind is bool:
            return _BOOLS[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError
            return number
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a finite number"}[kind]
        raise InputError(f"--set {key}={text}: {key} is {expected}, not {text!r}.") from None
    assert kind is str, f"{key}: configs hold int, float, bool and str, not {kind.__name__}"
    return text
