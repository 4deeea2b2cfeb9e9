"""The door: what schema.toml names comes in as the right arrays, everything else is refused with the line that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.door import Roles, Table, draft, read_tables, write_tables
from common.errors import InputError

WANTED = {
    "rows": Roles(
        required={"user_id": "id", "item_id": "id", "event_time": "time", "label": "label"},
        optional={"session_id": "id", "position": "number"},
    ),
    "catalog": Roles(required={"item_id": "id"}, optional={"maker_id": "id", "title": "text"}, key="item_id"),
}
ROWS = "uid,item,ts,clicked,device\nanna,i9,1700000000,1,ios\nbob,i2,1700000001,0,\nanna,i9,1700000002,,web\n"
ROLES = '[roles]\nuser_id = "uid"\nitem_id = "item"\nevent_time = "ts"\nlabel = "clicked"\n'
SCHEMA = ROLES + '[columns]\ndevice = "category"\n'


def put(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return folder


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if first.dtype.kind == "f":  # -0.0 is not 0.0 here; which NaN it is does not matter
        return np.array_equal(first, second, equal_nan=True) and np.array_equal(
            np.signbit(first[first == 0]), np.signbit(second[second == 0])
        )
    return bool(first.dtype.kind == second.dtype.kind and np.array_equal(first, second))


def same_table(first: Table, second: Table) -> bool:
    groups = ("roles", "numbers", "categories", "texts", "lists")
    return first.names == second.names and all(same(getattr(first, group), getattr(second, group)) for group in groups)


def test_a_single_file_comes_in_by_its_roles(tmp_path: Path) -> None:
    rows = read_tables(put(tmp_path, rows__csv=ROWS, schema__toml=SCHEMA) / "rows.csv", WANTED)["rows"]
    assert rows.roles["user_id"].tolist() == [0, 1, 0] and rows.names["user_id"] == ["anna", "bob"]
    assert rows.roles["event_time"].dtype == np.int64 and rows.roles["event_time"][0] == 1_700_000_000
    assert rows.roles["label"][:2].tolist() == [1.0, 0.0] and np.isnan(rows.roles["label"][2])
    assert rows.categories["device"].tolist() == ["ios", "", "web"]
    assert "session_id" not in rows.roles and len(rows) == 3


def test_tables_of_a_folder_share_one_numbering_a_role(tmp_path: Path) -> None:
    put(
        tmp_path,
        rows__csv=ROWS,
        items__csv="item_id,maker_id,name\ni2,5,two\ni7,,seven\ni9,4,nine words\n",
        schema__toml='[file]\ncatalog = "items.csv"\n'
        + SCHEMA.replace("[", "[rows.")
        + '[catalog.roles]\nitem_id = "item_id"\nmaker_id = "maker_id"\ntitle = "name"\n',
    )
    tables = read_tables(tmp_path, WANTED)
    assert tables["rows"].names["item_id"] == ["i9", "i2", "i7"] == tables["catalog"].names["item_id"]
    assert tables["catalog"].roles["item_id"].tolist() == [1, 2, 0]
    assert tables["catalog"].roles["maker_id"].tolist() == [5, -1, 4]  # integers as they are, a gap is -1
    assert tables["catalog"].roles["title"].tolist() == ["two", "seven", "nine words"]


@pytest.mark.parametrize(
    ("written", "read", "names"),
    [
        (["7", "0", "2147483647"], [7, 0, 2**31 - 1], None),
        (["7.0", "7", "8.00"], [7, 7, 8], None),  # as data frames write integers beside a gap
        (["7", "2147483648", "7"], [0, 1, 0], ["7", "2147483648"]),  # too big to be used as it is: a name
        (["007", "7", "007"], [0, 1, 0], ["007", "7"]),
        (["a", "7", "a"], [0, 1, 0], ["a", "7"]),
    ],
)
def test_ids_are_integers_or_names(
    tmp_path: Path, written: list[str], read: list[int], names: list[str] | None
) -> None:
    rows = "user_id,item_id,event_time,label\n" + "".join(f"{one},1,5,0\n" for one in written)
    put(
        tmp_path,
        rows__csv=rows,
        schema__toml="".join(
            f'{name} = "{name}"\n' if name[0] != "[" else name for name in ("[roles]\n", *WANTED["rows"].required)
        ),
    )
    table = read_tables(tmp_path, WANTED)["rows"]
    assert table.roles["user_id"].tolist() == read and table.names.get("user_id") == names


def test_ids_that_are_integers_in_one_table_and_names_in_another_are_all_names(tmp_path: Path) -> None:
    put(
        tmp_path,
        rows__csv="user_id,item_id,event_time,label\n4,3,5,0\n4,1,5,0\n",
        catalog__csv="item_id\nx\n1\n",
        schema__toml='[rows.roles]\nuser_id = "user_id"\nitem_id = "item_id"\nevent_time = "event_time"\nlabel = "label"\n[catalog.roles]\nitem_id = "item_id"\n',
    )
    tables = read_tables(tmp_path, WANTED)
    assert tables["rows"].names == {"item_id": ["3", "1", "x"]}
    assert tables["rows"].roles["item_id"].tolist() == [0, 1] and tables["catalog"].roles["item_id"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("unit", "cell", "seconds"),
    [
        ("s", "1700000000", 1_700_000_000),
        ("ms", "1700000000999", 1_700_000_000),
        ("s", "2023-11-14T22:13:20Z", 1_700_000_000),
        ("s", "2023-11-14 22:13:20.9", 1_700_000_000),
        ("s", "2023-11-15T00:13:20+02:00", 1_700_000_000),
        ("s", "1970-01-01", 0),
    ],
)
def test_times_in_every_shape_are_seconds_utc(tmp_path: Path, unit: str, cell: str, seconds: int) -> None:
    put(tmp_path, rows__csv=f"uid,item,ts,clicked\n1,2,{cell},0\n", schema__toml=f'time_unit = "{unit}"\n' + ROLES)
    assert read_tables(tmp_path, WANTED)["rows"].roles["event_time"].tolist() == [seconds]


def test_parquet_types_come_in_as_what_they_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "uid": pa.array([3, 4]),
            "item": pa.array([1.0, 2.0]),
            "ts": pa.array([1_700_000_000_500_000, 0], pa.timestamp("us")),
            "clicked": pa.array([True, None]),
            "tags": pa.array([["a", " b"], None]),
            "size": pa.array([1.5, None], pa.float32()),
            "code": pa.array([7, None]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    put(tmp_path, schema__toml=ROLES + '[columns]\ntags = "list"\nsize = "number"\ncode = "category"\n')
    rows = read_tables(tmp_path / "rows.parquet", WANTED)["rows"]
    assert rows.roles["user_id"].tolist() == [3, 4] and rows.roles["item_id"].tolist() == [1, 2]
    assert rows.roles["event_time"].tolist() == [1_700_000_000, 0]
    assert rows.roles["label"][0] == 1 and np.isnan(rows.roles["label"][1])
    assert rows.lists["tags"].tolist() == ["a|b", ""] and rows.categories["code"].tolist() == ["7", ""]
    assert rows.numbers["size"][0] == 1.5 and np.isnan(rows.numbers["size"][1])


def test_a_data_frame_with_categories_strings_and_gaps_comes_in(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "uid": pd.Categorical(["b", "a"]),
            "item": pd.array([1, 2], dtype="Int64"),
            "ts": pd.to_datetime(["2023-11-14T22:13:20", "1970-01-01T00:00:00"]),
            "clicked": [1, 0],
            "device": pd.Series(["ios", None], dtype="str"),
            "empty": [None, None],
        }
    )
    put(tmp_path, schema__toml=SCHEMA + 'empty = "number"\n')
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    rows = read_tables(tmp_path, WANTED)["rows"]
    assert rows.roles["user_id"].tolist() == [0, 1] and rows.names["user_id"] == ["b", "a"]
    assert rows.roles["event_time"].tolist() == [1_700_000_000, 0] and rows.roles["item_id"].tolist() == [1, 2]
    assert rows.categories["device"].tolist() == ["ios", ""] and np.isnan(rows.numbers["empty"]).all()


BAD_SCHEMA = {
    "no schema.toml": (None, r"mlsd data .* --case CASE > .*schema\.toml"),
    "not TOML": ("[roles\n", "is not TOML"),
    "nothing about rows": ("[rows]\n", r"nothing about the table 'rows'"),
    "mistyped table": (SCHEMA.replace("[", "[rosw."), "Did you mean 'rows'"),
    "mistyped section": (SCHEMA.replace("[columns]", "[colums]"), "Did you mean 'columns'"),
    "mistyped section of a table": (
        SCHEMA.replace("[", "[rows.").replace("columns", "colums"),
        "Did you mean 'columns'",
    ),
    "mistyped role": (SCHEMA.replace("label =", "lable ="), "Did you mean 'label'"),
    "mistyped column": (SCHEMA.replace('"clicked"', '"clickd"'), "Did you mean 'clicked'"),
    "mistyped kind": (SCHEMA.replace('"category"', '"categry"'), "Did you mean 'category'"),
    "column that is not there": (SCHEMA + 'size = "number"\n', "has no column 'size'"),
    "required role missing": (SCHEMA.replace('label = "clicked"\n', ""), r'Add under \[roles\]:\n  label = "clicked"'),
    "undeclared column": (ROLES, r'Add under \[columns\].*\n  device = "category"'),
    "not text": (SCHEMA.replace('"uid"', "5"), "not text in quotes"),
    "unknown unit": ('time_unit = "sec"\n' + SCHEMA, "time_unit"),
    "unknown table": (SCHEMA + '[file]\nrwos = "rows.csv"\n', "Did you mean 'rows'"),
    "file that is not there": (SCHEMA + '[file]\nrows = "x.csv"\n', "no such file"),
}


@pytest.mark.parametrize("name", BAD_SCHEMA)
def test_a_schema_that_does_not_fit_is_refused_with_the_line_to_mend(tmp_path: Path, name: str) -> None:
    schema, message = BAD_SCHEMA[name]
    put(tmp_path, rows__csv=ROWS, **({} if schema is None else {"schema__toml": schema}))
    with pytest.raises(InputError, match=message):
        read_tables(tmp_path, WANTED)


def test_the_schema_of_the_first_table_is_not_taken_for_another(tmp_path: Path) -> None:
    put(tmp_path, rows__csv=ROWS, schema__toml=SCHEMA)
    read_tables(tmp_path, WANTED)
    put(tmp_path, catalog__csv=ROWS)
    with pytest.raises(InputError, match=r"nothing about the table 'catalog'"):
        read_tables(tmp_path, WANTED)


def test_the_lines_a_refusal_says_to_add_let_the_file_in(tmp_path: Path) -> None:
    put(tmp_path, rows__csv=ROWS, schema__toml=ROLES)
    with pytest.raises(InputError) as caught:
        read_tables(tmp_path, WANTED)
    line = str(caught.value).splitlines()[-1].strip()
    put(tmp_path, schema__toml=ROLES + "[columns]\n" + line)
    assert list(read_tables(tmp_path, WANTED)["rows"].categories) == ["device"]


@pytest.mark.parametrize(
    ("cells", "column", "row", "expected"),
    [
        ({"ts": "yesterday"}, "ts", 2, "a time"),
        ({"ts": ""}, "ts", 2, "a time"),
        ({"ts": "-5"}, "ts", 2, "a time in s"),
        ({"ts": "1700000000000"}, "ts", 2, 'time_unit = "ms"'),
        ({"clicked": "yes"}, "clicked", 2, "a number"),
        ({"clicked": "inf"}, "clicked", 2, "a finite number"),
        ({"uid": ""}, "uid", 2, "required"),
        ({"uid": "-1"}, "uid", 2, "an id"),
        ({"device": "x" * 5000}, "device", 2, "shorter than 4,000"),
    ],
)
def test_a_bad_cell_is_named_with_file_column_row_and_value(
    tmp_path: Path, cells: dict[str, str], column: str, row: int, expected: str
) -> None:
    good = {"uid": "1", "item": "2", "ts": "5", "clicked": "0", "device": "a"}
    lines = [",".join(good), ",".join(good.values()), ",".join((good | cells).values())]
    put(tmp_path, rows__csv="\n".join(lines) + "\n", schema__toml=SCHEMA)
    with pytest.raises(InputError) as caught:
        read_tables(tmp_path, WANTED)
    message = str(caught.value)
    assert f"column {column!r}, row {row}" in message and expected in message and "rows.csv" in message
    assert next(iter(cells.values()))[:20] in message and len(message) < 500


def test_a_key_that_repeats_is_refused_with_both_rows(tmp_path: Path) -> None:
    put(
        tmp_path,
        rows__csv=ROWS,
        catalog__csv="item_id\ni2\ni9\ni2\n",
        schema__toml=SCHEMA.replace("[", "[rows.") + '[catalog.roles]\nitem_id = "item_id"\n',
    )
    with pytest.raises(InputError, match=r"'i2' stands in row 1 and again in row 3"):
        read_tables(tmp_path, WANTED)


def test_two_files_for_one_table_are_refused(tmp_path: Path) -> None:
    put(tmp_path, rows__csv=ROWS, schema__toml=SCHEMA)
    (tmp_path / "rows.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"could all be the table 'rows'"):
        read_tables(tmp_path, WANTED)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6) | st.sampled_from(
    ['a"b', "x,y", "p|q", "1", " pad "]
)
NUMBERS = st.floats(allow_infinity=False, width=64) | st.just(-0.0)


@st.composite
def written(draw: st.DrawFn) -> dict[str, Table]:
    n = draw(st.integers(1, 8))

    def column(of: st.SearchStrategy[Any]) -> Any:
        return np.array(draw(st.lists(of, min_size=n, max_size=n)))

    rows = Table(
        roles={
            "user_id": column(st.integers(0, 2**31 - 1)),
            "item_id": column(st.integers(0, 5)),
            "event_time": column(st.integers(0, 2**36)),
            "label": np.where(column(st.booleans()), np.nan, 1.0),
            "session_id": column(st.integers(-1, 3)),
            "position": column(NUMBERS).astype(np.float64),
        },
        numbers={"price": column(NUMBERS).astype(np.float64)},
        categories={"device type": column(WORDS).astype(np.str_)},
        texts={"words": column(WORDS).astype(np.str_)},
        lists={"tags": np.array(["a|b", "", "c"])[column(st.integers(0, 2))]},
    )
    return {"rows": rows, "catalog": Table(roles={"item_id": np.arange(6)})}


@settings(max_examples=20, deadline=None)
@given(written(), st.sampled_from([".csv", ".csv.gz", ".parquet"]))
def test_tables_written_are_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, Table], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_tables(folder, tables, suffix)
    read = read_tables(folder, WANTED)
    for name, table in tables.items():
        assert same_table(read[name], table)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_survive_being_written(tmp_path: Path, suffix: str) -> None:
    tables = read_tables(put(tmp_path, rows__csv=ROWS, schema__toml=SCHEMA), WANTED)
    write_tables(tmp_path / "copy", tables, suffix)
    assert same_table(read_tables(tmp_path / "copy", WANTED)["rows"], tables["rows"])


def test_a_well_named_file_is_let_in_by_its_draft(tmp_path: Path) -> None:
    named = ROWS.replace("uid,item,ts,clicked", "user_id,item_id,event_time,label")
    put(tmp_path, rows__csv=named)
    for path in (tmp_path / "rows.csv", tmp_path):
        put(tmp_path, schema__toml=draft(path, WANTED))
        rows = read_tables(path, WANTED)["rows"]
        assert set(rows.roles) == set(WANTED["rows"].required) and list(rows.categories) == ["device"]


def test_a_draft_guesses_common_names_and_says_that_it_guessed(tmp_path: Path) -> None:
    put(tmp_path, log__csv=ROWS.replace("1700000", "1700000000"), items__csv="itemid,Title\ni2,A word\ni9,Two\n")
    text = draft(tmp_path, WANTED)
    assert 'user_id = "uid"  # a guess' in text and 'label = "clicked"  # a guess' in text
    assert 'time_unit = "ms"' in text and 'rows = "log.csv"' in text and 'catalog = "items.csv"' in text
    put(tmp_path, schema__toml=text)
    tables = read_tables(tmp_path, WANTED)
    assert tables["rows"].roles["event_time"].tolist() == [1_700_000_000] * 3
    assert tables["catalog"].roles["title"].tolist() == ["A word", "Two"]


def test_a_role_no_column_looks_like_is_left_to_the_reader(tmp_path: Path) -> None:
    put(tmp_path, t__csv="user_id,item_id,event_time,zzz\n1,2,3,4\n")
    text = draft(tmp_path / "t.csv", WANTED)
    assert '# label = "YOUR_COLUMN"  # label, required' in text
    put(tmp_path, schema__toml=text)
    with pytest.raises(InputError, match="role 'label'"):
        read_tables(tmp_path / "t.csv", WANTED)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5", "", "2"], "number"),
        (["a", "b", "a"], "category"),
        (["", "", ""], "ignore"),
        (["a|b", "c|d|e", ""], "list"),
        (["a long sentence of words", "another one of them", "and one more here"], "text"),
        (["x" * 5000, "a", "b"], "ignore"),
    ],
)
def test_a_draft_gives_every_other_column_a_kind(tmp_path: Path, cells: list[str], kind: str) -> None:
    lines = "".join(f'1,2,3,0,"{cell}"\n' for cell in cells)
    put(tmp_path, t__csv="user_id,item_id,event_time,label,my column\n" + lines)
    assert f'"my column" = "{kind}"' in draft(tmp_path / "t.csv", WANTED)
