"""From a network of float32 to one of int8, which says what it costs before it is written.

    from fastsam_onnx.quantize.recipe import quantize
    report = quantize("yolov8n-seg.onnx", "yolov8n-seg.int8.onnx", photos=paths)

ONNX Runtime's own constant folding comes first (it also makes float32 of weights that are stored as float16), then
transposed convolutions become convolutions (`subpixel`), activations are measured on photos (`calibration`), and
convolutions and what lies between them become integer (`qdq`). What stays in float was found by measuring: always
the last convolution of every branch, which costs next to nothing and decides over boxes, scores and masks; and as many
of the first convolutions as this network needs, which is tried out. Nothing else in the middle: between integer
neighbours ONNX Runtime makes a float convolution integer by itself, with one scale for all channels.
"""

from __future__ import annotations

import logging
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx import weights
from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.errors import MissingPackageError, ModelError, OptionError, OutputError
from fastsam_onnx.files import write_file
from fastsam_onnx.images.load import ImageSource, load_image
from fastsam_onnx.model import FastSAM
from fastsam_onnx.network.file import is_checkpoint_file
from fastsam_onnx.quantize import calibration, qdq
from fastsam_onnx.quantize.agreement import Agreement, agreement
from fastsam_onnx.quantize.box_decoding import with_fast_decoding
from fastsam_onnx.quantize.links import name_nodes
from fastsam_onnx.quantize.subpixel import without_transposed
from fastsam_onnx.runtime import fold_constants

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger("fastsam_onnx")

Progress = Callable[[float, str], None]

FIRST_IN_FLOAT = (0, 2, 6)
"""How many of the first convolutions stay in float, in the order in which it is tried."""
GOOD_IOU, GOOD_RECALL = 0.95, 0.93
"""No more of them stay in float than this takes."""
LEAST_IOU, LEAST_RECALL = 0.9, 0.8
"""A network that agrees less is not written."""
LEAST_MASKS = 20
"""So many are needed to judge."""
CALIBRATION_PHOTOS, MEASURED_PHOTOS = 48, 24
TIMED_RUNS = 9
LEAST_OPSET = 13
VNNI_FLAGS = ("avx512_vnni", "avx_vnni")
"""As Linux calls them."""


@dataclass(frozen=True)
class Report:
    """What was made, and what it costs.

    Attributes:
        agreement: With the network of float32, on pictures that were not calibrated with.
        float_ms: Median time of one run of the network of float32, in milliseconds.
        int8_ms: The same of the new one.
        float_bytes: Size of the file that was read.
        int8_bytes: Size of the file that was made.
        first_in_float: How many of the first convolutions stay in float.
        weight_bits: 7 or 8.
        calibrated_on: How many pictures.
        written: Where the network is.
    """

    agreement: Agreement
    float_ms: float
    int8_ms: float
    float_bytes: int
    int8_bytes: int
    first_in_float: int
    weight_bits: int
    calibrated_on: int
    written: Path


def quantize(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    photos: Sequence[ImageSource] | None = None,
    *,
    imgsz: int | tuple[int, int] | None = None,
    conf: float | None = None,
    iou: float | None = None,
    weight_bits: int | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make a network of int8 and write it, if it finds what the network of float32 finds.

    Args:
        model: An ONNX file of the YOLOv8-seg family with float32 input, a checkpoint (.pt), or a model's name.
        output: Where the ONNX file is to be.
        photos: What the network will see; every third serves to measure, the rest to calibrate (at most 24 and 48,
            spread evenly). By default pictures that are drawn for it, `calibration.dead_leaves`: they do to calibrate
            with, but what a network finds in them says little, so as much as ever stays in float.
        imgsz: As in `FastSAM`, for calibrating and measuring; the new network takes the sizes that the old one took.
        conf: As in `FastSAM`, for measuring.
        iou: As in `FastSAM`, for measuring.
        weight_bits: 8, or 7 for x86 processors without VNNI, whose kernels overflow with 8. By default what is right
            for this processor.
        threads: As in `FastSAM`.
        force: Write the network even if it finds too little, or if that cannot be told.
        progress: Called with a share from 0 to 1 and what is being done.

    Raises:
        MissingPackageError: The package onnx is not installed.
        ModelNotFoundError: There is no such file.
        ModelError: The file is no network that this works for, or the new one finds too little.
        ImageError: A photo cannot be read.
        OptionError: An option is outside its range.
        OutputError: The file cannot be written.
    """
    _check_onnx()
    if not Path(output).parent.is_dir():  # rather now than after minutes
        raise OutputError(f"cannot write {output}: there is no folder {Path(output).parent}")
    bits = _weight_bits(weight_bits)
    tell = progress or _say_nothing
    source = weights.resolve(model, task="segment")
    calibrated, measured = _split(photos)
    with FastSAM(source, imgsz=imgsz, conf=conf, iou=iou, threads=threads) as reference:
        if reference.contract.input_dtype != np.float32:
            raise ModelError(f"{source.name} takes float16; quantize a float32 export of it")
        network = _prepared(source)
        if any(node.op_type == "QuantizeLinear" for node in network.graph.node):
            raise ModelError(f"{source.name} is quantized already; take the float32 network that it was made of")
        tensors = _tensors(reference, calibrated, tell)
        seen = calibration.observe(network, qdq.plan(network).tensors, tensors, threads=threads)
        firsts = FIRST_IN_FLOAT if photos is not None else FIRST_IN_FLOAT[-1:]  # drawn pictures say too little
        candidates = ((first, _made(network, seen, first, bits)) for first in firsts)
        chosen = _search(reference, candidates, measured, tell, threads)
        if not force:
            _check(chosen.agreement, Path(output).name)
        tell(0.9, "measuring time")
        float_ms, int8_ms = _times(reference, chosen.network, threads)
    write_file(os.fspath(output), [chosen.network])
    return Report(
        agreement=chosen.agreement,
        float_ms=float_ms,
        int8_ms=int8_ms,
        float_bytes=source.stat().st_size,
        int8_bytes=len(chosen.network),
        first_in_float=chosen.first_in_float,
        weight_bits=bits,
        calibrated_on=len(calibrated),
        written=Path(output),
    )


# --- Pictures ---


def _split(photos: Sequence[ImageSource] | None) -> tuple[list[ImageSource], list[ImageSource]]:
    """What to calibrate with, and what to measure on."""
    if photos is None:
        photos = [calibration.dead_leaves(seed) for seed in range(CALIBRATION_PHOTOS + MEASURED_PHOTOS)]
    if len(photos) < 3:
        raise OptionError(
            f"{len(photos)} photos: at least three are needed, two to calibrate with and one to measure on"
        )
    measured = [photo for index, photo in enumerate(photos) if index % 3 == 2]
    calibrated = [photo for index, photo in enumerate(photos) if index % 3 != 2]
    return _spread(calibrated, CALIBRATION_PHOTOS), _spread(measured, MEASURED_PHOTOS)


def _spread(photos: Sequence[ImageSource], most: int) -> list[ImageSource]:
    """At most so many, from all over the list."""
    count = min(most, len(photos))
    return [photos[index * len(photos) // count] for index in range(count)]


def _tensors(reference: FastSAM, photos: Sequence[ImageSource], tell: Progress) -> Iterator[FloatArray]:
    """The photos as the network takes them, one after the other."""
    for index, photo in enumerate(photos):
        tell(0.5 * index / len(photos), "calibrating")
        yield _tensor(reference, load_image(photo))


def _tensor(reference: FastSAM, image: ByteArray) -> FloatArray:
    """(B, 3, h, w): a photo as the network takes it, as often as one run takes photos."""
    contract, image_size = reference.contract, (image.shape[1], image.shape[0])
    tensor = contract.letterbox(image_size, reference.options["imgsz"]).tensor(image)
    return np.repeat(tensor, contract.batch or 1, axis=0)


# --- Networks ---


def _prepared(source: Path) -> onnx.ModelProto:
    """The network in float32, constants folded, in operators that are fast beside integer ones, its nodes named."""
    import onnx

    with tempfile.TemporaryDirectory(prefix="fastsam-onnx-", ignore_cleanup_errors=True) as folder:
        path, folded = source, Path(folder) / "folded.onnx"
        if is_checkpoint_file(source):
            path = Path(folder) / "network.onnx"
            export(read_checkpoint(source), path)
        fold_constants(path, folded)
        network = onnx.load(folded)
    version = max(each.version for each in network.opset_import if each.domain == "")
    if version < LEAST_OPSET:
        raise ModelError(f"{source.name} is of opset {version}; scales per channel need {LEAST_OPSET}: export it again")
    used = {node.domain for node in network.graph.node}
    kept = [each for each in network.opset_import if each.domain in used]
    del network.opset_import[:]
    network.opset_import.extend(kept)
    name_nodes(network.graph)
    return with_fast_decoding(without_transposed(network))


def _made(network: onnx.ModelProto, seen: Mapping[str, calibration.Activation], first: int, bits: int) -> bytes:
    """The network of int8, with so many of the first convolutions in float."""
    in_float = [*qdq.before_convolution(network, first), *qdq.last_convolutions(network)]
    made = qdq.quantized(network, qdq.plan(network, in_float), seen, bits=bits)
    made.producer_name = "fastsam-onnx"
    entry = made.metadata_props.add()
    entry.key, entry.value = "quantization", f"int8 QDQ, {bits}-bit weights, first {first} convolutions in float"
    return bytes(made.SerializeToString())


# --- Measuring ---


@dataclass(frozen=True)
class _Candidate:
    """A network of int8, and how it was made."""

    agreement: Agreement
    first_in_float: int
    network: bytes

    @property
    def is_good(self) -> bool:
        return self.agreement.mean_iou >= GOOD_IOU and self.agreement.recall >= GOOD_RECALL


def _search(
    reference: FastSAM,
    candidates: Iterable[tuple[int, bytes]],
    photos: Sequence[ImageSource],
    tell: Progress,
    threads: int | None,
) -> _Candidate:
    """The network with the fewest convolutions in float that agrees well; the one that agrees best if none does."""
    images = [load_image(photo) for photo in photos]
    expected = [reference(image) for image in images]
    tried: list[_Candidate] = []
    for first, network in candidates:
        tell(0.5 + 0.4 * len(tried) / len(FIRST_IN_FLOAT), "comparing masks")
        with FastSAM(network, threads=threads, **reference.options) as model:
            kept = agreement((mine, model(image)) for mine, image in zip(expected, images, strict=True))
        logger.info("the first %d convolutions in float: %s", first, kept)
        tried.append(_Candidate(kept, first, network))
        if tried[-1].is_good:
            return tried[-1]
    return max(tried, key=lambda each: (each.agreement.recall, each.agreement.mean_iou))


def _check(kept: Agreement, name: str) -> None:
    """Refuse what lost too much."""
    if kept.expected < LEAST_MASKS:
        raise ModelError(
            f"{name} was not written: the network finds {kept.expected} masks in {kept.photos} pictures, at least "
            f"{LEAST_MASKS} are needed to judge; give photos of what it finds, lower conf, or force it"
        )
    if kept.mean_iou < LEAST_IOU or kept.recall < LEAST_RECALL:
        raise ModelError(
            f"{name} was not written: against the float32 network {kept}; at least {LEAST_IOU} and "
            f"{100 * LEAST_RECALL:.0f} % are asked for; give other photos, or force it"
        )


def _times(reference: FastSAM, network: bytes, threads: int | None) -> tuple[float, float]:
    """Median milliseconds of one run, of the network of float32 and of the new one, in turns."""
    height, width = reference.options["imgsz"]
    picture = np.zeros((height, width, 3), np.uint8)
    with FastSAM(network, threads=threads, imgsz=(height, width)) as model:
        runs = [[each(picture).speed["network"] for each in (reference, model)] for _ in range(TIMED_RUNS + 1)]
    float_ms, int8_ms = (statistics.median(times) for times in zip(*runs[1:], strict=True))
    return float_ms, int8_ms


# --- This machine ---


def _weight_bits(asked: int | None) -> int:
    """7 bits for processors that add two products of 8 bits in 16, and so overflow: x86 without VNNI."""
    if asked not in (None, 7, 8):
        raise OptionError(f"weight_bits is 7 or 8; found {asked!r}")
    return asked or (8 if _adds_in_32_bits(platform.machine(), Path("/proc/cpuinfo")) else 7)


def _adds_in_32_bits(machine: str, cpuinfo: Path) -> bool:
    """Whether this processor is an ARM, or an x86 that says it has VNNI; only Linux tells."""
    if machine.lower() in ("arm64", "aarch64"):
        return True
    try:
        words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return not words.isdisjoint(VNNI_FLAGS)


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("quantizing needs the package onnx: pip install 'fastsam-onnx[quantize]'") from error


def _say_nothing(_share: float, _what: str) -> None:
    pass
