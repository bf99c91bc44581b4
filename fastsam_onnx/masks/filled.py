"""From outlines to pixels: the way back of `outline.py`, for outlines of any origin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, IntArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.log import warn
from fastsam_onnx.masks.polygon import Polygon
from fastsam_onnx.options import numbers, shown, warn_of_shares

Points = npt.NDArray[np.float64]
"""(k, 2) x, y in image pixels."""

MOST_COORDINATE = 2.0**31
"""Outside of every photo, and exact to a fraction of a pixel."""
ANY_CROSSINGS = 10**6
"""Number of rows that all sides of a mask's outlines may cross together, however few pixels they span; a careful lasso
crosses some thousands. Else they may cross as many as the edges of so many pixels can."""
NEAR = 2.0
"""Pixels by which the outlines of other programs may reach beyond the photo, as drawn."""
AT_ONCE = 1 << 20
"""Number of crossings and pixels that are computed together, but for those of one row."""


def rings_of(polygon: Any) -> list[Points]:
    """The outline of a polygon and those of its holes.

    Args:
        polygon: A `Polygon`, or what JSON has of one, {"exterior", "holes"}; an outline as (k, 2) numbers, or flat, as
            COCO has it: x, y, x, y ...

    Raises:
        OptionError: If it is something else, an outline has less than three points, or one is not finite or too far.
    """
    if isinstance(polygon, Polygon):
        return [_ring(one) for one in (polygon.exterior, *polygon.holes)]
    if isinstance(polygon, Mapping):
        exterior, holes = polygon.get("exterior"), polygon.get("holes", ())
        if exterior is None or not isinstance(holes, list | tuple):
            raise OptionError(f'a polygon must have "exterior" and a list of "holes", got {shown(polygon)}')
        return [_ring(one) for one in (exterior, *holes)]
    return [_ring(polygon)]


def _ring(given: Any) -> Points:
    points = numbers("a polygon", given)
    if points.ndim == 3 and points.shape[1:] == (1, 2):  # through the middles of pixels: filled here, a rim is lost
        raise OptionError(
            "a polygon must be (k, 2) or flat, got a contour of OpenCV, (k, 1, 2), which runs through pixels, not "
            "around them; fill it: cv2.drawContours(picture, contours, -1, 1, cv2.FILLED), and Mask.from_dense(picture)"
        )
    if points.ndim == 1 and len(points) % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise OptionError(
            f"a polygon must be at least three points x, y, (k, 2) or flat, got {shown(given)}; "
            "polygons is a list of them, also of a single one"
        )
    if np.abs(points).max() > MOST_COORDINATE:
        raise OptionError(f"a polygon must be in image pixels, got {shown(given)}")
    return points


def filled(
    polygons: Sequence[Sequence[Points]], image_size: tuple[int, int], pixel_limit: int | None
) -> tuple[BoolArray, int, int]:
    """The pixels whose middles lie in one of the polygons, as a crop, and the column and row where that begins.

    A warning is logged where the points look like shares of the photo, or its sides to be in the wrong order.

    Args:
        polygons: Rings of each, of which every other one from the outside is a hole (even-odd rule).
        image_size: (width, height) of the photo; what is outside is left out.
        pixel_limit: Maximum of the pixels in the rectangle around all; None for no limit.

    Raises:
        OptionError: If the rectangle has more, or the outlines cross rows more often than those of so many pixels can.
    """
    rings = [ring for polygon in polygons for ring in polygon]
    if not rings:
        return np.zeros((0, 0), bool), 0, 0
    points = np.concatenate(rings)
    warn_of_shares("polygons", points)
    _warn_of_turned(points, image_size)
    left, top = (max(math.floor(side), 0) for side in points.min(axis=0))
    right, bottom = (min(math.ceil(side), end) for side, end in zip(points.max(axis=0), image_size, strict=True))
    width, height = max(right - left, 0), max(bottom - top, 0)
    if pixel_limit is not None and width * height > pixel_limit:
        raise OptionError(f"polygons must span at most {pixel_limit} pixels, got {width} x {height}")
    if not width or not height:
        return np.zeros((0, 0), bool), 0, 0
    sides = _sides_of(polygons, points, (left, top), height)
    _check_effort(sides, max(ANY_CROSSINGS, (width + 1) * height))
    bands = [_inside(sides, rows, width) for rows in _bands(sides, (width, height))]
    return np.concatenate(bands), left, top


def _warn_of_turned(points: Points, image_size: tuple[int, int]) -> None:
    """Log that outlines reach beyond a photo in which they would lie if its sides were in the other order."""
    width, height = image_size
    right, bottom = points.max(axis=0)
    beyond = right > width + NEAR or bottom > height + NEAR
    if beyond and points.min() > -NEAR and right < height + NEAR and bottom < width + NEAR:
        warn(
            "polygons reach to %g, %g and are cut at the photo's %dx%d; image_size must be (width, height), the other "
            "order than that of NumPy's shape",
            *(right, bottom, width, height),
        )


@dataclass(frozen=True)
class _Sides:
    """The sides of all outlines.

    Attributes:
        begin: (n, 2) x, y in the photo: in the crop a side that two masks share could round otherwise in each.
        end: (n, 2).
        corner: x, y of the crop in the photo.
        polygon: (n,) index of the polygon of each.
        first: (n,) the first row of the crop whose middle each crosses.
        stop: (n,) the row behind the last one.
    """

    begin: Points
    end: Points
    corner: tuple[int, int]
    polygon: IntArray
    first: IntArray
    stop: IntArray


def _sides_of(polygons: Sequence[Sequence[Points]], begin: Points, corner: tuple[int, int], height: int) -> _Sides:
    """The sides of rings whose points, one ring after another, are `begin`, for a crop of this height at a corner."""
    lengths = np.array([len(ring) for polygon in polygons for ring in polygon])
    stops = np.cumsum(lengths)
    follower = np.arange(1, stops[-1] + 1)
    follower[stops - 1] = stops - lengths  # the last point of a ring is followed by its first
    end = begin[follower]
    points = [sum(len(ring) for ring in polygon) for polygon in polygons]
    y = np.stack([begin[:, 1], end[:, 1]])
    first, stop = (np.ceil(np.stack([y.min(0), y.max(0)]) - 0.5) - corner[1]).clip(0, height).astype(np.int64)
    return _Sides(begin, end, corner, np.repeat(np.arange(len(polygons)), points), first, stop)


def _check_effort(sides: _Sides, most: int) -> None:
    crossings = int((sides.stop - sides.first).sum())
    if crossings > most:
        raise OptionError(
            f"the sides of polygons must cross at most {most} rows of pixels together, got {crossings}; give fewer "
            "points"
        )


def _bands(sides: _Sides, size: tuple[int, int]) -> Iterator[range]:
    """The rows of a crop of (width, height), as many together as are computed at once."""
    width, height = size
    begun, ended = (np.bincount(rows, minlength=height + 1)[:height] for rows in (sides.first, sides.stop))
    effort = np.cumsum(np.cumsum(begun - ended) + width)
    edges = [0, *(np.flatnonzero(np.diff(effort // AT_ONCE)) + 1).tolist(), height]
    return (range(start, stop) for start, stop in pairwise(edges))


def _inside(sides: _Sides, rows: range, width: int) -> BoolArray:
    """(len(rows), width): the pixels from whose middles a line to the left crosses an odd number of a polygon's sides.

    Crossings of a row, sorted, are the ends of spans inside; spans of all polygons are counted together, so that many
    polygons take no longer than one with as many sides.
    """
    size = len(rows) * width
    first = sides.first.clip(min=rows.start)
    counts = (sides.stop.clip(max=rows.stop) - first).clip(min=0)
    side = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(side)) + (first - np.cumsum(counts) + counts)[side]
    goes_down = (sides.begin[:, 1] <= sides.end[:, 1])[:, None]  # else a side would round otherwise the other way round
    upper, lower = (
        np.where(goes_down, one, other) for one, other in ((sides.begin, sides.end), (sides.end, sides.begin))
    )
    (x1, y1), (x2, y2) = upper[side].T, lower[side].T
    left, top = sides.corner
    x = x1 + (row + top + 0.5 - y1) / (y2 - y1) * (x2 - x1)
    place = (row - rows.start) * width + (np.ceil(x - 0.5) - left).clip(0, width).astype(np.int64)
    ends = np.sort(sides.polygon[side] * (size + 1) + place) % (size + 1)
    begun, ended = (np.bincount(places, minlength=size + 1)[:size] for places in (ends[::2], ends[1::2]))
    return (np.cumsum(begun - ended) > 0).reshape(len(rows), width)
