"""The shapes of masks in their boxes, on a grid of few points: enough to tell objects apart, and quick to compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, middles, product
from fastsam_onnx.masks.mask import MaskLike

GRID = 16
"""Number of points along each side of a box."""


def shapes_of(masks: Sequence[MaskLike]) -> BoolArray:
    """(n, GRID * GRID) bool: each mask at the points of a grid over the rectangle that holds it."""
    shapes = np.zeros((len(masks), GRID, GRID), bool)
    bounds = np.array([mask.bounds for mask in masks], np.int64).reshape(-1, 4)
    columns, rows = (bounds[:, [side]] + middles(GRID, bounds[:, [side + 2]] - bounds[:, [side]]) for side in (0, 1))
    for index in np.flatnonzero((bounds[:, :2] < bounds[:, 2:]).all(axis=1)).tolist():
        shapes[index] = masks[index].sample(columns[index], rows[index])
    return shapes.reshape(len(masks), GRID * GRID)


def shape_iou(first: BoolArray, second: BoolArray) -> FloatArray:
    """(n, m) float32 IoU of shapes that are laid over one another, whatever the place and size of their boxes."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    both = product(a, b.T)
    either = a.sum(axis=1)[:, None] + b.sum(axis=1) - both
    return np.asarray(both / np.maximum(either, 1), np.float32)
