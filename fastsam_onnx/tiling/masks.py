"""The masks of objects that tiles show, not rendered yet, and samples of them to compare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray, ceil_div
from fastsam_onnx.masks.mask import Mask, shared_area, union
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.tiling.tiles import Tile

MAX_SAMPLES = 48
"""Maximum number of samples along a side of a mask; masks are compared on every 2^k-th pixel."""
ENOUGH_SAMPLES = 256
"""A mask with fewer samples is sampled twice as densely, down to every pixel: a thin one would be lost between them."""


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """The mask of an object that a tile shows, as a mask of the photo; made when somebody looks at it.

    Attributes:
        in_tile: The mask in the tile.
        left: Column of the photo where the tile begins.
        top: Row of the photo where it begins.
        image_size: (width, height) of the photo.
    """

    in_tile: PendingMask
    left: int
    top: int
    image_size: tuple[int, int]

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.in_tile.area

    @property
    def predicted_iou(self) -> float | None:
        """As in `Mask`."""
        return self.in_tile.predicted_iou

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels; zeros if there are none."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        return self.in_tile.box + offset if self.in_tile.area else self.in_tile.box

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of a rectangle that holds all the pixels; nothing is rendered."""
        x1, y1, x2, y2 = self.in_tile.bounds
        return x1 + self.left, y1 + self.top, x2 + self.left, y2 + self.top

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle."""
        return self.in_tile.area_inside(x1 - self.left, y1 - self.top, x2 - self.left, y2 - self.top)

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds the point is set."""
        return self.in_tile.contains(x - self.left, y - self.top)

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        mask = self.in_tile.render()
        return Mask(mask.crop, mask.left + self.left, mask.top + self.top, self.image_size, mask.predicted_iou)

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """As in `PendingMask.sample`."""
        return self.in_tile.sample(columns - self.left, rows - self.top)


@dataclass(frozen=True, eq=False)
class JoinedMask:
    """The mask of an object in parts, made when somebody looks at it."""

    parts: tuple[PlacedMask, ...]

    @property
    def area(self) -> int:
        """The number of pixels; the first time the mask is rendered for it."""
        return self._measures[0]

    @property
    def predicted_iou(self) -> None:
        """Nothing was drawn of it as a whole."""

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels; the first time the mask is rendered for it."""
        return self._measures[1]

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of a rectangle that holds all the pixels; nothing is rendered."""
        lefts, tops, rights, bottoms = zip(*(part.bounds for part in self.parts), strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle."""
        return self.render().area_inside(x1, y1, x2, y2)

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds the point is set."""
        return any(part.contains(x, y) for part in self.parts)

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        return union(part.render() for part in self.parts).tight()

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """As in `PendingMask.sample`."""
        return np.asarray(np.logical_or.reduce([part.sample(columns, rows) for part in self.parts]), bool)

    @cached_property
    def _measures(self) -> tuple[int, FloatArray]:
        mask = self.render()
        box = mask.box
        box.flags.writeable = False
        return mask.area, box


TiledMask = PlacedMask | JoinedMask


def fitting_level(length: float) -> int:
    """The lowest level at which there are at most `MAX_SAMPLES` samples along so many pixels."""
    return max(0, math.ceil(math.log2(max(length, 1) / MAX_SAMPLES)))


@dataclass(frozen=True, eq=False)
class Samples:
    """Every 2^level-th pixel of a mask, in both directions, counted from the photo's corner: levels are nested.

    Attributes:
        pixels: (h, w) bool.
        left: First column, counted in samples.
        top: First row, counted in samples.
        level: Logarithm of their distance to base 2.
    """

    pixels: BoolArray
    left: int
    top: int
    level: int

    @classmethod
    def enough(cls, mask: TiledMask, box: FloatArray) -> Samples:
        """The samples of a mask in a box (4,) x1, y1, x2, y2, at the highest level that tells what it is."""
        x1, y1, x2, y2 = box.tolist()
        levels = range(fitting_level(max(x2 - x1, y2 - y1)), -1, -1)
        samples = (cls.from_mask(mask, box, level) for level in levels)
        return next(one for one in samples if one.level == 0 or one.count >= ENOUGH_SAMPLES)

    @classmethod
    def from_mask(cls, mask: TiledMask, box: FloatArray, level: int) -> Samples:
        """The samples of a mask in a box (4,) x1, y1, x2, y2."""
        step = 1 << level
        left, top, right, bottom = (math.ceil(edge / step) for edge in box.tolist())
        columns, rows = (np.arange(first, end, dtype=np.int64) for first, end in ((left, right), (top, bottom)))
        return cls(mask.sample(columns * step, rows * step), left, top, level)

    def at(self, level: int) -> Samples:
        """The samples of a higher level, which are among these."""
        step = 1 << (level - self.level)
        left, top = ceil_div(self.left, step), ceil_div(self.top, step)
        return Samples(self.pixels[top * step - self.top :: step, left * step - self.left :: step], left, top, level)

    def within(self, frame: Tile) -> Samples:
        """The samples that lie in a part of the photo."""
        step = 1 << self.level
        left, top = max(ceil_div(frame.left, step), self.left), max(ceil_div(frame.top, step), self.top)
        rows = slice(top - self.top, max(ceil_div(frame.bottom, step) - self.top, 0))
        columns = slice(left - self.left, max(ceil_div(frame.right, step) - self.left, 0))
        return Samples(self.pixels[rows, columns], left, top, self.level)

    def shared(self, other: Samples) -> int:
        """Number of samples that both masks hold, of the same level."""
        return shared_area(self.pixels, (self.left, self.top), other.pixels, (other.left, other.top))

    @property
    def count(self) -> int:
        """Number of samples that the mask holds."""
        return int(np.count_nonzero(self.pixels))
