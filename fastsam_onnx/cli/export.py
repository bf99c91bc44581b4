"""`fastsam-onnx export`: a checkpoint as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastsam_onnx.cli.models import DownloadBar
from fastsam_onnx.cli.screen import Screen, print_line
from fastsam_onnx.errors import OutputError
from fastsam_onnx.weights import lookup as weights


def export(arguments: argparse.Namespace, screen: Screen) -> int:
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
