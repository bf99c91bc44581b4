"""The package's own JSON: everything that a result holds."""

from __future__ import annotations

from typing import Literal, get_args

from fastsam_onnx import options
from fastsam_onnx.formats.text import SCORE_DECIMALS, Json, json_text, numbers, optional_integer, rounded_score
from fastsam_onnx.masks.instances import Instances

MaskForm = Literal["rle", "polygons"]


def to_dict(found: Instances, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> Json:
    """Everything the result holds, as plain Python.

    Args:
        found: The objects.
        masks: "rle" for COCO's compressed run lengths (exact and small; `Mask.from_rle` and pycocotools read them) or
            "polygons".
        tolerance: Distance in pixels by which an outline may stray to save points; 0 is exact.

    Returns:
        {"format": "fastsam-onnx", "version": 1, "source": file name or None, "width", "height": pixels, "objects":
        [...]}. An object has "index", "score" (0 to 1), "box" [x1, y1, x2, y2] (the detector's, image pixels, right and
        bottom exclusive), "area" (pixels), "prompt_index" (the prompt it answers, or None), if it answers a text
        "similarity" (a cosine, -1 to 1), and either "rle" {"size": [H, W], "counts"} or "polygons" [{"exterior":
        [[x, y], ...], "holes": [[[x, y], ...], ...]}, ...] along the edges of the pixels, pixel (0, 0) covering [0, 1)
        x [0, 1).

    Raises:
        OptionError: If `masks` is neither, or the tolerance is not a number of at least 0.
    """
    options.choice("masks", masks, get_args(MaskForm))
    tolerance = options.number("tolerance", tolerance, 0)
    objects = []
    for index, instance in enumerate(found):
        record: Json = {
            "index": index,
            "score": rounded_score(instance.score),
            "box": numbers(instance.box),
            "area": instance.mask.area,
            "prompt_index": optional_integer(instance.prompt_index),
        }
        if instance.similarity is not None:
            record["similarity"] = round(instance.similarity, SCORE_DECIMALS)
        if masks == "rle":
            record["rle"] = instance.mask.rle()
        else:
            record["polygons"] = [
                {"exterior": numbers(polygon.exterior), "holes": [numbers(hole) for hole in polygon.holes]}
                for polygon in instance.mask.polygons(tolerance)
            ]
        objects.append(record)
    width, height = found.image_size
    return {
        "format": "fastsam-onnx",
        "version": 1,
        "source": found.source,
        "width": width,
        "height": height,
        "objects": objects,
    }


def to_json(found: Instances, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> str:
    """`to_dict` as JSON text, one object a line.

    Raises:
        OptionError: As in `to_dict`.
    """
    return json_text(to_dict(found, masks=masks, tolerance=tolerance))
