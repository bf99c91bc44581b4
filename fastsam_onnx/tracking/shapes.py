"""The shapes of masks in their boxes, on a grid of few points: enough to tell objects apart, and quick to compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.masks.instances import MaskLike

GRID = 16
"""Number of points along each side of a box."""


def shapes_of(masks: Sequence[MaskLike]) -> BoolArray:
    """(n, GRID * GRID) bool: each mask at the points of a grid over the rectangle that holds it."""
    shapes = np.zeros((len(masks), GRID, GRID), bool)
    for shape, mask in zip(shapes, masks, strict=True):
        x1, y1, x2, y2 = mask.bounds
        if x1 < x2 and y1 < y2:
            shape[:] = mask.sample(_points(x1, x2), _points(y1, y2))
    return shapes.reshape(len(masks), GRID * GRID)


def shape_iou(first: BoolArray, second: BoolArray) -> FloatArray:
    """(n, m) float32 IoU of shapes that are laid over one another, whatever the place and size of their boxes."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    both = a @ b.T
    either = a.sum(axis=1)[:, None] + b.sum(axis=1) - both
    return np.asarray(both / np.maximum(either, 1), np.float32)


def _points(first: int, end: int) -> IntArray:
    """The pixels in the middle of GRID equal parts of [first, end)."""
    return first + ((2 * np.arange(GRID, dtype=np.int64) + 1) * (end - first)) // (2 * GRID)
