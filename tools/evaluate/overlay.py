"""Overlaps of many masks or boxes with many ground truths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask
from tools.evaluate.outlines import EDGE_TOLERANCE, distance_from, partition_edges

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]


class Overlay:
    """Many ground-truth masks of one photo as one label map, for fast intersections at full size.

    The map cuts the photo into atoms, the regions that lie in the same masks; counting the atoms under a
    predicted mask once gives its intersection with every ground truth.
    """

    def __init__(self, masks: Sequence[Mask], image_size: tuple[int, int]) -> None:
        width, height = image_size
        self.areas = np.array([mask.area for mask in masks], np.float64)
        self.atoms = np.zeros((height, width), np.int32)
        self.members = np.zeros((1, len(masks)), bool)
        for column, mask in enumerate(masks):
            self._cut(column, mask)

    def _cut(self, column: int, mask: Mask) -> None:
        """Split every atom that the mask touches into the part inside and the rest."""
        count = len(self.members)
        region = self.atoms[mask.slices]
        inside = region[mask.crop]
        touched = np.flatnonzero(np.bincount(inside, minlength=count))
        renamed = np.zeros(count, np.int32)
        renamed[touched] = count + np.arange(touched.size)
        region[mask.crop] = renamed[inside]
        added = self.members[touched]
        added[:, column] = True
        self.members = np.concatenate([self.members, added])

    def intersections(self, masks: Sequence[Mask]) -> FloatArray:
        """(n, m) pixels that each mask shares with each ground truth."""
        counts = np.zeros((len(masks), len(self.members)))
        for row, mask in enumerate(masks):
            counts[row] = np.bincount(self.atoms[mask.slices][mask.crop], minlength=len(self.members))
        return np.asarray(counts @ self.members.astype(np.float64))

    def annotated_share(self, masks: Sequence[Mask], crowd: BoolArray) -> FloatArray:
        """(n,) share of each mask's pixels that lie in a ground truth, crowds left out."""
        annotated = self._annotated(crowd)
        pixels = [self.atoms[mask.slices][mask.crop] for mask in masks]
        return np.array([float(annotated[inside].mean()) if inside.size else 0.0 for inside in pixels])

    def _annotated(self, crowd: BoolArray) -> BoolArray:
        """(atoms,): what lies in a ground truth, crowds left out."""
        return np.asarray(self.members[:, ~crowd].any(axis=1))

    def far_from_outlines(self, crowd: BoolArray) -> BoolArray:
        """(H, W): what lies in a ground truth, crowds left out, and not near the outline of any."""
        turned = partition_edges(self.atoms[::-1, ::-1])[::-1, ::-1]  # the pixels on the other side of each edge
        distance = distance_from(partition_edges(self.atoms) | turned)
        annotated = self._annotated(crowd)[self.atoms]
        return np.asarray(annotated & (distance > EDGE_TOLERANCE * np.hypot(*self.atoms.shape)))

    def iou(self, masks: Sequence[Mask], crowd: BoolArray) -> FloatArray:
        """(n, m) IoU; with a crowd the share of the mask that lies in it, as COCO defines."""
        areas = np.array([mask.area for mask in masks], np.float64)
        return overlap(self.intersections(masks), areas, self.areas, crowd)


def overlap(both: FloatArray, areas: FloatArray, truth_areas: FloatArray, crowd: BoolArray) -> FloatArray:
    either = np.where(crowd[None], areas[:, None], areas[:, None] + truth_areas[None] - both)
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def box_iou(boxes: FloatArray, truth_boxes: FloatArray, crowd: BoolArray) -> FloatArray:
    """(n, m) IoU of xyxy boxes, crowds as in `Overlay.iou`."""
    first, second = boxes.astype(np.float64)[:, None], truth_boxes.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    both = np.clip(sides, 0, None).prod(-1)
    areas = (first[:, 0, 2:] - first[:, 0, :2]).prod(-1)
    truth_areas = (second[0, :, 2:] - second[0, :, :2]).prod(-1)
    return overlap(both, areas, truth_areas, crowd)
