"""From boxes, coefficients and prototypes to masks, for the crop alone (YOLACT; design decision 6).

A mask's logits are its coefficients times the prototypes, on a grid four times coarser than the network's input.
Between grid points they are interpolated bilinearly, once, at the exact place of every pixel of the photo; a pixel
inside the box is set where the logit is greater than 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastsam_onnx.letterbox import Letterbox
from fastsam_onnx.mask import Mask

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PendingMask:
    """A mask that is made when somebody looks at it.

    Attributes:
        logits: (h, w) float32: the part of the prototype grid that the box needs.
        columns: Pixels of the photo, [first, end), that lie in the box.
        rows: The same for rows.
        x: Where the columns lie on `logits`.
        y: Where the rows lie on `logits`.
        image_size: (width, height) of the photo.
    """

    logits: FloatArray
    columns: tuple[int, int]
    rows: tuple[int, int]
    x: Placement
    y: Placement
    image_size: tuple[int, int]

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        crop = np.zeros((self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]), bool)
        if crop.size:
            _threshold(self.logits, self.x.at(*self.columns), self.y.at(*self.rows), crop)
        return Mask(crop, self.columns[0], self.rows[0], self.image_size)

    def contains(self, x: float, y: float) -> bool:
        """Whether the pixel that holds the point is set, without rendering the mask."""
        column, row = math.floor(x), math.floor(y)
        if not (self.columns[0] <= column < self.columns[1] and self.rows[0] <= row < self.rows[1]):
            return False
        crop = np.zeros((1, 1), bool)
        _threshold(self.logits, self.x.at(column, column + 1), self.y.at(row, row + 1), crop)
        return bool(crop[0, 0])

    def sample(self, columns: IntArray, rows: IntArray) -> npt.NDArray[np.bool_]:
        """(len(rows), len(columns)) bool: the pixels where these rows and columns of the photo, ascending, cross."""
        picked = np.zeros((rows.size, columns.size), bool)
        left, right = np.searchsorted(columns, self.columns)
        top, bottom = np.searchsorted(rows, self.rows)
        if left < right and top < bottom:
            x, share_x = _split(self.x.places(columns[left:right]), self.logits.shape[1])
            y, share_y = _split(self.y.places(rows[top:bottom]), self.logits.shape[0])
            beside, below = np.minimum(x + 1, self.logits.shape[1] - 1), np.minimum(y + 1, self.logits.shape[0] - 1)
            lines = self.logits[:, x] * (1 - share_x) + self.logits[:, beside] * share_x
            rise = share_y[:, None] * (lines[below] - lines[y])
            np.greater(rise, -lines[y], out=picked[top:bottom, left:right])
        return picked

    def moved(self, left: int, top: int, image_size: tuple[int, int]) -> PendingMask:
        """The same mask in a photo of which the present one is a part that begins at (left, top)."""
        columns, rows = (self.columns[0] + left, self.columns[1] + left), (self.rows[0] + top, self.rows[1] + top)
        return PendingMask(self.logits, columns, rows, self.x.moved(left), self.y.moved(top), image_size)

    def is_empty(self) -> bool:
        """Whether no pixel is set; nearly always told without rendering."""
        if not self.logits.size or self.logits.max() <= 0:
            return True  # an interpolated value is never above its neighbours on the grid
        row, column = np.unravel_index(int(self.logits.argmax()), self.logits.shape)
        if self.contains(self.x.pixel(int(column), *self.columns), self.y.pixel(int(row), *self.rows)):
            return False
        return self.render().area == 0


@dataclass(frozen=True)
class Placement:
    """Where a photo's pixels lie on the prototype grid, along one axis, as an index of `PendingMask.logits`.

    Attributes:
        step: Grid points per pixel.
        start: The place of pixel 0.
        low: The first and
        high: the last place on the photo's own content; beyond it lies padding, which no mask looks at.
    """

    step: float
    start: float
    low: float
    high: float

    @classmethod
    def of(cls, image_side: int, content_side: int, padding: int, cells_per_input: float) -> Placement:
        """The placement on the whole grid.

        Args:
            image_side: The photo's width or height.
            content_side: The same in the network's input.
            padding: Input pixels before the content.
            cells_per_input: Grid points per input pixel (1/4).
        """
        step = content_side / image_side * cells_per_input
        start = padding * cells_per_input + step / 2 - 0.5
        low, high = padding * cells_per_input, (padding + content_side) * cells_per_input - 1
        if low > high:  # content thinner than one cell: its middle
            low = high = (low + high) / 2
        return cls(step, start, low, high)

    def at(self, first: int, end: int) -> npt.NDArray[np.float64]:
        """The places of the pixels first .. end - 1."""
        return self.places(np.arange(first, end))

    def places(self, pixels: IntArray) -> npt.NDArray[np.float64]:
        """The places of some pixels."""
        return np.clip(self.start + self.step * pixels, self.low, self.high)

    def pixel(self, index: int, first: int, end: int) -> int:
        """The pixel of [first, end) whose place is next to a grid index."""
        return min(max(round((index - self.start) / self.step), first), end - 1)

    def moved(self, pixels: int) -> Placement:
        """The same for a photo that begins so many pixels before."""
        return Placement(self.step, self.start - self.step * pixels, self.low, self.high)

    def shifted(self, cells: int) -> Placement:
        """The same, counted from a later grid point."""
        return Placement(self.step, self.start - cells, self.low - cells, self.high - cells)


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
    (width, height), (grid_height, grid_width) = letterbox.image_size, prototypes.shape[1:]
    input_width, input_height = letterbox.input_size
    x = Placement.of(width, letterbox.content_size[0], letterbox.left, grid_width / input_width)
    y = Placement.of(height, letterbox.content_size[1], letterbox.top, grid_height / input_height)
    pending = []
    for box, weights in zip(boxes_xyxy.tolist(), coefficients, strict=True):
        columns, rows = _pixels(box[0], box[2], width), _pixels(box[1], box[3], height)
        left, right = _grid_span(x, columns, grid_width)
        top, bottom = _grid_span(y, rows, grid_height)
        block = prototypes[:, top:bottom, left:right]
        logits = (weights @ block.reshape(len(weights), -1)).reshape(block.shape[1:])
        pending.append(PendingMask(logits, columns, rows, x.shifted(left), y.shifted(top), letterbox.image_size))
    return pending


def _pixels(low: float, high: float, side: int) -> tuple[int, int]:
    """The pixel indices i of the photo with low <= i < high, as [first, end)."""
    first, end = max(math.ceil(low), 0), min(math.ceil(high), side)
    return first, max(first, end)


def _grid_span(placement: Placement, pixels: tuple[int, int], cells: int) -> tuple[int, int]:
    """The grid points, [first, end), that the pixels are interpolated from."""
    if pixels[0] >= pixels[1]:
        return 0, 0
    places = placement.at(pixels[0], pixels[0] + 1)[0], placement.at(pixels[1] - 1, pixels[1])[0]
    return max(math.floor(places[0]), 0), min(math.floor(places[1]) + 2, cells)


def _threshold(
    logits: FloatArray, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], crop: npt.NDArray[np.bool_]
) -> None:
    """Set `crop` where the logits, interpolated at the places x and y, are greater than 0.

    Columns are interpolated on the few rows of the grid. Then, between two grid rows, a pixel is above + t * (below -
    above) > 0, which takes two passes over the pixels and no temporary of the crop's size.
    """
    left, share_x = _split(x, logits.shape[1])
    right = np.minimum(left + 1, logits.shape[1] - 1)
    lines = logits[:, left] * (1 - share_x) + logits[:, right] * share_x
    above, share_y = _split(y, logits.shape[0])
    bounds = np.flatnonzero(np.diff(above, prepend=-1, append=logits.shape[0])).tolist()
    positive = np.any(lines > 0, axis=1)
    for first, end in pairwise(bounds):
        row = int(above[first])
        below = min(row + 1, logits.shape[0] - 1)
        if positive[row] or positive[below]:
            rise = share_y[first:end, None] * (lines[below] - lines[row])
            np.greater(rise, -lines[row], out=crop[first:end])


def _split(places: npt.NDArray[np.float64], cells: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Grid index and share of the next one, for places within the grid."""
    index = np.clip(np.floor(places), 0, cells - 1).astype(np.intp)
    return index, np.clip(places - index, 0, 1).astype(np.float32)
