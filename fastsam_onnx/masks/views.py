"""A closer look at the surroundings of a box: photo, prototypes and candidates on one grid, for the decoder.

The photo is looked at in its own pixels, so that the decoder sees edges that the network's input is too small for.
tools/train/decoder makes its training pictures with the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray, ceil_div, joined, product
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.pending import Places, Span
from fastsam_onnx.network.letterbox import Letterbox

SIDE = 96
"""Cells along either side of a view, whatever its shape in the photo."""
COARSE = SIDE // 2
"""The same of the maps, which are smooth."""
PRIORS = 3
"""Number of candidates whose logits are looked at."""
ENOUGH = 3
"""Pixels of a halved photo that a cell has at least, along either axis: edges lie a sixth of a cell off at most."""
MARGIN = 0.125
"""What is looked at beyond each side of a box, in sides."""
LEAST_MARGIN = 2
"""Pixels that are looked at beyond each side, at least."""
CLICK_CELLS = 1.5
"""Standard deviation of the spot that stands for a point."""
LARGEST_LOGIT = 8.0
SURE_LOGIT = 4.0
"""Logit that stands for a pixel of a mask; negated, for one outside."""
MOST_VIEWS = 16
"""Views whose pictures are kept for the next questions, 0.4 MB each."""
EXTRA_MAPS = PRIORS + 2
"""Maps beside the prototypes: logits of candidates, the box, the points."""


@dataclass(frozen=True)
class View:
    """A rectangle of the photo.

    Attributes:
        columns: Pixels of the photo, [first, end).
        rows: The same for rows.
        letterbox: Place of the photo in the network's input.
    """

    columns: Span
    rows: Span
    letterbox: Letterbox

    @classmethod
    def around(cls, box_xyxy: npt.ArrayLike, letterbox: Letterbox) -> View:
        """The view of a box (4,) in pixels of the photo, with what lies around it, inside the photo."""
        x1, y1, x2, y2 = np.asarray(box_xyxy, np.float64).tolist()
        width, height = letterbox.image_size
        return cls(_surroundings(x1, x2, width), _surroundings(y1, y2, height), letterbox)

    @property
    def halvings(self) -> int:
        """How often the photo may be halved before the view is taken of it."""
        side = min(last - first for first, last in (self.columns, self.rows))
        return max((side // (ENOUGH * SIDE)).bit_length() - 1, 0)

    def photo(self, image: ByteArray, halvings: int = 0) -> FloatArray:
        """(3, SIDE, SIDE) float32, 0 to 1, from the photo (H, W, 3) uint8 RGB, halved so often."""
        import cv2

        rows, columns = (slice(*(round(end / 2**halvings) for end in span)) for span in (self.rows, self.columns))
        part = image[rows, columns]
        size = (SIDE, SIDE)
        if max(part.shape[:2]) <= SIDE:
            scaled = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        else:  # the mean of a few places in each cell: that of all its pixels takes four times as long
            width, height = (SIDE * max(ceil_div(side, ENOUGH * SIDE), 2) for side in part.shape[1::-1])
            places = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
            scaled = cv2.resize(places, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32) / np.float32(255)

    def prototypes(self, prototypes: FloatArray) -> FloatArray:
        """(nm, COARSE, COARSE) float32 from the prototypes (nm, h, w) of the whole input."""
        box, (_, grid_height, grid_width) = self.letterbox, prototypes.shape
        x, left = _filter(
            self.columns, box.left, box.scale[0] * grid_width / box.input_size[0], box.input_size[0], grid_width
        )
        y, top = _filter(
            self.rows, box.top, box.scale[1] * grid_height / box.input_size[1], box.input_size[1], grid_height
        )
        part = prototypes[:, top : top + y.shape[1], left : left + x.shape[1]].astype(np.float32, copy=False)
        lines = joined([product(part[..., needed], x[cells, needed].T) for cells, needed in _bands(x)], axis=-1)
        return joined([product(y[cells, needed], lines[:, needed]) for cells, needed in _bands(y)], axis=-2)

    def box(self, box_xyxy: npt.ArrayLike) -> FloatArray:
        """(COARSE, COARSE) float32: the share of each cell that lies in the box (4,)."""
        x1, y1, x2, y2 = np.asarray(box_xyxy, np.float64).tolist()
        return np.outer(_covered(y1, y2, self.rows), _covered(x1, x2, self.columns)).astype(np.float32)

    def shares(self, mask: MaskLike) -> FloatArray:
        """(SIDE, SIDE) float32: the share of each fine cell that a mask covers."""
        import cv2

        part = mask.sample(np.arange(*self.columns), np.arange(*self.rows)).view(np.uint8) * np.uint8(255)
        how = cv2.INTER_AREA if max(part.shape) > SIDE else cv2.INTER_LINEAR
        return cv2.resize(part, (SIDE, SIDE), interpolation=how).astype(np.float32) / np.float32(255)

    def points(self, points: npt.ArrayLike, signs: Iterable[float]) -> FloatArray:
        """(COARSE, COARSE) float32: a spot at each of the points (k, 2), times its sign (k,)."""
        (left, right), (top, bottom) = self.columns, self.rows
        places = (np.asarray(points, np.float64).reshape(-1, 2) - (left, top)) / (right - left, bottom - top) * COARSE
        return spots(places, signs)

    def centres(self) -> tuple[IntArray, IntArray]:
        """(SIDE,) each: the columns and rows of the photo in the middle of the view's fine cells, ascending."""
        across, down = (
            (first + (np.arange(SIDE) + 0.5) / SIDE * (end - first)).astype(np.int64)
            for first, end in (self.columns, self.rows)
        )
        return across, down

    def places(self) -> tuple[Places, Places]:
        """Where the photo's columns and rows lie on the view's fine grid; beyond the view, on its border."""
        width, height = self.letterbox.image_size
        return _places(self.columns, width), _places(self.rows, height)


def logits_of(cells: BoolArray) -> FloatArray:
    """(COARSE, COARSE) float32 logits that stand for a mask of fine cells (SIDE, SIDE)."""
    share = cells.reshape(COARSE, SIDE // COARSE, COARSE, SIDE // COARSE).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(SURE_LOGIT * (2 * share - 1), np.float32)


def spots(places: npt.NDArray[np.float64], signs: Iterable[float]) -> FloatArray:
    """(COARSE, COARSE) float32: a spot at each of the places (k, 2) x, y in coarse cells, times its sign (k,)."""
    centres = np.arange(COARSE) + 0.5
    drawn = np.zeros((COARSE, COARSE), np.float32)
    for place, sign in zip(places.tolist(), signs, strict=True):
        across, down = (np.exp(-((along - centres) ** 2) / (2 * CLICK_CELLS**2)) for along in place)
        drawn += np.float32(sign) * np.outer(down, across).astype(np.float32)
    return drawn


def halve_on(halves: list[ByteArray], most: int) -> None:
    """Add to a photo (H, W, 3) its half, the half of that and so on, until they are most + 1.

    What is odd loses its last pixel.
    """
    import cv2

    while len(halves) <= most:
        height, width = (side // 2 for side in halves[-1].shape[:2])
        even = halves[-1][: 2 * height, : 2 * width]
        halves.append(np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8))


class Looks:
    """What was made of a photo to look at it closer, kept for further looks, which are often at the same view."""

    def __init__(self, image: ByteArray, prototypes: FloatArray) -> None:
        """Take the photo (H, W, 3) uint8 RGB and the prototypes (nm, h, w) for the whole input."""
        self._halves, self._prototypes = [image], prototypes
        self._views: dict[tuple[Span, Span], tuple[FloatArray, FloatArray]] = {}

    def at(self, view: View) -> tuple[FloatArray, FloatArray]:
        """What `View.photo` and `View.prototypes` give; not to be written to."""
        place = view.columns, view.rows
        if place not in self._views:
            halve_on(self._halves, view.halvings)
            photo = view.photo(self._halves[view.halvings], view.halvings)
            self._views[place] = photo, view.prototypes(self._prototypes)
            if len(self._views) > MOST_VIEWS:
                del self._views[next(iter(self._views))]
        return self._views[place]


def _surroundings(low: float, high: float, side: int) -> Span:
    margin = max(MARGIN * (high - low), LEAST_MARGIN)
    first = min(max(math.floor(low - margin), 0), side - 1)
    return first, max(min(math.ceil(high + margin), side), first + 1)


def _filter(pixels: Span, padding: int, step: float, input_side: int, cells: int) -> tuple[FloatArray, int]:
    """Weights (COARSE, n) of grid points along an axis, a triangle for each cell, and the first of the grid points.

    Args:
        pixels: Of the photo, [first, end).
        padding: Input pixels before the photo.
        step: Grid points per pixel of the photo.
        input_side: The input's width or height.
        cells: Grid points along it.
    """
    apart = (pixels[1] - pixels[0]) / COARSE * step
    centres = padding * cells / input_side + (pixels[0] * step + (np.arange(COARSE) + 0.5) * apart) - 0.5
    reach = max(1.0, apart)
    first = min(max(math.floor(centres[0] - reach), 0), cells - 1)
    end = max(min(math.ceil(centres[-1] + reach) + 1, cells), first + 1)
    points = np.arange(first, end)
    distance = np.abs(points - np.clip(centres, 0, cells - 1)[:, None]) / reach
    weights = np.maximum(1 - distance, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32), first


def _bands(weights: FloatArray) -> Iterator[tuple[slice, slice]]:
    """The cells of an axis in parts, each with the grid points that have a weight (COARSE, n) for one of them."""
    count = ceil_div(weights.shape[1], COARSE)
    if count == 1:
        yield slice(None), slice(None)
        return
    step = ceil_div(COARSE, count)
    for first in range(0, COARSE, step):
        used = np.flatnonzero(weights[first : first + step].any(axis=0))
        yield slice(first, first + step), slice(int(used[0]), int(used[-1]) + 1)


def _covered(low: float, high: float, pixels: Span) -> FloatArray:
    """(COARSE,): the share of each cell of an axis that lies between two places."""
    edges = np.linspace(*pixels, COARSE + 1)
    inside = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.asarray(np.maximum(inside, 0) / (edges[1] - edges[0]))


def _places(pixels: Span, side: int) -> Places:
    first, end = pixels
    places = np.clip((np.arange(side) + 0.5 - first) / (end - first) * SIDE - 0.5, 0, SIDE - 1)
    before = np.floor(places).astype(np.intp)
    return Places(before, (places - before).astype(np.float32))
