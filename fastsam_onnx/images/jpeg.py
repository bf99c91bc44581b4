"""The markers of a JPEG stream: its size, and that its end is there."""

from __future__ import annotations

import re
import struct

from fastsam_onnx.errors import ImageError

MAX_SCANS = 500
"""More than any encoder writes: each costs libjpeg a pass over the whole picture."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither stuffing, fill bytes nor restart markers
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def scan_jpeg(data: bytes | memoryview) -> tuple[tuple[int, int], bytes]:
    """Go through the markers up to the end of the picture.

    Args:
        data: The stream from its first byte.

    Returns:
        (width, height), and the EXIF block, empty if there is none.

    Raises:
        ImageError: If the stream is cut short or damaged, or no picture needs so many scans.
    """
    at, scans, size, exif = 2, 0, (0, 0), b""
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            if not 1 <= scans <= MAX_SCANS:
                raise ImageError(f"the JPEG file has {scans} scans; 1 to {MAX_SCANS} are read")
            return (size[1], size[0]), exif
        if marker == 0x01:  # it stands alone
            continue
        length = int.from_bytes(data[at : at + 2])
        if length < 2 or at + length > len(data):
            raise ImageError("the JPEG file is cut short or damaged; fetch or save it again")
        if marker in _FRAMES:
            if size != (0, 0):
                raise ImageError("the JPEG file declares two sizes")
            size = struct.unpack_from(">HH", data, at + 3)
        elif marker == 0xDA:
            scans += 1
        elif marker == 0xE1 and not exif and data[at + 2 : at + 8] == b"Exif\0\0":
            exif = bytes(data[at + 2 : at + length])
        at += length
    raise ImageError("the JPEG file is cut short: its end marker is missing; fetch or save it again")
