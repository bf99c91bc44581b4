"""The shapes of masks in their boxes, on a grid of few points: enough to tell objects apart, and quick to compare."""

from __future__ import annotations

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray, middles, product
from fastsam_onnx.masks.sequence import Masks

GRID = 16
"""Number of points along each side of a box."""


def grids_of(masks: Masks) -> tuple[IntArray, IntArray]:
    """(n, GRID) columns and (n, GRID) rows of the photo: a grid over the rectangle that holds each mask."""
    low, high = masks.bounds[:, :2], masks.bounds[:, 2:]
    columns, rows = (low[:, [side]] + middles(GRID, (high - low)[:, [side]]) for side in (0, 1))
    return columns, rows


def shapes_of(masks: Masks) -> BoolArray:
    """(n, GRID * GRID) bool: each mask at the points of its grid."""
    shapes = np.zeros((len(masks), GRID, GRID), bool)
    columns, rows = grids_of(masks)
    has_pixels = (masks.bounds[:, :2] < masks.bounds[:, 2:]).all(axis=1)
    for index in np.flatnonzero(has_pixels).tolist():
        shapes[index] = masks.lazy[index].sample(columns[index], rows[index])
    return shapes.reshape(len(masks), GRID * GRID)


def areas_of(masks: Masks, shapes: BoolArray) -> FloatArray:
    """(n,) float32 pixels of each mask, as far as its shape tells: none is rendered."""
    sides = masks.bounds[:, 2:] - masks.bounds[:, :2]
    return np.asarray(shapes.mean(axis=1) * sides.prod(axis=1), np.float32)


def shape_iou(first: BoolArray, second: BoolArray) -> FloatArray:
    """(n, m) float32 IoU of shapes that are laid over one another, whatever the place and size of their boxes."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    both = product(a, b.T)
    either = a.sum(axis=1)[:, None] + b.sum(axis=1) - both
    return np.asarray(both / np.maximum(either, 1), np.float32)
