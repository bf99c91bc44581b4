"""Where a GeoTIFF lies on a map: the part of OGC GeoTIFF 1.1 that is an affine and an EPSG code.

Everything else (tie points alone, rational polynomials, reference systems without a code) is told, not guessed.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastsam_onnx.errors import ImageError

if TYPE_CHECKING:
    import mmap

    from fastsam_onnx.images.tiff import TiffDirectory

Coefficients = tuple[float, float, float, float, float, float]

_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS, _RATIONAL = 33550, 33922, 34264, 34735, 50844
_MODEL_TYPE, _RASTER_TYPE = 1024, 1025
_CODE_KEYS = {1: 3072, 2: 2048}
"""Key of the EPSG code by the model's type: projected, geographic."""
_PIXEL_IS_POINT = 2
_EPSG_CODES = range(1024, 32767)
_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Georeference:
    """The place of a picture on a map.

    Attributes:
        affine: (a, b, c, d, e, f) from image pixels to coordinates: X = a*x + b*y + c, Y = d*x + e*y + f, (0, 0) being
            the outer corner of the first pixel, as rasterio and GDAL have it; None if it is not understood.
        crs: Coordinate reference system, such as "EPSG:32633"; None if it is not understood.
        missing: Reason why one of the two is None; empty if both are there.
    """

    affine: Coefficients | None
    crs: str | None
    missing: str = ""


def georeference_of(source: object) -> Georeference | None:
    """The place of a photo on a map, as its file says it.

    Args:
        source: A path or the bytes of a file; anything else has none.

    Returns:
        None if it is not a TIFF, or says nothing about its place.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _read(source) if bytes(source[:4]) in _MAGICS else None
    if not isinstance(source, str | os.PathLike):
        return None
    import mmap
    from pathlib import Path

    try:
        with Path(os.fsdecode(source)).open("rb") as file:
            if file.read(4) not in _MAGICS:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(data)
    except (OSError, ValueError) as error:
        return Georeference(None, None, f"the file cannot be read again ({error})")


def _read(data: bytes | bytearray | memoryview | mmap.mmap) -> Georeference | None:
    from fastsam_onnx.images.tiff import read_directory

    try:
        directory = read_directory(bytes(data) if isinstance(data, bytearray | memoryview) else data)
        tags = {_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS, _RATIONAL}
        if not tags & directory.entries.keys():
            return None
        keys = _geo_keys(directory)
        affine, no_affine = _affine(directory, is_point=keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT)
        crs, no_crs = _crs(keys)
    except ImageError as error:
        return Georeference(None, None, str(error))
    return Georeference(affine, crs, "; ".join(filter(None, (no_affine, no_crs))))


def _geo_keys(directory: TiffDirectory) -> dict[int, int]:
    """The keys that have one number as their value."""
    words = directory.values(_GEO_KEYS)
    entries = (words[at : at + 4] for at in range(4, len(words) - 3, 4))
    return {key: value for key, place, count, value in entries if place == 0 and count == 1}


def _affine(directory: TiffDirectory, *, is_point: bool) -> tuple[Coefficients | None, str]:
    """The affine, or the reason why there is none."""
    from fastsam_onnx.images.tiff import ORIENTATION

    scale, points = directory.floats(_PIXEL_SCALE), directory.floats(_TIE_POINTS)
    matrix = directory.floats(_TRANSFORMATION)
    if directory.first(ORIENTATION, 1) != 1:
        return None, f"the picture is stored turned (tag {ORIENTATION})"
    if len(scale) >= 2 and len(points) == 6:
        across, down = scale[:2]
        if across <= 0 or down <= 0:
            return None, f"its pixel scale (tag {_PIXEL_SCALE}) is {across:g}, {down:g}"
        x, y, _, east, north, _ = points
        found = (across, 0.0, east - x * across, 0.0, -down, north + y * down)
    elif len(matrix) == 16:
        found = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif points:
        return None, f"it has {len(points) // 6} tie points (tag {_TIE_POINTS}) and no single pixel scale"
    elif _RATIONAL in directory.entries:
        return None, f"it has rational polynomials (tag {_RATIONAL})"
    else:
        return None, f"it has no tie point (tag {_TIE_POINTS}) and no transformation (tag {_TRANSFORMATION})"
    a, b, c, d, e, f = found
    if not all(map(math.isfinite, found)) or a * e - b * d == 0:
        return None, f"its transformation {found} maps the photo onto a line"
    if is_point:  # coordinates are those of the middle of the first pixel
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return (a, b, c, d, e, f), ""


def _crs(keys: dict[int, int]) -> tuple[str | None, str]:
    """The EPSG code, or the reason why there is none."""
    model = keys.get(_MODEL_TYPE, 0)
    if model not in _CODE_KEYS:
        return None, f"its model type (key {_MODEL_TYPE}) is {model}, neither projected nor geographic"
    code = keys.get(_CODE_KEYS[model], 0)
    if code not in _EPSG_CODES:
        return None, f"its reference system has no EPSG code (key {_CODE_KEYS[model]}: {code})"
    return f"EPSG:{code}", ""
