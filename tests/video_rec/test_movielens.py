"""One planted table, written in each shape MovieLens comes in: the same Dataset, bit for bit, and one sentence for whatever is torn."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common import cases, events
from common.commands import run
from common.config import with_data
from common.errors import InputError
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore
from common.training import progress
from video_rec import data, features
from video_rec.config import OVERRIDES, SMOKE
from video_rec.data.movielens import GENRES
from video_rec.schema import Dataset, Rows

FILMS = [
    (1, "Toy Story", "1995", ["Animation", "Children's", "Comedy"]),
    (6, 'Quoted "Film", The', "1995", ["Film-Noir"]),
    (17, "Misérables, Les", "1995", ["Drama", "Musical"]),
    (2, "Nothing Known", "1990", []),
    *((place, f"Film {place}", "2000", ["Sci-Fi", "War"][: 1 + place % 2]) for place in range(20, 60)),
]
Rating = tuple[int, int, int, int]  # user, film, stars, seconds


def planted(num_users: int = 12, seed: int = 0) -> list[Rating]:
    """In no order, as in u.data; three ratings in ten share their second with another of the same user."""
    rng = np.random.default_rng(seed)
    ids = [film for film, *_ in FILMS]
    ratings = []
    for user in range(1, num_users + 1):
        chosen = rng.permutation(ids)[: rng.integers(3, 20)].tolist()
        times = 880_000_000 + 3_600 * rng.integers(0, max(2, len(chosen)), len(chosen))
        ratings += [(user, film, int(rng.integers(1, 6)), int(time)) for film, time in zip(chosen, times, strict=True)]
    return [ratings[place] for place in rng.permutation(len(ratings))]


def ml_100k(folder: Path, ratings: list[Rating]) -> None:
    lines = ["\t".join(map(str, rating)) for rating in ratings]
    (folder / "u.data").write_text("\n".join(lines) + "\n")
    films = []
    for film, title, year, genres in FILMS:
        flags = [str(int(genre in (genres or ["unknown"]))) for genre in GENRES]
        films.append("|".join([str(film), f"{title} ({year})", "01-Jan-1995", "", "http://us.imdb.com/M", *flags]))
    (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")


def ml_1m(folder: Path, ratings: list[Rating], encoding: str = "latin-1") -> None:
    (folder / "ratings.dat").write_text("".join("::".join(map(str, rating)) + "\n" for rating in ratings))
    films = [f"{film}::{title} ({year})::{listed(genres)}\n" for film, title, year, genres in FILMS]
    (folder / "movies.dat").write_text("".join(films), encoding=encoding)


def ml_latest(folder: Path, ratings: list[Rating]) -> None:
    half_stars = [(user, film, float(stars), time) for user, film, stars, time in ratings]
    films = [(film, f"{title} ({year})", listed(genres)) for film, title, year, genres in FILMS]
    for name, header, rows in (
        ("ratings.csv", ("userId", "movieId", "rating", "timestamp"), half_stars),
        ("movies.csv", ("movieId", "title", "genres"), films),
        ("tags.csv", ("userId", "movieId", "tag", "timestamp"), [(1, 1, "fun", 1)]),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])


def recbole(folder: Path, ratings: list[Rating]) -> None:
    lines = [f"{user}\t{film}\t{stars}\t{time}.0" for user, film, stars, time in ratings]
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (folder / "ml.inter").write_text("\n".join([header, *lines]) + "\n")
    films = [f"{film}\t{title}\t{year}\t{' '.join(genres) or 'unknown'}" for film, title, year, genres in FILMS]
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    (folder / "ml.item").write_text("\n".join([header, *films]) + "\n", encoding="utf-8")
    (folder / "ml.user").write_text("user_id:token\tage:token\n1\t24\n")


def listed(genres: list[str]) -> str:
    return "|".join(genres) or "(no genres listed)"


SHAPES: Mapping[str, Callable[[Path, list[Rating]], None]] = {
    "100k": ml_100k,
    "1m": ml_1m,
    "latest": ml_latest,
    "recbole": recbole,
}


def load(folder: Path, ratings: list[Rating], write: Callable[[Path, list[Rating]], None] = ml_latest) -> Any:
    folder.mkdir(exist_ok=True)
    write(folder, ratings)
    return read(folder)


def read(folder: Path) -> Any:
    config = with_data(SMOKE, f"movielens:{folder}", OVERRIDES)
    return data.load(config), data.judgments(config)


def flat(thing: Any, name: str = "") -> dict[str, Any]:
    """Every array of a dataset, by its path."""
    if isinstance(thing, AsOfStore):
        return flat(thing.events, name)
    if is_dataclass(thing):
        thing = {field.name: getattr(thing, field.name) for field in fields(thing)}
    if isinstance(thing, Mapping):
        return {path: array for key, part in thing.items() for path, array in flat(part, f"{name}.{key}").items()}
    return {name: thing} if isinstance(thing, np.ndarray) else {}


def test_every_shape_gives_the_same_dataset_bit_for_bit(tmp_path: Path) -> None:
    found = {name: flat(dict(enumerate(load(tmp_path / name, planted(), write)))) for name, write in SHAPES.items()}
    first = found["100k"]
    assert len(first) > 30
    for other in found.values():
        assert other.keys() == first.keys()
        for name, array in first.items():
            assert array.dtype == other[name].dtype and np.array_equal(
                array, other[name], equal_nan=array.dtype.kind == "f"
            ), name


def test_titles_carry_the_year_and_the_words_of_the_genres(tmp_path: Path) -> None:
    catalog = load(tmp_path, planted())[0].catalog
    titles = dict(zip(catalog.video_id.tolist(), catalog.title.tolist(), strict=True))
    assert titles[1] == "Toy Story (1995) Animation Children's Comedy"
    assert titles[6] == 'Quoted "Film", The (1995) Film-Noir'
    assert titles[17] == "Misérables, Les (1995) Drama Musical"
    assert titles[2] == "Nothing Known (1990)"


@pytest.mark.parametrize("seed", range(5))
def test_split_labels_and_moments_are_those_of_a_plain_count(tmp_path: Path, seed: int) -> None:
    """Brute force: each user's ratings by time, ties by line; a moment is the number of events of what is known before it."""
    ratings = planted(seed=seed)
    dataset, judged = load(tmp_path, ratings)
    in_time = sorted(range(len(ratings)), key=lambda line: (ratings[line][3], line))
    lines = {user: [line for line in in_time if ratings[line][0] == user] for user, *_ in ratings}
    held_out = {of[-1] for of in lines.values()}
    moment, moments = 0, {}
    for line in in_time:
        moments[line] = moment
        moment += 0 if line in held_out else 1 + (ratings[line][2] >= 4)

    def expected(chosen: list[int]) -> list[tuple[float, ...]]:
        return [(ratings[at][0], ratings[at][1], ratings[at][3], moments[at], ratings[at][2] >= 4) for at in chosen]

    for rows, chosen in (
        (dataset.train, [line for user in sorted(lines) for line in lines[user][:-2]]),
        (dataset.valid, [lines[user][-2] for user in sorted(lines)]),
    ):
        columns = (rows.user_id, rows.video_id, rows.event_time, rows.moment, rows.labels["liked"])
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected(chosen)
        assert rows.labels.keys() == {"clicked", "liked"} and rows.labels["clicked"].all()
    last = expected([lines[user][-1] for user in sorted(lines)])
    asked = (dataset.test.user_id, judged.relevant[:, 0], dataset.test.event_time, dataset.test.moment)
    assert list(zip(*(column.tolist() for column in asked), strict=True)) == [row[:4] for row in last]
    log = dataset.history.events
    assert len(log) == moment and (np.diff(log.event_time) >= 0).all()
    assert (log.kind == "like").sum() == sum(ratings[line][2] >= 4 for line in in_time if line not in held_out)


def inputs(dataset: Dataset, rows: Rows) -> Any:
    return features.fit(dataset, SMOKE).inputs(rows, dataset.history).dense


def test_nothing_later_is_seen_and_a_store_without_a_clock_would_see_it(tmp_path: Path) -> None:
    """Every rating after a cut is dropped, but for two a user: what is before the cut has the same features. A LeaveOneOutStore has not."""
    ratings = planted(40)
    cut = 880_000_000 + 3_600 * 6
    later = {user: [rating for rating in ratings if rating[0] == user and rating[3] >= cut] for user, *_ in ratings}
    ratings = [rating for rating in ratings if len(later[rating[0]]) >= 3]
    fewer = [rating for rating in ratings if rating[3] < cut or rating in later[rating[0]][:2]]
    inputs_of = []
    for clock in (True, False):
        found = []
        for name, some in (("all", ratings), ("fewer", fewer)):
            dataset = load(tmp_path / name, some)[0]
            if not clock:
                dataset = replace(dataset, history=LeaveOneOutStore(dataset.history.events, ordered=("user_id",)))
            found.append(inputs(dataset, dataset.train.take(dataset.train.event_time < cut)))
        assert len(found[0]) == len(found[1]) > 50
        inputs_of.append(np.array_equal(*found))
    assert inputs_of == [True, False]


def test_the_left_out_film_is_nowhere_in_what_is_known(tmp_path: Path) -> None:
    dataset, judged = load(tmp_path, planted())
    log = dataset.history.events
    known = set(zip(log.keys["user_id"].tolist(), log.keys["video_id"].tolist(), strict=True))
    asked = set(zip(dataset.test.user_id.tolist(), judged.relevant[:, 0].tolist(), strict=True))
    assert not known & asked and judged.origin == "real"
    watched = dataset.history.read(features.SEEN, dataset.test.user_id, dataset.test.moment)[:, : features.WATCHED]
    for user, row in zip(dataset.test.user_id.tolist(), watched, strict=True):
        assert {(user, film) for film in row[row >= 0].tolist()} == {pair for pair in known if pair[0] == user}


def test_written_and_read_back_it_gives_the_same_features(tmp_path: Path) -> None:
    dataset, judged = load(tmp_path / "first", planted())
    data.write(dataset, judged, tmp_path / "own")
    again = data.load(replace(SMOKE, data=f"csv:{tmp_path / 'own'}"))
    for name in ("train", "valid"):
        assert np.array_equal(inputs(dataset, getattr(dataset, name)), inputs(again, getattr(again, name)))


def test_users_of_fewer_than_three_films_are_left_out_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLSD_QUIET", raising=False)
    monkeypatch.setitem(progress._switch, "quiet", False)
    rare = [(101, 1, 5, 880_000_000), (102, 1, 5, 880_000_001), (102, 2, 3, 880_000_002)]
    alone, _ = load(tmp_path / "alone", planted())
    capsys.readouterr()
    among, _ = load(tmp_path / "among", rare + planted())
    assert "ratings.csv: 2 of 14 users rated fewer than 3 films and are left out." in capsys.readouterr().err
    for name, array in flat(alone).items():
        assert np.array_equal(array, flat(among)[name], equal_nan=array.dtype.kind == "f"), name
    with pytest.raises(InputError, match="no user has rated 3 films"):
        load(tmp_path / "nobody", rare)


BAD = [
    ("100k", "u.data", 3, "5\t1\t3", r"u\.data, line 3: .*has 3 fields, expected 4"),
    ("100k", "u.data", 2, "x\t1\t3\t880000000", r"u\.data, line 2: 'x' is not an id"),
    ("100k", "u.data", 2, "1.5\t1\t3\t880000000", r"line 2: '1.5' is not an id"),
    ("100k", "u.data", 4, "5\t1\t6\t880000000", r"line 4: '6' is not a rating of 0 to 5 stars"),
    ("100k", "u.data", 4, "5\t1\tnan\t880000000", r"line 4: 'nan' is not a rating"),
    ("100k", "u.data", 4, "5\t1\t4\t880000000000", r"line 4: '880000000000' is not a time in seconds"),
    ("100k", "u.data", 4, "", r"line 4: '' is not an id"),
    ("100k", "u.item", 2, "6|Film (1995)|||http", r"u\.item, line 2: .*has 5 fields, expected 24"),
    ("100k", "u.item", 2, "6|Film (1995)|||http|" + "|".join("2" * 19), r"u\.item, line 2: '2' is not 0 or 1"),
    ("1m", "ratings.dat", 5, "5::1::3", r"ratings\.dat, line 5: '5::1::3' has 3 fields, expected 4 with '::'"),
    ("1m", "ratings.dat", 5, "5::-1::3::1", r"ratings\.dat, line 5: '-1' is not an id"),
    ("1m", "movies.dat", 1, "1::Toy Story (1995)", r"movies\.dat, line 1: .*expected 3"),
    ("1m", "movies.dat", 2, "1::Again (1995)::Drama", r"movies\.dat, line 2: this film stands on line 1 already"),
    ("latest", "ratings.csv", 5, "5,1,good,880000000", r"ratings\.csv, line 5: 'good' is not a rating"),
    ("latest", "ratings.csv", 5, "5,1", r"ratings\.csv, line 5: '5,1' has 2 fields, expected 4"),
    ("latest", "ratings.csv", 1, "userId,movieId,stars,timestamp", r"ratings\.csv, line 1: no column named rating"),
    ("latest", "ratings.csv", 1, "userId,movieId,timestamp,timestamp", r"ratings\.csv, line 1: 2 columns named timestamp"),
    ("latest", "movies.csv", 3, '6,"Open quote (1995),Drama', r"movies\.csv"),
    ("latest", "movies.csv", 1, "movieId,name,genres", r"movies\.csv, line 1: no column named title"),
    ("recbole", "ml.inter", 6, "5\t1\t3\tsoon", r"ml\.inter, line 6: 'soon' is not a time"),
    ("recbole", "ml.inter", 1, "user_id\titem_id\trating\ttimestamp", r"ml\.inter, line 1: no column named userId or user_id:token"),
    ("recbole", "ml.inter", 1, "user_id:token\titem_id:token\trating:token\ttimestamp:float", r"line 1: no column named rating"),
    ("recbole", "ml.item", 2, "1\tToy Story", r"ml\.item, line 2: .*has 2 fields, expected 4"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "name", "line", "instead", "says"), BAD)
def test_a_bad_line_is_named(tmp_path: Path, shape: str, name: str, line: int, instead: str, says: str) -> None:
    SHAPES[shape](tmp_path, planted())
    read(tmp_path)  # as it was it can be read
    encoding = "latin-1" if shape in ("100k", "1m") else "utf-8"
    lines = (tmp_path / name).read_text(encoding=encoding).splitlines()
    lines[line - 1] = instead
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    with pytest.raises(InputError, match=says):
        read(tmp_path)


@pytest.mark.parametrize(("shape", "name", "first"), [("100k", "u.data", 1), ("latest", "ratings.csv", 2), ("recbole", "ml.inter", 2)])  # fmt: skip
def test_a_film_rated_twice_is_named_with_both_lines(tmp_path: Path, shape: str, name: str, first: int) -> None:
    ratings = planted()
    user, film, *_ = ratings[4]
    again = [*ratings[:9], (user, film, 1, 999_999_999), *ratings[9:]]
    SHAPES[shape](tmp_path, again)
    with pytest.raises(
        InputError, match=f"line {first + 9}: this user has rated this film on line {first + 4} already"
    ):
        read(tmp_path)


def test_ml_10m_is_utf_8_under_the_names_of_ml_1m(tmp_path: Path) -> None:
    one, _ = load(tmp_path / "one", planted(), ml_1m)
    (tmp_path / "ten").mkdir()
    ml_1m(tmp_path / "ten", planted(), encoding="utf-8")
    assert np.array_equal(one.catalog.title, read(tmp_path / "ten")[0].catalog.title)


@pytest.mark.parametrize(("shape", "name", "encoding", "says"), [
    ("latest", "movies.csv", "latin-1", r"movies\.csv, line 4: byte 0xe9 is not UTF-8 text"),
    ("recbole", "ml.item", "latin-1", r"ml\.item, line 4: byte 0xe9 is not UTF-8 text"),
    ("1m", "movies.dat", "utf-16", r"movies\.dat, line 1: byte 0x00 is not UTF-8 or latin-1 text"),
])  # fmt: skip
def test_another_encoding_is_named(tmp_path: Path, shape: str, name: str, encoding: str, says: str) -> None:
    SHAPES[shape](tmp_path, planted())
    text = (tmp_path / name).read_bytes().decode("latin-1" if shape == "1m" else "utf-8")
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=says):
        read(tmp_path)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = flat(load(tmp_path, planted())[0])
    for name in ("ratings.csv", "movies.csv"):
        text = (tmp_path / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text)
    for name, array in flat(read(tmp_path)[0]).items():
        assert np.array_equal(array, plain[name], equal_nan=array.dtype.kind == "f"), name


def test_the_other_headers_of_recbole_are_known(tmp_path: Path) -> None:
    """ml-100k came with movie_id, ml-10m and ml-20m come with movie_name and type; a film without a year keeps its title."""
    load(tmp_path, planted(), recbole)
    text = (tmp_path / "ml.item").read_text(encoding="utf-8").replace("\t1990\t", "\tunkonwn\t")
    text = text.replace("item_id:", "movie_id:").replace("movie_title:", "movie_name:").replace("class:", "type:")
    (tmp_path / "ml.item").write_text(text, encoding="utf-8")
    assert read(tmp_path)[0].catalog.title[:2].tolist() == [
        "Toy Story (1995) Animation Children's Comedy",
        "Nothing Known",
    ]


def test_a_folder_of_none_or_two_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no ratings.*u\.data with u\.item"):
        read(tmp_path)
    ml_100k(tmp_path, planted())
    (tmp_path / "u.item").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"u\.item: no such file"):
        read(tmp_path)
    recbole(tmp_path, planted())
    with pytest.raises(InputError, match=r"holds u\.data and ml\.inter"):
        read(tmp_path)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    ml_latest(tmp_path, planted())
    header, *_ = (tmp_path / "ratings.csv").read_text().splitlines()
    for text, says in (("\n", r"ratings\.csv: is empty"), (header, r"ratings\.csv: a header and no rows")):
        (tmp_path / "ratings.csv").write_text(text)
        with pytest.raises(InputError, match=says):
            read(tmp_path)


@pytest.mark.slow
def test_the_whole_pipeline_runs_on_it(tmp_path: Path) -> None:
    """Through what `mlsd run video_rec --data movielens:DIR` calls."""
    (tmp_path / "ml").mkdir()
    recbole(tmp_path / "ml", planted(150))
    case = cases.get("video_rec")
    config = run.configure(case, "smoke", f"movielens:{tmp_path / 'ml'}", ["num_candidates=30", "ranker_epochs=1"])
    assert config.weight_liked == 0.0
    result = run.train(case, config, tmp_path / "runs")
    assert result.reports.keys() == {"baseline", "model"}  # nothing published, and the truth is not known
    for report in result.reports.values():
        assert report.origin == "real" and report.primary == "ndcg@20"
        assert 0 < report.metrics["ndcg@20"].value < 1 and report.metrics["ndcg@20"].n == 150
    assert events.key_column(result.history, "user_id").max() == 150
