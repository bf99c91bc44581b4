"""The objects that a point, a box or a text means (design decisions 7 to 9).

Pure rules on arrays and on anything that behaves like a mask; `Segmentation` makes results of what they choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.errors import PromptError
from fastsam_onnx.log import warn
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.mask import Mask, union
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.sequence import Masks

Pick = Literal["candidate", "alternatives", "balanced", "merge", "all", "smallest", "largest", "best"]
Match = Literal["candidate", "mask", "box"]
OF_CANDIDATES = ("candidate", "alternatives")
"""Those that look at everything that the network offered, where a result has it, and at the objects only without."""

NEARLY_WHOLE = 0.02
"""Pixels by which a side of a box may miss a whole pixel: six decimals of shares do in photos of 25,000 pixels, five in
2,500. Of 860 boxes that missed it by less, answers had a mean IoU of 0.97 with those of whole ones, 0.757 in place of
0.761 with the truth."""

AREA_POWER = 2 / 3
"""Exponent by which a hit's claim to a point falls with its area; measured on tools/evaluate's train_validation."""


def check_points(
    points: npt.ArrayLike, labels: npt.ArrayLike | None, prefix: str = ""
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Points as (g, k, 2) float64, one group for each object that is asked for, and (g, k) bool: foreground.

    No groups, (0, k, 2), ask for nothing; a group has a point.

    Args:
        points: x, y in image pixels.
        labels: 1 or 0 for each.
        prefix: Of their names in messages, such as "box_".

    Raises:
        PromptError: If the shapes or values make no points.
    """
    xy = options.coordinates(f"{prefix}points", points, error=PromptError)
    if xy.ndim not in (1, 2, 3) or xy.shape[-1] != 2 or 0 in xy.shape[xy.ndim == 3 :]:
        raise PromptError(
            f"{prefix}points must have shape (2,), (k, 2) or, for several objects, (g, k, 2): x, y in image pixels, "
            f"got {xy.shape}"
        )
    groups = xy.reshape((1,) * (3 - xy.ndim) + xy.shape)
    if labels is None:
        return groups, np.ones(groups.shape[:2], bool)
    signs = options.numbers(f"{prefix}labels", labels, error=PromptError)
    paired = signs.shape == xy.shape[:-1] or (xy.ndim == 1 and signs.shape == (1,))
    if not paired:
        raise PromptError(
            f"there must be one label for every point: {prefix}points {xy.shape} need {prefix}labels {xy.shape[:-1]}, "
            f"got {signs.shape}"
        )
    if not np.isin(signs, (0, 1)).all():
        unlike = np.unique(signs).tolist()[:5]
        raise PromptError(f"{prefix}labels must be 1 (foreground) or 0 (background), got {unlike}")
    return groups, signs.reshape(groups.shape[:2]) == 1


def check_boxes(boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Boxes as (k, 4) float64 x1, y1, x2, y2; an empty list is no boxes.

    Raises:
        PromptError: If the shapes or values make no boxes.
    """
    xyxy = options.coordinates("boxes", boxes, error=PromptError)
    if xyxy.shape != (0,) and (xyxy.ndim not in (1, 2) or xyxy.shape[-1] != 4):
        raise PromptError(f"boxes must have shape (4,) or (k, 4): x1, y1, x2, y2 in image pixels, got {xyxy.shape}")
    xyxy = xyxy.reshape(-1, 4)
    for index in np.flatnonzero((xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)):
        raise PromptError(
            f"a box must have x1 <= x2 and y1 <= y2 (corners, not width and height); box {index} is "
            f"{xyxy[index].tolist()}"
        )
    return xyxy


def cut_to_photo(boxes: npt.NDArray[np.float64], image_size: tuple[int, int]) -> FloatArray:
    """(k, 4) float32: the parts of boxes in a photo of (width, height), with whole pixels where they nearly have them.

    A side that misses a whole pixel by a rounding would take or leave a line of them.
    """
    inside = np.clip(boxes, 0, [*image_size, *image_size])
    whole = np.round(inside)
    near = np.abs(inside - whole) < NEARLY_WHOLE
    thin = np.tile(whole[:, 2:] <= whole[:, :2], 2)
    return np.where(near & ~thin, whole, inside).astype(np.float32)


def check_corrections(
    count: int,
    points: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    kind: tuple[str, str] = ("mask", "masks"),
    prefix: str = "",
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Points that correct the answers to prompts as (count, k, 2) float64, a group for each, and (count, k) bool.

    The latter are true for foreground points; k is 0 without points.

    Args:
        count: Number of the prompts.
        points: Points of each; None or an empty list for none.
        labels: 1 or 0 for each of the points.
        kind: What the prompts are, singular and plural.
        prefix: As in `check_points`.

    Raises:
        PromptError: If the shapes or values make no points, or there is not a group for each prompt.
    """
    one, several = kind
    if points is not None:
        points = options.coordinates(f"{prefix}points", points, error=PromptError)
        if points.shape in ((0,), (0, 2), (count, 0), (count, 0, 2)):  # no corrections yet
            points = None
            if labels is not None and not options.numbers(f"{prefix}labels", labels, error=PromptError).size:
                labels = None
    if points is None:
        if labels is not None:
            raise PromptError(f"labels of points that correct {several} are given without the points")
        return np.zeros((count, 0, 2)), np.zeros((count, 0), bool)
    groups, foreground = check_points(points, labels, prefix)
    if len(groups) != count:
        needing = f"1 {one} needs" if count == 1 else f"{count} {several} need"
        raise PromptError(
            f"there must be a group of points for each {one}: {needing} {prefix}points of shape ({count}, k, 2), "
            f"got {groups.shape}"
        )
    return groups, foreground


def check_box_points(
    boxes_xyxy: npt.NDArray[np.float64],
    points: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    prefix: str = "",
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """`check_corrections` of boxes (b, 4); foreground points on a right or lower side mean the last pixel before it.

    Raises:
        PromptError: As there, or if a foreground point lies outside its box.
    """
    groups, foreground = check_corrections(len(boxes_xyxy), points, labels, ("box", "boxes"), prefix)
    low, high = boxes_xyxy[:, None, :2], boxes_xyxy[:, None, 2:]
    outside = ((groups < low) | (groups > high)).any(axis=2) & foreground
    for box, point in np.argwhere(outside).tolist():
        raise PromptError(
            f"a foreground point must lie in its box, for the answer ends there; box {box} is "
            f"{boxes_xyxy[box].tolist()}, the point {groups[box, point].tolist()}"
        )
    last = np.nextafter(high, low)
    return np.where(foreground[..., None] & (groups == high), last, groups), foreground


def telling(
    points: npt.NDArray[np.float64], foreground: BoolArray, image_size: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """The points (k, 2) that say something: those inside the photo, where each pixel is foreground (k,) or is not.

    Of several in one pixel there is one, in the place of the first, and the last says which it is.
    """
    inside = np.flatnonzero(_in_photo(points, image_size))
    pixels: dict[tuple[float, ...], int] = {}
    last = {}
    for index, pixel in zip(inside.tolist(), map(tuple, np.floor(points[inside]).tolist()), strict=True):
        pixels.setdefault(pixel, index)
        last[pixel] = index
    return points[np.array([*pixels.values()], np.int64)], foreground[np.array([*last.values()], np.int64)]


def _in_photo(points: npt.NDArray[np.float64], image_size: tuple[int, int]) -> BoolArray:
    """(..., 2) x, y: True where a pixel holds the point."""
    return np.asarray(((points >= 0) & (points < image_size)).all(axis=-1))


def warn_of_points(points: npt.NDArray[np.float64], foreground: BoolArray, image_size: tuple[int, int]) -> None:
    """Log what is odd about points: `options.warn_of_shares`, and the first foreground point outside the photo.

    Args:
        points: (g, k, 2) x, y.
        foreground: (g, k): the point is foreground.
        image_size: (width, height) of the photo.
    """
    options.warn_of_shares("points", points)
    for x, y in points[foreground & ~_in_photo(points, image_size)][:1]:
        turned = _in_photo(np.array([y, x]), image_size)
        hint = "; it must be x, y, and in the other order it would lie inside" if turned else ""
        warn(
            "the foreground point (%g, %g) lies outside the photo, of %dx%d pixels, and says nothing%s",
            *(x, y, *image_size, hint),
        )


def warn_of_boxes(boxes_xyxy: npt.NDArray[np.float64], image_size: tuple[int, int]) -> None:
    """Log what is odd about boxes (b, 4): `options.warn_of_shares`, and the first one that is outside the photo."""
    options.warn_of_shares("boxes", boxes_xyxy)
    outside = (boxes_xyxy[:, 2:] <= 0).any(axis=1) | (boxes_xyxy[:, :2] >= image_size).any(axis=1)
    for box in boxes_xyxy[outside][:1].tolist():
        warn("the box %s lies outside the photo, of %dx%d pixels, and means nothing", box, *image_size)


def check_pick(pick: str) -> None:
    """Raise OptionError unless it is one of `Pick`."""
    options.choice("pick", pick, get_args(Pick))


def check_match(match: str) -> None:
    """Raise OptionError unless it is a measure of the fit to a box."""
    options.choice("match", match, get_args(Match))


def check_limits(top_k: int | None, threshold: float | None) -> None:
    """Raise OptionError unless `most_similar` can mean something by these."""
    if top_k is not None:
        options.integer("top_k", top_k)
    if threshold is not None:
        options.cosine("threshold", threshold)


def hits(masks: Sequence[MaskLike], bounds_xyxy: IntArray, points: npt.NDArray[np.float64]) -> BoolArray:
    """(n, k): True where a mask contains a point.

    Args:
        masks: n masks.
        bounds_xyxy: (n, 4): rectangles that hold them; only masks with a point in theirs are asked.
        points: (k, 2) x, y.
    """
    pixels = np.floor(points)
    x, y = pixels[:, 0], pixels[:, 1]
    x1, y1, x2, y2 = bounds_xyxy.T[:, :, None]
    near = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    held = np.zeros(near.shape, bool)
    for index, point in np.argwhere(near):
        held[index, point] = masks[index].contains(*points[point])
    return held


def candidates_at_points(held: BoolArray, foreground: BoolArray) -> IntArray:
    """Indices of the masks that hold a foreground point and no background point.

    Args:
        held: (n, k): mask n holds point k.
        foreground: (k,): point k is foreground.
    """
    return np.flatnonzero(held[:, foreground].any(axis=1) & ~held[:, ~foreground].any(axis=1))


def pick_candidates(
    candidates: IntArray,
    held: BoolArray,
    foreground: BoolArray,
    pick: Pick,
    *,
    areas: IntArray,
    scores: FloatArray,
) -> IntArray:
    """Of the masks that a group of points may mean, those that `pick` names.

    Args:
        candidates: Their indices.
        held: (n, k) as in `candidates_at_points`.
        foreground: (k,).
        pick: "all" gives every candidate, smallest first. "balanced" (score / area^(2/3)), "smallest", "largest" and
            "best" (score) give one, chosen among the candidates that hold the most foreground points; "alternatives"
            gives all of these, the most balanced first.
        areas: (len(candidates),) their areas in pixels.
        scores: (len(candidates),) their scores.
    """
    if pick == "all" or not candidates.size:
        return candidates[np.argsort(areas, kind="stable")]
    count = held[candidates][:, foreground].sum(axis=1)
    most = count == count.max()
    candidates, areas, scores = candidates[most], areas[most], scores[most]
    balanced = scores / np.maximum(areas, 1) ** AREA_POWER
    claims: dict[str, npt.NDArray[Any]] = {
        "balanced": balanced,
        "alternatives": balanced,
        "smallest": -areas,
        "largest": areas,
        "best": scores,
    }
    order = np.argsort(-claims[pick], kind="stable")
    return candidates[order if pick == "alternatives" else order[:1]]


def merge_masks(masks: Sequence[Mask], held: BoolArray, foreground: BoolArray) -> Mask | None:
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


def closest_by_mask(
    box_xyxy: npt.NDArray[np.float64],
    bounds_xyxy: IntArray,
    image_size: tuple[int, int],
    areas: IntArray,
    masks: Sequence[MaskLike],
) -> int | None:
    """Index of the mask with the highest IoU with the box, as the official code counts it; None if none overlaps.

    IoU = pixels of the mask in the box / (area of the box + area of the mask - these). The box is rounded to whole
    pixels and cut off at the photo. Pixels are counted only while a mask can still win: none has more in the prompt
    than the rectangle that holds it has.

    Args:
        box_xyxy: (4,) in pixels of the photo.
        bounds_xyxy: (n, 4): rectangles that hold the masks.
        image_size: (width, height) of the photo.
        areas: (n,) pixels of each mask.
        masks: n masks.
    """
    width, height = image_size
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.rint(box_xyxy), 0, (width, height, width, height)))
    prompt = np.array([[x1, y1, x2, y2]], np.float64)  # areas of large photos are not exact in float32
    prompt_area = (x2 - x1) * (y2 - y1)
    low, high = np.maximum(bounds_xyxy[:, :2], prompt[:, :2]), np.minimum(bounds_xyxy[:, 2:], prompt[:, 2:])
    reach = np.minimum(np.maximum(high - low, 0).prod(axis=1), areas)
    bound = reach / np.maximum(prompt_area + areas - reach, 1)

    def iou_of(index: int) -> float:
        inside = masks[index].area_inside(x1, y1, x2, y2)
        return inside / (prompt_area + int(areas[index]) - inside)

    return _highest_iou(bound, iou_of)


def closest_by_box(
    box_xyxy: npt.NDArray[np.float64], mask_boxes_xyxy: FloatArray, image_size: tuple[int, int]
) -> int | None:
    """Index of the mask whose own box, of (n, 4), fits a box (4,) best by IoU (the paper's rule); None if none does."""
    width, height = image_size
    cut = np.clip(box_xyxy, 0, (width, height, width, height)).astype(np.float32)
    overlap = np.nan_to_num(box_iou(cut[None], mask_boxes_xyxy)[0])
    return int(overlap.argmax()) if overlap.size and overlap.max() > 0 else None


def closest_to_box(box_xyxy: npt.NDArray[np.float64], masks: Masks, match: Match) -> int | None:
    """Index of the mask that fits a box (4,) best, by its own box or, with any other `match`, by its pixels."""
    if match == "box":
        return closest_by_box(box_xyxy, masks.boxes, masks.image_size)
    return closest_by_mask(box_xyxy, masks.bounds, masks.image_size, masks.areas, masks.lazy)


def closest_with_points(
    points: npt.NDArray[np.float64], foreground: BoolArray, masks: Masks, closest: Callable[[Masks], int | None]
) -> int | None:
    """Index of the closest of the masks that obey the most points: hold those of the foreground, not the others.

    Args:
        points: (k, 2) x, y.
        foreground: (k,): point k is foreground.
        masks: n masks.
        closest: Index of the closest of some masks; None if none is.
    """
    if not len(points):
        return closest(masks)
    obeyed = (hits(masks.lazy, masks.bounds, points) == foreground).sum(axis=1)
    for count in sorted(set(obeyed.tolist()), reverse=True):
        rows = np.flatnonzero(obeyed == count)
        index = closest(masks.take(rows))
        if index is not None:
            return int(rows[index])
    return None


def closest_to_mask(mask: Mask, masks: Masks, match: Match) -> int | None:
    """Index of the mask that fits another best, by their boxes or, with any other `match`, by their pixels.

    By pixels it is the one with the highest IoU, of equal ones the first; None if none overlaps. Masks are rendered
    only while their rectangle leaves them a chance.
    """
    if match == "box":
        return closest_by_box(mask.box.astype(np.float64), masks.boxes, masks.image_size)
    area, (x1, y1, x2, y2) = mask.area, mask.bounds
    low = np.maximum(masks.bounds[:, :2], (x1, y1))
    high = np.minimum(masks.bounds[:, 2:], (x2, y2))
    bound = np.minimum(np.maximum(high - low, 0).prod(axis=1), area) / max(area, 1)
    return _highest_iou(bound, lambda index: mask.iou(masks[index]))


def _highest_iou(bound: npt.NDArray[np.float64], iou_of: Callable[[int], float]) -> int | None:
    """Index of the highest IoU, of equal ones the first; None if all are 0.

    Args:
        bound: (n,) IoU that none exceeds; it spares the search those that cannot win.
        iou_of: IoU by index.
    """
    best, best_iou = None, 0.0
    for index in np.argsort(-bound, kind="stable").tolist():
        if bound[index] < best_iou or bound[index] == 0:
            break
        iou = iou_of(index)
        if iou > best_iou or (best is not None and iou == best_iou and index < best):
            best, best_iou = index, iou
    return best


def best_texts(cosines: FloatArray, threshold: float | None) -> tuple[IntArray, FloatArray]:
    """For each object the text that fits it best.

    Args:
        cosines: (texts, n), -inf for objects that were not compared.
        threshold: Cosine that must be exceeded; None for no limit.

    Returns:
        (n,) int64 index of the text, the number of texts where none fits; (n,) float32 cosine with the best one, -1 for
        objects that were not compared.
    """
    best = cosines.max(axis=0)
    fits = best > (-np.inf if threshold is None else np.float32(threshold))
    labels = np.where(fits, cosines.argmax(axis=0), len(cosines)).astype(np.int64)
    return labels, np.maximum(best, -1).astype(np.float32)


def most_similar(
    similarity: FloatArray, top_k: int | None, threshold: float | None, rivals: FloatArray | None
) -> IntArray:
    """Indices of the objects that a text means, the most similar first.

    Args:
        similarity: (n,) cosines with the text; -inf for objects that are left out.
        top_k: Maximum number of objects; None for no limit.
        threshold: Cosine that must be exceeded; None for no limit.
        rivals: (n,) cosines that must be exceeded, object by object.
    """
    fits = np.isfinite(similarity)
    if threshold is not None:
        fits &= similarity > threshold
    if rivals is not None:
        fits &= similarity > rivals
    fitting = np.flatnonzero(fits)
    return fitting[np.argsort(-similarity[fitting], kind="stable")][:top_k]
