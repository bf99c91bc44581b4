"""COCO's results, for pycocotools and everything that reads what it reads."""

from __future__ import annotations

from fastsam_onnx import options
from fastsam_onnx.formats.text import Json, rounded_score, xywh
from fastsam_onnx.masks.instances import Instances


def to_coco(found: Instances, *, image_id: int | str = 0, category_id: int = 1) -> list[Json]:
    """COCO's results format, as pycocotools' `loadRes` reads it.

    Args:
        found: The objects.
        image_id: The photo's id in the data set.
        category_id: The class of all objects, which the network does not know.

    Returns:
        A list of {"image_id", "category_id", "segmentation" (compressed RLE), "bbox" [x, y, width, height] (the
        detector's box), "score", "area"}.

    Raises:
        OptionError: If an id is neither an integer nor, for the photo, a text.
    """
    image_id = image_id if isinstance(image_id, str) else options.integer("image_id", image_id, 0)
    category_id = options.integer("category_id", category_id, 0)
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "segmentation": instance.mask.rle(),
            "bbox": xywh(instance.box),
            "score": rounded_score(instance.score),
            "area": instance.mask.area,
        }
        for instance in found
    ]
