"""The colours of objects, as shares of a few: enough to see that an object is not the one that was asked for."""

from __future__ import annotations

import itertools

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.masks.mask import Mask

LEVELS = 4
"""Number of levels of red, green and blue each; a colour between two of them counts for both, in shares."""


def look_of(mask: Mask, image: ByteArray) -> FloatArray:
    """(LEVELS ** 3,) float32 shares of the colours of a mask's pixels, together 1; zeros for a mask without pixels.

    Args:
        mask: Of the photo's size.
        image: (H, W, 3) uint8 RGB.
    """
    colours = image[mask.slices][mask.crop]
    places = colours * np.float32((LEVELS - 1) / 255)
    low = np.minimum(places.astype(np.int64), LEVELS - 2)
    to_high = places - low
    shares = 1 - to_high, to_high
    first = np.ravel_multi_index(tuple(low.T), (LEVELS,) * 3)
    look = np.zeros(LEVELS**3)
    for red, green, blue in itertools.product((0, 1), repeat=3):
        weights = shares[red][:, 0] * shares[green][:, 1] * shares[blue][:, 2]
        look += np.bincount(first + (red * LEVELS + green) * LEVELS + blue, weights, LEVELS**3)
    return np.asarray(look / max(len(colours), 1), np.float32)


def likeness(first: FloatArray, second: FloatArray) -> float:
    """How alike two looks are, 0 to 1 (Bhattacharyya's coefficient)."""
    return float(np.sqrt(first * second).sum())
