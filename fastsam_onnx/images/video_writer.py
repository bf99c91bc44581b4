"""Pictures as a video, which is opened and counted before it takes its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import OutputError
from fastsam_onnx.files import complete_file

logger = logging.getLogger("fastsam_onnx")

VIDEO_SUFFIXES = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""The kinds of video that are written, and the codec: those that OpenCV's own packages always have."""
MAX_RATE_NUMBER = 65_535
"""MPEG-4 has 16 bits for the numerator of the frame rate, which OpenCV makes of decimals."""


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[ByteArray], None]]:
    """Give a function that adds (H, W, 3) uint8 RGB pictures of one size to a video without sound.

    A picture of odd width or height gets its last column or row twice: codecs store colours for 2 x 2 pixels, and
    OpenCV would cut off what is left over.

    Args:
        path: One of `VIDEO_SUFFIXES`. The file appears at the end, when it is complete.
        fps: Frames per second; rounded to a rate that can be written.

    Raises:
        OutputError: If it cannot be written, no picture came, or what was written does not hold every picture (a full
            disk makes OpenCV write less without a word). Nothing half written is left, and an older file is kept.
    """
    import cv2

    codec = VIDEO_SUFFIXES.get(path.suffix.lower())
    if codec is None:
        raise OutputError(f"cannot write {path}: videos are written as {', '.join(VIDEO_SUFFIXES)}")
    writer = cv2.VideoWriter()
    count = 0
    with complete_file(path, path.suffix) as part:

        def add(picture: ByteArray) -> None:
            nonlocal count
            even = _even(picture)
            size = (even.shape[1], even.shape[0])
            if not writer.isOpened():
                if size != (picture.shape[1], picture.shape[0]):
                    logger.info("%s is %d x %d: sides must be even", path, *size)
                if not writer.open(str(part), cv2.VideoWriter.fourcc(*codec), rate_to_write(fps), size):
                    raise OutputError(
                        f"cannot write {path}: OpenCV {cv2.__version__} cannot make {codec} of {size[0]}x{size[1]} at "
                        f"{fps:g} frames per second, or the folder cannot be written"
                    )
            writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield add
            if not writer.isOpened():
                raise OutputError(f"cannot write {path}: there are no frames")
        finally:
            writer.release()
        written = _count_frames(part)
        if written != count:
            raise OutputError(
                f"cannot write {path}: only {written} of {count} frames are in the file; is the disk full?"
            )


def rate_to_write(fps: float) -> float:
    """The nearest frame rate with as many decimals as fit into a video: 239.986 becomes 239.99."""
    for decimals in (3, 2, 1):
        if round(fps, decimals) * 10**decimals <= MAX_RATE_NUMBER:
            return round(fps, decimals)
    return float(round(fps))


def _even(picture: ByteArray) -> ByteArray:
    height, width = picture.shape[:2]
    if height % 2 == width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _count_frames(path: Path) -> int:
    """The number of frames that can be read from a video; 0 if it cannot be opened."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count
