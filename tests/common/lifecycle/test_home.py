"""Home: one log a config, a live store that is always at its end, and no artifact served from another one's history."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from common.config import fingerprint
from common.contract import Event, Events, Platform
from common.errors import InputError, NotReady
from common.events import concat
from common.features.asof import AsOfStore
from common.features.views import Count, Decayed, View
from common.lifecycle.follow import catch_up
from common.lifecycle.home import Home
from common.lifecycle.log import EventLog
from common.lifecycle.registry import Artifact

USER = View("user", ("user_id",), (Count("click"), Count("click", buckets=2)))
ITEM = View("item", ("item_id",), (Decayed("click", half_life=3.0),))


@dataclass(frozen=True, kw_only=True)
class Config:
    seed: int = 0


class Part:
    def save(self, folder: Path) -> None:
        (folder / "x").write_text("x")


class Clock:
    def now(self) -> int:
        return 0


def history(n: int = 200, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    return Events(
        position=np.arange(n),
        kind=np.where(rng.random(n) < 0.5, "click", "impression"),
        event_time=np.sort(rng.integers(0, 50_000, n)),
        moment=np.full(n, -1),
        keys={"user_id": rng.integers(0, 5, n), "item_id": rng.integers(0, 7, n)},
        values={},
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


@pytest.fixture
def artifact(home: Home) -> Artifact:
    return home.registry.publish("toy", parts={"model": Part()}, config=Config(), reports={})


@pytest.fixture
def opened(home: Home, artifact: Artifact) -> Iterator[Platform]:
    home.seed(artifact, history())
    platform = home.platform(artifact, [USER], Clock())
    yield platform
    close(platform)


def close(platform: Platform) -> None:
    platform.store.close()
    platform.log.close()


def click(name: str) -> Event:
    return Event(event_id=name, kind="click", event_time=60_000, keys={"user_id": 1, "item_id": 2})


def agrees(platform: Platform, view: View, num_keys: int) -> bool:
    """The live store says what the point-in-time join says at its moment."""
    keys, moments = np.arange(num_keys), np.full(num_keys, platform.store.position)
    offline = AsOfStore(concat(list(platform.log.scan()))).read(view, keys, moments)
    return np.array_equal(platform.store.read(view, keys, moments), offline)


def test_a_platform_stands_at_the_end_of_its_log(home: Home, artifact: Artifact, opened: Platform) -> None:
    assert opened.log.end == opened.store.position == 200 and agrees(opened, USER, 5)
    name = fingerprint(Config())
    assert {path.name for path in home.root.glob("toy/l*")} >= {f"log-{name}", f"live-{name}.sqlite"}


def test_what_was_appended_is_replayed_when_it_is_opened_again(
    home: Home, artifact: Artifact, opened: Platform
) -> None:
    opened.log.append([click("a")])
    close(opened)
    home.seed(artifact, history())  # the log is kept
    again = home.platform(artifact, [USER, ITEM], Clock())  # and a view it lacked is backfilled
    assert again.store.position == again.log.end == 201
    assert agrees(again, USER, 5) and agrees(again, ITEM, 7)
    again.log.append([click("b")])
    assert catch_up(again.store, again.log) == 202 and agrees(again, ITEM, 7)
    close(again)


def test_seeding_does_not_disturb_a_server_at_work(home: Home, artifact: Artifact, opened: Platform) -> None:
    home.seed(artifact, history())
    opened.log.append([click("a")])
    assert opened.log.end == 201


def one_key_changed() -> Events:
    same = history()
    same.keys["item_id"][150] += 1
    return same


def one_value_changed() -> Events:
    same = history()
    return replace(same, values={"amount": (same.position == 150).astype(np.int64)})


@pytest.mark.parametrize("other", [history(seed=1), history(n=202), one_key_changed(), one_value_changed()])
def test_a_log_with_another_history_is_set_aside_with_its_events(
    home: Home, artifact: Artifact, opened: Platform, other: Events
) -> None:
    opened.log.append([click("a")])
    with pytest.raises(InputError):  # not under a server at work
        home.seed(artifact, other)
    close(opened)
    home.seed(artifact, other)
    platform = home.platform(artifact, [USER], Clock())
    assert platform.log.end == platform.store.position == len(other) and agrees(platform, USER, 5)
    close(platform)
    aside = EventLog.open(next(home.root.glob("toy/log-*.replaced-*")))
    assert aside.end == 201
    aside.close()


def test_another_config_has_another_log(home: Home, artifact: Artifact, opened: Platform) -> None:
    other = home.registry.publish("toy", parts={"model": Part()}, config=replace(Config(), seed=1), reports={})
    with pytest.raises(NotReady, match="mlsd run toy"):
        home.platform(other, [USER], Clock())
    home.seed(other, history(seed=1))
    platform = home.platform(other, [USER], Clock())
    assert agrees(platform, USER, 5)
    close(platform)


@pytest.mark.parametrize("seeded", [history(), history(n=10, seed=3)])
def test_a_live_store_outlived_by_its_log_is_filled_anew(
    home: Home, artifact: Artifact, opened: Platform, seeded: Events
) -> None:
    close(opened)
    shutil.rmtree(opened.log.folder)
    home.seed(artifact, seeded)
    platform = home.platform(artifact, [USER], Clock())
    assert platform.store.position == len(seeded) and agrees(platform, USER, 5)
    close(platform)


def test_a_live_store_ahead_of_its_log_is_filled_anew(home: Home, artifact: Artifact, opened: Platform) -> None:
    """A power cut may cost the log its last events while the store had seen them."""
    close(opened)
    connection = sqlite3.connect(next(home.root.glob("toy/live-*.sqlite")))
    connection.execute("UPDATE state SET position = 999")
    connection.commit()
    connection.close()
    platform = home.platform(artifact, [USER], Clock())
    assert platform.store.position == 200 and agrees(platform, USER, 5)
    close(platform)
