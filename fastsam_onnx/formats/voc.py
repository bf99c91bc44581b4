"""Pascal VOC's object maps: pictures of one byte a pixel with VOC's palette."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import label_map
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.instances import Instances, check_found

MOST_OBJECTS = 254
"""255 is VOC's border, which no object may have."""


def to_voc(found: Instances) -> ByteArray:
    """Number the pixels by their object, as VOC's SegmentationObject does.

    Returns:
        (H, W) uint8: 0 where no object is, k + 1 where object k is. Where objects overlap the smallest shows.

    Raises:
        OptionError: If there are more than 254 objects.
    """
    check_found(found)
    if len(found) > MOST_OBJECTS:
        raise OptionError(
            f"Pascal VOC's object map holds at most {MOST_OBJECTS} objects, got {len(found)}; "
            "find fewer, or take the format labels, which has 16 bits"
        )
    return label_map(found).astype(np.uint8)


def voc_palette() -> ByteArray:
    """(256, 3) uint8 RGB: VOC's colours. Bits of the index go to red, green and blue in turn, the highest bit first."""
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for step in range(8):
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * step + channel)) & 1) << (7 - step)).astype(np.uint8)
    return colours


def palette_png(indices: ByteArray, suffix: str) -> bytes:
    """(H, W) uint8 as a PNG with VOC's palette; OpenCV writes none with palettes.

    Raises:
        OptionError: If the file's suffix is another one.
    """
    if suffix != ".png":
        raise OptionError(f"the suffix of a picture with a palette must be .png, got {suffix!r}")
    height, width = indices.shape
    lines = np.zeros((height, width + 1), np.uint8)  # before each line the number of its filter, 0 for none
    lines[:, 1:] = indices
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", voc_palette().tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
