"""The frames of a video by its container, beside those that a decoder gives: which are there, when, and which are lost.

Decoders go on behind damage without a word. The tables of MP4, the blocks of Matroska and the index of AVI tell what
should have come, and the delays of GIF; transport streams only that something is missing.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import IntArray
from fastsam_onnx.images import avi, gif, matroska, mp4, transport

_BOXES = re.compile(rb"....(?:ftyp|moov|mdat|wide|free|skip)", re.DOTALL)
RIFF, MATROSKA = b"RIFF", b"\x1a\x45\xdf\xa3"
GIF, GIF_END = b"GIF8", b";"
Kind = Literal["avi", "gif", "matroska", "mp4", "transport"]
NEAR = 0.002
"""Seconds by which a decoder's time may differ from the container's: Matroska counts milliseconds."""
FIELD_TIME = 0.7
"""Share of the mean time between frames; a lower mean is that between half frames, two of which make one."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What a container says of the frames of its first video track.

    Attributes:
        is_whole: False if some of its bytes are certainly damaged or missing.
        times: (m,) float64: seconds at which a reader that goes through the file meets frames, ascending, from 0.
        numbers: (m,) int64: their numbers in the video.
        seconds: (n,) float64: ascending true times of all frames of the video, also of lost ones; empty if not told.
        is_exact: True if each of them is shown: a frame that did not come is lost for certain.
        counts_chunks: True if `times` are not stored, but come from the number of chunks met.
        empty: Number of chunks that are counted as frames and hold none: the frame before is shown longer.
    """

    is_whole: bool = True
    times: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    numbers: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    is_exact: bool = True
    counts_chunks: bool = False
    empty: int = 0

    def number_at(self, seconds: float) -> int | None:
        """The number of the frame that a reader meets at a time; None if there is none near it."""
        place = int(np.searchsorted(self.times, seconds - NEAR))
        if place == len(self.times) or self.times[place] > seconds + NEAR:
            return None
        return int(self.numbers[place])

    def has_frames(self, fps: float) -> bool:
        """True if it tells of frames at about this mean rate, not of half frames, which interlaced videos may store."""
        steps = self.seconds.size - 1
        return steps == 0 or (steps > 0 and float(self.seconds[-1] - self.seconds[0]) / steps > FIELD_TIME / fps)


def read_contents(path: Path) -> Contents:
    """What the container of a video says; nothing if it cannot be read or is of another kind."""
    kind, data = _opened(path)
    if kind == "avi":
        return _of_avi(data)
    if kind == "matroska":
        times, is_whole = matroska.frame_times(data)
        return _of_times(times, is_whole)
    if kind == "mp4":
        return _of_times(mp4.frame_times(data), True)
    if kind == "gif":
        return _of_times(gif.frame_times(data), True)
    return Contents(kind != "transport" or transport.is_whole(data))


def is_cut(path: Path) -> bool:
    """True if the length of a video is not what it says, or it ends within a packet."""
    kind, data = _opened(path)
    if kind == "avi":
        return avi.has_wrong_length(data)
    if kind == "matroska":
        return matroska.has_wrong_length(data)
    if kind == "mp4":
        return mp4.has_wrong_length(data)
    if kind == "gif":
        return not bytes(data[-4:]).rstrip(b"\0").endswith(GIF_END)
    return kind == "transport" and len(data) % transport.PACKET > 0


def counts_frames(path: Path) -> bool:
    """True if a container counts its frames: AVI, MP4 and QuickTime. Others tell a length in time."""
    kind, _ = _opened(path)
    return kind in ("avi", "mp4")


def lacks_table(path: Path) -> bool:
    """True if an MP4 or QuickTime file has no table of its frames, without which nothing of it can be read."""
    kind, data = _opened(path)
    return kind == "mp4" and not mp4.has_table(data)


def movie_seconds(path: Path) -> float | None:
    """The length that an MP4 or QuickTime file declares; None for others, or if it does not."""
    kind, data = _opened(path)
    return mp4.movie_seconds(data) if kind == "mp4" else None


def _opened(path: Path) -> tuple[Kind | None, memoryview]:
    """The kind of a container by its first bytes, None for others, and its bytes; none if it cannot be read."""
    data = _mapped(path)
    if data is None:
        return None, memoryview(b"")
    first = bytes(data[:4])
    if first == RIFF:
        return "avi", data
    if first == MATROSKA:
        return "matroska", data
    if first == GIF:
        return "gif", data
    if _BOXES.match(data):
        return "mp4", data
    return "transport" if data[0] == transport.SYNC else None, data


def _mapped(path: Path) -> memoryview | None:
    """The bytes of a file, read as they are looked at; None if it has none, or cannot be read."""
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None


def _of_times(times: npt.NDArray[np.float64] | None, is_whole: bool) -> Contents:
    if times is None:
        return Contents(is_whole)
    return Contents(is_whole, times, np.arange(len(times)), times)


def _of_avi(data: memoryview) -> Contents:
    chunks = avi.read_chunks(data)
    if chunks is None:
        return Contents(avi.has_its_frames(data))
    if chunks.is_whole and not chunks.is_intra:  # frames that are looked into, and come later, may shift the times
        return Contents(empty=chunks.empty)
    return Contents(
        chunks.is_whole,
        chunks.places / chunks.fps,
        chunks.numbers,
        chunks.true_places / chunks.fps,
        is_exact=chunks.is_intra,
        counts_chunks=True,
        empty=chunks.empty,
    )
