"""Your own tables, in and out: posts, and the events around them where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Events, Floats, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.logged import events_of, integers
from common.data.splits import by_time
from common.errors import InputError
from common.features.asof import AsOfStore
from harmful_content.config import Config
from harmful_content.data.planted import VALUES
from harmful_content.schema import NO_IMAGES, POSTED, SIDE, Dataset, Images, Judgments, Rows, rule_book

SPLITS = ("train", "valid", "test")
NATURAL, HAND, SLICE = "natural.", "hand.", "slice."
TABLES = {
    "rows": Roles(
        required={"post_id": "id", "user_id": "id", "event_time": "time", "text": "text"},
        optional={"label": "label", "image": "text", "moment": "number", "split": "category", "views": "number"},
    ),
    "events": Roles(
        required={"kind": "category", "event_time": "time"},
        optional={"moment": "number", **dict.fromkeys(POSTED, "id"), **dict.fromkeys(VALUES, "number")},
    ),
}


def read(path: Path, config: Config) -> tuple[Dataset, Judgments]:
    """rows: a post a line, in order of time. Labels: number columns hand.POLICY and natural.POLICY, 0 or 1, empty where nobody looked; or the role
    `label` for a single policy. image: the path of a picture, from the folder of the table. slice.NAME: a category to report by. Split by time, or
    by the role `split`. Without `events` the log is one impression a row."""
    tables = read_tables(path, TABLES)
    table = tables["rows"]
    policies, natural, hand = _labels(table)
    events = events_of(tables["events"], POSTED, VALUES) if "events" in tables else _made_up(table)
    if "events" in tables and "moment" in tables["events"].roles:
        logged = tables["events"].roles["moment"]
        events = Events(**{**vars(events), "moment": integers(np.where(np.isnan(logged), -1, logged))})
    rows = _rows(table, path if path.is_dir() else path.parent, events, natural, hand)
    train, valid, test = (rows.take(part) for part in _split(table, rows.event_time))
    key = Judgments(
        label=test.hand_label,
        user_id=test.user_id,
        views=_views(table, rows.event_time),
        policies=policies,
        slices={
            name.removeprefix(SLICE): column[_split(table, rows.event_time)[2]]
            for name, column in table.categories.items()
            if name.startswith(SLICE)
        },
        origin="real",
    )
    unknown = np.full(test.hand_label.shape, np.nan)
    bare = Rows(**{**vars(test), "hand_label": unknown, "natural_label": unknown})
    return Dataset(train=train, valid=valid, test=bare, catalog=rule_book(policies), history=AsOfStore(events)), key


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """rows.csv, events.csv, schema.toml and images/: what `read` takes in again, bit for bit. The hand label of a test row is its key."""
    parts = (dataset.train, dataset.valid, dataset.test)
    policies = dataset.catalog.policy.tolist()
    names = ("post_id", "user_id", "event_time", "text")
    roles = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    image = np.concatenate([part.image for part in parts])
    roles["image"] = _write_images(folder, dataset.train.images, image)
    roles["moment"] = np.concatenate([part.moment for part in parts]).astype(np.float64)
    roles["split"] = np.repeat(SPLITS, [len(part) for part in parts])
    views = np.concatenate([np.full(len(part), np.nan) for part in parts])
    views[len(views) - len(judgments.views) :] = judgments.views
    hand = np.concatenate([dataset.train.hand_label, dataset.valid.hand_label, judgments.label])
    natural = np.concatenate([part.natural_label for part in parts])
    numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in dataset.train.numbers}
    numbers |= {f"{HAND}{name}": hand[:, at] for at, name in enumerate(policies)}
    numbers |= {f"{NATURAL}{name}": natural[:, at] for at, name in enumerate(policies)}
    categories = {name: np.concatenate([part.categories[name] for part in parts]) for name in dataset.train.categories}
    for name, column in judgments.slices.items():
        before = np.full(len(views) - len(column), "")
        categories[f"{SLICE}{name}"] = np.concatenate([before, column])
    events = dataset.history.events
    log = {"kind": events.kind, "event_time": events.event_time, "moment": events.moment.astype(np.float64)}
    log |= dict(events.keys) | {name: column.astype(np.float64) for name, column in events.values.items()}
    rows = Table(roles={**roles, "views": views}, numbers=numbers, categories=categories)
    write_tables(folder, {"rows": rows, "events": Table(roles=log)})


def _labels(table: Table) -> tuple[tuple[str, ...], Floats, Floats]:
    """-> policies, natural labels, hand labels [n, num_policies]."""
    if "label" in table.roles:
        hand = table.roles["label"][:, None].astype(np.float64)
        return ("label",), np.full(hand.shape, np.nan), hand
    policies = tuple(name.removeprefix(HAND) for name in table.numbers if name.startswith(HAND))
    if not policies:
        raise InputError(
            f'rows: no label. Give the role label, or a column {HAND}POLICY for each policy, declared "number" in schema.toml: 0, 1 or empty.'
        )
    nothing = np.full(len(table), np.nan)
    hand, natural = (
        np.column_stack([table.numbers.get(f"{kind}{name}", nothing) for name in policies]) for kind in (HAND, NATURAL)
    )
    for kind, label in ((HAND, hand), (NATURAL, natural)):
        odd = ~np.isnan(label) & (label != 0) & (label != 1)
        if odd.any():
            row, column = np.argwhere(odd)[0]
            raise InputError(
                f"rows: column {kind}{policies[column]!s}, row {row + 1}: {label[row, column]:g}. Expected 0, 1 or an empty cell."
            )
    return policies, natural, hand


def _rows(table: Table, folder: Path, events: Events, natural: Floats, hand: Floats) -> Rows:
    roles = table.roles
    image, images = _read_images(folder, roles["image"]) if "image" in roles else (np.full(len(table), -1), NO_IMAGES)
    if (np.diff(roles["event_time"]) < 0).any():
        row = int((np.diff(roles["event_time"]) < 0).argmax()) + 2
        raise InputError(f"rows: row {row} is earlier than the row before it. Sort the table by event_time.")
    return Rows(
        post_id=roles["post_id"],
        user_id=roles["user_id"],
        event_time=roles["event_time"],
        moment=_moments(table, events),
        text=roles["text"].astype(np.str_),
        image=image,
        images=images,
        natural_label=natural,
        hand_label=hand,
        numbers={name: column for name, column in table.numbers.items() if not name.startswith((HAND, NATURAL))},
        categories={name: column for name, column in table.categories.items() if not name.startswith(SLICE)},
    )


def _moments(table: Table, events: Events) -> Ints:
    """Where a row's features are read: as the row says, else where the log reaches its second."""
    if "moment" not in table.roles:
        return np.searchsorted(events.event_time, table.roles["event_time"]).astype(np.int64)
    if np.isnan(table.roles["moment"]).any():
        raise InputError("rows: some moments are empty. Give each row one, or leave the role out and it is found.")
    return integers(table.roles["moment"])


def _made_up(table: Table) -> Events:
    """The log behind a table of posts alone: one impression each, at its own position."""
    n = len(table)
    keys = (np.arange(n), table.roles["post_id"], table.roles["user_id"])
    return Events(
        position=np.arange(n),
        kind=np.full(n, "impression"),
        event_time=table.roles["event_time"],
        moment=np.arange(n),
        keys=dict(zip(POSTED, keys, strict=True)),
        values={name: np.zeros(n, dtype=np.int64) for name in VALUES},
    )


def _split(table: Table, event_time: Ints) -> Sequence[Ints]:
    if "split" not in table.roles:
        return by_time(event_time)
    split = table.roles["split"]
    if odd := sorted(set(split.tolist()) - set(SPLITS)):
        raise InputError(f"rows: split holds {odd[0]!r}. Expected {', '.join(SPLITS)}.")
    return tuple(np.flatnonzero(split == name) for name in SPLITS)


def _views(table: Table, event_time: Ints) -> Floats:
    """[num_test] as the table says, else 1 each."""
    views = table.roles.get("views", np.ones(len(table)))[_split(table, event_time)[2]]
    return np.where(np.isnan(views), 1.0, views)


def _write_images(folder: Path, images: Images, image: Ints) -> NDArray[np.str_]:
    """PNG keeps every bit. -> the path for each row, "" where it has no picture."""
    from PIL import Image

    (folder / "images").mkdir(parents=True, exist_ok=True)
    for place in np.unique(image[image >= 0]).tolist():
        Image.fromarray(images.pixels[place]).save(folder / "images" / f"{place}.png", compress_level=1)
    return np.array([f"images/{place}.png" if place >= 0 else "" for place in image.tolist()], dtype=np.str_)


def _read_images(folder: Path, paths: NDArray[np.str_]) -> tuple[Ints, Images]:
    """Each file once, at SIDE pixels a side."""
    from PIL import Image, UnidentifiedImageError

    place: Mapping[str, int] = {path: at for at, path in enumerate(dict.fromkeys(filter(None, paths.tolist())))}
    pixels = np.zeros((len(place), SIDE, SIDE, 3), dtype=np.uint8)
    for path, at in place.items():
        try:
            with Image.open(folder / path) as image:
                pixels[at] = np.asarray(image.convert("RGB").resize((SIDE, SIDE)))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(
                f"rows: the picture {path!r} cannot be read ({error}). Mend the path or leave the cell empty."
            ) from error
    return np.array([place.get(path, -1) for path in paths.tolist()], dtype=np.int64), Images(pixels)
