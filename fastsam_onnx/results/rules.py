"""Which objects a point, a box or a text means (design decisions 7 to 9).

Works on rows, that is on anything that can say whether it contains a point and be rendered as a mask; what becomes of
the chosen rows is `segmentation.py`'s business.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.errors import PromptError
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.instances import MaskLike
from fastsam_onnx.masks.mask import Mask, union

Pick = Literal["candidate", "balanced", "merge", "all", "smallest", "largest", "best"]
Match = Literal["candidate", "mask", "box"]

AREA_POWER = 2 / 3
"""How fast a hit's claim to a point falls with its area; measured on tools/evaluate.py's train_validation."""


def check_points(points: npt.ArrayLike, labels: npt.ArrayLike | None) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Points as (g, k, 2) float64, one group for each object that is asked for, and (g, k) bool: foreground.

    Raises:
        PromptError: If the shapes or values make no points.
    """
    xy = _numbers(points, "points")
    if xy.ndim not in (1, 2, 3) or xy.shape[-1] != 2 or not xy.size:
        raise PromptError(
            "points must have shape (2,), (k, 2) or, for several objects, (g, k, 2): x, y in image pixels, "
            f"got {xy.shape}"
        )
    groups = xy.reshape((1,) * (3 - xy.ndim) + xy.shape)
    if labels is None:
        return groups, np.ones(groups.shape[:2], bool)
    signs = _numbers(labels, "labels")
    paired = signs.shape == xy.shape[:-1] or (xy.ndim == 1 and signs.shape == (1,))
    if not paired:
        raise PromptError(
            f"there must be one label for every point: points {xy.shape} need labels {xy.shape[:-1]}, got {signs.shape}"
        )
    if not np.isin(signs, (0, 1)).all():
        raise PromptError(f"labels must be 1 (foreground) or 0 (background), got {np.unique(signs).tolist()[:5]}")
    return groups, signs.reshape(groups.shape[:2]) == 1


def check_boxes(boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Boxes as (k, 4) float64 x1, y1, x2, y2.

    Raises:
        PromptError: If the shapes or values make no boxes.
    """
    xyxy = _numbers(boxes, "boxes")
    if xyxy.ndim not in (1, 2) or xyxy.shape[-1] != 4 or not xyxy.size:
        raise PromptError(f"boxes must have shape (4,) or (k, 4): x1, y1, x2, y2 in image pixels, got {xyxy.shape}")
    xyxy = xyxy.reshape(-1, 4)
    for index in np.flatnonzero((xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)):
        raise PromptError(
            f"a box must have x1 <= x2 and y1 <= y2 (corners, not width and height); box {index} is "
            f"{xyxy[index].tolist()}"
        )
    return xyxy


def check_choice(name: str, value: str, accepted: object) -> None:
    """Raise OptionError unless the value is one of the literals."""
    options.choice(name, value, get_args(accepted))


def hits(rows: Sequence[MaskLike], boxes_xyxy: FloatArray, points: npt.NDArray[np.float64]) -> BoolArray:
    """(n, k): whether each of n rows contains each of k points. Only rows whose box is near are asked."""
    pixels = np.floor(points)
    x, y = pixels[:, 0], pixels[:, 1]
    x1, y1, x2, y2 = boxes_xyxy.T[:, :, None]
    near = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    found = np.zeros(near.shape, bool)
    for row, point in np.argwhere(near):
        found[row, point] = rows[row].contains(*points[point])
    return found


def rows_at_points(held: BoolArray, foreground: BoolArray) -> IntArray:
    """The rows that hold a foreground point and no background point.

    Args:
        held: (n, k): row n holds point k.
        foreground: (k,): point k is foreground.
    """
    return np.flatnonzero(held[:, foreground].any(axis=1) & ~held[:, ~foreground].any(axis=1))


def pick_rows(
    candidates: IntArray,
    held: BoolArray,
    foreground: BoolArray,
    pick: Pick,
    *,
    areas: IntArray,
    scores: FloatArray,
) -> IntArray:
    """Of the rows that a group of points may mean, those that `pick` names.

    Args:
        candidates: Row indices.
        held: (n, k) as in `rows_at_points`.
        foreground: (k,).
        pick: "all" gives every candidate, smallest first. "balanced" (score / area^(2/3)), "smallest", "largest" and
            "best" (score) give one, chosen among the candidates that hold the most foreground points.
        areas: (len(candidates),) their areas in pixels.
        scores: (len(candidates),) their scores.
    """
    if pick == "all" or not candidates.size:
        return candidates[np.argsort(areas, kind="stable")]
    count = held[candidates][:, foreground].sum(axis=1)
    most = count == count.max()
    candidates, areas, scores = candidates[most], areas[most], scores[most]
    claims: dict[str, npt.NDArray[Any]] = {
        "balanced": scores / np.maximum(areas, 1) ** AREA_POWER,
        "smallest": -areas,
        "largest": areas,
        "best": scores,
    }
    place = int(claims[pick].argmax())
    return candidates[place : place + 1]


def merge_rows(masks: Sequence[Mask], held: BoolArray, foreground: BoolArray) -> Mask | None:
    """The paper's point prompt: from the largest mask to the smallest, add or take away; None if nothing is left.

    A mask that holds a background point is taken away, else one that holds a foreground point is added. Masks of equal
    area: those to be taken away come last, so that the order of detections does not matter.

    Args:
        masks: Those that hold a point.
        held: (len(masks), k).
        foreground: (k,).
    """
    minus = np.any(held[:, ~foreground], axis=1).tolist()
    canvas: Mask | None = None
    for index in sorted(range(len(masks)), key=lambda i: (-masks[i].area, minus[i])):
        if canvas is None:
            canvas = None if minus[index] else masks[index]
        elif minus[index]:
            canvas = canvas.difference(masks[index])
        else:
            canvas = union([canvas, masks[index]])
    return canvas if canvas is not None and canvas.area else None


def best_row_by_mask(
    box_xyxy: npt.NDArray[np.float64],
    boxes_xyxy: FloatArray,
    image_size: tuple[int, int],
    areas: IntArray,
    rows: Sequence[MaskLike],
) -> int | None:
    """The row whose mask has the highest IoU with the box, as the official code counts it; None if none overlaps.

    IoU = pixels of the mask in the box / (area of the box + area of the mask - these). The box is rounded to whole
    pixels and cut off at the photo. Pixels are counted only while a mask can still win: none has more in the prompt
    than its own box has.
    """
    width, height = image_size
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.rint(box_xyxy), 0, (width, height, width, height)))
    prompt = np.array([[x1, y1, x2, y2]], np.float64)  # areas of large photos are not exact in float32
    prompt_area = (x2 - x1) * (y2 - y1)
    low, high = (
        np.maximum(boxes_xyxy[:, :2], prompt[:, :2]),
        np.minimum(np.ceil(boxes_xyxy[:, 2:]), prompt[:, 2:]),
    )
    reach = np.minimum(np.maximum(high - low, 0).prod(axis=1), areas)
    bound = reach / np.maximum(prompt_area + areas - reach, 1)
    best, best_iou = None, 0.0
    for row in np.argsort(-bound, kind="stable").tolist():
        if bound[row] < best_iou or bound[row] == 0:
            break
        inside = rows[row].area_inside(x1, y1, x2, y2)
        iou = inside / (prompt_area + int(areas[row]) - inside)
        if iou > best_iou or (best is not None and iou == best_iou and row < best):
            best, best_iou = row, iou
    return best


def best_row_by_box(
    box_xyxy: npt.NDArray[np.float64], mask_boxes_xyxy: FloatArray, image_size: tuple[int, int]
) -> int | None:
    """The row whose mask's own bounding box has the highest IoU with the box (the paper's rule); None if none does."""
    width, height = image_size
    cut = np.clip(box_xyxy, 0, (width, height, width, height)).astype(np.float32)
    overlap = np.nan_to_num(box_iou(cut[None], mask_boxes_xyxy)[0])
    return int(overlap.argmax()) if overlap.size and overlap.max() > 0 else None


def check_choice_of_rows(top_k: int | None, threshold: float | None) -> None:
    """Raise OptionError unless `rows_by_similarity` can mean something by these."""
    if top_k is not None:
        options.integer("top_k", top_k)
    if threshold is not None:
        options.cosine("threshold", threshold)


def rows_by_similarity(
    similarity: FloatArray, top_k: int | None, threshold: float | None, rivals: FloatArray | None
) -> IntArray:
    """The rows that a text means, the most similar first.

    Args:
        similarity: (n,) cosines with the text; -inf for rows that are left out.
        top_k: At most so many; None for all.
        threshold: Only rows above it.
        rivals: (n,) only rows that are more similar to the text than this.
    """
    fits = np.isfinite(similarity)
    if threshold is not None:
        fits &= similarity > threshold
    if rivals is not None:
        fits &= similarity > rivals
    rows = np.flatnonzero(fits)
    return rows[np.argsort(-similarity[rows], kind="stable")][:top_k]


def _numbers(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """Finite numbers as float64. Texts are refused, although NumPy would read "1" as 1."""
    try:
        given = np.asarray(values)
        numbers = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(f"{what} must be numbers in a regular list or array, got {reprlib.repr(values)}") from error
    if given.dtype.kind not in "biufO":
        raise PromptError(f"{what} must be numbers, got {reprlib.repr(values)}")
    if not np.isfinite(numbers).all():
        raise PromptError(f"{what} must be finite numbers, got {reprlib.repr(values)}")
    return numbers
