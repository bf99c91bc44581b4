"""The shapes of masks: the same wherever and however large the object is, whatever holds the mask."""

import numpy as np
import pytest

from fastsam_onnx import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.tracking import shapes
from fastsam_onnx.tracking.shapes import GRID, areas_of, shape_iou


def disc(x, y, radius, size=(640, 480)):
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    return Mask.from_dense((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def box(x1, y1, x2, y2, size=(640, 480)):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def shapes_of(masks):
    return shapes.shapes_of(Masks(masks, masks[0].image_size if masks else (640, 480)))


def test_a_rectangle_fills_its_box_and_a_disc_a_quarter_of_pi():
    shapes = shapes_of([box(3, 5, 100, 9), box(0, 0, 1, 1), disc(300, 200, 90)])
    assert shapes.shape == (3, GRID * GRID)
    assert shapes[:2].all()
    assert shapes[2].mean() == pytest.approx(np.pi / 4, abs=0.03)


def test_place_and_size_do_not_matter_and_the_outline_does():
    iou = shape_iou(
        shapes_of([disc(300, 200, 90), box(0, 0, 50, 50)]), shapes_of([disc(60, 70, 33), box(9, 9, 300, 20)])
    )
    assert iou.dtype == np.float32
    assert iou[0, 0] > 0.95
    assert iou[1, 1] == 1
    assert [iou[0, 1], iou[1, 0]] == pytest.approx([np.pi / 4] * 2, abs=0.03)  # the disc is all of what both hold


def test_the_halves_of_a_square_along_its_diagonal_share_the_diagonal():
    halves = np.zeros((2, 64, 64), bool)
    halves[0], halves[1] = np.triu(np.ones((64, 64))), np.tril(np.ones((64, 64)))
    [[iou]] = shape_iou(*(shapes_of([Mask.from_dense(half)]) for half in halves))
    # Each holds GRID (GRID + 1) / 2 points, together they hold all, and share GRID.
    assert iou == pytest.approx(GRID / (GRID * GRID))


def test_masks_that_are_not_rendered_have_the_shapes_of_their_pixels(pending_found):
    found = pending_found(seed=3, count=12)
    lazy = shapes.shapes_of(found.masks)
    for shape, pending, mask in zip(lazy, found.masks.lazy, found.masks, strict=True):
        x1, y1, x2, y2 = pending.bounds
        points = (np.arange(GRID) + 0.5) / GRID
        rows, columns = y1 + np.floor(points * (y2 - y1)).astype(int), x1 + np.floor(points * (x2 - x1)).astype(int)
        assert np.array_equal(shape.reshape(GRID, GRID), mask.dense()[np.ix_(rows, columns)])


def test_areas_are_those_of_the_pixels_as_far_as_the_grid_tells():
    masks = Masks([box(3, 5, 100, 9), disc(300, 200, 90), Mask.empty((640, 480))], (640, 480))
    areas = areas_of(masks, shapes.shapes_of(masks))
    assert areas.tolist() == pytest.approx([97 * 4, np.pi * 90**2, 0], rel=0.05)


def test_an_empty_mask_is_like_nothing():
    shapes = shapes_of([Mask.empty((640, 480)), box(0, 0, 4, 4)])
    assert shape_iou(shapes, shapes)[0].tolist() == [0, 0]
    assert shapes_of([]).shape == (0, GRID * GRID)
