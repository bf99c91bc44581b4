"""How the pixels of an object moved from one frame to another: optical flow (Lucas and Kanade 1981) of its corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray
from fastsam_onnx.masks.mask import Mask

LONGEST_SIDE = 640
"""Longer side in pixels to which frames are reduced: what moves, moves there, too."""
CORNERS = 200
"""Maximum number of corners of an object that are followed."""
CORNER_QUALITY = 0.01
"""Least strength of a corner, beside that of the strongest."""
CORNER_DISTANCE = 3.0
"""Least distance of two corners in pixels."""
WINDOW = (21, 21)
"""Pixels around a corner that are compared."""
LEVELS = 4
"""Number of times that frames are halved, so that far moves are found."""
BACK_AND_FORTH = 1.0
"""Distance in pixels within which a corner that was followed there and back is where it was."""
FEWEST = 6
"""Fewest corners that tell how an object moved."""
STRAY = 2.0
"""Distance in pixels within which a corner moves as the object does."""
SAME_LEVELS = 16
"""Levels of grey by which a pixel may change that looks as it did."""
MOST_GROWTH = 1.25
"""Factor beyond which an object does not grow or shrink from one frame to the next."""


@dataclass(frozen=True, eq=False)
class Motion:
    """How an object moved, turned and grew from one frame to another.

    Attributes:
        matrix: (2, 3) float64 from x, y, 1 in the one to x, y in the other, in pixels of the photo.
        before: The one frame, from `reduced`.
        after: The other.
    """

    matrix: npt.NDArray[np.float64]
    before: ByteArray
    after: ByteArray

    def moved(self, mask: Mask) -> Mask:
        """The mask where the object is after its motion; what leaves the photo is cut off."""
        import cv2

        dense = mask.dense().view(np.uint8)
        return Mask.from_dense(cv2.warpAffine(dense, self.matrix, mask.image_size, flags=cv2.INTER_NEAREST))

    def likeness(self, mask: Mask) -> float:
        """Share of the pixels in a part of the other frame that look as those from which they moved, 0 to 1."""
        import cv2

        scale = _scale(mask, self.after)
        matrix = self.matrix * scale[:, None] / np.append(scale, 1)
        moved = cv2.warpAffine(self.before, matrix, self.after.shape[::-1])
        change = np.abs(moved.astype(np.int16) - self.after)[_where(mask, self.after) > 0]
        return float(np.mean(change < SAME_LEVELS)) if change.size else 1.0


def reduced(image: ByteArray) -> ByteArray:
    """(h, w) uint8: a frame (H, W, 3) in grey, small enough for `motion_of`."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    factor = LONGEST_SIDE / max(grey.shape)
    if factor < 1:
        height, width = (max(1, round(side * factor)) for side in grey.shape)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def motion_of(mask: Mask, before: ByteArray, after: ByteArray) -> Motion | None:
    """How an object moved, turned and grew.

    Args:
        mask: Where it was.
        before: The frame in which it was there, from `reduced`.
        after: Another frame of the same size.

    Returns:
        Its motion; None if that cannot be told: too few corners, or such as move otherwise than an object can.
    """
    import cv2

    scale, where = _scale(mask, before), _where(mask, before)
    strong = cv2.goodFeaturesToTrack(before, CORNERS, CORNER_QUALITY, CORNER_DISTANCE, mask=where)
    if strong is None:
        return None
    corners = np.asarray(strong, np.float32)
    there, is_there = _followed(corners, before, after)
    back, is_back = _followed(there, after, before)
    kept = is_there & is_back & (np.abs(back - corners).max(axis=(1, 2)) < BACK_AND_FORTH)
    if np.count_nonzero(kept) < FEWEST:
        return None
    matrix, _ = cv2.estimateAffinePartial2D(
        corners[kept] / scale, there[kept] / scale, method=cv2.RANSAC, ransacReprojThreshold=STRAY / scale.min()
    )
    if matrix is None or not 1 / MOST_GROWTH < np.hypot(matrix[0, 0], matrix[1, 0]) < MOST_GROWTH:
        return None
    return Motion(np.asarray(matrix, np.float64), before, after)


def _scale(mask: Mask, picture: ByteArray) -> npt.NDArray[np.float64]:
    """(2,) pixels of a picture beside those of the photo, across and down."""
    return np.array(picture.shape[::-1]) / mask.image_size


def _where(mask: Mask, picture: ByteArray) -> ByteArray:
    """(h, w) uint8: a mask at the size of a picture, 1 on the object."""
    import cv2

    where = cv2.resize(mask.dense().view(np.uint8), picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(where, np.uint8)


def _followed(places: FloatArray, before: ByteArray, after: ByteArray) -> tuple[FloatArray, BoolArray]:
    """(n, 1, 2) float32 where places (n, 1, 2) are in another frame, and (n,) True for those that are in it."""
    import cv2

    there, is_there, _ = cv2.calcOpticalFlowPyrLK(before, after, places, places.copy(), winSize=WINDOW, maxLevel=LEVELS)
    return np.asarray(there, np.float32), np.asarray(is_there, bool)[:, 0]
