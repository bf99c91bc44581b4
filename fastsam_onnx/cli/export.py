"""`fastsam-onnx export`: a checkpoint as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.arguments import EXIT_CODES, add_command
from fastsam_onnx.cli.screen import PROGRAM, DownloadBar, Screen, print_line
from fastsam_onnx.errors import OutputError
from fastsam_onnx.weights import lookup as weights

EPILOG = f"""\
A checkpoint opens as it is, so nobody needs this for {PROGRAM} itself: the
file is for other programs. It takes photos of any size in multiples of 32, any
number at once, and has the names, outputs and metadata of ultralytics' exports.

example:
  {PROGRAM} export FastSAM-s.pt -o FastSAM-s.onnx

{EXIT_CODES}"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        run,
        usage="[--overwrite] MODEL -o FILE.onnx",
        what="write a checkpoint as an ONNX file, without PyTorch",
        epilog=EPILOG,
    )
    parser.add_argument(
        "model", metavar="MODEL", help=f"a YOLOv8-seg checkpoint (.pt), or a name that `{PROGRAM} models` lists"
    )
    parser.add_argument("-o", "--output", metavar="FILE.onnx", required=True, help="where to write it")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Write the file; its path goes to standard output.

    Returns:
        0.

    Raises:
        FastSAMError: The checkpoint cannot be read or the file not written; nothing is left of it.
    """
    from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
    from fastsam_onnx.checkpoints.convert import export as write

    target = Path(arguments.output)
    if not arguments.overwrite and target.exists():
        raise OutputError(f"{target} exists; --overwrite replaces it")
    source = weights.resolve(arguments.model, task="segment", progress=DownloadBar(screen))
    write(read_checkpoint(source), target)
    screen.clear()
    print_line(str(target))
    return 0
