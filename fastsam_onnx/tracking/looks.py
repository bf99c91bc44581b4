"""The colours of objects, as shares of a few: enough to see that an object is not the one that was asked for."""

from __future__ import annotations

import itertools

import numpy as np

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray, product
from fastsam_onnx.masks.mask import Mask

LEVELS = 4
"""Number of levels of red, green and blue each; a colour between two of them counts for both, in shares."""
LOOK_GAIN = 0.1
"""Share of the new colours in those that are kept: they change slowly, so that an object cannot become another."""
LEAST_LIKENESS = 0.95
"""Likeness of colours, 0 to 1, that an object which was lost keeps. In clips of tools/measure_tracking that of an
object in two frames is above 0.975, that of two objects in nine of ten cases below 0.9.
"""


def look_of(mask: Mask, image: ByteArray) -> FloatArray:
    """(LEVELS ** 3,) float32 shares of the colours of a mask's pixels, together 1; zeros for a mask without pixels.

    Args:
        mask: Of the photo's size.
        image: (H, W, 3) uint8 RGB.
    """
    colours = image[mask.slices][mask.crop]
    [look] = _looks(colours, np.zeros(len(colours), np.int64), 1)
    return np.asarray(look, np.float32)


def looks_at(inside: BoolArray, columns: IntArray, rows: IntArray, image: ByteArray) -> FloatArray:
    """(n, LEVELS ** 3) float32 the same of n masks, by some of their pixels, all at once.

    Args:
        inside: (n, h * w) True for the points of a grid that a mask holds.
        columns: (n, w) columns of the photo of each mask's grid.
        rows: (n, h) its rows.
        image: (H, W, 3) uint8 RGB.
    """
    owners, points = np.nonzero(inside)
    row, column = np.divmod(points, columns.shape[1])
    return _looks(image[rows[owners, row], columns[owners, column]], owners, len(inside))


def _looks(colours: ByteArray, owners: IntArray, count: int) -> FloatArray:
    """(count, LEVELS ** 3) float32 from colours (m, 3) and, for each, whose it is."""
    places = colours * np.float32((LEVELS - 1) / 255)
    low = np.minimum(places.astype(np.int64), LEVELS - 2)
    to_high = places - low
    shares = 1 - to_high, to_high
    first = owners * LEVELS**3 + np.ravel_multi_index(tuple(low.T), (LEVELS,) * 3)
    looks = np.zeros(count * LEVELS**3)
    for red, green, blue in itertools.product((0, 1), repeat=3):
        weights = shares[red][:, 0] * shares[green][:, 1] * shares[blue][:, 2]
        looks += np.bincount(first + (red * LEVELS + green) * LEVELS + blue, weights, looks.size)
    pixels = np.maximum(np.bincount(owners, minlength=count), 1)
    return np.asarray(looks.reshape(count, LEVELS**3) / pixels[:, None], np.float32)


def blended(look: FloatArray, seen: FloatArray) -> FloatArray:
    """A look (LEVELS ** 3,) after another one of the same object was seen; zeros stand for one that is not known."""
    if not (look.any() and seen.any()):
        return seen if seen.any() else look
    return look + LOOK_GAIN * (seen - look)


def likeness(first: FloatArray, second: FloatArray) -> float:
    """How alike two looks are, 0 to 1 (Bhattacharyya's coefficient)."""
    return float(np.sqrt(first * second).sum())


def likenesses(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, m) float32 the same of looks (n, LEVELS ** 3) and (m, LEVELS ** 3)."""
    return product(np.sqrt(first), np.sqrt(second).T)
