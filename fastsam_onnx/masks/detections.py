"""From the network's candidates to the photo's detections: threshold, NMS, border snap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.outputs import LARGEST_NUMBER

MAX_CANDIDATES = 30_000
"""Maximum number of candidates that go into NMS, the best; as in the references."""
SNAP_SHARE = 20 / 1024
"""Distance from the border, as a share of the photo's long side, within which a box edge is moved to it: FastSAM's 20
of 1024."""
FULL_FRAME_IOU = 0.9
SAME_IOU = 0.9
"""Boxes with a greater IoU are those of one object, whatever their masks are."""
RIVAL_WEIGHT = 0.5
"""What the score of a box counts that NMS would drop for a better one."""
NMS_BLOCK = 128
"""Boxes that NMS compares at a time: their table stays in the processor's cache."""


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The candidates that survive, in the order of the network's scores, best first.

    Attributes:
        boxes_xyxy: (n, 4) float32 in pixels of the photo.
        scores: (n,) float32, 0 to 1; those of rivals are lowered.
        coefficients: (n, nm) float32: weights of the prototypes in each mask.
        labels: (n,) int64 index of the class of each.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    coefficients: FloatArray
    labels: IntArray

    def of(self, places: IntArray) -> Detections:
        """Some of the detections."""
        return Detections(self.boxes_xyxy[places], self.scores[places], self.coefficients[places], self.labels[places])


def detect(
    candidates: FloatArray,
    letterbox: Letterbox,
    *,
    labels: IntArray | None = None,
    class_count: int,
    conf: float,
    iou: float,
    max_det: int,
    border_snap: bool = True,
    agnostic: bool = True,
    rivals: bool = False,
) -> Detections:
    """The detections of one photo.

    Args:
        candidates: (4 + nc + nm, N): cx, cy, w, h in input pixels, scores of the classes, mask coefficients. Those
            with a number that is not finite or beyond `LARGEST_NUMBER` (half precision overflows) are left out.
        letterbox: Where the photo lies in the input.
        labels: (N,) int64 index of each candidate's class; by default that of its best score.
        class_count: nc; the best class counts.
        conf: A score must be greater, strictly.
        iou: NMS threshold: of two boxes with a greater IoU, strictly, the one with the lower score is dropped.
        max_det: Maximum number of detections, the best.
        border_snap: See `snap_to_border`.
        agnostic: True for NMS among all candidates, False for NMS within each class.
        rivals: True for `nms_with_rivals` in place of NMS.
    """
    scores = class_agnostic_scores(candidates, class_count)
    survivors = np.flatnonzero(scores > np.float32(conf))
    survivors = survivors[(np.abs(candidates[:, survivors]) <= LARGEST_NUMBER).all(axis=0)]  # not so for NaN
    best_first = survivors[np.argsort(-scores[survivors], kind="stable")[:MAX_CANDIDATES]]
    chosen = candidates[:, best_first].T
    boxes = xyxy_from_xywh(chosen[:, :4])
    classes = best_classes(chosen.T, class_count) if labels is None else labels[best_first]
    scores, suppressing = scores[best_first], None if agnostic else classes
    if rivals:
        kept, weighed = nms_with_rivals(boxes, scores, conf=conf, iou=iou, max_det=max_det, labels=suppressing)
    else:
        kept = nms(boxes, iou, max_det, suppressing)
        weighed = scores[kept]
    in_photo = letterbox.boxes_to_image(boxes[kept])
    if border_snap:
        in_photo = snap_to_border(in_photo, letterbox.image_size)
    return Detections(
        boxes_xyxy=in_photo,
        scores=weighed,
        coefficients=np.ascontiguousarray(chosen[kept, 4 + class_count :]),
        labels=classes[kept],
    )


def class_agnostic_scores(candidates: FloatArray, class_count: int) -> FloatArray:
    """(N,) the best class's score of each of the candidates (4 + nc + nm, N)."""
    scores: FloatArray = candidates[4 : 4 + class_count].max(axis=0)
    return scores


def best_classes(candidates: FloatArray, class_count: int) -> IntArray:
    """(N,) int64 index of the best class of each of the candidates (4 + nc + nm, N), the first of equal ones."""
    return np.asarray(candidates[4 : 4 + class_count].argmax(axis=0), np.int64)


def xyxy_from_xywh(boxes_xywh: FloatArray) -> FloatArray:
    """(n, 4) boxes cx, cy, w, h as x1, y1, x2, y2."""
    half = boxes_xywh[:, 2:4] / 2
    return np.concatenate([boxes_xywh[:, :2] - half, boxes_xywh[:, :2] + half], axis=1)


def nms(boxes_xyxy: FloatArray, iou: float, max_det: int, labels: IntArray | None = None) -> IntArray:
    """Greedy non-maximum suppression of boxes that are sorted, best first.

    torchvision's rule: a box goes when its IoU with a kept one before it is greater than `iou`, strictly; where the
    IoU is not defined (two boxes without area), both stay. Boxes are looked at in blocks: first those go
    that a box kept before suppresses, then the block is settled row by row, which hardly any row needs.

    Args:
        boxes_xyxy: (n, 4), best first.
        iou: Threshold.
        max_det: Maximum number of boxes to keep.
        labels: (n,) class of each box: only boxes of one class suppress each other; None for all.

    Returns:
        The kept indices, ascending, at most `max_det`.
    """
    limit = np.float32(iou)

    def rivals(first: IntArray, second: IntArray) -> BoolArray:
        overlap = box_iou(boxes_xyxy[first], boxes_xyxy[second]) > limit
        return np.asarray(overlap if labels is None else overlap & (labels[first][:, None] == labels[second]), bool)

    kept = np.zeros(0, np.int64)
    for start in range(0, len(boxes_xyxy), NMS_BLOCK):
        block = np.arange(start, min(start + NMS_BLOCK, len(boxes_xyxy)))
        block = block[~rivals(kept, block).any(axis=0)]
        overlaps = np.triu(rivals(block, block), 1)
        alive = np.ones(len(block), bool)
        for row in np.flatnonzero(overlaps.any(axis=1)).tolist():
            if alive[row]:
                alive &= ~overlaps[row]
        kept = np.concatenate([kept, block[alive]])[:max_det]
        if len(kept) == max_det:
            break
    return kept


def nms_with_rivals(
    boxes_xyxy: FloatArray,
    scores: FloatArray,
    *,
    conf: float,
    iou: float,
    max_det: int,
    labels: IntArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """Non-maximum suppression that lowers scores where NMS drops boxes: two objects may share a box, not a mask.

    What `nms` keeps stays; what it would drop counts half, but what is nearly the same as a better box goes. A simple
    kind of Soft-NMS (Bodla et al. 2017), whose factor falls with the IoU.

    Args:
        boxes_xyxy: (n, 4), best first.
        scores: (n,) float32.
        conf: A score must be greater, strictly, when it is lowered, too.
        iou: Threshold above which a score is lowered.
        max_det: Maximum number of boxes to keep.
        labels: (n,) class of each box: only boxes of one class are compared; None for all.

    Returns:
        (k,) the kept indices, ascending, at most `max_det`; and (k,) float32 their scores, some lowered.
    """
    weights = np.zeros(len(boxes_xyxy), np.float32)
    weights[nms(boxes_xyxy, max(iou, SAME_IOU), max_det, labels)] = RIVAL_WEIGHT
    weights[nms(boxes_xyxy, iou, max_det, labels)] = 1
    weighed = scores * weights
    kept = np.flatnonzero(weighed > np.float32(conf))[:max_det]
    return kept, weighed[kept]


def box_iou(boxes_a: FloatArray, boxes_b: FloatArray) -> FloatArray:
    """(n, m) float32 IoU of every pair of boxes (n, 4) and (m, 4); NaN where both have no area."""
    # One axis at a time: NumPy is quick along long rows of numbers, not along pairs.
    ax1, ay1, ax2, ay2 = np.ascontiguousarray(boxes_a.T)[:, :, None]
    bx1, by1, bx2, by2 = np.ascontiguousarray(boxes_b.T)[:, None, :]
    width = np.maximum(np.minimum(ax2, bx2) - np.maximum(ax1, bx1), 0)
    height = np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0)
    both = width * height
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(both / (_area(boxes_a)[:, None] + _area(boxes_b)[None] - both), np.float32)


def snap_to_border(boxes_xyxy: FloatArray, image_size: tuple[int, int], threshold: float | None = None) -> FloatArray:
    """Move box edges that nearly touch the photo's border onto it, and boxes that nearly fill the photo to all of it.

    FastSAM does so, so that masks of large regions are not cut short of the frame. Here it is done for every photo,
    before masks are made, in the photo's own pixels; see design decision 5.

    Args:
        boxes_xyxy: (n, 4) in pixels of the photo; not changed.
        image_size: (width, height).
        threshold: Edges nearer than this, in pixels, strictly, move; 20 for a long side of 1024 by default.
    """
    width, height = image_size
    near = SNAP_SHARE * max(image_size) if threshold is None else threshold
    snapped = boxes_xyxy.copy()
    x1, y1, x2, y2 = snapped.T
    x1[x1 < near], y1[y1 < near] = 0, 0
    x2[x2 > width - near], y2[y2 > height - near] = width, height
    whole = np.array([[0, 0, width, height]], np.float32)
    snapped[box_iou(snapped, whole)[:, 0] > FULL_FRAME_IOU] = whole
    return snapped


def _area(boxes_xyxy: FloatArray) -> FloatArray:
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)
