"""TIFF by hand: the first directory, what it says, and its parts as TIFF files of their own.

The strips or tiles of a TIFF are compressed one by one (TIFF 6.0, sections 3 and 15). A file with some of them, the
same tags and a smaller height is a picture of those rows alone, which any decoder reads.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from fastsam_onnx.errors import ImageError

Alpha = Literal["straight", "premultiplied", "none"]
ByteOrder = Literal["<", ">"]

ORIENTATION = 274
"""The tag that EXIF has too."""
MAX_TILE_PIXELS = 1 << 26
"""Larger tiles are refused: libtiff allocates a whole tile, however small the picture is."""

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIP_OFFSETS = 256, 257, 258, 262, 273
_SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANES = 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _EXTRA = 322, 323, 324, 325, 338
# What the samples mean and how they are compressed: bits, compression, colour space, fill order, samples, planes,
# predictor, palette, extra samples, sample format, JPEG tables and YCbCr.
_KEPT = (_BITS, 259, _PHOTOMETRIC, 266, _SAMPLES, _PLANES, 317, 320, _EXTRA, 339, 347, 530, 531, 532)
_LONG = 4
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, eq=False)
class TiffDirectory:
    """The first directory of a TIFF structure: where the values of each tag lie.

    Attributes:
        data: The file.
        order: Byte order.
        pointer: Letter of the struct module for an offset: "Q" in BigTIFF.
        entries: (type, count, position) of the values by tag.
        next_position: Position of the offset of the next directory.
    """

    data: bytes | mmap.mmap
    order: ByteOrder
    pointer: Literal["I", "Q"]
    entries: dict[int, tuple[int, int, int]]
    next_position: int

    def raw(self, tag: int) -> bytes:
        """The bytes of a tag's values; empty if it is missing or of an unknown type.

        Raises:
            ImageError: If they do not lie in the file.
        """
        kind, count, position = self.entries.get(tag, (0, 0, 0))
        size = _TYPE_BYTES.get(kind, 0) * count
        if position + size > len(self.data):
            raise _cut_short()
        return self.data[position : position + size]

    def values(self, tag: int) -> tuple[int, ...]:
        """The integers of a tag; empty if it is missing or holds none.

        Raises:
            ImageError: If they do not lie in the file.
        """
        kind, count, _ = self.entries.get(tag, (0, 0, 0))
        letter = _INTEGER_LETTERS.get(kind)
        return struct.unpack(f"{self.order}{count}{letter}", self.raw(tag)) if letter else ()

    def first(self, tag: int, default: int) -> int:
        """The first integer of a tag."""
        return next(iter(self.values(tag)), default)

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels as stored; 0 if the file does not say it."""
        return self.first(_WIDTH, 0), self.first(_HEIGHT, 0)


def read_directory(data: bytes | mmap.mmap) -> TiffDirectory:
    """Read the first directory of a TIFF structure.

    Raises:
        ImageError: If it is not one, or the directory does not lie in the data.
    """
    if data[:4] not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        raise ImageError("not a TIFF structure")
    order: ByteOrder = "<" if data[:1] == b"I" else ">"
    big = b"+" in data[:4]
    pointer: Literal["I", "Q"] = "Q" if big else "I"
    entry_bytes, inline_bytes, count_letter = (20, 8, "Q") if big else (12, 4, "H")
    try:
        (start,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + count_letter, data, min(start, len(data)))
    except struct.error:
        raise _cut_short() from None
    start += struct.calcsize(order + count_letter)
    end = start + count * entry_bytes
    if end > len(data):
        raise _cut_short()
    entries: dict[int, tuple[int, int, int]] = {}
    for at in range(start, end, entry_bytes):
        tag, kind, values = struct.unpack_from(order + "HH" + pointer, data, at)
        position = at + entry_bytes - inline_bytes
        if _TYPE_BYTES.get(kind, 0) * values > inline_bytes:
            (position,) = struct.unpack_from(order + pointer, data, position)
        if kind in _TYPE_BYTES:
            entries.setdefault(tag, (kind, values, position))  # like libtiff, which goes by the first of its kind
    return TiffDirectory(data, order, pointer, entries, end)


def check_parts(directory: TiffDirectory) -> None:
    """See that all strips or tiles lie within the file.

    Raises:
        ImageError: If they do not, or are larger than any picture needs.
    """
    width, height = directory.image_size
    offsets = directory.values(_STRIP_OFFSETS) or directory.values(_TILE_OFFSETS)
    sizes = directory.values(_STRIP_BYTES) or directory.values(_TILE_BYTES) or (0,) * len(offsets)
    if directory.values(_TILE_OFFSETS):
        tile_width, tile_height = directory.first(_TILE_WIDTH, 0), directory.first(_TILE_HEIGHT, 0)
        if not 0 < tile_width * tile_height <= MAX_TILE_PIXELS:
            raise ImageError(f"the TIFF file has tiles of {tile_width} x {tile_height} pixels")
        parts = -(-width // tile_width) * -(-height // tile_height)
    else:
        parts = -(-height // max(directory.first(_STRIP_ROWS, height), 1))
    if directory.first(_PLANES, 1) == 2:
        parts *= directory.first(_SAMPLES, 1)
    whole = all(offset + size <= len(directory.data) for offset, size in zip(offsets, sizes, strict=False))
    if not whole or not parts <= min(len(offsets), len(sizes)):
        raise _cut_short()


def sample_kind(directory: TiffDirectory) -> tuple[Alpha, bool]:
    """The alpha of the pixels that OpenCV decodes, and whether white is 0 in them.

    Raises:
        ImageError: If OpenCV would decode something else than the file means.
    """
    bits, photometric = directory.first(_BITS, 1), directory.first(_PHOTOMETRIC, 1)
    samples, extra = directory.first(_SAMPLES, 1), directory.first(_EXTRA, 0)
    # Grey, RGB, palette, CMYK and YCbCr; beyond 8 bits OpenCV takes any samples for grey or RGB.
    if photometric not in ({0, 1, 2, 3, 5, 6} if bits <= 8 else {0, 1, 2}):
        raise ImageError(f"TIFF with {bits} bits of colour space {photometric} is not read; convert it to PNG")
    if bits > 8 and (directory.first(_PLANES, 1) == 2 or bits not in {16, 32, 64}):
        raise ImageError(f"TIFF with {bits} bits or separate planes is not read; convert it to PNG")
    if photometric in {0, 1} and samples > 1 and extra in {1, 2}:
        raise ImageError("TIFF in grey with alpha is not read; convert it to PNG")
    # Up to 8 bits OpenCV uses libtiff's RGBA reader, which multiplies; else it takes the samples as they are.
    alpha: Alpha = "none"
    if photometric == 2 and extra in {1, 2}:
        alpha = "straight" if bits > 8 and extra == 2 else "premultiplied"
    return alpha, bits > 8 and photometric == 0


def first_page_upright(directory: TiffDirectory) -> bytes:
    """The same file without orientation, which OpenCV would apply, and without further pages."""
    plain = bytearray(directory.data)
    kind, _, position = directory.entries.get(ORIENTATION, (0, 0, 0))
    if kind in _INTEGER_LETTERS:
        struct.pack_into(directory.order + _INTEGER_LETTERS[kind], plain, position, 1)
    if directory.next_position + struct.calcsize(directory.pointer) <= len(plain):
        struct.pack_into(directory.order + directory.pointer, plain, directory.next_position, 0)
    return bytes(plain)


@dataclass(frozen=True, eq=False)
class TiffParts:
    """Where the strips or the rows of tiles of a file's first picture lie.

    Attributes:
        data: The file.
        order: Byte order.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        part_height: Height of a strip or tile in pixels.
        across: Number of tiles side by side; 1 for strips.
        tags: (type, count, bytes) by tag, of those that every part needs.
        places: (offset, bytes) of every strip or tile, row by row.
    """

    data: bytes | mmap.mmap
    order: ByteOrder
    width: int
    height: int
    part_height: int
    across: int
    tags: dict[int, tuple[int, int, bytes]]
    places: list[tuple[int, int]]

    @property
    def count(self) -> int:
        """The number of strips, or of rows of tiles."""
        return -(-self.height // self.part_height)

    def excerpt(self, first: int, end: int) -> bytes:
        """A TIFF file of the strips or rows of tiles first .. end - 1."""
        end = min(end, self.count)
        height = min(end * self.part_height, self.height) - first * self.part_height
        places = self.places[first * self.across : end * self.across]
        sizes = [size for _, size in places]
        tiled = _TILE_WIDTH in self.tags
        tags = {
            **self.tags,
            _HEIGHT: self._longs([height]),
            _TILE_BYTES if tiled else _STRIP_BYTES: self._longs(sizes),
            **({} if tiled else {_STRIP_ROWS: self._longs([self.part_height])}),
        }
        where = _TILE_OFFSETS if tiled else _STRIP_OFFSETS
        start = len(self._head(tags | {where: self._longs(sizes)}))  # as long as the offsets will be
        tags[where] = self._longs([start + before for before in accumulate(sizes[:-1], initial=0)])
        view = memoryview(self.data)
        return b"".join([self._head(tags), *(view[offset : offset + size] for offset, size in places)])

    def _longs(self, values: list[int]) -> tuple[int, int, bytes]:
        return _LONG, len(values), struct.pack(f"{self.order}{len(values)}I", *values)

    def _head(self, tags: dict[int, tuple[int, int, bytes]]) -> bytes:
        """Header, directory and the values that do not fit into it."""
        directory = [struct.pack(self.order + "H", len(tags))]
        values, at = [], 8 + 2 + 12 * len(tags) + 4
        for tag, (kind, count, raw) in sorted(tags.items()):
            entry = struct.pack(self.order + "HHI", tag, kind, count)
            if len(raw) <= 4:
                directory.append(entry + raw.ljust(4, b"\0"))
                continue
            directory.append(entry + struct.pack(self.order + "I", at))
            values.append(raw + b"\0" * (len(raw) % 2))
            at += len(values[-1])
        magic = b"II*\0" if self.order == "<" else b"MM\0*"
        return b"".join([magic, struct.pack(self.order + "I", 8), *directory, b"\0" * 4, *values])


def tiff_parts(data: bytes | mmap.mmap) -> TiffParts | None:
    """Find the strips or tiles of a file's first picture.

    Returns:
        None if it is not a TIFF, if its parts do not all lie in the file, or if they cannot be decoded on their own as
        a picture that stands upright: planes apart, another orientation, other tiles than the picture needs.
    """
    try:
        directory = read_directory(data)
        width, height = directory.image_size
        tiled = bool(directory.values(_TILE_OFFSETS))
        offsets = directory.values(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
        sizes = directory.values(_TILE_BYTES if tiled else _STRIP_BYTES)
        part_height = directory.first(_TILE_HEIGHT if tiled else _STRIP_ROWS, 0)
        part_width = directory.first(_TILE_WIDTH, 0) if tiled else width
        plain = all(directory.first(tag, 1) == 1 for tag in (ORIENTATION, _PLANES))
        needed = (_WIDTH, _TILE_WIDTH, _TILE_HEIGHT) if tiled else (_WIDTH,)
        kept = {
            tag: (*directory.entries[tag][:2], directory.raw(tag))
            for tag in (*_KEPT, *needed)
            if tag in directory.entries
        }
    except ImageError:
        return None
    if min(width, height, part_width, part_height) < 1 or not plain:
        return None
    across = -(-width // part_width)
    places = list(zip(offsets, sizes, strict=False))
    whole = all(offset + size <= len(data) for offset, size in places)
    if not whole or len(places) != across * -(-height // part_height):
        return None
    part_height = part_height if tiled else min(part_height, height)
    return TiffParts(data, directory.order, width, height, part_height, across, kept, places)


def _cut_short() -> ImageError:
    return ImageError("the TIFF file is cut short or damaged; fetch or save it again")
