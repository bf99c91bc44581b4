"""Detections of the package supervision, for its annotators, trackers and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.errors import MissingPackageError
from fastsam_onnx.formats.categories import category_indices, category_names
from fastsam_onnx.masks.instances import Instances

if TYPE_CHECKING:
    import supervision


def to_supervision(found: Instances) -> supervision.Detections:
    """A `supervision.Detections` with boxes, dense masks, scores and classes.

    `class_id` is the object's label, and its name in `data["class_name"]`; 0 and no name where the network tells no
    classes apart. `tracker_id` is its number in a video; None where objects were not tracked.

    Raises:
        MissingPackageError: If supervision is not installed.
    """
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
        mask=found.masks.dense(),
        confidence=np.array(found.scores, np.float32),
        class_id=np.array(category_indices(found), int),
        tracker_id=None if found.track_ids is None else np.array(found.track_ids, int),
        data=data,
    )
