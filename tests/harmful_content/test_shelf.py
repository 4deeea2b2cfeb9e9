"""Reposts of what was taken down are known; mirror images, other pictures and what was cleared are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.fft import dctn

from common.contract import Events
from harmful_content import data, features
from harmful_content.config import SMOKE
from harmful_content.features import prints, shelf
from harmful_content.features.shelf import CLEARED, EMPTY, Posts, Shelf
from harmful_content.schema import Images, Rows
from harmful_content.world import make

SMALL = replace(SMOKE, num_users=200, num_posts=600)


def split(text: str) -> list[str]:
    return text.split()


def pixels(num: int, seed: int = 0) -> np.ndarray:
    return make(replace(SMALL, seed=seed)).images.pixels[:num]


def posts(texts: list[str], pictures: np.ndarray | None = None) -> Rows:
    """Of these texts; the first have these pictures."""
    rows = data.load(SMALL).train.take(np.arange(len(texts)))
    num = 0 if pictures is None else len(pictures)
    images = rows.images if pictures is None else Images(pictures)
    place = np.where(np.arange(len(texts)) < num, np.arange(len(texts)), -1)
    return replace(rows, text=np.array(texts), image=place, images=images)


def on_shelf(rows: Rows, policy: int = 0) -> Shelf:
    return EMPTY.after(rows.post_id, np.full(len(rows), policy), shelf.printed(rows, split))


def test_a_picture_print_is_the_textbooks() -> None:
    """Against SciPy's cosine transform."""
    some = pixels(50)
    grey = some @ np.array([0.299, 0.587, 0.114])
    low = dctn(grey, axes=(1, 2))[:, :8, :8]
    flat = low.reshape(50, 64)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = True
    ours = prints.pictures(some)
    theirs = (bits * (np.uint64(1) << np.arange(64, dtype=np.uint64))).sum(axis=1, dtype=np.uint64)
    assert np.array_equal(ours, theirs)


def test_light_and_a_little_noise_change_few_bits_and_another_picture_many() -> None:
    some, rng = pixels(200), np.random.default_rng(0)
    own = prints.pictures(some)
    brighter = np.bitwise_count(own ^ prints.pictures((some * 0.8).astype(np.uint8)))
    noisy = np.bitwise_count(
        own ^ prints.pictures(np.clip(some + rng.normal(0, 5, some.shape), 0, 255).astype(np.uint8))
    )
    other = prints.apart(own, prints.pictures(pixels(200, seed=9)))
    assert np.mean(brighter <= shelf.NEAR_PICTURE) > 0.95 and np.mean(noisy <= shelf.NEAR_PICTURE) > 0.9
    assert np.mean(other <= shelf.NEAR_PICTURE) < 0.001
    assert np.mean(np.bitwise_count(own ^ prints.pictures(some[:, :, ::-1])) <= shelf.NEAR_PICTURE) < 0.2, (
        "mirrored: the foil"
    )


def test_simhash_falls_nearer_the_more_two_texts_share() -> None:
    said = ["everybody", "come", "and", "strike", "the", "velns", "at", "the", "old", "bridge", "tonight"]
    away = [
        int(np.bitwise_count(prints.texts([said])[0] ^ prints.texts([said[:-k] + ["x"] * k])[0])) for k in (1, 4, 8)
    ]
    assert away == sorted(away) and away[0] < away[-1]
    assert prints.texts([["too", "short"]])[0] == prints.UNKNOWN


def test_a_fingerprint_is_of_every_word_and_pixel() -> None:
    one, other = (picture.tobytes() for picture in pixels(2))
    said = ["we", "will", "meet", "at", "the", "harbour"]
    texts, pictures = (said, [*said, "now"]), (b"", one, other)
    found = {int(prints.fingerprints([text], [picture])[0]) for text in texts for picture in pictures}
    assert len(found) == 6 and all(0 < each < 2**52 for each in found)
    bent = bytes([one[0] ^ 1]) + one[1:]
    assert prints.fingerprints([said] * 2, [one, bent]).tolist()[0] != prints.fingerprints([said], [bent])[0]
    assert prints.fingerprints([["ok"], ["die"]], [b"", b""]).tolist()[0] > 0, "short ones are told apart as well"


def test_a_long_text_with_a_sentence_more_is_nearly_the_same_and_not_the_same() -> None:
    long = ["we", "met", "them", "by", "the", "old", "bridge"] * 100
    rows = posts([" ".join(long), " ".join([*long, "and", "that", "is", "a", "lie"])])
    printed = shelf.printed(rows, split)
    assert int(np.bitwise_count(printed.text[0] ^ printed.text[1])) <= shelf.NEAR_TEXT
    assert printed.fingerprint[0] != printed.fingerprint[1]


def test_a_post_is_matched_as_a_whole() -> None:
    one, other = pixels(2)
    rows = posts(["welcome the velns to our street", "we will smash the velns tonight"], np.stack([one]))
    kept = on_shelf(rows)
    asked = posts(["welcome the velns to our street"] * 3 + ["we will smash the velns tonight"], np.stack([one, other]))
    found = kept.matches(shelf.printed(asked, split))
    assert found.tolist() == [0, -1, -1, 1], "same words under another picture, or under none, are another post"


def test_what_has_neither_picture_nor_words_matches_nothing() -> None:
    rows = posts(["hi", "so"])
    assert len(on_shelf(rows)) == 0
    assert on_shelf(posts(["we will smash the velns tonight"])).matches(shelf.printed(rows, split)).tolist() == [-1, -1]
    assert EMPTY.matches(shelf.printed(rows, split)).tolist() == [-1, -1]


def test_the_shelf_is_that_of_all_compared_with_all() -> None:
    rng = np.random.default_rng(3)
    base = rng.integers(1, 2**63, (30, 2)).astype(np.uint64)
    base[rng.random((30, 2)) < 0.2] = prints.UNKNOWN
    flips = np.array([[np.uint64(1) << np.uint64(bit) for bit in rng.integers(0, 63, 12)] for _ in range(60)])
    places, counts = rng.integers(0, 30, 60), rng.integers(0, 12, (60, 2))
    asked = base[places].copy()
    for row, (picture, text) in enumerate(counts):
        for at, num in ((0, picture), (1, text)):
            if asked[row, at] != prints.UNKNOWN:
                asked[row, at] ^= np.bitwise_xor.reduce(flips[row][:num]) if num else np.uint64(0)
    mark, policy = np.arange(1, 31), np.where(rng.random(30) < 0.3, CLEARED, 0)
    kept = Shelf(post_id=np.arange(30), policy=policy, fingerprint=mark, picture=base[:, 0], text=base[:, 1])
    same = np.where(rng.random(60) < 0.1, mark[places], 1_000 + np.arange(60)) * base[places].any(axis=1)
    asked[same < 1_000] = base[places][same < 1_000]
    found = kept.matches(Posts(fingerprint=same, picture=asked[:, 0], text=asked[:, 1]))

    def near(one: np.ndarray, other: np.ndarray) -> int | None:
        total = 0
        for ours, theirs, most in zip(one, other, (shelf.NEAR_PICTURE, shelf.NEAR_TEXT), strict=True):
            if (ours == 0) != (theirs == 0) or int(ours ^ theirs).bit_count() > most:
                return None
            total += int(ours ^ theirs).bit_count()
        return total if one.any() else None

    for row in range(60):
        away = {at: bits for at in range(30) if (bits := near(asked[row], base[at])) is not None}
        away |= {at: -1 for at in away if same[row] == mark[at]}
        nearest = [at for at, bits in away.items() if bits == min(away.values())]
        want = [-1] if not away or policy[nearest[0]] == CLEARED else nearest
        assert int(found[row]) in want
    assert -1 in found and (found >= 0).sum() > 10, "both were tried"


def part(given: Posts, which: slice) -> Posts:
    return Posts(**{name: column[which] for name, column in vars(given).items()})


def test_what_a_reviewer_cleared_keeps_its_copies_out_and_takes_nothing_off_the_shelf() -> None:
    violation, quotation = 17, 17 ^ 6  # prints two bits apart
    text = np.array([violation, quotation], dtype=np.uint64)
    both = Posts(fingerprint=np.array([1, 2]), picture=np.full(2, prints.UNKNOWN), text=text)
    upheld = EMPTY.after(np.array([70]), np.array([3]), part(both, slice(0, 1)))
    assert upheld.matches(both).tolist() == [0, 0], "nobody has looked at the quotation yet"
    looked_at = upheld.after(np.array([71]), np.array([CLEARED]), part(both, slice(1, 2)))
    assert looked_at.matches(both).tolist() == [0, -1]


def test_the_last_word_on_the_same_words_and_picture_counts() -> None:
    rows = posts(["you smash it every time cousin"] * 2 + ["fresh tarvo at the mill write me"])
    printed = shelf.printed(rows, split)
    first = EMPTY.after(rows.post_id, np.array([0, CLEARED, 4]), printed)
    assert first.post_id.tolist() == rows.post_id[1:].tolist() and first.matches(printed).tolist() == [-1, -1, 1]
    again = first.after(rows.post_id[:1], np.array([2]), part(printed, slice(0, 1)))
    assert again.policy[again.matches(printed)].tolist() == [2, 2, 4] and len(again) == 2
    appealed = again.decided(int(rows.post_id[2]), CLEARED)
    assert appealed.matches(printed)[2] == -1 and len(appealed) == 2
    assert again.decided(10**9, CLEARED).policy.tolist() == again.policy.tolist()


def test_reviews_one_by_one_and_all_at_once_give_the_same_shelf() -> None:
    rng, n = np.random.default_rng(5), 200
    mark = rng.integers(1, 40, n)  # many are the same post
    given = Posts(
        fingerprint=mark, picture=(mark * 7).astype(np.uint64), text=np.where(mark % 5, mark, 0).astype(np.uint64)
    )
    given = replace(given, picture=np.where(mark % 3, given.picture, prints.UNKNOWN))
    ids, policy = np.arange(n), rng.integers(-1, 3, n)
    one_by_one = EMPTY
    for at in range(n):
        one = slice(at, at + 1)
        one_by_one = one_by_one.after(ids[one], policy[one], part(given, one))
    at_once = EMPTY.after(ids, policy, given)
    assert all(np.array_equal(column, getattr(at_once, name)) for name, column in vars(one_by_one).items())
    assert len(at_once) == len({int(one) for one in mark if one % 3 or one % 5})


def test_only_reviews_known_by_then_reach_the_shelf() -> None:
    dataset = data.load(SMALL)
    train, events = dataset.train, dataset.history.events
    full = shelf.fit(train, split, events)
    assert len(full) > 5 and np.isin(full.post_id, train.post_id).all()
    early = train.take(np.arange(len(train) // 2))
    known = events.position <= early.moment.max()
    cut = Events(
        **{name: getattr(events, name)[known] for name in ("position", "kind", "event_time", "moment")},
        keys={name: column[known] for name, column in events.keys.items()},
        values={name: column[known] for name, column in events.values.items()},
    )
    half, of_cut = shelf.fit(early, split, events), shelf.fit(early, split, cut)
    assert np.array_equal(half.post_id, of_cut.post_id) and 0 < len(half) < len(full)


def test_what_reviewers_said_of_training_posts_is_on_the_shelf_in_their_order() -> None:
    """By another way: the last review of each fingerprint, looked up one by one."""
    dataset = data.load(SMALL)
    train, events = dataset.train, dataset.history.events
    rows = dict(zip(train.post_id.tolist(), shelf.printed(train, split).fingerprint.tolist(), strict=True))
    said: dict[int, int] = {}
    for at in np.flatnonzero((events.kind == "review") & (events.position <= train.moment.max())).tolist():
        post_id = int(events.keys["post_id"][at])
        if post_id in rows:
            upheld = events.values["upheld"][at] == 1
            said[rows[post_id]] = int(events.values["policy"][at]) if upheld else CLEARED
    found = shelf.fit(train, split, events)
    assert all(
        said[mark] == policy for mark, policy in zip(found.fingerprint.tolist(), found.policy.tolist(), strict=True)
    )
    assert CLEARED in found.policy and (found.policy >= 0).any() and len(found) > 0.9 * len(said)


def test_a_shelf_comes_back_from_disk_and_serves_with_the_features(tmp_path: Path) -> None:
    dataset = data.load(SMALL)
    fitted = features.fit(dataset, SMALL)
    fitted.save(tmp_path)
    loaded = features.load(tmp_path)
    assert all(np.array_equal(column, getattr(loaded.reviewed, name)) for name, column in vars(fitted.reviewed).items())
    again = dataset.train.take(np.flatnonzero(np.isin(dataset.train.post_id, fitted.reviewed.post_id)))
    upheld = fitted.reviewed.policy[np.argsort(fitted.reviewed.post_id)] != CLEARED
    found = loaded.reviewed.matches(loaded.printed(again))
    assert np.array_equal(found[np.argsort(again.post_id)] >= 0, upheld)
    assert (
        loaded.inputs(dataset.test, dataset.history).tokens.tolist()
        == fitted.inputs(dataset.test, dataset.history).tokens.tolist()
    )


def test_the_shelf_refuses_nothing_silently(tmp_path: Path) -> None:
    on_shelf(posts(["we will smash the velns tonight"])).save(tmp_path)
    (tmp_path / shelf.FILE).write_bytes((tmp_path / shelf.FILE).read_bytes()[:40])
    with pytest.raises(Exception, match="not a whole Parquet file"):
        shelf.load(tmp_path)
