"""Posts like those that were taken down: what is found again after which change, and what is taken for a copy and is none."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Experiment, Ints, Table
from harmful_content import world
from harmful_content.config import Config
from harmful_content.experiments.obfuscation import WAYS, disguise
from harmful_content.experiments.trained import Case, share, trained
from harmful_content.features.shelf import CLEARED
from harmful_content.schema import POLICIES, SIDE, Images, Rows
from harmful_content.world import KEYWORD_PARTS

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]

UNRELATED = 10_000
WORLDS = 6


def _light(factor: float) -> Change:
    return lambda pixels, rng: np.clip(pixels * factor, 0, 255).astype(np.uint8)


def _noise(levels: float) -> Change:
    return lambda pixels, rng: np.clip(pixels + rng.normal(0, levels, pixels.shape), 0, 255).astype(np.uint8)


def _crop(border: int) -> Change:
    from PIL import Image

    def cropped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        inside = pixels[:, border : SIDE - border, border : SIDE - border]
        images = (Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for one in inside)
        return np.stack([np.asarray(image) for image in images])

    return cropped


def _jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    from PIL import Image

    files = [io.BytesIO() for _ in pixels]
    for file, one in zip(files, pixels, strict=True):
        Image.fromarray(one).save(file, format="JPEG", quality=60)
    return np.stack([np.asarray(Image.open(file)) for file in files])


OF_PICTURES: Mapping[str, Change] = {
    "a fifth brighter": _light(1.2), "a fifth darker": _light(0.8), "noise of 5 levels": _noise(5), "noise of 10 levels": _noise(10),
    "JPEG, quality 60": _jpeg, "cropped by 1 of 32 pixels": _crop(1), "cropped by 2": _crop(2),
    "mirrored (foil)": lambda pixels, rng: pixels[:, :, ::-1],
}  # fmt: skip
OF_TEXTS: Mapping[str, Callable[[str], str]] = {
    "disguised in digits": lambda text: disguise(text, KEYWORD_PARTS, WAYS["digits"]),
    "disguised in spaces": lambda text: disguise(text, KEYWORD_PARTS, WAYS["spaces"]),
    "one letter doubled": lambda text: text[:-1] + 2 * text[-1:],
    "a word added": lambda text: f"{text} really",
    "words reversed (foil)": lambda text: " ".join(text.split()[::-1]),
}


def duplicates(config: Config) -> Table:
    """Are reposts of what reviewers took down found before any model is asked, and is anything else taken for one?

    A row is a change to posts on the shelf, or a set of posts that are no reposts. `matched`: as served, the same or nearly, by pHash and SimHash,
    interval over authors; `exact`: by equal pixels and equal words, disguises undone, the foil; `by_error`: share of the posts that match one
    which a reviewer took down though it was harmless. The last rows should be near 0: harmless
    posts of a world of another seed, and, of the test, harmless posts, friendly words of a dialect and quoted violations. `of harm`: what
    share of the harmful test posts the shelf knows already."""
    case = trained(config)
    rng = np.random.default_rng([config.seed, 41])
    on_shelf = _on_shelf(case)
    table: Table = [_row("posted again as it was", case, on_shelf, on_shelf)]
    for name, change in OF_PICTURES.items():
        seen = on_shelf.take(np.flatnonzero(on_shelf.image >= 0))
        table.append(_row(f"picture {name}", case, seen, _repainted(seen, partial(_with, change, rng))))
    for name, rewrite in OF_TEXTS.items():
        said = on_shelf.take(np.flatnonzero([len(text.split()) > 2 for text in on_shelf.text.tolist()]))
        table.append(
            _row(
                f"text {name}", case, said, replace(said, text=np.array([rewrite(text) for text in said.text.tolist()]))
            )
        )
    for name, rows in _others(case).items():
        table.append(_row(name, case, rows, rows))
    return table


def copies(config: Config) -> Table:
    """May a machine act on a copy, or should a person look first?

    Of the test posts of WORLDS other worlds that match what a reviewer took down: how many violate, where words and picture are the same and where they
    nearly are; interval over authors. The foil is any post."""
    kinds: dict[str, list[tuple[Bools, Ints]]] = {"the same": [], "nearly": [], "any post (foil)": []}
    for seed in range(config.seed + 1, config.seed + 1 + WORLDS):
        case = trained(replace(config, seed=seed))
        harmful = np.nan_to_num(case.judgments.label).max(axis=1) > 0
        found, exact = _found(case, case.dataset.test)
        of_kind = (exact, (found >= 0) & ~exact, np.ones(len(found), dtype=bool))
        for seen, which in zip(kinds.values(), of_kind, strict=True):
            seen.append((harmful[which], case.dataset.test.user_id[which] + seed * 2**32))
    table: Table = []
    for name, seen in kinds.items():
        right, authors = (np.concatenate(part) for part in zip(*seen, strict=True))
        if len(np.unique(authors)) > 1:  # of one author no interval is had
            table.append({"posts": name, "num": len(right)} | share(right, authors, "violate"))
    return table


def _row(name: str, case: Case, original: Rows, changed: Rows) -> dict[str, object]:
    found, exact = _found(case, changed)
    wrongly = world.make(case.config).truth[case.features.reviewed.post_id].max(axis=1) == 0
    by_error = (found >= 0) & wrongly[found]
    row = {"posts": name, "num": len(changed)} | share(found >= 0, original.user_id, "matched")
    return row | {"by_error": float(by_error.mean()), "exact": float(exact.mean())}


def _found(case: Case, rows: Rows) -> tuple[Ints, Bools]:
    """-> [n] place on the shelf, -1 for none; [n] are words and picture the same?"""
    shelf, prints = case.features.reviewed, case.features.printed(rows)
    found = shelf.matches(prints)
    return found, (found >= 0) & (shelf.fingerprint[found] == prints.fingerprint)


def _on_shelf(case: Case) -> Rows:
    shelf = case.features.reviewed
    known = np.isin(case.dataset.train.post_id, shelf.post_id[shelf.policy != CLEARED])
    return case.dataset.train.take(np.flatnonzero(known))


def _with(change: Change, rng: np.random.Generator, pixels: Pixels) -> Pixels:
    return change(pixels, rng)


def _repainted(rows: Rows, change: Callable[[Pixels], Pixels]) -> Rows:
    return replace(rows, images=Images(change(rows.images.pixels[rows.image])), image=np.arange(len(rows)))


def _others(case: Case) -> dict[str, Rows]:
    """What is no repost; the last is, by whoever."""
    test, label = case.dataset.test, case.judgments.label.max(axis=1)
    form = {name: case.posts.form == place for place, name in enumerate(world.FORMS)}
    return {
        f"{UNRELATED} harmless of another world": _unrelated(case.config),
        "harmless": test.take(np.flatnonzero(label == 0)),
        "friendly words in dialect": test.take(np.flatnonzero(form["dialect"] & (label == 0))),
        "quoted or denied violations": test.take(np.flatnonzero(form["twin"] & (label == 0))),
        "harmful, of the test": test.take(np.flatnonzero(label > 0)),
    }


def _unrelated(config: Config) -> Rows:
    """Harmless posts of people, words and pictures that another seed drew."""
    other = world.make(replace(config, seed=config.seed + 1_000, num_posts=UNRELATED + UNRELATED // 2))
    kept = np.flatnonzero(other.truth.max(axis=1) == 0)[:UNRELATED]
    nothing = np.full((len(kept), len(POLICIES)), np.nan)
    image = np.where(other.posts.has_image, np.cumsum(other.posts.has_image) - 1, -1)
    return Rows(
        post_id=other.posts.post_id[kept], user_id=other.posts.user_id[kept], event_time=other.posts.written[kept], moment=kept,
        text=other.posts.text[kept], image=image[kept], images=other.images, natural_label=nothing, hand_label=nothing,
    )  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"duplicates": duplicates, "copies": copies}
