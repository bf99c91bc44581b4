"""The records of Segment Anything's automatic mask generator."""

from __future__ import annotations

from typing import Any, Literal, get_args

from fastsam_onnx.formats.text import Json, rounded_score, xywh
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.options import choice

FileMode = Literal["uncompressed_rle", "coco_rle"]
OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]


def to_sam(found: Instances, *, output_mode: OutputMode = "binary_mask") -> list[Json]:
    """The record list of Segment Anything's automatic mask generator.

    Args:
        found: The objects.
        output_mode: Kind of "segmentation", by SAM's names: a dense (H, W) bool array, or COCO's run lengths as a list
            or compressed.

    Returns:
        A list of {"segmentation", "area", "bbox" [x, y, width, height] of the pixels, "predicted_iou",
        "point_coords", "stability_score", "crop_box"}. "stability_score" is the network's score, and so is
        "predicted_iou" of a mask that no decoder drew. "bbox" ends behind the last pixel, as in COCO; SAM's ends on it,
        a pixel less wide and high. "point_coords" is the pixel that lies deepest in the object, [[x, y]]. "crop_box" is
        the whole photo.

    Raises:
        OptionError: If `output_mode` is not one of the three.
    """
    check_found(found)
    choice("output_mode", output_mode, get_args(OutputMode))
    width, height = found.image_size
    records = []
    for instance in found:
        mask, score, expected = instance.mask, rounded_score(instance.score), instance.predicted_iou
        point = mask.inner_point
        segmentation: Any
        if output_mode == "binary_mask":
            segmentation = mask.dense()
        elif output_mode == "coco_rle":
            segmentation = mask.rle()
        else:
            segmentation = {"size": [height, width], "counts": mask.run_lengths().tolist()}
        records.append(
            {
                "segmentation": segmentation,
                "area": mask.area,
                "bbox": xywh(mask.box),
                "predicted_iou": score if expected is None else rounded_score(expected),
                "point_coords": [] if point is None else [list(point)],
                "stability_score": score,
                "crop_box": [0, 0, width, height],
            }
        )
    return records


def sam_file(found: Instances, *, output_mode: FileMode = "coco_rle") -> list[Json]:
    """`to_sam` for a file, which holds no dense masks."""
    choice("output_mode", output_mode, get_args(FileMode))
    return to_sam(found, output_mode=output_mode)
