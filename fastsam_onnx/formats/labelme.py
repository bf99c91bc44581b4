"""Labelme's annotation files, to correct outlines by hand."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.pictures import picture_bytes
from fastsam_onnx.formats.text import Json, numbers
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.mask import Mask


def to_labelme(
    found: Instances,
    *,
    label: str | None = None,
    image_path: str | None = None,
    tolerance: float = 1.0,
    polygons_only: bool = False,
) -> Json:
    """Labelme's annotation file.

    An object is one polygon per island, joined by `group_id` when there are several. Labelme's polygons have no holes:
    an object with holes is one shape of type "mask", exact to the pixel (labelme 5.3 or newer).

    Args:
        found: The objects.
        label: The label of all objects; by default the name of each one's class, or "object" without classes.
        image_path: Path of the photo, relative to the file; by default the photo's file name. A photo without a name
            is put into the file.
        tolerance: Distance in pixels by which a polygon may stray to save points; 0 is exact, and hard to edit.
        polygons_only: True gives outlines without their holes instead of masks, for programs that know no masks
            (AnyLabeling, X-AnyLabeling).

    Raises:
        OptionError: If the label or the path is not a text, the tolerance not a number of at least 0, or neither the
            photo nor its name is known.
    """
    check_found(found)
    if label is not None:
        options.text("label", label)
    polygons_only = options.boolean("polygons_only", polygons_only)
    tolerance = options.number("tolerance", tolerance, 0)
    path = (found.source or "") if image_path is None else options.text("image_path", image_path)
    photo = None if path else _embedded_photo(found)
    shapes = []
    for index, instance in enumerate(found):
        named = label if label is not None else instance.name or "object"
        polygons = instance.mask.polygons(tolerance)
        if not polygons_only and any(polygon.holes for polygon in polygons):
            shapes.append({**_mask_shape(instance.mask, named), "group_id": instance.track_id})
            continue
        group = instance.track_id if instance.track_id is not None or len(polygons) == 1 else index
        for polygon in polygons:
            points = numbers(polygon.exterior)
            shapes.append(_shape(named, points, group_id=group, shape_type="polygon"))
    width, height = found.image_size
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": path or "photo.png",
        "imageData": photo,
        "imageHeight": height,
        "imageWidth": width,
    }


def _embedded_photo(found: Instances) -> str:
    """The photo as a base64 PNG: labelme opens no file that leads to no photo."""
    if found.image is None:
        raise OptionError(
            "labelme opens a file only with its photo, and this result has neither the photo nor its name; give it one "
            "of them, or image_path=, the photo's path"
        )
    return base64.b64encode(picture_bytes(found.image, ".png")).decode("ascii")


def _shape(label: str, points: list[Any], *, group_id: int | None, shape_type: str) -> Json:
    return {
        "label": label,
        "points": points,
        "group_id": group_id,
        "description": "",
        "shape_type": shape_type,
        "flags": {},
        "mask": None,
    }


def _mask_shape(mask: Mask, label: str) -> Json:
    """Labelme's mask shape: the first and the last pixel of the crop, and the crop as a base64 PNG of 0 and 1."""
    tight = mask.tight()
    height, width = tight.crop.shape
    corners = [[tight.left, tight.top], [tight.left + width - 1, tight.top + height - 1]]
    shape = _shape(label, corners, group_id=None, shape_type="mask")
    shape["mask"] = base64.b64encode(picture_bytes(tight.crop.view(np.uint8), ".png")).decode("ascii")
    return shape
