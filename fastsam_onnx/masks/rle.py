"""COCO's run lengths: the runs down the columns of a photo, background first, as numbers or packed into a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, IntArray, array_of
from fastsam_onnx.errors import OptionError
from fastsam_onnx.options import pair

LARGEST_SIDE = 2**24
"""Pixels: up to here float32, which boxes and outlines have, holds every column and row of a photo."""


class RLE(TypedDict):
    """COCO's compressed run-length encoding, column by column, the first run background."""

    size: list[int]
    counts: str


def encode_crop(crop: BoolArray, left: int, top: int, image_size: tuple[int, int]) -> IntArray:
    """The run lengths of a photo that is background outside a crop.

    Args:
        crop: (h, w) bool.
        left: Column of the photo where the crop begins.
        top: Row of the photo where it begins.
        image_size: (width, height) of the photo.
    """
    import cv2

    width, height = image_size
    if not crop.size:
        return np.array([width * height], np.int64)
    # The columns one after another, a background pixel before the first and after each, so that every run has two
    # ends; bytes all along, and a transposition that suits the cache.
    rows, columns = crop.shape
    line = np.zeros(1 + columns * (rows + 1), np.uint8)
    line[1:].reshape(columns, rows + 1)[:, :-1] = cv2.transpose(crop.view(np.uint8))
    column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), rows + 1)
    positions = (left + column) * height + top + row
    begins, ends = positions[::2], positions[1::2]
    # A run that ends at the bottom of one column and the next that begins at the top of the next are one.
    joined = np.flatnonzero(ends[:-1] == begins[1:])
    begins, ends = np.delete(begins, joined + 1), np.delete(ends, joined)
    edges = np.stack([begins, ends], axis=1).reshape(-1)
    lengths = np.diff(np.concatenate([[0], edges, [width * height]]))
    return lengths if lengths[-1] or lengths.size == 1 else lengths[:-1]


def decode_crop(runs: IntArray, height: int, pixel_limit: int | None) -> tuple[BoolArray, int]:
    """The columns of a photo that hold pixels, and the first one's index; (0, 0) bool if there are none.

    Args:
        runs: Run lengths of whole columns.
        height: Pixels in a column.
        pixel_limit: Maximum of the pixels in these columns; None for no limit.

    Raises:
        OptionError: If there are more.
    """
    ends = np.cumsum(runs)
    begins, ends = ends[:-1:2], ends[1::2]
    begins, ends = begins[begins < ends], ends[begins < ends]
    if not begins.size:
        return np.zeros((0, 0), bool), 0
    first, end = int(begins[0] // height), int((ends[-1] - 1) // height) + 1
    if pixel_limit is not None and (end - first) * height > pixel_limit:
        raise OptionError(
            f"the RLE's object spans {end - first} columns of {height} pixels, more than the pixel limit of "
            f"{pixel_limit}; raise that if you trust it"
        )
    line = np.zeros((end - first) * height + 1, np.int8)
    np.add.at(line, begins - first * height, 1)
    np.add.at(line, ends - first * height, -1)
    return np.cumsum(line[:-1], dtype=np.int8).view(bool).reshape(end - first, height).T, first


def read_rle(rle: Mapping[str, Any]) -> tuple[IntArray, tuple[int, int]]:
    """The run lengths and the size, (width, height), of COCO's RLE.

    Args:
        rle: {"size": [height, width], "counts"}: counts are a text, its bytes, or a list of the lengths themselves
            (COCO's uncompressed form, which crowd annotations have).

    Raises:
        OptionError: If it is something else, or the runs do not cover the size.
    """
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= set(rle):
        names = sorted(map(str, rle)) if isinstance(rle, Mapping) else type(rle).__name__
        hint = "; polygons become one by pycocotools.mask.frPyObjects and merge" if isinstance(rle, list) else ""
        raise OptionError(f'an RLE must be a dictionary with "size" and "counts", got {names}{hint}')
    size, counts = rle["size"], rle["counts"]
    height, width = pair("the RLE's size", size, "[height, width]", LARGEST_SIDE)
    runs = unpack_counts(counts) if isinstance(counts, str | bytes | bytearray) else _listed_counts(counts)
    if (runs < 0).any():
        raise OptionError(f"the RLE's runs must be lengths of at least 0, got {runs.min()}")
    covered = sum(runs.tolist())  # in integers that do not overflow
    if covered != height * width:
        raise OptionError(f"the RLE covers {covered} pixels; its size {width}x{height} has {height * width}")
    return runs, (width, height)


def pack_counts(runs: IntArray) -> str:
    """COCO's text for run lengths: differences to the run two before, 5 bits a character, low bits first.

    Bit 6 of a character says that more follow; the last one's bit 5 is the sign. Characters begin at "0" (code 48).
    """
    values = runs.copy()
    values[3:] -= runs[1:-2]
    rest, columns, going = values, [], np.ones(values.size, bool)
    while going.any():
        low = rest & 31
        rest = rest >> 5
        more = np.where(low & 16, rest != -1, rest != 0)
        columns.append(np.where(going, low + 48 + 32 * more, 0))
        going &= more
    characters = np.stack(columns, axis=1).astype(np.uint8).reshape(-1)
    return characters[characters > 0].tobytes().decode("ascii")


def unpack_counts(text: str | bytes | bytearray) -> IntArray:
    """The inverse of `pack_counts`.

    Raises:
        OptionError: If the text is something else.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text  # not ASCII: above 63 below
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if codes.size == 0 or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        raise OptionError("the RLE's counts are not COCO's run lengths")
    last = np.flatnonzero((codes & 32) == 0)
    start = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(codes.size) - np.repeat(start, last - start + 1)
    if place.max() > 11:
        raise OptionError("the RLE's counts hold a run of more than 60 bits")
    values = np.add.reduceat((codes & 31) << (5 * place), start)
    negative = (codes[last] & 16) != 0
    values[negative] -= np.int64(1) << (5 * (last - start + 1)[negative])
    for parity in (1, 2):
        chain = values[parity::2]
        np.cumsum(chain, out=chain)
    return values


def _listed_counts(counts: npt.ArrayLike) -> IntArray:
    try:
        runs = array_of(counts)
    except ValueError as error:
        raise OptionError(f"the RLE's counts must be a text or a list of integers ({error})") from error
    whole = runs.ndim == 1 and (runs.dtype.kind in "iu" or not runs.size)
    if not whole or (runs.size and runs.max() > LARGEST_SIDE**2):
        raise OptionError(
            f"the RLE's counts must be a text or a list of integers, got {runs.dtype} values of shape {runs.shape}"
        )
    return runs.astype(np.int64)
