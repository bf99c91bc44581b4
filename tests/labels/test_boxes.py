"""The boxes of a photo as a prompt: an object for each, with its class, or a warning."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from support.tiny_onnx import known

from fastsam_onnx import FastSAM, Prompts
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels import LabelledBoxes
from fastsam_onnx.results.chooser import Chooser

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = {0: "cat", 2: "dog"}
LEFT, RIGHT = [4, 20, 28, 44], [36, 20, 60, 44]


@pytest.fixture(scope="module")
def found():
    """Two objects side by side in a photo of 64 x 64, in the boxes LEFT and RIGHT."""
    shapes = np.full((1, 16, 16), -1.0)
    shapes[0, 5:11, 1:7] = shapes[0, 5:11, 9:15] = 1
    boxes = [[16, 32, 24, 24], [48, 32, 24, 24]]
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return FastSAM(known(boxes, [0.8, 0.7], [[1.0]] * 2, shapes))(photo)


def test_each_box_has_an_object_with_its_class_in_the_order_of_the_boxes(found):
    boxes = LabelledBoxes([RIGHT, LEFT, RIGHT], [2, 0, 5], NAMES, (64, 64))
    assert isinstance(boxes, Chooser)
    assert (len(boxes), boxes.needs_objects) == (3, False)
    chosen = found.prompt(boxes)
    asked = found.prompt(Prompts(boxes=[RIGHT, LEFT, RIGHT]))
    assert chosen.labels.dtype == np.int64
    assert [(one.label, one.name, one.prompt_index) for one in chosen] == [(2, "dog", 0), (0, "cat", 1), (5, "5", 2)]
    assert list(chosen.masks) == list(asked.masks)
    assert chosen.names == NAMES


def test_what_is_told_of_an_answer_to_a_box_is_told_of_these():
    found = FastSAM()(EXAMPLES / "coffee.jpg", redraw=False)
    cup, spoon = (170, 12, 415, 305), (285, 235, 410, 330)
    chosen, asked = (
        found.prompt(LabelledBoxes([cup, spoon], [0, 1], {0: "cup", 1: "spoon"})),
        found.box_prompt([cup, spoon]),
    )
    assert chosen.predicted_iou.tolist() == asked.predicted_iou.tolist()
    assert [one.name for one in chosen] == ["cup", "spoon"]
    assert [one.mask for one in chosen] == [one.mask for one in asked]


def test_shares_are_multiplied_by_width_and_height(found):
    """Of 64 x 64: 0.5625 is 36, 0.3125 is 20, 0.9375 is 60, 0.6875 is 44."""
    shares = LabelledBoxes([[0.5625, 0.3125, 0.9375, 0.6875]], [0], NAMES, (1, 1))
    assert list(found.prompt(shares).masks) == list(found.box_prompt(RIGHT).masks)
    assert shares.in_photo((200, 100)).tolist() == [[112.5, 31.25, 187.5, 68.75]]


def test_no_boxes_give_no_objects_with_classes(found):
    chosen = found.prompt(LabelledBoxes(np.zeros((0, 4)), np.zeros(0), NAMES))
    assert (len(chosen), chosen.labels.tolist(), chosen.names) == (0, [], NAMES)


def test_a_box_without_an_answer_is_told_and_shifts_no_class(found, caplog):
    boxes = LabelledBoxes([[100, 100, 110, 110], LEFT, [70, 0, 90, 9]], [0, 2, 5], NAMES, place="labels/a.txt")
    with caplog.at_level(logging.WARNING):
        chosen = found.prompt(boxes)
    assert [(one.name, one.prompt_index) for one in chosen] == [("dog", 1)]
    outside, told = [record.getMessage() for record in caplog.records]
    assert "the box [100.0, 100.0, 110.0, 110.0] lies outside the photo" in outside
    assert "labels/a.txt: 2 of 3 boxes have no answer" in told
    assert "[100.0, 100.0, 110.0, 110.0], of the class 'cat'" in told


@pytest.mark.parametrize(("size", "told"), [((64, 48), "64x48 pixels, and this one has 64x64"), ((32, 32), "32x32")])
def test_boxes_of_a_photo_of_another_size_are_refused(found, size, told):
    with pytest.raises(PromptError, match=told):
        found.prompt(LabelledBoxes([LEFT], [0], NAMES, size, "a.json"))


def test_swapped_sides_are_those_of_the_photo_as_it_was_taken():
    boxes = LabelledBoxes([LEFT], [0], NAMES, (640, 480), "a.json")
    with pytest.raises(PromptError, match=r"a\.json: .* 640x480 .* 480x640: .* before it was turned upright; draw"):
        boxes.in_photo((480, 640))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"boxes_xyxy": [[9, 0, 1, 1]]}, "x1 <= x2"),
        ({"boxes_xyxy": [1, 2, 3]}, r"boxes must have shape"),
        ({"labels": [0, 1]}, r"1 boxes need labels of shape \(1,\), got \(2,\)"),
        ({"labels": [0.5]}, "labels must be indices of classes"),
        ({"labels": [-1]}, "labels must be indices of classes"),
        ({"labels": ["cat"]}, "labels must be numbers"),
        ({"names": ["cat"]}, "names must be names of classes by index"),
        ({"size": 640}, r"size must be \(width, height\) or None"),
        ({"size": (640, 0.5)}, "a side of size must be an integer"),
    ],
)
def test_what_makes_no_boxes_is_refused(given, told):
    with pytest.raises(PromptError, match=told):
        LabelledBoxes(**{"boxes_xyxy": [LEFT], "labels": [0], **given})


def test_they_are_values_that_nobody_changes():
    given = np.array([LEFT], np.float64)
    boxes = LabelledBoxes(given, [0])
    given[:] = 0
    assert boxes.boxes_xyxy.tolist() == [LEFT]
    with pytest.raises(ValueError, match="read-only"):
        boxes.boxes_xyxy[0, 0] = 7


def test_boxes_stay_read_only_in_another_process():
    """Pickles of arrays are writeable."""
    boxes = pickle.loads(pickle.dumps(LabelledBoxes([LEFT], [2], NAMES, (64, 64))))
    assert (boxes.boxes_xyxy.tolist(), boxes.labels.tolist(), boxes.size) == ([LEFT], [2], (64, 64))
    assert not boxes.boxes_xyxy.flags.writeable
    assert not boxes.labels.flags.writeable
