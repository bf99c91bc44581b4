"""From a network of float32 to one of int8, which says what it costs before it is written.

    from fastsam_onnx.quantize import quantize
    report = quantize("yolov8n-seg.onnx", "yolov8n-seg.int8.onnx", photos=paths)

The network is prepared first (`prepare`: float32, constants folded, transposed convolutions as convolutions), then
activations are measured on photos (`calibration`, `patches`), weights are rounded for them (`rounding`), and
convolutions and what lies between them become integer (`qdq`), with bytes moved by whole pixels (`byte_moves`) and the
photo's channels as four (`four_channels`).
What stays in float was found by measuring: always the last convolution of every branch, which costs next to nothing and
decides over boxes, scores and masks; and as many of the first convolutions as this network needs, which is tried out.
Nothing else in the middle: between integer neighbours ONNX Runtime makes a float convolution integer by itself, with
one scale for all channels.
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastsam_onnx import options, weights
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.checkpoints.head import check_onnx_name
from fastsam_onnx.errors import MissingPackageError, ModelError, OptionError, OutputError
from fastsam_onnx.files import exists, is_folder, output_errors, write_file
from fastsam_onnx.images.load import ImageSource, load_image
from fastsam_onnx.model import FastSAM
from fastsam_onnx.network.file import is_checkpoint_file
from fastsam_onnx.network.onnx_header import external_bytes
from fastsam_onnx.options import ShareProgress
from fastsam_onnx.quantize import calibration, qdq
from fastsam_onnx.quantize.agreement import Agreement, measure_agreement
from fastsam_onnx.quantize.byte_moves import with_byte_moves
from fastsam_onnx.quantize.four_channels import with_four_channels
from fastsam_onnx.quantize.kernels import weight_bits_for
from fastsam_onnx.quantize.patches import PatchCovariances
from fastsam_onnx.quantize.pictures import network_inputs, split_photos
from fastsam_onnx.quantize.prepare import prepared
from fastsam_onnx.quantize.rounding import Rounder
from fastsam_onnx.runtime import QUANTIZATION

if TYPE_CHECKING:
    import onnx

logger = logging.getLogger("fastsam_onnx")

FIRST_IN_FLOAT = (0, 2, 6)
"""Numbers of first convolutions that stay in float, in the order in which they are tried."""
GOOD_IOU, GOOD_RECALL = 0.95, 0.93
"""Agreement from which no more of them stay in float."""
CLOSE = 0.005
"""Recall and mean IoU below the best that fewer convolutions in float are worth, where none agrees that well."""
MINIMUM_IOU, MINIMUM_RECALL = 0.9, 0.8
"""Agreement below which a network is not written."""
MINIMUM_MASKS = 20
"""Number of masks that are needed to judge: with fewer, one lost mask is more than 5 %."""
TIMED_RUNS = 9
"""Runs of which the median counts, on the photos to measure on in turns; one more before them warms up."""


@dataclass(frozen=True)
class Report:
    """A network of int8 that was written, and its cost.

    Attributes:
        agreement: Agreement with the network of float32, on pictures that were not calibrated with.
        float_ms: Median time of one run of the network of float32 on these pictures, in milliseconds.
        int8_ms: Median time of one run of the new one in milliseconds.
        float_bytes: Size of the file that was read, with those beside it that hold its parameters.
        int8_bytes: Size of the file that was made.
        first_in_float: Number of first convolutions that stay in float.
        weight_bits: Bits of the weights, 7 or 8.
        calibrated_on: Number of pictures.
        written: Path of the network.
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
    progress: ShareProgress | None = None,
) -> Report:
    """Make a network of int8 and write it, if it finds what the network of float32 finds.

    Args:
        model: An ONNX file or a checkpoint (.pt) of a YOLO segmentation network, or a model's name; float16 becomes
            float32 first.
        output: Path of the ONNX file to write.
        photos: Photos of the kind that the network will see; every third serves to measure, the rest to calibrate (24
            and 48 at most, spread evenly). By default pictures that are drawn for it, `calibration.dead_leaves`: they
            do to calibrate with, but masks in them say little, so as much as ever stays in float.
        imgsz: As in `FastSAM`, for calibrating and measuring; the new network takes the sizes that the old one took.
        conf: As in `FastSAM`, for measuring.
        iou: As in `FastSAM`, for measuring.
        weight_bits: 8, or 7 for x86 processors without VNNI, whose kernels overflow with 8. By default the
            right number for this processor.
        threads: As in `FastSAM`.
        force: Write the network even if it finds too little, or if that cannot be told.
        progress: Called with the share that is done and the name of the step.

    Raises:
        MissingPackageError: If the package onnx is not installed.
        ModelNotFoundError: If there is no such file.
        ModelError: If the file is not a network that this works for, or the new one finds too little.
        ImageError: If a photo cannot be read.
        OptionError: If an option is outside its range, or the output ends as a checkpoint's name or is the model.
        OutputError: If the file cannot be written.
    """
    _check_onnx()
    target = _checked_target(options.path("output", output))
    bits = weight_bits_for(weight_bits)
    options.function("progress", progress)
    tell, force = progress or _say_nothing, options.boolean("force", force)
    options.path("model", model)
    source = weights.resolve(model, task="segment")
    _check_not_replaced(source, target)
    with FastSAM(source, imgsz=imgsz, conf=conf, iou=iou, threads=threads) as reference:
        calibrated, measured = split_photos(photos)  # drawing them takes longer than to open the network
        images = [load_image(photo) for photo in measured]  # what cannot be read is told now, not after calibrating
        network, float_bytes = prepared(source), _bytes_of(source)
        seen, rounder = _observe(reference, network, calibrated, tell, threads)
        firsts = FIRST_IN_FLOAT if photos is not None else FIRST_IN_FLOAT[-1:]  # drawn pictures say too little
        candidates = _candidates(network, seen, rounder, firsts, bits)
        chosen = _search(reference, candidates, images, tell, threads)
        if not force:
            _check(chosen.agreement, target.name)
        tell(0.9, "measuring time")
        float_ms, int8_ms = _times(reference, chosen.network, images, threads)
    write_file(target, [chosen.network])
    return Report(
        agreement=chosen.agreement,
        float_ms=float_ms,
        int8_ms=int8_ms,
        float_bytes=float_bytes,
        int8_bytes=len(chosen.network),
        first_in_float=chosen.first_in_float,
        weight_bits=bits,
        calibrated_on=len(calibrated),
        written=target,
    )


def _checked_target(path: Path) -> Path:
    """Refuse a file that cannot be written, or opened again, now rather than after minutes."""
    check_onnx_name(path)
    if not is_folder(path.parent):
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    with output_errors(path), tempfile.TemporaryFile(dir=path.parent), suppress(FileNotFoundError):
        path.lstat()  # its name may be too long
    return path


def _check_not_replaced(source: Path, target: Path) -> None:
    """Refuse to write over the network of float32: it is needed to make another one, and cannot be made from int8."""
    if exists(target) and exists(source) and target.samefile(source):
        raise OptionError(f"output must be another file than the model, which it would replace, got {target}")


def _bytes_of(source: Path) -> int:
    """Size of a model, with the parameters that lie in files beside it."""
    beside = {} if is_checkpoint_file(source) else external_bytes(source)
    return source.stat().st_size + sum(beside.values())


def _observe(
    reference: FastSAM,
    network: onnx.ModelProto,
    photos: Sequence[ImageSource],
    tell: ShareProgress,
    threads: int | None,
) -> tuple[dict[str, calibration.Activation], Rounder]:
    """The values that the activations take on photos, and what rounds weights for them.

    Raises:
        ModelError: If there is no convolution to quantize.
    """
    tensors = network_inputs(reference, photos, lambda done, total: tell(0.5 * done / total, "calibrating"))
    [source] = network.graph.input
    runs = ({source.name: tensor} for tensor in tensors)
    plan = qdq.make_plan(network)
    if not plan.tensors:
        raise ModelError("the network has no convolution with constant weights, so nothing can be int8")
    patches = PatchCovariances(network, plan.nodes)
    seen = calibration.observe_activations(network, plan.tensors, runs, patches=patches, threads=threads)
    return seen, Rounder(patches.result())


def _candidates(
    network: onnx.ModelProto,
    seen: Mapping[str, calibration.Activation],
    rounder: Rounder,
    firsts: Iterable[int],
    bits: int,
) -> Iterator[tuple[int, bytes]]:
    """Numbers of first convolutions in float, each with the network of int8."""
    for first in firsts:
        in_float = [*qdq.before_convolution(network, first), *qdq.last_convolutions(network)]
        plan = qdq.make_plan(network, in_float)
        made = qdq.quantized(network, plan, seen, bits=bits, rounder=rounder)
        made = with_four_channels(with_byte_moves(made))
        made.producer_name = "fastsam-onnx"
        entry = made.metadata_props.add()
        entry.key, entry.value = QUANTIZATION, f"int8 QDQ, {bits}-bit weights, first {first} convolutions in float"
        yield first, bytes(made.SerializeToString())


@dataclass(frozen=True)
class _Candidate:
    """A network of int8, and the number of first convolutions in float."""

    agreement: Agreement
    first_in_float: int
    network: bytes

    @property
    def is_good(self) -> bool:
        return self.is_within(GOOD_RECALL, GOOD_IOU)

    def is_within(self, recall: float, mean_iou: float) -> bool:
        return self.agreement.recall >= recall and self.agreement.mean_iou >= mean_iou


def _search(
    reference: FastSAM,
    candidates: Iterable[tuple[int, bytes]],
    images: Sequence[ByteArray],
    tell: ShareProgress,
    threads: int | None,
) -> _Candidate:
    """The network with the fewest convolutions in float that agrees well; if none does, that is close to the best."""
    expected = [reference(image, redraw=False) for image in images]
    tried: list[_Candidate] = []
    for first, network in candidates:
        tell(0.5 + 0.4 * len(tried) / len(FIRST_IN_FLOAT), "comparing masks")
        with FastSAM(network, threads=threads, **{**reference.options, "redraw": False}) as model:
            kept = measure_agreement((mine, model(image)) for mine, image in zip(expected, images, strict=True))
        logger.info("the first %d convolutions in float: %s", first, kept)
        tried.append(_Candidate(kept, first, network))
        if tried[-1].is_good:
            return tried[-1]
    best = max(tried, key=lambda each: (each.agreement.recall, each.agreement.mean_iou))
    highest_iou = max(each.agreement.mean_iou for each in tried)
    close = (each for each in tried if each.is_within(best.agreement.recall - CLOSE, highest_iou - CLOSE))
    return next(close, best)


def _check(kept: Agreement, name: str) -> None:
    """Refuse what lost too much."""
    if kept.expected < MINIMUM_MASKS:
        raise ModelError(
            f"{name} was not written: the network finds {kept.expected} masks in {kept.photos} pictures, at least "
            f"{MINIMUM_MASKS} are needed to judge; give photos of what it finds, lower conf, or force it"
        )
    if kept.mean_iou < MINIMUM_IOU or kept.recall < MINIMUM_RECALL:
        raise ModelError(
            f"{name} was not written: against the float32 network {kept}; at least {MINIMUM_IOU} and "
            f"{100 * MINIMUM_RECALL:.0f} % are asked for; give other photos, or force it"
        )


def _times(reference: FastSAM, network: bytes, images: Sequence[ByteArray], threads: int | None) -> tuple[float, float]:
    """Median milliseconds of one run, of the network of float32 and of the new one, in turns, photo after photo."""
    images = images[:TIMED_RUNS]
    with FastSAM(network, threads=threads, **reference.options) as model:
        runs = [
            [each(images[number % len(images)]).speed["network"] for each in (reference, model)]
            for number in range(-1, TIMED_RUNS)
        ]
    float_ms, int8_ms = (statistics.median(times) for times in zip(*runs[1:], strict=True))
    return float_ms, int8_ms


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("quantizing needs the package onnx: pip install 'fastsam-onnx[quantize]'") from error


def _say_nothing(_share: float, _what: str) -> None:
    pass
