"""The array types that signatures speak of, and a division that sizes need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""Boxes, scores, coefficients, vectors."""
IntArray = npt.NDArray[np.int64]
"""Indices and counts."""
BoolArray = npt.NDArray[np.bool_]
"""Masks, one value a pixel."""
ByteArray = npt.NDArray[np.uint8]
"""Pictures, (H, W, 3) RGB unless said otherwise."""


def ceil_div(dividend: int, divisor: int) -> int:
    """The quotient of two integers, rounded up."""
    return -(-dividend // divisor)
