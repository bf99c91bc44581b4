"""The label map in colours."""

from __future__ import annotations

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import label_map, own_shades
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.pictures import picture_bytes
from fastsam_onnx.masks.instances import Instances, check_found


def to_colours(found: Instances, *, seed: int = 0) -> ByteArray:
    """(H, W, 3) uint8 RGB: every object in the colour that the overlay gives it, black where none is.

    Args:
        found: The objects.
        seed: Another integer of at least 0 gives other colours.

    Raises:
        OptionError: If the seed is outside its range, or there are more than 65535 objects.
    """
    check_found(found)
    colours = np.concatenate([np.zeros((1, 3), np.uint8), own_shades(found, seed)])
    return np.asarray(colours[label_map(found)], np.uint8)


def colours_png(picture: ByteArray, suffix: str) -> bytes:
    """The picture as a PNG; formats with loss would mix colours.

    Raises:
        OptionError: If the file's suffix is another one.
    """
    if suffix != ".png":
        raise OptionError(f"the suffix of a label map in colours must be .png, got {suffix!r}")
    return picture_bytes(picture, suffix)
