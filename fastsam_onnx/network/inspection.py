"""Find out what a network is when it is opened, or say what it is instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.errors import ModelError
from fastsam_onnx.log import warn
from fastsam_onnx.network.contract import Contract
from fastsam_onnx.network.layout import Outputs, find_outputs
from fastsam_onnx.network.metadata import Metadata, read_metadata
from fastsam_onnx.runtime import check_utf8, failures

if TYPE_CHECKING:
    import onnxruntime as ort

DTYPES: dict[str, np.dtype[Any]] = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
ACCEPTED = (
    "a YOLO segmentation export (FastSAM, YOLOv8, YOLOv9, YOLO11, YOLO12, YOLO26, YOLOE), that is one float32 or "
    "float16 input (batch, 3, height, width), and in any order candidates (batch, 4 + classes + n, anchors), also "
    "transposed or with their n coefficients as an output of their own, or (batch, k, 6 + n) with NMS inside, or "
    "those of YOLOv5 and YOLOv7, (batch, 3 * anchors, 5 + classes + n), or raw heads (batch, 4 * bins or classes or n, "
    "height/stride, width/stride), and prototypes (batch, n, height/4, width/4)"
)
EXPORT_HINT = (
    "a segmentation checkpoint (.pt) of these families opens as it is; `yolo export model=FILE.pt format=onnx` writes "
    "others as ONNX"
)

OTHER_INPUT = (
    "compute it yourself in a fastsam_onnx.network.ExternalNetwork, whose function gets pictures (height, width, 3) "
    "uint8 RGB"
)


@dataclass(frozen=True, eq=False, repr=False)
class Input:
    """The input as the file declares it; None where it leaves a number open."""

    name: str
    dtype: np.dtype[Any]
    batch: int | None
    height: int | None
    width: int | None
    min_candidates: int = 0


def inspect_network(session: ort.InferenceSession, name: str) -> tuple[Contract, Outputs]:
    """Find out what a network is.

    Raises:
        ModelError: If it is another kind of network; the message says what was found and what is accepted.
    """
    check_utf8(session, name)
    metadata = read_metadata(session.get_modelmeta().custom_metadata_map, name)
    try:
        source, outputs = _ports(session, metadata)
    except ModelError as error:
        message = f"{name}: {error}\n  found: {_found(session)}\n  accepted: {ACCEPTED}\n  {EXPORT_HINT}"
        raise ModelError(message) from error
    return contract_of(source, outputs, metadata, name), outputs


def contract_of(source: Input, outputs: Outputs, metadata: Metadata, name: str) -> Contract:
    """The contract of a network whose input and outputs are known; `name` is for a warning."""
    names = metadata.names
    if names and not outputs.after_nms and len(names) != outputs.class_count:
        warn("%s: %d classes, but %d names in the metadata: ignored", name, outputs.class_count, len(names))
        names = {}
    return Contract(
        input_name=source.name,
        input_dtype=source.dtype,
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
        redraw=metadata.redraw,
        names=names,
        metadata=metadata,
        min_candidates=source.min_candidates,
    )


def _ports(session: ort.InferenceSession, metadata: Metadata) -> tuple[Input, Outputs]:
    """The input, corrected where the file declares more freedom than its graph has, and the outputs."""
    source = _single_input(session)
    batch, height, width, min_candidates = source.batch, source.height, source.width, 0
    if any(side is not None and side % metadata.stride for side in (height, width)):
        raise ModelError(f"the sides of the input are not multiples of the stride {metadata.stride}")
    declared = {output.name: output for output in session.get_outputs() if output.type in DTYPES}
    shapes = {key: tuple(output.shape or ()) for key, output in declared.items()}
    if height is None or width is None or _needs_a_run(shapes):
        size, values, fixed = _probe(session, source, metadata, list(declared))
        outputs = find_outputs({key: value.shape for key, value in values.items()}, values, size, metadata)
        if fixed:
            height, width = size  # the input says any size, the graph means one
        elif outputs.after_nms and size != _probe_sizes(source, metadata)[0]:
            min_candidates = values[outputs.candidates[0]].shape[1]  # it chooses so many, and a small input has fewer
    else:
        outputs = find_outputs(shapes, {}, (height, width), metadata)
    declared_batch = next(iter(shapes[outputs.prototypes]), None)
    if batch is None and isinstance(declared_batch, int):
        batch = declared_batch  # the input says any number, the graph means one
    if batch is None and outputs.after_nms and not metadata.end2end:
        batch = metadata.batch or 1  # NMS is unrolled for so many photos; of others it finds nothing
    return Input(source.name, source.dtype, batch, height, width, min_candidates), outputs


def _single_input(session: ort.InferenceSession) -> Input:
    sources = session.get_inputs()
    if len(sources) != 1:
        raise ModelError(f"it has {len(sources)} inputs")
    [source] = sources
    shape = source.shape or []
    if len(shape) != 4:
        raise ModelError("its input is not a batch of pictures")
    if source.type not in DTYPES:
        raise ModelError(f"its input is {source.type}; {OTHER_INPUT}")
    if shape[1] != 3 and shape[3] == 3:
        raise ModelError(f"the channels of its input come last (NHWC); {OTHER_INPUT}")
    if isinstance(shape[1], int) and shape[1] != 3:
        raise ModelError(f"its input has {shape[1]} channels")
    batch, _, height, width = (side if isinstance(side, int) else None for side in shape)
    return Input(source.name, DTYPES[source.type], batch, height, width)


def _needs_a_run(shapes: Mapping[str, tuple[int | str | None, ...]]) -> bool:
    """True if the declared shapes leave open what the outputs are."""
    unknown = any(not shape or not all(isinstance(side, int) for side in shape[1:]) for shape in shapes.values())
    return unknown or sum(len(shape) == 3 for shape in shapes.values()) > 1


def _probe(
    session: ort.InferenceSession, source: Input, metadata: Metadata, wanted: list[str]
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


def _probe_sizes(source: Input, metadata: Metadata) -> list[tuple[int, int]]:
    """The sizes to try, (height, width), small ones first."""
    small, medium = 2 * metadata.stride, 10 * metadata.stride
    asked = [(small, small), (medium, medium), (medium + metadata.stride, medium)]
    if metadata.imgsz is not None:
        asked.append(metadata.imgsz)
    return list(dict.fromkeys((source.height or height, source.width or width) for height, width in asked))


def _run_grey(
    session: ort.InferenceSession, source: Input, size: tuple[int, int], wanted: list[str]
) -> dict[str, npt.NDArray[Any]]:
    grey = np.full((source.batch or 1, 3, *size), 0.5, source.dtype)
    try:
        return dict(zip(wanted, session.run(wanted, {source.name: grey}), strict=True))
    except failures() as error:
        raise ModelError(f"it fails on an input {grey.shape}: {error}") from error


def _runs(session: ort.InferenceSession, source: Input, size: tuple[int, int], wanted: list[str]) -> bool:
    try:
        return bool(_run_grey(session, source, size, wanted))
    except ModelError:
        return False


def _found(session: ort.InferenceSession) -> str:
    """The inputs and outputs as the file declares them."""
    listed = []
    for kind, ports in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for port in ports:
            sides = ", ".join(str(side) for side in port.shape or ["?"])
            listed.append(f"{kind} {port.name} ({sides}) {port.type}")
    return ", ".join(listed)
