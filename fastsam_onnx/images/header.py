"""The headers of picture files, read by hand before a decoder sees them.

Decoders fill what is missing with grey, differ between versions and allocate what a header asks for. So each format
has one short reader here, which finds the size, the orientation and the meaning of the samples, and makes sure that
every byte of the first picture is there. It also prepares the bytes that the decoder gets: without metadata and later
frames where those can mislead it or cost it memory.

The readers raise `ImageError` with the reason alone; `load_image` adds the name of the source.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastsam_onnx.errors import ImageError
from fastsam_onnx.images.jpeg import scan_jpeg

if TYPE_CHECKING:
    import mmap

    from fastsam_onnx.images.tiff import Alpha, TiffDirectory

VIDEO = "a video as one photo"
WAY_OF_VIDEOS = (
    "give its path alone, not in a list, to FastSAM.stream, or on the command line its path instead of standard input"
)
FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM/PGM/PBM and AVIF"


@dataclass(frozen=True)
class ImageHeader:
    """The first picture of a file.

    Attributes:
        format: Name of the format, for messages.
        width: Width in pixels as stored, before the orientation is applied.
        height: Height in pixels as stored.
        data: The bytes for the decoder; they decode to `width` x `height`, whatever the orientation.
        orientation: EXIF orientation, 1 to 8.
        white: Sample value of white, or None for the largest value of the decoded dtype.
        inverted: Whether the samples decode with white as 0.
        alpha: Meaning of the fourth channel of the decoded pixels.
        directory: Directory of a TIFF, whose strips are checked once its size is accepted; None for other formats.
        clear: Grey sample, as decoded, that is transparent, which OpenCV does not tell; None for none.
    """

    format: str
    width: int
    height: int
    data: bytes
    orientation: int = 1
    white: int | None = None
    inverted: bool = False
    alpha: Alpha = "straight"
    directory: TiffDirectory | None = None
    clear: int | None = None


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a picture file and check that its first picture is whole.

    Args:
        data: The whole file.

    Returns:
        The header; width and height are at least 1.

    Raises:
        ImageError: If the format is unknown, the header is damaged or the file is cut short.
    """
    format_name = identify(data)
    try:
        header = _READERS[format_name](data)
    except (struct.error, IndexError):
        raise _cut_short(format_name) from None
    if header.width < 1 or header.height < 1:
        raise ImageError(f"the {format_name} header declares {header.width} x {header.height} pixels")
    return header


def identify(head: bytes) -> str:
    """Name the format by the first bytes (32 are enough), whatever the file is called.

    Args:
        head: The beginning of the file.

    Returns:
        A name such as `"JPEG"`.

    Raises:
        ImageError: If it is in none of the formats that are read.
    """
    if not head:
        raise ImageError("the file is empty")
    for name, pattern in _SIGNATURES.items():
        if pattern.match(head):
            return name
    for name, pattern in _REFUSED.items():
        if pattern.match(head):
            raise ImageError(f"{name} is not read; {_WAYS.get(name, 'convert it to JPEG or PNG')}")
    raise ImageError(f"not a picture in a known format; {FORMATS} are read")


def exif_orientation(block: bytes) -> int:
    """Find the orientation in an EXIF block.

    Args:
        block: TIFF structure, with or without the word Exif and two zero bytes before it.

    Returns:
        1 to 8; 1 where the block is damaged or says nothing valid, since the picture itself may be sound.
    """
    if not block:
        return 1
    from fastsam_onnx.images import tiff

    try:
        return tiff.read_directory(block.removeprefix(b"Exif\0\0")).orientation
    except ImageError:
        return 1


def _cut_short(format_name: str) -> ImageError:
    return ImageError(f"the {format_name} file is cut short or damaged; fetch or save it again")


def _read_jpeg(data: bytes) -> ImageHeader:
    size, exif = scan_jpeg(data)
    return ImageHeader("JPEG", *size, data, exif_orientation(exif))


def _read_png(data: bytes) -> ImageHeader:
    view = memoryview(data)
    at, kept, found, kind = 8, [view[:8]], dict[bytes, bytes](), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data) or (at == 8 and (kind, length) != (b"IHDR", 13)):
            raise _cut_short("PNG")
        # Text and colour profiles can be bombs, and animation chunks change what some decoders return.
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            kept.append(view[at:end])
        elif kind != b"eXIf" and not kind[0] & 0x20:
            raise ImageError(f"the PNG file needs the unknown chunk {kind!r}")
        if kind in {b"tRNS", b"eXIf"}:
            found[kind] = data[at + 8 : end - 4]
        at = end
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    clear = None
    if colour == 0 and len(found.get(b"tRNS", b"")) == 2:
        # Samples of fewer than 8 bits decode to 0 to 255.
        clear = int.from_bytes(found[b"tRNS"]) * {1: 255, 2: 85, 4: 17}.get(bits, 1)
    orientation = exif_orientation(found.get(b"eXIf", b""))
    return ImageHeader("PNG", width, height, b"".join(kept), orientation, clear=clear)


def _read_webp(data: bytes) -> ImageHeader:
    riff_end = 8 + struct.unpack_from("<I", data, 4)[0]
    if riff_end > len(data):
        raise _cut_short("WebP")
    at, size, exif, has_picture = 12, (0, 0), b"", False
    while at + 8 <= riff_end:
        kind, length = struct.unpack_from("<4sI", data, at)
        start, at = at + 8, at + 8 + length
        if at > riff_end:
            raise _cut_short("WebP")
        has_picture = has_picture or kind in {b"VP8 ", b"VP8L", b"ANMF"}
        if kind == b"EXIF":
            exif = data[start:at]
        elif size == (0, 0):
            size = _webp_size(data, kind, start)
        at += length & 1
    if not has_picture:
        raise _cut_short("WebP")
    # Without what follows the container, from which OpenCV would take what the picture lacks.
    return ImageHeader("WebP", *size, data[:riff_end], exif_orientation(exif))


def _webp_size(data: bytes, kind: bytes, start: int) -> tuple[int, int]:
    if kind == b"VP8X":
        width, height = data[start + 4 : start + 7], data[start + 7 : start + 10]
        return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, start + 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, start + 1)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return 0, 0


_GIF_BACKGROUND = 11  # position of the index of the background's colour


def _read_gif(data: bytes) -> ImageHeader:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = tables_end = 13 + _gif_table_size(flags)
    control = b""
    while data[at] == 0x21:
        end = _gif_blocks_end(data, at + 2)
        if data[at + 1] == 0xF9:
            control = data[at:end]
        at = end
    if data[at] != 0x2C:
        raise _cut_short("GIF")
    end = _gif_blocks_end(data, at + 11 + _gif_table_size(data[at + 9]))
    tables = bytearray(data[:tables_end])
    if 3 * tables[_GIF_BACKGROUND] >= tables_end - 13:  # no colour of the table, which OpenCV takes for damage
        tables[_GIF_BACKGROUND] = 0
    first_frame = bytes(tables) + control + data[at:end] + b"\x3b"
    return ImageHeader("GIF", width, height, first_frame)


def _gif_table_size(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _gif_blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1


def _read_bmp(data: bytes) -> ImageHeader:
    offset, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:
        data = _with_longer_head(data)
        offset, header_size = struct.unpack_from("<II", data, 10)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    # 1 and 2 are run-length codes, whose end only the decoder finds; negative heights mean top row first.
    row_bytes = (width * bits + 31) // 32 * 4
    if width > 0 and compression not in {1, 2} and offset + row_bytes * abs(height) > len(data):
        raise _cut_short("BMP")
    alpha: Alpha = "straight"
    if bits == 32 and compression == _BY_MASKS and header_size < _HEAD_WITH_ALPHA:
        alpha = "none"  # nothing says that the fourth byte is one, which OpenCV gives as such
        if struct.unpack_from("<III", data, 54) != _BGR_MASKS:
            raise ImageError("BMP with 32 bits in another order than blue, green, red is not read; convert it to PNG")
    return ImageHeader("BMP", width, abs(height), data, alpha=alpha)


def _with_longer_head(data: bytes) -> bytes:
    """A BMP of OS/2 1.x with the head of Windows, for OpenCV gives the pixels of the first as grey."""
    width, height, planes, bits = struct.unpack_from("<HHHH", data, 18)
    table = data[26 : 26 + 3 * (1 << bits)] if bits <= 8 else b""
    colours = b"".join(table[at : at + 3] + b"\0" for at in range(0, len(table), 3))
    pixels = data[struct.unpack_from("<I", data, 10)[0] :]
    head = struct.pack("<IiiHHIIiiII", 40, width, height, planes, bits, 0, 0, 0, 0, 0, 0)
    offset = 14 + len(head) + len(colours)
    return data[:2] + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + head + colours + pixels


_BY_MASKS, _HEAD_WITH_ALPHA = 3, 56
_BGR_MASKS = (0xFF0000, 0xFF00, 0xFF)

_PNM_GAP = rb"\s+(?:#[^\r\n]*[\r\n]\s*)*"
_PNM_HEAD = re.compile(rb"P([1-6])" + 2 * (_PNM_GAP + rb"(\d{1,9})"))
_PNM_WHITE = re.compile(_PNM_GAP + rb"(\d{1,9})")


@dataclass(frozen=True)
class PnmHead:
    """The numbers before the samples of a PNM file.

    Attributes:
        kind: 1 to 6, the digit of its signature: bits, grey and RGB as text, then the same in binary.
        width: Width in pixels.
        height: Height in pixels.
        white: Sample value of white; 1 for bits.
        end: Position behind the last number; one byte of white space follows, then the samples.
    """

    kind: int
    width: int
    height: int
    white: int
    end: int

    @property
    def sample_bytes(self) -> int:
        """Number of bytes of all samples; 0 for text, whose length is not known."""
        row = {4: (self.width + 7) // 8, 5: self.width, 6: 3 * self.width}.get(self.kind, 0)
        return self.height * row * (2 if self.white > 255 else 1)


def read_pnm_head(data: bytes | mmap.mmap) -> PnmHead:
    """Read the numbers of a PNM file and check that all samples are there, as far as their length is known.

    Raises:
        ImageError: If the file is cut short, or its numbers are not those of a picture.
    """
    numbers = _PNM_HEAD.match(data)
    if numbers is None:
        raise _cut_short("PNM")
    kind, width, height, white, end = int(numbers[1]), int(numbers[2]), int(numbers[3]), 1, numbers.end()
    if kind not in {1, 4}:
        maximum = _PNM_WHITE.match(data, end)
        if maximum is None or not 1 <= int(maximum[1]) <= 65535:
            raise _cut_short("PNM")
        white, end = int(maximum[1]), maximum.end()
    head = PnmHead(kind, width, height, white, end)
    if end + 1 + head.sample_bytes > len(data) or not data[end : end + 1].isspace():
        raise _cut_short("PNM")
    return head


def _read_pnm(data: bytes) -> ImageHeader:
    head = read_pnm_head(data)
    # OpenCV decodes bits, and text of 8 bits, to 0 and 255, and wants a byte after the last number of the text forms.
    white = 255 if head.kind in {1, 4} or (head.kind in {2, 3} and head.white < 256) else head.white
    return ImageHeader("PNM", head.width, head.height, data if head.kind > 3 else data + b"\n", white=white)


# By mirror axis (none, top to bottom, left to right), then by quarter turns anticlockwise, which come first.
_AVIF_ORIENTATIONS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


def _read_avif(data: bytes) -> ImageHeader:
    at = 0
    while at < len(data):
        length = struct.unpack_from(">I", data, at)[0]
        if length == 1:
            length = struct.unpack_from(">Q", data, at + 8)[0]
        at += length if length else len(data) - at
        if 0 < length < 8 or at > len(data):
            raise _cut_short("AVIF")
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data[: 1 << 16])]
    codec, rotation, mirror = (data.find(kind, 0, 1 << 16) for kind in (b"av1C", b"irot", b"imir"))
    if not sizes or codec < 0:
        raise _cut_short("AVIF")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    turns = data[rotation + 4] & 3 if rotation >= 0 else 0
    orientation = _AVIF_ORIENTATIONS[data[mirror + 4] & 1 if mirror >= 0 else None][turns]
    depth = {0: 8, 1: 8, 2: 10, 3: 12}[data[codec + 6] >> 5 & 3]
    return ImageHeader("AVIF", width, height, data, orientation, (1 << depth) - 1)


def _read_tiff(data: bytes) -> ImageHeader:
    from fastsam_onnx.images import tiff
    from fastsam_onnx.images.tiff_bands import needs_bands

    directory = tiff.read_directory(data)
    tiff.check_parts(directory)
    alpha, inverted = tiff.band_kind(directory) if needs_bands(directory) else tiff.sample_kind(directory)
    return ImageHeader(
        "TIFF",
        *directory.image_size,
        tiff.first_page_upright(directory),
        directory.orientation,
        inverted=inverted,
        alpha=alpha,
        directory=directory,
    )


_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "PNM": re.compile(rb"P[1-6][\s#]"),
    "AVIF": re.compile(rb"....ftyp(?:....){0,5}avi[fs]", re.DOTALL),
}
_HEIC = "HEIC"
_MARKUP = "text, HTML or SVG"
_REFUSED = {
    # OpenCV 4.10 crashes on damaged ones.
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    _HEIC: re.compile(rb"....ftyp(?:hei|hev|mif|msf)", re.DOTALL),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    "a raw file of a camera": re.compile(rb"....ftypcrx |FUJIFILMCCD-RAW|II(?:RO|RS|U\0)", re.DOTALL),
    VIDEO: re.compile(rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI ", re.DOTALL),
    "PDF": re.compile(rb"%PDF"),
    _MARKUP: re.compile(rb"\s*<[!?A-Za-z]"),
}
_WAYS = {
    VIDEO: WAY_OF_VIDEOS,
    _HEIC: "convert it to JPEG or PNG, or in Python give the image that Pillow opens with the package pillow-heif",
    _MARKUP: "if it should be a photo, fetch it again: servers send a page in place of one; convert an SVG to PNG",
}
_READERS: dict[str, Callable[[bytes], ImageHeader]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WebP": _read_webp,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
    "PNM": _read_pnm,
    "AVIF": _read_avif,
}
