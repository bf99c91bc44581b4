"""The blocks of a Matroska or WebM file: when each frame of the video is shown, and whether the file is whole."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SEGMENT, INFO, TRACKS, CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
IN_SEGMENT = frozenset((INFO, TRACKS, 0x114D9B74, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF))
IN_CLUSTER = frozenset((TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, 0xA7, 0xAB, 0x5854, 0xAF, 0xEC, 0xBF))
VIDEO = 1
INVISIBLE = 0x08
"""A flag of a block."""
VP8_SHOWN = 0x10
"""A bit of a frame of VP8; those without it are not shown."""
LARGEST = 1 << 65
"""More than any time: an integer has 8 bytes at most."""
USUAL_TICK = 1_000_000
"""Nanoseconds of a tick in files that do not say it."""


@dataclass
class _Walk:
    """What is known on the way through a file.

    Attributes:
        tick: Nanoseconds of a tick.
        track: Number of the first video track.
        codec: Its codec.
        cluster: Time of the cluster, in ticks.
        ticks: Times of the frames.
        is_damaged: True if a block is of no track.
    """

    tick: int = USUAL_TICK
    track: int | None = None
    codec: bytes = b""
    cluster: int = 0
    ticks: list[int] = field(default_factory=list)
    is_damaged: bool = False


def frame_times(data: memoryview) -> tuple[npt.NDArray[np.float64] | None, bool]:
    """Seconds at which the frames of the first video track are shown, in order, the first at 0; True if all is whole.

    Args:
        data: The whole file.

    Returns:
        (n,) float64, None if the file is damaged or cut; whether it is not.
    """
    kind, start, size = _second_element(data)
    if kind != SEGMENT:
        return None, True  # nothing that we know
    end = len(data) if size is None else start + size
    walk = _Walk()
    if end > len(data) or not _take_segment(data, start, end, walk) or walk.is_damaged:
        return None, False
    if not walk.ticks:
        return None, True
    if max(walk.tick, *walk.ticks) >= LARGEST:
        return None, False
    times = np.sort(np.array(walk.ticks, np.float64)) * (walk.tick * 1e-9)
    return times - times[0], True


def has_wrong_length(data: memoryview) -> bool:
    """True if the segment is longer than the file, or something follows it."""
    kind, start, length = _second_element(data)
    return kind == SEGMENT and length is not None and start + length != len(data)


def _second_element(data: memoryview) -> tuple[int, int, int | None]:
    """`_element` behind the header of the file, where its segment stands."""
    _, start, size = _element(data, 0)
    return _element(data, start + (size or 0))


def _take_segment(data: memoryview, at: int, end: int, walk: _Walk) -> bool:
    """Go through the elements of the segment; False if there is something between them that is none."""
    while at < end:
        kind, body, size = _element(data, at)
        if kind == CLUSTER:
            after = _take_cluster(data, body, end if size is None else body + size, walk, is_open=size is None)
            if after is None:
                return False
            at = after
        elif kind not in IN_SEGMENT or size is None or body + size > end:
            return False
        else:
            _take(kind, data[body : body + size], walk)
            at = body + size
    return at == end


def _take_cluster(data: memoryview, at: int, end: int, walk: _Walk, *, is_open: bool) -> int | None:
    """Go through the elements of a cluster; where it ends, None if there is something between them that is none."""
    while at < end:
        kind, body, size = _element(data, at)
        if kind not in IN_CLUSTER:
            return at if is_open else None
        if size is None or body + size > end:
            return None
        _take(kind, data[body : body + size], walk)
        at = body + size
    return at if at == end else None


def _take(kind: int, body: memoryview, walk: _Walk) -> None:
    if kind == TIMESTAMP:
        walk.cluster = int.from_bytes(body)
    elif kind == SIMPLE_BLOCK:
        _take_block(body, walk)
    elif kind == BLOCK_GROUP:
        for inner, part in _elements(body):
            if inner == BLOCK:
                _take_block(part, walk)
    elif kind == INFO:
        walk.tick = next((int.from_bytes(part) for inner, part in _elements(body) if inner == 0x2AD7B1), USUAL_TICK)
    elif kind == TRACKS and walk.track is None:
        for inner, part in _elements(body):
            facts = dict(_elements(part)) if inner == 0xAE else {}
            if int.from_bytes(facts.get(0x83, b"")) == VIDEO:
                walk.track, walk.codec = int.from_bytes(facts.get(0xD7, b"")), bytes(facts.get(0x86, b""))
                return


def _take_block(block: memoryview, walk: _Walk) -> None:
    track, at = _number(block, 0)
    walk.is_damaged |= not track
    if track != walk.track or at + 4 > len(block):
        return
    shown = not block[at + 2] & INVISIBLE
    if walk.codec == b"V_VP8":
        shown = shown and bool(block[at + 3] & VP8_SHOWN)
    if shown:
        walk.ticks.append(walk.cluster + int.from_bytes(block[at : at + 2], signed=True))


def _elements(data: memoryview) -> list[tuple[int, memoryview]]:
    """Kinds and bodies of the elements in a part of a file, as far as they fit into it."""
    found, at = [], 0
    while at < len(data):
        kind, body, size = _element(data, at)
        if size is None or body + size > len(data):
            break
        found.append((kind, data[body : body + size]))
        at = body + size
    return found


def _element(data: memoryview, at: int) -> tuple[int, int, int | None]:
    """Kind of the element at a place, where its body begins, and its size; None for one of unknown size."""
    if at >= len(data) or not data[at]:
        return 0, at + 1, 0
    length = 9 - data[at].bit_length()
    kind = int.from_bytes(data[at : at + length])
    size, body = _number(data, at + length)
    return kind, body, size


def _number(data: memoryview, at: int) -> tuple[int | None, int]:
    """A number of variable length, None for "unknown", and where it ends."""
    if at >= len(data) or not data[at]:
        return 0, at + 1
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), at + length
