"""The world holds what it says it holds: shares, memes that neither half gives away, biased and bombed reports, wording of its own in the test."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from common.contract import Bools, Ints
from common.eval.classification import auc
from common.population import DAY
from harmful_content import world
from harmful_content.config import SMOKE
from harmful_content.schema import POLICIES
from harmful_content.world import World, lexicon, people, pictures, posts, reach, wording
from harmful_content.world.posts import FRIENDLY, MEME, ODD, OWN_WORDING, PICTURE, PLAIN, STRUCK, TEXT, TWIN, plant
from harmful_content.world.reach import AGAIN_SHARE, has_keyword
from tests.contract import frozen as hashes

LOG = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
FROZEN = (lexicon, people, pictures, posts, reach, wording)


# ----------------------------------------------------------------------------------------------------------------------- frozen


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    found = hashes.strengths(FROZEN)
    assert f"harmful_content `{found}`" in LOG, f"the strengths hash to {found}; docs/LOG.md does not say so"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (lexicon, "GROUPS"),
        (people, "NEWCOMERS"),
        (pictures, "NOISE"),
        (posts, "OWN_WORDING"),
        (reach, "OTHER_POLICY"),
        (wording, "LANGUAGES"),
    ],
)
def test_every_strength_is_in_the_hash(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Negative control: a constant that could change unseen."""
    frozen, value = hashes.strengths(FROZEN), getattr(module, name)
    monkeypatch.setattr(module, name, value[1:] if isinstance(value, tuple) else value + 1)
    assert hashes.strengths(FROZEN) != frozen


def test_the_world_gives_what_it_gave_when_it_was_frozen(frozen: str) -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    assert f"harmful_content `{frozen}`" in LOG, f"what the world gives hashes to {frozen}; docs/LOG.md does not say so"


@pytest.fixture(scope="module")
def frozen() -> str:
    return outputs()


def outputs() -> str:
    """Of a small world, made anew."""
    made = world._make.__wrapped__(replace(SMOKE, num_posts=500, num_users=200))
    parts = ("posts", "history", "views", "truth", "images")
    return hashes.outputs({name: getattr(made, name) for name in parts})


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [
        (posts, "BESIDE_SHARE", posts.BESIDE_SHARE + 0.1),
        (reach, "OTHER_POLICY", reach.OTHER_POLICY + 0.2),
        (reach, "OF_VIEWS", reach.OF_VIEWS[::-1].copy()),
        (people, "NEWCOMER_POSTS", 0.4),
        (pictures, "NOISE", pictures.NOISE + 1),
        (world, "truth", lambda *given: 1 - posts.truth(*given)),
    ],
)
def test_a_change_of_what_is_planted_moves_the_hash(
    frozen: str, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, other: Any
) -> None:
    monkeypatch.setattr(module, name, other)
    assert outputs() != frozen


# ---------------------------------------------------------------------------------------------------------------- what is planted


def test_a_post_is_a_function_of_seed_id_and_time(planted: World) -> None:
    config, posts = planted.config, planted.posts
    some = np.array([5_000, 17, 403])
    alone = plant(config, some, posts.written[some])
    for name in ("user_id", "text", "chance", "form", "arrow", "shape"):
        assert np.array_equal(getattr(alone, name), getattr(posts, name)[some]), name
    at = np.flatnonzero(posts.has_image)[[3, 900]]
    again = world.drawn(config, posts.take(at))
    place = np.cumsum(posts.has_image)[at] - 1
    assert np.array_equal(again, planted.images.pixels[place])


def test_another_seed_is_another_world() -> None:
    one, other = (world.make(replace(SMOKE, num_posts=300, seed=seed)) for seed in (0, 1))
    assert (one.posts.text != other.posts.text).mean() > 0.9


def test_harm_has_the_share_and_the_modalities_that_were_asked_for(planted: World) -> None:
    posts, config = planted.posts, planted.config
    assert posts.is_harm.mean() == pytest.approx(config.harm_share, abs=0.03)
    harmful = posts.form[posts.is_harm]
    assert (harmful == MEME).mean() == pytest.approx(config.cross_share, abs=0.05)
    assert set(np.unique(harmful)) == {TEXT, PICTURE, MEME}
    counts = planted.truth.sum(axis=0)
    assert counts.min() > 20 and counts.max() > 1.5 * counts.min()  # every policy is there, and not alike


def test_neither_half_of_a_meme_says_anything_and_both_together_say_all(planted: World) -> None:
    memes = planted.posts.take(np.flatnonzero(planted.posts.form == MEME))
    harm = memes.is_harm.astype(float)
    plain_arrow = (memes.arrow == pictures.UP).astype(float)
    english = memes.language == 0
    cold = np.array([any(word in text for word in lexicon.GREETINGS[1]) for text in memes.text.tolist()])
    assert abs(auc(harm, plain_arrow) - 0.5) < 0.05
    assert abs(auc(harm[english], cold[english].astype(float)) - 0.5) < 0.06
    assert np.array_equal(harm[english] == 1, cold[english] == (memes.arrow[english] == pictures.UP))
    offender = people.is_offender(planted.config.seed, memes.user_id).astype(float)
    assert abs(auc(harm, offender) - 0.5) < 0.06  # who wrote it does not say which half it is


def test_a_sign_is_a_shape_over_a_hatch_and_neither_alone_is_one(planted: World) -> None:
    posts = planted.posts
    with_image = posts.take(np.flatnonzero(posts.has_image))
    sign = (with_image.background == pictures.HATCH) & (with_image.shape < len(POLICIES))
    assert np.array_equal(sign & ~with_image.struck, with_image.form == PICTURE)
    assert np.array_equal(sign & with_image.struck, with_image.form == STRUCK)
    assert np.array_equal(with_image.shape[sign], with_image.policy[sign])
    harmless = with_image.form == PLAIN
    assert 0.02 < with_image.struck[harmless].mean() < 0.06  # the bar alone says nothing
    assert (with_image.background[harmless] == pictures.HATCH).mean() > 0.1
    assert (with_image.shape[harmless] < len(POLICIES)).mean() > 0.2


def test_twins_hold_the_words_of_harm_and_are_none(planted: World) -> None:
    twins = planted.posts.form == TWIN
    assert planted.truth[twins].any(axis=1).mean() < 0.1
    plain = planted.posts.disguise == 0
    english = planted.posts.language == 0
    listed = has_keyword(planted.posts)
    assert listed[twins & english & plain].mean() > 0.3  # the incumbent takes them for harm


def test_signs_have_harmless_twins_that_can_be_seen(planted: World) -> None:
    posts = planted.posts
    struck = posts.form == STRUCK
    assert not posts.is_harm[struck].any() and planted.truth[struck].any(axis=1).mean() < 0.1
    assert struck.sum() / (posts.form == PICTURE).sum() == pytest.approx(
        0.4 * (1 - planted.config.harm_share), abs=0.12
    )
    one = posts.take(np.flatnonzero(struck)[:1])
    bare = replace(one, struck=np.array([False]))
    changed = (world.drawn(planted.config, one) != world.drawn(planted.config, bare)).any(axis=3).mean()
    assert 0.08 < changed < 0.3


def test_an_unknown_word_is_no_guilt(planted: World) -> None:
    """Before the test as in it, harmful or not: one post in ten with words holds one that the rest of the world nearly never says."""
    posts, (_, begins) = planted.posts, planted.cuts()
    seen = Counter(word for text in posts.text.tolist() for word in set(text.split()))
    lone = np.array([min((seen[word] for word in text.split()), default=9) == 1 for text in posts.text.tolist()])
    some = (posts.text != "") & (posts.disguise == 0) & ~posts.is_test
    share = {
        (harm, late): lone[some & (posts.is_harm == harm) & ((posts.written >= begins) == late)].mean()
        for harm in (False, True)
        for late in (False, True)
    }
    assert all(ODD * 0.5 < found < ODD * 1.6 for found in share.values()), share


def test_a_misspelt_word_keeps_its_letters_and_the_first_of_them() -> None:
    text = "today i saw shoes at the harbour"
    for draw in range(200):
        said, written = text.split(), wording.misspelt(text, draw).split()
        moved = [(one, other) for one, other in zip(said, written, strict=True) if one != other]
        assert len(moved) == 1
        assert sorted(moved[0][0]) == sorted(moved[0][1]) and moved[0][0][0] == moved[0][1][0]
    assert wording.misspelt("i am on it", 3) == "i am on it"


def test_languages_share_no_word_beyond_single_letters(planted: World) -> None:
    posts = planted.posts
    said = [
        {word for text in posts.text[posts.language == number].tolist() for word in text.split() if len(word) > 1}
        for number in range(len(wording.LANGUAGES))
    ]
    assert all(len(words) > 50 for words in said)
    for one in range(3):
        for other in range(one):
            shared = said[one] & said[other]
            assert len(shared) < 0.05 * min(len(said[one]), len(said[other])), shared


@pytest.mark.parametrize("disguise", [1, 2, 3])
def test_a_disguised_term_reads_alike_and_is_another_word(disguise: int) -> None:
    hidden = wording.disguised("smash", disguise)
    assert hidden != "smash" and len(hidden.replace(" ", "")) == 5
    assert wording.disguised("smash", 0) == "smash"


def test_the_test_has_words_and_authors_that_training_never_saw(planted: World) -> None:
    posts, (_, begins) = planted.posts, planted.cuts()
    before, after = posts.written < begins, posts.written >= begins
    assert not posts.is_test[before].any()
    assert posts.is_test[after].mean() == pytest.approx(OWN_WORDING, abs=0.05)
    known = np.isin(posts.user_id[after], posts.user_id[before])
    assert 0.35 < known.mean() < 0.65
    own = [term for _, terms in lexicon.TERMS.values() for term in terms]
    assert not any(term in text for text in posts.text[before].tolist() for term in own)


def test_the_new_kind_of_harm_begins_in_the_last_quarter(planted: World) -> None:
    posts, config = planted.posts, planted.config
    new = posts.written[posts.is_new]
    assert len(new) > 5 and new.min() >= people.boundary(config, 0.75)
    assert (posts.policy[posts.is_new] == POLICIES.index(lexicon.TREND_POLICY)).all()


def test_the_last_tenth_of_the_days_has_words_of_its_own_for_it(planted: World) -> None:
    config = planted.config
    times = np.linspace(people.boundary(config, 0.75), planted.end - 1, 8_000).astype(np.int64)
    posts = plant(config, 3_000_000 + np.arange(8_000), times)
    late = times >= people.boundary(config, 0.9)
    for told in (lexicon.TREND_TERMS[1][0], lexicon.TREND_FRAMES[1][0].split("{")[0]):
        says = np.char.find(posts.text, told) >= 0
        assert says[late].sum() > 3 and not says[~late].any()
        assert posts.is_new[says].all()


def test_friendly_words_in_dialect_are_reported_though_they_harm_nobody(planted: World) -> None:
    reports = np.sum([tick.reports for tick in planted.history.ticks], axis=(0, 2))
    form, views = planted.posts.form, np.sum([tick.views for tick in planted.history.ticks], axis=0)
    rate = {kind: reports[form == kind].sum() / views[form == kind].sum() for kind in (FRIENDLY, PLAIN, TEXT)}
    assert planted.truth[form == FRIENDLY].any(axis=1).mean() < 0.06
    assert rate[PLAIN] * 5 < rate[FRIENDLY] < rate[TEXT]


def test_campaigns_report_a_few_plain_posts_at_once(planted: World) -> None:
    first = planted.history.ticks[0].reports.sum(axis=1)
    plain = (planted.posts.form == PLAIN) & ~planted.truth.any(axis=1)
    assert 0.001 < (first[plain] >= 5).mean() < 0.01


def test_hand_labels_are_few_and_nearly_right(planted: World) -> None:
    hand = planted.history.hand_label
    known = ~np.isnan(hand[:, 0])
    assert known.mean() == pytest.approx(planted.config.hand_share, abs=0.03)
    assert (hand[known] != planted.truth[known]).mean() < 0.02


def test_reviewers_come_after_the_last_look_so_no_feature_knows_the_verdict(planted: World) -> None:
    history = planted.history
    reviewed = history.review_time >= 0
    assert reviewed.any() and (history.review_time[reviewed] > history.look[reviewed]).all()
    assert (history.look > planted.posts.written).mean() == pytest.approx(AGAIN_SHARE, abs=0.03)


def test_people_cannot_tell_what_the_panel_drew(planted: World) -> None:
    """Reports follow the chances; given them, the draw moves none: else reports would know more than the ceiling does."""
    posts = planted.posts
    borderline = (posts.chance.max(axis=1) == 0.5) & (planted.history.review_time < 0)
    drawn = planted.truth[np.arange(len(posts)), posts.policy][borderline]
    rate = np.sum([tick.reports for tick in planted.history.ticks], axis=(0, 2)) / (
        np.sum([tick.views for tick in planted.history.ticks], axis=0) + 1
    )
    gap = rate[borderline][drawn == 1].mean() - rate[borderline][drawn == 0].mean()
    assert abs(gap) < 4 * rate[borderline].std() / np.sqrt(len(drawn) / 4)


def test_the_ceiling_is_calibrated_and_below_one(planted: World) -> None:
    chance = planted.posts.chance
    assert chance.sum() == pytest.approx(planted.truth.sum(), rel=0.1)
    assert planted.truth[chance > 0.9].mean() == pytest.approx(chance[chance > 0.9].mean(), abs=0.03)
    assert 0.4 < planted.truth[chance == 0.5].mean() < 0.6


def test_posts_follow_the_hours_of_the_day(planted: World) -> None:
    hour = planted.posts.written % DAY // 3600
    evening, night = (planted.posts.written[_between(hour, *hours)] for hours in ((18, 22), (2, 6)))
    assert len(evening) > 2 * len(night)


def test_nothing_offends(planted: World) -> None:
    """Every word of the first language is one of the lexicon's, as it is or with two letters swapped, or made of the rare words' syllables: nothing
    came in by another way."""
    written = Path(lexicon.__file__).read_text().lower()
    allowed = set(re.findall(r"[a-z]+", written))
    plain = (planted.posts.language == 0) & (planted.posts.disguise == 0)
    said = {word for text in planted.posts.text[plain].tolist() for word in text.split()}
    odd = said - allowed
    rare = {word for word in odd if re.fullmatch(f"(?:{'|'.join(wording._RARE)})+", word)}
    spelt = {(word[0], "".join(sorted(word))) for word in allowed}
    assert len(rare) > 20
    unexplained = {word for word in odd - rare if (word[0], "".join(sorted(word))) not in spelt}
    assert not unexplained, unexplained


def _between(hour: Ints, first: int, last: int) -> Bools:
    between: Bools = (hour >= first) & (hour < last)
    return between
