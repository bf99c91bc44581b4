"""All like this one: objects whose vectors are near that of an example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import toy_clip

from fastsam_onnx import (
    CropStyle,
    Mask,
    ObjectIndexError,
    OptionError,
    PromptError,
    Prompts,
    Segmentation,
)

COLOURS = ("red", "blue", "yellow", "red", "green", "red")


@pytest.fixture
def found(clip):
    """Bands of colours."""
    photo, masks = toy_clip.bands(COLOURS)
    return Segmentation.from_masks(masks, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], image=photo, clip=clip)


def rows(found):
    """Index of the band of each object."""
    return [int(mask.box[1]) // 20 for mask in found.masks]


def test_all_reds_are_like_a_red_one(found):
    alike = found.similar(3, threshold=0.95)
    assert sorted(rows(alike)) == [0, 3, 5]
    assert alike.similarity == pytest.approx([1] * 3, abs=0.01)
    assert alike.prompt_index.tolist() == [0, 0, 0]


@pytest.mark.parametrize("form", ["numpy index", "instance", "mask", "selection"])
def test_an_example_has_several_forms(found, form):
    example = {"numpy index": np.int64(1), "instance": found[1], "mask": found.masks[1], "selection": found[[1]]}[form]
    assert rows(found.similar(example, threshold=0.95)) == [1]


def test_the_most_similar_come_first(found):
    ranked = found.similar(0, top_k=4)
    assert len(ranked) == 4
    assert sorted(rows(ranked)[:3]) == [0, 3, 5]
    assert (np.diff(ranked.similarity) <= 0).all()


def test_several_examples_each_have_those_like_them(found):
    alike = found.similar(found[[1, 5]], threshold=0.95)
    assert {(row, index) for row, index in zip(rows(alike), alike.prompt_index.tolist(), strict=True)} == {
        (1, 0),
        (0, 1),
        (3, 1),
        (5, 1),
    }


def test_an_example_need_not_be_one_of_the_objects(found):
    part = Mask(np.ones((8, 20), bool), 15, 5, (60, 120))
    assert sorted(rows(found.similar(part, threshold=0.95))) == [0, 3, 5]


@pytest.mark.parametrize("size", [(60, 120), (44, 80)])
@pytest.mark.parametrize("with_clip", [True, False])
def test_an_example_may_be_of_another_photo(found, clip, size, with_clip):
    """What it looks like is cut out of its own photo, once for all photos that are looked through."""
    photo = np.zeros((size[1], size[0], 3), np.uint8)
    photo[40:60, 10:30] = toy_clip.bands(["blue"])[0][10, 10]  # where the photo of `found` is yellow
    mask = Mask(np.ones((20, 20), bool), 10, 40, size)
    example = Segmentation.from_masks([mask], image=photo, clip=clip if with_clip else None)
    alike = found.similar(example, threshold=0.95)
    assert rows(alike) == [1]
    assert alike.similarity == pytest.approx([1], abs=0.01)
    assert found.similar(example[:0], threshold=0.95).masks.dense().shape == (0, 120, 60)


def test_an_example_of_another_photo_keeps_its_vector(found, clip, monkeypatch):
    other = Segmentation.from_masks(list(found.masks[:1]), image=found.image[::-1].copy(), clip=clip)
    expected = found.similar(other, top_k=6)
    monkeypatch.setattr(type(found.embeddings), "_embed", None)  # would fail if called
    again = found.similar(other, top_k=6)
    np.testing.assert_array_equal(again.similarity, expected.similarity)


def test_an_example_of_another_clip_is_looked_at_by_this_one(found, tmp_path):
    toy_clip.write(tmp_path / "other")
    other = Segmentation.from_masks(list(found.masks[:1]), image=found.image[::-1].copy(), clip=tmp_path / "other")
    own = replace(other, embeddings=None)
    other.embeddings._seen = (other.image, {(other.masks.lazy[0], CropStyle()): np.full(3, np.nan, np.float32)})
    np.testing.assert_array_equal(found.similar(other, top_k=6).similarity, found.similar(own, top_k=6).similarity)


def test_a_photo_that_was_read_twice_is_one(found):
    same = replace(found, image=found.image.copy())
    assert rows(found.similar(same[[1]], threshold=0.95)) == [1]
    without = replace(found, image=None)  # such as from JSON
    assert rows(found.similar(without[[1]], threshold=0.95)) == [1]


def test_no_example_is_like_nothing(found):
    assert len(found.similar(found[:0], threshold=-1)) == 0
    assert len(found[:0].similar(found[0], threshold=-1)) == 0


def test_small_objects_are_left_out(found):
    assert len(found.similar(0, threshold=-1, min_area=719)) == 6
    assert len(found.similar(0, threshold=-1, min_area=720)) == 0


def test_without_clip_the_refusal_says_what_is_needed(found):
    plain = Segmentation.from_masks(list(found.masks), image=found.image)
    with pytest.raises(OptionError, match=r"lacks CLIP.*clip-vit-b-32-int8"):
        plain.similar(0, threshold=0.9)


@pytest.mark.parametrize(
    ("example", "options", "error", "message"),
    [
        (0, {}, OptionError, "threshold= .* top_k="),
        (0, {"threshold": 2}, OptionError, "threshold"),
        (0, {"top_k": 0}, OptionError, "top_k"),
        (0, {"threshold": 0.5, "crops": "black"}, OptionError, "CropStyle"),
        (0, {"threshold": 0.5, "min_area": -1}, OptionError, "min_area"),
        (9, {"threshold": 0.5}, ObjectIndexError, "9"),
        ("red", {"threshold": 0.5}, PromptError, "'red'"),
        (True, {"threshold": 0.5}, PromptError, "True"),
        (Mask.empty((60, 120)), {"threshold": 0.5}, PromptError, "no pixels"),
        (
            Mask(np.ones((5, 5), bool), 0, 0, (61, 120)),
            {"threshold": 0.5},
            PromptError,
            r"60x120, or a result .* got a mask of 61x120",
        ),
    ],
)
def test_what_is_refused(found, example, options, error, message):
    with pytest.raises(error, match=message):
        found.similar(example, **options)


def test_prompts_ask_for_all_like_what_they_mean(found):
    prompts = Prompts.from_json('{"points": [[20, 70]], "similar": 0.95}')
    assert prompts.needs_clip
    assert sorted(rows(found.prompt(prompts))) == [0, 3, 5]
    assert sorted(rows(found.prompt(Prompts(texts="red", similar=0.95)))) == [0, 3, 5]
    assert len(found.prompt(Prompts(points=[(2, 2)], similar=0.5))) == 0, "nothing is hit"
    with pytest.raises(PromptError, match="similar"):
        found.prompt(Prompts(similar=0.5))
    with pytest.raises(PromptError, match="similar"):
        found.prompt(Prompts(classify="red", similar=0.5))
    with pytest.raises(PromptError, match="similar is given without"):
        Prompts.from_value({"similar": 0.5})
    with pytest.raises(OptionError, match=r"similar.*-1.*1.*1\.5"):
        Prompts(points=[(1, 1)], similar=1.5).check()


def test_objects_keep_their_vectors(found, monkeypatch):
    found.similar(0, threshold=0.5)
    monkeypatch.setattr(type(found.embeddings), "_embed", None)  # would fail if called
    assert len(found.similar(found[[2]], threshold=0.95)) == 1
    monkeypatch.undo()
    assert len(found.similar(0, threshold=0.5, crops=CropStyle("black"))) >= 3


def test_nothing_is_more_similar_than_itself(found):
    """Rounding makes the square of a vector of length 1 a little more than 1: it would exceed a threshold of 1."""
    scores = np.concatenate([found.similar(index, top_k=6).similarity for index in range(6)])
    assert scores.max() == 1
    assert all(not len(found.similar(index, threshold=1)) for index in range(6))
