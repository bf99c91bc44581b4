"""Videos and cameras through OpenCV: frames as RGB pictures, and pictures as a video."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import ImageError, OutputError
from fastsam_onnx.files import complete_file
from fastsam_onnx.images.load import source_name

VIDEO_SUFFIXES = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""The kinds of video that are written, and the codec: those that OpenCV's own packages always have."""
DEFAULT_FPS = 25.0

# MP4 and QuickTime but for pictures, Matroska and WebM, AVI, Flash, Ogg, Windows Media, MPEG program and transport.
_VIDEO = re.compile(
    rb"....ftyp(?!avi[fs]|hei|hev|mif|msf)|....(?:moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\0\0\x01[\xba\xb3]|\x47.{187}\x47",
    re.DOTALL,
)


@runtime_checkable
class Capture(Protocol):
    """The part of a `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802

    def get(self, propId: int) -> float: ...  # noqa: D102, N803

    def read(self) -> tuple[bool, Any]: ...  # noqa: D102

    def release(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Video:
    """A video that is open.

    Attributes:
        capture: OpenCV's object.
        name: Name in messages.
        ours: True if it was opened here, and is closed when the frames end.
    """

    capture: Capture
    name: str
    ours: bool

    @property
    def fps(self) -> float:
        """Frames per second; 25 where the file does not say."""
        import cv2

        found = float(self.capture.get(cv2.CAP_PROP_FPS))
        return found if 0 < found < 1000 else DEFAULT_FPS

    @property
    def frame_count(self) -> int | None:
        """About how many frames there are, None if unknown."""
        import cv2

        count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return count if count > 0 else None

    def frames(self) -> Iterator[ByteArray]:
        """The frames to the end, each (H, W, 3) uint8 RGB, upright where the file tells how it was held."""
        import cv2

        try:
            while True:
                there, frame = self.capture.read()
                if not there:
                    return
                yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            if self.ours:
                self.capture.release()


def is_video(path: Path) -> bool:
    """True if a file begins as videos do; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return _VIDEO.match(file.read(512)) is not None
    except OSError:
        return False


def open_video(source: Path | int | Capture) -> Video:
    """Open a video file or a camera.

    Args:
        source: A file, the number of a camera, or a cv2.VideoCapture, which stays the caller's to close.

    Raises:
        ImageError: If OpenCV cannot open it.
    """
    import cv2

    if isinstance(source, Capture):
        video = Video(source, "the cv2.VideoCapture", ours=False)
    elif isinstance(source, int):
        video = Video(cv2.VideoCapture(source), f"camera {source}", ours=True)
    else:
        video = Video(cv2.VideoCapture(os.fspath(source)), source_name(source), ours=True)
    if not video.capture.isOpened():
        raise ImageError(f"cannot read {video.name}: OpenCV {cv2.__version__} cannot open it as a video")
    return video


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[ByteArray], None]]:
    """Give a function that adds (H, W, 3) uint8 RGB pictures of one size to a video without sound.

    Args:
        path: One of `VIDEO_SUFFIXES`. The file appears at the end, when it is complete.
        fps: Frames per second.

    Raises:
        OutputError: If it cannot be written, or no picture came; nothing half written is left.
    """
    import cv2

    codec = VIDEO_SUFFIXES.get(path.suffix.lower())
    if codec is None:
        raise OutputError(f"cannot write {path}: videos are written as {', '.join(VIDEO_SUFFIXES)}")
    writer = cv2.VideoWriter()
    with complete_file(path, path.suffix) as part:

        def add(picture: ByteArray) -> None:
            size = (picture.shape[1], picture.shape[0])
            if not writer.isOpened() and not writer.open(str(part), cv2.VideoWriter.fourcc(*codec), fps, size):
                raise OutputError(f"cannot write {path}: OpenCV makes no {codec} of {size[0]}x{size[1]} here")
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

        try:
            yield add
            if not writer.isOpened():
                raise OutputError(f"cannot write {path}: there are no frames")
        finally:
            writer.release()
