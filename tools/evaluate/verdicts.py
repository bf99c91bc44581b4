"""What people see of a model: masks that are right, wrong or missing, and doubles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask
from tools.evaluate.recall import IOU_THRESHOLDS, match_ranks

FloatArray = npt.NDArray[np.floating[Any]]

RIGHT_IOU = 0.5
DOUBLE_IOU = 0.7


@dataclass
class Verdicts:
    """Masks that are right or wrong, ground truths that are missed, over many photos."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, iou: FloatArray, annotated_share: FloatArray) -> None:
        """Add one photo: (n, m) IoU of its objects by falling score and its ground truths."""
        objects, truths = iou.shape
        none = np.zeros(truths, bool)
        ranks = match_ranks(iou, none, none)[IOU_THRESHOLDS.tolist().index(RIGHT_IOU)]
        matched = np.zeros(objects, bool)
        matched[ranks[ranks < objects]] = True
        self.right += int(matched.sum())
        self.missed += truths - int(matched.sum())
        self.wrong += int((~matched & (annotated_share >= 0.5)).sum())

    def f1(self) -> float | None:
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else None


def count_doubles(masks: Sequence[Mask]) -> int:
    """The number of masks that have an IoU above DOUBLE_IOU with one before them."""
    areas = np.array([mask.area for mask in masks], np.float64)
    alike = np.minimum(areas[:, None], areas) > DOUBLE_IOU * np.maximum(areas[:, None], areas)
    pairs = np.argwhere(np.tril(alike, -1)).tolist()
    return len({row for row, other in pairs if masks[row].iou(masks[other]) > DOUBLE_IOU})
