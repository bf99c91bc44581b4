"""What masks have in common that are made already and those that are made when somebody looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from fastsam_onnx.masks.mask import Mask


class MaskLike(Protocol):
    """A mask, or one that is rendered when it is asked for its pixels."""

    @property
    def area(self) -> int:
        """The number of pixels."""

    @property
    def predicted_iou(self) -> float | None:
        """As in `Mask`."""

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels."""

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of a rectangle that holds all the pixels, known without rendering."""

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle of whole pixels."""

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds the point is set."""

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """(len(rows), len(columns)) bool: the pixels where these rows and columns of the photo, ascending, cross."""

    def render(self) -> Mask:
        """The mask at the photo's own size."""
