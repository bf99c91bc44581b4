"""What is seen of the objects of a frame: where they are, their shapes and their colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.tracking.looks import LEVELS, looks_at
from fastsam_onnx.tracking.shapes import areas_of, grids_of, shape_iou, shapes_of

Table = npt.NDArray[np.float64]

SAME_SHAPE = 0.3
"""IoU of two shapes, less where sizes differ, above which both may be of one object, a part of which is hidden."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of an object in a frame.

    Attributes:
        box_xywh: (4,) float64 centre x, y, width, height in pixels.
        shape: Its mask's shape; see `shapes_of`.
        area: Its mask's pixels.
        look: Its colours; see `looks_at`. Zeros where they are not known.
    """

    box_xywh: Table
    shape: BoolArray
    area: float
    look: FloatArray

    def is_like(self, other: Sight) -> bool:
        """True if both are of one size and shape, wherever they are."""
        sizes = sorted((self.area, other.area))
        [[alike]] = shape_iou(self.shape[None], other.shape[None])
        return bool(alike * sizes[0] > SAME_SHAPE * sizes[1])


def sights_of(found: Instances) -> list[Sight]:
    """What is seen of each object of a frame."""
    masks = found.masks
    shapes = shapes_of(masks)
    areas = areas_of(masks, shapes).tolist()
    boxes_xywh = _xywh(found.boxes.astype(np.float64))
    unknown = np.zeros((len(found), LEVELS**3), np.float32)
    looks = unknown if found.image is None else looks_at(shapes, *grids_of(masks), found.image)
    return [Sight(*each) for each in zip(boxes_xywh, shapes, areas, looks, strict=True)]


def _xywh(boxes_xyxy: Table) -> Table:
    """(n, 4) boxes x1, y1, x2, y2 as centre x, y, width, height."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)
