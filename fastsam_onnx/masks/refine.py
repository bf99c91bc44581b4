"""Masks as one would show them: not cut where a box ends, without specks and holes, none twice.

Large plain regions have uncertain boxes, and a mask that fills its box ends in a straight cut. The mask alone knows
better where the region ends, so where it presses against its box it takes what is connected with it beyond. All of
this happens on the prototype grid, before any pixel of the photo is made.

The constants were chosen on tools/evaluate's train_validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.masks.mask import shared_area
from fastsam_onnx.masks.pending import PendingMask

Cells = tuple[BoolArray, tuple[int, int]]
"""A mask on the grid, (h, w), and the column and row where it begins."""

PRESS_SHARE = 0.1
"""A mask that is set along more than this share of a side of its box, or of a view, goes on outside it."""
KEPT_SHARE = 0.7
"""Share of the cut mask that must be one piece with what it grows into."""
REACH = 1.0
"""Distance by which a mask may grow on every side, in sides of its box."""
SPECK_SHARE = 0.05
"""Islands and holes below this share of the mask's area go."""
FRAME_CELLS = 2
"""Bays at the photo's frame that are no deeper, in cells, are holes: there the network is unsure of itself."""
EVERYTHING_SHARE = 0.99
"""A mask that covers more of the photo tells nothing apart; a picture without objects has such a one."""
MIN_CELLS = 2
"""Masks of fewer cells along either axis have no cell inside a side and one outside."""


def refined(
    boxes_xyxy: FloatArray, coefficients: FloatArray, prototypes: FloatArray, masks: Sequence[PendingMask]
) -> tuple[FloatArray, list[PendingMask]]:
    """Boxes and masks of detections, grown beyond their boxes where they press against them, and calm.

    Args:
        boxes_xyxy: (n, 4) float32 in pixels of the photo.
        coefficients: (n, nm).
        prototypes: (nm, h, w) for the whole input.
        masks: What `pending_masks` makes of these.

    Returns:
        (n, 4) float32 boxes, those of masks that grew following them; and n masks.
    """
    boxes = boxes_xyxy.copy()
    result = []
    for box, weights, mask in zip(boxes, coefficients, masks, strict=True):
        whole = grown(mask, weights, prototypes)
        if whole is not mask:
            box[:] = whole.columns[0], whole.rows[0], whole.columns[1], whole.rows[1]
        result.append(calm(whole))
    return boxes, result


def grown(mask: PendingMask, weights: FloatArray, prototypes: FloatArray) -> PendingMask:
    """The mask with what is connected with it outside its box, if it presses against the box; else the mask itself.

    Args:
        mask: The mask as its box cuts it.
        weights: (nm,) its coefficients.
        prototypes: (nm, h, w) for the whole input.
    """
    import cv2

    if not _presses(mask):
        return mask
    (height, width), (photo_width, photo_height) = mask.logits.shape, mask.image_size
    left, right = _widened(mask.left, width, mask.x.cells((0, photo_width)), prototypes.shape[2])
    top, bottom = _widened(mask.top, height, mask.y.cells((0, photo_height)), prototypes.shape[1])
    logits = np.einsum("c,chw->hw", weights, prototypes[:, top:bottom, left:right])
    _, labels = cv2.connectedComponents((logits > 0).view(np.uint8), connectivity=4)
    block = labels[mask.top - top : mask.top - top + height, mask.left - left : mask.left - left + width]
    held = np.bincount(block[block > 0], minlength=1)
    if held.max() < KEPT_SHARE * held.sum() or not held.max():
        return mask
    part = np.where(labels == held.argmax(), logits, -np.abs(logits))
    columns, rows = mask.x.pixels((left, right)), mask.y.pixels((top, bottom))
    return replace(mask, logits=part, left=left, top=top, columns=columns, rows=rows).tight()


def calm(mask: PendingMask) -> PendingMask:
    """The mask without islands and holes that are small beside it; its largest island stays."""
    inside = mask.logits > 0
    area = np.count_nonzero(inside)
    if not area:  # cv2 crashes on pictures without rows
        return mask
    specks = _specks(inside, SPECK_SHARE * area)
    holes = _holes(~inside | specks, mask, SPECK_SHARE * area)
    if not specks.any() and not holes.any():
        return mask
    strength = np.abs(mask.logits)
    logits = np.where(specks & ~holes, -strength, mask.logits)
    return replace(mask, logits=np.where(holes, strength, logits))


def fills_a_side(mask: PendingMask, depth: int, share: float = PRESS_SHARE) -> bool:
    """True if the outermost cells of a mask's logits, `depth` of them, are set along more than a share of a side.

    The photo's frame is no side.
    """
    inside, (width, height) = mask.logits > 0, mask.image_size
    sides = (
        (mask.columns[0] > 0, inside.T[:depth]),
        (mask.columns[1] < width, inside.T[-depth:]),
        (mask.rows[0] > 0, inside[:depth]),
        (mask.rows[1] < height, inside[-depth:]),
    )
    return any(is_inner and cells.all(axis=0).mean() > share for is_inner, cells in sides)


def told_apart(
    masks: Sequence[PendingMask], iou: float, labels: IntArray | None = None, *, keep_everything: bool = False
) -> IntArray:
    """(k,) indices of masks, best first, that show something of their own; told on the grid.

    Args:
        masks: The masks.
        iou: Threshold of `without_doubles`.
        labels: (n,) class of each mask: only masks of one class are compared; None for all.
        keep_everything: True to keep those that cover the whole photo.
    """
    apart = [index for index, mask in enumerate(masks) if keep_everything or not _is_everything(mask)]
    places = np.array(apart, np.int64)
    cells = [masks[index].cells() for index in apart]
    return np.asarray(places[without_doubles(cells, iou, None if labels is None else labels[places])])


def without_doubles(cells: Sequence[Cells], iou: float, labels: IntArray | None = None) -> IntArray:
    """(k,) indices of masks, best first, that have no IoU above `iou` with a better one that stays.

    Args:
        cells: The masks, all on one grid.
        iou: Threshold.
        labels: (n,) class of each mask: only masks of one class are compared; None for all.
    """
    areas = np.array([np.count_nonzero(crop) for crop, _ in cells], np.int64)
    corners = np.array([corner for _, corner in cells], np.int64).reshape(-1, 2)
    ends = corners + np.array([crop.shape[::-1] for crop, _ in cells], np.int64).reshape(-1, 2)
    classes = np.zeros(len(cells), np.int64) if labels is None else labels
    stays = np.zeros(len(cells), bool)
    for index, mask in enumerate(cells):
        better = np.flatnonzero(stays[:index] & (classes[:index] == classes[index]))
        sides = np.minimum(ends[better], ends[index]) - np.maximum(corners[better], corners[index])
        # Neither can the IoU be above the limit where the areas differ by more, or their boxes overlap by less.
        smaller, larger = np.minimum(areas[better], areas[index]), np.maximum(areas[better], areas[index])
        likely = better[np.minimum(smaller, np.maximum(sides, 0).prod(axis=1)) > iou * larger].tolist()
        stays[index] = not any(_shared_share(cells[other], mask) > iou for other in likely)
    return np.flatnonzero(stays)


def _is_everything(mask: PendingMask) -> bool:
    inside, _ = mask.cells()
    return bool(np.count_nonzero(inside) > EVERYTHING_SHARE * mask.photo_cells)


def _presses(mask: PendingMask) -> bool:
    """True if the mask goes on outside its box.

    The outermost cells of the logits are the ones that the box's outermost pixels are interpolated from: the first
    lies outside the box, the second inside.
    """
    return min(mask.logits.shape) >= MIN_CELLS and fills_a_side(mask, MIN_CELLS)


def _widened(first: int, count: int, photo: tuple[int, int], cells: int) -> tuple[int, int]:
    """The cells [first, end) that a mask may grow into along an axis, inside those that show the photo."""
    reach = round(REACH * count)
    return max(first - reach, photo[0]), min(first + count + reach, photo[1], cells)


def _specks(inside: BoolArray, limit: float) -> BoolArray:
    """(h, w): islands of fewer cells than the limit, but not the largest one."""
    count, labels = _components(inside, 4)
    if count <= 2:  # the first is what lies around
        return np.zeros_like(inside)
    areas = np.bincount(labels.ravel())
    small = areas < limit
    small[0] = False
    small[1 + int(areas[1:].argmax())] = False
    return small.take(labels)


def _holes(outside: BoolArray, mask: PendingMask, limit: float) -> BoolArray:
    """(h, w): holes of fewer cells than the limit, and bays of at most FRAME_CELLS at the photo's frame."""
    count, labels = _components(outside, 8)
    width, height = mask.image_size
    at_frame = mask.columns[0] == 0, mask.columns[1] == width, mask.rows[0] == 0, mask.rows[1] == height
    is_closed, is_bay = np.ones(count, bool), np.zeros(count, bool)
    is_closed[0] = False  # the mask
    for is_frame, cells in zip(at_frame, (labels.T, labels.T[::-1], labels, labels[::-1]), strict=True):
        outermost = cells[0]
        is_bay[outermost] = True
        if not is_frame:
            is_closed[outermost] = False
        elif is_closed[outermost].any():
            is_deep = np.bincount(cells[FRAME_CELLS:].ravel(), minlength=count) > 0
            is_closed[outermost] &= ~is_deep[outermost]
    if not is_closed.any():
        return np.zeros_like(outside)
    is_small = np.bincount(labels.ravel(), minlength=count) < limit
    return (is_closed & (is_small | is_bay)).take(labels)


def _components(cells: BoolArray, connectivity: int) -> tuple[int, npt.NDArray[np.int32]]:
    """The number of connected parts, what is not set included, and (h, w) the index of each cell's; 0 is not set."""
    import cv2

    count, labels = cv2.connectedComponents(cells.view(np.uint8), connectivity=connectivity)
    return count, np.asarray(labels, np.int32)


def _shared_share(first: Cells, second: Cells) -> float:
    """IoU of two masks of cells."""
    both = shared_area(*first, *second)
    return both / (np.count_nonzero(first[0]) + np.count_nonzero(second[0]) - both)
