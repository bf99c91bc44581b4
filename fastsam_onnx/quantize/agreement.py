"""The agreement of the masks of two networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.results.segmentation import Segmentation

PAIR_IOU = 0.5
"""IoU from which two masks are a pair: below, each may pair with several."""
FOUND_AGAIN_IOU = 0.8
"""IoU from which a mask counts as found again: strict, because most masks hardly change."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of a network's masks with those of another one.

    Attributes:
        photos: Number of photos.
        expected: Number of masks of the one network.
        found: Number of masks of the other one.
        added: Number of these that are of no pair.
        mean_iou: Mean IoU of the pairs; masks are paired one to one, the highest IoU first, down to 0.5, and only those
            of one class where the networks tell classes apart. 0 without a pair.
        recall: Share of the expected masks whose pair has an IoU of at least 0.8. 0 without a mask.
        has_classes: True if the networks tell classes apart.
    """

    photos: int
    expected: int
    found: int
    added: int
    mean_iou: float
    recall: float
    has_classes: bool = False

    def __str__(self) -> str:
        return (
            f"mean IoU {self.mean_iou:.3f}, {100 * self.recall:.1f} % of {self.expected} masks in {self.photos} photos "
            f"found again (IoU at least {FOUND_AGAIN_IOU}{', of the same class' if self.has_classes else ''}), "
            f"{self.added} added"
        )


def measure_agreement(pairs: Iterable[tuple[Segmentation, Segmentation]]) -> Agreement:
    """Compare what two networks find.

    Args:
        pairs: For each photo what the one network finds, and the other one.
    """
    photos = expected = found = 0
    overlaps: list[float] = []
    has_classes = False
    for first, second in pairs:
        photos += 1
        expected += len(first)
        found += len(second)
        has_classes |= first.labels is not None and second.labels is not None
        overlaps += _matched(first, second)
    recall = sum(overlap >= FOUND_AGAIN_IOU for overlap in overlaps) / expected if expected else 0.0
    mean_iou = float(np.mean(overlaps)) if overlaps else 0.0
    return Agreement(photos, expected, found, found - len(overlaps), mean_iou, recall, has_classes)


def _matched(first: Segmentation, second: Segmentation) -> list[float]:
    """The IoU of each pair."""
    masks, others = [mask.tight() for mask in first.masks], [mask.tight() for mask in second.masks]
    if not masks or not others:
        return []
    boxes, other_boxes = (np.array([mask.box for mask in each], np.float32) for each in (masks, others))
    # A mask's IoU is not bounded by that of its box, but masks of IoU 0.5 in boxes far apart are rare: worth the time.
    near = box_iou(boxes, other_boxes) > PAIR_IOU / 2
    if first.labels is not None and second.labels is not None:
        near &= first.labels[:, None] == second.labels
    candidates = sorted(((masks[i].iou(others[j]), int(i), int(j)) for i, j in np.argwhere(near)), reverse=True)
    taken: set[tuple[str, int]] = set()
    matched = []
    for overlap, i, j in candidates:
        if overlap >= PAIR_IOU and not {("first", i), ("second", j)} & taken:
            taken |= {("first", i), ("second", j)}
            matched.append(overlap)
    return matched
