"""Names from texts: every object has the text that fits it best as its class."""

from __future__ import annotations

import numpy as np
import pytest
from support import toy_clip

from fastsam_onnx import OptionError, PromptError, Segmentation
from fastsam_onnx.results.rules import best_texts

COLOURS = ("red", "blue", "yellow", "red", "green")


@pytest.fixture
def found(clip):
    """Bands of colours that have the classes of a network."""
    photo, masks = toy_clip.bands(COLOURS)
    scores = [0.9, 0.8, 0.7, 0.6, 0.5]
    return Segmentation.from_masks(masks, scores, image=photo, clip=clip, labels=[9] * 5, names={9: "thing"})


def facts(found):
    return [(one.label, one.name) for one in found]


def test_every_object_has_the_text_that_fits_it_best(found):
    named = found.classify(["blue", "red", "green", "yellow"])
    assert facts(named) == [(1, "red"), (0, "blue"), (3, "yellow"), (1, "red"), (2, "green")]
    assert named.similarity == pytest.approx([1] * 5, abs=0.02)
    np.testing.assert_array_equal(named.scores, found.scores)
    assert [one.name for one in named.of_class("red", "green")] == ["red", "red", "green"]
    assert facts(found) == [(9, "thing")] * 5
    assert named.to_dict()["objects"][0]["name"] == "red"


def test_objects_that_fit_none_are_left_out_or_the_others(found):
    assert facts(found.classify(["red", "blue"], threshold=0.9)) == [(0, "red"), (1, "blue"), (0, "red")]
    named = found.classify(["red", "blue"], threshold=0.9, other="something else")
    assert named.names == {0: "red", 1: "blue", 2: "something else"}
    assert named.labels.tolist() == [0, 1, 2, 0, 2]
    np.testing.assert_array_equal(named.similarity, found.text_scores(["red", "blue"]).max(axis=0))
    assert len(found.classify("red", threshold=1)) == 0
    assert len(found[:0].classify("red")) == 0


def test_a_template_is_not_part_of_the_name(found):
    assert found.classify(["red"], templates=["a photo of {}"])[0].name == "red"


def test_what_is_no_list_of_classes(found):
    for texts, options, message in (
        (["red", "red"], {}, "'red' twice"),
        (["red"], {"other": "red"}, "'red' twice"),
        (["red"], {"other": 3}, "other must be a text, got 3"),
        (["red"], {"other": " "}, "other must be the name of a class, got ' '"),
        (["red"], {"threshold": 2}, "threshold"),
    ):
        with pytest.raises(OptionError, match=message):
            found.classify(texts, **options)
    with pytest.raises(PromptError):
        found.classify([])
    with pytest.raises(OptionError, match="lacks CLIP"):
        Segmentation.from_masks(list(found.masks), image=found.image).classify(["red"])


def test_best_texts_are_the_arithmetic():
    cosines = np.array([[0.2, 0.3, -np.inf, 0.25], [0.1, 0.4, -np.inf, 0.2]], np.float32)
    labels, similarity = best_texts(cosines, None)
    assert labels.tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(similarity, np.float32([0.2, 0.4, -1, 0.25]))
    assert best_texts(cosines, 0.25)[0].tolist() == [2, 1, 2, 2]
