"""Prompts for a ground truth, as people would give them: points, boxes, rough masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask

FloatArray = npt.NDArray[np.floating[Any]]

MOVED_SHARE = 0.05


def interior_point(mask: Mask) -> tuple[float, float]:
    """The middle of the pixel that lies deepest in the mask, the photo's frame counting as an edge."""
    return deepest(mask)[1]


def deepest(mask: Mask) -> tuple[int, tuple[float, float]]:
    """The squared depth of the pixel that lies deepest in the mask, the photo's frame counting as an edge; its middle.

    Of equals the first: squares of distances are integers, so what OpenCV's roots differ by from one run to the next
    chooses no pixel.
    """
    framed = np.pad(mask.crop, 1).view(np.uint8)
    squares = np.rint(cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) ** 2)
    row, column = np.unravel_index(int(squares.argmax()), squares.shape)
    return int(squares.max()), (mask.left + int(column) - 0.5, mask.top + int(row) - 0.5)


def lasso(mask: Mask) -> Mask:
    """The convex hull."""
    cells = mask.dense().astype(np.uint8)
    corners = cv2.convexHull(cv2.findNonZero(cells))
    return Mask.from_dense(cv2.fillConvexPoly(np.zeros_like(cells), corners, 1))


def shifted(mask: Mask) -> Mask:
    """The mask dilated by a tenth of its size, the root of its area, and shifted down and to the right by as much."""
    radius = max(round(mask.area**0.5 / 10), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    larger = Mask.from_dense(cv2.dilate(mask.dense().astype(np.uint8), disc))
    moved = larger.moved(radius, radius)
    return moved if moved.area else larger


def scribble(mask: Mask) -> Mask:
    """What lies more than half as deep in the mask as its deepest pixel."""
    depth = cv2.distanceTransform(np.pad(mask.dense().astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return Mask.from_dense(depth[1:-1, 1:-1] > depth.max() / 2)


def stroke(mask: Mask) -> Mask:
    """A line over the middle half of the row of pixels through the deepest place, as thick as 0.04 of the size."""
    x, y = (int(place) for place in interior_point(mask))
    beside = np.flatnonzero(~np.pad(mask.dense()[y], 1)) - 1
    left, right = int(beside[beside < x].max()) + 1, int(beside[beside > x].min()) - 1
    quarter = (right + 1 - left) // 4
    cells = np.zeros(mask.image_size[::-1], np.uint8)
    return Mask.from_dense(
        cv2.line(cells, (left + quarter, y), (right - quarter, y), 1, max(round(0.04 * mask.area**0.5), 1))
    )


SKETCHES = {"lasso": lasso, "moved": shifted, "scribble": scribble, "stroke": stroke}


def any_point(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """The middle of one of the mask's pixels, drawn at random."""
    rows, columns = np.nonzero(mask.crop)
    drawn = int(rng.integers(rows.size))
    return mask.left + int(columns[drawn]) + 0.5, mask.top + int(rows[drawn]) + 0.5


def moved(boxes: FloatArray, rng: np.random.Generator, share: float = MOVED_SHARE) -> FloatArray:
    """(m, 4) boxes x1, y1, x2, y2 whose edges are moved at random, by this share of their side."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    corners = (boxes + rng.normal(0, share, boxes.shape) * sides).reshape(-1, 2, 2)
    return np.sort(corners, axis=1).reshape(-1, 4)
