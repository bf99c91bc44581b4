"""Large pictures a few rows at a time: those that lie in memory, and files that are decoded in strips.

TIFF and binary PNM files of any size are read so that a few rows at a time are in memory: TIFF because its strips or
tiles decode alone, whatever their compression, PNM because it has none; and so are arrays that are a file
(`numpy.memmap`). Other formats are decoded as a whole.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fastsam_onnx.arrays import ByteArray, size_of
from fastsam_onnx.errors import ImageError
from fastsam_onnx.files import is_special
from fastsam_onnx.images.header import identify, read_pnm_head
from fastsam_onnx.images.load import ImageSource, load_scaled, source_name, warn_if_dark
from fastsam_onnx.images.scale import Scale
from fastsam_onnx.images.tiff import tiff_parts

STRIPS_ABOVE = 1 << 26
"""Files of more pixels are read in strips where they can be: 64 megapixels, 192 MB as RGB."""
PART_PIXELS = 1 << 22
"""Pixels decoded at a time, about, unless a strip or a row of tiles has more: 12 MB as RGB."""
MAX_PART_PIXELS = 1 << 25
"""Files whose strips or rows of tiles have more pixels are decoded as a whole: 96 MB as RGB."""
OVERVIEW_SIDE = 2048
"""The longer side of an overview has from this to twice this many pixels: enough to look at."""

Decode = Callable[[Iterable[ImageSource], int], Iterator[ByteArray]]
"""Pictures of parts of a file, which have so many rows together."""


class ImageRows(Protocol):
    """A picture that gives its rows of pixels from top to bottom."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""

    def band(self, top: int, bottom: int) -> ByteArray:
        """(bottom - top, W, 3) uint8 RGB; neither top nor bottom is smaller than in the call before."""

    def overview(self) -> ByteArray:
        """The whole picture, (h, w, 3) uint8 RGB, smaller if it does not lie in memory; once all rows were given."""


@dataclass(frozen=True, eq=False)
class HeldRows:
    """The rows of a picture that lies in memory, (H, W, 3) uint8 RGB."""

    image: ByteArray

    @property
    def image_size(self) -> tuple[int, int]:
        """See `ImageRows`."""
        return size_of(self.image)

    def band(self, top: int, bottom: int) -> ByteArray:
        """See `ImageRows`."""
        return self.image[top:bottom]

    def overview(self) -> ByteArray:
        """See `ImageRows`."""
        return self.image


class FileRows:
    """The rows of a file, decoded as they are asked for; those of the last band are kept."""

    def __init__(self, image_size: tuple[int, int], parts: Iterator[ByteArray]) -> None:
        """Take the parts, (h, W, 3) uint8 RGB each, that make up the picture from top to bottom."""
        self.image_size = image_size
        self._parts = parts
        self._top, self._rows = 0, np.zeros((0, image_size[0], 3), np.uint8)
        # An integer, so that parts can be made smaller one by one.
        self._step = max(1, max(image_size) // OVERVIEW_SIDE)
        self._rest = self._rows
        self._small: list[ByteArray] = []

    def band(self, top: int, bottom: int) -> ByteArray:
        """See `ImageRows`."""
        self._rows, self._top = self._rows[top - self._top :].copy(), top
        fresh = [self._rows]
        height = len(self._rows)
        while height < bottom - top:
            part = next(self._parts)
            self._add_to_overview(part)
            fresh.append(part)
            height += len(part)
        self._rows = np.concatenate(fresh)
        return self._rows[: bottom - top]

    def overview(self) -> ByteArray:
        """See `ImageRows`."""
        if len(self._rest):
            self._shrink(self._rest)
            self._rest = self._rest[:0]
        return np.concatenate(self._small)

    def _add_to_overview(self, part: ByteArray) -> None:
        rows = np.concatenate([self._rest, part])
        whole = len(rows) - len(rows) % self._step
        if whole:
            self._shrink(rows[:whole])
        self._rest = rows[whole:].copy()

    def _shrink(self, rows: ByteArray) -> None:
        import cv2

        size = max(1, round(rows.shape[1] / self._step)), max(1, len(rows) // self._step)
        self._small.append(np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.uint8))


def open_rows(
    source: ImageSource,
    *,
    pixel_limit: int | None,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    bands: Sequence[int] | None = None,
    white: float | None = None,
) -> FileRows | None:
    """The rows of a file that is large and can be decoded in strips; None for anything else.

    None also if anything is wrong with the file: `load_image` says it.
    """
    if isinstance(source, np.memmap):
        reader = _Reader(source, white, {"channel_order": channel_order})
        return None if bands is not None else _if_large(_mapped_rows(source, reader), pixel_limit)
    if not isinstance(source, str | os.PathLike) or is_special(source):
        return None
    try:
        with Path(source).open("rb") as file:
            kind = identify(file.read(64))
            if kind not in ("TIFF", "PNM"):
                return None
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if kind == "PNM" and bands is not None:
            return None
        decode = partial(_decoded, data, _Reader(source, white, {"bands": bands}))
        rows = _tiff_rows(data, decode) if kind == "TIFF" else _pnm_rows(data, decode)
    except (OSError, ValueError):
        return None
    return _if_large(rows, pixel_limit)


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads the parts of a source, and keeps their highest samples: only all of them tell whether it is dark."""

    source: ImageSource
    white: float | None
    options: dict[str, Any]
    highest: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return source_name(self.source)

    def read(self, part: ImageSource) -> ByteArray:
        """ImageError names the source."""
        try:
            return load_scaled(part, Scale(self.white, self.highest.append), **self.options)
        except ImageError as error:
            reason = str(error).removeprefix(f"cannot read {source_name(part)}: ")
            raise ImageError(f"cannot read {self.name}: {reason}") from error


def _if_large(rows: FileRows | None, pixel_limit: int | None) -> FileRows | None:
    """The rows, if they are so many that they should not lie in memory, and not too many."""
    if rows is None:
        return None
    width, height = rows.image_size
    most = width * height if pixel_limit is None else pixel_limit
    return rows if STRIPS_ABOVE < width * height <= most else None


def _mapped_rows(array: np.memmap[Any, Any], reader: _Reader) -> FileRows | None:
    """Those of an array that is a file; None unless it has the shape of a picture."""
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        return None
    height, width = array.shape[:2]
    step = max(1, PART_PIXELS // max(width, 1))
    parts = (array[top : top + step] for top in range(0, height, step))
    return FileRows((width, height), _decoded(None, reader, parts, height))


def _pnm_rows(data: mmap.mmap, decode: Decode) -> FileRows | None:
    """Grey or RGB of 8 bits, which lie in the file as they are."""
    head = read_pnm_head(data)
    width, height, channels = head.width, head.height, {5: 1, 6: 3}.get(head.kind)
    if channels is None or head.white != 255 or not width * height:
        return None
    pixels = np.frombuffer(data, np.uint8, head.sample_bytes, head.end + 1).reshape(height, width, channels)
    step = max(1, PART_PIXELS // width)
    return FileRows((width, height), decode((pixels[top : top + step] for top in range(0, height, step)), height))


def _tiff_rows(data: mmap.mmap, decode: Decode) -> FileRows | None:
    parts = tiff_parts(data)
    if parts is None or parts.part_height * parts.width > MAX_PART_PIXELS:
        return None
    together = max(1, PART_PIXELS // (parts.part_height * parts.width))
    excerpts = (parts.excerpt(first, first + together) for first in range(0, parts.count, together))
    return FileRows((parts.width, parts.height), decode(excerpts, parts.height))


def _decoded(data: mmap.mmap | None, reader: _Reader, parts: Iterable[ImageSource], height: int) -> Iterator[ByteArray]:
    """The parts as pictures; what was read for them goes out of memory again, where the system can do that."""
    for part in parts:
        picture = reader.read(part)
        if isinstance(part, np.ndarray):
            picture = picture.copy()
        del part
        if data is not None and hasattr(mmap, "MADV_DONTNEED"):
            data.madvise(mmap.MADV_DONTNEED)
        height -= len(picture)
        if height <= 0:
            warn_if_dark(reader.name, max(reader.highest, default=0))
        yield picture
