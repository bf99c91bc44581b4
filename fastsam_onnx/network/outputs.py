"""From the outputs of an export, whatever its layout, to one form; numbers that cannot be right are errors.

They would give wrong masks, or none, without an error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.contract import Contract
from fastsam_onnx.network.heads import candidates_from_heads
from fastsam_onnx.network.inspection import EXPORT_HINT
from fastsam_onnx.network.layout import Outputs, anchor_count, prototype_size, steps_of

SCORE_TOLERANCE = 0.01
"""Distance that rounding (float16, int8) may take a score out of 0 to 1."""
NEGLIGIBLE_SCORE = 0.001
"""Candidates with a score up to this are never objects, so that nothing in them can be wrong."""
MOST_CLASSES = 1 << 20
"""An index of a class is below; a number above is not one."""
ONE_CORNER = 2
"""If no box reaches farther than this many pixels from the corner of the input, boxes are not in pixels."""
LARGEST_NUMBER = 1e9
"""Coordinates and weights beyond are damage; areas of boxes much larger would overflow."""
NOT_FINITE = "the outputs contain NaN or infinite values; is the file damaged?"


class Output(NamedTuple):
    """The answer of a network for one photo.

    Attributes:
        candidates: (4 + nc + nm, N) float32: cx, cy, w, h in input pixels, scores 0 to 1, coefficients. Columns whose
            scores are all negligible may hold numbers that are not finite.
        prototypes: (nm, h/4, w/4) float32, contiguous.
        labels: (N,) int64 index of each candidate's class, where NMS inside has settled it; None where the scores tell.
    """

    candidates: FloatArray
    prototypes: FloatArray
    labels: IntArray | None = None


def to_outputs(
    prototypes: FloatArray, parts: list[FloatArray], outputs: Outputs, contract: Contract, input_size: tuple[int, int]
) -> list[Output]:
    """The answers for a batch of photos.

    Args:
        prototypes: (B, nm, h/4, w/4) float32.
        parts: Outputs that hold the candidates, in the order of `outputs.candidates`, float32.
        outputs: Layout of the parts.
        contract: Number of classes and prototypes.
        input_size: (height, width) of the input.

    Raises:
        ModelError: If a shape is another than the contract's, if a number is NaN or infinite, if a score is not from 0
            to 1, or if boxes are not in pixels.
    """
    candidates = _candidates(parts, outputs, contract.stride)
    _check_shapes(candidates, prototypes, outputs, contract, input_size)
    _check_scores(candidates[:, 4 : 4 + outputs.score_count], padded=outputs.after_nms)
    labels: list[IntArray | None] = [None] * len(candidates)
    if outputs.after_nms:
        labels = list(_labels_of_detections(candidates))
        candidates = _candidates_from_detections(candidates)
    elif outputs.objectness:
        candidates = _with_products(candidates, contract.class_count)
    scores = candidates[:, 4 : 4 + contract.class_count]
    if not _is_finite(prototypes) or not _is_finite_where_it_counts(candidates, scores):
        raise ModelError(NOT_FINITE)
    _check_reach(candidates[:, :4], scores)
    everywhere = candidates.shape[2] == outputs.per_cell * anchor_count(input_size, contract.stride)
    if outputs.after_nms:
        _check_boxes(candidates[:, :4].swapaxes(1, 2)[scores[:, 0] > 0])
    elif everywhere:
        _check_boxes(candidates[:, :4])
    return [Output(*parts) for parts in zip(candidates, prototypes, labels, strict=True)]


def _candidates(parts: list[FloatArray], outputs: Outputs, stride: int) -> FloatArray:
    """(B, channels, N) of every layout."""
    if outputs.layout == "raw heads":
        return candidates_from_heads(parts, steps_of(stride))
    turned = parts if outputs.layout == "channels first" else [np.swapaxes(part, 1, 2) for part in parts]
    return turned[0] if len(turned) == 1 else np.concatenate(turned, axis=1)


def _check_shapes(
    candidates: FloatArray, prototypes: FloatArray, outputs: Outputs, contract: Contract, input_size: tuple[int, int]
) -> None:
    height, width = input_size
    expected = (len(prototypes), outputs.channel_count)
    grid = (len(candidates), contract.coefficient_count, *prototype_size(input_size))
    if candidates.shape[:2] != expected or prototypes.shape != grid:
        raise ModelError(
            f"on an input of {height} x {width} (height x width) the outputs are candidates {candidates.shape} and "
            f"prototypes {prototypes.shape}, but must be {(*expected, 'N')} and {grid}"
        )


def _check_scores(scores: FloatArray, *, padded: bool) -> None:
    """Check scores that are finite; some exporters pad with -1."""
    if not scores.size:
        return
    low, high = (float(each) for each in (np.fmin.reduce(scores, axis=None), np.fmax.reduce(scores, axis=None)))
    if not np.isfinite([low, high]).all():
        raise ModelError(NOT_FINITE)
    if (low < -SCORE_TOLERANCE and not padded) or high > 1 + SCORE_TOLERANCE:
        raise ModelError(
            f"scores must be 0 to 1, got {low:.3g} to {high:.3g}: the export lacks the sigmoid or has another layout; "
            f"{EXPORT_HINT}"
        )


def _check_reach(boxes_xywh: FloatArray, scores: FloatArray) -> None:
    """Check that boxes whose scores count are nowhere far outside of every photo."""
    if not boxes_xywh.size or np.abs(boxes_xywh).max() <= LARGEST_NUMBER:  # not so where a number is NaN
        return
    counted = (scores > NEGLIGIBLE_SCORE).any(axis=1)
    farthest = float(np.abs(boxes_xywh.swapaxes(1, 2)[counted]).max(initial=0))
    if farthest > LARGEST_NUMBER:
        raise ModelError(f"boxes must be in pixels of the input, got {farthest:.3g}; is the file damaged?")


def _check_boxes(boxes_xywh: FloatArray) -> None:
    """Check that boxes of whatever shape are in pixels: they cannot all lie in the first ones."""
    if boxes_xywh.size and boxes_xywh.max() <= ONE_CORNER:
        raise ModelError("boxes must be in pixels of the input, got 0 to 1: export without scaling them")


def _candidates_from_detections(detections: FloatArray) -> FloatArray:
    """(B, 6 + nm, k) x1, y1, x2, y2, score, class, coefficients → (B, 5 + nm, k) with cx, cy, w, h and one class."""
    corners, far, scores, weights = np.split(detections, (2, 4, 5), axis=1)
    # Some exporters pad with -1 instead of 0.
    return np.concatenate([(corners + far) / 2, far - corners, np.maximum(scores, 0), weights[:, 1:]], axis=1)


def _labels_of_detections(detections: FloatArray) -> IntArray:
    """(B, k) int64 classes of detections as in `_candidates_from_detections`; 0 where one is padding.

    Raises:
        ModelError: If an object's class is not an index.
    """
    classes, counts = np.rint(detections[:, 5]), detections[:, 4] > NEGLIGIBLE_SCORE
    if not ((classes >= 0) & (classes < MOST_CLASSES))[counts].all():
        raise ModelError(f"classes after NMS must be indices from 0 on, got {detections[:, 5][counts].min():.3g}")
    return np.where(counts, classes, 0).astype(np.int64)


def _with_products(candidates: FloatArray, class_count: int) -> FloatArray:
    """(B, 5 + nc + nm, N) with objectness as the fifth channel → (B, 4 + nc + nm, N), scores multiplied by it."""
    boxes, objectness, classes, weights = np.split(candidates, (4, 5, 5 + class_count), axis=1)
    return np.concatenate([boxes, objectness * classes, weights], axis=1)


def _is_finite(values: FloatArray) -> bool:
    """True if no value is NaN or infinite, found without an array of answers."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


def _is_finite_where_it_counts(candidates: FloatArray, scores: FloatArray) -> bool:
    """True if only candidates of negligible scores hold numbers that are not finite."""
    if _is_finite(candidates):
        return True
    negligible = (scores <= NEGLIGIBLE_SCORE).all(axis=1)  # not so where a score is NaN
    return bool(np.isfinite(candidates.swapaxes(1, 2)[~negligible]).all())
