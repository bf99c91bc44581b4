"""Small pictures for notebooks: what masks and results display."""

from __future__ import annotations

from fastsam_onnx.arrays import ByteArray

LONGEST_SIDE = 800
"""Pixels: enough to look at, small enough to keep in a notebook's file."""


def png_preview(picture: ByteArray) -> bytes:
    """A mask as PNG, shrunk to `LONGEST_SIDE` where it is larger.

    Args:
        picture: (H, W) uint8 grey.
    """
    import cv2

    return cv2.imencode(".png", shrunk_picture(picture))[1].tobytes()


def jpeg_preview(picture: ByteArray) -> bytes:
    """A photo as JPEG, a tenth of its PNG, shrunk to `LONGEST_SIDE` where it is larger.

    Args:
        picture: (H, W, 3) uint8 RGB.
    """
    import cv2

    return cv2.imencode(".jpg", shrunk_picture(picture)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def preview_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the preview of a picture: its own, shrunk to `LONGEST_SIDE` where it is larger."""
    scale = min(LONGEST_SIDE / max(height, width), 1)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def shrunk_picture(picture: ByteArray) -> ByteArray:
    """A picture (H, W, 3) uint8 in the size of its preview; itself if it is no larger."""
    import cv2

    height, width = picture.shape[:2]
    size = preview_size(width, height)
    if size == (width, height):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
