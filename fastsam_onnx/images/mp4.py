"""The sample table of an MP4 or QuickTime file: when each frame of the video is shown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import IntArray

MAX_SAMPLES = 10_000_000
"""More frames than a video of days has: a damaged table may ask for any number."""


def frame_times(data: memoryview) -> npt.NDArray[np.float64] | None:
    """Seconds at which the frames of the first video track are shown, in order, the first at 0.

    Args:
        data: The whole file.

    Returns:
        (n,) float64; None if the file does not tell, as fragmented ones do, or shows its frames in several pieces.
    """
    scale = 0
    for kind, body in boxes(data, b"moov"):
        if kind == b"mvhd":
            scale = _scale_and_length(body)[0]
        if kind == b"trak" and _is_video(body):
            return _track_times(body, scale)
    return None


def movie_seconds(data: memoryview) -> float | None:
    """The length that the file declares; None if it does not."""
    header = next((body for kind, body in boxes(data, b"moov") if kind == b"mvhd"), None)
    if header is None:
        return None
    scale, length = _scale_and_length(header)
    return length / scale if scale else None


def has_table(data: memoryview) -> bool:
    """True if there is a description of the movie, which many recorders write when they stop."""
    return any(kind == b"moov" for kind, _ in boxes(data))


def has_wrong_length(data: memoryview) -> bool:
    """True if the last box is longer than the file, or something that is none follows it."""
    at = 0
    while at + 8 <= len(data):
        length, kind, _ = _head(data, at)
        if not length:  # to the end, or zeros that a recorder left
            return False
        if not all(32 <= letter < 127 or letter == 0xA9 for letter in kind):
            return True
        at += length
    return at > len(data)


def boxes(data: memoryview, *path: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kinds and bodies of the boxes in a part of a file, or in the first box of a kind in it, and so on."""
    if path:
        inner = next((body for kind, body in boxes(data) if kind == path[0]), None)
        if inner is not None:
            yield from boxes(inner, *path[1:])
        return
    at = 0
    while at + 8 <= len(data):
        length, kind, start = _head(data, at)
        end = at + length if length else len(data)
        yield kind, data[at + start : end]
        at = end


def _head(data: memoryview, at: int) -> tuple[int, bytes, int]:
    """Length of a box, 0 for one that goes to the end; its kind; where its body begins in it."""
    length, kind = int.from_bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8])
    if length == 1:
        return max(int.from_bytes(data[at + 8 : at + 16]), 16), kind, 16
    return (max(length, 8) if length else 0), kind, 8


def _is_video(track: memoryview) -> bool:
    return any(kind == b"hdlr" and bytes(body[8:12]) == b"vide" for kind, body in boxes(track, b"mdia"))


def _scale_and_length(header: memoryview) -> tuple[int, int]:
    """Ticks a second and number of ticks of an mvhd or mdhd box; zeros if it is too short."""
    if len(header) < (32 if bytes(header[:1]) == b"\1" else 20):
        return 0, 0
    if header[0] == 1:
        return int.from_bytes(header[20:24]), int.from_bytes(header[24:32])
    return int.from_bytes(header[12:16]), int.from_bytes(header[16:20])


def _track_times(track: memoryview, movie_scale: int) -> npt.NDArray[np.float64] | None:
    scale = next((_scale_and_length(body)[0] for kind, body in boxes(track, b"mdia") if kind == b"mdhd"), 0)
    table = dict(boxes(track, b"mdia", b"minf", b"stbl"))
    size = table.get(b"stsz", memoryview(b""))
    count = int.from_bytes(size[8:12])
    if not scale or not 0 < count <= MAX_SAMPLES:
        return None
    steps = _runs(table.get(b"stts"), count)
    offsets = _runs(table.get(b"ctts"), count) if b"ctts" in table else np.zeros(count, np.int64)
    if steps is None or offsets is None:
        return None
    shown = np.sort(np.concatenate([[0], np.cumsum(steps[:-1])]) + offsets)
    edits = [body for kind, body in boxes(track, b"edts") if kind == b"elst"]
    if edits:
        span = _shown_span(edits[0])
        if span is None or not movie_scale:
            return None
        start, length = span[0], span[1] * scale / movie_scale
        shown = shown[(shown >= start) & ((shown < start + length - 0.5) if length else True)]
    if not shown.size:
        return None
    seconds: npt.NDArray[np.float64] = (shown - shown[0]) / scale
    return seconds


def _runs(box: memoryview | None, count: int) -> IntArray | None:
    """The values of a table of (how many, value), of which there must be `count`."""
    if box is None:
        return None
    entries = int.from_bytes(box[4:8])
    if len(box) < 8 + 8 * entries:
        return None
    pairs = np.frombuffer(box[8 : 8 + 8 * entries], ">i4").reshape(-1, 2).astype(np.int64)
    if (pairs[:, 0] < 0).any() or pairs[:, 0].sum() != count:
        return None
    return np.repeat(pairs[:, 1], pairs[:, 0])


def _shown_span(edits: memoryview) -> tuple[int, int] | None:
    """Start in ticks of the track and length in ticks of the movie of the one piece that is shown; None for several."""
    wide = bytes(edits[:1]) == b"\1"
    size, half = (20, 8) if wide else (12, 4)
    count = int.from_bytes(edits[4:8])
    pieces = []
    for at in range(8, min(8 + size * count, len(edits) - size + 1), size):
        length = int.from_bytes(edits[at : at + half])
        start = int.from_bytes(edits[at + half : at + 2 * half], signed=True)
        if start >= 0:  # -1 is a pause before the first frame
            pieces.append((start, length))
    return pieces[0] if len(pieces) == 1 else None
