"""The colours of a mask, by arithmetic."""

import numpy as np
import pytest

from fastsam_onnx import Mask
from fastsam_onnx.tracking.looks import LEVELS, likeness, look_of

SIZE = (20, 10)
ALL = Mask.from_dense(np.ones(SIZE[::-1], bool))


def plain(*colour):
    return np.full((*SIZE[::-1], 3), colour, np.uint8)


def test_a_colour_of_the_grid_counts_once():
    look = look_of(ALL, plain(0, 85, 255))  # levels 0, 1 and 3 of 0, 85, 170, 255
    assert look.dtype == np.float32
    assert look.reshape(LEVELS, LEVELS, LEVELS)[0, 1, 3] == pytest.approx(1)
    assert look.sum() == pytest.approx(1)


def test_a_colour_between_two_counts_for_both():
    look = look_of(ALL, plain(17, 0, 0)).reshape(LEVELS, LEVELS, LEVELS)  # a fifth of the way from 0 to 85
    assert look[:2, 0, 0].tolist() == pytest.approx([0.8, 0.2])


def test_pixels_outside_the_mask_do_not_count():
    image = plain(255, 0, 0)
    dense = np.zeros(SIZE[::-1], bool)
    dense[2:5, 3:9] = True
    image[dense] = (0, 0, 255)
    assert look_of(Mask.from_dense(dense), image) == pytest.approx(look_of(ALL, plain(0, 0, 255)))
    assert look_of(Mask.empty(SIZE), image).sum() == 0


def test_likeness_is_1_for_the_same_and_0_for_nothing_in_common():
    red, blue = look_of(ALL, plain(255, 0, 0)), look_of(ALL, plain(0, 0, 255))
    assert likeness(red, red) == pytest.approx(1)
    assert likeness(red, blue) == 0
    # A half of each colour, and all of one: the root of 1/2.
    assert likeness(red, (red + blue) / 2) == pytest.approx(0.5**0.5)
