"""A mask on a coarse lattice of the photo's pixels: enough to compare masks, and next to nothing to make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import BoolArray, ceil_div
from fastsam_onnx.masks.instances import MaskLike
from fastsam_onnx.masks.mask import shared_area

LONG_SIDE = 256
"""Samples along the long side of a photo, about."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The pixels of a mask in the middle of every cell of `step` x `step` pixels.

    Attributes:
        pixels: (h, w) bool.
        left: First column, counted in cells.
        top: First row, counted in cells.
        step: Side of a cell in pixels.
        count: Number of samples that the mask holds.
    """

    pixels: BoolArray
    left: int
    top: int
    step: int
    count: int

    @classmethod
    def from_mask(cls, mask: MaskLike, step: int) -> Samples:
        """The samples of a mask; a mask that lies between them has none."""
        middle = step // 2
        left, top, right, bottom = (ceil_div(edge - middle, step) for edge in mask.bounds)
        if left >= right or top >= bottom:
            return cls(np.zeros((0, 0), bool), 0, 0, step, 0)
        columns, rows = (np.arange(first, end, dtype=np.int64) for first, end in ((left, right), (top, bottom)))
        pixels = mask.sample(columns * step + middle, rows * step + middle)
        return cls(pixels, left, top, step, int(np.count_nonzero(pixels)))

    def iou(self, other: Samples, shift_xy: tuple[float, float]) -> float:
        """IoU with another mask that was moved by some pixels."""
        x, y = (round(pixels / self.step) for pixels in shift_xy)
        both = shared_area(self.pixels, (self.left, self.top), other.pixels, (other.left + x, other.top + y))
        either = self.count + other.count - both
        return both / either if either else 0.0


def sampling_step(image_size: tuple[int, int]) -> int:
    """The side of a cell for photos of this (width, height)."""
    return max(1, round(max(image_size) / LONG_SIDE))
