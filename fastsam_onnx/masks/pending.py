"""From boxes, coefficients and prototypes to masks, for the crop alone (YOLACT; design decision 6).

A mask's logits are its coefficients times the prototypes, on a grid four times coarser than the network's input.
Between grid points they are interpolated bilinearly, once, at the exact place of every pixel of the photo; a pixel
inside the box is set where the logit is greater than 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.network.letterbox import Letterbox

Span = tuple[int, int]

ONE = np.float32(1)
BAND_PIXELS = 1 << 16


@dataclass(frozen=True, eq=False)
class PendingMask:
    """A mask that is made when somebody looks at it.

    Attributes:
        logits: (h, w) float32: the part of the prototype grid that the box needs.
        left: The column of the grid where `logits` begin.
        top: The row of the grid where they begin.
        columns: Pixels of the photo, [first, end), that lie in the box.
        rows: The same for rows.
        x: Where the photo's columns lie on the grid.
        y: Where its rows do.
        image_size: (width, height) of the photo.
        predicted_iou: IoU that the decoder expects of it, 0 to 1, if that drew it, on the grid of its own closer look;
            else None.
    """

    logits: FloatArray
    left: int
    top: int
    columns: Span
    rows: Span
    x: Places
    y: Places
    image_size: tuple[int, int]
    predicted_iou: float | None = None

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        crop = self._crop(self.columns, self.rows)
        return Mask(crop, self.columns[0], self.rows[0], self.image_size, self.predicted_iou)

    @property
    def area(self) -> int:
        """The number of pixels; the first time the mask is rendered for it."""
        return self._measures[0]

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels, as `Mask.box`; the first time the mask is rendered for it."""
        return self._measures[1]

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of the pixels in the box; nothing is rendered."""
        return self.columns[0], self.rows[0], self.columns[1], self.rows[1]

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle; nothing else is rendered."""
        columns = max(self.columns[0], x1), min(self.columns[1], x2)
        rows = max(self.rows[0], y1), min(self.rows[1], y2)
        return int(np.count_nonzero(self._crop(columns, rows)))

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds the point is set; the mask is not rendered."""
        column, row = math.floor(x), math.floor(y)
        if not (self.columns[0] <= column < self.columns[1] and self.rows[0] <= row < self.rows[1]):
            return False
        height, width = self.logits.shape
        left, above = self.x.before[column] - self.left, self.y.before[row] - self.top
        right, below = min(left + 1, width - 1), min(above + 1, height - 1)
        share_x, share_y = self.x.share[column], self.y.share[row]
        first, second = (
            line[left] * (ONE - share_x) + line[right] * share_x for line in (self.logits[above], self.logits[below])
        )
        return bool(share_y * (second - first) > -first)

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """(len(rows), len(columns)) bool: the pixels where these rows and columns of the photo, ascending, cross."""
        picked = np.zeros((rows.size, columns.size), bool)
        left, right = np.searchsorted(columns, self.columns)
        top, bottom = np.searchsorted(rows, self.rows)
        if left < right and top < bottom:
            x, y = columns[left:right], rows[top:bottom]
            lines = _interpolated(self.logits, self.x.before[x] - self.left, self.x.share[x])
            above = self.y.before[y] - self.top
            below = np.minimum(above + 1, len(lines) - 1)
            rise = self.y.share[y][:, None] * (lines[below] - lines[above])
            np.greater(rise, -lines[above], out=picked[top:bottom, left:right])
        return picked

    def logits_at(self, columns: IntArray, rows: IntArray) -> FloatArray:
        """(len(rows), len(columns)) float32: the logits where columns and rows of the photo inside the box cross."""
        lines = _interpolated(self.logits, self.x.before[columns] - self.left, self.x.share[columns])
        above = self.y.before[rows] - self.top
        first = lines[above]
        return np.asarray(first + self.y.share[rows][:, None] * (lines[np.minimum(above + 1, len(lines) - 1)] - first))

    def cells(self) -> tuple[BoolArray, tuple[int, int]]:
        """The cells of the grid that are set, (h, w) bool, and the column and row where they begin."""
        (left, right), (top, bottom) = self.x.inner(self.columns), self.y.inner(self.rows)
        inside = self.logits[top - self.top : bottom - self.top, left - self.left : right - self.left] > 0
        return inside, (left, top)

    @property
    def photo_cells(self) -> int:
        """Number of cells of the grid in the photo."""
        (left, right), (top, bottom) = (
            axis.inner((0, side)) for axis, side in zip((self.x, self.y), self.image_size, strict=True)
        )
        return (right - left) * (bottom - top)

    def tight(self) -> PendingMask:
        """The same mask without the outer columns and rows of pixels that cannot be set."""
        columns = _tight(self.logits, self.left, self.x, self.columns)
        rows = _tight(self.logits.T, self.top, self.y, self.rows)
        (left, right), (top, bottom) = self.x.cells(columns), self.y.cells(rows)
        logits = self.logits[top - self.top : bottom - self.top, left - self.left : right - self.left].copy()
        return replace(self, logits=logits, left=left, top=top, columns=columns, rows=rows)

    def within(self, box_xyxy: FloatArray) -> PendingMask:
        """The same mask, its pixels inside a box (4,) of the photo alone."""
        x1, y1, x2, y2 = box_xyxy.tolist()
        width, height = self.image_size
        columns, rows = _common(self.columns, _pixels(x1, x2, width)), _common(self.rows, _pixels(y1, y2, height))
        return replace(self, columns=columns, rows=rows)

    def is_empty(self) -> bool:
        """True if no pixel is set; nearly always told without rendering."""
        if not self.logits.size:
            return True
        row, column = divmod(int(self.logits.argmax()), self.logits.shape[1])
        if self.logits[row, column] <= 0:
            return True  # an interpolated value is never above its neighbours on the grid
        if self.contains(self.x.pixel(self.left + column, self.columns), self.y.pixel(self.top + row, self.rows)):
            return False
        return self.area == 0

    @cached_property
    def _measures(self) -> tuple[int, FloatArray]:
        mask = self.render()
        box = mask.box
        box.flags.writeable = False
        return mask.area, box

    def _crop(self, columns: Span, rows: Span) -> BoolArray:
        """The pixels of a rectangle that lies in the box; nothing if it is turned inside out."""
        crop = np.empty((max(rows[1] - rows[0], 0), max(columns[1] - columns[0], 0)), bool)
        if crop.size:
            x, y = slice(*columns), slice(*rows)
            lines = _interpolated(self.logits, self.x.before[x] - self.left, self.x.share[x])
            _threshold(lines, self.y.before[y] - self.top, self.y.share[y], crop)
        return crop


@dataclass(frozen=True, eq=False)
class Places:
    """Where each pixel of the photo lies on the prototype grid, along one axis; all masks of a photo share it.

    Attributes:
        before: (side,) intp: the grid point at the pixel's place or before it.
        share: (side,) float32, 0 to 1: how far the pixel lies on the way to the next grid point.
    """

    before: npt.NDArray[np.intp]
    share: FloatArray

    @classmethod
    def from_sides(cls, image_side: int, content_side: int, padding: int, input_side: int, cells: int) -> Places:
        """The places of a photo's pixels; those beyond its own content, where padding lies, are never looked at.

        Args:
            image_side: The photo's width or height.
            content_side: The same in the network's input.
            padding: Input pixels before the content.
            input_side: The input's width or height.
            cells: Grid points along it.
        """
        cells_per_input = cells / input_side
        step = content_side / image_side * cells_per_input
        low, high = padding * cells_per_input, (padding + content_side) * cells_per_input - 1
        if low > high:  # content thinner than one cell: its middle
            low = high = (low + high) / 2
        places = np.clip(padding * cells_per_input + step / 2 - 0.5 + step * np.arange(image_side), low, high)
        before = np.clip(np.floor(places), 0, cells - 1).astype(np.intp)
        return cls(before, np.clip(places - before, 0, 1).astype(np.float32))

    def pixel(self, cell: int, within: Span) -> int:
        """A pixel of [first, end) whose place is next to a grid point."""
        return min(max(int(self.before.searchsorted(cell)), within[0]), within[1] - 1)

    def pixels(self, cells: Span) -> Span:
        """The pixels, [first, end), that are interpolated from grid points of [first, end) alone."""
        first, end = self.before.searchsorted((cells[0], cells[1] - 1))
        whole = cells[1] > self.before[-1]  # the last pixels may stand on the last grid point
        return int(first), len(self.before) if whole else int(end)

    def inner(self, pixels: Span) -> Span:
        """The grid points, [first, end), that are nearest to one of the pixels."""
        if pixels[0] >= pixels[1]:
            return 0, 0
        return self.nearest(pixels[0]), self.nearest(pixels[1] - 1) + 1

    def nearest(self, pixel: int) -> int:
        """The grid point that is nearest to a pixel."""
        return int(self.before[pixel] + (self.share[pixel] > 0.5))

    def cells(self, pixels: Span) -> Span:
        """The grid points, [first, end), that pixels are interpolated from."""
        if pixels[0] >= pixels[1]:
            return 0, 0
        return int(self.before[pixels[0]]), int(self.before[pixels[1] - 1]) + 2


def pending_masks(
    boxes_xyxy: FloatArray, coefficients: FloatArray, prototypes: FloatArray, letterbox: Letterbox
) -> list[PendingMask]:
    """One pending mask per detection.

    Args:
        boxes_xyxy: (n, 4) in pixels of the photo, inside it.
        coefficients: (n, nm).
        prototypes: (nm, h, w) for the whole input.
        letterbox: Where the photo lies in the input.
    """
    width, height = letterbox.image_size
    x, y = _places(letterbox, prototypes)
    pending = []
    for box, weights in zip(boxes_xyxy.tolist(), coefficients, strict=True):
        columns, rows = _pixels(box[0], box[2], width), _pixels(box[1], box[3], height)
        (left, right), (top, bottom) = x.cells(columns), y.cells(rows)
        # Not `@`: BLAS would copy the block and split it among threads, which wait for each other on a busy machine.
        logits = np.einsum("c,chw->hw", weights, prototypes[:, top:bottom, left:right])
        pending.append(PendingMask(logits, left, top, columns, rows, x, y, letterbox.image_size))
    return pending


def prototypes_at(points: npt.NDArray[np.float64], prototypes: FloatArray, letterbox: Letterbox) -> FloatArray:
    """(nm, k): the prototypes at the pixels that hold the points (k, 2) x, y, or that are nearest to them."""
    (width, height), (grid_height, grid_width) = letterbox.image_size, prototypes.shape[1:]
    x, y = _places(letterbox, prototypes)
    columns, rows = (
        np.clip(np.floor(values), 0, side - 1).astype(np.intp)
        for values, side in zip(points.T, (width, height), strict=True)
    )
    left, above, share_x, share_y = x.before[columns], y.before[rows], x.share[columns], y.share[rows]
    right, below = np.minimum(left + 1, grid_width - 1), np.minimum(above + 1, grid_height - 1)
    first, second = (
        prototypes[:, line, left] * (ONE - share_x) + prototypes[:, line, right] * share_x for line in (above, below)
    )
    return np.asarray(first + share_y * (second - first), np.float32)


def _places(letterbox: Letterbox, prototypes: FloatArray) -> tuple[Places, Places]:
    """Where the photo's columns and rows lie on the prototypes' grid."""
    (width, height), (grid_height, grid_width) = letterbox.image_size, prototypes.shape[1:]
    x = Places.from_sides(width, letterbox.content_size[0], letterbox.left, letterbox.input_size[0], grid_width)
    y = Places.from_sides(height, letterbox.content_size[1], letterbox.top, letterbox.input_size[1], grid_height)
    return x, y


def _pixels(low: float, high: float, side: int) -> Span:
    """The pixel indices i of the photo with low <= i < high, as [first, end)."""
    first, end = max(math.ceil(low), 0), min(math.ceil(high), side)
    return first, max(first, end)


def _common(one: Span, other: Span) -> Span:
    """The pixels, [first, end), that two spans have in common."""
    first = max(one[0], other[0])
    return first, max(first, min(one[1], other[1]))


def _tight(logits: FloatArray, first: int, places: Places, pixels: Span) -> Span:
    """The columns of pixels, [first, end) of those given, outside of which none can be set; nothing if none can.

    A column is looked at where it crosses the rows of the grid, for between these no pixel is above both; and only
    next to the first and last columns of the grid that are set.
    """
    used = first + np.flatnonzero((logits > 0).any(axis=0))
    if not used.size:
        return pixels[0], pixels[0]
    low, high = int(used[0]), int(used[-1])
    around = places.before.searchsorted((low - 1, low + 1, high - 1, high + 1)).tolist()
    begin, inner, last, end = (min(max(pixel, pixels[0]), pixels[1]) for pixel in around)
    near = np.concatenate([np.arange(begin, inner), np.arange(last, end)])
    lines = _interpolated(logits, places.before[near] - first, places.share[near])
    is_set = np.asarray((lines > 0).any(axis=0))
    at_begin, at_end = np.flatnonzero(is_set[: inner - begin]), np.flatnonzero(is_set[inner - begin :])
    begin = begin + int(at_begin[0]) if at_begin.size else inner
    end = last + int(at_end[-1]) + 1 if at_end.size else last
    return (begin, end) if begin < end else (pixels[0], pixels[0])


def _interpolated(logits: FloatArray, left: npt.NDArray[np.intp], share: FloatArray) -> FloatArray:
    """(h, len(left)): the rows of the grid, interpolated between the columns `left` and their next ones."""
    lines = logits.take(left, axis=1)
    lines *= ONE - share
    right = logits.take(np.minimum(left + 1, logits.shape[1] - 1), axis=1)
    right *= share
    lines += right
    return lines


def _threshold(lines: FloatArray, above: npt.NDArray[np.intp], share: FloatArray, crop: BoolArray) -> None:
    """Set `crop` where a pixel, interpolated between the lines `above` and their next ones, is greater than 0.

    That is line + share * (next - line) > 0. It is computed in bands that stay in the processor's cache, so that there
    are few calls and no temporary of the crop's size.
    """
    rise = np.zeros_like(lines)
    np.subtract(lines[1:], lines[:-1], out=rise[:-1])
    threshold = np.negative(lines, out=lines)
    rows = max(1, BAND_PIXELS // crop.shape[1])
    for first in range(0, len(crop), rows):
        band = slice(first, first + rows)
        risen = rise.take(above[band], axis=0)
        risen *= share[band, None]
        np.greater(risen, threshold.take(above[band], axis=0), out=crop[band])
