"""Steps that commands share: find and open the model, make folders, use standard input and output."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fastsam_onnx import weights
from fastsam_onnx.cli.screen import DownloadBar, Screen
from fastsam_onnx.errors import ImageError, OptionError, OutputError
from fastsam_onnx.files import exists, is_file
from fastsam_onnx.masks.classes import class_indices
from fastsam_onnx.options import MODEL_OPTIONS
from fastsam_onnx.results.prompts import listed
from fastsam_onnx.weights.bundled import bundled_model

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.prompts import Prompts

STDOUT = Path("-")
_OUR_JSON = re.compile(rb'"format"\s*:\s*"fastsam-onnx"')
_SHAPES = re.compile(rb'"shapes"\s*:')


def find_model(given: str | None, screen: Screen) -> Path:
    """The file of a model, downloaded if its name says so and it is not here.

    Args:
        given: A file, or a name that `fastsam-onnx models` lists; None for the bundled model.
        screen: Shows the download.

    Raises:
        FastSAMError: If there is no such model, or it cannot be downloaded.
    """
    if given is None:
        return bundled_model()
    return weights.resolve(given, task="segment", progress=DownloadBar(screen))


def open_model(arguments: argparse.Namespace, screen: Screen, *, threads: int | None = None) -> FastSAM:
    """The model of the arguments, downloaded if it is not here.

    Args:
        arguments: Of the command line.
        screen: Shows downloads.
        threads: Number of threads, instead of the arguments' own.

    Raises:
        FastSAMError: If it cannot be opened.
    """
    from fastsam_onnx.model import FastSAM

    model = find_model(arguments.model, screen)
    clip = arguments.clip and weights.resolve(arguments.clip, task="clip", progress=DownloadBar(screen))
    given = {name: getattr(arguments, name) for name in MODEL_OPTIONS}
    given["threads"] = threads or arguments.threads
    return FastSAM(model, clip=clip, **{name: value for name, value in given.items() if value is not None})


def open_clip(clip: Clip | None, prompts: Prompts | None = None) -> None:
    """Open what else waits for the first text, so that files which cannot be used are told before the first photo.

    Args:
        clip: The model's; None without.
        prompts: What will be asked; by default anything.

    Raises:
        FastSAMError: If it cannot be opened.
    """
    if clip is None or (prompts is not None and not prompts.needs_clip):
        return
    clip.image_encoder()
    if prompts is None or prompts.texts is not None or prompts.classify is not None:
        clip.text_encoder()


def wanted_classes(arguments: argparse.Namespace, model: FastSAM, prompts: Prompts) -> list[int] | None:
    """The indices of the classes of --classes; None for objects of any class.

    Raises:
        OptionError: If the model does not know one of them, or of those that the prompts look among, or does not tell
            classes apart.
    """
    names = model.contract.class_names
    if prompts.classes is not None:
        class_indices(listed(prompts.classes), names)
    if arguments.classes is None:
        return None
    known = set((names or {}).values())
    return class_indices(
        [int(one) if one.isdecimal() and one not in known else one for one in arguments.classes], names
    )


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def check_new(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if there is a file that may not be replaced."""
    if path != STDOUT and not overwrite and exists(path):
        raise OutputError(f"{path} exists; pass --overwrite to replace it")


def check_kind(path: Path, form: str, *, overwrite: bool) -> None:
    """Raise OutputError if the JSON file that is there is no result of this format.

    photo.json is the name of ours and of labelme's, which may be drawn by hand, so it is replaced by none of ours; and
    JSON of neither, such as a data set, by none of both.
    """
    if form not in ("json", "labelme") or not is_file(path):
        return
    try:
        with path.open("rb") as file:
            text = file.read(4096)
            is_ours = _OUR_JSON.search(text) is not None
            if form == "labelme" and not is_ours:
                text += file.read()  # a photo may come before its shapes
    except OSError as error:
        raise OutputError(f"cannot read {path}, which would be replaced: {error.strerror or error}") from error
    if not is_ours and (form == "json" or _SHAPES.search(text) is None):
        raise OutputError(
            f"{path} is no result of the format {form}, and is not replaced; name another folder with --output"
        )
    if form == "labelme" and is_ours and not overwrite:
        raise OutputError(
            f"{path} is a result of the format json, which has the same name as labelme's; name another folder "
            "with --output, or pass --overwrite to replace it"
        )


def file_key(path: Path) -> str:
    """The file that a path leads to, through links."""
    return os.path.normcase(os.path.realpath(path))


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise an OptionError if two results would be one file, or one would replace a file that the run reads."""
    read = {file_key(path) for path in inputs}
    written = set()
    for path in outputs:
        key = file_key(path)
        if path != STDOUT and key in read:
            raise OptionError(
                f"{path} would be replaced by a result, but this run reads it; name another place with --output"
            )
        if path != STDOUT and key in written:
            raise OptionError(
                f"two results would have the same name, {path}; run their inputs apart, each with its own --output"
            )
        written.add(key)


def open_stdin(wanted: str) -> BinaryIO:
    """Standard input, as bytes.

    Args:
        wanted: What is to be redirected to it, for the message.

    Raises:
        ImageError: If it is closed, or a terminal.
    """
    if sys.stdin is None:
        raise ImageError("standard input is closed")
    if sys.stdin.isatty():
        raise ImageError(f"standard input is a terminal; redirect {wanted} to it")
    return sys.stdin.buffer


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output, at once.

    Raises:
        OutputError: If it cannot be written; but BrokenPipeError if its reader went away.
    """
    if sys.stdout is None:
        raise OutputError("cannot write standard output: it is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror or error}") from error
