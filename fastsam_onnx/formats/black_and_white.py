"""Masks in black and white: one of all objects, as programs that paint over them take it, or one per object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.smoothing import MAX_RADIUS

MASK = "mask"
"""What the file of an object is called, before its number."""


def to_mask(found: Instances, *, grow: int = 0) -> ByteArray:
    """White where an object is.

    Args:
        found: The objects.
        grow: Number of pixels by which white reaches beyond the objects, 0 to 1000: what is painted over them should
            cover their soft edges, too.

    Returns:
        (H, W) uint8, 255 on an object, 0 elsewhere.

    Raises:
        OptionError: If `grow` is not such a number.
    """
    check_found(found)
    return found.union().grown(options.integer("grow", grow, 0, MAX_RADIUS)).dense() * np.uint8(255)


def to_masks(found: Instances, *, grow: int = 0) -> Iterator[tuple[str, ByteArray]]:
    """File name and mask of every object; masks without pixels are left out.

    Args:
        found: The objects.
        grow: As in `to_mask`.

    Returns:
        "mask-0000.png" and so on, by the index of the object, and (H, W) uint8, 255 on the object, 0 elsewhere.

    Raises:
        OptionError: If `grow` is not such a number.
    """
    check_found(found)
    grow = options.integer("grow", grow, 0, MAX_RADIUS)
    return (
        (f"{MASK}-{index:04d}.png", mask.grown(grow).dense() * np.uint8(255))
        for index, mask in enumerate(found.masks)
        if mask.area
    )
