"""`fastsam-onnx quantize`: an int8 network made of a float32 one, and a measure of what it keeps."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.arguments import add_command, add_shared, no_pipe_output
from fastsam_onnx.cli.common import check_new, check_outputs, find_model
from fastsam_onnx.cli.photos import find_photos
from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line
from fastsam_onnx.errors import OptionError
from fastsam_onnx.files import is_folder

if TYPE_CHECKING:
    from fastsam_onnx.quantize import Report

EPILOG = f"""\
The network is computed with 8-bit integers where that keeps its masks, which is
faster. It is calibrated on two thirds of the photos and compared with the
original on the others; a network that lost too much is not written. Give at
least 30 photos like those that it will see.

Without --photos it is calibrated on synthetic pictures, which keeps a little
less.

x86 processors without VNNI (before about 2019) need 7-bit weights: with 8 bits
their sums overflow. The default is right for this machine.

examples:
  {PROGRAM} quantize my-yolov8-seg.onnx --photos photos/
  {PROGRAM} quantize FastSAM-s.pt --photos photos/ --conf 0.25 -o fast.onnx"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "quantize",
        run,
        usage="[OPTIONS] MODEL",
        summary="make a faster int8 network from a float32 one, and measure what it keeps (needs the package onnx)",
        epilog=EPILOG,
    )
    parser.add_argument(
        "model", metavar="MODEL", help=f"a network, .onnx or .pt, or a name that `{PROGRAM} models` lists"
    )
    parser.add_argument("--photos", metavar="FOLDER", help="folder of photos like those that the network will see")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.onnx",
        type=no_pipe_output,
        help="file to write (default: MODEL.int8.onnx in the current folder)",
    )
    add_shared(parser, "--overwrite")
    parser.add_argument("--force", action="store_true", help="write the network even if it lost too much")
    parser.add_argument(
        "--weight-bits", type=int, choices=(7, 8), help="7 for x86 processors without VNNI (default: for this machine)"
    )
    add_shared(parser.add_argument_group("comparison and calibration"), "--conf", "--iou", "--imgsz", "--threads")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Make the network, write it, and tell what it costs; its path goes to standard output.

    Returns:
        0.

    Raises:
        FastSAMError: If the network cannot be made or lost too much; nothing is left of it.
    """
    from fastsam_onnx.checkpoints.head import check_onnx_name
    from fastsam_onnx.quantize import quantize as make

    source = find_model(arguments.model, screen)
    target = Path(arguments.output or source.with_suffix(".int8.onnx").name)
    check_onnx_name(target)
    check_outputs([target], [source])
    check_new(target, overwrite=arguments.overwrite)
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
        progress=lambda share, what: screen.draw(share, what, None),
    )
    screen.clear()
    for line in _readable(report, drawn=arguments.photos is None):
        screen.write(line)
    print_line(str(target))
    return 0


def _photos(folder: str | None) -> list[Path] | None:
    """The photos of a folder and of the folders inside it."""
    if folder is None:
        return None
    if not is_folder(folder):
        raise OptionError(f"--photos must be a folder, got {folder}")
    photos, troubles = find_photos([folder], recursive=True)
    if troubles:
        raise OptionError(": ".join(troubles[0]))
    return [photo.path for photo in photos if photo.path is not None]


def _readable(report: Report, *, drawn: bool) -> Iterator[str]:
    """The lines that describe the new network."""
    kept = report.agreement
    pictures = "synthetic pictures" if drawn else "photos"
    yield f"calibrated:  on {report.calibrated_on} {pictures}, {report.weight_bits}-bit weights"
    yield f"in float:    the first {report.first_in_float} convolutions, the last of each branch and what follows them"
    yield f"masks:       {kept}, on {kept.photos} other {pictures}"
    ratio = report.float_ms / report.int8_ms
    yield f"time:        {report.float_ms:.1f} ms float32, {report.int8_ms:.1f} ms int8 ({ratio:.2f} times as fast)"
    yield f"size:        {report.float_bytes:,} bytes before, {report.int8_bytes:,} bytes now"
