"""What points mean, of everything that the network offered.

The constants were chosen on tools/evaluate.py's train_validation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, IntArray
from fastsam_onnx.masks.candidates import AREA_POWER, Answer, Candidates, obeyed_points
from fastsam_onnx.masks.mask import Mask, depth_map
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.refine import calm, told_apart

LEAST_DEPTH = 0.05
"""Depth of a point at the mask's edge, where that in the mask's middle is 1, so that a click there still counts."""
MOST_MEASURED = 50
MOST_DRAWN = 3
"""Maximum number of candidates that the decoder draws for a point."""
CLAIM_POWER = 0.2
"""Weight of a candidate's claim beside the IoU that the decoder promises, an exponent."""
MOST_ALTERNATIVES = 3
"""Maximum number of answers to one group of points: a part, a thing, the whole. Segment Anything gives as many."""
MOST_DISTINCT = 6
"""Maximum number of candidates, no two alike, among which alternatives are chosen."""
ALIKE_IOU = 0.7
"""Masks with a greater IoU are no alternatives."""


def for_points(candidates: Candidates, points: npt.NDArray[np.float64], foreground: BoolArray) -> Answer | None:
    """The candidate that points mean; None if no mask holds a foreground point and no background point.

    Of those that hold the most foreground points the one with the highest score / area^(2/3) times the depth of
    the points: people click into an object, rarely at its edge. Where there is a decoder it draws the first three
    anew, and the one with the highest promise for its claim answers.

    Args:
        candidates: Everything that the network offered.
        points: (k, 2) x, y in pixels of the photo.
        foreground: (k,): point k is foreground.
    """
    index, claims, _ = claimants(candidates, points, foreground)
    if not index.size:
        return None
    drawn = next(_drawn_at(candidates, index[:MOST_DRAWN], claims[:MOST_DRAWN], points, foreground), None)
    return candidates.at_points(int(index[0]), points, foreground) if drawn is None else drawn[1]


def alternatives_for_points(
    candidates: Candidates, points: npt.NDArray[np.float64], foreground: BoolArray
) -> list[Answer]:
    """What points may mean, most likely first, the answer of `for_points` before all; three at most, no two alike.

    Of six candidates whose masks have no IoU above 0.7, the likeliest, and where there is a decoder of what it
    draws of them.

    Args:
        candidates: Everything that the network offered.
        points: (k, 2) x, y in pixels of the photo.
        foreground: (k,): point k is foreground.
    """
    index, claims, masks = claimants(candidates, points, foreground)
    if not index.size:
        return []
    distinct = told_apart(masks, ALIKE_IOU, keep_everything=True)[:MOST_DISTINCT]
    others = distinct[distinct >= MOST_DRAWN]
    drawn = list(_drawn_at(candidates, index[:MOST_DRAWN], claims[:MOST_DRAWN], points, foreground))
    more = _drawn_at(candidates, index[others], claims[others], points, foreground)
    first = drawn[0][1] if drawn else candidates.at_points(int(index[0]), points, foreground)
    rest = [answer for _, answer in sorted([*drawn[1:], *more], key=lambda pair: -pair[0])]
    if candidates.closer is None:
        rest = [candidates.at_points(place, points, foreground) for place in index[distinct[1:]].tolist()]
    answers = [first, *rest]
    return [answers[place] for place in unlike(answer.mask.render() for answer in answers)]


def claimants(
    candidates: Candidates, points: npt.NDArray[np.float64], foreground: BoolArray
) -> tuple[IntArray, npt.NDArray[np.float64], list[PendingMask]]:
    """(k,) indices of the candidates that points may mean, the claim of each to be it, the highest first; masks."""
    likely = candidates.holding(points, foreground)[:MOST_MEASURED]
    if not likely.size:
        return likely, np.zeros(0), []
    masks = candidates.masks(likely)
    areas, depths = zip(*(area_and_depth(mask, points[foreground]) for mask in masks), strict=True)
    claims = candidates.scores[likely] / np.maximum(areas, 1) ** AREA_POWER * (np.array(depths) + LEAST_DEPTH)
    order = np.argsort(-claims, kind="stable")
    return likely[order], claims[order], [masks[place] for place in order.tolist()]


def _drawn_at(
    candidates: Candidates,
    index: IntArray,
    claims: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    foreground: BoolArray,
) -> Iterator[tuple[float, Answer]]:
    """The decoder's answers to points, of each of these candidates one at most, those that promise most first.

    With each what counts: its promised IoU times its claim to the power of 0.2.
    """
    if candidates.closer is None or not index.size:
        return
    signs = np.where(foreground, 1.0, -1.0).tolist()
    asked = candidates.questions(candidates.boxes_xyxy[index], asked=False)
    masks, promises = candidates.closer.draw([question.clicked(points, signs) for question in asked])
    merits = promises * claims**CLAIM_POWER
    for place in np.argsort(-merits, kind="stable").tolist():
        mask = calm(masks[place]).tight()
        if not mask.is_empty() and _agrees(mask, points, foreground):
            bounds = np.array(mask.bounds, np.float32)
            yield float(merits[place]), candidates.answer(int(index[place]), mask, bounds)


def unlike(masks: Iterable[Mask]) -> list[int]:
    """Places of the first masks of which no two are alike, three at most; the others are not asked for."""
    chosen: dict[int, Mask] = {}
    for place, mask in enumerate(masks):
        if all(mask.iou(other) <= ALIKE_IOU for other in chosen.values()):
            chosen[place] = mask
        if len(chosen) == MOST_ALTERNATIVES:
            break
    return list(chosen)


def _agrees(mask: PendingMask, points: npt.NDArray[np.float64], foreground: BoolArray) -> bool:
    """True if the mask holds a foreground point and no background point."""
    obeyed = obeyed_points(mask, points, foreground)
    return bool(obeyed[foreground].any() and obeyed[~foreground].all())


def area_and_depth(mask: PendingMask, points: npt.NDArray[np.float64]) -> tuple[int, float]:
    """The number of a mask's cells, and how deep the shallowest of the points that it holds lies in it, 0 to 1."""
    cells, (left, top) = mask.cells()
    depth = depth_map(cells)
    area = int(np.count_nonzero(cells))
    if not area:
        return 0, 1.0
    depths = []
    for x, y in points:
        if mask.contains(x, y):
            column, row = mask.x.nearest(math.floor(x)) - left, mask.y.nearest(math.floor(y)) - top
            depths.append(float(depth[row, column]))
    return area, min(depths, default=0.0) / float(depth.max())  # rounding may tell a point at the edge differently
