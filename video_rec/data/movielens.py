"""MovieLens, as GroupLens ships it (u.data, ratings.dat or ratings.csv) and as RecBole rewrote it (NAME.inter): films rated, with a clock.

A rating is a watch; 4 of 5 stars or more is a like. Whether the film was seen to its end nobody says, and nothing is known of films shown and not
rated. Genres are several a film, so they are words behind its title and no category. Files of users, tags and links are not read.

Each user's last film is asked for and the one before it validates, as on MicroLens. But here the clock runs across users as well, so the history is
an AsOfStore: a row sees what was rated before it, by anybody, and nothing later. A LeaveOneOutStore would tell a viewer of 1998 how often a film is
watched by 2003. What still looks ahead is what is fitted, the towers and the co-watch counts: others' later ratings train them, as in every figure
of this split. Ratings of one second keep the order of the file, which in u.data is random.

Fields: the READMEs of ml-100k, ml-1m, ml-10m and ml-latest; RecBole's guide to atomic files, and the headers its converter writes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.contract import Bools, Events, Ints
from common.data.cells import MAX_ID
from common.errors import InputError
from common.features.asof import AsOfStore
from common.training.progress import say
from video_rec.data import delimited
from video_rec.data.microlens import leave_last_out
from video_rec.schema import EVENTS, SHOWN, Catalog, Dataset, Judgments, Rows, find

LIKED = 4.0  # stars
LATEST = 1e11  # seconds: a later time is in milliseconds
SHAPES = {"u.data": "u.item", "ratings.dat": "movies.dat", "ratings.csv": "movies.csv", "*.inter": "*.item"}
SIGNS = {"u.item": "|", ".dat": "::", ".csv": ","}  # a tab elsewhere
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror",
    "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
NO_GENRE = ("", "unknown", "(no genres listed)")
HEADLESS = {  # the columns of the files that do not name them
    "u.data": ("userId", "movieId", "rating", "timestamp"),
    "ratings.dat": ("userId", "movieId", "rating", "timestamp"),
    "movies.dat": ("movieId", "title", "genres"),
    "u.item": ("movieId", "title", "released", "on_video", "url", *GENRES),
}
USER, FILM = ("userId", "user_id:token"), ("movieId", "item_id:token", "movie_id:token")
STARS, TIME = ("rating", "rating:float"), ("timestamp", "timestamp:float")
TITLE = ("title", "movie_title:token_seq", "movie_name:token_seq", "title:token_seq")
YEAR = ("release_year:token", "release_year:float")  # RecBole took it out of the title
KINDS = ("genres", "class:token_seq", "genre:token_seq", "genres:token_seq", "type:token_seq")


def read(folder: Path) -> tuple[Dataset, Judgments]:
    ratings, films = _files(folder)
    table = _open(ratings)
    user, film = table.ids(USER), table.ids(FILM)
    time = np.floor(table.numbers(TIME, "a time in seconds since 1970", LATEST)).astype(np.int64)
    liked = table.numbers(STARS, "a rating of 0 to 5 stars", 5.0) >= LIKED
    table.once(user * MAX_ID + film, "this user has rated this film")
    catalog = _catalog(films, film)
    order = np.argsort(time, kind="stable")
    order = order[_often(user, ratings)[order]]
    return _split(user[order], film[order], time[order], liked[order], catalog)


def _files(folder: Path) -> tuple[Path, Path]:
    """Ratings and films, in the one shape the folder holds."""
    wanted = " or ".join(f"{ratings} with {films}" for ratings, films in SHAPES.items())
    found = [path for pattern in SHAPES for path in sorted(folder.glob(pattern))]
    if len(found) != 1:
        held = f"holds {' and '.join(path.name for path in found)}" if found else "holds no ratings"
        raise InputError(f"{folder}: {held}. movielens:DIR wants a folder with one of {wanted}.")
    films = found[0].with_suffix(".item") if found[0].suffix == ".inter" else folder / SHAPES[found[0].name]
    if not films.is_file():
        raise InputError(f"{films}: no such file. movielens:DIR wants a folder with one of {wanted}.")
    return found[0], films


def _open(path: Path) -> delimited.Table:
    """The older files are latin-1, ml-10m is UTF-8 under the same names; with a header they are UTF-8."""
    sign = SIGNS.get(path.name, SIGNS.get(path.suffix, "\t"))
    names = HEADLESS.get(path.name, ())
    return delimited.read(path, sign, names, latin=bool(names))


def _often(user: Ints, path: Path) -> Bools:
    """[n] whether the row's user has the three films a split needs. GroupLens lists nobody with fewer than twenty; files that RecBole has
    filtered may, and a reader can do nothing about it: they are left out, aloud."""
    _, at, counts = np.unique(user, return_inverse=True, return_counts=True)
    rare = int((counts < 3).sum())
    if rare == len(counts):
        raise InputError(f"{path}: no user has rated 3 films. Leaving the last two out needs at least 3 a user.")
    if rare:
        say(f"{path}: {rare:,} of {len(counts):,} users rated fewer than 3 films and are left out.")
    often: Bools = counts[at] >= 3
    return often


def _split(user: Ints, film: Ints, time: Ints, liked: Bools, catalog: Catalog) -> tuple[Dataset, Judgments]:
    """Ratings [n] in order of time -> what `leave_last_out` makes of them, with the clock put back: moments, times, likes."""
    by_user = np.argsort(user, kind="stable")
    is_last = np.append(user[by_user][1:] != user[by_user][:-1], True)
    asked, known = by_user[is_last], by_user[~is_last]
    num_events = 1 + liked  # the watch, and the like behind it
    num_events[asked] = 0
    moment = np.cumsum(num_events) - num_events
    dataset, judgments = leave_last_out(user, film, catalog)

    def clocked(rows: Rows) -> Rows:
        at = known[rows.moment]  # leave_last_out numbers what is known user by user
        labels = {**rows.labels, "liked": liked[at].astype(float)}
        return replace(rows, event_time=time[at], moment=moment[at], labels=labels)

    test = replace(dataset.test, event_time=time[asked], moment=moment[asked])
    history = AsOfStore(_events(np.repeat(np.arange(len(user)), num_events), user, film, time, moment, catalog))
    train, valid = clocked(dataset.train), clocked(dataset.valid)
    return replace(dataset, train=train, valid=valid, test=test, history=history), replace(judgments, requests=test)


def _events(row: Ints, user: Ints, film: Ints, time: Ints, moment: Ints, catalog: Catalog) -> Events:
    """The log; `row` [num_events]: whose rating each event is. The first of a rating is its watch, the second its like."""
    position = np.arange(len(row))
    creator = catalog.creator_id[find(catalog.video_id, film[row])]
    nothing = np.zeros(len(row), np.int64)
    return Events(
        position=position,
        kind=np.where(position == moment[row], "watch", "like"),
        event_time=time[row],
        moment=moment[row],
        keys=dict(zip(SHOWN, (np.full(len(row), -1), user[row], film[row], creator), strict=True)),
        values={name: nothing for kind in EVENTS.values() for name in kind.values},
    )


def _catalog(path: Path, rated: Ints) -> Catalog:
    """Every film listed or rated; in every shape a title reads `Toy Story (1995) Animation Children's Comedy`."""
    table = _open(path)
    ids, titles = table.ids(FILM), table.texts(TITLE)
    table.once(ids, "this film stands")
    years = [f" ({year[:4]})" if year[:4].isdigit() else "" for year in table.texts(YEAR, optional=True)]
    kinds = _flagged(table) if path.name == "u.item" else table.texts(KINDS, optional=True)
    words = ["" if kind in NO_GENRE else " ".join(["", *re.findall(r"[^|,\s]+", kind)]) for kind in kinds]
    known = {film: "".join(parts) for film, *parts in zip(ids.tolist(), titles, years, words, strict=True)}
    every = np.union1d(ids, rated)
    return Catalog(
        video_id=every,
        creator_id=np.full(len(every), -1),
        title=np.array([known.get(film, "") for film in every.tolist()], dtype=np.str_),
        explicit=np.zeros(len(every), np.int64),
    )


def _flagged(table: delimited.Table) -> list[str]:
    """u.item: a flag a genre -> their names with "|" between, as elsewhere."""
    flags = np.stack([table.numbers((genre,), "0 or 1", 1.0, whole=True) > 0 for genre in GENRES], axis=1)
    return ["|".join(genre for genre, flag in zip(GENRES, row, strict=True) if flag) for row in flags.tolist()]
