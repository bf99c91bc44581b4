"""Clicked objects followed through a clip, as it is and with one thing changed, and how right the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from fastsam_onnx import Mask, Prompts, Segmentation
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.tracking import following
from fastsam_onnx.tracking.following import followed
from tools.evaluate.prompts import interior_point
from tools.measure_tracking.clips import Clip
from tools.measure_tracking.numbering import SAME_IOU

FOLLOWED_FROM = 1 / 6
"""Time in seconds of the frame that the clicks are for."""
WAYS_TO_FOLLOW: dict[str, tuple[Any, str, Any] | None] = {
    "as it is": None,
    "found objects alone": (Candidates, "whole_for_mask", lambda self, mask: None),
    "not drawn": (following, "_drawings", lambda found, expected: found.take(np.zeros(0, np.int64))),
    "whatever colours": (following, "likeness", lambda one, other: 1.0),
    "as found": (following, "_as_answered", lambda found, mask, shown, motion: None),
    "not recognised": (following.Follower, "_recognised", lambda self, numbered, frame, expected: numbered),
}


@dataclass
class Following:
    """Counts over frames; see the docstring of `__main__`."""

    asked: int = 0
    overlap: float = 0.0
    right: int = 0
    poor: int = 0
    missing: int = 0
    taken: int = 0
    unseen: int = 0
    frames: int = 0
    hidden: int = 0

    def row(self) -> list[str]:
        seen = self.frames - self.hidden
        of_seen = [100 * count / max(seen, 1) for count in (self.right, self.poor, self.missing)]
        rest = [100 * self.taken / max(self.frames, 1), 100 * self.unseen / max(self.hidden, 1)]
        mean = f"{self.overlap / max(seen, 1):.3f}"
        return [str(self.asked), mean, *(f"{share:.1f}" for share in (*of_seen, *rest))]

    def add(self, clip: Clip, frames: Sequence[Segmentation], conf: float, way: str) -> None:
        """Follow what is visible as a whole, all of it at once."""
        first = round(FOLLOWED_FROM * clip.rate)
        clicks = {number: interior_point(mask) for number, (mask, share) in clip.truths[first].items() if share > 0.99}
        answers = frames[first].point_prompt([[click] for click in clicks.values()])
        assert answers.prompt_index is not None
        numbers = list(clicks)
        right = {
            numbers[prompt]
            for prompt, mask in zip(answers.prompt_index.tolist(), answers.masks, strict=True)
            if mask.iou(clip.truths[first][numbers[prompt]][0]) >= SAME_IOU
        }
        if not right:
            return
        prompts = Prompts(points=[[clicks[number]] for number in sorted(right)])
        self.asked += len(right)
        change = WAYS_TO_FOLLOW[way]
        with patch.object(*change) if change else nullcontext():
            results = followed((found for found in frames), prompts, at_frame=first, conf=conf)
            for truth, found in list(zip(clip.truths, results, strict=True))[first + 1 :]:
                self._count(sorted(right), truth, found)

    def _count(self, numbers: Sequence[int], truth: dict[int, tuple[Mask, float]], found: Any) -> None:
        given = dict(zip(found.prompt_index.tolist(), found.masks, strict=True))
        for prompt, number in enumerate(numbers):
            mask = given.get(prompt)
            self.frames += 1
            if mask is not None:
                others = (other for key, (other, _) in truth.items() if key != number)
                self.taken += any(mask.iou(other) >= SAME_IOU for other in others)
            if number not in truth:
                self.hidden += 1
                self.unseen += mask is not None
            elif mask is None:
                self.missing += 1
            else:
                overlap = mask.iou(truth[number][0])
                is_right = overlap >= SAME_IOU
                self.overlap += overlap
                self.right += is_right
                self.poor += not is_right
