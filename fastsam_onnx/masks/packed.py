"""A mask that was made already, in a few bytes until somebody looks at it.

A bool for each pixel of a large photo is 50 MB, and one request may ask for a hundred objects.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.masks.mask import Mask


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A mask in a few bytes.

    Attributes:
        packed: Its bits, row by row, compressed.
        bounds: x1, y1, x2, y2 of a rectangle that holds all the pixels.
        area: The number of pixels.
        box: (4,) float32 x1, y1, x2, y2 of the pixels.
        image_size: (width, height) of the photo.
        predicted_iou: As in `Mask`.
    """

    packed: bytes
    bounds: tuple[int, int, int, int]
    area: int
    box: FloatArray
    image_size: tuple[int, int]
    predicted_iou: float | None

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """The same mask."""
        packed = zlib.compress(np.packbits(mask.crop).tobytes(), level=1)
        return cls(packed, mask.bounds, mask.area, mask.box, mask.image_size, mask.predicted_iou)

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        x1, y1, x2, y2 = self.bounds
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        crop = np.unpackbits(bits, count=(y2 - y1) * (x2 - x1)).view(bool)
        return Mask(crop.reshape(y2 - y1, x2 - x1), x1, y1, self.image_size, self.predicted_iou)

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle."""
        return self.render().area_inside(x1, y1, x2, y2)

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds the point is set."""
        return self.render().contains(x, y)

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """As in `PendingMask.sample`."""
        return self.render().sample(columns, rows)
