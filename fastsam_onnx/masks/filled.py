"""From outlines to pixels: the way back of `outline.py`, for outlines of any origin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.polygon import Polygon
from fastsam_onnx.options import numbers, shown

Points = npt.NDArray[np.float64]
"""(k, 2) x, y in image pixels."""

MOST_COORDINATE = 2.0**31
"""Outside of every photo, and exact to a fraction of a pixel."""
MOST_CROSSINGS = 10**8
"""Maximum number of rows that all sides of a mask's outlines cross together; a careful lasso has some thousands."""
AT_ONCE = 1 << 20
"""Number of crossings that are computed together."""


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
    if points.ndim == 1 and len(points) % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise OptionError(f"a polygon must be at least three points x, y, (k, 2) or flat, got {shown(given)}")
    if np.abs(points).max() > MOST_COORDINATE:
        raise OptionError(f"a polygon must be in image pixels, got {shown(given)}")
    return points


def filled(
    polygons: Sequence[Sequence[Points]], image_size: tuple[int, int], pixel_limit: int | None
) -> tuple[BoolArray, int, int]:
    """The pixels whose middles lie in one of the polygons, as a crop, and the column and row where that begins.

    Args:
        polygons: Rings of each, of which every other one from the outside is a hole (even-odd rule).
        image_size: (width, height) of the photo; what is outside is left out.
        pixel_limit: Maximum of the pixels in the rectangle around all; None for no limit.

    Raises:
        OptionError: If the rectangle has more, or outlines are so wild that filling them would take minutes.
    """
    rings = [ring for polygon in polygons for ring in polygon]
    if not rings:
        return np.zeros((0, 0), bool), 0, 0
    points = np.concatenate(rings)
    left, top = (max(math.floor(side), 0) for side in points.min(axis=0))
    right, bottom = (min(math.ceil(side), end) for side, end in zip(points.max(axis=0), image_size, strict=True))
    width, height = max(right - left, 0), max(bottom - top, 0)
    if pixel_limit is not None and width * height > pixel_limit:
        raise OptionError(f"polygons must span at most {pixel_limit} pixels, got {width} x {height}")
    if not width or not height:
        return np.zeros((0, 0), bool), 0, 0
    inner = [[ring - (left, top) for ring in polygon] for polygon in polygons]
    _check_effort(inner, height)
    crop = np.zeros((height, width), bool)
    for polygon in inner:
        crop |= _inside(polygon, (width, height))
    return crop, left, top


def _inside(rings: Iterable[Points], size: tuple[int, int]) -> BoolArray:
    """(height, width): the pixels from whose middles a line to the left crosses an odd number of sides."""
    width, height = size
    crossed = np.zeros((height, width + 1), np.uint8)  # wraps round at 256, which leaves odd and even as they are
    for ring in rings:
        for rows, x in _crossings(ring, height):
            columns = np.ceil(x - 0.5).clip(0, width).astype(np.intp)
            np.add.at(crossed, (rows, columns), np.uint8(1))
    odd = np.cumsum(crossed[:, :width], axis=1, dtype=np.uint8) & 1
    return odd.view(bool)


def _crossings(ring: Points, height: int) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]]:
    """Rows whose middle a side crosses, and the x where it does."""
    begin, end = ring, np.roll(ring, -1, axis=0)
    first, counts = _rows(ring, height)
    total = np.cumsum(counts)
    for start in range(0, int(total[-1]), AT_ONCE):
        number = np.arange(start, min(start + AT_ONCE, int(total[-1])))
        side = np.searchsorted(total, number, side="right")
        rows = first[side] + number - (total[side] - counts[side])
        (x1, y1), (x2, y2) = begin[side].T, end[side].T
        yield rows, x1 + (rows + 0.5 - y1) / (y2 - y1) * (x2 - x1)


def _rows(ring: Points, height: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The first row whose middle each side crosses, and the number of them."""
    ends = np.stack([ring[:, 1], np.roll(ring[:, 1], -1)])
    first, end = np.ceil(np.stack([ends.min(0), ends.max(0)]) - 0.5).clip(0, height).astype(np.intp)
    return first, end - first


def _check_effort(polygons: Iterable[Sequence[Points]], height: int) -> None:
    crossings = sum(int(_rows(ring, height)[1].sum()) for polygon in polygons for ring in polygon)
    if crossings > MOST_CROSSINGS:
        raise OptionError(
            f"the sides of polygons must cross at most {MOST_CROSSINGS} rows of pixels together, got {crossings}; "
            "give fewer points"
        )
