"""A product of matrices is NumPy's own, in pieces that OpenBLAS takes on one thread."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_onnx import arrays
from fastsam_onnx.arrays import LARGEST_PRODUCT, FloatArray, product


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((2, 3), (3, 4)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
        ((2, 3), (3, 0)),
        ((5, 160, 160), (160, 48)),  # a stack, and one matrix for all
        ((48, 160), (5, 160, 48)),
        ((3, LARGEST_PRODUCT + 1), (LARGEST_PRODUCT + 1, 2)),  # one row is too much already
    ],
)
def test_product_is_that_of_numpy(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-2, 3, shape).astype(np.float32) for shape in (first, second))  # sums of integers are exact
    result = product(a, b)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, a @ b)


def test_hidden_values_are_no_values() -> None:
    hidden = np.ma.array([1, 2], mask=[True, False])
    with pytest.raises(ValueError, match=r"say what they are: array.filled"):
        arrays.array_of(hidden)
    np.testing.assert_array_equal(arrays.array_of(hidden.filled(0)), [0, 2])
    np.testing.assert_array_equal(arrays.array_of(np.ma.array([1, 2])), [1, 2])


def test_no_piece_is_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[tuple[int, ...]] = []
    joined = np.concatenate

    def seen(parts: list[FloatArray], axis: int) -> FloatArray:
        pieces.extend(part.shape for part in parts)
        return joined(parts, axis=axis)

    monkeypatch.setattr(arrays.np, "concatenate", seen)
    product(np.ones((38, 160, 160), np.float32), np.ones((160, 48), np.float32))
    assert sum(rows for _, rows, _ in pieces) == 160
    assert all(rows * 160 * columns <= LARGEST_PRODUCT for _, rows, columns in pieces)
