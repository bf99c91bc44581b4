"""Objects that share no pixel: each pixel is of the smallest that has it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.masks.smoothing import without_specks


def number_map(masks: Masks) -> npt.NDArray[np.unsignedinteger]:
    """(H, W) uint16, uint32 of more than 65535 masks: 0 where none is, k + 1 where mask k is.

    Where masks overlap the smallest shows; of equally large ones the first.
    """
    width, height = masks.image_size
    numbers = np.zeros((height, width), np.promote_types(np.uint16, np.min_scalar_type(len(masks))))
    none = width * height + 1  # larger than any mask
    areas = np.full(len(masks) + 1, none, np.min_scalar_type(none))
    for number, mask in enumerate(masks, 1):
        areas[number] = mask.area
        shown = numbers[mask.slices]
        larger = np.take(areas, shown) > areas[number]
        np.copyto(shown, number, where=larger & mask.crop)
    return numbers


def without_overlaps(masks: Masks, min_area: int) -> list[Mask]:
    """What each mask keeps if every pixel is of the smallest one that has it; of some nothing.

    Args:
        masks: Of one photo.
        min_area: Islands of fewer pixels go where a mask has lost some; one that has lost none stays as it is.
    """
    numbers = number_map(masks)
    return [_kept(mask, numbers[mask.slices] == number, min_area) for number, mask in enumerate(masks, 1)]


def _kept(mask: Mask, own: BoolArray, min_area: int) -> Mask:
    if np.array_equal(own, mask.crop):
        return mask
    return Mask(without_specks(own, min_area), mask.left, mask.top, mask.image_size).tight()
