"""The form of a network's input and outputs, found out when it is opened.

Exports differ in names, order and layout; the shapes tell which output is which.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ceil_div
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.metadata import STRIDES, Metadata, read_metadata
from fastsam_onnx.options import DEFAULT_IMGSZ, input_size

if TYPE_CHECKING:
    import onnxruntime as ort

logger = logging.getLogger("fastsam_onnx")

Shape = tuple[int, ...]
Layout = Literal["channels first", "channels last", "detections after NMS"]

DTYPES: dict[str, np.dtype[Any]] = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
ACCEPTED = (
    "a YOLOv8-seg export, that is one float32 or float16 input (batch, 3, height, width), and in any order candidates "
    "(batch, 4 + classes + n, anchors), also transposed or with their n coefficients as an output of their "
    "own, or (batch, k, 6 + n) with NMS inside, or YOLOv5's (batch, 3 * anchors, 5 + classes + n), and prototypes "
    "(batch, n, height/4, width/4)"
)
ANCHORS_PER_CELL = 3
"""Number of candidates of a cell in YOLOv5 and YOLOv7, which tell objectness and class apart."""
EXPORT_HINT = "a YOLOv8-seg checkpoint opens as it is; `yolo export model=FILE.pt format=onnx` writes others as ONNX"


@dataclass(frozen=True)
class Contract:
    """The form of a network's input and outputs, and its own defaults.

    Attributes:
        input_name: Name of the single input.
        input_dtype: float32 or float16.
        height: Height of the input in pixels, None if dynamic.
        width: Width of the input in pixels, None if dynamic.
        batch: Number of photos that every run takes, None if any number.
        stride: Sides of a dynamic input are multiples of it.
        class_count: nc, number of scores of each candidate; 1 with NMS inside.
        coefficient_count: nm, also the number of prototypes.
        nms_inside: True if the file suppresses overlapping boxes itself, with thresholds of its own.
        objectness: True if scores are the product of an objectness and a class's score, as in YOLOv5 and YOLOv7.
        imgsz: (height, width) that the metadata recommend.
        conf: Score threshold that the metadata recommend (our own key).
        iou: NMS threshold that the metadata recommend (our own key).
        refine: True if the metadata recommend refined masks (our own key).
        names: Class names by index; empty if unknown.
        metadata: The file's statements about itself, as they were understood.
    """

    input_name: str
    input_dtype: np.dtype[Any]
    height: int | None
    width: int | None
    batch: int | None
    stride: int
    class_count: int
    coefficient_count: int
    nms_inside: bool
    objectness: bool
    imgsz: tuple[int, int] | None
    conf: float | None
    iou: float | None
    refine: bool | None
    names: dict[int, str]
    metadata: Metadata

    @property
    def fixed(self) -> bool:
        """True if the network has a size of its own, in one direction at least."""
        return self.height is not None or self.width is not None

    @property
    def description(self) -> str:
        """One line that says all this."""
        classes = "1 class" if self.class_count == 1 else f"{self.class_count} classes"
        width, height = (side or f"n*{self.stride}" for side in (self.width, self.height))
        batch = "any number" if self.batch is None else self.batch
        nms = ", NMS inside" if self.nms_inside else ""
        family = "YOLOv5-seg" if self.objectness else "YOLOv8-seg"
        return (
            f"{family} network: {classes}, {self.coefficient_count} prototypes, input {self.input_dtype} "
            f"{width} x {height} px, {batch} per run{nms}"
        )

    def input_size(self, imgsz: int | tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) of the input, or of the rectangle that it may fill, for an `imgsz` as in `FastSAM`.

        Raises:
            OptionError: If it is outside its range, or not the size of a fixed network.
        """
        asked = input_size("imgsz", self.imgsz or DEFAULT_IMGSZ if imgsz is None else imgsz)
        height, width = (ceil_div(side, self.stride) * self.stride for side in asked)
        own = self.height or height, self.width or width
        if imgsz is not None and own != (height, width):
            raise OptionError(
                f"imgsz must be {own[1]}x{own[0]} (width x height), at which this network's input is fixed, "
                f"got {imgsz!r}"
            )
        return own

    def letterbox(self, image_size: tuple[int, int], imgsz: tuple[int, int]) -> Letterbox:
        """The place of a photo in the input.

        Args:
            image_size: (width, height) of the photo.
            imgsz: (height, width) that the input may fill; a fixed network fills it, others take the smallest
                rectangle in it.
        """
        height, width = imgsz
        return Letterbox.fit(image_size, (width, height), stride=None if self.fixed else self.stride)


@dataclass(frozen=True)
class Outputs:
    """Which output is what.

    Attributes:
        prototypes: Name of the prototypes.
        candidates: Names of the candidates; with a second one, that holds the coefficients, which the first lacks.
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


@dataclass(frozen=True)
class _Input:
    """The input as the file declares it; None where it leaves a number open."""

    name: str
    kind: str
    batch: int | None
    height: int | None
    width: int | None


@dataclass(frozen=True)
class _Reading:
    """One way to read the candidates' shape."""

    layout: Layout
    class_count: int
    objectness: bool = False


def inspect_network(session: ort.InferenceSession, name: str) -> tuple[Contract, Outputs]:
    """Find out what a network is.

    Raises:
        ModelError: If it is another kind of network; the message says what was found and what is accepted.
    """
    metadata = read_metadata(session.get_modelmeta().custom_metadata_map, name)
    try:
        source, outputs = _ports(session, metadata)
    except ModelError as error:
        message = f"{name}: {error}\n  found: {_found(session)}\n  accepted: {ACCEPTED}\n  {EXPORT_HINT}"
        raise ModelError(message) from error
    names = metadata.names
    if names and not outputs.after_nms and len(names) != outputs.class_count:
        logger.warning("%s: %d classes, but %d names in the metadata: ignored", name, outputs.class_count, len(names))
        names = {}
    contract = Contract(
        input_name=source.name,
        input_dtype=DTYPES[source.kind],
        height=source.height,
        width=source.width,
        batch=source.batch,
        stride=metadata.stride,
        class_count=outputs.class_count,
        coefficient_count=outputs.coefficient_count,
        nms_inside=outputs.after_nms,
        objectness=outputs.objectness,
        imgsz=metadata.imgsz,
        conf=metadata.conf,
        iou=metadata.iou,
        refine=metadata.refine,
        names=names,
        metadata=metadata,
    )
    return contract, outputs


def _ports(session: ort.InferenceSession, metadata: Metadata) -> tuple[_Input, Outputs]:
    """The input, corrected where the file declares more freedom than its graph has, and the outputs."""
    source = _single_input(session)
    batch, height, width = source.batch, source.height, source.width
    if any(side is not None and side % metadata.stride for side in (height, width)):
        raise ModelError(f"the sides of the input are not multiples of the stride {metadata.stride}")
    declared = {output.name: output for output in session.get_outputs() if output.type in DTYPES}
    shapes = {key: tuple(output.shape or ()) for key, output in declared.items()}
    if height is None or width is None or _needs_a_run(shapes):
        size, values, fixed = _probe(session, source, metadata, list(declared))
        outputs = _find_outputs({key: value.shape for key, value in values.items()}, values, size, metadata)
        if fixed:
            height, width = size  # the input says any size, the graph means one
    else:
        outputs = _find_outputs(shapes, {}, (height, width), metadata)
    declared_batch = shapes[outputs.prototypes][0]
    if batch is None and isinstance(declared_batch, int):
        batch = declared_batch  # the input says any number, the graph means one
    if batch is None and outputs.after_nms and not metadata.end2end:
        batch = metadata.batch or 1  # NMS is unrolled for so many photos; of others it finds nothing
    return _Input(source.name, source.kind, batch, height, width), outputs


def _single_input(session: ort.InferenceSession) -> _Input:
    sources = session.get_inputs()
    if len(sources) != 1:
        raise ModelError(f"it has {len(sources)} inputs")
    [source] = sources
    shape = source.shape or []
    if len(shape) != 4:
        raise ModelError("its input is not a batch of pictures")
    if source.type not in DTYPES:
        raise ModelError(f"its input is {source.type}")
    if shape[1] != 3 and shape[3] == 3:
        raise ModelError("the channels of its input come last (NHWC)")
    if isinstance(shape[1], int) and shape[1] != 3:
        raise ModelError(f"its input has {shape[1]} channels")
    batch, _, height, width = (side if isinstance(side, int) else None for side in shape)
    return _Input(source.name, source.type, batch, height, width)


def _needs_a_run(shapes: Mapping[str, tuple[int | str | None, ...]]) -> bool:
    """True if the declared shapes leave open what the outputs are."""
    unknown = any(not shape or not all(isinstance(side, int) for side in shape[1:]) for shape in shapes.values())
    return unknown or sum(len(shape) == 3 for shape in shapes.values()) > 1


def _probe(
    session: ort.InferenceSession, source: _Input, metadata: Metadata, wanted: list[str]
) -> tuple[tuple[int, int], dict[str, npt.NDArray[Any]], bool]:
    """Run small grey pictures until one does not fail.

    Some graphs take any size as long as it has more candidates than they choose the best of.

    Returns:
        The (height, width), the outputs, and True if no other size runs.
    """
    reason = ""
    sizes = _probe_sizes(source, metadata)
    for index, size in enumerate(sizes):
        try:
            values = _run_grey(session, source, size, wanted)
        except ModelError as error:
            reason = reason or str(error)
            continue
        others = () if index == 0 else sizes[index + 1 :]
        return size, values, index > 0 and not any(_runs(session, source, other, wanted) for other in others)
    raise ModelError(reason)


def _probe_sizes(source: _Input, metadata: Metadata) -> list[tuple[int, int]]:
    """The sizes to try, (height, width), small ones first."""
    small, medium = 2 * metadata.stride, 10 * metadata.stride
    asked = [(small, small), (medium, medium), (medium + metadata.stride, medium)]
    if metadata.imgsz is not None:
        asked.append(metadata.imgsz)
    return list(dict.fromkeys((source.height or height, source.width or width) for height, width in asked))


def _run_grey(
    session: ort.InferenceSession, source: _Input, size: tuple[int, int], wanted: list[str]
) -> dict[str, npt.NDArray[Any]]:
    grey = np.full((source.batch or 1, 3, *size), 0.5, DTYPES[source.kind])
    try:
        return dict(zip(wanted, session.run(wanted, {source.name: grey}), strict=True))
    except Exception as error:
        raise ModelError(f"it fails on an input {grey.shape}: {error}") from error


def _runs(session: ort.InferenceSession, source: _Input, size: tuple[int, int], wanted: list[str]) -> bool:
    try:
        return bool(_run_grey(session, source, size, wanted))
    except ModelError:
        return False


# --- The outputs ---


def _find_outputs(
    shapes: Mapping[str, Shape], values: Mapping[str, npt.NDArray[Any]], size: tuple[int, int], metadata: Metadata
) -> Outputs:
    """Tell by shape which output is what; `values` are those of a run, where there was one."""
    planes = [name for name, shape in shapes.items() if len(shape) == 4]
    lists = [name for name, shape in shapes.items() if len(shape) == 3]
    grids = [name for name in planes if shapes[name][2:] == (size[0] // 4, size[1] // 4)]
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
    return sum((size[0] // step) * (size[1] // step) for step in STRIDES if step <= stride)


# --- Errors ---


def _diagnosis(planes: int, lists: int, grids: int) -> str:
    if not lists and planes > 1:
        return "the outputs are raw heads before decoding; export the whole network, with the decoding of its boxes"
    if lists and not planes:
        return "it has no prototypes: a detection or pose network, not a segmentation network"
    if not lists and not planes:
        return "it has neither candidates nor prototypes: a classification network?"
    if not lists:
        return "it has one feature map and no candidates, as an image encoder (SAM's, for instance) has"
    if not grids:
        return "no output has the prototypes' shape (batch, n, height/4, width/4)"
    return f"{lists} outputs may be candidates and {grids} prototypes"


def _found(session: ort.InferenceSession) -> str:
    """The inputs and outputs as the file declares them."""
    listed = []
    for kind, ports in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for port in ports:
            sides = ", ".join(str(side) for side in port.shape or ["?"])
            listed.append(f"{kind} {port.name} ({sides}) {port.type}")
    return ", ".join(listed)
