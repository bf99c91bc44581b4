"""Labelme's files: a JSON for each photo, a shape for each object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels.entries import (
    Box,
    Entry,
    LeftOut,
    around,
    coordinates,
    list_of,
    object_of,
    side,
    size_of,
    text_of,
)

WITHOUT_AREA = ("point", "points", "line", "linestrip")


def is_labelme(document: Any) -> bool:
    """True for an object with shapes."""
    return isinstance(document, dict) and "shapes" in document


def read_labelme(document: Mapping[str, Any], name: str, place: str, left_out: LeftOut) -> Entry:
    """The boxes around the shapes of a file; shapes of one group and label are one object.

    Args:
        document: Its JSON.
        name: The photo's, for the entry.
        place: Its path, for messages.
        left_out: Counts points and lines, and boxes without area.

    Raises:
        PromptError: If something is missing or malformed.
    """
    size = size_of(*(side(f"{place}: {key}", document.get(key)) for key in ("imageWidth", "imageHeight")))
    entry = Entry(name, place, size)
    objects: dict[object, tuple[list[Box], str, str]] = {}
    for number, one in enumerate(list_of(f"{place}: shapes", document["shapes"])):
        where = f"{place}: shape {number}"
        shape = object_of(where, one)
        label, group = text_of(f"{where}: label", shape.get("label")), shape.get("group_id")
        if group is not None and not isinstance(group, int | str):
            raise PromptError(f"{where}: group_id must be an integer or null, got {options.shown(group)}")
        kind = text_of(f"{where}: shape_type", shape.get("shape_type", "polygon"))
        if kind in WITHOUT_AREA:
            left_out.add("points and lines", where)
            continue
        box = _box(kind, _points(shape.get("points"), where), where)
        objects.setdefault(number if group is None else (label, group), ([], label, where))[0].append(box)
    for boxes, label, where in objects.values():
        entry.add(around([*chain(*((*box[:2], *box[2:]) for box in boxes))]), label, where, left_out)
    return entry


def _points(given: Any, where: str) -> list[tuple[float, float]]:
    points = []
    for one in list_of(f"{where}: points", given):
        values = coordinates(f"{where}: a point", one)
        if len(values) != 2:
            raise PromptError(f"{where}: a point must be [x, y], got {options.shown(one)}")
        points.append((values[0], values[1]))
    return points


def _box(kind: str, points: Sequence[tuple[float, float]], where: str) -> Box:
    needed = {"rectangle": 2, "circle": 2, "mask": 2}.get(kind, 3)
    if len(points) < needed or (kind in ("circle", "mask") and len(points) > needed):
        raise PromptError(f"{where}: a {kind[:80]} must have {needed} points or more, got {len(points)}")
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    x1, y1, x2, y2 = around([*chain(*points)])
    return (x1, y1, x2 + 1, y2 + 1) if kind == "mask" else (x1, y1, x2, y2)  # its corners are pixels
