"""`fastsam-onnx export`: a checkpoint as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastsam_onnx import weights
from fastsam_onnx.cli_models import DownloadBar
from fastsam_onnx.cli_screen import Screen, print_line
from fastsam_onnx.errors import OutputError


def export(arguments: argparse.Namespace, screen: Screen) -> int:
    """Write the file; its path goes to standard output.

    Returns:
        0.

    Raises:
        FastSAMError: The checkpoint cannot be read or the file not written; nothing is left of it.
    """
    from fastsam_onnx.checkpoint import read_checkpoint
    from fastsam_onnx.conversion import export as write

    target = Path(arguments.output)
    if not arguments.overwrite and target.exists():
        raise OutputError(f"{target} exists; --overwrite replaces it")
    source = weights.resolve(arguments.model, task="segment", progress=DownloadBar(screen))
    write(read_checkpoint(source), target)
    screen.clear()
    print_line(str(target))
    return 0
