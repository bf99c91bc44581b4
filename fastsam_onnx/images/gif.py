"""The frames of a GIF: when each is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HEADER = 13
"""Bytes before the colours that all frames share."""
EXTENSION, PICTURE = 0x21, 0x2C
CONTROL = 0xF9
"""The extension that holds the time for which the next picture is shown."""
USUAL_DELAY = 10
"""Hundredths of a second of a picture without a time, or with 0."""


def frame_times(data: memoryview) -> npt.NDArray[np.float64] | None:
    """Seconds at which the frames are shown, in order, the first at 0; None if the file is cut or damaged.

    Args:
        data: The whole file.
    """
    if len(data) < HEADER:
        return None
    at = HEADER + _colour_bytes(data[10])
    delays, delay = [], 0
    while at < len(data) and data[at] in (EXTENSION, PICTURE):
        if data[at] == EXTENSION:
            if bytes(data[at + 1 : at + 3]) == bytes((CONTROL, 4)):
                delay = int.from_bytes(data[at + 4 : at + 6], "little")
            at += 2
        else:
            if at + 10 >= len(data):
                return None
            delays.append(delay or USUAL_DELAY)
            delay = 0
            at += 11 + _colour_bytes(data[at + 9])
        at = _after_blocks(data, at)
    if at >= len(data) or not delays:
        return None
    return np.cumsum([0, *delays[:-1]]) * 0.01


def _colour_bytes(flags: int) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: memoryview, at: int) -> int:
    """Where the blocks of a picture or an extension end: behind an empty one."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
