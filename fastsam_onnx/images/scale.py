"""Samples of any type as 0 to 255."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import ImageError

DARK_BELOW = 1 << 12
"""A picture of 16 bits that stays below has 12 bits or fewer, or is nearly black."""
ROWS_AT_ONCE = 64
"""Rows of floats that are scaled together: what this needs beside the picture is then a few megabytes."""


@dataclass(frozen=True)
class Scale:
    """A scale from samples of a type to 8 bits.

    Attributes:
        white: Sample value of white; None for what the file says, or the largest value of the type.
        on_highest: Called with the highest sample of a 16-bit picture, unless white is known.
    """

    white: float | None
    on_highest: Callable[[int], None]

    def eight_bit(self, pixels: NDArray[Any], file_white: int | None = None) -> ByteArray:
        """Scale samples to 0 to 255.

        Args:
            pixels: Of any shape.
            file_white: Sample value of white that the file states.

        Raises:
            ImageError: If the samples are of a type or in a range that is not read.
        """
        white = self.white or file_white
        if pixels.dtype.kind == "f":
            return _from_floats(pixels, self.white)
        if pixels.dtype.kind == "b":
            return pixels.astype(np.uint8) * np.uint8(255)
        if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
            raise ImageError(
                f"its samples must be uint8, uint16, bool or floats from 0 to 1, got {pixels.dtype}; "
                "scale and convert them, for example (255 * x / x.max()).astype(numpy.uint8)"
            )
        largest = int(np.iinfo(pixels.dtype).max)
        if self.white is not None and self.white > largest:
            raise ImageError(
                f"its samples are {pixels.dtype}, of which white can be {largest} at most, got white={self.white:g}; "
                "leave white out"
            )
        if white is None and largest > 255 and pixels.size:
            self.on_highest(int(pixels.max()))
        white = white or largest
        if white == 255 and largest == 255:
            return pixels
        values = np.arange(largest + 1)
        scaled = (values * 255 + white // 2) // white
        eight_bit: ByteArray = scaled.clip(max=255).astype(np.uint8)[pixels]
        return eight_bit


def _from_floats(pixels: NDArray[Any], white: float | None) -> ByteArray:
    with np.errstate(invalid="ignore"):
        low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("its floats must be finite; replace NaN and infinity first")
    if white is None and (low < 0 or high > 1):
        raise ImageError(
            f"its floats must be from 0 to 1, got {low:g} to {high:g}; "
            "say white=, or convert 0 to 255 with .astype(numpy.uint8)"
        )
    eight_bit = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        if white is None:
            eight_bit[rows] = np.rint(pixels[rows].astype(np.float32) * 255)
        else:
            eight_bit[rows] = np.rint((pixels[rows].astype(np.float64) * (255 / white)).clip(0, 255))
    return eight_bit
