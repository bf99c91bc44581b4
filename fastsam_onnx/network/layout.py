"""Which output of an export is what: exports differ in names, order and layout, and the shapes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.heads import find_levels
from fastsam_onnx.network.metadata import STRIDES, Metadata

Shape = tuple[int, ...]
Layout = Literal["channels first", "channels last", "detections after NMS", "raw heads"]

PROTOTYPE_STRIDE = 4
ANCHORS_PER_CELL = 3
"""Number of candidates of a cell in YOLOv5 and YOLOv7, which tell objectness and class apart."""


@dataclass(frozen=True)
class Outputs:
    """Which output is what.

    Attributes:
        prototypes: Name of the prototypes.
        candidates: Names of the candidates; with a second one, that holds the coefficients, which the first lacks. Of
            raw heads the three maps of each stride, as in `heads.Level`.
        layout: Layout of the candidates, and of the coefficients alike.
        class_count: nc; 1 with NMS inside.
        coefficient_count: nm.
        objectness: True if a candidate has, before the scores of its classes, one by which they are to be multiplied,
            as in YOLOv5 and YOLOv7, which have three candidates a cell.
    """

    prototypes: str
    candidates: tuple[str, ...]
    layout: Layout
    class_count: int
    coefficient_count: int
    objectness: bool = False

    @property
    def score_count(self) -> int:
        """Number of channels that hold scores of a candidate."""
        return self.class_count + self.objectness

    @property
    def channel_count(self) -> int:
        """Number of channels of a candidate; of a detection after NMS one holds its class."""
        return 4 + self.score_count + self.after_nms + self.coefficient_count

    @property
    def per_cell(self) -> int:
        """Number of candidates of a cell, without NMS."""
        return ANCHORS_PER_CELL if self.objectness else 1

    @property
    def wanted(self) -> list[str]:
        """The outputs to ask of ONNX Runtime, in the order of its answer."""
        return [self.prototypes, *self.candidates]

    @property
    def after_nms(self) -> bool:
        """True if the file suppresses overlapping boxes itself."""
        return self.layout == "detections after NMS"


@dataclass(frozen=True, eq=False, repr=False)
class _Reading:
    """One way to read the candidates' shape."""

    layout: Layout
    class_count: int
    objectness: bool = False


def prototype_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the prototypes of an input of this (height, width)."""
    return size[0] // PROTOTYPE_STRIDE, size[1] // PROTOTYPE_STRIDE


def find_outputs(
    shapes: Mapping[str, Shape], values: Mapping[str, npt.NDArray[Any]], size: tuple[int, int], metadata: Metadata
) -> Outputs:
    """Tell by shape which output is what; `values` are those of a run, where there was one."""
    planes = [name for name, shape in shapes.items() if len(shape) == 4]
    lists = [name for name, shape in shapes.items() if len(shape) == 3]
    grids = [name for name in planes if shapes[name][2:] == prototype_size(size)]
    if len(grids) == 1 and not lists and len(planes) > 1:
        return _raw_heads(grids[0], shapes, size, metadata)
    if len(grids) != 1 or len(lists) not in (1, 2):
        raise ModelError(_diagnosis(len(planes), len(lists), len(grids)))
    [prototypes] = grids
    nm = shapes[prototypes][1]
    if len(lists) == 1:
        name = lists[0]
        reading = _read_shape(shapes[name], nm, anchor_count(size, metadata.stride), metadata)
        return Outputs(prototypes, (name,), reading.layout, reading.class_count, nm, reading.objectness)
    name, coefficients, layout = _pair(lists[0], lists[1], shapes, nm)
    channel_axis = 1 if layout == "channels first" else 2
    nc = shapes[name][channel_axis] - 4
    own = np.moveaxis(values[name], channel_axis, 1)[:, -nm:]
    if nc > nm and np.array_equal(own, np.moveaxis(values[coefficients], channel_axis, 1)):
        return Outputs(prototypes, (name,), layout, nc - nm, nm)
    return Outputs(prototypes, (name, coefficients), layout, nc, nm)


def _raw_heads(prototypes: str, shapes: Mapping[str, Shape], size: tuple[int, int], metadata: Metadata) -> Outputs:
    """The outputs of a network that was cut before the decoding of its boxes."""
    nm = shapes[prototypes][1]
    maps = {name: shape for name, shape in shapes.items() if name != prototypes}
    levels = find_levels(maps, grids_of(size, metadata.stride), nm, len(metadata.names))
    names = tuple(name for level in levels for name in level)
    return Outputs(prototypes, names, "raw heads", shapes[levels[0].scores][1], nm)


def _read_shape(shape: Shape, nm: int, anchors: int, metadata: Metadata) -> _Reading:
    """The likeliest way in which an output of this shape holds boxes, scores and coefficients.

    The number of names says most, then the number of anchors, then that channels are fewer than candidates.
    """
    _, rows, columns = shape
    readings = list(_possible_readings(rows, columns, nm, anchors, metadata))
    if not readings:
        raise ModelError(f"with {nm} prototypes candidates have {5 + nm} channels at least")
    along: dict[Layout, int] = {"channels first": columns, "channels last": rows}

    def likelihood(reading: _Reading) -> tuple[bool, bool, int]:
        layout, has_name_count = reading.layout, reading.class_count == len(metadata.names)
        fits_names = layout == "detections after NMS" or has_name_count
        wide = rows <= columns or has_name_count
        habit: dict[Layout, int] = {"channels first": 3 if wide else 0, "detections after NMS": 2, "channels last": 1}
        fits_anchors = reading.objectness or along.get(layout) == anchors
        return fits_names or not metadata.names, fits_anchors, habit[layout]

    return max(readings, key=likelihood)


def _possible_readings(rows: int, columns: int, nm: int, anchors: int, metadata: Metadata) -> list[_Reading]:
    after_nms = [_Reading("detections after NMS", 1)] if columns == 6 + nm else []
    if after_nms and (metadata.nms or metadata.end2end):
        return after_nms
    with_objectness = ANCHORS_PER_CELL * anchors
    readings = after_nms if rows not in (anchors, with_objectness) else []
    if columns == with_objectness and rows >= 6 + nm:
        readings.append(_Reading("channels first", rows - 5 - nm, objectness=True))
    if rows == with_objectness and columns >= 6 + nm:
        readings.append(_Reading("channels last", columns - 5 - nm, objectness=True))
    if rows >= 5 + nm:
        readings.append(_Reading("channels first", rows - 4 - nm))
    if columns >= 5 + nm:
        readings.append(_Reading("channels last", columns - 4 - nm))
    return readings


def _pair(first: str, second: str, shapes: Mapping[str, Shape], nm: int) -> tuple[str, str, Layout]:
    """Which of two outputs holds boxes and scores, which the coefficients, and their layout."""
    readings: list[tuple[str, str, Layout]] = []
    for name, coefficients in ((first, second), (second, first)):
        (_, rows, columns), (_, weight_rows, weight_columns) = shapes[name], shapes[coefficients]
        if columns == weight_columns and weight_rows == nm and rows >= 5:
            readings.append((name, coefficients, "channels first"))
        if rows == weight_rows and weight_columns == nm and columns >= 5:
            readings.append((name, coefficients, "channels last"))
    if len(readings) != 1:
        raise ModelError(f"which of {first} and {second} are candidates and which their {nm} coefficients is not clear")
    return readings[0]


def anchor_count(size: tuple[int, int], stride: int) -> int:
    """Number of cells of 8, 16, ... pixels in an input (height, width): the candidates without NMS, one per cell."""
    return sum(height * width for height, width in grids_of(size, stride))


def grids_of(size: tuple[int, int], stride: int) -> list[tuple[int, int]]:
    """(height, width) in cells of each stride's maps, finest first, for an input (height, width)."""
    return [(size[0] // step, size[1] // step) for step in steps_of(stride)]


def steps_of(stride: int) -> list[int]:
    """Pixels of the input per cell at each stride, up to the largest."""
    return [step for step in STRIDES if step <= stride]


def _diagnosis(planes: int, lists: int, grids: int) -> str:
    if not lists and planes > 1:
        return "it has feature maps and no prototypes (batch, n, height/4, width/4): raw heads lack them"
    if lists and not planes:
        return "it has no prototypes: a detection or pose network, not a segmentation network"
    if not lists and not planes:
        return "it has neither candidates nor prototypes: a classification network?"
    if not lists:
        return "it has one feature map and no candidates, as an image encoder (SAM's, for instance) has"
    if not grids:
        return "no output has the prototypes' shape (batch, n, height/4, width/4)"
    return f"{lists} outputs may be candidates and {grids} prototypes"
