"""The smallest rectangle around a mask, at any angle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray

SAME_AREA = 1e-6
"""Share by which areas of rectangles may differ and be the same: rounding differs between angles."""


def smallest_rectangle(crop: BoolArray) -> FloatArray:
    """The rectangle with the least area that holds all set pixels of a crop (h, w), of which there must be one.

    One of its sides lies along a side of the convex hull (Freeman and Shapira 1975). Of equal ones the least tilted.

    Returns:
        (4, 2) float32 x, y of its corners in the crop, clockwise on the screen from the uppermost, of two of them the
        left one.
    """
    hull = _hull(crop)
    sides = np.roll(hull, -1, axis=0) - hull
    tilts = np.unique(np.arctan2(sides[:, 1], sides[:, 0]) % (np.pi / 2))
    along = np.stack([np.cos(tilts), np.sin(tilts)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    u, v = hull @ along.T, hull @ across.T
    low, high = np.stack([u.min(0), v.min(0)]), np.stack([u.max(0), v.max(0)])
    areas = (high - low).prod(axis=0)
    best = int(np.flatnonzero(areas <= areas.min() * (1 + SAME_AREA))[0])
    (u1, v1), (u2, v2) = low[:, best], high[:, best]
    corners = np.array([[u1, v1], [u2, v1], [u2, v2], [u1, v2]]) @ np.stack([along[best], across[best]])
    first = np.lexsort((corners[:, 0], corners[:, 1].round(6)))[0]
    return np.asarray(np.roll(corners, -first, axis=0), np.float32)


def _hull(crop: BoolArray) -> npt.NDArray[np.float64]:
    """(k, 2) float64: the corners of the convex hull of all set pixels, each a square of its own."""
    import cv2

    rows = np.flatnonzero(crop.any(axis=1))
    left = crop[rows].argmax(axis=1)
    right = crop.shape[1] - crop[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)]
    return np.asarray(cv2.convexHull(np.concatenate(corners).astype(np.int32))[:, 0], np.float64)
