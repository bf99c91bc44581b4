"""A photo lies in the network's input where the references put it, and boxes and points find their way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.letterboxes import boxed, points_to_input

from fastsam_onnx.network.letterbox import PADDING_GREY, Letterbox

SIDES = st.integers(1, 5000)
BOX_SIDES = st.integers(1, 40).map(lambda cells: 32 * cells)


@st.composite
def letterboxes(draw: st.DrawFn) -> Letterbox:
    stride = draw(st.sampled_from([None, 32]))
    return Letterbox.fit((draw(SIDES), draw(SIDES)), (draw(BOX_SIDES), draw(BOX_SIDES)), stride=stride)


@settings(deadline=None)
@given(letterboxes())
def test_the_photo_lies_inside_centred_and_as_large_as_it_can_be(letterbox):
    (width, height), (content_width, content_height) = letterbox.input_size, letterbox.content_size
    right, bottom = width - letterbox.left - content_width, height - letterbox.top - content_height
    assert 0 <= letterbox.left <= right <= letterbox.left + 1, "an odd rest goes to the right"
    assert 0 <= letterbox.top <= bottom <= letterbox.top + 1, "an odd rest goes below"
    assert letterbox.left + right == 0 or letterbox.top + bottom == 0, "one side fills the box"
    assert min(letterbox.content_size) >= 1


@settings(deadline=None)
@given(SIDES, SIDES, BOX_SIDES, BOX_SIDES)
def test_the_minimal_rectangle_is_the_box_less_whole_strides(width, height, box_width, box_height):
    whole = Letterbox.fit((width, height), (box_width, box_height))
    minimal = Letterbox.fit((width, height), (box_width, box_height), stride=32)
    assert whole.input_size == (box_width, box_height)
    assert minimal.content_size == whole.content_size
    for minimal_side, whole_side, content in zip(minimal.input_size, whole.input_size, whole.content_size, strict=True):
        assert minimal_side % 32 == 0
        assert content <= minimal_side <= whole_side
        assert minimal_side - content < 32


@settings(deadline=None)
@given(letterboxes(), st.lists(st.tuples(st.floats(-100, 6000), st.floats(-100, 6000)), min_size=1, max_size=5))
def test_points_go_there_and_back(letterbox, points):
    there = points_to_input(letterbox, points)
    np.testing.assert_allclose(letterbox.points_to_image(there), points, rtol=1e-12, atol=1e-9 / min(letterbox.scale))


@settings(deadline=None)
@given(letterboxes())
def test_the_whole_photo_is_exactly_the_content(letterbox):
    width, height = letterbox.image_size
    x1, y1 = letterbox.left, letterbox.top
    x2, y2 = x1 + letterbox.content_size[0], y1 + letterbox.content_size[1]
    np.testing.assert_allclose(points_to_input(letterbox, [[0, 0], [width, height]]), [[x1, y1], [x2, y2]], rtol=1e-12)
    np.testing.assert_array_equal(letterbox.boxes_to_image([[x1, y1, x2, y2]]), [[0, 0, width, height]])


@settings(deadline=None)
@given(letterboxes(), st.lists(st.floats(-500, 2000, width=32), min_size=4, max_size=4))
def test_boxes_of_the_network_end_at_the_photos_border(letterbox, box):
    found = letterbox.boxes_to_image([box])
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert (found <= np.tile(letterbox.image_size, 2)).all()


def test_no_boxes():
    letterbox = Letterbox.fit((640, 480), (64, 64))
    assert letterbox.boxes_to_image(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("image_size", [(57, 101), (101, 57), (64, 64), (5, 7), (1, 300), (300, 1), (640, 480)])
def test_pixels(image_size):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (image_size[1], image_size[0], 3), np.uint8)
    before = image.copy()
    letterbox = Letterbox.fit(image_size, (64, 64), stride=32)
    picture = boxed(letterbox, image)
    (width, height), (content_width, content_height) = letterbox.input_size, letterbox.content_size
    assert picture.shape == (height, width, 3)
    rows = slice(letterbox.top, letterbox.top + content_height)
    columns = slice(letterbox.left, letterbox.left + content_width)
    content = cv2.resize(image, (content_width, content_height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(picture[rows, columns], content)
    padding = np.ones((height, width), bool)
    padding[rows, columns] = False
    assert (picture[padding] == PADDING_GREY).all()

    tensor = letterbox.tensor(image)
    assert tensor.shape == (1, 3, height, width)
    assert tensor.dtype == np.float32
    expected = picture.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
    np.testing.assert_array_equal(tensor, expected)
    np.testing.assert_array_equal(image, before, "the photo must not be changed")


def test_a_photo_of_the_input_size_is_taken_as_it_is_even_read_only():
    image = np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    image.flags.writeable = False
    letterbox = Letterbox.fit((32, 32), (32, 32))
    np.testing.assert_array_equal(boxed(letterbox, image), image)


def test_a_turned_view_of_a_photo_is_taken():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    turned = image.transpose(1, 0, 2)[::-1]
    letterbox = Letterbox.fit((40, 30), (64, 64))
    np.testing.assert_array_equal(letterbox.tensor(turned), letterbox.tensor(np.ascontiguousarray(turned)))
