"""Parts of a TIFF file as TIFF files of their own, so that a large picture can be decoded a few rows at a time.

The strips or tiles of a TIFF are compressed one by one (TIFF 6.0, sections 3 and 15). A file with some of them, the
same tags and a smaller height is a picture of those rows alone, which any decoder reads.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Order = Literal["<", ">"]

_LONG = 4
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8, 18: 8}
_TYPE_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _ORIENTATION, _PLANES = 256, 257, 274, 284
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
# What the samples mean and how they are compressed: bits, compression, colour space, fill order, samples, planes,
# predictor, palette, extra samples, sample format, JPEG tables and YCbCr.
_KEPT = (258, 259, 262, 266, 277, 284, 317, 320, 338, 339, 347, 530, 531, 532, _WIDTH, _TILE_WIDTH, _TILE_HEIGHT)


@dataclass(frozen=True, eq=False)
class TiffParts:
    """Where the strips or the rows of tiles of a file's first picture lie.

    Attributes:
        data: The file.
        order: Its byte order.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        part_height: Rows of pixels in a strip or tile.
        across: How many lie beside each other: 1 for strips.
        tags: Those that every part needs: (type, count, bytes) by number.
        places: (offset, bytes) of every strip or tile, row by row.
    """

    data: bytes | mmap.mmap
    order: Order
    width: int
    height: int
    part_height: int
    across: int
    tags: dict[int, tuple[int, int, bytes]]
    places: list[tuple[int, int]]

    @property
    def count(self) -> int:
        """How many strips, or rows of tiles, there are."""
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
        where = _TILES if tiled else _STRIPS
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
        None if it is no TIFF, if its parts do not all lie in the file, or if they cannot be decoded on their own as a
        picture that stands upright: planes apart, another orientation, other tiles than the picture needs.
    """
    try:
        order, tags = _directory(memoryview(data))
        numbers = {tag: _numbers(order, tags[tag]) for tag in (_WIDTH, _HEIGHT)}
        (width,), (height,) = numbers[_WIDTH], numbers[_HEIGHT]
        tiled = _TILES in tags
        offsets, sizes = (
            _numbers(order, tags[tag]) for tag in ((_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES))
        )
        (part_height,) = _numbers(order, tags[_TILE_HEIGHT]) if tiled else _numbers(order, tags[_STRIP_ROWS])
        part_width = _numbers(order, tags[_TILE_WIDTH])[0] if tiled else width
        across = -(-width // part_width)
        needed = across * -(-height // part_height)
        plain = all(_numbers(order, tags[tag]) == (1,) for tag in (_ORIENTATION, _PLANES) if tag in tags)
    except (KeyError, ValueError, IndexError, ZeroDivisionError, struct.error):
        return None
    places = list(zip(offsets, sizes, strict=False))
    whole = all(offset + size <= memoryview(data).nbytes for offset, size in places)
    if not plain or not whole or len(places) != needed or width < 1 or height < 1:
        return None
    kept = {tag: tags[tag] for tag in _KEPT if tag in tags}
    return TiffParts(
        data, order, width, height, min(part_height, height) if not tiled else part_height, across, kept, places
    )


def _directory(view: memoryview) -> tuple[Order, dict[int, tuple[int, int, bytes]]]:
    """The byte order, and (type, count, bytes) by tag of the first directory."""
    magic = bytes(view[:4])
    if magic not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise ValueError("no TIFF")
    order: Order = "<" if magic[:1] == b"I" else ">"
    big = b"+" in magic
    pointer, inline, entry_bytes, counter = ("Q", 8, 20, "Q") if big else ("I", 4, 12, "H")
    (start,) = struct.unpack_from(order + pointer, view, 8 if big else 4)
    (count,) = struct.unpack_from(order + counter, view, start)
    tags: dict[int, tuple[int, int, bytes]] = {}
    first = start + struct.calcsize(order + counter)
    for at in range(first, first + min(count, 1000) * entry_bytes, entry_bytes):
        tag, kind, values = struct.unpack_from(order + "HH" + pointer, view, at)
        size = _TYPE_BYTES.get(kind, 0) * values
        position = at + entry_bytes - inline
        if size > inline:
            (position,) = struct.unpack_from(order + pointer, view, position)
        if position + size > len(view):
            raise ValueError("a tag's values lie outside the file")
        tags.setdefault(tag, (kind, values, bytes(view[position : position + size])))
    return order, tags


def _numbers(order: Order, tag: tuple[int, int, bytes]) -> tuple[int, ...]:
    kind, count, raw = tag
    return struct.unpack(f"{order}{count}{_TYPE_LETTERS[kind]}", raw)
