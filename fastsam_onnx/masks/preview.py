"""Small PNG pictures for notebooks: what `_repr_png_` of masks and results returns."""

from __future__ import annotations

from fastsam_onnx.arrays import ByteArray

LONGEST_SIDE = 800
"""Pixels: enough to look at, small enough to keep in a notebook's file."""


def png_preview(picture: ByteArray) -> bytes:
    """A picture as PNG, shrunk to `LONGEST_SIDE` where it is larger.

    Args:
        picture: (H, W) grey or (H, W, 3) RGB uint8.
    """
    import cv2

    height, width = picture.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    bgr = picture if picture.ndim == 2 else picture[..., ::-1]
    return cv2.imencode(".png", bgr)[1].tobytes()
