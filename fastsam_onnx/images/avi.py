"""The chunks of an AVI file, by its index and as they really follow each other: which frames are lost."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import IntArray

STREAM_HEADER, INDEX_ENTRY = 56, 16
_CHUNK = re.compile(rb"([0-9]{2})(?:dc|db|wb|pc|tx)|LIST|JUNK|ix[0-9]{2}")
INTRA = frozenset((b"MJPG", b"mjpg", b"DIB ", b"HFYU", b"FFV1", bytes(4)))
"""Codecs of which each chunk is a picture."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """The frames of the first video stream. Chunks without bytes hold none: there the one before is shown longer.

    Attributes:
        numbers: (m,) numbers of those that a reader meets, ascending.
        places: (m,) places of these among the chunks that it meets, from which it takes the time.
        true_places: (n,) places of all frames among the chunks that the index has.
        empty: Number of chunks without bytes that the index has.
        fps: Chunks per second.
        is_intra: True if each frame is a picture of its own.
    """

    numbers: IntArray
    places: IntArray
    true_places: IntArray
    empty: int
    fps: float
    is_intra: bool

    @property
    def is_whole(self) -> bool:
        """True if none is lost."""
        return len(self.numbers) == len(self.true_places)


@dataclass(frozen=True)
class _Stream:
    number: int
    of: int
    fps: float
    codec: bytes


def read_chunks(data: memoryview) -> Chunks | None:
    """The frames that the index of a file has, and those of them that are where the index says.

    Bytes that are missing in the middle move all that follows; by how many, the length in the head tells.

    Args:
        data: The whole file.

    Returns:
        None if there is no index, it does not cover all (files above 1 GB), bytes were added, or it makes no sense.
    """
    moved = len(data) - 8 - _size(data, 0)
    if moved == -1:  # the byte that makes a chunk even may be missing
        moved = 0
    stream, movie = _stream(data), _movie(data)
    if moved > 0 or stream is None or movie is None:
        return None
    start, end = movie[0], movie[1] + moved
    if bytes(data[end : end + 4]) != b"idx1":
        return None
    index = _indexed(data[end + 8 : end + 8 + _size(data, end)], stream, start)
    if index is None:
        return None
    places = _places(data, index, moved)
    numbers = [places.get(at) for at in _found(data, start + 4, end, stream)]
    if None in numbers or numbers != sorted(set(numbers)):  # type: ignore[type-var]
        return None
    holds_frame = np.array([size > 0 for _, size in index])
    met = np.array(numbers, np.int64)
    shown = np.flatnonzero(holds_frame[met])
    return Chunks(
        (np.cumsum(holds_frame) - 1)[met[shown]],
        shown,
        np.flatnonzero(holds_frame),
        int((~holds_frame).sum()),
        stream.fps,
        stream.codec in INTRA,
    )


def has_its_frames(data: memoryview) -> bool:
    """True if the list of frames is where it should be, and the file as long as it says."""
    return _movie(data) is not None and not has_wrong_length(data)


def has_wrong_length(data: memoryview) -> bool:
    """True if a file is shorter than it says, or longer: large ones go on with another head."""
    end = 8 + _size(data, 0)
    after = bytes(data[end + end % 2 : end + end % 2 + 4])
    return end > len(data) + 1 or after not in (b"", b"RIFF")  # the byte that makes a chunk even may be missing


def _stream(data: memoryview) -> _Stream | None:
    """The first video stream; None without one, or without a rate."""
    head = bytes(data[: 1 << 16])
    places = [match.start() + 8 for match in re.finditer(rb"strh", head)]
    for number, at in enumerate(places):
        if head[at : at + 4] != b"vids" or at + STREAM_HEADER > len(head):
            continue
        scale, rate = struct.unpack_from("<II", head, at + 20)
        form = head.find(b"strf", at) + 8
        if not scale or not rate or form < 8:
            return None
        return _Stream(number, len(places), rate / scale, head[form + 16 : form + 20])
    return None


def _movie(data: memoryview) -> tuple[int, int] | None:
    """Where the word "movi" stands, and where its list should end."""
    at = 12
    while at + 12 <= len(data):
        size = _size(data, at)
        if bytes(data[at : at + 4]) == b"LIST" and bytes(data[at + 8 : at + 12]) == b"movi":
            return at + 8, at + 8 + size + size % 2
        at += 8 + size + size % 2
    return None


def _indexed(index: memoryview, stream: _Stream, movie: int) -> list[tuple[int, int]] | None:
    """Where the chunks of a stream should be, and their sizes, by the index."""
    entries = np.frombuffer(index[: len(index) // INDEX_ENTRY * INDEX_ENTRY], "S4, <u4, <u4, <u4")
    if not len(entries):
        return None
    base = 0 if entries["f2"][0] > movie else movie
    name = b"%02d" % stream.number
    mine = [bool(re.fullmatch(name + rb"d[bc]", kind)) for kind in entries["f0"].tolist()]
    return [(base + offset, size) for offset, size in entries[["f2", "f3"]][mine].tolist()]


def _places(data: memoryview, index: list[tuple[int, int]], moved: int) -> dict[int, int]:
    """Numbers of the chunks by where they may be; where two may be at one place, the size there tells which."""
    places = {offset: number for number, (offset, _) in enumerate(index)}
    for number, (offset, size) in enumerate(index if moved else []):
        other = places.get(offset + moved)
        if other is None or index[other][1] != size == _size(data, offset + moved):
            places[offset + moved] = number
    return places


def _size(data: memoryview, at: int) -> int:
    """Bytes that a chunk has behind its head."""
    return int.from_bytes(data[at + 4 : at + 8], "little")


def _found(data: memoryview, at: int, end: int, stream: _Stream) -> list[int]:
    """Where chunks of a stream really are, read one after another; behind something else the next one is looked for."""
    found = []
    name = b"%02d" % stream.number
    while at + 8 <= end:
        kind, size = bytes(data[at : at + 4]), _size(data, at)
        match = _CHUNK.fullmatch(kind)
        if match is None or (match[1] is not None and int(match[1]) >= stream.of) or at + 8 + size > end:
            following = _CHUNK.search(data, at + 1, end)
            if following is None:
                break
            at = following.start()
            continue
        if kind == b"LIST":  # a group of chunks
            at += 12
            continue
        if kind[:2] == name and kind[2:] in (b"dc", b"db"):
            found.append(at)
        at += 8 + size + size % 2
    return found
