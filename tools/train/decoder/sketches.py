"""Rough masks of objects, as people paint them and as other programs find them: what a mask prompt shows the corrector.

Segment Anything learns from low resolution masks of its own (Kirillov 2023, appendix A); here they are also drawn by
hand: too large, too small, around it, inside it, beside it.
"""

from __future__ import annotations

import cv2
import numpy as np

from fastsam_onnx import Mask
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.masks.mask import depth_map

ROOM = 0.4  # around the mask, in sides: the root of its area
MOST_LARGER = 0.2  # in sides
MOST_SMALLER = 0.15
BLOCKS = (0.05, 0.25)  # side of a cell of a low resolution, in sides
MIDDLES = (0.2, 0.7)  # least depth of what is painted inside, as a share of the greatest
STROKES = (0.05, 0.2)  # width of a brush, in sides
MOVED = 0.5  # of the sketches lie beside the mask
MOST_MOVED = 0.06  # standard deviation, in sides


def sketched(mask: Mask, rng: np.random.Generator) -> Mask | None:
    """A rough mask of an object; None if nothing is left of it."""
    side = mask.area**0.5
    cells, left, top = framed(mask, round(ROOM * side))
    kinds = (hull, larger, smaller, blocky, middle, stroke, box)
    shape = kinds[int(rng.integers(len(kinds)))](cells, side, rng)
    if rng.random() < MOVED:
        shift = rng.normal(0, MOST_MOVED * side, 2)
        matrix = np.concatenate([np.eye(2), shift[:, None]], axis=1)
        shape = np.asarray(cv2.warpAffine(shape, matrix, shape.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)
    sketch = Mask(shape.astype(bool), left, top, mask.image_size)
    return sketch.tight() if sketch.area else None


def framed(mask: Mask, room: int) -> tuple[ByteArray, int, int]:
    """The mask's surroundings, 1 where it is, and their left and upper end; inside the photo."""
    x1, y1, x2, y2 = mask.bounds
    width, height = mask.image_size
    columns = np.arange(max(x1 - room, 0), min(x2 + room, width))
    rows = np.arange(max(y1 - room, 0), min(y2 + room, height))
    cells = np.ascontiguousarray(mask.sample(columns, rows)).view(np.uint8)
    return cells, int(columns[0]), int(rows[0])


def hull(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    """A lasso around it, more or less close."""
    corners = cv2.convexHull(cv2.findNonZero(cells))
    lasso = np.asarray(cv2.fillConvexPoly(np.zeros_like(cells), corners, 1), np.uint8)
    return larger(lasso, side / 2, rng) if rng.random() < 0.5 else lasso


def larger(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    return np.asarray(cv2.dilate(cells, disc(rng.uniform(0, MOST_LARGER) * side)), np.uint8)


def smaller(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    less = np.asarray(cv2.erode(cells, disc(rng.uniform(0, MOST_SMALLER) * side)), np.uint8)
    return less if less.any() else cells


def blocky(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    """What is left of it at a low resolution."""
    size = max(rng.uniform(*BLOCKS) * side, 1)
    few = [max(round(count / size), 1) for count in cells.shape[::-1]]
    share = cv2.resize(cells.astype(np.float32), few, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR
    return (cv2.resize(share, cells.shape[::-1], interpolation=how) > 0.5).astype(np.uint8)


def middle(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    """A scribble inside it."""
    depth = depth_map(cells.astype(bool))
    return (depth > rng.uniform(*MIDDLES) * depth.max()).astype(np.uint8)


def stroke(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    """A brush over two to four places of it."""
    rows, columns = np.nonzero(cells)
    places = rng.integers(len(rows), size=int(rng.integers(2, 5)))
    line = np.stack([columns[places], rows[places]], axis=1).astype(np.int32)
    width = max(round(rng.uniform(*STROKES) * side), 1)
    return np.asarray(cv2.polylines(np.zeros_like(cells), [line[:, None]], False, 1, width), np.uint8)


def box(cells: ByteArray, side: float, rng: np.random.Generator) -> ByteArray:
    """Its bounding box, filled."""
    x, y, width, height = cv2.boundingRect(cells)
    filled = np.zeros_like(cells)
    filled[y : y + height, x : x + width] = 1
    return filled


def disc(radius: float) -> ByteArray:
    width = 2 * max(round(radius), 0) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), np.uint8)
