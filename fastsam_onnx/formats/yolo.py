"""YOLO's label files for segmentation: a line per object, and the data.yaml that names the classes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.formats.categories import category_indices
from fastsam_onnx.formats.coco_dataset import TOLERANCE
from fastsam_onnx.formats.rings import joined, ring_with_holes
from fastsam_onnx.formats.yolo_names import names_of_data
from fastsam_onnx.masks.instances import Instances, check_found

DATA_FILE = "data.yaml"
LEAST_DIGITS = 6
"""Digits behind the point, more in photos of a hundred thousand pixels a side."""


def to_yolo(found: Instances, *, tolerance: float = TOLERANCE) -> str:
    """YOLO's labels for segmentation: "class x y x y ..." a line, with shares of the photo's width and height.

    An object is one ring: its islands and holes are joined by cuts of no width. Objects without pixels are left out.

    Args:
        found: The objects.
        tolerance: Distance in pixels by which an outline may stray to save points; 0 is exact.

    Raises:
        OptionError: If the tolerance is not a number of at least 0.
    """
    check_found(found)
    tolerance = options.number("tolerance", tolerance, 0)
    digits = max(LEAST_DIGITS, len(str(max(found.image_size))) + 1)  # that tell pixels apart
    lines = []
    for instance, category in zip(found, category_indices(found), strict=True):
        polygons = instance.mask.polygons(tolerance)
        if polygons:
            ring = joined([ring_with_holes(polygon) for polygon in polygons]) / np.array(found.image_size, np.float64)
            lines.append(" ".join([str(category), *(f"{value:.{digits}f}" for value in ring.reshape(-1).tolist())]))
    return "".join(f"{line}\n" for line in lines)


def yolo_data(folders: Sequence[str], names: Sequence[str]) -> str:
    """The text of data.yaml.

    Args:
        folders: Folders of the photos, absolute or relative to the file.
        names: Names of the classes, in their order.

    Raises:
        OptionError: If one of them is not a list of texts.
    """
    listed = ", ".join(map(_quoted, options.texts("folders", folders)))
    classes = "".join(f"  {index}: {_quoted(name)}\n" for index, name in enumerate(options.texts("names", names)))
    return f"train: [{listed}]\nval: [{listed}]\nnames:\n{classes}"


def _quoted(text: str) -> str:
    """A text of JSON that is the same text in YAML: JSON's pairs of escapes for one character would be two there."""
    return '"' + "".join(each if each > "\uffff" else json.dumps(each)[1:-1] for each in text) + '"'


def folders_of_data(text: str) -> list[str] | None:
    """The folders of a data.yaml that `yolo_data` wrote and nobody changed; None of any other."""
    try:
        folders = json.loads(text.partition("\n")[0].removeprefix("train: "))
    except (ValueError, RecursionError):
        return None
    names = names_of_data(text)
    if not names or not isinstance(folders, list):
        return None
    ours = yolo_data(folders, [names[index] for index in sorted(names)]) == text
    return folders if ours else None
