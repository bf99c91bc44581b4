"""What several commands do alike: open the model, make folders, write to standard output."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.photos import Photo
from fastsam_onnx.cli.prompts import Prompts
from fastsam_onnx.cli.screen import DownloadBar, Screen
from fastsam_onnx.errors import OutputError
from fastsam_onnx.weights import lookup as weights

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM

STDOUT = Path("-")


def open_model(arguments: argparse.Namespace, screen: Screen, *, threads: int | None = None) -> FastSAM:
    """The model of the arguments, fetched if it is not here.

    Args:
        arguments: Of the command line.
        screen: Shows downloads.
        threads: Instead of the arguments' own.

    Raises:
        FastSAMError: It cannot be opened.
    """
    # What OpenCV cannot decode is said once, by us. It reads these when it is loaded, later.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from fastsam_onnx.model import FastSAM

    model = arguments.model and weights.resolve(arguments.model, task="segment", progress=DownloadBar(screen))
    clip = arguments.clip and weights.resolve(arguments.clip, task="clip", progress=DownloadBar(screen))

    given = {name: getattr(arguments, name) for name in ("imgsz", "conf", "iou", "max_det", "refine")}
    given["threads"] = threads or arguments.threads
    return FastSAM(model, clip=clip, **{name: value for name, value in given.items() if value is not None})


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are not there.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, at once."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror or error}") from error


def format_options(form: str, prompts: Prompts) -> dict[str, Any]:
    """What a format wants to know of the prompts."""
    if form != "overlay":
        return {}
    return {
        "points": prompts.points or None,
        "point_labels": prompts.labels or None,
        "boxes": prompts.boxes or None,
    }


def photo_name(photo: Photo) -> str:
    """What messages call it."""
    return "-" if photo.path is None else str(photo.path)
