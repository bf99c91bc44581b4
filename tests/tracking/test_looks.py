"""The colours of a mask, by arithmetic."""

import numpy as np
import pytest

from fastsam_onnx import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.tracking.looks import LEVELS, LOOK_GAIN, blended, likeness, likenesses, look_of, looks_at
from fastsam_onnx.tracking.shapes import GRID, grids_of, shapes_of

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


def test_looks_of_many_masks_are_those_of_their_pixels_on_the_grid():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (GRID, 2 * GRID, 3), dtype=np.uint8)
    size = (2 * GRID, GRID)
    left, right = (Mask(rng.random((GRID, GRID)) < 0.4, x, 0, size) for x in (0, GRID))  # every pixel is on the grid
    masks = Masks([left, Mask.empty(size), right], size)
    looks = looks_at(shapes_of(masks), *grids_of(masks), image)
    assert looks.dtype == np.float32
    for look, mask in zip(looks, masks, strict=True):
        assert look == pytest.approx(look_of(mask, image), abs=1e-6)
    assert not looks[1].any()
    none = Masks([], size)
    assert looks_at(shapes_of(none), *grids_of(none), image).shape == (0, LEVELS**3)


def test_a_look_changes_slowly_and_not_by_what_is_not_known():
    red, blue = look_of(ALL, plain(255, 0, 0)), look_of(ALL, plain(0, 0, 255))
    unknown = np.zeros_like(red)
    assert blended(red, blue) == pytest.approx((1 - LOOK_GAIN) * red + LOOK_GAIN * blue)
    assert blended(red, unknown) is red
    assert blended(unknown, blue) is blue


def test_likenesses_are_those_of_each_pair():
    looks = np.random.default_rng(1).dirichlet(np.ones(LEVELS**3), 5).astype(np.float32)
    table = likenesses(looks[:2], looks[2:])
    assert table == pytest.approx(np.array([[likeness(a, b) for b in looks[2:]] for a in looks[:2]]), abs=1e-6)


def test_likeness_is_1_for_the_same_and_0_for_nothing_in_common():
    red, blue = look_of(ALL, plain(255, 0, 0)), look_of(ALL, plain(0, 0, 255))
    assert likeness(red, red) == pytest.approx(1)
    assert likeness(red, blue) == 0
    # A half of each colour, and all of one: the root of 1/2.
    assert likeness(red, (red + blue) / 2) == pytest.approx(0.5**0.5)
