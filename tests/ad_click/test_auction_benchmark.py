"""The auction's benchmark compares the same work: pandas gives the probabilities that serving gives, or the comparison stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import auction
from common import cases
from common.commands.run import train
from common.config import override
from common.serving.deadline import Deadline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("auction")
    case = cases.get("ad_click")
    train(case, override(case.preset("smoke"), ["num_trees=20", "refit=false"]), found)
    return found


def test_pandas_gives_the_probabilities_that_serving_gives(folder: Path) -> None:
    bodies, size = auction.check(folder, 12)
    assert len(bodies) == 12
    assert int(size.split()[0]) > 50, size


def test_a_table_that_is_off_stops_the_comparison(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = auction.Frames._table

    def off(self: auction.Frames, view: Any, path: Path) -> tuple[pd.DataFrame, dict[Any, Any]]:
        found, newcomer = table(self, view, path)
        return found * 1.5, newcomer

    monkeypatch.setattr(auction.Frames, "_table", off)
    with pytest.raises(AssertionError, match="merge"):
        auction.check(folder, 12)


def test_both_routes_show_the_same_ads(folder: Path) -> None:
    with auction.opened(folder) as (case, service, clock):
        request = case.visits(1)[0].request()
        theirs = auction.Frames(service, service.platform.store.path).respond("merge", request, clock.now())
        service.stages.limits_ms = dict.fromkeys(service.stages.limits_ms, 10_000.0)
        ours = service.respond(request, Deadline(30_000.0))
    assert [vars(ad) for ad in ours.ads] == theirs["ads"] != []
