"""Pictures as CLIP sees them: shorter side to 224 with antialiased bicubic, the middle square, normalised.

The resize is Pillow's to the bit (OpenCV's bicubic does not filter when it shrinks, and differs by up to 150 levels):
cubic kernel with a = -0.5, or the triangle of bilinear, which MobileCLIP was trained with; stretched by the scale when
shrinking, weights in 22-bit fixed point, each pass rounded to 8 bits. The horizontal pass is first, always, as in the
Pillows that CLIP was trained with; Pillow 13 turns this round for some pictures that shrink in height, with other
roundings. Source: reference-semantics section 15.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import LARGEST_PRODUCT, ByteArray, FloatArray, IntArray

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue over OpenAI's training pictures."""
FIXED_POINT = 2**22
"""Pillow's weights are multiples of its inverse."""
BLOCK_OUTPUTS = 16
"""Outputs that are computed together: more waste products with zero, fewer make small matrices."""


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a = -0.5
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


@dataclass(frozen=True)
class Kernel:
    """The weights of a resize by the distance in pixels, which are 0 from `radius` on."""

    radius: float
    weights: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


BICUBIC, BILINEAR = Kernel(2.0, _cubic), Kernel(1.0, _triangle)


@dataclass(frozen=True)
class Preprocessing:
    """The size and colours that an image encoder takes.

    Attributes:
        size: Side of its square input in pixels.
        resize: Length of the shorter side in pixels before the middle is cut out; `size` as a rule.
        mean: Means of red, green and blue, 0 to 1; OpenAI's by default.
        std: Standard deviations of red, green and blue, likewise.
        kernel: Kernel of the resize.
    """

    size: int = 224
    resize: int = 224
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    kernel: Kernel = BICUBIC

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The colour that becomes zero."""
        red, green, blue = (round(255 * value) for value in self.mean)
        return red, green, blue

    def square(self, image: ByteArray, pad: tuple[int, int, int] | None = None) -> ByteArray:
        """The picture at the encoder's size, still 0 to 255.

        Args:
            image: (H, W, 3) uint8 RGB, at least 1 x 1.
            pad: Keep the whole picture, on a square of this colour, instead of cutting out the middle.

        Returns:
            (size, size, 3) uint8.
        """
        height, width = image.shape[:2]
        if pad is None:
            wide, high = resized_size((width, height), self.resize)
            part = min(self.size, wide), min(self.size, high)
            return _middle_of_resized(image, (wide, high), part, self.size, self.kernel)
        scale = self.size / max(width, height)
        small = max(round(width * scale), 1), max(round(height * scale), 1)
        canvas = np.full((self.size, self.size, 3), pad, np.uint8)
        left, top = (self.size - small[0]) // 2, (self.size - small[1]) // 2
        canvas[top : top + small[1], left : left + small[0]] = resize(image, small, self.kernel)
        return canvas

    def normalise(self, square: ByteArray) -> FloatArray:
        """(size, size, 3) uint8 → (3, size, size) float32: (x / 255 - mean) / std."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = square.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))


def resized_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(width, height) after the shorter side has become `shorter` pixels; the longer is rounded down."""
    width, height = size
    return (shorter, shorter * height // width) if width <= height else (shorter * width // height, shorter)


def resize(image: ByteArray, size: tuple[int, int], kernel: Kernel = BICUBIC) -> ByteArray:
    """Pillow's `resize(size, BICUBIC)` or BILINEAR of (H, W, 3) uint8 RGB, equal in every bit to Pillow 12 and before.

    Args:
        image: At least 1 x 1.
        size: (width, height).
        kernel: One of the two.
    """
    return _resize_part(image, size, ((0, size[0]), (0, size[1])), kernel)


def _middle_of_resized(
    image: ByteArray, size: tuple[int, int], part: tuple[int, int], square: int, kernel: Kernel
) -> ByteArray:
    """The middle of the resized picture, of which no more is computed; black where the picture is too small."""
    left, top = (round((side - inner) / 2) for side, inner in zip(size, part, strict=True))  # half to even
    middle = _resize_part(image, size, ((left, left + part[0]), (top, top + part[1])), kernel)
    if part == (square, square):
        return middle
    canvas = np.zeros((square, square, 3), np.uint8)
    x, y = (square - part[0]) // 2, (square - part[1]) // 2
    canvas[y : y + part[1], x : x + part[0]] = middle
    return canvas


def _resize_part(
    image: ByteArray, size: tuple[int, int], part: tuple[tuple[int, int], tuple[int, int]], kernel: Kernel
) -> ByteArray:
    """The columns and rows [first, end) of the resized picture."""
    columns, rows = part
    rows_needed = slice(0, image.shape[0])
    if size[1] != image.shape[0]:
        first, weights = _weights(image.shape[0], size[1], *rows, kernel)
        rows_needed = slice(int(first.min()), min(int(first.max()) + weights.shape[1], image.shape[0]))
    across = image[rows_needed]
    if size[0] != image.shape[1]:
        turned = _pass(across.transpose(1, 0, 2), size[0], *columns, kernel)
        across = turned.transpose(1, 0, 2)
    else:
        across = across[:, columns[0] : columns[1]]
    if size[1] == image.shape[0]:
        return np.ascontiguousarray(across[rows[0] : rows[1]])
    return _apply(across, first - rows_needed.start, weights)


def _pass(lines: ByteArray, count: int, first: int, end: int, kernel: Kernel) -> ByteArray:
    return _apply(lines, *_weights(lines.shape[0], count, first, end, kernel))


def _weights(length: int, count: int, first: int, end: int, kernel: Kernel) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """For outputs first .. end - 1 of `count`: (k,) first input, and (k, taps) weights, multiples of 2**-22."""
    scale = length / count
    stretch = max(scale, 1.0)
    reach = kernel.radius * stretch
    centres = (np.arange(first, end) + 0.5) * scale
    # Truncation, not floor, as in Pillow; negative ones are cut off anyway.
    low = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    high = np.minimum((centres + reach + 0.5).astype(np.int64), length)
    taps = low[:, None] + np.arange(math.ceil(reach) * 2 + 1)
    values = kernel.weights((taps - centres[:, None] + 0.5) * (1.0 / stretch))
    values[taps >= high[:, None]] = 0.0
    values /= np.add.accumulate(values, axis=1)[:, -1:]  # one after the other, as Pillow adds them
    return low, np.trunc(values * FIXED_POINT + np.copysign(0.5, values)) / FIXED_POINT


def _apply(lines: ByteArray, first: IntArray, weights: npt.NDArray[np.float64]) -> ByteArray:
    """Weighted sums along axis 0 of (L, M, 3), rounded to 8 bits: (k, M, 3).

    Matrix products of blocks: neighbouring outputs look at neighbouring inputs. Exact: a float64 holds the sums.
    """
    length, breadth = lines.shape[:2]
    result = np.empty((len(first), breadth, 3), np.uint8)
    blocks = [slice(start, start + BLOCK_OUTPUTS) for start in range(0, len(first), BLOCK_OUTPUTS)]
    bands = [_band(first[block], weights[block], length) for block in blocks]
    step = max(LARGEST_PRODUCT // (3 * max(band.size for _, band in bands)), 1)
    for start in range(0, breadth, step):
        part = lines[:, start : start + step].astype(np.float64).reshape(length, -1)
        for block, (low, band) in zip(blocks, bands, strict=True):
            sums = band @ part[low : low + band.shape[1]]
            np.floor(sums + 0.5, out=sums)
            np.clip(sums, 0, 255, out=sums)
            result[block, start : start + step] = sums.reshape(len(band), -1, 3)
    return result


def _band(first: IntArray, weights: npt.NDArray[np.float64], length: int) -> tuple[int, npt.NDArray[np.float64]]:
    """The weights of a block of outputs as a matrix over the inputs low, low + 1, ...: (low, (k, inputs))."""
    low, taps = int(first[0]), weights.shape[1]
    band = np.zeros((len(first), int(first[-1]) - low + taps))
    for row, offset in enumerate((first - low).tolist()):
        band[row, offset : offset + taps] = weights[row]
    return low, band[:, : length - low]
