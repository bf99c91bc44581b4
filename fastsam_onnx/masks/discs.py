"""Points that nothing which the network offered obeys: a disc around each is cut out of a mask, or added to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.masks.mask import Mask

DISC_SHARE = 0.25
"""Radius of a disc, beside the distance to the nearest point of the other kind."""

Bounds = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the photo."""


def with_disc(mask: Mask, point: npt.NDArray[np.float64], distance: float, *, filled: bool, bounds: Bounds) -> Mask:
    """The mask with a disc around a point, cut out or filled.

    Args:
        mask: Pixels inside the bounds.
        point: (2,) x, y in pixels of the photo.
        distance: From the point to the nearest of the other kind, of which the radius is a share.
        filled: True to add the disc, False to cut it out.
        bounds: Of the pixels that may change.
    """
    import cv2

    x1, y1, x2, y2 = bounds
    pixels = np.zeros((y2 - y1, x2 - x1), np.uint8)
    rows, columns = mask.slices
    pixels[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1] = mask.crop
    column, row = (np.floor(point) - (x1, y1)).astype(int).tolist()
    cv2.circle(pixels, (column, row), int(DISC_SHARE * distance), int(filled), cv2.FILLED)
    return Mask(pixels.view(bool), x1, y1, mask.image_size)


def obedient(mask: Mask, points: npt.NDArray[np.float64], foreground: BoolArray, bounds: Bounds) -> Mask:
    """The mask, corrected by each point that it does not obey, in their order; as it is where nothing would be left.

    Args:
        mask: Pixels inside the bounds.
        points: (k, 2) x, y in pixels of the photo.
        foreground: (k,): point k is to be in the mask.
        bounds: Of the pixels that may change; their shorter side is the distance where there is no point of the other
            kind yet.
    """
    x1, y1, x2, y2 = bounds
    for place, (point, wanted) in enumerate(zip(points, foreground.tolist(), strict=True)):
        inside = x1 <= point[0] < x2 and y1 <= point[1] < y2
        if not inside or mask.contains(*point.tolist()) == wanted:
            continue
        others = points[: place + 1][foreground[: place + 1] != wanted]
        away = np.hypot(*(np.floor(others) - np.floor(point)).T).min(initial=min(x2 - x1, y2 - y1))
        changed = with_disc(mask, point, float(away), filled=wanted, bounds=bounds)
        mask = changed if changed.area else mask
    return mask
