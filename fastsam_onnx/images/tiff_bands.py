"""Chosen bands of a TIFF, read without OpenCV, which knows grey and RGB alone.

GDAL and rasterio write three or more bands as grey with extra samples unless they are told otherwise, and OpenCV then
reads the first band, or refuses. Here a pixel has as many bands as the file says, and three of them are red, green and
blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.images import tiff
from fastsam_onnx.images.tiff import TiffDirectory
from fastsam_onnx.images.tiff_strips import Strip, strips_of, unpacked
from fastsam_onnx.options import check_bands, integer

_DTYPES = {(1, 8): "u1", (1, 16): "u2", (4, 8): "u1", (4, 16): "u2", (3, 32): "f4", (3, 64): "f8"}
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3


def needs_bands(directory: TiffDirectory) -> bool:
    """True if OpenCV would take one band of several for the picture, or refuses so many."""
    if directory.photometric in (tiff.GREY_FROM_WHITE, tiff.GREY):
        return directory.samples >= 3
    wide = directory.samples > 4 or (directory.plane_count > 1 and directory.bits > 8)
    return directory.photometric == tiff.RGB and directory.bits >= 8 and wide


def read_bands(directory: TiffDirectory, bands: Sequence[int] | None = None) -> npt.NDArray[Any]:
    """Read bands of a picture.

    Args:
        directory: The file.
        bands: Three numbers for red, green and blue, or one for grey, from 1 on; by default 1, 2, 3 and alpha if there
            is one, or 1 where there are fewer.

    Returns:
        (H, W, 1, 3 or 4) in the file's type and this machine's byte order.

    Raises:
        ImageError: If the file is damaged, or its compression, samples or colours are not read.
        OptionError: If there are no such bands.
    """
    dtype = _DTYPES.get((directory.sample_format, directory.bits))
    has_colours = directory.photometric in (tiff.GREY_FROM_WHITE, tiff.GREY, tiff.RGB)
    if dtype is None or not has_colours or not directory.are_samples_alike:
        raise tiff.not_read(directory)
    chosen = _chosen(directory, bands)
    width, height = directory.image_size
    together = directory.samples if directory.plane_count == 1 else 1
    pixels = np.zeros((height, width, len(chosen)), np.dtype(dtype))
    layout = directory.layout
    for index, strip in enumerate(strips_of(directory)):
        plane, place = divmod(index, layout.across * layout.down)
        wanted = [(at, band if together > 1 else 0) for at, band in enumerate(chosen) if together > 1 or band == plane]
        if not wanted:
            continue
        samples = _samples(directory, index, strip, np.dtype(directory.order + dtype), together)
        top, left = place // layout.across * layout.part_height, place % layout.across * layout.part_width
        part = pixels[top : top + strip.height, left : left + strip.width]
        for at, sample in wanted:
            part[..., at] = samples[: part.shape[0], : part.shape[1], sample]
    return pixels


def _chosen(directory: TiffDirectory, bands: Sequence[int] | None) -> list[int]:
    """Indices of bands."""
    if bands is None:
        has_alpha = tiff.band_kind(directory)[0] != "none"
        return [0, 1, 2, 3] if has_alpha else [0, 1, 2] if directory.samples >= 3 else [0]
    return [integer("a number of bands", band, 1, directory.samples) - 1 for band in check_bands(bands)]


def _samples(
    directory: TiffDirectory, number: int, strip: Strip, dtype: np.dtype[Any], together: int
) -> npt.NDArray[Any]:
    """(strip's height, its width, samples) in the machine's byte order, without predictor."""
    data = unpacked(directory, number, strip)
    shape = (strip.height, strip.width, together)
    if directory.predictor == _FLOAT_DIFFERENCES and dtype.kind == "f":
        return _without_float_differences(data, dtype, shape)
    samples = data.view(dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if directory.predictor == _DIFFERENCES and dtype.kind == "u":
        samples = np.add.accumulate(samples, axis=1, dtype=samples.dtype)
    elif directory.predictor != 1:
        raise tiff.not_read(directory)
    return samples


def _without_float_differences(data: ByteArray, dtype: np.dtype[Any], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Predictor 3 (Adobe's TIFF technical note 3): a row is all highest bytes, then all next ones, as differences."""
    height, width, samples = shape
    rows = data.reshape(height, dtype.itemsize * width, samples)
    summed = np.add.accumulate(rows, axis=1, dtype=np.uint8)
    planes = summed.reshape(height, dtype.itemsize, width * samples).transpose(0, 2, 1)
    return np.ascontiguousarray(planes).view(dtype.newbyteorder(">")).reshape(shape).astype(dtype.newbyteorder("="))
