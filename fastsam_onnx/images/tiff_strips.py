"""The strips and tiles of a TIFF: whether each holds as many bytes as its pixels need, and the bytes themselves.

libtiff goes on over damage, so that a strip that cannot be decompressed comes out black or as noise, and so does a
compression that it was built without. Here each strip is decompressed, or its codes are counted, before OpenCV decodes
the picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import ByteArray, IntArray, ceil_div
from fastsam_onnx.errors import ImageError
from fastsam_onnx.images import tiff
from fastsam_onnx.images.fax import check_group_3, check_group_4, check_rows_alone
from fastsam_onnx.images.jpeg import scan_jpeg
from fastsam_onnx.images.tiff import TiffDirectory

PIECE_BYTES = 1 << 20
"""Bytes that are decompressed at a time, so that a bomb costs no memory."""
MAX_STRIP_BYTES = 1 << 30
"""Larger strips are not decompressed here: a few bytes of a file may ask for any number of them."""

_CLEAR, _END, _FIRST = 256, 257, 258
_WIDTHS = np.repeat([9, 10, 11, 12], [254, 512, 1024, 2050])
_STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)])
"""Width in bits of the codes of LZW since the code that clears its table, and where each begins (TIFF 6.0, section 13):
with each code the table has one entry more, and from 511, 1023 and 2047 entries on a code has one bit more."""


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Strip:
    """A strip or tile of one plane.

    Attributes:
        offset: Position in the file.
        size: Number of bytes in the file.
        width: Width in pixels; that of a tile counts also where the picture ends before.
        height: Height in pixels.
        unpacked: Number of bytes of its samples.
        two_dimensional: True if fax codes of group 3 may tell a row by the one above.
    """

    offset: int
    size: int
    width: int
    height: int
    unpacked: int
    two_dimensional: bool = False


def check_strips(directory: TiffDirectory) -> None:
    """See that every strip or tile can be decompressed and holds its pixels.

    Raises:
        ImageError: If one is damaged, or the compression is not read.
    """
    check = _CHECKS.get(directory.compression)
    if check is None:
        raise tiff.not_read(directory)
    for number, strip in enumerate(strips_of(directory)):
        with _naming(number):
            check(_packed(directory, strip), strip)


def strips_of(directory: TiffDirectory) -> Iterator[Strip]:
    """The strips or tiles in the order of the file's lists: row by row, plane by plane where planes lie apart."""
    layout = directory.layout
    height = layout.image_size[1]
    samples = 1 if directory.plane_count > 1 else directory.samples
    for index, (offset, size) in enumerate(layout.places):
        top = index // layout.across % layout.down * layout.part_height
        rows = layout.part_height if layout.tiled else min(layout.part_height, height - top)
        unpacked = rows * ceil_div(layout.part_width * samples * directory.bits, 8)
        if directory.subsampling is not None:
            horizontal, vertical = directory.subsampling
            unpacked = ceil_div(layout.part_width, horizontal) * ceil_div(rows, vertical) * (horizontal * vertical + 2)
        yield Strip(offset, size, layout.part_width, rows, unpacked, directory.two_dimensional)


def unpacked(directory: TiffDirectory, number: int, strip: Strip) -> ByteArray:
    """The bytes of a strip's samples, as they were before they were compressed, any predictor still on them.

    Raises:
        ImageError: If it is damaged, or cannot be decompressed here.
    """
    unpack = _UNPACKERS.get(directory.compression)
    if unpack is None:
        raise tiff.not_read(directory)
    if directory.compression != tiff.NO_COMPRESSION and strip.unpacked > MAX_STRIP_BYTES:
        raise ImageError(
            f"strip or tile {number} of the TIFF has {strip.unpacked} bytes, of {MAX_STRIP_BYTES} at most where it is "
            "compressed; save the picture in smaller strips or tiles"
        )
    with _naming(number):
        return unpack(_packed(directory, strip), strip)


@contextmanager
def _naming(number: int) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise ImageError(f"strip or tile {number} of the TIFF is damaged: {error}") from None


def _packed(directory: TiffDirectory, strip: Strip) -> memoryview:
    """The bytes of a strip in the file, turned round where the file counts bits from the other side."""
    packed = memoryview(directory.data)[strip.offset : strip.offset + strip.size]
    if directory.reversed_bits and directory.compression != tiff.JPEG:
        return memoryview(bytes(packed).translate(_REVERSED))
    return packed


def _check_count(count: int, strip: Strip) -> None:
    if count < strip.unpacked:
        raise ImageError(f"it has {count} of {strip.unpacked} bytes")


def _check_plain(packed: memoryview, strip: Strip) -> None:
    _check_count(len(packed), strip)


def _check_deflate(packed: memoryview, strip: Strip) -> None:
    for _ in _inflated(packed, strip):
        pass


def _unpack_deflate(packed: memoryview, strip: Strip) -> ByteArray:
    return _gathered(_inflated(packed, strip), strip)


def _inflated(packed: memoryview, strip: Strip) -> Iterator[bytes]:
    """The pieces of a Deflate stream, up to the bytes that the strip needs; its checksum is compared if it ends there.

    Raises:
        ImageError: If the stream is damaged or too short.
    """
    stream, count = zlib.decompressobj(), 0
    rest: bytes | memoryview = packed
    try:
        while not stream.eof and count <= strip.unpacked:
            piece = stream.decompress(rest, PIECE_BYTES)
            rest = stream.unconsumed_tail
            count += len(piece)
            yield piece
            if not piece and not rest:
                break
    except zlib.error as error:
        raise ImageError(str(error)) from None
    _check_count(count, strip)
    if count == strip.unpacked and not stream.eof:
        raise ImageError("the end of its Deflate stream, with the checksum, is missing")


def _check_packbits(packed: memoryview, strip: Strip) -> None:
    _check_count(sum(length for _, length, _ in _packbits(packed)), strip)


def _packbits(packed: memoryview) -> Iterator[tuple[int, int, bool]]:
    """(position, length, whether it is one byte again and again) of the runs."""
    at, end = 0, len(packed)
    while at < end:
        head = packed[at]
        at += 1
        if head == 128:  # says nothing
            continue
        length, repeated = (head + 1, False) if head < 128 else (257 - head, True)
        step = 1 if repeated else length
        if at + step > end:
            raise ImageError("its last run is cut short")
        yield at, length, repeated
        at += step


def _unpack_packbits(packed: memoryview, strip: Strip) -> ByteArray:
    pieces = (
        bytes(packed[at : at + 1]) * length if repeated else bytes(packed[at : at + length])
        for at, length, repeated in _packbits(packed)
    )
    return _gathered(pieces, strip)


def _check_lzw(packed: memoryview, strip: Strip) -> None:
    _check_count(sum(int(lengths.sum()) for _, lengths in _lzw_blocks(packed)), strip)


def _lzw_blocks(packed: memoryview) -> Iterator[tuple[IntArray, IntArray]]:
    """(codes, lengths of their strings) of LZW from one clearing of the table to the next.

    Raises:
        ImageError: If a code has no meaning.
    """
    data = np.concatenate([np.frombuffer(packed, np.uint8), np.zeros(3, np.uint8)])
    bits, at = 8 * len(packed), 0
    if bits < 9 or int(data[0]) << 1 | int(data[1]) >> 7 != _CLEAR:
        raise ImageError("its LZW codes do not begin as TIFF 6.0 wants them")
    while at + 9 <= bits:
        count = int(np.searchsorted(_STARTS[1:], bits - at, side="right"))
        codes = _codes(data, at, min(count, len(_WIDTHS)))
        ends = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        used = int(ends[0]) if len(ends) else len(codes)
        block = codes[:used]
        if used:
            yield block, _string_lengths(block)
        if not len(ends):
            if count == len(_WIDTHS):
                raise ImageError("its LZW codes overflow their table")
            return  # the end of the data, which some writers leave without the code for it
        if codes[used] == _END:
            return
        at += int(_STARTS[used + 1])


def _codes(data: ByteArray, at: int, count: int) -> IntArray:
    """The codes from a bit on where the table was just cleared."""
    first = at + _STARTS[:count]
    place = first >> 3
    three = data[place].astype(np.int64) << 16 | data[place + 1].astype(np.int64) << 8 | data[place + 2]
    codes: IntArray = three >> (24 - _WIDTHS[:count] - (first & 7)) & ((1 << _WIDTHS[:count]) - 1)
    return codes


def _string_lengths(codes: IntArray) -> IntArray:
    """(n,) bytes that each code stands for: entry 258 + j is the string of code j and one byte more."""
    if codes[0] >= _CLEAR or (codes >= _FIRST + np.arange(len(codes))).any():
        raise ImageError("an LZW code is not in its table yet")
    before = np.where(codes >= _FIRST, codes - _FIRST, -1)
    lengths = np.ones(len(codes), np.int64)
    while (linked := before >= 0).any():
        lengths[linked] += lengths[before[linked]]
        before[linked] = before[before[linked]]
    return lengths


def _unpack_lzw(packed: memoryview, strip: Strip) -> ByteArray:
    return _gathered((_lzw_bytes(*block) for block in _lzw_blocks(packed)), strip)


def _lzw_bytes(codes: IntArray, lengths: IntArray) -> bytes:
    """The strings of the codes: each byte is a literal, or a copy of one that comes before."""
    starts = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(len(codes)), lengths)
    source = np.arange(len(owner))
    copied = codes[owner] >= _FIRST
    from_code = np.where(codes >= _FIRST, codes - _FIRST, 0)
    source[copied] += (starts[from_code[owner]] - starts[owner])[copied]
    while (source != (further := source[source])).any():
        source = further
    literals = np.zeros(len(owner), np.uint8)
    literals[starts] = np.where(codes < _CLEAR, codes, 0)
    return literals[source].tobytes()


def _check_jpeg(packed: memoryview, strip: Strip) -> None:
    size, _ = scan_jpeg(packed)
    if size != (strip.width, strip.height):
        raise ImageError(f"its JPEG has {size[0]} x {size[1]} pixels instead of {strip.width} x {strip.height}")


def _check_fax_2(packed: memoryview, strip: Strip) -> None:
    check_rows_alone(bytes(packed), strip.width, strip.height)


def _check_fax_3(packed: memoryview, strip: Strip) -> None:
    check_group_3(bytes(packed), strip.width, strip.height, two_dimensional=strip.two_dimensional)


def _check_fax_4(packed: memoryview, strip: Strip) -> None:
    check_group_4(bytes(packed), strip.width, strip.height)


def _gathered(pieces: Iterable[bytes], strip: Strip) -> ByteArray:
    """The bytes of a strip, of no more pieces than it needs and one: the checksum may come with the last."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > strip.unpacked:
            break
    return _exactly(data, strip)


def _exactly(data: bytes | bytearray, strip: Strip) -> ByteArray:
    _check_count(len(data), strip)
    return np.frombuffer(data, np.uint8, strip.unpacked)


_CHECKS: dict[int, Callable[[memoryview, Strip], None]] = {
    tiff.NO_COMPRESSION: _check_plain,
    2: _check_fax_2,
    3: _check_fax_3,
    4: _check_fax_4,
    5: _check_lzw,
    tiff.JPEG: _check_jpeg,
    8: _check_deflate,
    32773: _check_packbits,
    32946: _check_deflate,
}
_UNPACKERS: dict[int, Callable[[memoryview, Strip], ByteArray]] = {
    tiff.NO_COMPRESSION: lambda packed, strip: _exactly(bytes(packed), strip),
    5: _unpack_lzw,
    8: _unpack_deflate,
    32773: _unpack_packbits,
    32946: _unpack_deflate,
}
