"""The array types that signatures speak of, a division, parts joined, and a product that leaves other cores alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

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

LARGEST_PRODUCT = 2**18
"""Number of multiplications of a matrix product above which OpenBLAS takes all cores; on busy ones its threads wait for
each other far longer than the product takes."""


def size_of(picture: npt.NDArray[Any]) -> tuple[int, int]:
    """(width, height) of a picture (H, W, ...)."""
    return picture.shape[1], picture.shape[0]


def array_of(values: Any) -> npt.NDArray[Any]:
    """The values as NumPy reads them.

    Raises:
        ValueError: If it cannot, whatever their maker says to that: PyTorch's tensors that are on a GPU raise a
            TypeError, those with a gradient a RuntimeError. Likewise of masked arrays, whose hidden values it would
            take for values.
    """
    if "numpy.ma" in sys.modules and np.ma.is_masked(values):  # importing it takes 10 ms
        raise ValueError("a masked array hides some of its values; say what they are: array.filled(0)")
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def zeros_and_ones(truths: BoolArray) -> BoolArray:
    """The same, also of bytes that are only called bool: a picture's 255, viewed as such, is true and no 1."""
    numbers = truths.view(np.uint8)
    return numbers != 0 if numbers.size and numbers.max() > 1 else truths


def middles(few: int, many: int | IntArray) -> IntArray:
    """(few,) of many pixels in a line those in the middle of as many equal parts; (n, few) for n lines (n, 1)."""
    return (2 * np.arange(few, dtype=np.int64) + 1) * many // (2 * few)


def ceil_div(dividend: int, divisor: int) -> int:
    """The quotient of two integers, rounded up."""
    return -(-dividend // divisor)


def product(first: FloatArray, second: FloatArray) -> FloatArray:
    """The product (..., m, n) of matrices (..., m, k) and (..., k, n).

    Some rows at a time, so that OpenBLAS stays on this thread.
    """
    *_, count, depth = first.shape
    step = max(LARGEST_PRODUCT // max(depth * second.shape[-1], 1), 1)
    parts = [first[..., start : start + step, :] @ second for start in range(0, max(count, 1), step)]
    return joined(parts, axis=-2)


def joined(parts: Sequence[FloatArray], axis: int) -> FloatArray:
    """The parts as one array along an axis; one alone as it is, without a copy."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
