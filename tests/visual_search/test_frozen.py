"""The world is the one docs/LOG.md says was frozen: its strengths, what it gives, and what its pictures look like."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.contract import frozen as hashes
from visual_search import world
from visual_search.config import SMOKE
from visual_search.world import (
    World,
    asking,
    grounds,
    history,
    likeness,
    painting,
    rating,
    scenes,
    surfaces,
    things,
    wording,
)

LOG = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
FROZEN = (world, asking, grounds, history, likeness, painting, rating, scenes, surfaces, things, wording)
GREY = 0.5  # levels a mean may be off: another processor rounds a pixel in a million otherwise
LOOKS = (165.3, 145.6, 128.6, 170.7, 154.8, 133.7, 150.3, 140.5, 127.2, 107.8, 101.0, 96.4)


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    found = hashes.strengths(FROZEN)
    assert f"visual_search `{found}`" in LOG, f"the strengths hash to {found}; docs/LOG.md does not say so"


@pytest.mark.parametrize(
    ("module", "name"), [(likeness, "ALIKE"), (things, "PRIVATE"), (scenes, "BLURRED"), (rating, "ERRS")]
)
def test_every_strength_is_in_the_hash(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Negative control: a constant that could change unseen."""
    frozen = hashes.strengths(FROZEN)
    monkeypatch.setattr(module, name, np.asarray(getattr(module, name)) + 0.01)
    assert hashes.strengths(FROZEN) != frozen


def test_the_world_gives_what_it_gave_when_it_was_frozen(small: World) -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    found = outputs(small)
    assert f"visual_search `{found}`" in LOG, f"what the world gives hashes to {found}; docs/LOG.md does not say so"


def test_its_pictures_look_as_they_did(small: World) -> None:
    assert looks(small) == pytest.approx(LOOKS, abs=GREY)


def test_a_change_of_what_is_planted_moves_the_hash(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = outputs(small)
    monkeypatch.setattr(things, "PRIVATE", things.PRIVATE + 0.05)
    assert outputs(made()) != frozen


@pytest.fixture(scope="module")
def small() -> World:
    return made()


def made() -> World:
    """Anew."""
    config = replace(
        SMOKE, num_images=200, num_searches=200, num_photos=80, num_pairs=200, num_judged=40, num_users=100
    )
    world._make.cache_clear()
    return world.make(config)


def outputs(of: World) -> str:
    """Of everything but pixels, whose last bit is the machine's."""
    parts: dict[str, Any] = {field.name: getattr(of, field.name) for field in fields(of) if field.name != "photos"}
    parts["catalog"] = {name: column for name, column in vars(of.catalog).items() if name != "images"}
    return hashes.outputs(parts)


def looks(of: World) -> list[float]:
    """Mean level of the first pictures, by colour."""
    means: list[float] = of.photos.pixels[:4].mean(axis=(1, 2)).ravel().tolist()
    return means
