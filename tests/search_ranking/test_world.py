"""The planted truth: made in any order, words apart from relevance, the click curve as planted, and nothing that gives the grade away."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from common.contract import Bools, Floats, Ints
from common.population import Population
from search_ranking import world
from search_ranking.world import history, incumbent, nature, needs, wording, words
from search_ranking.world.history import Behaviour
from tests.contract import frozen as hashes

SIZES: dict[str, Any] = {
    "seed": 0,
    "num_docs": 5_000,
    "num_queries": 3_000,
    "num_sessions": 30_000,
    "days": 14,
    "num_users": 3_000,
}
LOG = (Path(__file__).parents[2] / "docs" / "LOG.md").read_text()
FROZEN = (history, incumbent, nature, needs, wording, words)
LATE = world.START + world.TEST_FROM * 14 * 86_400


@pytest.fixture(scope="module")
def made() -> world.World:
    """Half of its requests in random order, for the curve."""
    return world.built(**SIZES, behaviour=Behaviour(swapped=0.5))


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))


# ----------------------------------------------------------------------------------------------------------------------- frozen


def test_the_strengths_are_those_the_log_names() -> None:
    """Changing one changes every number of the case: then the log gets a new hash, a date and a reason."""
    found = hashes.strengths(FROZEN)
    assert f"search_ranking `{found}`" in LOG, f"the strengths hash to {found}; docs/LOG.md does not say so"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (history, "CLICK"),
        (incumbent, "POOL"),
        (nature, "BLUR"),
        (needs, "PATTERNS"),
        (wording, "TYPO"),
        (words, "TOPICS"),
    ],
)
def test_every_strength_is_in_the_hash(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Negative control: a constant that could change unseen."""
    frozen, value = hashes.strengths(FROZEN), getattr(module, name)
    monkeypatch.setattr(module, name, value[1:] if isinstance(value, tuple) else value + 1)
    assert hashes.strengths(FROZEN) != frozen


def test_the_world_gives_what_it_gave_when_it_was_frozen(frozen: str) -> None:
    """The strengths are not all: a changed formula, array or draw is another world too, and another entry in docs/LOG.md."""
    assert f"search_ranking `{frozen}`" in LOG, f"what the world gives hashes to {frozen}; docs/LOG.md does not say so"


@pytest.fixture(scope="module")
def frozen() -> str:
    return outputs()


def outputs() -> str:
    """Of a small world, made anew."""
    made = world.built.__wrapped__(**SIZES | {"num_docs": 400, "num_queries": 200, "num_sessions": 500})
    return hashes.outputs({"world": made, "ceiling": world.Ceiling(made).of(np.arange(100), 20)})


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [
        (nature, "BLUR", nature.BLUR + 0.01),
        (history, "CLICK_CATCHY", history.CLICK_CATCHY + 0.1),
        (needs, "GAINS", (0.0, 0.1, 0.3, 0.66, 1.0)),
        (wording, "TITLED", (0.9, 0.7, 0.45)),
        (incumbent, "SHAKE", incumbent.SHAKE + 0.1),
        (world, "query_texts", lambda *given: np.strings.replace(wording.query_texts(*given), "a", "e")),
    ],
)
def test_a_change_of_what_is_planted_moves_the_hash(
    frozen: str, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, other: Any
) -> None:
    monkeypatch.setattr(module, name, other)
    assert outputs() != frozen


# ------------------------------------------------------------------------------------------------------------------ determinism


def test_same_numbers_same_bytes() -> None:
    small = SIZES | {"num_docs": 400, "num_queries": 200, "num_sessions": 500}
    one, two = (world.built.__wrapped__(**small) for _ in range(2))
    for part in ("documents", "texts", "queries", "log", "truth"):
        assert same(getattr(one, part), getattr(two, part)), part
    other = world.built.__wrapped__(**(small | {"seed": 1}))
    assert not np.array_equal(one.documents.quality, other.documents.quality)


def test_documents_and_queries_come_in_blocks_of_any_size_and_order() -> None:
    whole, ids = nature.documents(3, np.arange(900), 14), np.random.default_rng(0).permutation(900)[:200]
    part = nature.documents(3, ids, 14)
    assert same(part, whole.take(ids))
    assert same(wording.texts(3, part), wording.Texts(**{k: v[ids] for k, v in vars(wording.texts(3, whole)).items()}))
    assert np.array_equal(nature.embeddings(3, part), nature.embeddings(3, whole)[ids])
    asked = needs.queries(3, np.arange(900))
    assert same(needs.queries(3, ids), asked.take(ids))
    assert np.array_equal(wording.query_texts(3, asked.take(ids)), wording.query_texts(3, asked)[ids])


def test_a_channel_is_the_creator_of_the_other_cases(made: world.World) -> None:
    of = made.documents
    home = Population(0).creator_topic(of.channel_id)[of.original == of.document_id]
    assert 0.8 < (home == of.topic[of.original == of.document_id]).mean() < 0.95  # OFF_TOPIC of them are not


# ------------------------------------------------------------------------------------------------------------------------ words


def test_no_word_belongs_to_two_concepts() -> None:
    assert [len(line.split()) for line in words.TOPICS] == [24] * 16
    assert all(group.count("/") == 2 for line in words.TOPICS for group in line.split())
    assert [word for word, times in Counter(words.VOCABULARY).items() if times > 1] == []
    assert all(word == word.lower() and " " not in word for word in words.VOCABULARY)
    assert len({words._name(entity) for entity in range(words.NUM_ENTITIES)}) == words.NUM_ENTITIES


def test_texts_have_the_lengths_they_should_and_the_language_shows(made: world.World) -> None:
    titles, descriptions = (
        [len(text.split()) for text in part.tolist()] for part in (made.texts.title, made.texts.description)
    )
    assert (min(titles), max(titles)) == (5, 8)
    assert min(descriptions) >= 12 and max(descriptions) <= 30
    small = [set(line.split()) for line in words.SMALL]
    told = [
        int(np.argmax([sum(word in s for word in text.split()) for s in small]))
        for text in made.texts.description.tolist()
    ]
    assert (np.array(told) == made.documents.language).mean() > 0.99
    asked = np.flatnonzero(made.queries.language >= 0)
    typed = [set(str(made.query_text[i]).lower().split()) for i in asked]
    right = [bool(text & small[language]) for text, language in zip(typed, made.queries.language[asked], strict=True)]
    assert np.mean(right) > 0.85  # the rest is misspelt


def test_tags_are_noisy(made: world.World) -> None:
    """Some documents lack a tag for their main concept, some have one of a concept they are not about."""
    concept = {word: place // 3 for place, word in enumerate(words.VOCABULARY[: 3 * words.NUM_CONCEPTS])}
    lacks, wrong = [], []
    for tags, about in zip(made.texts.tags.tolist(), made.documents.concepts.tolist(), strict=True):
        tagged = {concept[tag] for tag in tags.split() if tag in concept}
        lacks.append(about[0] not in tagged)
        wrong.append(bool(tagged - set(about)))
    assert 0.3 < np.mean(lacks) < 0.5
    assert 0.2 < np.mean(wrong) < 0.35


def test_typos_rise_to_the_tail(made: world.World) -> None:
    known = set(words.VOCABULARY)
    slips = [np.mean([word.lower() not in known for word in str(text).split()]) for text in made.query_text]
    by_kind = [np.mean(np.array(slips)[made.queries.kind == kind]) for kind in range(3)]
    assert 0 < by_kind[0] < by_kind[1] < by_kind[2] < 0.2


@pytest.mark.parametrize(("kind", "expected"), [(0.1, "gutiar"), (0.3, "gutar"), (0.6, "guiitar"), (0.9, "guotar")])
def test_each_slip_of_the_fingers(kind: float, expected: str) -> None:
    assert wording._slip("guitar", kind, 0.3) == expected
    assert wording._slip("ufo", kind, 0.3) == "ufo"


# -------------------------------------------------------------------------------------------------------------------- relevance


def judged(made: world.World, num: int = 300) -> Ints:
    """Queries as they are asked in the last days."""
    log = made.log
    asked = log.query_id[(log.event_time >= LATE) & (log.slot == 0)]
    return np.random.default_rng(1).choice(asked, num, replace=False)


@pytest.mark.parametrize(
    ("mismatch", "least", "most"), [(0.0, 0.0, 0.06), (wording.MISMATCH, 0.27, 0.34), (1.0, 0.62, 0.76)]
)
def test_three_in_ten_relevant_documents_share_no_word_and_the_knob_moves_it(
    mismatch: float, least: float, most: float
) -> None:
    """Of documents of grade 3 or 4, pooled over queries drawn by traffic; whole texts in lower case. The mean of three worlds: which needs
    happen to lead moves one world's share by +-0.03."""
    shares = []
    for seed in range(3):
        of, asked = nature.documents(seed, np.arange(5_000), 14), needs.queries(seed, np.arange(3_000))
        drawn = np.random.default_rng(seed).choice(3_000, 500, p=asked.traffic / asked.traffic.sum())
        found, typed = wording.texts(seed, of, mismatch), wording.query_texts(seed, asked, mismatch)
        relevant, strange = world.unshared(asked.take(drawn), typed[drawn], of, found)
        shares.append(strange.sum() / relevant.sum())
    assert least <= np.mean(shares) <= most


def test_another_wording_changes_no_grade(made: world.World) -> None:
    asked = made.queries.take(judged(made, 50))
    before = needs.relevance(asked, made.documents)
    plain, jargon = (wording.texts(0, made.documents, mismatch).title for mismatch in (0.0, 1.0))
    assert (plain != jargon).mean() > 0.5, "a control that rewords nothing proves nothing"
    reworded = world.built.__wrapped__(**(SIZES | {"num_sessions": 100}), mismatch=1.0)
    assert np.array_equal(before, needs.relevance(reworded.queries.take(asked.query_id), reworded.documents))


def grade_of(
    about: list[tuple[int, float]], asked: dict[str, Any], intent: int = 0, entity: int = -1, language: int = 0
) -> int:
    """The grade of a document made by hand for a need made by hand; every intent but 7 pleases."""
    concepts, weights = np.full((1, 3), -1), np.zeros((1, 3))
    for k, (concept, weight) in enumerate(about):
        concepts[0, k], weights[0, k] = concept, weight
    given = {"concepts": concepts, "weights": weights, "intent": intent, "entity": entity, "language": language}
    document = nature.documents(0, np.array([0]), 14)
    document = replace(document, **{name: np.atleast_1d(np.asarray(value)) for name, value in given.items()})
    need = {"concepts": [-1, -1], "intent": -1, "entity": -1, "language": -1, "home": [-1, -1]} | asked
    pleases = np.array([[True] * 7 + [False]])
    query = replace(needs.queries(0, np.array([0])), pleases=pleases, **{k: np.array([v]) for k, v in need.items()})
    return int(needs.relevance(query, document)[0, 0])


def test_grades_of_cases_one_can_check_by_hand() -> None:
    one, two = {"concepts": [5, -1]}, {"concepts": [5, 9]}
    assert grade_of([(5, 1.0)], one) == 4
    assert grade_of([(9, 0.8), (5, 0.2)], one) == 1  # a side matter
    assert grade_of([(9, 1.0)], one) == 0
    assert grade_of([(5, 0.6), (9, 0.4)], two) == 4
    assert grade_of([(5, 1.0)], two) == 2  # half of it
    assert grade_of([(5, 1.0)], one, intent=7) == 3  # an intent that does not please with this concept
    assert grade_of([(5, 1.0)], one | {"intent": 7}, intent=7) == 4  # but is what was asked for
    assert grade_of([(5, 1.0)], one | {"intent": 1}, intent=2) == 3  # another that pleases
    assert grade_of([(5, 1.0)], one | {"intent": 1}, intent=7) == 2
    named = {"entity": 40, "home": [5, 6]}
    assert grade_of([(9, 1.0)], named, entity=40) == 4
    assert grade_of([(5, 1.0)], named, entity=41) == 2  # what the entity is known for, without it
    assert grade_of([(5, 1.0)], one | named, entity=41) == 2
    assert grade_of([(5, 1.0)], one | {"language": 2}, language=2) == 4
    assert grade_of([(5, 1.0)], one | {"language": 2}, language=0) == 3
    assert grade_of([(5, 1.0)], one | {"language": 2}, language=1) == 2


def test_the_quick_way_to_all_grades_is_the_slow_one(made: world.World) -> None:
    """`relevance` looks only at pairs with something in common; row by row gives the same."""
    asked, few = made.queries.take(np.arange(150)), made.documents.take(np.arange(500))
    rows, places = (x.ravel() for x in np.indices((150, 500)))
    slow = needs.grades_of(asked.take(rows), few.take(places)).reshape(150, 500)
    assert np.array_equal(needs.relevance(asked, few), slow)
    assert set(np.unique(slow)) == {0, 1, 2, 3, 4}
    gains = needs.gain(asked, few)
    assert gains.min() == 0 and gains.max() <= 1
    assert np.array_equal(made.gain(np.arange(150), np.tile(np.arange(500), (150, 1))), gains)


def test_whether_an_intent_pleases_is_not_the_sum_of_concept_and_intent() -> None:
    table = needs._pleases(0).astype(float)
    sums = table.mean(axis=0) + table.mean(axis=1, keepdims=True) - table.mean()
    assert 1 - ((table - sums) ** 2).sum() / ((table - table.mean()) ** 2).sum() < 0.2


def test_the_ceiling_is_above_the_old_engine_and_chance(made: world.World) -> None:
    asked = judged(made, 200)
    best = made.gain(asked, world.Ceiling(made).of(asked, 10).ids)
    assert (np.diff(best, axis=1) <= 1e-12).all()
    shown = made.truth.gain[(made.log.event_time >= LATE) & ~made.log.swapped]
    chance = made.gain(asked, np.random.default_rng(0).integers(0, 5_000, (200, 10)))
    assert best.mean() > shown.mean() + 0.15
    assert shown.mean() > chance.mean() + 0.15


# ---------------------------------------------------------------------------------------------------------------------- traffic


def test_few_needs_are_most_of_the_traffic(made: world.World) -> None:
    """A tenth of the queries, the head, is 50 to 62 % of what is asked; the commonest hundredth of the needs is over a sixth."""
    first = made.log.slot == 0
    asked = made.log.query_id[first]
    kinds = np.bincount(made.queries.kind[asked], minlength=3) / first.sum()
    assert 0.50 < kinds[0] < 0.62
    assert kinds[0] > kinds[1] > kinds[2] > 0.08
    of = made.queries
    _, need = np.unique(needs._key(of.concepts, of.intent, of.entity, of.language), return_inverse=True)
    counts = np.sort(np.bincount(need[asked], minlength=need.max() + 1))[::-1]
    assert counts[: len(counts) // 100].sum() / counts.sum() > 1 / 6


def test_new_needs_are_asked_in_the_last_days_only(made: world.World) -> None:
    fresh, late = made.queries.fresh[made.log.query_id], made.log.event_time >= LATE
    assert not fresh[~late].any()
    assert 0.05 < fresh[late].mean() < 0.25
    of = made.queries
    key = needs._key(of.concepts, of.intent, of.entity, of.language)
    assert not np.isin(key[of.fresh], key[~of.fresh]).any(), "a need is new whichever query asks for it"


def test_topics_have_their_season() -> None:
    """Over a long log, a topic's share of what is asked moves with its trend."""
    queries, rng = needs.queries(0, np.arange(2_000)), np.random.default_rng(0)
    _, times, asked = history._asked(0, 2_000, 60_000, 60, queries, rng)
    week = (times - world.START) // (6 * 86_400)
    counts = np.stack([np.bincount(queries.topic[asked[week == w]], minlength=16) for w in range(10)]) + 1.0
    middles = world.START + (np.arange(10) * 6 + 3) * 86_400
    found, planted = np.log(counts / counts.sum(axis=1, keepdims=True)), Population(0).trend(middles)
    moves = [x - x.mean(axis=1, keepdims=True) for x in (found, planted)]
    moves = [(x - x.mean(axis=0)).ravel() for x in moves]
    assert np.corrcoef(*moves)[0, 1] > 0.8


def test_nobody_is_shown_what_the_rules_forbid(made: world.World) -> None:
    log, people = made.log, Population(0)
    of = made.documents.take(log.doc_id)
    assert not of.explicit.any()
    assert (of.uploaded <= log.event_time).all()
    assert (of.min_age <= people.age(log.user_id)).all()
    assert not ((of.barred_in >> people.country(log.user_id)) & 1).any()
    language = made.queries.language[log.query_id]
    assert (language[language >= 0] == people.language(log.user_id)[language >= 0]).all()
    assert (np.diff(log.event_time) >= 0).all()


# ----------------------------------------------------------------------------------------------------------------------- clicks


def curve(made: world.World, rows: Bools) -> Floats:
    """[10] click rate by slot over the first's, each grade weighted the same at every slot."""
    rates = np.zeros(10)
    for grade in (2, 3, 4):
        mine = rows & (made.truth.grade == grade)
        rates += np.bincount(made.log.slot[mine], made.log.clicked[mine], 10) / np.bincount(
            made.log.slot[mine], minlength=10
        )
    relative: Floats = rates / rates[0]
    return relative


def test_equal_grades_in_random_order_show_the_planted_curve(made: world.World) -> None:
    planted = history.examination(np.arange(1, 11), history.STEEPNESS)
    assert np.abs(curve(made, made.log.swapped) / planted - 1).max() < 0.12


def test_another_steepness_and_other_people_show_another_curve() -> None:
    """Negative controls: the test above must see a world whose curve is not the one it assumes."""
    rng, n = np.random.default_rng(0), 40_000
    grade, catchy = np.full((n, 10), 3.0), np.zeros((n, 10))
    planted = history.examination(np.arange(1, 11), history.STEEPNESS)
    for behaviour, off in ((Behaviour(), 0.1), (Behaviour(steepness=0.5), -0.5), (Behaviour(cascade=True), -0.3), (Behaviour(trust=0.8), -0.1)):  # fmt: skip
        examined, clicked = history.react(rng, grade, catchy, np.zeros(n), behaviour)
        assert not clicked[~examined].any()
        wrong = np.abs(clicked.mean(axis=0) / clicked[:, 0].mean() / planted - 1).max()
        assert wrong < off if off > 0 else wrong > -off, behaviour


def test_a_cascade_ends_with_a_satisfying_click() -> None:
    rng, grade = np.random.default_rng(0), np.tile([1.0, 4, 0, 3, 4, 2, 4, 0, 3, 1], (5_000, 1))
    examined, clicked = history.react(rng, grade, np.zeros((5_000, 10)), np.zeros(5_000), Behaviour(cascade=True))
    assert ((clicked & (grade >= 3)).sum(axis=1) <= 1).all()
    assert (np.diff(examined.astype(int), axis=1) <= 0).all()


def test_swapped_requests_are_in_random_order_and_the_others_are_not(made: world.World) -> None:
    log, truth = made.log, made.truth
    assert abs(log.swapped[log.slot == 0].mean() - 0.5) < 0.02
    gains = [[truth.gain[(log.swapped == s) & (log.slot == slot)].mean() for slot in (0, 9)] for s in (False, True)]
    assert gains[0][0] > gains[0][1] + 0.05
    assert abs(gains[1][0] - gains[1][1]) < 0.02


def test_clicks_follow_bait_and_dwell_follows_gain(made: world.World) -> None:
    log, truth, of = made.log, made.truth, made.documents.take(made.log.doc_id)
    seen = truth.examined & (truth.grade == 2)
    catchy = of.catchy > 0.5
    assert log.clicked[seen & catchy].mean() > log.clicked[seen & ~catchy].mean() + 0.1
    share, gain, bait = (column[log.clicked] for column in (log.dwell / of.length, truth.gain, of.catchy))
    assert np.corrcoef(share, gain)[0, 1] > 0.8
    middle = (gain > 0.2) & (gain < 0.7)  # where nothing is cut off
    left = (share - history.DWELL - history.DWELL_GAIN * gain)[middle]
    assert abs(np.corrcoef(left, bait[middle])[0, 1]) < 0.03
    assert not log.dwell[~log.clicked].any()


def test_the_old_engine_finds_words_of_titles_and_nothing_else() -> None:
    of = nature.documents(0, np.arange(40), 14)
    of = replace(of, explicit=np.zeros(40, np.int64), views=np.zeros(40, np.int64), uploaded=np.zeros(40, np.int64), min_age=np.zeros(40, np.int64), barred_in=np.zeros(40, np.int64))  # fmt: skip
    titles = np.array([f"word{i}" for i in range(40)])
    titles[[7, 30]] = ["a riff on Bikes", "bicycle"]
    engine = incumbent.Incumbent(of, titles, np.array(["BIKES riff", "bike"]))
    assert engine.pool[0][0] == 7 and engine.lexical[0][0] > 0
    assert not engine.lexical[1].any()  # neither the plural nor the synonym


# ------------------------------------------------------------------------------------------------------------------------ leaks


def told(titles: list[str], grade: Ints, doc: Ints) -> float:
    """The largest absolute correlation, over the thirty commonest words that name no concept or intent, and the length, with the grade of what was shown."""
    free = set(words.VOCABULARY[words._INTENT + 24 :]) | {"certified"}
    texts = [[word for word in text.split() if word in free] for text in titles]
    common = [word for word, _ in Counter(word for text in texts for word in set(text)).most_common(30)]
    columns = [[word in text for text in texts] for word in common] + [[len(text.split()) for text in titles]]
    return max(abs(float(np.corrcoef(np.array(column, float)[doc], grade)[0, 1])) for column in columns)


def test_no_text_carries_the_grade(made: world.World) -> None:
    """Random pairs, so that only what a document says of itself is asked. The control plants a word on good answers, and is caught."""
    rng = np.random.default_rng(2)
    asked = made.queries.take(rng.choice(3_000, 1_000))
    rows, doc = needs._touching(asked, made.documents)
    grade = needs.grades_of(asked.take(rows), made.documents.take(doc)).astype(np.int64)
    for part in (made.texts.title, made.texts.description, made.texts.tags):
        assert told(part.tolist(), grade, doc) < 0.12
    good = np.bincount(doc, grade, 5_000) / np.maximum(np.bincount(doc, minlength=5_000), 1) > 2
    planted = [text + " certified" * int(yes) for text, yes in zip(made.texts.title.tolist(), good, strict=True)]
    assert told(planted, grade, doc) > 0.15


def test_no_column_equals_a_latent(made: world.World) -> None:
    of = made.documents
    for latent in (of.quality, of.catchy):
        for column in (np.log1p(of.views), of.length, of.uploaded, of.channel_id, of.declared, *made.embedding.T):
            assert abs(np.corrcoef(column, latent)[0, 1]) < 0.5
    assert 0.05 < (of.declared != of.topic).mean() < 0.2


def test_the_image_shows_the_concept_blurred(made: world.World) -> None:
    """The nearest centre of the true main concept is right far above chance, and far from always: no latent in disguise."""
    of, image = made.documents, made.embedding
    assert np.allclose(np.linalg.norm(image, axis=1), 1)
    half = np.arange(5_000) % 2 == 0
    centres = np.zeros((words.NUM_CONCEPTS, nature.DIM))
    np.add.at(centres, of.concepts[half, 0], image[half])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    right = (image[~half] @ centres.T).argmax(axis=1) == of.concepts[~half, 0]
    assert 0.1 < right.mean() < 0.7


def test_a_copy_is_nearly_its_original(made: world.World) -> None:
    of = made.documents
    copies = np.flatnonzero(of.original != of.document_id)
    assert 0.02 < len(copies) / 5_000 < 0.06
    assert (of.uploaded[copies] > of.uploaded[of.original[copies]]).all()
    assert (made.embedding[copies] * made.embedding[of.original[copies]]).sum(axis=1).min() > 0.95
    assert np.bitwise_count(of.fingerprint[copies] ^ of.fingerprint[of.original[copies]]).max() <= 3
    assert np.array_equal(made.texts.description[copies], made.texts.description[of.original[copies]])
