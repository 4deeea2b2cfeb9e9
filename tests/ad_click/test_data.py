"""Labels, splits, what the log knew, and the tables people bring."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ad_click import data, evaluate, features, world
from ad_click.config import OVERRIDES, SMOKE, Config
from ad_click.data import frappe, labels
from ad_click.schema import Dataset
from common.config import with_data
from common.contract import Ints
from common.errors import InputError
from common.events import take


def test_labels_are_the_planted_clicks_within_the_window(tiny: Config) -> None:
    dataset, shown = data.load(tiny), world.make(tiny).impressions
    in_time = (shown.click_time >= 0) & (shown.click_time - shown.event_time <= 86_400)
    n = len(dataset.train)
    assert np.array_equal(dataset.train.user_id, shown.user_id[:n])
    assert np.array_equal(dataset.train.label, in_time[:n].astype(float))


def test_repeated_and_strange_clicks_change_no_label(tiny: Config) -> None:
    events = data.load(tiny).history.events
    once = labels.join(events, 86_400)
    clicks = np.flatnonzero(events.kind == "click")
    twice = take(events, np.concatenate([np.arange(len(events)), clicks]))
    assert np.array_equal(labels.join(twice, 86_400).label, once.label)
    twice.keys["request_id"][len(events) :] = 10**9  # clicks on answers nobody gave
    assert np.array_equal(labels.join(twice, 86_400).label, once.label)


@pytest.mark.parametrize(
    ("delay", "counts"), [(-1, False), (-(10**9), False), (0, True), (86_400, True), (86_401, False)]
)
def test_a_click_counts_from_its_impression_on(tiny: Config, delay: int, counts: bool) -> None:
    """Dated back, a click is none; and beside a good one it changes nothing."""
    events = data.load(tiny).history.events
    once = labels.join(events, 86_400).label
    shown = np.flatnonzero(labels.impressions(events))
    more = take(events, np.concatenate([np.arange(len(events)), shown]))
    more.kind[len(events) :] = "click"
    more.event_time[len(events) :] += delay
    assert np.array_equal(labels.join(more, 86_400).label, np.ones(len(once)) if counts else once)


def test_the_split_is_by_time_and_the_test_rows_carry_no_labels(tiny: Config) -> None:
    dataset = data.load(tiny)
    assert dataset.train.event_time.max() < dataset.valid.event_time.min()
    assert dataset.valid.event_time.max() < dataset.test.event_time.min()
    assert np.isnan(dataset.test.label).all()
    assert len(data.judgments(tiny).label) == len(dataset.test)


def test_a_click_is_seen_when_it_arrives_and_not_before(tiny: Config) -> None:
    """Inputs of a row are the same on a log that ends where the row reads."""
    dataset = data.load(tiny)
    fitted = features.fit(dataset, tiny)
    rows = dataset.valid.take(np.arange(0, len(dataset.valid), 2_400))
    whole = fitted.inputs(rows, dataset.history).numbers
    for row in range(len(rows)):
        past = type(dataset.history)(take(dataset.history.events, slice(0, int(rows.moment[row]))))
        one = fitted.inputs(rows.take(np.array([row])), past).numbers
        assert np.array_equal(one[0], whole[row], equal_nan=True)


def test_the_log_knows_what_was_owed_and_for_which_campaign(tiny: Config) -> None:
    events, shown = data.load(tiny).history.events, world.make(tiny).impressions
    catalog, impression, click = world.make(tiny).catalog, events.kind == "impression", events.kind == "click"
    assert np.array_equal(events.keys["campaign_id"], catalog.campaign_id[events.keys["ad_id"]])
    assert np.array_equal(events.values["charge_micros"][impression], shown.charge_micros)
    cpm = catalog.categories["pricing"][events.keys["ad_id"]] == "cpm"
    bid = catalog.bid_micros[events.keys["ad_id"]]
    assert np.array_equal(events.values["charge_micros"][click], np.where(cpm, 0, bid)[click])
    assert (events.values["charge_micros"][impression] == np.where(cpm, bid // 1000, 0)[impression]).all()
    others = ~impression & ~click
    assert {"hide", "conversion"} == set(events.kind[others].tolist()) and not events.values["charge_micros"][
        others
    ].any()
    aside = shown.probability_ppm * shown.price_micros // 1_000_000
    assert np.array_equal(events.values["expected_micros"][impression], aside) and aside.any()
    assert not events.values["expected_micros"][others].any()
    number = {key: at for at, key in enumerate(zip(shown.request_id.tolist(), shown.ad_id.tolist(), strict=True))}
    clicks = zip(*(events.keys[name][click].tolist() for name in ("request_id", "ad_id")), strict=True)
    of = [number[key] for key in clicks]
    assert np.array_equal(events.values["expected_micros"][click], aside[of]), "a click takes back what was set aside"


def test_a_conversion_is_logged_when_it_arrives(tiny: Config) -> None:
    made, events = world.make(tiny), data.load(tiny).history.events
    there = (made.impressions.conversion_time >= 0) & (made.impressions.conversion_time < made.end)
    at = events.kind == "conversion"
    assert np.array_equal(events.event_time[at], np.sort(made.impressions.conversion_time[there])) and at.any()
    assert (made.impressions.conversion_time >= made.end).any(), "some come after the log's end, and are not in it"


def test_open_windows_have_no_label(tiny: Config) -> None:
    events = data.load(tiny).history.events
    rows = data.live(events, tiny).rows
    still_open = rows.event_time > events.event_time.max() - 86_400
    assert still_open.any() and np.array_equal(np.isnan(rows.label), still_open)


def test_campaigns_are_written_and_read(tiny: Config, tmp_path: Path) -> None:
    small = replace(tiny, num_users=50, num_ads=20, num_advertisers=5, num_impressions=600, days=3)
    dataset = data.load(small)
    data.write(dataset, data.judgments(small), tmp_path)
    again = data.load(with_data(small, f"csv:{tmp_path}", OVERRIDES))
    assert len(np.unique(dataset.catalog.campaign_id)) == 5 < len(dataset.catalog)
    assert np.array_equal(again.catalog.campaign_id, dataset.catalog.campaign_id)
    assert again.catalog.categories.keys() == dataset.catalog.categories.keys()
    ours, theirs = dataset.history.events, again.history.events
    same: dict[str, tuple[Any, Any]] = {
        name: (dataset.catalog.categories[name], again.catalog.categories[name]) for name in again.catalog.categories
    }
    same |= {name: (ours.keys[name], theirs.keys[name]) for name in ("campaign_id", "advertiser_id")}
    same |= {
        name: (ours.values[name], theirs.values[name]) for name in ("charge_micros", "price_micros", "expected_micros")
    }
    for name, (written, read) in same.items():
        assert np.array_equal(written, read), name


@pytest.mark.parametrize(("header", "campaigns"), [("ad", [1, 2, 3]), ("ad,camp", [7, 7, 8])])
def test_without_campaigns_every_ad_is_its_own(tmp_path: Path, header: str, campaigns: list[int]) -> None:
    (tmp_path / "rows.csv").write_text(
        "who,ad,when,clicked\n" + "".join(f"7,{1 + i % 3},{1_700_000_000 + i},{i % 2}\n" for i in range(30))
    )
    (tmp_path / "catalog.csv").write_text(
        header
        + "\n"
        + "".join(f"{ad}{f',{camp}' if 'camp' in header else ''}\n" for ad, camp in ((1, 7), (2, 7), (3, 8)))
    )
    roles = '[rows.roles]\nuser_id = "who"\nad_id = "ad"\nevent_time = "when"\nlabel = "clicked"\n[catalog.roles]\nad_id = "ad"\n'
    (tmp_path / "schema.toml").write_text(roles + ('campaign_id = "camp"\n' if "camp" in header else ""))
    dataset = data.load(with_data(SMOKE, f"csv:{tmp_path}", OVERRIDES))
    assert dataset.catalog.campaign_id.tolist() == campaigns
    events = dataset.history.events
    assert np.array_equal(events.keys["campaign_id"], np.array(campaigns)[events.keys["ad_id"] - 1])


@pytest.mark.slow
def test_what_is_written_comes_back_bit_for_bit(tiny: Config, tmp_path: Path) -> None:
    dataset = data.load(tiny)
    data.write(dataset, data.judgments(tiny), tmp_path)
    again = data.load(with_data(tiny, f"csv:{tmp_path}", OVERRIDES))
    for part in ("train", "valid", "test"):
        ours, theirs = (features.fit(d, tiny).inputs(getattr(d, part), d.history) for d in (dataset, again))
        assert np.array_equal(ours.numbers, theirs.numbers, equal_nan=True) and np.array_equal(ours.codes, theirs.codes)
        assert np.array_equal(getattr(dataset, part).label, getattr(again, part).label, equal_nan=True)


SMALL = replace(SMOKE, num_users=50, num_ads=20, num_advertisers=5, num_impressions=600, days=3)
NOWHERE = {"rows": ("moment",), "events": ("moment",)}
Edit = Callable[[list[dict[str, str]]], list[dict[str, str]]]


def edited(folder: Path, without: Mapping[str, Sequence[str]], requests: bool = False, **edits: Edit) -> Dataset:
    """A small world's tables, written as we write them, changed as people's are, and read again. `without`: roles a table does not have;
    `requests`: rows say whose page they stand on; edits: of the lines of a table."""
    dataset = data.load(SMALL)
    data.write(dataset, data.judgments(SMALL), folder)
    if requests:
        request = dataset.history.events.keys["request_id"][dataset.history.events.kind == "impression"]
        edits["rows"] = with_request(request, edits.get("rows", list))
    schema = (folder / "schema.toml").read_text().split("\n\n")  # a section each
    for table in ("rows", "events"):
        gone, more = without.get(table, ()), ["request_id"] if requests and table == "rows" else []
        with (folder / f"{table}.csv").open() as file:
            lines = edits.get(table, list)(list(csv.DictReader(file)))
        with (folder / f"{table}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [name for name in lines[0] if name not in gone], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
        at = next(at for at, section in enumerate(schema) if section.startswith(f"[{table}.roles]"))
        kept = [line for line in schema[at].splitlines() if line.partition(" ")[0] not in gone]
        schema[at] = "\n".join([*kept, *(f'{name} = "{name}"' for name in more)])
    (folder / "schema.toml").write_text("\n\n".join(schema))
    return data.load(with_data(SMALL, f"csv:{folder}", OVERRIDES))


def with_request(request: Ints, then: Edit) -> Edit:
    """Rows stand in the order of their impressions."""
    return lambda lines: then(
        [{**line, "request_id": str(one)} for line, one in zip(lines, request[: len(lines)].tolist(), strict=True)]
    )


def moments(dataset: Dataset) -> list[tuple[int, ...]]:
    """(user, ad, time, moment) of every row, sorted."""
    parts = (dataset.train, dataset.valid, dataset.test)
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("user_id", "ad_id", "event_time", "moment")
    ]
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def shuffled(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    return [lines[at] for at in np.random.default_rng(3).permutation(len(lines))]


@pytest.mark.parametrize("requests", [False, True])
@pytest.mark.parametrize("without", [NOWHERE, {"rows": ("moment",)}])
def test_rows_find_their_impressions_in_whatever_order_they_come(
    tmp_path: Path, without: Mapping[str, Sequence[str]], requests: bool
) -> None:
    """Without moments, each is where the first impression of its page stands: as the platform itself read them."""
    again = edited(tmp_path, without, requests, rows=shuffled)
    assert moments(again) == moments(data.load(SMALL))
    assert len({moment for *_, moment in moments(again)}) > 100  # control: not all of them cold
    seen = again.history.read(features.USER, again.valid.user_id, again.valid.moment)
    assert seen[:, 0].any()


def test_a_split_stays_with_its_row_when_rows_are_not_in_order_of_time(tmp_path: Path) -> None:
    again, dataset = edited(tmp_path, NOWHERE, rows=shuffled), data.load(SMALL)
    for part in ("train", "valid", "test"):
        ours, theirs = (getattr(one, part).event_time for one in (dataset, again))
        assert np.array_equal(ours, theirs), part


def without_impression(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    first = next(at for at, line in enumerate(lines) if line["kind"] == "impression")
    return lines[:first] + lines[first + 1 :]


@pytest.mark.parametrize("requests", [False, True])
def test_a_row_without_an_impression_is_named(tmp_path: Path, requests: bool) -> None:
    row = data.load(SMALL).train.take(np.array([0]))
    expected = "request_id 0, " if requests else f"user_id {row.user_id[0]}, event_time {row.event_time[0]}, "
    with pytest.raises(
        InputError, match=f"rows: the row of {expected}ad_id {row.ad_id[0]} has no impression in events"
    ):
        edited(tmp_path, NOWHERE, requests, events=without_impression)


def test_an_empty_moment_is_found_in_events_and_refused_in_rows(tmp_path: Path) -> None:
    """0 would be a moment at which nothing was known."""

    def emptied(lines: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{**line, "moment": "" if at % 2 else line["moment"]} for at, line in enumerate(lines)]

    with pytest.raises(InputError, match="some moments are empty"):
        edited(tmp_path / "refused", {}, rows=emptied)
    again = edited(tmp_path / "found", {"rows": ("moment",)}, events=emptied)
    assert moments(again) == moments(data.load(SMALL))


def test_events_beside_rows_without_a_clock_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no event_time, so events cannot be read as of a row"):
        edited(tmp_path, {"rows": ("moment", "event_time"), "events": ("moment",)})


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ("123", r"column 'slot' begins with 1\. .* Subtract 1 from each"),
        ("01x", r"column 'slot', row 3: nan\. Expected whole numbers from 0.* Mend or drop the row"),
        ("0h1", r"column 'slot', row 2: 0\.5\. Expected whole numbers from 0"),
        ("0-1", r"column 'slot', row 2: -1\. Expected whole numbers from 0"),
        ("0m1", r"column 'slot', row 2: 1e\+09\. Expected whole numbers .* below 1000"),
    ],
)
def test_slots_that_no_auction_could_ask_for_are_refused(tmp_path: Path, slots: str, said: str) -> None:
    words = {"x": "", "h": "0.5", "-": "-1", "m": "1e9"}
    with pytest.raises(InputError, match=said):
        data.load(slotted(tmp_path, [words.get(slot, slot) for slot in slots]))


def test_slots_from_0_are_taken(tmp_path: Path) -> None:
    """Negative control."""
    assert set(data.load(slotted(tmp_path, ["0", "1", "2"])).train.numbers["slot"].tolist()) == {0, 1, 2}


def slotted(folder: Path, slots: list[str]) -> Config:
    lines = [f"7,{at % 3},{1_700_000_000 + at},{at % 2},{slots[at % len(slots)]}" for at in range(30)]
    (folder / "rows.csv").write_text("\n".join(["who,ad,when,clicked,slot", *lines]) + "\n")
    roles = 'user_id = "who"\nad_id = "ad"\nevent_time = "when"\nlabel = "clicked"\n'
    (folder / "schema.toml").write_text(f'[roles]\n{roles}[columns]\nslot = "number"\n')
    return with_data(SMOKE, f"csv:{folder / 'rows.csv'}", OVERRIDES)


def _frappe(folder: Path, num_rows: int = 60) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        lines = []
        for row in range(num_rows):
            ids = [rng.integers(0, 8), 10 + rng.integers(0, 6), *(20 + 10 * k + rng.integers(0, 3) for k in range(8))]
            lines.append(("1" if row % 3 == 0 else "-1") + "".join(f" {number}:1" for number in ids))
        (folder / f"frappe.{split}.libfm").write_text("\r\n".join(lines) + "\r\n")
    return folder


def test_frappe_becomes_rows_and_leaves_the_row_itself_out(tmp_path: Path) -> None:
    dataset = frappe.read(_frappe(tmp_path))
    assert len(dataset.train) == len(dataset.test) == 60 and dataset.train.label.sum() == 20
    counts = dataset.history.read(features.USER, dataset.train.user_id, dataset.train.moment)[:, 0]
    others = np.array([(dataset.train.user_id == user).sum() - 1 for user in dataset.train.user_id])
    assert np.array_equal(counts, others)


def test_a_torn_frappe_line_is_named(tmp_path: Path) -> None:
    folder = _frappe(tmp_path)
    path = folder / "frappe.test.libfm"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"frappe\.test\.libfm, line 60"):
        frappe.read(folder)


def test_a_missing_frappe_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    config = with_data(SMOKE, f"frappe:{tmp_path}", OVERRIDES)
    with pytest.raises(InputError, match=r"training table.*docs/data\.md"):
        data.load(config)
    (_frappe(tmp_path) / "frappe.test.libfm").unlink()
    with pytest.raises(InputError, match=r"no .*frappe\.test\.libfm.*docs/data\.md"):
        data.load(config)


def test_published_figures_are_compared_only_beside_the_published_training_table(tmp_path: Path) -> None:
    as_published = frappe.read(_frappe(tmp_path)).published
    assert {figure.comparable for figure in evaluate.PUBLISHED[as_published]} == {"yes"}
    lines = ["label," + ",".join(frappe.FIELDS), "1,0,10" + ",1" * 8, "0,1,11" + ",2" * 8]
    (tmp_path / "derived").mkdir()
    (tmp_path / "frappe.train.libfm").unlink()
    (tmp_path / "derived" / "train_reconstructed.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    rebuilt = frappe.read(tmp_path).published
    assert all("train negatives were rebuilt" in figure.comparable for figure in evaluate.PUBLISHED[rebuilt])


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(InputError, match=r"no such data set\. Did you mean 'frappe'"):
        data.load(replace(SMOKE, data="frape:somewhere"))


def test_rows_of_one_second_do_not_count_each_other(tmp_path: Path) -> None:
    lines = ["who,ad,when,clicked"] + [f"7,{ad},{1_700_000_000 + second},0" for second in range(20) for ad in (1, 2, 3)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "schema.toml").write_text(
        '[roles]\nuser_id = "who"\nad_id = "ad"\nevent_time = "when"\nlabel = "clicked"\n'
    )
    dataset = data.load(with_data(SMOKE, f"csv:{tmp_path / 'rows.csv'}", OVERRIDES))
    train = dataset.train
    before = dataset.history.read(features.USER, train.user_id, train.moment)[:, 0]
    assert before.tolist() == (3 * (train.event_time - train.event_time.min())).tolist()
    one_by_one = dataset.history.read(features.USER, train.user_id, np.arange(len(train)))[:, 0]  # as if in turn
    assert one_by_one.tolist() == list(range(len(train)))


def test_rows_alone_are_enough(tmp_path: Path) -> None:
    """One table with a clock; the log is made from it, and a click is known only when its window has closed."""
    rng = np.random.default_rng(1)
    times = 1_700_000_000 + np.sort(rng.integers(0, 20 * 86_400, 400))
    lines = ["who,ad,when,clicked,device"]
    lines += [
        f"{rng.integers(0, 20)},{rng.integers(0, 9)},{time},{int(rng.random() < 0.3)},d{time % 2}" for time in times
    ]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "schema.toml").write_text(
        '[roles]\nuser_id = "who"\nad_id = "ad"\nevent_time = "when"\nlabel = "clicked"\n[columns]\ndevice = "category"\n'
    )
    config = with_data(SMOKE, f"csv:{tmp_path / 'rows.csv'}", OVERRIDES)
    dataset = data.load(config)
    assert [len(part) for part in (dataset.train, dataset.valid, dataset.test)] == pytest.approx([280, 40, 80], abs=2)
    events = dataset.history.events
    clicks = events.kind == "click"
    assert clicks.any() and (np.diff(events.event_time) >= 0).all()
    inputs = features.fit(dataset, config).inputs(dataset.train, dataset.history)
    assert inputs.numbers.shape[0] == len(dataset.train)
