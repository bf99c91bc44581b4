"""Pictures as a video, which is opened and counted before it takes its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastsam_onnx.arrays import ByteArray, size_of
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.files import complete_file, output_errors, utf8_path
from fastsam_onnx.options import choice

logger = logging.getLogger("fastsam_onnx")

VIDEO_CODECS = {
    ".mp4": {"mpeg4": "mp4v", "h264": "avc1", "vp9": "vp09"},
    ".mov": {"mpeg4": "mp4v", "h264": "avc1"},
    ".mkv": {"mpeg4": "mp4v", "h264": "H264", "vp9": "VP90"},
    ".avi": {"mjpeg": "MJPG", "mpeg4": "mp4v"},
}
"""The kinds of video that are written: by suffix the codecs, the default one first, and their four letters."""
CODECS = ("mpeg4", "h264", "vp9", "mjpeg")
"""Names of codecs. OpenCV's own packages have all but H.264, which depends on the build and the machine."""
MAX_RATE_NUMBER = 65_535
"""MPEG-4 has 16 bits for the numerator of the frame rate, which OpenCV makes of decimals."""


@contextmanager
def video_writer(path: Path, fps: float, codec: str | None = None) -> Iterator[Callable[[ByteArray], None]]:
    """Give a function that adds (H, W, 3) uint8 RGB pictures of one size to a video without sound.

    A picture of odd width or height gets its last column or row twice: codecs store colours for 2 x 2 pixels, and
    OpenCV would cut off what is left over.

    Args:
        path: A name that ends with one of `VIDEO_CODECS`. The file appears at the end, when it is complete.
        fps: Frames per second; rounded to a rate that can be written.
        codec: One of `CODECS`; the first that the suffix has by default.

    Raises:
        OptionError: If such a file does not hold this codec.
        OutputError: If it cannot be written, no picture came, or what was written does not hold every picture (a full
            disk makes OpenCV write less without a word). Nothing half written is left, and an older file is kept.
    """
    import cv2

    letters = _letters(path, codec)
    writer = cv2.VideoWriter()
    count = 0
    with complete_file(path, path.suffix) as part:
        part_path = utf8_path(part)

        def add(picture: ByteArray) -> None:
            nonlocal count
            even = _even(picture)
            size = size_of(even)
            if not writer.isOpened():
                if size != size_of(picture):
                    logger.info("%s is %d x %d: sides must be even", path, *size)
                if not writer.open(part_path, cv2.VideoWriter.fourcc(*letters), rate_to_write(fps), size):
                    raise OutputError(
                        f"cannot write {path}: OpenCV {cv2.__version__} cannot make {letters} of {size[0]}x{size[1]} "
                        f"at {fps:g} frames per second; can the folder be written, is the disk full?"
                    )
            writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield add
            if not writer.isOpened():
                raise OutputError(f"cannot write {path}: there are no frames")
        finally:
            writer.release()
        written = _count_frames(part_path)
        if written != count:
            raise OutputError(
                f"cannot write {path}: only {written} of {count} frames are in the file; is the disk full?"
            )


def check_codec(path: Path, codec: str) -> None:
    """See that this OpenCV can write a codec, by trying it.

    Raises:
        OptionError: If it cannot, or such a file does not hold this codec; the message names those that can be had.
    """
    _letters(path, codec)
    if not _can_write(path.suffix, codec):
        import cv2

        others = [other for other in VIDEO_CODECS[path.suffix.lower()] if _can_write(path.suffix, other)]
        raise OptionError(
            f"this OpenCV ({cv2.__version__}) has no encoder for {codec} here; it can write {path.suffix} as "
            f"{', '.join(others) or 'nothing'}. For other codecs pipe the frames into ffmpeg (--format overlay -o -)"
        )


def _letters(path: Path, codec: str | None) -> str:
    """The four letters of a codec in a kind of file."""
    codecs = VIDEO_CODECS.get(path.suffix.lower())
    if codecs is None:
        raise OutputError(f"cannot write {path}: videos are written as {', '.join(VIDEO_CODECS)}")
    name = next(iter(codecs)) if codec is None else choice("codec", codec, CODECS)
    if name not in codecs:
        raise OptionError(f"the codec of a file that ends with {path.suffix} must be {' or '.join(codecs)}, got {name}")
    return codecs[name]


def _can_write(suffix: str, codec: str) -> bool:
    import cv2

    with output_errors("a temporary video"):
        temporary = TemporaryDirectory()
    with temporary as folder:
        file = Path(folder, "try" + suffix)
        with output_errors(file):
            file_path = utf8_path(file)
        writer = cv2.VideoWriter()
        opened = writer.open(file_path, cv2.VideoWriter.fourcc(*_letters(file, codec)), 25, (64, 64))
        writer.release()
    return opened


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


def _count_frames(path: str) -> int:
    """The number of frames that can be read from a video; 0 if it cannot be opened."""
    import cv2

    capture = cv2.VideoCapture(path)
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count
