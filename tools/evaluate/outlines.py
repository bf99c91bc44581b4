"""Outlines of masks: as boundaries beside those that people drew, and how much of them is straight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]

SCORE_BINS = 1000
EDGE_TOLERANCE = 0.0075  # of the photo's diagonal


def partition_edges(labels: npt.NDArray[np.integer[Any]]) -> BoolArray:
    """(H, W) bool: pixels whose right or lower neighbour belongs to another segment."""
    edges = np.zeros(labels.shape, bool)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return edges


def distance_from(edges: BoolArray) -> FloatArray:
    """(H, W) float32 pixels to the nearest edge; far beyond the photo's size without any."""
    distance = cv2.distanceTransform((~edges).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)


@dataclass
class Boundaries:
    """Histograms, over score, of predicted and human edge pixels with a partner within the tolerance."""

    predicted: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    right: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    recalled: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    human: int = 0

    def add(self, masks: Sequence[Mask], scores: FloatArray, edges: Sequence[BoolArray]) -> None:
        """Add one photo: its objects by falling score and every human's (H, W) edges."""
        height, width = edges[0].shape
        strength = edge_strength(masks, scores, (width, height))
        tolerance = EDGE_TOLERANCE * float(np.hypot(width, height))
        reach = int(tolerance)
        disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= tolerance
        distance = distance_from(np.logical_or.reduce(edges))
        drawn = strength > 0
        self.predicted += histogram(strength[drawn])
        self.right += histogram(strength[drawn & (distance <= tolerance)])
        nearby = np.asarray(cv2.dilate(strength, disc.astype(np.uint8)), np.float32)
        for edge in edges:
            self.recalled += histogram(nearby[edge])
            self.human += int(edge.sum())

    def curve(self) -> tuple[FloatArray, FloatArray]:
        """Precision and recall at falling thresholds of the score."""
        predicted, right, recalled = (counts[:0:-1].cumsum() for counts in (self.predicted, self.right, self.recalled))
        precision = np.divide(right, predicted, out=np.ones_like(right), where=predicted > 0)
        return precision, recalled / max(self.human, 1)

    def summary(self) -> dict[str, float]:
        precision, recall = self.curve()
        total = precision + recall
        measure = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
        return {"F": float(measure.max()), "R50": float(recall[precision >= 0.5].max(initial=0.0))}


def edge_strength(masks: Sequence[Mask], scores: FloatArray, image_size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W): the best score of the masks whose outline runs here, else 0; the frame is no outline."""
    width, height = image_size
    strength = np.zeros((height, width), np.float32)
    for mask, score in zip(masks, scores, strict=True):
        rows, columns = mask.slices
        y1, y2 = max(rows.start - 1, 0), min(rows.stop + 1, height)
        x1, x2 = max(columns.start - 1, 0), min(columns.stop + 1, width)
        frame = np.zeros((y2 - y1, x2 - x1), np.uint8)
        frame[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1] = mask.crop
        outline = (frame - cv2.erode(frame, np.ones((3, 3), np.uint8))).view(bool)
        part = strength[y1:y2, x1:x2]
        part[outline] = np.maximum(part[outline], np.float32(score))
    return strength


def histogram(scores: FloatArray) -> FloatArray:
    """(SCORE_BINS + 1,) counts; bin 0 holds what has no score at all."""
    bins = np.ceil(np.clip(scores, 0, 1) * SCORE_BINS).astype(np.int64)
    return np.bincount(bins, minlength=SCORE_BINS + 1).astype(np.float64)


@dataclass
class Straightness:
    """Pixel sides of outlines: all, those on the mask's own bounding box, and what no truth explains of these."""

    straight: int = 0
    cut: int = 0
    sides: int = 0

    def add(self, mask: Mask, far: BoolArray | None = None) -> None:
        """Add a mask's outline; what lies on the photo's frame does not count.

        Args:
            mask: The mask.
            far: (H, W): what lies away from all outlines that people drew.
        """
        mask = mask.tight()
        if not mask.area:
            return
        crop, (x1, y1, x2, y2), (width, height) = mask.crop, mask.bounds, mask.image_size
        places = np.zeros_like(crop) if far is None else far[mask.slices]
        for end, counts in ((0, y1 > 0), (-1, y2 < height), ((..., 0), x1 > 0), ((..., -1), x2 < width)):
            if counts:
                straight = int(crop[end].sum())
                self.straight += straight
                self.sides += straight
                self.cut += int((crop[end] & places[end]).sum())
        self.sides += int(np.diff(crop, axis=0).sum()) + int(np.diff(crop, axis=1).sum())

    def share(self) -> float | None:
        return self.straight / self.sides if self.sides else None

    def share_of_cuts(self) -> float | None:
        return self.cut / self.sides if self.sides else None
