"""The colours of a mask, by arithmetic."""

import numpy as np
import pytest

from fastsam_onnx import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.tracking.looks import (
    FINE_LEVELS,
    LEVELS,
    LOOK_GAIN,
    MOST_PIXELS,
    blended,
    likeness,
    likenesses,
    look_of,
    looks_at,
)
from fastsam_onnx.tracking.shapes import GRID, grids_of, shapes_of

SIZE = (20, 10)
ALL = Mask.from_dense(np.ones(SIZE[::-1], bool))


def plain(*colour):
    return np.full((*SIZE[::-1], 3), colour, np.uint8)


def coarse(*masks, image):
    """The looks of masks of an image in few colours, by levels of red, green and blue."""
    all_masks = Masks(masks, SIZE)
    looks = looks_at(shapes_of(all_masks), *grids_of(all_masks), image)
    assert looks.dtype == np.float32
    return looks.reshape(len(masks), LEVELS, LEVELS, LEVELS)


def test_a_colour_of_the_grid_counts_once():
    [look] = coarse(ALL, image=plain(0, 85, 255))  # levels 0, 1 and 3 of 0, 85, 170, 255
    assert look[0, 1, 3] == pytest.approx(1)
    assert look.sum() == pytest.approx(1)


def test_a_colour_between_two_counts_for_both():
    [look] = coarse(ALL, image=plain(17, 0, 0))  # a fifth of the way from 0 to 85
    assert look[:2, 0, 0].tolist() == pytest.approx([0.8, 0.2])


def test_a_close_look_is_by_lightness_and_colour():
    """White is 255, 128, 128 in 8 bits of CIELAB: level 7, and 128 / 255 * 7 = 3.51 twice, between levels 3 and 4."""
    look = look_of(ALL, plain(255, 255, 255))
    assert look.dtype == np.float32
    share = 128 / 255 * 7 - 3
    shares = np.outer([1 - share, share], [1 - share, share])
    assert look.reshape((FINE_LEVELS,) * 3)[7, 3:5, 3:5] == pytest.approx(shares, abs=1e-5)
    assert look.sum() == pytest.approx(1)


def test_dark_things_are_told_apart_by_a_close_look():
    """A black suit and a brown wall at night: in four levels of each colour they are much the same."""
    suit, wall = plain(25, 25, 28), plain(62, 45, 30)
    [one], [other] = coarse(ALL, image=suit), coarse(ALL, image=wall)
    assert likeness(one, other) > 0.85
    assert likeness(look_of(ALL, suit), look_of(ALL, wall)) < 0.4


def test_of_large_objects_some_pixels_are_enough():
    rng = np.random.default_rng(0)
    size = (500, 200)
    image = rng.integers(0, 256, (200, 500, 3), dtype=np.uint8) // 4
    whole = Mask.from_dense(np.ones(size[::-1], bool))
    assert whole.area > 4 * MOST_PIXELS
    part = Mask.from_dense(np.arange(500 * 200).reshape(200, 500) < MOST_PIXELS)
    assert likeness(look_of(whole, image), look_of(part, image)) > 0.999


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
    steps = image / 255 * (LEVELS - 1)
    for look, mask in zip(looks, masks, strict=True):
        expected = np.zeros((LEVELS, LEVELS, LEVELS))
        for place in steps[mask.dense()]:
            corner = np.minimum(place.astype(int), LEVELS - 2)
            one, two, three = (np.array([1 - part, part]) for part in place - corner)
            cube = tuple(slice(level, level + 2) for level in corner)
            expected[cube] += one[:, None, None] * two[:, None] * three / mask.area
        assert look == pytest.approx(expected.ravel(), abs=1e-6)
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
