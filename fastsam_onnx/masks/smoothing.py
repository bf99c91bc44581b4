"""Masks without specks and small holes and with calmer outlines, as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.options import integer

MAX_RADIUS = 1000
"""Of the disc that outlines are calmed with, and by which masks grow, in pixels."""
LARGE_RADIUS = 32
"""Radius in pixels from which on OpenCV, whose time grows with the disc's area, is slower than `_dilated`."""


def check_smoothing(min_area: int, radius: int) -> tuple[int, int]:
    """The two options of `Mask.smooth`; OptionError as there."""
    return integer("min_area", min_area, 0), integer("radius", radius, 0, MAX_RADIUS)


def without_specks(frame: BoolArray, min_area: int) -> BoolArray:
    """The frame (h, w) without connected regions of fewer than min_area pixels."""
    import cv2

    if min_area <= 1 or not frame.size:
        return frame
    _, labels, stats, _ = cv2.connectedComponentsWithStats(frame.view(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area
    keep[0] = False
    return np.asarray(keep[labels], bool)


def without_holes(frame: BoolArray, min_area: int) -> BoolArray:
    """The frame (h, w) with enclosed background regions of fewer than min_area pixels filled.

    A region that touches the frame's edge is not a hole: it goes on beyond the frame or, unseen, beyond the photo.
    """
    import cv2

    if min_area <= 1 or not frame.size:
        return frame
    height, width = frame.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~frame).view(np.uint8), connectivity=8)
    left, top, right, bottom = stats[:, 0], stats[:, 1], stats[:, 0] + stats[:, 2], stats[:, 1] + stats[:, 3]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    fill = enclosed & (stats[:, cv2.CC_STAT_AREA] < min_area)
    fill[0] = False
    return np.asarray(frame | fill[labels], bool)


def closed_and_opened(frame: BoolArray, radius: int) -> BoolArray:
    """The frame closed and opened with a disc.

    Closing sees background beyond the frame, so that it never leaves the object's own box; opening sees neither, so
    that an object at the photo's border keeps its corners there.

    Args:
        frame: (h, w), at least one pixel.
        radius: The disc's radius in pixels, at least 1.
    """
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(frame, radius)
    inner = slice(radius, -radius)
    if radius < LARGE_RADIUS:
        closed = cv2.morphologyEx(padded.view(np.uint8), cv2.MORPH_CLOSE, disc)[inner, inner]
        return cv2.morphologyEx(np.ascontiguousarray(closed), cv2.MORPH_OPEN, disc).astype(bool)
    reach = (np.count_nonzero(disc, axis=1) // 2).astype(np.uint16)
    ground = ~_dilated(padded, reach)  # eroding an object is dilating the ground
    ground = _dilated(ground, reach)[inner, inner]
    return _dilated(~_dilated(ground, reach), reach)


def _dilated(frame: BoolArray, reach: npt.NDArray[np.uint16]) -> BoolArray:
    """The frame dilated with a disc; beyond it is nothing.

    Args:
        frame: (h, w).
        reach: (2 * radius + 1,) for each row of the disc the number of its pixels on either side of the middle.
    """
    height, width = frame.shape
    radius = reach.size // 2
    columns = np.arange(width)
    dilated = np.zeros_like(frame)
    for row in np.flatnonzero(frame.any(axis=1)).tolist():
        own = np.flatnonzero(frame[row])
        place = np.searchsorted(own, columns)
        before, after = own[np.maximum(place - 1, 0)], own[np.minimum(place, own.size - 1)]
        far = np.minimum(np.abs(columns - before), np.abs(after - columns))  # from the nearest pixel of this row
        far = np.minimum(far, np.iinfo(np.uint16).max).astype(np.uint16)
        top, bottom = max(row - radius, 0), min(row + radius + 1, height)
        dilated[top:bottom] |= far <= reach[top - row + radius : bottom - row + radius, None]
    return dilated
