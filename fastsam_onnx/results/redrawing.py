"""The objects of a result drawn anew by the network's decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.redraw import redrawn as drawn_anew
from fastsam_onnx.masks.sequence import Masks

if TYPE_CHECKING:
    from fastsam_onnx.masks.candidates import Candidates

Found = TypeVar("Found", bound=Instances)


def redrawn(found: Found, candidates: Candidates | None) -> Found:
    """The same objects, drawn anew by the network's decoder; as they are if it drew them already.

    Drawn from what was drawn, outlines would wander, and an object that is also shown as it was would be there twice.

    Args:
        found: Objects.
        candidates: Everything that the network offered; None where it is not known.

    Raises:
        OptionError: If it is not known, or there is no decoder.
        ModelError: If the decoder cannot be used.
    """
    if candidates is None or candidates.closer is None:
        why = "this one was found with refine=False, or by a network without a decoder"
        if candidates is None:
            why = (
                "this one lacks what the network offered, as a selection does, and results of tiles, of tracking, of "
                "JSON and of masks: redraw the whole result of a call, before choosing, or say redraw=True in the call"
            )
        raise OptionError(f"redrawn needs a refined result of a network with a decoder; {why}")
    if any(mask.predicted_iou is not None for mask in found.masks.lazy):
        return found
    boxes, masks = drawn_anew(found.boxes, found.masks.lazy, candidates, candidates.closer)
    return replace(found, masks=Masks(masks, found.image_size), boxes=boxes)
