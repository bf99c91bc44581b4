"""What the network offered for a photo before any threshold: box prompts look here for what was not kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.detections import box_iou, class_agnostic_scores, xyxy_from_xywh
from fastsam_onnx.letterbox import Letterbox
from fastsam_onnx.prototypes import PendingMask, pending_masks

FloatArray = npt.NDArray[np.float32]

LEAST_SCORE = 0.001
SCORE_POWER = 0.3
"""How much a candidate's score counts beside its fit; measured on tools/evaluate.py's train_validation."""
MOST_TRIED = 20


@dataclass(frozen=True, eq=False)
class Candidates:
    """The network's candidates, also those with low scores and those that NMS took away.

    Attributes:
        boxes_xyxy: (n, 4) float32 in pixels of the photo.
        scores: (n,) float32, above 0.001.
        coefficients: (n, nm) float32.
        prototypes: (nm, h, w) float32.
        letterbox: Where the photo lies in the network's input.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    coefficients: FloatArray
    prototypes: FloatArray
    letterbox: Letterbox

    @classmethod
    def of_output(
        cls, output: FloatArray, prototypes: FloatArray, letterbox: Letterbox, *, class_count: int
    ) -> Candidates:
        """The candidates in a network's output, (4 + nc + nm, N) as `detections.detect` takes it."""
        scores = class_agnostic_scores(output, class_count)
        chosen = np.flatnonzero(scores > LEAST_SCORE)
        columns = output[:, chosen]
        chosen, columns = chosen[finite := np.isfinite(columns).all(axis=0)], columns[:, finite]
        boxes = letterbox.boxes_to_image(xyxy_from_xywh(columns[:4].T))
        return cls(boxes, scores[chosen], columns[4 + class_count :].T, prototypes, letterbox)

    def for_box(self, box_xyxy: npt.NDArray[np.float64]) -> tuple[PendingMask, float] | None:
        """The candidate whose box fits best, its mask cut to the prompt, and its score; None if none overlaps.

        The fit is the IoU of the two boxes times the score to the power of 0.3. Of candidates whose mask has no pixel
        in the prompt the next one is taken, twenty times at most.

        Args:
            box_xyxy: (4,) in pixels of the photo.
        """
        width, height = self.letterbox.image_size
        prompt = np.clip(box_xyxy, 0, (width, height, width, height)).astype(np.float32)[None]
        fit = np.nan_to_num(box_iou(prompt, self.boxes_xyxy)[0]) * self.scores**SCORE_POWER
        for row in np.argsort(-fit, kind="stable")[:MOST_TRIED].tolist():
            if fit[row] <= 0:
                break
            [mask] = pending_masks(prompt, self.coefficients[row : row + 1], self.prototypes, self.letterbox)
            if not mask.is_empty():
                return mask, float(self.scores[row])
        return None
