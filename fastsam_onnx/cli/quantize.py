"""`fastsam-onnx quantize`: a network of int8, and what it costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.arguments import EXIT_CODES, add_command, fraction, input_size, whole
from fastsam_onnx.cli.photos import find_photos
from fastsam_onnx.cli.screen import PROGRAM, DownloadBar, Screen, print_line
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.weights import lookup as weights

if TYPE_CHECKING:
    from fastsam_onnx.quantize.recipe import Report

EPILOG = f"""\
The network is computed with integers of 8 bits where that keeps its masks, which
is faster. It is calibrated on two thirds of the photos and compared with the
old one on the others; a network that lost too much is not written. Give 30
photos or more of the kind that it will see.

Without --photos it is calibrated on pictures that are drawn for it, which keeps
somewhat less.

Processors of the x86 kind without VNNI (before about 2019) need weights of 7
bits: their sums overflow with 8. The default is right for this machine.

examples:
  {PROGRAM} quantize my-yolov8-seg.onnx --photos photos/
  {PROGRAM} quantize FastSAM-s.pt --photos photos/ --conf 0.25 -o fast.onnx

{EXIT_CODES}"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "quantize",
        run,
        usage="[OPTIONS] MODEL",
        what="make an int8 network of a float32 one, faster, and measure what it keeps (needs the package onnx)",
        epilog=EPILOG,
    )
    parser.add_argument("model", metavar="MODEL", help=f"ONNX or .pt, or a name that `{PROGRAM} models` lists")
    parser.add_argument("--photos", metavar="FOLDER", help="photos of the kind that the network will see")
    parser.add_argument("-o", "--output", metavar="FILE.onnx", help="where to write it (default: MODEL.int8.onnx here)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("--force", action="store_true", help="write the network even if it lost too much")
    parser.add_argument("--conf", metavar="SCORE", type=fraction, help="as in segment, to compare masks")
    parser.add_argument("--iou", metavar="IOU", type=fraction, help="as in segment, to compare masks")
    parser.add_argument("--imgsz", metavar="SIZE", type=input_size, help="as in segment, to calibrate and to compare")
    parser.add_argument(
        "--weight-bits", type=int, choices=(7, 8), help="7 for x86 processors without VNNI (default: for this machine)"
    )
    parser.add_argument("--threads", metavar="N", type=whole, help="threads (default: the cores this process may use)")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
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
