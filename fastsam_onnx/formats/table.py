"""A table of the objects, for spreadsheets and pandas: CSV (RFC 4180, but lines end with a line feed)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastsam_onnx.formats.text import numbers, object_facts
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.mask import Mask

COLUMNS = (
    *("source", "width", "height", "index", "score", "x1", "y1", "x2", "y2", "area", "centroid_x", "centroid_y"),
    *("prompt_index", "predicted_iou", "similarity", "label", "name", "track_id"),
)


def to_csv(found: Instances) -> str:
    """A table: a line of names, then a line per object. What is not known is empty.

    Args:
        found: The objects.

    Returns:
        The columns "source" (file name of the photo), "width", "height" (of the photo, pixels), "index", "score" (0 to
        1), "x1", "y1", "x2", "y2" (the detector's box, as in JSON), "area" (pixels), "centroid_x", "centroid_y" (the
        mean of the pixels' middles, image pixels), "prompt_index", "predicted_iou", "similarity", "label", "name" and
        "track_id". They are the same for every result, so that tables can be put together.
    """
    check_found(found)
    return "".join(map(line_of, [COLUMNS, *rows_of(found)]))


def rows_of(found: Instances) -> list[list[Any]]:
    """The cells of COLUMNS of each object."""
    width, height = found.image_size
    rows = []
    for index, instance in enumerate(found):
        row = {"source": found.source, "width": width, "height": height, **object_facts(index, instance)}
        row |= zip(("x1", "y1", "x2", "y2"), row["box"], strict=True)
        row |= zip(("centroid_x", "centroid_y"), _centroid(instance.mask), strict=True)
        rows.append([row.get(name) for name in COLUMNS])
    return rows


def line_of(cells: Sequence[Any]) -> str:
    """A line of a table."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)  # before Python 3.13 a \r in a cell is quoted by this alone
    return line.getvalue().removesuffix("\r\n") + "\n"


def _centroid(mask: Mask) -> list[Any]:
    """[x, y], the mean of the pixels' middles; None of a mask without pixels."""
    if not mask.area:
        return [None, None]
    sums = (np.count_nonzero(mask.crop, axis=axis) for axis in (0, 1))
    return numbers(
        [
            corner + 0.5 + np.arange(counts.size) @ counts / mask.area
            for corner, counts in zip((mask.left, mask.top), sums, strict=True)
        ]
    )
