"""All objects as one mask in black and white, as programs that paint over objects take it."""

from __future__ import annotations

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.mask import MAX_RADIUS


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
