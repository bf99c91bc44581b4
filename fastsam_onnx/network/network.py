"""A network of the YOLOv8-seg family: its contract, checked when it is opened, and its runs.

Exports differ in names, order and layout. What each output is follows from its shape; whatever the export looks
like, `Network.run` answers in one form.
"""

from __future__ import annotations

import ast
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import ModelError, ModelNotFoundError
from fastsam_onnx.runtime import Provider, create_session, load_onnxruntime, model_name

if TYPE_CHECKING:
    import onnxruntime as ort

logger = logging.getLogger("fastsam_onnx")

Shape = tuple[int, ...]
Layout = Literal["channels first", "channels last", "rows after NMS"]

DTYPES: dict[str, np.dtype[Any]] = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
STRIDES = (8, 16, 32, 64, 128)
DEFAULT_STRIDE = 32
SCORE_TOLERANCE = 0.01
"""How far rounding (float16, int8) may take a score out of 0 to 1."""
ACCEPTED = (
    "a YOLOv8-seg export, that is one float32 or float16 input (batch, 3, height, width), and in any order candidates "
    "(batch, 4 + classes + n, anchors), also transposed or with their n coefficients as an output of their "
    "own, or (batch, k, 6 + n) with NMS inside, and prototypes (batch, n, height/4, width/4)"
)
CHECKPOINT_SUFFIXES = (".pt", ".pth")
EXPORT = "a YOLOv8-seg checkpoint opens as it is; `yolo export model=FILE.pt format=onnx` writes others as ONNX"


@dataclass(frozen=True)
class Contract:
    """What a network takes and gives.

    Attributes:
        input_name: Of its one input.
        input_dtype: float32 or float16.
        height: Of the input in pixels, None if dynamic.
        width: Of the input in pixels, None if dynamic.
        batch: How many photos every run takes, None if any number.
        stride: Sides of a dynamic input are multiples of it.
        class_count: nc, the scores of each candidate; 1 with NMS inside.
        coefficient_count: nm, also the number of prototypes.
        nms_inside: The file suppresses overlapping boxes itself, with thresholds of its own.
        imgsz: (height, width) that the metadata recommend.
        conf: The score threshold that the metadata recommend (our own key).
        iou: The NMS threshold that the metadata recommend (our own key).
        names: Of the classes by index; empty if unknown.
        description: One line that says all this.
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
    imgsz: tuple[int, int] | None
    conf: float | None
    iou: float | None
    names: dict[int, str]
    description: str


class Network:
    """An open network. Any number of threads may run it at once.

    Attributes:
        contract: What it takes and gives.
        providers: The execution providers really in use, first choice first.
        name: What messages call it.
    """

    def __init__(self, session: ort.InferenceSession, name: str) -> None:
        """Check the contract of a session; `open` and `of_session` are the ways in."""
        self.name = name
        self.providers: list[str] = session.get_providers()
        self.contract, self._outputs = _inspect(session, name)
        self._session: ort.InferenceSession | None = session

    @classmethod
    def open(
        cls,
        source: str | Path | bytes,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        session_options: ort.SessionOptions | None = None,
    ) -> Network:
        """Open an ONNX file, or a checkpoint of ultralytics (.pt), and check its contract.

        A file of dynamic size, or one that does not state the shapes of its outputs, is run once on a small grey
        picture, because nothing else tells its layout for sure.

        Args:
            source: The path or the bytes of the file.
            providers: As in `runtime.create_session`.
            threads: As in `runtime.create_session`.
            session_options: As in `runtime.create_session`.

        Raises:
            ModelNotFoundError: If there is no such file.
            CheckpointError: If it is a checkpoint that is damaged, or none that can be read.
            ModelError: If it is neither, or none of the YOLOv8-seg family.
            OptionError: As in `runtime.create_session`.
        """
        create = partial(create_session, providers=providers, threads=threads, session_options=session_options)
        if not _is_checkpoint(source):
            return cls(create(source), model_name(source))
        from fastsam_onnx.checkpoints.convert import as_onnx

        with as_onnx(source) as model:
            return cls(create(model, name=model_name(source)), model_name(source))

    @classmethod
    def of_session(cls, session: ort.InferenceSession) -> Network:
        """Use a session that is open already.

        Raises:
            ModelError: If it is none, or its network is none of the YOLOv8-seg family.
        """
        if not isinstance(session, load_onnxruntime().InferenceSession):
            raise ModelError(f"a model is a path, bytes or an onnxruntime.InferenceSession; found {session!r}")
        return cls(session, "the InferenceSession")

    def run(self, tensor: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Compute candidates and prototypes of photos.

        Args:
            tensor: (B, 3, h, w) float32, RGB, 0 to 1; h and w are the contract's own or multiples of its stride.

        Returns:
            For each photo (candidates, prototypes). Candidates are (4 + nc + nm, N) float32: cx, cy, w, h in input
            pixels, scores 0 to 1, coefficients. Rows of exports with NMS inside come as candidates of one class, and
            their padding has score 0. Prototypes are (nm, h/4, w/4) float32, contiguous.

        Raises:
            ModelError: If the network is closed, the tensor does not fit, ONNX Runtime fails, or the outputs cannot be
                right: another shape than the contract's, NaN or infinite values, scores outside 0 to 1, boxes that
                are not in pixels.
        """
        session = self._session
        if session is None:
            raise ModelError(f"{self.name} is closed; open it again")
        self._check_tensor(tensor)
        batch = self.contract.batch or max(1, len(tensor))
        results: list[tuple[FloatArray, FloatArray]] = []
        for start in range(0, len(tensor), batch):
            part = tensor[start : start + batch]
            missing = batch - len(part)
            full = np.concatenate([part, np.zeros_like(part, shape=(missing, *part.shape[1:]))]) if missing else part
            results += self._run_batch(session, full)[: len(part)]
        return results

    def close(self) -> None:
        """Let go of the session; the memory is free when no run is under way any more."""
        self._session = None

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_tensor(self, tensor: FloatArray) -> None:
        contract = self.contract
        if tensor.dtype == np.float32 and tensor.ndim == 4 and tensor.shape[1] == 3:
            sides = zip(tensor.shape[2:], (contract.height, contract.width), strict=True)
            if all(side == own if own else side > 0 and side % contract.stride == 0 for side, own in sides):
                return
        height, width = contract.height or f"n*{contract.stride}", contract.width or f"n*{contract.stride}"
        raise ModelError(
            f"{self.name} takes float32 (batch, 3, {height}, {width}); found {tensor.dtype} {tensor.shape}"
        )

    def _run_batch(self, session: ort.InferenceSession, tensor: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        contract, outputs = self.contract, self._outputs
        feed = {contract.input_name: tensor.astype(contract.input_dtype, copy=False)}
        try:
            values = session.run(outputs.wanted, feed)
        except Exception as error:
            raise ModelError(f"{self.name}: ONNX Runtime failed on an input {tensor.shape}: {error}") from error
        prototypes, *candidates = (value.astype(np.float32, copy=False) for value in values)
        turned = candidates if outputs.layout == "channels first" else [np.swapaxes(each, 1, 2) for each in candidates]
        joined = turned[0] if len(turned) == 1 else np.concatenate(turned, axis=1)
        if outputs.layout == "rows after NMS":
            joined = _candidates_of_rows(joined)
        self._check_outputs(tensor, joined, prototypes)
        return list(zip(joined, prototypes, strict=True))

    def _check_outputs(self, tensor: FloatArray, candidates: FloatArray, prototypes: FloatArray) -> None:
        """Numbers that cannot be right would give wrong masks without an error."""
        contract = self.contract
        batch, _, height, width = tensor.shape
        scores_end = 4 + contract.class_count
        expected = (batch, scores_end + contract.coefficient_count)
        grid = (batch, contract.coefficient_count, height // 4, width // 4)
        if candidates.shape[:2] != expected or prototypes.shape != grid:
            raise ModelError(
                f"{self.name}: on an input {tensor.shape} the outputs are candidates {candidates.shape} and prototypes "
                f"{prototypes.shape}; expected {(*expected, 'N')} and {grid}"
            )
        if not (_is_finite(candidates) and _is_finite(prototypes)):
            raise ModelError(f"{self.name}: the outputs contain NaN or infinite values; is the file damaged?")
        if candidates.shape[2] == 0:
            return
        scores = candidates[:, 4:scores_end]
        low, high = float(scores.min()), float(scores.max())
        if low < -SCORE_TOLERANCE or high > 1 + SCORE_TOLERANCE:
            raise ModelError(
                f"{self.name}: scores are 0 to 1, found {low:.3g} to {high:.3g}: the export lacks the sigmoid or has "
                f"another layout; {EXPORT}"
            )
        everywhere = candidates.shape[2] == _anchor_count((height, width), contract.stride)
        if everywhere and not contract.nms_inside and candidates[:, :4].max() <= 2:
            raise ModelError(
                f"{self.name}: boxes are in pixels of the input, found 0 to 1; export without scaling them"
            )


@dataclass(frozen=True)
class _Outputs:
    """Which output is what.

    Attributes:
        prototypes: Name.
        candidates: Names; with a second one, that holds the coefficients, which the first lacks.
        layout: Of the candidates, and of the coefficients alike.
        class_count: nc; 1 with NMS inside.
        coefficient_count: nm.
    """

    prototypes: str
    candidates: tuple[str, ...]
    layout: Layout
    class_count: int
    coefficient_count: int

    @property
    def wanted(self) -> list[str]:
        """What to ask of ONNX Runtime, and the order of its answer."""
        return [self.prototypes, *self.candidates]

    @property
    def after_nms(self) -> bool:
        """Whether the file suppresses overlapping boxes itself."""
        return self.layout == "rows after NMS"


@dataclass(frozen=True)
class _Metadata:
    """What the file says about itself, as far as it was understood."""

    stride: int = DEFAULT_STRIDE
    imgsz: tuple[int, int] | None = None
    names: dict[int, str] = field(default_factory=dict)
    conf: float | None = None
    iou: float | None = None
    nms: bool = False


# --- The contract ---


def _inspect(session: ort.InferenceSession, name: str) -> tuple[Contract, _Outputs]:
    """Find out what a network is, or raise a ModelError that says what was found and what is accepted."""
    metadata = _read_metadata(session.get_modelmeta().custom_metadata_map, name)
    try:
        source = _single_input(session)
        batch, _, height, width = (side if isinstance(side, int) else None for side in source.shape)
        if any(side is not None and side % metadata.stride for side in (height, width)):
            raise ModelError(f"the sides of the input are no multiples of the stride {metadata.stride}")
        declared = {output.name: output for output in session.get_outputs() if output.type in DTYPES}
        shapes = {key: tuple(output.shape or ()) for key, output in declared.items()}
        if height is None or width is None or _needs_a_run(shapes):
            sides = (2 * metadata.stride, 2 * metadata.stride), metadata.imgsz
            sizes = [(height or small[0], width or small[1]) for small in sides if small is not None]
            size, values = _probe(session, source, sizes, list(declared))
            outputs = _find_outputs({key: value.shape for key, value in values.items()}, values, size, metadata)
            if size != sizes[0]:
                height, width = size  # the input says any size, the graph means one
        else:
            outputs = _find_outputs(shapes, {}, (height, width), metadata)
    except ModelError as error:
        message = f"{name}: {error}\n  found: {_found(session)}\n  accepted: {ACCEPTED}\n  {EXPORT}"
        raise ModelError(message) from error
    if batch is None and isinstance(shapes[outputs.prototypes][0], int):
        batch = shapes[outputs.prototypes][0]  # the input says any number, the graph means one
    names = metadata.names
    if names and not outputs.after_nms and len(names) != outputs.class_count:
        logger.warning("%s: %d classes, but %d names in the metadata: ignored", name, outputs.class_count, len(names))
        names = {}
    contract = Contract(
        input_name=source.name,
        input_dtype=DTYPES[source.type],
        height=height,
        width=width,
        batch=batch,
        stride=metadata.stride,
        class_count=outputs.class_count,
        coefficient_count=outputs.coefficient_count,
        nms_inside=outputs.after_nms,
        imgsz=metadata.imgsz,
        conf=metadata.conf,
        iou=metadata.iou,
        names=names,
        description="",
    )
    return replace(contract, description=_describe(contract)), outputs


def _single_input(session: ort.InferenceSession) -> Any:
    sources = session.get_inputs()
    if len(sources) != 1:
        raise ModelError(f"it has {len(sources)} inputs")
    [source] = sources
    shape = source.shape or []
    if len(shape) != 4:
        raise ModelError("its input is no batch of pictures")
    if source.type not in DTYPES:
        raise ModelError(f"its input is {source.type}")
    if shape[1] != 3 and shape[3] == 3:
        raise ModelError("the channels of its input come last (NHWC)")
    if isinstance(shape[1], int) and shape[1] != 3:
        raise ModelError(f"its input has {shape[1]} channels")
    return source


def _needs_a_run(shapes: Mapping[str, tuple[int | str | None, ...]]) -> bool:
    """Whether the declared shapes leave open what the outputs are."""
    unknown = any(not shape or not all(isinstance(side, int) for side in shape[1:]) for shape in shapes.values())
    return unknown or sum(len(shape) == 3 for shape in shapes.values()) > 1


def _probe(
    session: ort.InferenceSession, source: Any, sizes: Sequence[tuple[int, int]], wanted: list[str]
) -> tuple[tuple[int, int], dict[str, npt.NDArray[Any]]]:
    """Run a grey picture of the first (height, width) that does not fail: that size and the outputs."""
    batch = source.shape[0] if isinstance(source.shape[0], int) else 1
    reason = ""
    for size in sizes:
        grey = np.full((batch, 3, *size), 0.5, DTYPES[source.type])
        try:
            return size, dict(zip(wanted, session.run(wanted, {source.name: grey}), strict=True))
        except Exception as error:
            reason = f"it fails on an input {grey.shape}: {error}"
    raise ModelError(reason)


def _find_outputs(
    shapes: Mapping[str, Shape], values: Mapping[str, npt.NDArray[Any]], size: tuple[int, int], metadata: _Metadata
) -> _Outputs:
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
        layout, nc = _layout(shapes[name], nm, _anchor_count(size, metadata.stride), metadata)
        return _Outputs(prototypes, (name,), layout, nc, nm)
    name, coefficients, layout = _pair(lists[0], lists[1], shapes, nm)
    channel_axis = 1 if layout == "channels first" else 2
    nc = shapes[name][channel_axis] - 4
    own = np.moveaxis(values[name], channel_axis, 1)[:, -nm:]
    if nc > nm and np.array_equal(own, np.moveaxis(values[coefficients], channel_axis, 1)):
        return _Outputs(prototypes, (name,), layout, nc - nm, nm)
    return _Outputs(prototypes, (name, coefficients), layout, nc, nm)


def _layout(shape: Shape, nm: int, anchors: int, metadata: _Metadata) -> tuple[Layout, int]:
    """How one output holds boxes, scores and coefficients, and the number of classes.

    Each reading that the channel count allows is weighed: the number of names says most, then the number of anchors,
    then that channels are fewer than candidates.
    """
    _, rows, columns = shape
    readings: dict[Layout, int] = {}
    if rows >= 5 + nm:
        readings["channels first"] = rows - 4 - nm
    if columns >= 5 + nm:
        readings["channels last"] = columns - 4 - nm
    if columns == 6 + nm and metadata.nms:
        return "rows after NMS", 1
    if columns == 6 + nm and rows != anchors:
        readings["rows after NMS"] = 1
    if not readings:
        raise ModelError(f"with {nm} prototypes candidates have {5 + nm} channels at least")
    by_names = {key: nc for key, nc in readings.items() if key == "rows after NMS" or nc == len(metadata.names)}
    readings = (metadata.names and by_names) or readings
    of_anchors: dict[Layout, int] = {"channels first": columns, "channels last": rows}
    readings = {key: nc for key, nc in readings.items() if of_anchors.get(key) == anchors} or readings
    order: tuple[Layout, ...] = ("rows after NMS", "channels last", "channels first")
    if rows <= columns or readings.get("channels first") == len(metadata.names):
        order = ("channels first", "rows after NMS", "channels last")
    layout = next(key for key in order if key in readings)
    return layout, readings[layout]


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


def _describe(contract: Contract) -> str:
    classes = "1 class" if contract.class_count == 1 else f"{contract.class_count} classes"
    width, height = (side or f"n*{contract.stride}" for side in (contract.width, contract.height))
    batch = "any number" if contract.batch is None else contract.batch
    nms = ", NMS inside" if contract.nms_inside else ""
    return (
        f"YOLOv8-seg network: {classes}, {contract.coefficient_count} prototypes, input {contract.input_dtype} "
        f"{width} x {height} px, {batch} per run{nms}"
    )


def _anchor_count(size: tuple[int, int], stride: int) -> int:
    """How many candidates a network without NMS has for an input (height, width): one per cell of 8, 16, ... px."""
    return sum((size[0] // step) * (size[1] // step) for step in STRIDES if step <= stride)


# --- The outputs ---


def _candidates_of_rows(rows: FloatArray) -> FloatArray:
    """(B, 6 + nm, k) x1, y1, x2, y2, score, class, coefficients → (B, 5 + nm, k) with cx, cy, w, h and one class."""
    corners, far = rows[:, :2], rows[:, 2:4]
    # Some exporters pad with -1 instead of 0.
    return np.concatenate([(corners + far) / 2, far - corners, np.maximum(rows[:, 4:5], 0), rows[:, 6:]], axis=1)


def _is_finite(values: FloatArray) -> bool:
    """Whether no value is NaN or infinite, without an array of answers."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


# --- The metadata ---


def _read_metadata(raw: Mapping[str, str], name: str) -> _Metadata:
    """Take what is understood; what is wrong is left out with a warning."""

    def take(key: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        if key not in raw:
            return default
        try:
            return parse(ast.literal_eval(raw[key].strip()))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            logger.warning("%s: metadata %s=%.80r is not understood and ignored", name, key, raw[key])
            return default

    return _Metadata(
        stride=take("stride", _parse_stride, DEFAULT_STRIDE),
        imgsz=take("imgsz", _parse_size),
        names=take("names", _parse_names, {}),
        conf=take("conf", _parse_fraction),
        iou=take("iou", _parse_fraction),
        nms=take("end2end", bool, False) or take("args", _parse_nms, False),
    )


def _parse_stride(value: Any) -> int:
    largest = max(value) if isinstance(value, list | tuple) else value
    if largest not in STRIDES:
        raise ValueError
    return int(largest)


def _parse_size(value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, list | tuple) else [value]
    height, width = sides if len(sides) == 2 else (*sides, *sides)
    if not all(type(side) is int and 0 < side <= 2**16 for side in (height, width)):
        raise ValueError
    return height, width


def _parse_names(value: Any) -> dict[int, str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if pairs is None:
        raise ValueError
    return {int(index): str(label) for index, label in pairs}


def _parse_fraction(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _parse_nms(value: Any) -> bool:
    if not isinstance(value, dict):
        raise ValueError
    return bool(value.get("nms"))


def _is_checkpoint(source: str | Path | bytes) -> bool:
    """Whether it is PyTorch's, not ONNX; errors that ONNX Runtime would word worse."""
    from fastsam_onnx.checkpoints.checkpoint import HEAD_BYTES, is_checkpoint

    name = model_name(source)
    if isinstance(source, bytes):
        head = source[:HEAD_BYTES]
    else:
        path = Path(source)
        try:
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except FileNotFoundError:
            raise ModelNotFoundError(f"there is no model file {path}") from None
        except (OSError, ValueError) as error:
            folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises on some paths before Python 3.12
            reason = "is a folder; a model is an ONNX file or a checkpoint" if folder else f"cannot be read: {error}"
            raise ModelError(f"{path} {reason}") from error
    if not head:
        raise ModelError(f"{name} is empty; a model is an ONNX file or a checkpoint")
    return is_checkpoint(head) or name.lower().endswith(CHECKPOINT_SUFFIXES)
