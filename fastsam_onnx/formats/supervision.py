"""Detections of the package supervision, for its annotators, trackers and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.errors import MissingPackageError
from fastsam_onnx.formats.categories import category_indices, category_names
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.options import boolean

if TYPE_CHECKING:
    import supervision


def to_supervision(found: Instances, *, compact: bool = False) -> supervision.Detections:
    """A `supervision.Detections` with boxes, masks, scores and classes.

    `class_id` is the object's label, and its name in `data["class_name"]`; 0 and no name where the network tells no
    classes apart. `tracker_id` is its number in a video; None where objects were not tracked.

    Args:
        found: The objects.
        compact: True for masks as a `supervision.CompactMask`, which holds run lengths of each mask's own rectangle;
            False for (n, H, W) bool, n photos' worth of memory.

    Raises:
        OptionError: If `compact` is not a bool.
        MissingPackageError: If supervision is not installed, or too old for compact masks.
    """
    check_found(found)
    compact = boolean("compact", compact)
    try:
        import supervision
    except ImportError as error:
        raise MissingPackageError(
            f"to_supervision() needs the package supervision ({error}); install it with: pip install supervision"
        ) from error
    data: dict[str, Any] = {} if found.prompt_index is None else {"prompt_index": np.asarray(found.prompt_index)}
    if found.labels is not None:
        data["class_name"] = np.array(category_names(found), str)
    return supervision.Detections(
        xyxy=np.array(found.boxes, np.float32).reshape(-1, 4),
        mask=_compact_masks(found) if compact else found.masks.dense(),
        confidence=np.array(found.scores, np.float32),
        class_id=np.array(category_indices(found), int),
        tracker_id=None if found.track_ids is None else np.array(found.track_ids, int),
        data=data,
    )


def _compact_masks(found: Instances) -> Any:
    """The masks as a `supervision.CompactMask`; one after another is made and let go."""
    import supervision

    kind: Any = getattr(supervision, "CompactMask", None)
    if not hasattr(kind, "from_coco_rle"):
        raise MissingPackageError(
            f"compact=True needs a supervision with CompactMask.from_coco_rle, got {supervision.__version__}; update "
            "it with: pip install --upgrade supervision"
        )
    runs, boxes = [], []
    for mask in found.masks:
        runs.append(mask.rle())
        boxes.append(mask.box - np.array([0, 0, 1, 1], np.float32))  # supervision's ends belong to the box
    width, height = found.image_size
    return kind.from_coco_rle(runs, np.array(boxes, np.float32).reshape(-1, 4), (height, width))
