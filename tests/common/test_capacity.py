from __future__ import annotations

import json
from dataclasses import replace

import pytest

from common import size
from common.capacity import Load, Plan, table
from common.errors import InputError

ADS = Plan(
    load=Load(daily_users=1_000_000_000, requests_per_user=20, peak_factor=2),
    shown_per_request=5,
    action_rate=0.01,
    bytes_per_event=100,
    keep_days=30,
    num_items=10_000_000,
    bytes_per_item=100,
    cpu_ms=3,
    utilisation=0.6,
    zones=3,
    price_per_core_hour=0.04,
)


def test_ads_at_the_scale_of_a_large_platform() -> None:
    """A hundred ads for each of a billion people: 1e11 impressions a day, 1.2M a second, 1e9 clicks at 1 %. So: downsample, precompute."""
    rows = {row["what"]: row for row in table(ADS)}
    assert rows["impressions"]["value"] == 1e11
    assert rows["impressions"]["value"] / 86_400 == pytest.approx(1.2e6, rel=0.04)
    assert rows["actions"]["value"] == pytest.approx(1e9)
    assert rows["impressions"]["sum"] == "20,000,000,000 x 5"


def test_the_sums_by_hand() -> None:
    assert ADS.load.average_qps == pytest.approx(231_481.48, abs=0.01)
    assert ADS.load.peak_qps == 2 * ADS.load.average_qps
    assert ADS.storage_bytes_per_day == pytest.approx(1.01e13)
    assert ADS.index_bytes == 1e9
    assert ADS.cores == 3473  # 462,963 x 0.003 s = 1,388.9 busy; / 0.6 = 2,314.8; x 3/2 = 3,472.2
    assert ADS.dollars_per_day == pytest.approx(3473 * 24 * 0.04)
    assert ADS.dollars_per_million_requests == pytest.approx(3473 * 24 * 0.04 / 20_000)


def test_each_line_shows_its_sum_and_says_it_is_one() -> None:
    for row in table(ADS):
        assert set(row) == {"what", "sum", "value", "unit", "origin"} and row["origin"] == "calc"
    json.dumps(table(ADS), allow_nan=False)


@pytest.mark.parametrize("change", [{"cpu_ms": 30.0}, {"utilisation": 0.06}])
def test_ten_times_the_work_is_ten_times_the_cores(change: dict[str, float]) -> None:
    assert replace(ADS, **change).cores == pytest.approx(10 * ADS.cores, rel=1e-3)  # type: ignore[arg-type]


def test_a_plan_that_cannot_be_sized_is_refused() -> None:
    with pytest.raises(InputError, match="utilisation 0"):
        replace(ADS, utilisation=0)
    with pytest.raises(InputError, match="1 zones"):
        replace(ADS, zones=1)


@pytest.mark.slow
def test_size_counts_every_package_of_the_project() -> None:
    rows = {row["package"]: row for row in size.table()}
    assert {"common", "tests"} <= set(rows)
    assert rows["common"]["files"] > 10 and 1 <= rows["common"]["function median"] <= 60
