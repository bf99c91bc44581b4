"""Soft edges of a cut-out: what share of each pixel is the object's, and the colour of that share.

A pixel on an edge holds both sides; cut out as it is, it shows what was behind. The mask is moved to the photo's own
edges and made soft by guided filters: around each pixel a linear model of the colours (He, Sun, Tang 2013, "Guided
Image Filtering"), of large objects found at a fraction of their size (He, Sun 2015, "Fast Guided Filter"). The colours
of both sides are blurs of what belongs to each (Forte 2021, "Approximate Fast Foreground Colour Estimation").
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, ceil_div
from fastsam_onnx.masks.mask import Mask

WORK_SIDE = 384
"""Longest side at which edges are looked for; the masks of larger objects are as coarse as they are large."""
BAND = 6
"""Distance from the mask's outline within which the edge is sought, in pixels of the size at which it is."""
SNAPS = 2
"""Number of times that the mask is moved to the edges around it."""
SNAP_RADIUS, SOFT_RADIUS = 4, 2
EPSILON = 1e-4
"""Variance of colours, 0 to 1, below which they tell no edge."""
COLOUR_RADIUS = 4
"""Of the blur that gives both sides their colours."""
LEAST_SHARE = 1e-5
TILE = 256
"""Side of what is put together at a time: colours in float take twelve times the memory of the photo, and most of a
large object has no edge in it."""


class Model(NamedTuple):
    """Shares as a linear function of colours, and the colours of both sides, all smooth.

    Attributes:
        slopes: (h, w, 3).
        offset: (h, w).
        front: (h, w, 3) colours of the object, 0 to 1.
        back: The same of what is behind it.
        surely: (h, w) uint8: 2 in the object, 1 where its edge may be, 0 outside.
    """

    slopes: FloatArray
    offset: FloatArray
    front: FloatArray
    back: FloatArray
    surely: ByteArray


def soft_cutout(mask: Mask, photo: ByteArray) -> tuple[ByteArray, tuple[slice, slice]]:
    """An object with soft edges, in the size of the pixels that have any share of it, and its place in the photo.

    Args:
        mask: The object, with at least one pixel, cropped to its pixels.
        photo: (H, W, 3) uint8 RGB, of the mask's size.

    Returns:
        As `matte`, and its rows and columns; (0, 0, 4) if the object is so faint that nothing is left.
    """
    reach = BAND * _times_smaller(mask.crop.shape)
    rows, columns = (
        np.arange(max(part.start - reach, 0), min(part.stop + reach, side))
        for part, side in zip(mask.slices, photo.shape[:2], strict=True)
    )
    cut = matte(mask.sample(columns, rows), photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    tall, wide = (_span(cut[..., 3].max(axis=axis)) for axis in (1, 0))
    return cut[tall, wide], (_shifted(tall, int(rows[0])), _shifted(wide, int(columns[0])))


def matte(mask: BoolArray, photo: ByteArray) -> ByteArray:
    """An object with soft edges.

    Args:
        mask: (h, w) bool, with some of what is around the object.
        photo: (h, w, 3) uint8 RGB, the same part of the photo.

    Returns:
        (h, w, 4) uint8 RGBA; where alpha is 255 the colours are the photo's, where it is 0 they are 0.
    """
    times = _times_smaller(mask.shape)
    model = _model(_smaller(mask * np.uint8(255), times) > 127, _fractions(_smaller(photo, times)))
    height, width = mask.shape
    cut = np.empty((height, width, 4), np.uint8)
    for top, left in itertools.product(range(0, height, TILE), range(0, width, TILE)):
        rows, columns = slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))
        cut[rows, columns] = _part(model, photo[rows, columns], (top, left), mask.shape)
    return cut


def _span(values: ByteArray) -> slice:
    """From the first to the last that is not 0."""
    places = np.flatnonzero(values)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def _shifted(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def _times_smaller(shape: tuple[int, ...]) -> int:
    return ceil_div(max(shape), WORK_SIDE)


def _fractions(photo: ByteArray) -> FloatArray:
    """Colours from 0 to 1."""
    return photo.astype(np.float32) / np.float32(255)


def _smaller(values: ByteArray, times: int) -> ByteArray:
    height, width = (ceil_div(side, times) for side in values.shape[:2])
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA) if times > 1 else values  # type: ignore[return-value]


def _model(mask: BoolArray, photo: FloatArray) -> Model:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    cells = mask.view(np.uint8)
    surely: ByteArray = np.add(cv2.dilate(cells, disc), cv2.erode(cells, disc), dtype=np.uint8)
    for _ in range(SNAPS):
        slopes, offset = _guided(photo, mask, SNAP_RADIUS)
        mask = _shares(slopes, offset, photo, surely) > 0.5
    slopes, offset = _guided(photo, mask, SOFT_RADIUS)
    shares = _shares(slopes, offset, photo, surely)
    return Model(slopes, offset, *_sides(photo, shares), surely)


def _part(model: Model, photo: ByteArray, corner: tuple[int, int], shape: tuple[int, ...]) -> ByteArray:
    """RGBA of a part of a cut-out (h, w); `corner`: its first row and column."""
    surely = _enlarged(model.surely, corner, photo.shape, shape)
    if not (surely == 1).any():
        alpha = (surely // 2 * np.uint8(255))[..., None]
        return np.concatenate([photo * (alpha > 0), alpha], axis=2)
    slopes, offset, front, back = (_enlarged(each, corner, photo.shape, shape) for each in model[:4])
    colours = _fractions(photo)
    shares = _shares(slopes, offset, colours, surely)
    alpha = np.rint(255 * shares).astype(np.uint8)[..., None]
    own = np.rint(255 * _front(front, back, shares, colours)).astype(np.uint8)
    return np.concatenate([own * (alpha > 0), alpha], axis=2)


def _guided(photo: FloatArray, mask: BoolArray, radius: int) -> tuple[FloatArray, FloatArray]:
    """The linear model (h, w, 3), (h, w) of a mask by the photo's colours."""
    wanted = mask.astype(np.float32)
    means, mean = _box(photo, radius), _box(wanted, radius)
    products = photo[..., :, None] * photo[..., None, :]
    covariance = _box(products.reshape(*mask.shape, 9), radius).reshape(products.shape)
    covariance = covariance - means[..., :, None] * means[..., None, :] + EPSILON * np.eye(3, dtype=np.float32)
    along = _box(photo * wanted[..., None], radius) - means * mean[..., None]
    slopes = np.zeros_like(photo)
    mixed = (mean > 0) & (mean < 1)  # elsewhere nothing depends on the colours
    slopes[mixed] = np.linalg.solve(covariance[mixed], along[mixed][..., None])[..., 0]
    offset = mean - (slopes * means).sum(axis=2)
    return _box(slopes, radius), _box(offset, radius)


def _shares(slopes: FloatArray, offset: FloatArray, photo: FloatArray, surely: ByteArray) -> FloatArray:
    """(h, w) shares of the object by the linear model where its edge may be, 1 or 0 elsewhere."""
    shares = ((slopes * photo).sum(axis=2) + offset).clip(0, 1)
    return np.where(surely == 1, shares, surely // 2).astype(np.float32)


def _sides(photo: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The colours of both sides: the photo's, blurred by the share that each has."""
    both = []
    for share in (shares, 1 - shares):
        colours = _box(photo * share[..., None], COLOUR_RADIUS)
        both.append(colours / (_box(share, COLOUR_RADIUS)[..., None] + LEAST_SHARE))
    return both[0], both[1]


def _front(front: FloatArray, back: FloatArray, shares: FloatArray, photo: FloatArray) -> FloatArray:
    """The object's colours: blurred ones, and of what they and those behind do not explain its share."""
    ours = shares[..., None]
    shown: FloatArray = (front + ours * (photo - ours * front - (1 - ours) * back)).clip(0, 1)
    return shown


def _box(values: FloatArray, radius: int) -> FloatArray:
    """Means over squares of 2 radius + 1 pixels."""
    side = 2 * radius + 1
    return cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _enlarged(
    values: npt.NDArray[Any], corner: tuple[int, int], size: tuple[int, ...], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """A part of an array, (h, w) or (h, w, 3), in the size that the cut-out (h, w) has; `size`: (h, w) of the part."""
    down, across = (few / many for few, many in zip(values.shape, shape, strict=False))
    top, left = corner
    place = np.array([[across, 0, across * (left + 0.5) - 0.5], [0, down, down * (top + 0.5) - 0.5]])
    way = cv2.INTER_NEAREST if values.dtype == np.uint8 else cv2.INTER_LINEAR
    flags = way | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, place, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
