"""Videos and cameras through OpenCV: frames as RGB pictures with their numbers and times.

OpenCV says the same of a frame that it cannot decode and of the end: no frame. It goes on if asked again, so it is
asked again; times then tell which frames are missing, and each has a place.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import ImageError
from fastsam_onnx.images.load import MissingPicture, load_image, source_name

logger = logging.getLogger("fastsam_onnx")

DEFAULT_FPS = 25.0
MAX_FPS = 1000
"""More is not the rate of a video but the clock of a file that does not say it."""
TRIES = 64
"""Times that a file is asked for another frame after it gave none, where it does not say how many it has."""
MAX_TRIES = 10_000
"""The same where it says more: reading on behind the end costs microseconds a time."""
USUALLY_REGULAR = 0.8
"""Share of frames that come one after the other in a video of steady rate."""
MOVIE_HEADER_WITHIN = 1 << 12
"""Bytes at the beginning of a movie's description, whose header comes first."""
DECLARED_TOO_MANY = 2
"""Frames that healthy files declare and do not hold: of a group that was cut off, say."""

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
class Frame:
    """A frame of a video, or the place of frames that are missing.

    Attributes:
        number: Number in the video, from 0.
        seconds: Time in the video.
        picture: (H, W, 3) uint8 RGB, upright where the file tells how it was held; or why there is none.
        missing: Number of frames that are missing here: 0 for a picture.
    """

    number: int
    seconds: float
    picture: ByteArray | MissingPicture
    missing: int = 0


@dataclass(frozen=True, eq=False)
class Video:
    """A video that is open.

    Attributes:
        capture: OpenCV's object.
        name: Name in messages.
        path: The file; None for a camera or somebody's cv2.VideoCapture.
        ours: True if it was opened here, and is closed when the frames end.
    """

    capture: Capture
    name: str
    path: Path | None
    ours: bool

    @property
    def fps(self) -> float:
        """Frames per second, on average; 25 where the file does not say."""
        import cv2

        found = float(self.capture.get(cv2.CAP_PROP_FPS))
        return found if 0 < found <= MAX_FPS else DEFAULT_FPS

    @property
    def frame_count(self) -> int | None:
        """Number of frames that the file declares, about; None if it does not."""
        import cv2

        count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return count if count > 0 else None

    def frames(self) -> Iterator[Frame]:
        """The frames to the end.

        A frame that cannot be decoded has a place of its own; those that the file declares and does not hold have one
        place together at the end.
        """
        fps, declared = self.fps, self.frame_count
        number, failures, clock = 0, 0, _Clock(fps)
        try:
            while True:
                there, image = self.capture.read()
                if not there:
                    failures += 1
                    if self._is_over(failures, number, declared):
                        break
                    continue
                lost = clock.read(self.capture, failures, number)
                for place in range(lost):
                    seconds = clock.seconds - (lost - place) / fps
                    yield Frame(number, seconds, self._missing(number, "it cannot be decoded"), 1)
                    number += 1
                failures = 0
                yield Frame(number, clock.seconds, self._picture(image))
                number += 1
            yield from self._end(number, clock, declared)
        finally:
            if self.ours:
                self.capture.release()

    def _is_over(self, failures: int, number: int, declared: int | None) -> bool:
        """True if it is no use to ask for another frame: a camera is gone, a file is at its end."""
        if self.path is None and declared is None:
            return True
        left = TRIES if declared is None else max(declared - number, 0) + DECLARED_TOO_MANY
        return failures > min(left, MAX_TRIES)

    def _end(self, number: int, clock: _Clock, declared: int | None) -> Iterator[Frame]:
        """The place of the frames that should follow the last one."""
        if not number and (self.path is not None or declared is not None):
            raise ImageError(f"cannot read {self.name}: it holds no frames that can be decoded")
        missing = (declared or 0) - number
        is_damaged = clock.owed > 0 or (self.path is not None and is_cut(self.path))
        is_certain = missing > DECLARED_TOO_MANY and self.path is not None and counts_frames(self.path)
        if is_certain and self.path is not None and (length := movie_seconds(self.path)) is not None:
            # A clip that was trimmed keeps frames that are not shown; then the last one comes at the end all the same.
            is_certain = clock.seconds + 2.5 / clock.fps < length
        if clock.jumps:
            place, seconds = clock.jumps[0]
            logger.warning(
                "%s: time jumps %d times over frames, first after frame %d at %.3f s: its rate varies or it is damaged",
                *(self.name, len(clock.jumps), place, seconds),
            )
        if not declared or not missing:
            return
        if missing < 0 or not (is_damaged or is_certain):  # the number may be an estimate, from a length with sound
            logger.warning("%s: %d frames were read, of about %d that it declares", self.name, number, declared)
            return
        reason = f"{missing} of the {declared} frames that the file declares are missing; is it cut or damaged?"
        yield Frame(number, clock.seconds + 1 / clock.fps, self._missing(number, reason), missing)

    def _missing(self, number: int, reason: str) -> MissingPicture:
        return MissingPicture(f"{self.name}#{number}", reason)

    def _picture(self, image: Any) -> ByteArray:
        if not isinstance(image, np.ndarray):
            raise ImageError(f"cannot read {self.name}: read() must give a picture, got {type(image).__name__}")
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            import cv2

            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        return load_image(image, channel_order="bgr", pixel_limit=None)  # without OpenCV's conversion: 16 bits, grey


class _Clock:
    """The time of the last frame, and how many frames went missing before it.

    Attributes:
        fps: Frames per second.
        seconds: Time of the last frame.
        owed: Number of reads without a frame that no gap in time has explained yet.
        jumps: (number of a frame, its time) before each gap that no failure explains, in a video of steady rate.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self.seconds, self.owed = fps, 0.0, 0
        self.jumps: list[tuple[int, float]] = []
        self._is_first, self._regular = True, 0

    def read(self, capture: Capture, failures: int, number: int) -> int:
        """Look at the time of the frame that was just read; gives the number of frames lost before it.

        A decoder that orders frames anew fails before it gives the frames before the lost one. So failures are
        remembered until time makes a jump; without failures a jump is a pause of a video of variable rate.
        """
        import cv2

        self.owed += failures
        seconds = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if self._is_first:
            self._is_first, self.seconds = False, max(seconds, 0.0)
            lost = round(self.seconds * self.fps) if self.owed else 0
        elif seconds > self.seconds:
            steps = round((seconds - self.seconds) * self.fps)
            lost = max(steps - 1, 0) if self.owed else 0
            if steps > 1 and not lost and self._regular > USUALLY_REGULAR * number:
                self.jumps.append((number - 1, self.seconds))
            self._regular += steps == 1
            self.seconds = seconds
        else:  # a source without a clock
            lost = self.owed
            self.seconds += (lost + 1) / self.fps
        self.owed = max(self.owed - lost, 0)
        return lost


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
        video = Video(source, "the cv2.VideoCapture", None, ours=False)
    elif isinstance(source, int):
        video = Video(cv2.VideoCapture(source), f"camera {source}", None, ours=True)
    else:
        video = Video(cv2.VideoCapture(os.fspath(source)), source_name(source), Path(source), ours=True)
    if not video.capture.isOpened():
        raise ImageError(f"cannot read {video.name}: OpenCV {cv2.__version__} cannot open it as a video")
    return video


def counts_frames(path: Path) -> bool:
    """True if a container counts its frames: AVI, MP4 and QuickTime. Others tell a length in time."""
    with path.open("rb") as file:
        return re.match(rb"RIFF....AVI |....(?:ftyp|moov|mdat|wide|free|skip)", file.read(16), re.DOTALL) is not None


def is_cut(path: Path) -> bool:
    """True if a video says that it is longer than it is: AVI, MP4, QuickTime, Matroska and WebM do."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size + 1  # the byte that makes a chunk even may be missing
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _matroska_end(head) > size
        at = 0
        while counts_frames(path) and at + 8 <= size:
            file.seek(at)
            length = int.from_bytes(file.read(4))
            if length == 1:
                file.seek(at + 8)
                length = int.from_bytes(file.read(8))
            if length == 0:  # to the end
                return False
            at += max(length, 8)
        return at > size


def movie_seconds(path: Path) -> float | None:
    """The length that an MP4 or QuickTime file declares; None for others, or if it does not."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if not counts_frames(path) or file.read(4) == b"RIFF":
            return None
        at = 0
        while at + 8 <= size:
            file.seek(at)
            length, kind = int.from_bytes(file.read(4)), file.read(4)
            if length == 1:
                length = int.from_bytes(file.read(8))
            if kind == b"moov":
                return _movie_header_seconds(file.read(MOVIE_HEADER_WITHIN))
            at += max(length, 8) if length else size
    return None


def _movie_header_seconds(moov: bytes) -> float | None:
    at = moov.find(b"mvhd") + 4
    if at < 4 or at + 32 > len(moov):
        return None
    if moov[at] == 1:
        scale, length = int.from_bytes(moov[at + 20 : at + 24]), int.from_bytes(moov[at + 24 : at + 32])
    else:
        scale, length = int.from_bytes(moov[at + 12 : at + 16]), int.from_bytes(moov[at + 16 : at + 20])
    return length / scale if scale else None


def _matroska_end(head: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 if it does not say it."""
    at = 4
    size, at = _matroska_number(head, at)
    at += size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    size, at = _matroska_number(head, at + 4)
    return at + size if size else 0


def _matroska_number(head: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, 0 if it is unknown, and where it ends."""
    if at >= len(head) or not head[at]:
        return 0, at + 1
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length]) & ((1 << 7 * length) - 1)
    return (0 if value == (1 << 7 * length) - 1 else value), at + length
