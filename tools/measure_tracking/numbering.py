"""The numbers that a tracker gives, as it is and with one thing changed, and how right they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask, Segmentation
from fastsam_onnx.tracking import Tracker, sights, tracker
from fastsam_onnx.tracking.looks import LEVELS

FloatArray = npt.NDArray[np.float64]

SAME_IOU = 0.5


@dataclass
class Figures:
    """Counts over frames; see the docstring of `__main__`.

    Attributes:
        only_met: True if numbered objects that meet no object do not count.
    """

    only_met: bool = False
    visible: int = 0
    numbered: int = 0
    met: int = 0
    switches: int = 0
    right: int = 0
    objects: int = 0
    kept: int = 0

    def add(self, truths: list[dict[int, tuple[Mask, float]]], results: list[Segmentation]) -> None:
        """Count a clip."""
        last: dict[int, int] = {}
        pairs: Counter[tuple[int, int]] = Counter()
        history: dict[int, list[int]] = {}
        for truth, found in zip(truths, results, strict=True):
            ids = ids_of(found)
            met = meetings({number: mask for number, (mask, _) in truth.items()}, found, last)
            self.visible += len(truth)
            self.met += len(met)
            self.numbered += len(met) if self.only_met else len(found)
            for number, index in met.items():
                self.switches += last.get(number, ids[index]) != ids[index]
                last[number] = ids[index]
                pairs[number, ids[index]] += 1
                history.setdefault(number, []).append(ids[index])
        self.objects += len(history)
        self.kept += sum(len(set(ids)) == 1 for ids in history.values())
        self.right += best_assignment(pairs)

    def row(self) -> list[str]:
        mota = 1 - (self.visible - self.met + self.numbered - self.met + self.switches) / self.visible
        shares = (
            self.met / self.visible,
            self.switches / self.visible,
            mota,
            2 * self.right / (self.visible + self.numbered),
            self.kept / self.objects,
        )
        return [f"{100 * share:.1f}" if index != 1 else f"{100 * share:.2f}" for index, share in enumerate(shares)]


def ids_of(found: Segmentation) -> list[int]:
    """The numbers that a tracker gave."""
    assert found.track_ids is not None
    return [int(each) for each in found.track_ids]


def meetings(truth: dict[int, Mask], found: Segmentation, last: dict[int, int]) -> dict[int, int]:
    """Index of the numbered object that each object meets; that which it met before goes first."""
    ids, masks = ids_of(found), list(found.masks)
    boxes = found.boxes
    candidates = []
    for number, mask in truth.items():
        x1, y1, x2, y2 = mask.box
        near = (boxes[:, 0] < x2) & (boxes[:, 2] > x1) & (boxes[:, 1] < y2) & (boxes[:, 3] > y1)
        for index in np.flatnonzero(near).tolist():
            iou = mask.iou(masks[index])
            if iou >= SAME_IOU:
                candidates.append((last.get(number) != ids[index], -iou, number, index))
    met: dict[int, int] = {}
    for _, _, number, index in sorted(candidates):
        if number not in met and index not in met.values():
            met[number] = index
    return met


def best_assignment(pairs: Counter[tuple[int, int]]) -> int:
    """The number of meetings that are right if every number is given to one object at most."""
    from scipy.optimize import linear_sum_assignment

    if not pairs:
        return 0
    numbers, ids = sorted({pair[0] for pair in pairs}), sorted({pair[1] for pair in pairs})
    table = np.array([[pairs[number, track] for track in ids] for number in numbers])
    return int(table[linear_sum_assignment(-table)].sum())


def hungarian(fit: FloatArray, least: float) -> list[tuple[int, int]]:
    """`tracker.pairs` with the largest sum of fits."""
    from scipy.optimize import linear_sum_assignment

    gains = np.where(fit > least, fit, 0)
    rows, columns = linear_sum_assignment(-gains)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if gains[row, column] > 0]


WAYS: dict[str, tuple[Any, str, Any] | None] = {
    "as it is": None,
    "Hungarian": (tracker, "pairs", hungarian),
    "no motion": (tracker.Track, "expected_xywh", property(lambda track: track.box_xywh)),
    "no low scores": (tracker, "LEAST_FIT_LOW", 1.0),
    "boxes alone": (tracker, "SHAPE_WEIGHT", 0.0),
    "shapes in full": (tracker, "SHAPE_WEIGHT", 1.0),
    "no margin": (tracker, "MARGIN", 0.0),
    "no colours": (sights, "looks_at", lambda shapes, *_: np.zeros((len(shapes), LEVELS**3), np.float32)),
}
"""What is changed in the tracker for each row."""


def numbered(frames: Sequence[Segmentation], conf: float, way: str) -> list[Segmentation]:
    """The frames of a clip through a tracker."""
    change = WAYS[way]
    with patch.object(*change) if change else nullcontext():
        own = Tracker(conf=conf)
        return [own.update(found) for found in frames]
