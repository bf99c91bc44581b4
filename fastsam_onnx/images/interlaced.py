"""Interlaced videos, of which OpenCV from 4.13 on gives one picture again and again, of whatever was in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FRAMES = 12
"""Number of frames that are looked at where all are alike."""
PACKETS = slice(1, 9)
"""Those of their packets that tell: the first is a whole picture always, later ones may be of later frames."""
MOST_STILL = 1 / 400
"""Bytes for each pixel beyond which a packet is none of a picture that stays the same."""
LEAST_MOVING = 3
"""Number of packets beyond that of which frames cannot be alike."""


def gives_no_pictures(path: Path) -> bool:
    """True if the first frames that OpenCV gives of a video are alike to the last bit, and their packets are not.

    Of a video that stands still packets are a few hundred bytes, or, of codecs without memory, all the same.
    """
    pixels = _pixels_if_alike(path)
    if not pixels:
        return False
    packets = _packets(path)[PACKETS]
    large = {packet for packet in packets if len(packet) > max(pixels * MOST_STILL, 200)}
    return len(large) >= LEAST_MOVING


def _pixels_if_alike(path: Path) -> int:
    """Pixels of a frame if there are so many, and all are the same, else 0."""
    before, alike = None, 0
    with closing(_read(path, [])) as frames:
        for frame in frames:
            if before is not None and not np.array_equal(frame, before):
                return 0
            before, alike = frame, alike + 1
    return before.shape[0] * before.shape[1] if before is not None and alike == FRAMES else 0


def _packets(path: Path) -> list[bytes]:
    """The packets of the first frames, as the file has them; none where OpenCV cannot give them."""
    import cv2

    return [packet.tobytes() for packet in _read(path, [cv2.CAP_PROP_FORMAT, -1])]


def _read(path: Path, options: list[int]) -> Generator[npt.NDArray[Any], None, None]:
    """What OpenCV gives at first, up to the first time that it gives nothing."""
    capture = _opened(path, options)
    try:
        for _ in range(FRAMES):
            there, given = capture.read()
            if not there or given is None:
                break
            yield given
    finally:
        capture.release()


def _opened(path: Path, options: list[int]) -> Any:
    import cv2

    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, options)
