"""TIFF by hand: the first directory, what it says, and its parts as TIFF files of their own.

The strips or tiles of a TIFF are compressed one by one (TIFF 6.0, sections 3 and 15). A file with some of them, the
same tags and a smaller height is a picture of those rows alone, which any decoder reads.
"""

from __future__ import annotations

import mmap
import struct
import sys
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from fastsam_onnx.arrays import ceil_div
from fastsam_onnx.errors import ImageError

Alpha = Literal["straight", "premultiplied", "none"]
ByteOrder = Literal["<", ">"]

ORIENTATION = 274
"""The tag that EXIF has too."""
MAX_TILE_PIXELS = 1 << 26
"""Larger tiles are refused: libtiff allocates a whole tile, however small the picture is."""

_SUBFILE, _SUB_DIRECTORIES = 254, 330
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIP_OFFSETS = 256, 257, 258, 262, 273
_SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANES = 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _EXTRA = 322, 323, 324, 325, 338
_PREDICTOR, _FAX_OPTIONS, _YCBCR = 317, 292, 6
# What the samples mean and how they are compressed: bits, compression, colour space, fill order, samples, planes,
# fax options, predictor, palette, extra samples, sample format, JPEG tables and YCbCr.
_KEPT = (258, 259, 262, 266, 277, 284, 292, 293, 317, 320, 338, 339, 347, 530, 531, 532)
_COMPRESSION, _FILL_ORDER, _SAMPLE_FORMAT, _SUBSAMPLING = 259, 266, 339, 530
NO_COMPRESSION, JPEG, FAX = 1, 7, (2, 3, 4)
"""Values of tag 259."""
_PREDICTED = (5, 8, 32946)
_COMPRESSIONS = {
    NO_COMPRESSION: "no",
    **dict.fromkeys(FAX, "fax"),
    5: "LZW",
    6: "old JPEG",
    JPEG: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32809: "ThunderScan",
    32946: "Deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_COLOUR_SPACES = {
    0: "grey from white",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_SAMPLE_FORMATS = {1: "unsigned integer", 2: "signed integer", 3: "float", 4: "undefined", 5: "complex", 6: "complex"}
UNSIGNED, FLOAT = (1, 4), 3
"""Values of tag 339; 4 is undefined, which readers take for 1."""
GREY_FROM_WHITE, GREY, RGB = 0, 1, 2
"""Values of tag 262."""
_LONG = 4
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_FLOAT_LETTERS = {11: "f", 12: "d"}


@dataclass(frozen=True)
class TiffLayout:
    """Where the strips or tiles of a picture lie.

    Attributes:
        places: (position in the file, number of bytes) of each, row by row, plane by plane where planes lie apart; no
            more than the picture needs.
        image_size: (width, height) of the picture in pixels.
        part_width: Width of a strip or tile in pixels.
        part_height: Height of a strip or tile in pixels; the last strip may have fewer rows.
        tiled: True for tiles.
    """

    places: list[tuple[int, int]]
    image_size: tuple[int, int]
    part_width: int
    part_height: int
    tiled: bool

    @property
    def across(self) -> int:
        """Number of tiles side by side; 1 for strips."""
        return ceil_div(self.image_size[0], self.part_width)

    @property
    def down(self) -> int:
        """Number of strips, or of rows of tiles."""
        return ceil_div(self.image_size[1], self.part_height)


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

    def values(self, tag: int, most: int = sys.maxsize) -> tuple[int, ...]:
        """The integers of a tag, the first ones of more than `most`; empty if it is missing or holds none.

        Raises:
            ImageError: If they do not lie in the file.
        """
        return self._unpacked(tag, _INTEGER_LETTERS, most)

    def floats(self, tag: int) -> tuple[float, ...]:
        """The floats of a tag; empty if it is missing or holds none.

        Raises:
            ImageError: If they do not lie in the file.
        """
        return self._unpacked(tag, _FLOAT_LETTERS)

    def _unpacked(self, tag: int, letters: dict[int, str], most: int = sys.maxsize) -> tuple[Any, ...]:
        kind, count, _ = self.entries.get(tag, (0, 0, 0))
        letter = letters.get(kind)
        return struct.unpack_from(f"{self.order}{min(count, most)}{letter}", self.raw(tag)) if letter else ()

    def first(self, tag: int, default: int) -> int:
        """The first integer of a tag."""
        return next(iter(self.values(tag, 1)), default)

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels as stored; 0 if the file does not say it."""
        return self.first(_WIDTH, 0), self.first(_HEIGHT, 0)

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 to 8; 1 if the file says none, or another number."""
        orientation = self.first(ORIENTATION, 1)
        return orientation if 1 <= orientation <= 8 else 1

    @property
    def is_preview(self) -> bool:
        """True if it says of itself that it is a smaller copy of another picture in the file."""
        following = self.data[self.next_position : self.next_position + struct.calcsize(self.pointer)]
        return bool(self.first(_SUBFILE, 0) & 1) and (_SUB_DIRECTORIES in self.entries or any(following))

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return self.first(_BITS, 1)

    @property
    def are_samples_alike(self) -> bool:
        """True if all samples of a pixel have the same bits and format."""
        return all(len(set(self.values(tag, self.samples))) <= 1 for tag in (_BITS, _SAMPLE_FORMAT))

    @property
    def samples(self) -> int:
        """Number of samples of a pixel: the bands."""
        return self.first(_SAMPLES, 1)

    @property
    def sample_format(self) -> int:
        """Tag 339."""
        return self.first(_SAMPLE_FORMAT, 1)

    @property
    def photometric(self) -> int:
        """Tag 262, the colour space."""
        return self.first(_PHOTOMETRIC, GREY)

    @property
    def compression(self) -> int:
        """Tag 259."""
        return self.first(_COMPRESSION, NO_COMPRESSION)

    @property
    def predictor(self) -> int:
        """Tag 317: 2 for differences of neighbours, 3 for those of bytes of floats; other compressions have none."""
        return self.first(_PREDICTOR, 1) if self.compression in _PREDICTED else 1

    @property
    def plane_count(self) -> int:
        """Number of planes that lie apart; 1 where the samples of a pixel lie together."""
        return self.samples if self.first(_PLANES, 1) == 2 else 1

    @property
    def extra_sample(self) -> int:
        """Tag 338 of the first sample beyond the colours: 1 and 2 are alpha; 0 if there is no such sample."""
        colours = 3 if self.photometric == RGB else 1
        return self.first(_EXTRA, 0) if self.samples > colours else 0

    @property
    def reversed_bits(self) -> bool:
        """True if the lowest bit of a byte comes first."""
        return self.first(_FILL_ORDER, 1) == 2

    @property
    def two_dimensional(self) -> bool:
        """True if fax codes of group 3 may tell a row by the one above."""
        return bool(self.first(_FAX_OPTIONS, 0) & 1)

    @property
    def subsampling(self) -> tuple[int, int] | None:
        """(horizontal, vertical) of the colours of YCbCr; None where every pixel has its own."""
        if self.photometric != _YCBCR or self.compression == JPEG:
            return None
        horizontal, vertical = (*self.values(_SUBSAMPLING, 2), 2, 2)[:2] if _SUBSAMPLING in self.entries else (2, 2)
        return max(horizontal, 1), max(vertical, 1)

    @property
    def layout(self) -> TiffLayout:
        """Where the strips or tiles lie.

        Raises:
            ImageError: If the lists do not lie in the file.
        """
        tiled = bool(self.values(_TILE_OFFSETS, 1))
        width, height = self.image_size
        if tiled:
            part_width, part_height = self.first(_TILE_WIDTH, 0), self.first(_TILE_HEIGHT, 0)
        else:
            part_width, part_height = width, min(self.first(_STRIP_ROWS, height) or height, height)
        most = 0
        if min(width, height, part_width, part_height) > 0:
            most = ceil_div(width, part_width) * ceil_div(height, part_height) * self.plane_count
        offsets = self.values(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, most)
        sizes = self.values(_TILE_BYTES if tiled else _STRIP_BYTES, most)
        if not sizes:  # which only files without compression can do without
            ends = sorted({*offsets, len(self.data)})
            sizes = tuple(ends[min(bisect_right(ends, offset), len(ends) - 1)] - offset for offset in offsets)
        places = list(zip(offsets, sizes, strict=False))
        return TiffLayout(places, self.image_size, part_width, part_height, tiled)


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
    """See that all strips or tiles lie within the file, and that they are those of the picture that is meant.

    Raises:
        ImageError: If they do not, or are larger than any picture needs; or if it is the preview of another.
    """
    if directory.is_preview:
        raise ImageError(
            "the first picture of the TIFF file is a preview of another one, as in raw files of cameras (DNG, NEF), "
            "which are not read; convert it to JPEG, PNG or a TIFF of one picture"
        )
    width, height = directory.image_size
    layout = directory.layout
    if layout.tiled and not 0 < layout.part_width * layout.part_height <= MAX_TILE_PIXELS:
        raise ImageError(f"the TIFF file has tiles of {layout.part_width} x {layout.part_height} pixels")
    if min(width, height) < 1:
        raise ImageError(f"the TIFF header declares {width} x {height} pixels")
    parts = layout.across * layout.down * directory.plane_count
    if parts > len(layout.places) or any(offset + size > len(directory.data) for offset, size in layout.places):
        raise _cut_short()


def not_read(directory: TiffDirectory) -> ImageError:
    """The refusal of a kind of TIFF, which names the compression, the samples and the colour space."""
    compression = directory.compression
    names = [
        f"{_COMPRESSIONS.get(compression, 'unknown')} compression (tag 259: {compression})",
        f"{directory.samples} x {directory.bits} bits {_SAMPLE_FORMATS.get(directory.sample_format, 'unknown')}",
        f"colour space {_COLOUR_SPACES.get(directory.photometric, 'unknown')} (tag 262: {directory.photometric})",
    ]
    if directory.plane_count > 1:
        names.append("planes apart")
    return ImageError(f"TIFF with {', '.join(names)} is not read; convert it to PNG")


def sample_kind(directory: TiffDirectory) -> tuple[Alpha, bool]:
    """The alpha of the pixels that OpenCV decodes, and whether white is 0 in them.

    Raises:
        ImageError: If OpenCV would decode something else than the file means.
    """
    bits, photometric = directory.bits, directory.photometric
    is_float = directory.sample_format == FLOAT and bits in {32, 64}
    # Grey, RGB, palette, CMYK and YCbCr; beyond 8 bits OpenCV takes any samples for grey or RGB. Below it gives the
    # colours of palettes of 4 bits alone.
    read = (
        (bits >= 8 or (photometric, bits) in {(0, 1), (1, 1), (3, 4)})
        and photometric in ({0, 1, 2, 3, 5, 6} if bits <= 8 else {0, 1, 2})
        and (bits <= 8 or (directory.plane_count == 1 and bits in {16, 32, 64}))
        and not (photometric in {0, 1} and directory.extra_sample in {1, 2})
        and (is_float or directory.sample_format in UNSIGNED)
        and directory.are_samples_alike
    )
    if not read:
        raise not_read(directory)
    # Up to 8 bits OpenCV uses libtiff's RGBA reader, which multiplies; else it takes the samples as they are.
    alpha: Alpha = "none"
    if photometric == RGB and directory.extra_sample in {1, 2}:
        alpha = "straight" if bits > 8 and directory.extra_sample == 2 else "premultiplied"
    return alpha, bits > 8 and photometric == GREY_FROM_WHITE


def band_kind(directory: TiffDirectory) -> tuple[Alpha, bool]:
    """The alpha of the bands, and whether white is 0 in them."""
    alpha: Alpha = "none"
    if directory.photometric == RGB and directory.extra_sample in {1, 2}:
        alpha = "straight" if directory.extra_sample == 2 else "premultiplied"
    return alpha, directory.photometric == GREY_FROM_WHITE


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
        return ceil_div(self.height, self.part_height)

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
        check_parts(directory)
        layout = directory.layout
        plain = directory.first(ORIENTATION, 1) == 1 and directory.first(_PLANES, 1) == 1
        needed = (_WIDTH, _TILE_WIDTH, _TILE_HEIGHT) if layout.tiled else (_WIDTH,)
        kept = {
            tag: (*directory.entries[tag][:2], directory.raw(tag))
            for tag in (*_KEPT, *needed)
            if tag in directory.entries
        }
    except ImageError:
        return None
    if not plain or len(layout.places) != layout.across * layout.down:
        return None
    return TiffParts(
        data, directory.order, *directory.image_size, layout.part_height, layout.across, kept, layout.places
    )


def _cut_short() -> ImageError:
    return ImageError("the TIFF file is cut short or damaged; fetch or save it again")
