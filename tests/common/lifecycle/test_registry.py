"""The registry: whole or not at all, checked before it is opened, and no move is lost, whatever is killed when."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.config import fingerprint
from common.errors import InputError, NotReady
from common.eval.report import Interval
from common.lifecycle import staging
from common.lifecycle.manifest import plain
from common.lifecycle.registry import Artifact, Registry


@dataclass(frozen=True, kw_only=True)
class Config:
    preset: str = "smoke"
    seed: int = 0


@dataclass
class Part:
    text: str = "weights"

    def save(self, folder: Path) -> None:
        assert folder.is_dir() and not list(folder.iterdir())
        (folder / "deep").mkdir()
        (folder / "deep" / "model.txt").write_text(self.text)


class Broken:
    def save(self, folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("disk full")


def publish(registry: Registry, text: str = "weights", **reports: Any) -> Artifact:
    parts = {"model": Part(text), "features": Part()}
    return registry.publish("toy", parts=parts, config=Config(), reports=reports)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "runs")


def test_what_is_published_is_opened(registry: Registry) -> None:
    artifact = publish(registry, model=Interval(value=0.5, low=None, high=None, n=3), seconds=float("nan"))
    assert registry.open("toy") == registry.open("toy", "latest") == registry.open("toy", artifact.version) == artifact
    assert (artifact.folder / "model/deep/model.txt").read_text() == "weights"
    assert json.loads((artifact.folder / "config.json").read_text()) == {"preset": "smoke", "seed": 0}
    manifest = artifact.manifest
    assert manifest["config_fingerprint"] == fingerprint(Config()) and manifest["case"] == "toy"
    assert set(manifest["files"]) == {"config.json", "model/deep/model.txt", "features/deep/model.txt"}
    assert manifest["reports"] == {"model": {"value": 0.5, "low": None, "high": None, "n": 3}, "seconds": None}
    assert manifest["packages"]["torch"] and manifest["packages"]["python"]


def test_paired_intervals_are_published_beside_the_reports(registry: Registry) -> None:
    better = Interval(value=0.2, low=0.1, high=0.3, n=9)
    parts = {"model": Part("weights")}
    artifact = registry.publish("toy", parts=parts, config=Config(), reports={}, paired={"model-baseline": better})
    assert artifact.manifest["paired"] == {"model-baseline": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 9}}


def test_live_stays_and_latest_moves(registry: Registry) -> None:
    first, second = publish(registry), publish(registry, "other")
    assert registry.versions("toy") == [first.version, second.version]
    assert registry.aliases("toy") == {"latest": second.version, "live": first.version}
    registry.point("toy", "live", "latest", "it is better")
    registry.point("toy", "live", first.version, "it was not")
    assert registry.open("toy").version == first.version
    last = registry.history("toy")[-1]
    assert (last["alias"], last["from"], last["to"], last["reason"]) == (
        "live",
        second.version,
        first.version,
        "it was not",
    )
    assert [move["alias"] for move in registry.history("toy")] == ["latest", "live", "latest", "live", "live"]


def test_the_same_content_twice_is_two_versions_with_one_hash(registry: Registry) -> None:
    first, second = publish(registry), publish(registry)
    assert first.version < second.version and first.version[-8:] == second.version[-8:]


def test_versions_stay_in_order_when_the_clock_is_set_back(registry: Registry) -> None:
    future = publish(registry)
    assert isinstance(future.version, str)
    later = future.folder.with_name("29990101-000000-000000-" + future.version[-8:])
    future.folder.rename(later)
    assert publish(registry).version > later.name


def test_a_part_that_fails_leaves_nothing(registry: Registry) -> None:
    with pytest.raises(RuntimeError, match="disk full"):
        registry.publish("toy", parts={"model": Broken()}, config=Config(), reports={})
    assert registry.versions("toy") == [] and list((registry.root / "toy" / "versions").iterdir()) == []
    with pytest.raises(NotReady, match="mlsd run toy"):
        registry.open("toy")


def test_unknown_names_are_answered_with_the_nearest(registry: Registry) -> None:
    publish(registry)
    with pytest.raises(InputError, match="Did you mean 'latest'"):
        registry.open("toy", "lates")
    for alias, version, reason, message in [
        ("live", "none", "x", "no version or alias"),
        ("../live", "latest", "x", "cannot be an alias"),
        ("live", "latest", " ", "needs a reason"),
    ]:
        with pytest.raises(InputError, match=message):
            registry.point("toy", alias, version, reason)
    for case in ("../toy", "/tmp", "", "a/b"):
        with pytest.raises(InputError, match="cannot be the name of a case"):
            registry.open(case)
    with pytest.raises(InputError):
        registry.open("toy", "../versions/x")


def test_an_alias_of_a_version_that_is_gone_says_so(registry: Registry) -> None:
    first = publish(registry)
    publish(registry, "other")
    shutil.rmtree(first.folder)
    with pytest.raises(InputError, match=r"'live' points at .* which is not in"):
        registry.open("toy")


def test_nothing_published_is_nothing_to_list(registry: Registry) -> None:
    assert not registry.versions("toy") and not registry.history("toy") and not registry.aliases("toy")
    assert not registry.root.exists()  # looking leaves no trace


def remove(folder: Path) -> None:
    (folder / "model/deep/model.txt").unlink()


def add(folder: Path) -> None:
    (folder / "model/extra.txt").write_text("x")


def change(folder: Path) -> None:
    (folder / "model/deep/model.txt").write_text("weightz")


def cut(folder: Path) -> None:
    (folder / "model/deep/model.txt").write_text("weigh")


def link(folder: Path) -> None:
    path = folder / "model/deep/model.txt"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def link_folder(folder: Path) -> None:
    (folder / "model").rename(folder.parent / "elsewhere")
    (folder / "model").symlink_to(folder.parent / "elsewhere")


def escape(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"].update({"../../x": {"size": 0, "sha256": ""}}))


def change_report(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["reports"].update(model=1.0))


def change_both(folder: Path) -> None:
    """The file and its checksum: the version's own hash still tells."""
    from common.data.reading import sha256

    change(folder)
    digest = sha256(folder / "model/deep/model.txt")
    edit(folder, lambda manifest: manifest["files"]["model/deep/model.txt"].update(sha256=digest))


def cut_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:-10])


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def edit(folder: Path, how: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    how(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, r"model/deep/model\.txt is listed in manifest\.json and not there"),
        (add, r"model/extra\.txt is there and not listed"),
        (change, r"model/deep/model\.txt has another content"),
        (cut, r"model/deep/model\.txt has 5 bytes, the manifest says 7"),
        (link, r"model/deep/model\.txt is a link"),
        (link_folder, r"model is a link"),
        (escape, r"\.\./\.\./x lies outside"),
        (change_report, r"manifest\.json was changed"),
        (change_both, r"manifest\.json was changed"),
        (cut_manifest, r"manifest\.json is not a manifest"),
        (lose_manifest, r"manifest\.json is missing"),
    ],
)
def test_every_damage_is_refused_by_name(registry: Registry, damage: Any, message: str) -> None:
    artifact = publish(registry)
    damage(artifact.folder)
    with pytest.raises(InputError, match=message):
        registry.open("toy")
    with pytest.raises(InputError, match=message):
        registry.point("toy", "live", artifact.version, "try")


def test_publishers_at_once_each_get_their_version(registry: Registry) -> None:
    threads = [threading.Thread(target=publish, args=(registry, f"weights {i}")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = registry.versions("toy")
    assert len(versions) == 8 and registry.aliases("toy")["latest"] == versions[-1]
    assert [move["to"] for move in registry.history("toy") if move["alias"] == "latest"] == versions
    assert {registry.open("toy", version).version for version in versions} == set(versions)


CHILD = """
    import os, signal, sys
    from pathlib import Path
    from common.lifecycle.registry import Registry
    from tests.common.lifecycle.test_registry import Config, Part

    calls = int(sys.argv[2])

    def count(name):
        real = getattr(os, name)
        def counted(*args, **kwargs):
            global calls
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        setattr(os, name, counted)

    for name in ("fsync", "replace", "rename", "mkdir"):
        count(name)
    Registry(Path(sys.argv[1])).publish("toy", parts={"model": Part("new")}, config=Config(), reports={})
"""


@pytest.mark.slow
def test_a_publisher_killed_at_any_step_leaves_a_whole_registry(registry: Registry) -> None:
    """The child dies with SIGKILL at its n-th file-system call, for every n until it survives."""
    publish(registry, "old")
    killed = 0
    for n in range(1, 200):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(registry.root), str(n)]
        code = subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode
        for version in registry.versions("toy"):
            registry.open("toy", version)
        moves = registry.history("toy")
        for alias, version in registry.aliases("toy").items():
            assert [move["to"] for move in moves if move["alias"] == alias][-1] == version
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
    assert killed >= 10
    publish(registry, "after")
    assert not list((registry.root / "toy" / "versions").glob(".*"))  # what the killed left is swept
    assert len(registry.history("toy")) == len({json.dumps(move) for move in registry.history("toy")})


def test_a_history_line_lost_to_a_crash_is_shown_and_written_again(registry: Registry) -> None:
    publish(registry)
    registry.point("toy", "live", "latest", "first")
    path = registry.root / "toy" / "history.jsonl"
    moves = registry.history("toy")
    for lost in (path.read_bytes().rpartition(b'{"time"')[0], path.read_bytes()[:-9]):
        path.write_bytes(lost)
        assert registry.history("toy") == moves
    registry.point("toy", "live", "latest", "second")
    assert registry.history("toy")[:-1] == moves
    assert len(path.read_text().splitlines()) == len(moves) + 1


def test_damaged_bookkeeping_is_refused_by_name(registry: Registry) -> None:
    publish(registry)
    (registry.root / "toy" / "history.jsonl").write_text("{}\nnot json\n")
    with pytest.raises(InputError, match=r"history\.jsonl: a line is damaged"):
        registry.history("toy")
    (registry.root / "toy" / "aliases.json").write_text("{")
    with pytest.raises(InputError, match=r"aliases\.json: damaged"):
        registry.aliases("toy")


def test_a_builder_at_work_is_not_swept(tmp_path: Path) -> None:
    parent = tmp_path / "versions"
    parent.mkdir()
    with staging.staged(parent) as first:
        with staging.staged(parent) as second:
            assert first.is_dir() and second.is_dir()
        assert first.is_dir() and not second.exists()
    left = parent / ".staged-left"
    left.mkdir()
    with staging.staged(parent):
        assert not left.exists()


def test_plain_unwraps_what_reports_hold() -> None:
    value = {"a": (1, np.int64(2)), "b": np.array([np.nan, 1.0]), 3: None, "c": np.bool_(True)}
    assert plain(value) == {"a": [1, 2], "b": [None, 1.0], "3": None, "c": True}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == plain(value)
