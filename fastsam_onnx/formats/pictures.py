"""Pictures as the bytes of a file."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.options import shown

LONGEST_SIDES = {".png": 1_000_000, ".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""Pixels that a side of a picture may have: by libpng and libjpeg, which OpenCV writes by, and by WebP itself."""
PICTURE_SUFFIXES = tuple(LONGEST_SIDES)


def picture_bytes(picture: npt.NDArray[Any], suffix: str) -> bytes:
    """Grey (uint8 or uint16), RGB or RGBA as a picture file.

    Grey is written as PNG only, for the others would spoil it; RGBA as PNG or WebP, which has the alpha as it is.

    Raises:
        OptionError: If the suffix is not one of these.
        OutputError: If a side is longer than such a file may have it.
    """
    import cv2

    accepted = {3: PICTURE_SUFFIXES, 4: (".png", ".webp")}[picture.shape[2]] if picture.ndim == 3 else (".png",)
    if suffix not in accepted:
        raise OptionError(f"the suffix of this picture must be one of {', '.join(accepted)}, got {shown(suffix)}")
    height, width = picture.shape[:2]
    if max(height, width) > LONGEST_SIDES[suffix]:
        larger = [each for each in accepted if max(height, width) <= LONGEST_SIDES[each]]
        raise OutputError(
            f"a {width}x{height} picture cannot be written as {suffix}: its sides must be at most "
            f"{LONGEST_SIDES[suffix]} pixels" + "".join(f"; take {each}" for each in larger[:1])
        )
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(picture, order)
    quality = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 92]}
    settings = quality.get(suffix.replace("jpeg", "jpg"), [])
    try:
        done, data = cv2.imencode(suffix, picture, settings)
    except cv2.error as error:
        raise OutputError(f"a {width}x{height} picture cannot be written as {suffix}: {error}") from error
    if not done:
        raise OutputError(f"a {width}x{height} picture cannot be written as {suffix}")
    return bytes(data)
