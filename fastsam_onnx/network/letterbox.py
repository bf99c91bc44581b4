"""A photo's place in the network's input: scaled, centred, the rest grey.

Sizes are (width, height), as boxes and points are x, y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray, FloatArray

PADDING_GREY = 114


@dataclass(frozen=True)
class Letterbox:
    """A photo's place in the network's input.

    Attributes:
        image_size: (width, height) of the photo.
        input_size: (width, height) of the network's input.
        content_size: (width, height) of the scaled photo in the input.
        left: Columns of padding before the photo; an odd rest goes to the right.
        top: Rows of padding above the photo; an odd rest goes below.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    content_size: tuple[int, int]
    left: int
    top: int

    @classmethod
    def fit(cls, image_size: tuple[int, int], box_size: tuple[int, int], *, stride: int | None = None) -> Letterbox:
        """Fit a photo into a box, enlarging small ones, as ultralytics does (reference-semantics, section 3).

        Args:
            image_size: (width, height) of the photo, at least 1 x 1.
            box_size: (width, height) to fit into.
            stride: If given, the input is the smallest rectangle whose sides are short of the box by multiples of it;
                otherwise it is the whole box.
        """
        ratio = min(box_size[0] / image_size[0], box_size[1] / image_size[1])
        # Python's round: half to even. At least one pixel, so that a line of 1 x 3000 survives.
        width, height = (max(round(side * ratio), 1) for side in image_size)
        pad_x, pad_y = box_size[0] - width, box_size[1] - height
        if stride is not None:
            pad_x, pad_y = pad_x % stride, pad_y % stride
        return cls(image_size, (width + pad_x, height + pad_y), (width, height), pad_x // 2, pad_y // 2)

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per photo pixel, along x and y; they differ by the rounding of the content's size."""
        return self.content_size[0] / self.image_size[0], self.content_size[1] / self.image_size[1]

    def tensor(self, image: ByteArray) -> FloatArray:
        """The photo as the network takes it.

        Args:
            image: (H, W, 3) uint8 RGB of `image_size`.

        Returns:
            (1, 3, h, w) float32, 0 to 1.
        """
        import cv2

        width, height = self.input_size
        tensor = np.full((1, 3, height, width), PADDING_GREY / 255, np.float32)
        for channel, plane in zip(tensor[0], cv2.split(self._scaled(image)), strict=True):
            np.divide(plane, np.float32(255), out=channel[self._content])
        return tensor

    def boxes_to_image(self, boxes_xyxy: npt.ArrayLike) -> FloatArray:
        """Boxes in the input, (n, 4), as boxes in the photo, cut off at its border: (n, 4) float32."""
        points = np.asarray(boxes_xyxy, np.float64).reshape(-1, 2)
        limits = np.asarray(self.image_size, np.float64)
        return np.clip(self.points_to_image(points), 0, limits).astype(np.float32).reshape(-1, 4)

    def points_to_image(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points in the input, (n, 2) x, y, as points in the photo."""
        return (np.asarray(points, np.float64) - (self.left, self.top)) / self.scale

    @property
    def _content(self) -> tuple[slice, slice]:
        width, height = self.content_size
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def _scaled(self, image: ByteArray) -> ByteArray:
        import cv2

        if self.content_size == self.image_size:
            return image
        scaled = cv2.resize(image, self.content_size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(scaled, np.uint8)
