"""What a rough mask means, of everything that the network offered: a scribble, a lasso, another program's mask.

The constants were chosen on tools/evaluate.py's train_validation.
"""

from __future__ import annotations

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.masks.candidates import Answer, Candidates, closest
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.refine import calm, fills_a_side

SAME_IOU = 0.9
"""IoU of an object with a mask above which it is the answer as it is."""
SLIMMEST = 0.35
"""Least shorter side of what is looked at first, beside its longer one: a stroke is slimmer than what it means."""
LEAST_SIDE = 0.02
"""The least of either, beside the photo's longer side: a dot is smaller."""
LOOKS = 6
"""Maximum number of times that what a mask means is drawn, each time in a wider view."""
CUT_SHARE = 0.15
"""Share of a side of the view that a mask reaches, above which it is drawn again; chosen by eye, too: it ends there."""


def for_mask(candidates: Candidates, mask: Mask, nearest: Answer | None = None) -> Answer | None:
    """What a mask means; None if nothing overlaps it.

    What the corrector draws when it is shown the mask. Without one, what fits the mask best, by IoU: a candidate, or
    the answer to the mask's box.

    Args:
        candidates: Everything that the network offered.
        mask: Of the photo's size, with at least one pixel.
        nearest: The object that is most like the mask. It answers where it is nearly that, and otherwise takes part,
            first of equals.
    """
    if nearest is not None and mask.iou(nearest.mask.render()) > SAME_IOU:
        return nearest
    drawn = _drawn(candidates, mask)
    return drawn or closest(mask, (nearest, candidates.for_box(mask.box), *candidates.near(mask)))


def _drawn(candidates: Candidates, mask: Mask) -> Answer | None:
    """What the corrector draws when it is shown a mask; None if it cannot, or draws something else.

    What the end of the view cuts is drawn again, around all of it.
    """
    closer = candidates.closer
    fitting = candidates.fitting(mask.box[None], 1)[0].tolist()
    if closer is None or not closer.corrects or not fitting:
        return None
    box = _around(mask)
    for _ in range(LOOKS):
        [question] = candidates.questions(box[None], asked=False)
        [drawn], _ = closer.draw([closer.showing(question, mask)])
        whole = calm(drawn)
        answer = whole.tight()
        if not mask.intersection_area(answer.render()):
            return None
        if not fills_a_side(whole, 1, CUT_SHARE):
            break
        ends = np.array([box, answer.bounds], np.float32)
        box = np.concatenate([ends[:, :2].min(axis=0), ends[:, 2:].max(axis=0)])
    return candidates.answer(fitting[0], answer, np.array(answer.bounds, np.float32))


def _around(mask: Mask) -> FloatArray:
    """The box (4,) that is looked at first: the mask's, but neither slim nor tiny, inside the photo."""
    low, high = np.split(mask.box.astype(np.float64), 2)
    sides = high - low
    least = max(SLIMMEST * sides.max(), LEAST_SIDE * max(mask.image_size))
    room = np.maximum(least - sides, 0) / 2
    return np.concatenate([low - room, high + room]).clip(0, [*mask.image_size] * 2).astype(np.float32)
