"""Outlines become the pixels whose middles lie inside."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_onnx import Prompts, Segmentation
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.masks import filled
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.mask_prompts import limited_masks, listed_masks

DENSE = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
CORNER = st.tuples(st.floats(-6, 18), st.floats(-6, 18))
SQUARE = [[2, 1], [6, 1], [6, 4], [2, 4]]


def inside(ring, x, y):
    """True if a line to the left of a point crosses an odd number of sides, of which each is walked downwards."""
    odd = False
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        (x1, y1), (x2, y2) = sorted((one, other), key=lambda corner: corner[1])
        if y1 <= y < y2:
            odd ^= x1 + (y - y1) / (y2 - y1) * (x2 - x1) <= x
    return odd


@settings(deadline=None)
@given(DENSE)
def test_the_outlines_of_a_mask_fill_to_it(dense):
    mask = Mask.from_dense(dense)
    assert Mask.from_polygons(mask.polygons(), mask.image_size) == mask
    plain = [
        {"exterior": one.exterior.tolist(), "holes": [hole.tolist() for hole in one.holes]} for one in mask.polygons()
    ]
    assert Mask.from_polygons(plain, mask.image_size) == mask


@settings(deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=7), st.integers(1, 3))
@example([(0.0, 0.0), (0.0, 0.0), (11.0, 11.0)], 1)  # there and back
def test_any_outline_has_the_pixels_whose_middles_it_goes_around(ring, at_once):
    """Also where it crosses itself, leaves the photo, or is computed in several parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filled, "AT_ONCE", at_once)
        mask = Mask.from_polygons([ring], (12, 10))
    expected = [[inside(ring, x + 0.5, y + 0.5) for x in range(12)] for y in range(10)]
    np.testing.assert_array_equal(mask.dense(), expected)


@settings(deadline=None)
@given(*[st.tuples(st.integers(0, 50), st.integers(0, 9))] * 2)
@example((0, 0), (45, 5))
@example((3, 0), (24, 7))  # beside the photo's edge one way, 3 pixels from it the other
def test_two_sides_of_a_line_share_every_pixel_whichever_way_it_is_walked(first, second):
    """From (0, 0) to (45, 5) a pixel whose middle lies on the line was in neither of two triangles."""
    line = [first, second]
    if first[1] == second[1]:
        line = [(25, first[1]), (25, first[1] + 1)]
    elif first[1] > second[1]:
        line = [second, first]
    (x1, y1), (x2, y2) = line
    band = [[(0, y1), (x1, y1), (x2, y2), (0, y2)], [(50, y1), (50, y2), (x2, y2), (x1, y1)]]
    one, other = (Mask.from_polygons([ring], (50, 10)) for ring in band)
    assert one.area + other.area == 50 * (y2 - y1)
    assert one.union(other).area == 50 * (y2 - y1)
    assert Mask.from_polygons([band[0][::-1]], (50, 10)) == one


def test_polygons_are_joined_and_take_cocos_form():
    """Two squares of 4 x 3 pixels that share 2 x 3; around one of them a hole."""
    expected = np.zeros((8, 10), bool)
    expected[1:4, 2:6] = expected[1:4, 4:8] = True
    flat = [2, 1, 6, 1, 6, 4, 2, 4], [4, 1, 8, 1, 8, 4, 4, 4]
    np.testing.assert_array_equal(Mask.from_polygons(flat, (10, 8)).dense(), expected)
    ring = {"exterior": [[0, 0], [10, 0], [10, 8], [0, 8]], "holes": [SQUARE]}
    assert Mask.from_polygons([ring], (10, 8)).area == 80 - 12
    assert Mask.from_polygons([ring, SQUARE], (10, 8)).area == 80, "a hole of one is no hole of another"
    assert (
        Mask.from_polygons([], (10, 8))
        == Mask.empty((10, 8))
        == Mask.from_polygons([[20, 20, 30, 20, 25, 30]], (10, 8))
    )


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ("abc", "a list of outlines, also of a single one, got 'abc'"),
        (SQUARE[0], "at least three points"),
        ([[1, 2, 3, 4]], "at least three points x, y"),
        ([[1, 2, 3, 4, 5]], "at least three points"),
        ([[[1, 2, 3]] * 4], "at least three points"),
        ([[1, 2, 3, 4, 5, float("nan")]], "finite"),
        ([[1, 2, 3, 4, 5, 1e30]], "must be in image pixels"),
        ([{"holes": []}], '"exterior"'),
        ([{"exterior": SQUARE, "holes": 3}], '"holes"'),
        ([None], "numbers"),
    ],
)
def test_what_is_no_outline_is_refused(polygons, message):
    with pytest.raises(OptionError, match=message):
        Mask.from_polygons(polygons, (10, 8))


def test_many_polygons_take_no_longer_than_one_with_as_many_sides():
    """20,000 specks in a photo of 12 megapixels: each was filled in the rectangle around all, which took minutes."""
    x, y = np.meshgrid(np.arange(200) * 20, np.arange(100) * 30)
    specks = np.stack([x, y, x + 2, y, x + 2, y + 3, x, y + 3], axis=-1).reshape(-1, 8)
    mask = Mask.from_polygons(specks.tolist(), (4000, 3000))
    assert mask.area == 20_000 * 6
    assert Mask.from_polygons(mask.polygons(), (4000, 3000)) == mask


def test_outlines_of_any_mask_are_few_enough():
    """1,000 stripes, each with two sides of 1,200 rows."""
    dense = np.zeros((1200, 2000), bool)
    dense[:, ::2] = True
    mask = Mask.from_dense(dense)
    assert Mask.from_polygons(mask.polygons(), mask.image_size) == mask


def test_shares_of_the_photo_are_warned_of(caplog):
    """YOLO's outlines are shares, which would be a mask of one pixel, or of none."""
    Mask.from_polygons([[0.1, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9]], (600, 400))
    assert "polygons are pixels of the photo, and the given ones all lie in its first: multiply shares" in caplog.text
    caplog.clear()
    Mask.from_polygons([[0, 0, 1, 0, 1, 1, 0, 1]], (600, 400))
    assert not caplog.text, "a mask of the first pixel"
    found = Segmentation.from_masks([Mask.from_polygons([SQUARE], (10, 8))])
    found.prompt(Prompts(masks={"size": [8, 10], "polygons": [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9]]}))
    assert len(caplog.records) == 1, "said once, for outlines are filled once"


def test_a_few_numbers_ask_for_no_gigabytes_and_no_minutes():
    corners = [[0, 0], [2**24, 0], [2**24, 2**24], [0, 2**24]]
    with pytest.raises(OptionError, match=r"span at most \d+ pixels, got 16777216 x 16777216"):
        Mask.from_polygons([corners], (2**24, 2**24))
    zigzag = [[index % 2, 10_000 * (index % 2)] for index in range(20_000)]
    with pytest.raises(OptionError, match="cross at most 1000000 rows of pixels together, got 2000"):
        Mask.from_polygons([zigzag], (10, 10_000))


def test_outlines_are_mask_prompts_also_in_json():
    mask = {"size": [8, 10], "polygons": [SQUARE]}
    assert (
        listed_masks(mask) == listed_masks([mask]) == limited_masks(mask, 80) == [Mask.from_polygons([SQUARE], (10, 8))]
    )
    assert Prompts.from_json(json.dumps({"masks": [mask]})).asked == 1
    for wrong, message in (
        ({**mask, "size": [8]}, "size"),
        ({"polygons": [SQUARE]}, "size"),
        ({**mask, "polygons": [[1, 2]]}, "three points"),
        ({**mask, "counts": [80]}, "got both"),
        ({**mask, "polygons": [[20, 20, 30, 20, 25, 30]]}, "has no pixels"),
    ):
        with pytest.raises(PromptError, match=message):
            listed_masks(wrong)
    with pytest.raises(PromptError, match="at most 79 pixels"):
        limited_masks(mask, 79)


def test_the_sides_of_a_photo_in_the_wrong_order_are_warned_of(caplog):
    """NumPy's shape is (height, width); half of such a mask may be cut off."""
    outline = [[100, 50], [600, 50], [600, 300], [100, 300]]
    assert Mask.from_polygons([outline], (640, 480)).area == 500 * 250
    for size in ((480, 560), (601, 301), (598, 299)):  # fits in no order, fits, and is beyond by what others' do
        Mask.from_polygons([outline], size)
    assert not caplog.records
    assert Mask.from_polygons([outline], (480, 640)).area == 380 * 250
    (record,) = caplog.records
    assert "polygons reach to 600, 300 and are cut at the photo's 480x640" in record.getMessage()


def test_a_contour_of_opencv_which_would_lose_a_rim_is_told_the_way():
    dense = np.zeros((9, 9), np.uint8)
    dense[2:6, 3:8] = 1
    contours, _ = cv2.findContours(dense, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    with pytest.raises(
        OptionError, match=r"contour of OpenCV, \(k, 1, 2\), which runs through pixels, not around them"
    ):
        Mask.from_polygons(contours, (9, 9))
    picture = cv2.drawContours(np.zeros((9, 9), np.uint8), contours, -1, 1, cv2.FILLED)
    assert Mask.from_dense(picture) == Mask.from_dense(dense)


@pytest.mark.parametrize("one", [[1, 1, 5, 1, 5, 5], [[1, 1], [5, 1], [5, 5]]])
def test_a_single_outline_goes_into_a_list(one):
    with pytest.raises(OptionError, match="polygons is a list of them, also of a single one"):
        Mask.from_polygons(one, (9, 9))
    assert Mask.from_polygons([one], (9, 9)).area > 0
