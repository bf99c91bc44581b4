"""The objects of a photo drawn anew, one by one, by the network's decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.instances import Instances, Masks
from fastsam_onnx.masks.refine import calm

if TYPE_CHECKING:
    from fastsam_onnx.arrays import FloatArray
    from fastsam_onnx.masks.candidates import Candidates
    from fastsam_onnx.masks.mask import Mask
    from fastsam_onnx.masks.pending import PendingMask

Found = TypeVar("Found", bound=Instances)

LEAST_IOU = 0.5
"""IoU with the old mask that a new one must have: it is to be the same object."""


def redrawn(found: Found, candidates: Candidates | None) -> Found:
    """The same objects, the masks of those that the decoder sees more finely than the network drawn anew.

    Args:
        found: Objects.
        candidates: Everything that the network offered; None in a selection.

    Raises:
        OptionError: If there are none, or there is no decoder.
        ModelError: If the decoder cannot be used.
    """
    if candidates is None or candidates.closer is None:
        why = "this network has none" if candidates is not None else "this is a selection: redraw before choosing"
        raise OptionError(f"redrawn needs a refined result of a network with a decoder; {why}")
    masks, boxes = list(found.masks.lazy), found.boxes.copy()
    for index, (mask, box) in enumerate(zip(found.masks, found.boxes, strict=True)):
        new = _drawn_anew(mask, box, candidates) if candidates.closer.sees_more(box) else None
        if new is not None:
            masks[index], boxes[index] = new, new.bounds
    return replace(found, masks=Masks(masks, found.image_size), boxes=boxes)


def _drawn_anew(mask: Mask, box_xyxy: FloatArray, candidates: Candidates) -> PendingMask | None:
    """The mask as the decoder sees it; None if that is something else, or nothing."""
    point = mask.inner_point
    drawn = None if point is None else candidates.drawn_at(box_xyxy, np.array([point]))
    if drawn is None:
        return None
    new = calm(drawn).tight()
    return None if new.is_empty() or mask.iou(new.render()) < LEAST_IOU else new
