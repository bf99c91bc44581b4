"""Videos and cameras through OpenCV: frames as RGB pictures with their numbers and times.

OpenCV says the same of a frame that it cannot decode and of the end: no frame. It goes on if asked again, so it is
asked again; the container, or else times, then tell which frames are missing, and each has a place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import ImageError
from fastsam_onnx.files import is_file, utf8_path
from fastsam_onnx.images.clock import Clock
from fastsam_onnx.images.contents import (
    GIF,
    Contents,
    counts_frames,
    is_cut,
    lacks_table,
    movie_seconds,
    read_contents,
)
from fastsam_onnx.images.interlaced import gives_no_pictures
from fastsam_onnx.images.load import MissingPicture, load_image, source_name
from fastsam_onnx.log import warn

DEFAULT_FPS = 25.0
ROUNDING = 0.001
"""Seconds to which containers round times."""
MAX_FPS = 1000
"""More is not the rate of a video but the clock of a file that does not say it."""
ENOUGH_FPS = 60
"""The highest rate of a copy whose frames come faster only now and then: it is paid for in pictures that are held."""
TRIES = 64
"""Times that a file is asked for another frame after it gave none, where it does not say how many it has."""
MAX_TRIES = 10_000
"""The same where it says more: reading on behind the end costs microseconds a time."""
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
    def copy_fps(self) -> float:
        """Frames per second of a copy of constant rate, in which frames that come fast have a place each.

        The average is too low for it after pauses, as recorded screens have them. And of videos that do not say their
        rate, as browsers record them, the reader tells the clock, 1000. So the container's times decide.
        """
        fps = self.fps
        contents = Contents() if self.path is None else read_contents(self.path)
        steps = np.diff(contents.seconds)
        steps = steps[steps > 0]
        if not steps.size or not contents.has_frames(fps):
            return fps
        short, mean = float(np.percentile(steps, 10)), float(steps.mean())
        if abs(short * fps - 1) < 0.1:
            usual = float(np.median(steps))
            return fps if abs(usual - 1 / fps) < ROUNDING else 1 / usual
        return min(1 / short, max(ENOUGH_FPS, 1 / mean))

    @property
    def frame_count(self) -> int | None:
        """Number of frames that the file declares, about; None if it does not, or only a length by its clock."""
        import cv2

        if self._told(cv2.CAP_PROP_FPS) > MAX_FPS:
            return None
        return int(self._told(cv2.CAP_PROP_FRAME_COUNT)) or None

    def frames(self) -> Iterator[Frame]:
        """The frames to the end.

        A frame that is lost has a place of its own; those that should follow the last one have one place together.
        """
        self._check_pictures()
        fps, declared = self.fps, self.frame_count
        number, failures, clock = self._first_number(declared), 0, Clock(fps, self.path, declared)
        try:
            while True:
                there, image = self.capture.read()
                if not there:
                    failures += 1
                    if self._is_over(failures, number, declared):
                        break
                    continue
                lost = clock.read(self._told_seconds(), failures, number)
                for place in range(lost):
                    yield Frame(
                        number, clock.seconds_of(number, lost - place), self._missing(number, "it cannot be decoded"), 1
                    )
                    number += 1
                failures = 0
                yield Frame(number, clock.seconds, self._picture(image))
                number += 1
            yield from self._end(number, clock, declared)
        finally:
            if self.ours:
                self.capture.release()

    def _check_pictures(self) -> None:
        """ImageError if OpenCV gives no pictures of a file, and says that it does."""
        if self.ours and self.path is not None and gives_no_pictures(self.path):
            import cv2

            raise ImageError(
                f"cannot read {self.name}: OpenCV {cv2.__version__} gives the same picture for all its frames, which "
                "differ; it does so of interlaced videos from 4.13 on: make a copy that is not, such as by "
                "ffmpeg -i VIDEO -vf yadif COPY.mp4"
            )

    def _first_number(self, declared: int | None) -> int:
        """The number of the next frame: not 0 if somebody's capture was read or set to a place before."""
        import cv2

        return 0 if self.ours else min(int(self._told(cv2.CAP_PROP_POS_FRAMES)), declared or 0)

    def _told_seconds(self) -> float:
        """Time of the frame that was just read, as OpenCV tells it."""
        import cv2

        return self._told(cv2.CAP_PROP_POS_MSEC) / 1000

    def _told(self, what: int) -> float:
        """What OpenCV or somebody's object tells, 0 or more; 0 for what is no such number: NaN, infinity, -1."""
        value = float(self.capture.get(what))
        return value if 0 <= value < math.inf else 0.0

    def _is_over(self, failures: int, number: int, declared: int | None) -> bool:
        """True if it is no use to ask for another frame: a camera is gone, a file is at its end."""
        if self.path is None and declared is None:
            return True
        left = TRIES if declared is None else max(declared - number, 0) + DECLARED_TOO_MANY
        return failures > min(left, MAX_TRIES)

    def _end(self, number: int, clock: Clock, declared: int | None) -> Iterator[Frame]:
        """The place of the frames that should follow the last one."""
        if not number and (self.path is not None or declared is not None):
            raise ImageError(f"cannot read {self.name}: it holds no frames that can be decoded")
        if self.ours and self.path is None:  # a camera, which has no end of its own
            if not number:
                raise ImageError(f"cannot read {self.name}: it gives no frames; does another program use it?")
            warn("%s: it stopped after %d frames; was it unplugged?", self.name, number)
        if clock.jumps and not clock.contents.empty:
            place, seconds = clock.jumps[0]
            warn(
                "%s: time jumps %d times over frames, first after frame %d at %.3f s: its rate varies or it is damaged",
                *(self.name, len(clock.jumps), place, seconds),
            )
        count = clock.count if declared != number or clock.owed else declared
        if declared and declared != number:
            declared -= clock.contents.empty
        missing = ((declared if count is None else count) or 0) - number
        if missing > 0 and (count is not None or self._is_certain(missing, clock)):
            of = number + missing
            reason = f"{missing} of the {of} frames that the file declares are missing; is it cut or damaged?"
            yield Frame(number, clock.seconds + 1 / clock.fps, self._missing(number, reason), missing)
        elif count is None and declared and missing and not clock.reaches(declared):
            # The number may be an estimate, from a length with sound.
            warn("%s: %d frames were read, of about %d that it declares", self.name, number, declared)
        elif not clock.lost and self.path is not None and is_cut(self.path):
            warn("%s: %d frames were read, but the file is not as long as it says", self.name, number)

    def _is_certain(self, missing: int, clock: Clock) -> bool:
        """True if frames are lost for certain, where the container does not tell each of them."""
        if clock.owed or self.path is None:
            return clock.owed > 0
        if is_cut(self.path) or not clock.contents.is_whole:
            return True
        if missing <= DECLARED_TOO_MANY or not counts_frames(self.path):
            return False
        # A clip that was trimmed keeps frames that are not shown; then the last one comes at the end all the same.
        length = movie_seconds(self.path)
        return length is None or clock.seconds + 2.5 / clock.fps < length

    def name_of(self, number: int) -> str:
        """Name of a frame in messages and results, such as "clip.mp4#12"."""
        return f"{self.name}#{number}"

    def _missing(self, number: int, reason: str) -> MissingPicture:
        return MissingPicture(self.name_of(number), reason)

    def _picture(self, image: Any) -> ByteArray:
        if not isinstance(image, np.ndarray):
            raise ImageError(f"cannot read {self.name}: read() must give a picture, got {type(image).__name__}")
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            import cv2

            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        return load_image(image, channel_order="bgr", pixel_limit=None)  # without OpenCV's conversion: 16 bits, grey


def is_video(path: Path, *, or_gif: bool = False) -> bool:
    """True if a file begins as videos do; False if it cannot be read, or is a FIFO: that could take for ever.

    Args:
        path: The file.
        or_gif: True if GIF counts, which is a photo where nothing says that its frames are meant.
    """
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            first = file.read(512)
    except OSError:
        return False
    return _VIDEO.match(first) is not None or (or_gif and first.startswith(GIF))


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
        name = source_name(source)
        try:
            video = Video(cv2.VideoCapture(utf8_path(source)), name, source, ours=True)
        except ValueError as error:
            raise ImageError(f"cannot read {name}: {error}") from error
    if not video.capture.isOpened():
        if video.path is not None and lacks_table(video.path):
            raise ImageError(
                f"cannot read {video.name}: it has no table of its frames (moov), which recorders write when they "
                "stop; was it cut off, or copied only in part?"
            )
        raise ImageError(f"cannot read {video.name}: OpenCV {cv2.__version__} cannot open it as a video")
    return video
