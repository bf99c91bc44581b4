"""Average recall, as COCO defines it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = (10, 100, 1000)
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


def match_ranks(iou: FloatArray, ignored: BoolArray, crowd: BoolArray) -> IntArray:
    """Match objects to ground truths as COCO does, at each of IOU_THRESHOLDS.

    The best-scored object chooses first: of the free ground truths that count the one of highest IoU, else an
    ignored one. Crowds can be chosen any number of times.

    Args:
        iou: (n, m), objects by falling score.
        ignored: (m,) ground truths that do not count (crowds, other sizes).
        crowd: (m,).

    Returns:
        (thresholds, m): the row of the object that took the ground truth, n where none did.
    """
    objects, truths = iou.shape
    ranks = np.full((len(IOU_THRESHOLDS), truths), objects, np.int64)
    near = np.argwhere(iou >= IOU_THRESHOLDS[0])
    candidates: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for row, column in near.tolist():
        candidates[row].append((float(iou[row, column]), column))
    for taken, threshold in zip(ranks, IOU_THRESHOLDS, strict=True):
        for row, choices in candidates.items():
            free = [
                (not ignored[column], value, column)
                for value, column in choices
                if value >= threshold and (crowd[column] or taken[column] == objects)
            ]
            if free:
                taken[max(free)[2]] = row
    return ranks


@dataclass
class Recall:
    """Counts of found ground truths by area range, threshold and number of objects, over many photos.

    Attributes:
        limits: How many of a photo's best objects count, from few to many.
    """

    limits: tuple[int, int, int] = MAX_DETECTIONS
    found: dict[str, FloatArray] = field(default_factory=lambda: {name: np.zeros((10, 3)) for name in AREA_RANGES})
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AREA_RANGES, 0))

    def add(self, iou: FloatArray, truth_areas: FloatArray, crowd: BoolArray) -> None:
        """Add one photo: (n, m) IoU of its objects by falling score and its ground truths."""
        iou = iou[: self.limits[-1]]
        for name, (least, most) in AREA_RANGES.items():
            ignored = crowd | (truth_areas < least) | (truth_areas > most)
            if ignored.all():
                continue
            ranks = match_ranks(iou, ignored, crowd)[:, ~ignored]
            hits = [((ranks < limit) & (ranks < len(iou))).sum(1) for limit in self.limits]
            self.found[name] += np.stack(hits, axis=1)
            self.counted[name] += int((~ignored).sum())

    def average(self, name: str = "all", limit: int = 1000) -> float | None:
        """AR in percent, or None without a ground truth of that size."""
        if not self.counted[name]:
            return None
        hits = self.found[name][:, self.limits.index(limit)]
        return float(100 * hits.mean() / self.counted[name])


def is_large(mask: Mask) -> bool:
    """True for a mask of the area that COCO calls large."""
    return mask.area >= AREA_RANGES["large"][0]
