"""`fastsam-onnx quantize`: a network of int8, and what it costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastsam_onnx.cli.models import DownloadBar
from fastsam_onnx.cli.photos import find_photos
from fastsam_onnx.cli.screen import Screen, print_line
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.weights import lookup as weights

if TYPE_CHECKING:
    from fastsam_onnx.quantize.recipe import Report


def quantize(arguments: argparse.Namespace, screen: Screen) -> int:
    """Make the network, write it, and tell what it costs; its path goes to standard output.

    Returns:
        0.

    Raises:
        FastSAMError: The network cannot be made or lost too much; nothing is left of it.
    """
    from fastsam_onnx.quantize.recipe import quantize as make

    source = weights.resolve(arguments.model, task="segment", progress=DownloadBar(screen))
    target = Path(arguments.output or source.with_suffix(".int8.onnx").name)
    if not arguments.overwrite and target.exists():
        raise OutputError(f"{target} exists; --overwrite replaces it")
    report = make(
        source,
        target,
        _photos(arguments.photos),
        imgsz=arguments.imgsz,
        conf=arguments.conf,
        iou=arguments.iou,
        weight_bits=arguments.weight_bits,
        threads=arguments.threads,
        force=arguments.force,
        progress=lambda share, what: screen.progress(share, what, None),
    )
    screen.clear()
    for line in _readable(report, drawn=arguments.photos is None):
        screen.write(line)
    print_line(str(target))
    return 0


def _photos(folder: str | None) -> list[Path] | None:
    """The pictures of a folder and its folders."""
    if folder is None:
        return None
    photos, troubles = find_photos([folder], recursive=True)
    if troubles:
        raise OptionError(": ".join(troubles[0]))
    return [photo.path for photo in photos if photo.path is not None]


def _readable(report: Report, *, drawn: bool) -> Iterator[str]:
    """What was made, in lines."""
    kept = report.agreement
    pictures = "pictures drawn for it" if drawn else "photos"
    yield f"calibrated:  on {report.calibrated_on} {pictures}, {report.weight_bits}-bit weights"
    yield f"in float:    the first {report.first_in_float} convolutions, the last of each branch, what follows"
    yield f"masks:       {kept}, {kept.photos} {pictures} that were kept for this"
    ratio = report.float_ms / report.int8_ms
    yield f"time:        {report.float_ms:.1f} ms float32, {report.int8_ms:.1f} ms int8: {ratio:.2f} times as fast"
    yield f"size:        {report.float_bytes:,} bytes before, {report.int8_bytes:,} bytes now"
