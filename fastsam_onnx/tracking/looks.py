"""The colours of objects, as shares of a few: enough to see that an object is not the one that was asked for."""

from __future__ import annotations

import itertools

import numpy as np

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray, product
from fastsam_onnx.masks.mask import Mask

LEVELS = 4
"""Number of levels of red, green and blue each; a colour between two of them counts for both, in shares."""
FINE_LEVELS = 8
"""Number of levels of lightness and of the two axes of colour each, where one object is looked at closely."""
COLOUR_SPREAD = 3.0
"""Factor by which the axes of colour, of which photos fill a part alone, are spread over these levels."""
MOST_PIXELS = 20_000
"""Number of an object's pixels above which not all of them are looked at."""
LOOK_GAIN = 0.1
"""Share of the new colours in those that are kept: they change slowly, so that an object cannot become another."""
LEAST_LIKENESS = 0.95
"""Likeness of colours, 0 to 1, by `looks_at`, that an object which was lost keeps. In clips of tools/measure_tracking
that of an object in two frames is above 0.975, that of two objects in nine of ten cases below 0.9.
"""


def look_of(mask: Mask, image: ByteArray) -> FloatArray:
    """(FINE_LEVELS ** 3,) float32 shares of the colours of a mask's pixels, together 1; zeros for one without pixels.

    The colours are CIELAB's. In a few levels of red, green and blue all things of a dark film are alike.

    Args:
        mask: Of the photo's size.
        image: (H, W, 3) uint8 RGB.
    """
    import cv2

    colours = image[mask.slices][mask.crop]
    if not len(colours):
        return np.zeros(FINE_LEVELS**3, np.float32)
    some = np.ascontiguousarray(colours[:: -(-len(colours) // MOST_PIXELS)])
    lab = cv2.cvtColor(some[None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    lab[:, 1:] = np.clip((lab[:, 1:] - 128) * COLOUR_SPREAD + 128, 0, 255)
    [look] = _shares(lab / 255, FINE_LEVELS, np.zeros(len(lab), np.int64), 1)
    return np.asarray(look, np.float32)


def looks_at(inside: BoolArray, columns: IntArray, rows: IntArray, image: ByteArray) -> FloatArray:
    """(n, LEVELS ** 3) float32 shares of the colours of n masks, by some of their pixels, all at once.

    Args:
        inside: (n, h * w) True for the points of a grid that a mask holds.
        columns: (n, w) columns of the photo of each mask's grid.
        rows: (n, h) its rows.
        image: (H, W, 3) uint8 RGB.
    """
    owners, points = np.nonzero(inside)
    row, column = np.divmod(points, columns.shape[1])
    colours = image[rows[owners, row], columns[owners, column]]
    return _shares(colours * np.float32(1 / 255), LEVELS, owners, len(inside))


def _shares(colours: FloatArray, levels: int, owners: IntArray, count: int) -> FloatArray:
    """(count, levels ** 3) float32 from colours (m, 3), 0 to 1, and, for each, whose it is."""
    places = colours * np.float32(levels - 1)
    low = np.minimum(places.astype(np.int64), levels - 2)
    to_high = places - low
    shares = 1 - to_high, to_high
    first = owners * levels**3 + np.ravel_multi_index(tuple(low.T), (levels,) * 3)
    looks = np.zeros(count * levels**3)
    for one, two, three in itertools.product((0, 1), repeat=3):
        weights = shares[one][:, 0] * shares[two][:, 1] * shares[three][:, 2]
        looks += np.bincount(first + (one * levels + two) * levels + three, weights, looks.size)
    pixels = np.maximum(np.bincount(owners, minlength=count), 1)
    return np.asarray(looks.reshape(count, levels**3) / pixels[:, None], np.float32)


def blended(look: FloatArray, seen: FloatArray) -> FloatArray:
    """A look (m,) after another one of the same object was seen; zeros stand for one that is not known."""
    if not (look.any() and seen.any()):
        return seen if seen.any() else look
    return look + LOOK_GAIN * (seen - look)


def likeness(first: FloatArray, second: FloatArray) -> float:
    """How alike two looks of one kind are, 0 to 1 (Bhattacharyya's coefficient)."""
    return float(np.sqrt(first * second).sum())


def likenesses(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, m) float32 the same of looks (n, LEVELS ** 3) and (m, LEVELS ** 3)."""
    return product(np.sqrt(first), np.sqrt(second).T)
