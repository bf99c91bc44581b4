"""What the network offered for a photo before any threshold: box prompts look here for what was not kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.detections import box_iou, class_agnostic_scores, xyxy_from_xywh
from fastsam_onnx.masks.pending import PendingMask, pending_masks
from fastsam_onnx.network.letterbox import Letterbox

LEAST_SCORE = 0.001
SCORE_POWER = 0.3
"""How much a candidate's score counts beside its fit; measured on tools/evaluate.py's train_validation."""
MOST_TRIED = 20


@dataclass(frozen=True, eq=False)
class Candidates:
    """The network's candidates, also those with low scores and those that NMS took away; decoded at the first use.

    Attributes:
        output: (4 + nc + nm, N) as `detections.detect` takes it.
        prototypes: (nm, h, w) float32.
        letterbox: Where the photo lies in the network's input.
        class_count: nc.
    """

    output: FloatArray
    prototypes: FloatArray
    letterbox: Letterbox
    class_count: int

    @property
    def boxes_xyxy(self) -> FloatArray:
        """(n, 4) float32 in pixels of the photo, of those with finite numbers and a score above 0.001."""
        return self._decoded[0]

    @property
    def scores(self) -> FloatArray:
        """(n,) float32."""
        return self._decoded[1]

    @cached_property
    def _decoded(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Boxes, scores, and the columns of `output` they stand in."""
        scores = class_agnostic_scores(self.output, self.class_count)
        columns = np.flatnonzero(scores > LEAST_SCORE)
        columns = columns[np.isfinite(self.output[:, columns]).all(axis=0)]
        boxes = self.letterbox.boxes_to_image(xyxy_from_xywh(self.output[:4, columns].T))
        return boxes, scores[columns], columns

    def for_box(self, box_xyxy: FloatArray) -> tuple[PendingMask, float] | None:
        """The candidate whose box fits best, its mask cut to the prompt, and its score; None if none overlaps.

        The fit is the IoU of the two boxes times the score to the power of 0.3. Of candidates whose mask has no pixel
        in the prompt the next one is taken, twenty times at most.

        Args:
            box_xyxy: (4,) in pixels of the photo, inside it.
        """
        prompt = box_xyxy[None]
        fit = np.nan_to_num(box_iou(prompt, self.boxes_xyxy)[0]) * self.scores**SCORE_POWER
        for row in np.argsort(-fit, kind="stable")[:MOST_TRIED].tolist():
            if fit[row] <= 0:
                break
            column = self._decoded[2][row]
            coefficients = self.output[None, 4 + self.class_count :, column]
            [mask] = pending_masks(prompt, coefficients, self.prototypes, self.letterbox)
            if not mask.is_empty():
                return mask, float(self.scores[row])
        return None
