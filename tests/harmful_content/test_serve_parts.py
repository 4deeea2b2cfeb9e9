"""Without a server: crafted pictures, texts that hide, the moves of a post, lengths."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.contract import Floats
from common.errors import InputError
from harmful_content.config import SMOKE
from harmful_content.features import Inputs
from harmful_content.policy import appeals
from harmful_content.schema import ACTIONS, NO_IMAGES, SIDE
from harmful_content.serve import docket, posts
from harmful_content.serve.decode import MOST_PIXELS, picture
from harmful_content.serve.hidden import is_hidden
from harmful_content.serve.posts import DAY, DECIDES, GONE, NOBODY, Post
from harmful_content.serve.scoring import bucketed, by_length

# ---------------------------------------------------------------------------------------------------------------------- pictures


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> str:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def bomb(width: int, height: int, kind: int = 2) -> str:
    """A PNG whose header promises width x height and whose rows are zeros, squeezed a thousandfold."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(bytes(20_000_000))
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    ).decode()


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "a bomb": (lambda: bomb(17_000, 17_000), "pixels"),
    "a bomb past Pillow's own limit": (lambda: bomb(40_000, 40_000), "pixels"),
    "a little over": (lambda: bomb(MOST_PIXELS // 1_000 + 1, 1_000), "pixels"),
    "no rows": (lambda: encoded(Image.new("RGB", (60, 60)))[:80], "not a whole picture"),
    "a wrong magic": (lambda: base64.b64encode(b"\x00PNG\r\n\x1a\n" + bytes(100)).decode(), "not a picture"),
    "a GIF": (lambda: encoded(Image.new("P", (9, 9)), "GIF"), "PNG or JPEG"),
    "an SVG": (lambda: base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(), "not a picture"),
    "a WebP": (lambda: encoded(Image.new("RGB", (9, 9)), "WEBP"), "PNG or JPEG"),
    "not base64": (lambda: "???", "not base64"),
    "nothing in it": (lambda: "====", "base64"),
    "a moving PNG": (
        lambda: encoded(Image.new("RGB", (9, 9)), save_all=True, append_images=[Image.new("RGB", (9, 9), "red")]),
        "moving",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_a_crafted_picture_is_refused_in_words(what: str) -> None:
    make, why = REFUSED[what]
    with pytest.raises(InputError, match=why):
        picture(make())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_mode_of_a_still_png_is_a_picture(mode: str) -> None:
    assert picture(encoded(Image.new(mode, (50, 20)))).pixels.shape == (1, SIDE, SIDE, 3)
    assert not len(picture(""))


def test_a_cmyk_jpeg_and_sixteen_bits_keep_their_shades() -> None:
    assert picture(encoded(Image.new("CMYK", (40, 40), (0, 0, 0, 0)), "JPEG")).pixels.min() > 250
    grey = Image.fromarray(np.full((40, 40), 128 << 8, dtype=np.uint16))
    assert set(np.unique(picture(encoded(grey)).pixels)) == {128}


def test_what_is_transparent_is_judged_as_people_see_it() -> None:
    """Hidden ink: black under full transparency is white to every viewer."""
    assert picture(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))).pixels.min() == 255
    assert picture(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 255)))).pixels.max() == 0


@given(st.binary(max_size=300))
def test_no_bytes_but_a_picture_or_a_refusal(body: bytes) -> None:
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"):
        try:
            found = picture(base64.b64encode(head + body).decode())
        except InputError as error:
            assert "image" in str(error)
        else:
            assert found.pixels.shape[1:] == (SIDE, SIDE, 3) or not len(found)


# ------------------------------------------------------------------------------------------------------------------------- texts


def test_texts_that_hide() -> None:
    plain = ("", "hello", "naïve café " * 20, "שלום עולם " * 30, "हिन्दी में लिखा हुआ " * 20, "👩‍👩‍👧‍👦 " * 6, "a\n" * 400)
    assert not any(is_hidden(text) for text in plain)
    hiding = (
        "a\u200b\u200c" * 30,
        "\u202e\u202d" * 20,
        "\x00\x01" * 50,
        "Z\u0300\u0301\u0302\u0303" * 20,
        "\ufeff" * 5_000,
    )
    assert all(is_hidden(text) for text in hiding)


# ------------------------------------------------------------------------------------------------------------------------- moves

NEW = Post(post_id=1, user_id=2)


def event(**given: int) -> dict[str, int]:
    return dict.fromkeys(docket.VALUES, 0) | {"event_time": 100, "reviewer_id": 7} | given


def judged(post: Post, action: str, fingerprint: int = 5, time: int = 100) -> Post:
    return posts.judged(post, event(action=ACTIONS.index(action), fingerprint=fingerprint, event_time=time))


def test_a_machine_does_not_undo_what_waits_or_was_decided() -> None:
    waiting = judged(NEW, "queue")
    assert judged(waiting, "allow").state == judged(waiting, "demote").state == "waiting"
    assert judged(waiting, "remove").state == "removed"
    removed = judged(NEW, "remove")
    assert judged(removed, "queue").state == "removed", "a fault reinstates nothing"
    assert judged(removed, "allow").state == "allowed", "its own removal it may lift"
    cleared = posts.reviewed(waiting, event(upheld=0))
    assert judged(cleared, "remove") == cleared
    assert judged(cleared, "remove", fingerprint=6).state == "removed", "another post by now"
    assert judged(cleared, "queue", fingerprint=6).state == "waiting"
    unknown = posts.reviewed(judged(NEW, "queue", fingerprint=0), event(upheld=0))
    assert judged(unknown, "queue", fingerprint=0).state == "waiting", "nobody could say that it is the same post"
    open_ = posts.appealed(removed, event(event_time=200))
    assert judged(open_, "allow", fingerprint=6) == open_


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["judge", "report", "assign", "appeal", "review"]), st.integers(0, 3), st.integers(0, 1)
        ),
        max_size=25,
    )
)
def test_no_sequence_of_moves_leaves_the_states_there_are(moves: list[tuple[str, int, int]]) -> None:
    post = NEW
    for at, (move, which, upheld) in enumerate(moves):
        before, time = post, 100 + at
        if move == "judge":
            post = judged(post, ACTIONS[which], time=time)
        elif move == "report":
            post = posts.reported(post, event(event_time=time), 2)
        elif move == "assign":
            post = posts.assigned(post, event(until=time + 5))
        elif move == "appeal" and (removal := post.removal()) is not None and appeals.may_appeal(removal, time, SMOKE):
            post = posts.appealed(post, event(event_time=time))
        elif move == "review" and post.state in DECIDES:
            post = posts.reviewed(post, event(upheld=upheld, event_time=time))
        assert post.since <= time and post.removed_at <= time
        if move == "report":
            assert post.state not in GONE or before.state in GONE, "reports remove nothing"
        if before.state == "upheld" or (before.state == "removed" and before.reviewed and move == "judge"):
            assert post.state == before.state, "nothing a machine or an edit could change"
        if before.state == "waiting" and move in ("judge", "report"):
            assert post.state in ("waiting", "removed")
        removal = post.removal()
        assert (removal is None) == (post.state not in (*GONE, "reversed"))


def test_who_may_have_a_post() -> None:
    waiting = judged(NEW, "queue")
    assert waiting.is_free(1, 100) and not NEW.is_free(1, 100)
    mine = posts.assigned(waiting, event(reviewer_id=1, until=700))
    assert mine.is_free(1, 200) and not mine.is_free(2, 200) and mine.is_free(2, 700)
    removed = posts.reviewed(mine, event(reviewer_id=1, upheld=1))
    assert removed.assigned_to == NOBODY and not removed.is_free(2, 800)
    open_ = posts.appealed(removed, event())
    assert open_.is_free(2, 800) and not open_.is_free(1, 800)
    by_machine = posts.appealed(judged(NEW, "remove"), event())
    assert by_machine.is_free(1, 800)
    reported = posts.reported(posts.reported(judged(NEW, "allow"), event(), 2), event(event_time=300), 2)
    assert reported.state == "waiting" and reported.is_free(1, 300) and not reported.is_free(1, 300 + 4 * DAY)


def test_a_strike_is_a_removal_that_stands() -> None:
    now, late = 200, 100 + 15 * DAY

    def is_strike(post: Post, at: int) -> bool:
        removal = post.removal()
        return removal is not None and appeals.is_strike(removal, at, SMOKE)

    by_machine = judged(NEW, "remove")
    assert not is_strike(by_machine, now) and is_strike(by_machine, late), "until the time to object is over"
    by_person = posts.reviewed(judged(NEW, "queue"), event(upheld=1))
    assert is_strike(by_person, now)
    open_ = posts.appealed(by_person, event())
    assert not is_strike(open_, late)
    assert is_strike(posts.reviewed(open_, event(upheld=1)), now)
    assert not is_strike(posts.reviewed(open_, event(upheld=0)), late)


# ----------------------------------------------------------------------------------------------------------------------- lengths


@dataclass
class Sums:
    """A scorer whose answer is of the row alone."""

    calls: list[int] = field(default_factory=list)

    def score(self, inputs: Inputs) -> Floats:
        self.calls.append(len(inputs))
        said = [int(text.split()[1]) for text in inputs.text.tolist()]
        return np.column_stack([said, inputs.tokens.sum(axis=1), inputs.numbers.sum(axis=1), inputs.image]).astype(
            np.float64
        )


def inputs(n: int, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, 90, (n, 32)) * (np.arange(32) < rng.integers(0, 33, n)[:, None])
    text = np.array([f"text {at}" for at in range(n)])
    return Inputs(text, tokens, rng.integers(-1, 3, n), NO_IMAGES, rng.random((n, 2)), np.zeros((n, 1), np.int64), (3,))


@pytest.mark.parametrize("n", [1, 20, 600])
def test_buckets_change_no_answer_and_lose_no_row(n: int) -> None:
    rows, scorer = inputs(n), Sums()
    assert np.array_equal(bucketed(scorer, rows), Sums().score(rows))
    assert sum(scorer.calls) == n and len(scorer.calls) == (3 if n == 600 else 1)


def test_a_bucket_holds_texts_of_like_length() -> None:
    rows = inputs(600)
    lengths = (rows.tokens > 0).sum(axis=1)
    groups = by_length(rows.tokens)
    assert sorted(np.concatenate(groups).tolist()) == list(range(600))
    for shorter, longer in pairwise(groups):
        assert lengths[shorter].max() < lengths[longer].min()
    alike = replace(rows, tokens=np.full((600, 32), 3))
    assert len(by_length(alike.tokens)) == 1
