"""`fastsam-onnx download`: models downloaded by name, and checked."""

from __future__ import annotations

import argparse
from typing import Any

from fastsam_onnx import weights
from fastsam_onnx.cli.arguments import add_command
from fastsam_onnx.cli.models import EPILOG
from fastsam_onnx.cli.screen import PROGRAM, DownloadBar, Screen, print_line
from fastsam_onnx.errors import DownloadError, OptionError
from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights.bundled import find_bundled
from fastsam_onnx.weights.catalogue import Entry


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "download",
        run,
        usage="[--unverified] NAME [NAME ...]",
        summary="download models by name, check those that are here, and print their paths",
        epilog=EPILOG,
    )
    parser.add_argument("names", metavar="NAME", nargs="+", help=f"one of {', '.join(weights.names())}")
    parser.add_argument("--unverified", action="store_true", help="accept a file whose SHA-256 is unknown")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Download models; those that are here are read and checked. Their paths go to standard output.

    Returns:
        0, or 1 if some failed.

    Raises:
        FastSAMError: If a name is not known; nothing was done.
    """
    entries = [_entry(name) for name in dict.fromkeys(arguments.names)]
    failed = False
    for entry in entries:
        try:
            was_here = weights.is_here(entry)
            path = weights.fetch(entry, progress=DownloadBar(screen), unverified=arguments.unverified)
            if was_here:
                weights.verify(entry)
        except DownloadError as error:
            screen.explain(f"{entry.name}: {error}")
            failed = True
        else:
            screen.clear()
            print_line(str(path))
    return 1 if failed else 0


def _entry(name: str) -> Entry:
    if bundled := find_bundled(name):
        raise OptionError(
            f"{bundled.name} comes with the package and needs no download; give its name as the model, or `{PROGRAM} "
            "models --json` for its path"
        )
    entry = catalogue.find(name)
    if entry is None:
        raise OptionError(f"a name must be one of {', '.join(weights.names())}, got {name!r}")
    return entry
