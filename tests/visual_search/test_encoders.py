"""Encoders: unit vectors, one fingerprint an encoder, training that draws together what belongs together, and a CLIP of somebody else's as transformers has it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import InputError
from tests.visual_search import pictures
from tests.visual_search.pictures import NAMES
from visual_search.config import SMOKE
from visual_search.model import encoders
from visual_search.model.encoders import lesson, own, training, views
from visual_search.model.encoders.classes import leaning
from visual_search.model.encoders.muon import Muon, orthogonal
from visual_search.model.encoders.towers import Clip, Residual, Shape
from visual_search.model.encoders.words import Words
from visual_search.model.parts import Encoder
from visual_search.schema import Dataset, Images

QUICK = replace(SMOKE, encoder="resnet", width=8, depth="11", epochs=1, batch_size=32, dim=16, held_out=0.2)
LONGER = replace(QUICK, epochs=16, learning_rate=3e-3, least_area=0.7, width=16, held_out=0.0)


@pytest.fixture(scope="module")
def toy() -> Dataset:
    return pictures.dataset()


@pytest.fixture(scope="module")
def quick(toy: Dataset) -> Encoder:
    return encoders.fit(toy, QUICK)


def found(encoder: Encoder, dataset: Dataset) -> float:
    """How often the nearest image of the gallery is of the test photo's class."""
    queries, gallery = (encoder.images(of.pixels) for of in (dataset.test.photos, dataset.catalog.images))
    return pictures.hit_rate(np.arange(len(queries)) % len(NAMES), (queries @ gallery.T).argmax(axis=1))


# ------------------------------------------------------------------------------------------------------------------------ learning


@pytest.mark.slow
@pytest.mark.parametrize("positives", ["judged", "clicks"])
def test_pairs_that_belong_together_teach_what_alike_means(positives: str) -> None:
    toy = pictures.dataset(270, 90, labelled=False)
    config = replace(LONGER, positives=positives, weight_text=0.0)
    assert found(encoders.fit(toy, config), toy) > 0.85
    lot = np.random.default_rng(0).permutation(len(toy.judged))
    mixed = replace(
        toy,
        judged=replace(toy.judged, image_id=toy.judged.image_id[lot]),
        train=replace(toy.train, image_id=toy.train.image_id[lot]),
    )
    assert found(encoders.fit(mixed, config), toy) < 0.7, "the control: partners by lot teach little"


@pytest.mark.slow
def test_words_find_the_pictures_they_name() -> None:
    toy = pictures.dataset(270, 90)
    encoder = encoders.fit(toy, LONGER)
    named, gallery = encoder.texts(NAMES), encoder.images(toy.catalog.images.pixels)
    nearest = (named @ gallery.T).argmax(axis=1)
    assert pictures.hit_rate(np.arange(len(NAMES)), nearest) > 0.8
    red = (encoder.texts(["red"]) @ gallery.T)[0].argsort()[::-1][:20]
    assert np.mean(red % len(NAMES) < 3) > 0.8, "a word alone, though no text of the gallery is one word"


@pytest.mark.slow
def test_a_clip_from_a_configuration_learns_by_the_same_code() -> None:
    toy = pictures.dataset(270, 90)
    encoder = encoders.fit(toy, replace(LONGER, encoder="clip"))
    assert isinstance(encoder, own.Own) and isinstance(encoder.network, Clip)
    assert found(encoder, toy) > 0.6 > 3 / len(NAMES)


def test_the_same_seed_gives_the_same_encoder_and_another_seed_another(toy: Dataset, quick: Encoder) -> None:
    assert encoders.fit(toy, QUICK).fingerprint == quick.fingerprint
    assert encoders.fit(toy, replace(QUICK, seed=1)).fingerprint != quick.fingerprint


def test_hard_negatives_are_the_nearest_of_the_memory_that_are_not_alike(toy: Dataset) -> None:
    config = replace(QUICK, num_hard=5)
    lessons = lesson.of(toy, toy.judged, config)
    network = Residual(Shape(side=32, looks=32, mirrored=False, width=8, depth="1", dim=16, vocabulary=9))
    teacher = training.Teacher(network, Words.fit(NAMES, 1), lessons, training.choice(toy, toy.judged), config)
    rng = np.random.default_rng(0)
    teacher.memory = torch.from_numpy(rng.normal(size=(len(lessons.label), 16)).astype(np.float32))
    anchors = lessons.bags.anchor[[0, 100, -1]]
    left = torch.from_numpy(rng.normal(size=(3, 16)).astype(np.float32))
    for at, scores in enumerate(teacher.nearest(left, anchors).tolist()):
        gallery = len(lessons.photos) + np.arange(len(toy.catalog))
        allowed = [int(one) for one in gallery if not lessons.alike(anchors[[at]], np.array([one]))]
        exact = sorted((float(left[at] @ teacher.memory[one]) for one in allowed), reverse=True)
        assert scores == pytest.approx(exact[:5], abs=1e-5)


def test_contrast_is_its_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    scores, hard = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    alike = rng.random((5, 4)) < 0.4
    alike[4] = False  # this one is like none and says nothing

    def told(scores: np.ndarray, alike: np.ndarray, more: np.ndarray) -> float:
        rows = []
        for row in range(len(scores)):
            against = np.log(sum(np.exp(value) for value in [*scores[row], *more[row]]))
            if alike[row].any():
                rows.append(np.mean([against - value for value in scores[row][alike[row]]]))
        return float(np.mean(rows))

    expected = (told(scores, alike, hard) + told(scores.T, alike.T, np.empty((4, 0)))) / 2
    tensors = [torch.from_numpy(each) for each in (scores, alike, hard)]
    assert float(training.contrast(*tensors)) == pytest.approx(expected, rel=1e-9)
    nothing = tensors[2][:, :0]
    assert float(training.contrast(tensors[0], tensors[1], nothing)) < expected, "hard negatives make it harder"


def test_a_class_is_told_from_all_classes_and_the_unlabelled_from_none(toy: Dataset) -> None:
    """Against the formula: label smoothing's cross-entropy of the cosines, over those that have a class."""
    lessons = lesson.of(toy, replace(toy.judged, grade=toy.judged.grade * 0), QUICK)  # of the photos nothing is known
    network = Residual(Shape(side=32, looks=32, mirrored=False, width=8, depth="1", dim=16, vocabulary=9))
    teacher = training.Teacher(network, Words.fit(NAMES, 1), lessons, training.choice(toy, toy.judged), QUICK)
    first, rng = len(lessons.photos), np.random.default_rng(0)
    pictures, vectors = np.array([0, first + 4, first + 9, 1]), rng.normal(size=(4, 16)).astype(np.float32)
    centres = teacher.taught.centres.detach().numpy()
    cosines = vectors @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T / QUICK.temperature
    logs = cosines - np.log(np.exp(cosines).sum(axis=1, keepdims=True))
    meant = [
        0.9 * logs[row, (at - first) % len(NAMES)] + 0.1 * logs[row].mean()
        for row, at in ((1, first + 4), (2, first + 9))
    ]
    found = [teacher.classed(pictures[of], torch.from_numpy(vectors[of])).item() for of in ([0, 1, 2, 3], [0, 3])]
    assert found == pytest.approx([-np.mean(meant), 0], rel=1e-4)


def test_words_are_told_from_the_words_a_text_does_not_hold(toy: Dataset) -> None:
    lessons = lesson.of(toy, toy.judged, QUICK)
    words = Words.fit(NAMES, 1)
    network = Residual(Shape(side=32, looks=32, mirrored=False, width=8, depth="1", dim=16, vocabulary=words.end + 1))
    teacher = training.Teacher(network, words, lessons, training.choice(toy, toy.judged), QUICK)
    named = [words.table.token(int(word)) for word in teacher.common]
    assert sorted(named) == ["bar", "block", "blue", "green", "pole", "red"]
    for text, holds in zip(lessons.texts, teacher.holds, strict=True):
        assert {name for name, there in zip(named, holds, strict=True) if there} == set(text.split())


def test_the_choice_rests_on_photos_that_taught_nothing(toy: Dataset) -> None:
    learnt, held = own._parted(toy.judged, 0.2)
    assert not set(learnt.photo.tolist()) & set(held.photo.tolist())
    assert len(learnt) + len(held) == len(toy.judged) and 0 < len(held) < len(learnt)
    chosen = training.choice(toy, held)
    row = int(held.photo[held.grade == 1].min())
    assert (chosen.photos[0] == toy.judged.photos.pixels[row]).all()
    ids = toy.catalog.image_id[np.flatnonzero(chosen.alike[0].numpy())]
    assert set(ids.tolist()) == set(held.image_id[(held.photo == row) & (held.grade == 1)].tolist())


# ---------------------------------------------------------------------------------------------------------- what belongs together


@pytest.mark.parametrize("positives", lesson.POSITIVES)
def test_a_partner_is_always_alike(positives: str) -> None:
    toy = pictures.dataset(labelled=False)
    lessons = lesson.of(toy, toy.judged, replace(QUICK, positives=positives))
    rows = np.arange(len(lessons))
    anchors, partners = lessons.bags.anchor, lessons.partners(rows)
    alone, kept = partners < 0, partners >= 0
    assert (lessons.text[anchors[alone]] >= 0).all(), "whoever has no partner is there for a text"
    anchors, partners = anchors[kept], partners[kept]
    assert len(anchors) and lessons.alike(anchors, partners).all()
    photo = np.arange(len(lessons.photos)) % len(NAMES)
    label = np.concatenate([photo, np.arange(len(toy.catalog)) % len(NAMES)])
    assert (label[anchors] == label[partners]).all(), "and of its class, as planted"


def test_what_was_said_to_be_alike_is_no_negative_and_what_was_not_is_one() -> None:
    toy = pictures.dataset(labelled=False)
    lessons = lesson.of(toy, toy.judged, QUICK)
    assert len(lessons.known)
    said, unlike = lessons.known, toy.judged.grade == 0
    assert lessons.alike(said[:, 0], said[:, 1]).all()
    other = len(lessons.photos) + np.searchsorted(toy.catalog.image_id, toy.judged.image_id[unlike])
    assert not lessons.alike(toy.judged.photo[unlike], other).any()


def test_a_photo_that_is_like_one_class_is_of_it_and_a_pair_that_says_so_is_not_needed(toy: Dataset) -> None:
    lessons = lesson.of(toy, toy.judged, QUICK)
    judged = np.unique(toy.judged.photo[toy.judged.grade == 1])
    assert (lessons.label[judged] == judged % len(NAMES)).all() and not len(lessons.known)
    assert set(judged.tolist()) <= set(lessons.bags.anchor.tolist()), "it is told from the other classes"
    torn = replace(toy.judged, grade=np.where(toy.judged.photo == judged[0], 1.0, toy.judged.grade))
    both = lesson.of(replace(toy, judged=torn), torn, QUICK)
    assert both.label[judged[0]] == -1 and set(both.known[:, 0].tolist()) == {judged[0]}, "like two classes, of neither"


def test_without_photos_held_out_the_last_epoch_is_kept(toy: Dataset) -> None:
    chosen, last = own._parted(toy.judged, 0.0)
    assert not len(last) and len(chosen) == len(toy.judged)
    short, long = (encoders.fit(toy, replace(QUICK, held_out=0.0, epochs=epochs)) for epochs in (1, 2))
    assert short.fingerprint != long.fingerprint


def test_clicks_learn_from_nothing_that_was_judged(toy: Dataset) -> None:
    config = replace(QUICK, positives="clicks")
    nobody = replace(toy, train=toy.train.take(toy.train.label == 0))
    with pytest.raises(InputError, match="nothing of that kind"):
        lesson.of(nobody, toy.judged, config)
    blind = replace(toy, judged=replace(toy.judged, grade=toy.judged.grade * 0))
    same, other = lesson.of(toy, toy.judged, config), lesson.of(blind, blind.judged, config)
    assert (same.known == other.known).all() and (same.label < 0).all()


def test_views_are_made_of_no_photo_that_only_the_test_asks_with(toy: Dataset) -> None:
    """Photos lie in one pool, whoever asks with them."""
    half = replace(toy, train=toy.train.take(toy.train.photo < 20))
    anchors = lesson.of(half, toy.judged, replace(QUICK, positives="augmented")).bags.anchor
    photos = anchors[anchors < len(toy.train.photos)]
    assert photos.tolist() == list(range(20)) and len(anchors) == 20 + len(toy.catalog)


def test_positives_add_up() -> None:
    """Several kinds together: the pairs of each, over photos of two pools."""
    toy = pictures.dataset(labelled=False)
    apart = replace(toy, judged=replace(toy.judged, photos=Images(toy.judged.photos.pixels.copy())))
    both, one, other, views_too = (
        lesson.of(apart, apart.judged, replace(QUICK, positives=kinds))
        for kinds in ("judged+clicks", "judged", "clicks", "judged+clicks+augmented")
    )
    assert len(both.known) == len(one.known) + len(other.known) > len(one.known) > 0
    assert (both.pixels(both.known[:, 0]) == one.pixels(np.tile(one.known[:, 0], 2))).all(), "each its own photo"
    assert (views_too.partners(np.arange(len(views_too))) >= 0).all() and len(views_too) > len(both.known)


def test_learning_goes_on_from_an_encoder(toy: Dataset, quick: Encoder) -> None:
    assert isinstance(quick, own.Own)
    still = encoders.fit(toy, replace(QUICK, learning_rate=0.0), quick)
    assert isinstance(still, own.Own)
    ours, theirs = (dict(of.network.named_parameters()) for of in (still, quick))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs), "at rate 0 it stays what it was"
    assert encoders.fit(toy, QUICK, quick).fingerprint not in (quick.fingerprint, encoders.fit(toy, QUICK).fingerprint)


def test_unknown_positives_and_unknown_encoders_are_named(toy: Dataset) -> None:
    with pytest.raises(InputError, match="Did you mean 'clicks'"):
        encoders.fit(toy, replace(QUICK, positives="click"))
    with pytest.raises(InputError, match="Did you mean 'resnet'"):
        encoders.fit(toy, replace(QUICK, encoder="resnets"))


# --------------------------------------------------------------------------------------------------------------------------- views


def test_plain_is_one_scale_for_any_side() -> None:
    pixels = pictures.drawn(np.arange(4), 5)
    assert views.plain(pixels, 32).shape == (4, 3, 32, 32)
    assert views.plain(pixels, 32)[2, 1, 3, 5] == pytest.approx((float(pixels[2, 3, 5, 1]) - 128) / 64)
    flat = np.full((1, 40, 40, 3), (200, 100, 30), np.uint8)
    small = views.plain(flat, 16)
    assert small.shape == (1, 3, 16, 16)
    assert torch.allclose(small, views.plain(flat, 40)[:, :, :1, :1].expand(small.shape), atol=1e-5)


def test_a_view_keeps_what_people_search_by() -> None:
    """Red stays redder than green or blue; no two views are one; a view may hide a piece, never all."""
    red = np.full((64, 32, 32, 3), (200, 60, 60), np.uint8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        seen, again = views.viewed(red, 24, 0.35), views.viewed(red, 24, 0.35)
    assert seen.shape == (64, 3, 24, 24) and not torch.equal(seen, again)
    shown = (seen != 0).any(dim=1)
    assert (seen[:, 0] > seen[:, 1])[shown].all()
    share = shown.float().mean(dim=(1, 2))
    assert share.min() > 1 - 1.2 * views.HIDDEN_SIDE[1] ** 2
    assert 0.1 < float((share < 1).float().mean()) < 0.45


def test_a_view_lies_inside_its_picture() -> None:
    """Each quarter has a colour of its own: a view shows the four alone, never a border."""
    corners = np.zeros((200, 32, 32, 3), np.uint8)
    corners[:, :, :16], corners[:, :16, 16:], corners[:, 16:, 16:] = 100, 180, 255
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        maps = views._maps(200, 0.35)
    assert maps.shape == (200, 2, 3)
    reach = maps[:, :, 2].abs()
    assert (reach <= 1).all() and reach.mean() > 0.05, "off the middle, and inside"
    area = (maps[:, 0, 0] * maps[:, 1, 1] - maps[:, 0, 1] * maps[:, 1, 0]).abs()
    assert area.min() > 0.8 * 0.35 and area.max() < 1.01
    assert 0.3 < (maps[:, 0, 0] < 0).float().mean() < 0.7, "half are mirrored"


# ------------------------------------------------------------------------------------------------------------------ what is served


def test_a_vector_has_length_one_whoever_stands_beside_it(quick: Encoder, toy: Dataset) -> None:
    pixels = toy.catalog.images.pixels[:70]
    together = quick.images(pixels)
    assert together.dtype == np.float32 and together.shape == (70, quick.dim)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(70), abs=1e-5)
    assert quick.images(pixels[[3]])[0] == pytest.approx(together[3], abs=1e-5)
    assert quick.images(pixels[:0]).shape == (0, quick.dim)
    larger = quick.images(np.repeat(np.repeat(pixels[:5], 2, 1), 2, 2))
    assert ((larger * together[:5]).sum(axis=1) > 0.99).all(), "of any side"


def test_a_mirrored_encoder_does_not_tell_left_from_right(quick: Encoder, toy: Dataset) -> None:
    assert isinstance(quick, own.Own)
    pixels = toy.test.photos.pixels[:9]
    mirror = np.ascontiguousarray(pixels[:, :, ::-1])
    both = replace(quick, shape=replace(quick.shape, mirrored=True))
    assert both.images(pixels) == pytest.approx(both.images(mirror), abs=1e-5) and both.fingerprint != quick.fingerprint
    mean = quick.images(pixels) + quick.images(mirror)
    assert both.images(pixels) == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-5)
    assert np.abs(quick.images(pixels) - quick.images(mirror)).max() > 1e-3


def test_a_text_without_a_known_word_lies_at_0(quick: Encoder) -> None:
    vectors = quick.texts(["red bar", "", "?!", "zeppelin", "zeppelin bar", "Red  bars!"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 0, 1, 1], abs=1e-5)
    assert vectors[4] == pytest.approx(quick.texts(["bar"])[0], abs=1e-5)
    assert vectors[5] == pytest.approx(vectors[0], abs=1e-5), "spelled otherwise, stemmed the same"
    assert quick.texts([]).shape == (0, quick.dim)
    assert np.isfinite(quick.texts(["red " * 300])).all()


def test_what_was_saved_is_what_is_read(quick: Encoder, toy: Dataset, tmp_path: Path) -> None:
    quick.save(tmp_path)
    again = encoders.load(tmp_path)
    assert again.fingerprint == quick.fingerprint and again.dim == quick.dim
    pixels = toy.test.photos.pixels
    assert (again.images(pixels) == quick.images(pixels)).all()
    assert (again.texts(NAMES) == quick.texts(NAMES)).all()


def test_another_weight_or_another_word_is_another_fingerprint(quick: Encoder, tmp_path: Path) -> None:
    quick.save(tmp_path)
    said = json.loads((tmp_path / own.SHAPE).read_bytes())
    (tmp_path / own.SHAPE).write_text(json.dumps({**said, "words": [*said["words"][:-1], "zzz"]}))
    assert encoders.load(tmp_path).fingerprint != quick.fingerprint
    quick.save(tmp_path)
    changed = encoders.load(tmp_path)
    assert isinstance(changed, own.Own)
    with torch.no_grad():
        next(iter(changed.network.parameters())).view(-1)[0] += 1e-3
    assert changed.fingerprint != quick.fingerprint


@pytest.mark.parametrize("spoilt", ["gone", "cut", "other shape", "no json", "other kind"])
def test_a_torn_encoder_is_refused(quick: Encoder, tmp_path: Path, spoilt: str) -> None:
    quick.save(tmp_path)
    weights, shape = tmp_path / own.WEIGHTS, tmp_path / own.SHAPE
    said = json.loads(shape.read_bytes())
    if spoilt == "gone":
        weights.unlink()
    elif spoilt == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif spoilt == "other shape":
        shape.write_text(json.dumps({**said, "shape": {**said["shape"], "width": 16}}))
    elif spoilt == "no json":
        shape.write_text("{")
    else:
        shape.write_text(json.dumps({**said, "kind": "vgg"}))
    with pytest.raises(InputError, match="not a whole encoder"):
        encoders.load(tmp_path)


# --------------------------------------------------------------------------------------------------------------------------- steps


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_a_step_has_the_same_length_in_every_direction(shape: tuple[int, int]) -> None:
    """Against numpy's singular values: the same directions, lengths near 1."""
    matrix = np.random.default_rng(0).normal(size=shape)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(torch.from_numpy(matrix.astype(np.float32))).numpy()
    lengths = np.linalg.svd(found, compute_uv=False)
    assert lengths.min() > 0.6 and lengths.max() < 1.3
    turned = left.T @ found @ right.T
    assert np.abs(turned - np.diag(np.diag(turned))).max() < 0.01, "no other directions"


def test_a_step_goes_where_torchs_own_goes() -> None:
    """On a matrix, all that torch.optim.Muon takes: the same direction and length, as near as its bfloat16 is, step after step."""
    ours = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(48, 32)])})
    ours = torch.nn.ModuleDict({"tower": ours})
    matrix, other = next(ours.parameters()), torch.nn.Parameter(torch.zeros(32, 48))
    optimizer, oracle = Muon(ours, 0.01, 0.0), torch.optim.Muon([other], lr=0.1, weight_decay=0.0, momentum=0.9)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        before, start = matrix.detach().clone(), other.detach().clone()
        matrix.grad = torch.randn(32, 48, generator=rng)
        other.grad = matrix.grad.clone()
        optimizer.step()
        oracle.step()  # type: ignore[no-untyped-call]
        moved, expected = matrix.detach() - before, other.detach() - start
        assert torch.cosine_similarity(moved.flatten(), expected.flatten(), dim=0) > 0.99
        assert float(moved.norm() / expected.norm()) == pytest.approx(1, abs=0.05)


def test_what_is_no_hidden_layer_takes_adams_step() -> None:
    """The same network under Adam alone: all but filters move alike, filters do not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))
        x = torch.randn(8, 3, 4, 4)
    theirs = copy.deepcopy(ours)
    steps = Muon(ours, 0.01, 0.1), torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for network, optimizer in zip((ours, theirs), steps, strict=True):
        network(x).square().sum().backward()
        optimizer.step()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6) != (name == "0.weight")


def test_a_vector_leans_halfway_to_its_class_and_alone_stays() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(7, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    label = np.array([3, -1, 3, 8, 3, -1, 9])
    leant = leaning(vectors, label)
    assert np.linalg.norm(leant, axis=1) == pytest.approx(np.ones(7), abs=1e-6)
    assert (leant[[1, 5]] == vectors[[1, 5]]).all() and leant[[3, 6]] == pytest.approx(vectors[[3, 6]], abs=1e-6)
    centre = vectors[[0, 2, 4]].sum(axis=0)
    centre /= np.linalg.norm(centre)
    for row in (0, 2, 4):
        assert leant[row] @ centre == pytest.approx(np.sqrt((1 + vectors[row] @ centre) / 2), abs=1e-5), (
            "half the angle"
        )
    assert leaning(vectors, np.full(7, -1)).tolist() == vectors.tolist()
