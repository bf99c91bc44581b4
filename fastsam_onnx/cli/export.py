"""`fastsam-onnx export`: a PyTorch checkpoint written as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.arguments import add_command, add_shared, input_size, no_pipe_output
from fastsam_onnx.cli.common import check_new, check_outputs, find_model
from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line
from fastsam_onnx.errors import OptionError

EPILOG = f"""\
{PROGRAM} opens checkpoints as they are; the ONNX file is for other
programs. It takes any number of photos, of any size in multiples of 32 or of
the one that --imgsz says, and has the names, outputs and metadata of
ultralytics' exports.

examples:
  {PROGRAM} export FastSAM-s.pt -o FastSAM-s.onnx
  {PROGRAM} export yolo11n-seg.pt --imgsz 640 --half -o yolo11n-seg.onnx
  {PROGRAM} export FastSAM-s.pt --imgsz 640 --raw-heads -o heads.onnx"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        run,
        usage="[OPTIONS] MODEL -o FILE.onnx",
        summary="write a checkpoint as an ONNX file, without PyTorch",
        epilog=EPILOG,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"a checkpoint (.pt) of a segmentation network, or a name that `{PROGRAM} models` lists",
    )
    parser.add_argument("-o", "--output", metavar="FILE.onnx", type=no_pipe_output, required=True, help="file to write")
    parser.add_argument(
        "--imgsz",
        metavar="SIZE",
        type=input_size,
        help="the only input size that the file takes, N or WIDTHxHEIGHT (default: any size)",
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="store parameters in half precision, for a file of half the size; it computes in single precision",
    )
    parser.add_argument(
        "--raw-heads",
        action="store_true",
        help="end before the decoding of boxes, as compilers for accelerators (Hailo, Rockchip) want it",
    )
    add_shared(parser, "--overwrite")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Write the file; its path goes to standard output.

    Returns:
        0.

    Raises:
        FastSAMError: If the checkpoint cannot be read or the file cannot be written; nothing is left of it.
    """
    from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
    from fastsam_onnx.checkpoints.convert import export as write
    from fastsam_onnx.checkpoints.head import check_onnx_name
    from fastsam_onnx.network.file import is_checkpoint_file

    target = Path(arguments.output)
    check_onnx_name(target)
    check_new(target, overwrite=arguments.overwrite)
    source = find_model(arguments.model, screen)
    check_outputs([target], [source])
    if not is_checkpoint_file(source):
        raise OptionError(f"{source} is no checkpoint (.pt, .safetensors); an ONNX file needs no export: copy it")
    checkpoint = read_checkpoint(source)
    write(checkpoint, target, imgsz=arguments.imgsz, half=arguments.half, raw=arguments.raw_heads)
    screen.clear()
    print_line(str(target))
    return 0
