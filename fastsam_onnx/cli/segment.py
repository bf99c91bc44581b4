"""`fastsam-onnx segment`: every input taken all the way from a photo to its files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli import photos as cli_inputs
from fastsam_onnx.cli.models import DownloadBar
from fastsam_onnx.cli.photos import Job, Photo, Prompts
from fastsam_onnx.cli.screen import Report, Screen
from fastsam_onnx.errors import FastSAMError, ImageError, OptionError, OutputError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.images.load import source_name
from fastsam_onnx.stream import default_workers, ordered_map
from fastsam_onnx.weights import lookup as weights

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.segmentation import Segmentation

STDOUT = Path("-")


def segment(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the command.

    Returns:
        0, or 1 if some inputs failed.

    Raises:
        FastSAMError: The arguments do not fit each other, or the model cannot be opened; nothing was done.
    """
    prompts = read_prompts(arguments)
    photos, troubles = cli_inputs.find_photos(arguments.inputs, recursive=arguments.recursive)
    chosen = list(dict.fromkeys(arguments.formats)) if arguments.formats else None
    if arguments.output == "-" or (arguments.output is None and arguments.inputs == ["-"]):
        jobs = [Job(_one_for_stdout(photos, arguments.json), {_format_for_stdout(chosen): STDOUT})]
    else:
        jobs = cli_inputs.plan(photos, chosen, arguments.output)
    report = Report(screen, len(jobs) + len(troubles), quiet=arguments.quiet, as_json=arguments.json)
    for name, reason in troubles:
        report.failed(name, reason)
    if not arguments.overwrite:
        jobs = [left for job in jobs if (left := _left_to_do(job, report)) is not None]
    if jobs:
        with open_model(arguments, screen) as model:
            report.start()
            process = partial(_process, model=model, prompts=prompts, arguments=arguments)
            with closing(ordered_map(process, jobs, workers=arguments.jobs or default_workers())) as done:
                for tell in done:
                    tell(report)
    report.end()
    return 1 if report.counts["failed"] else 0


def _process(job: Job, *, model: FastSAM, prompts: Prompts, arguments: argparse.Namespace) -> Callable[[Report], None]:
    """Take one photo all the way; what goes wrong with it stops nothing else. Gives what is to be reported."""
    name = photo_name(job.photo)
    source: Path | bytes | None = job.photo.path
    try:
        if source is None:
            source = _stdin_bytes()
        found = model(source, pixel_limit=arguments.pixel_limit, tile=arguments.tile)
        chosen = select(found, prompts, arguments)
        began = time.perf_counter()
        for form, path in job.outputs.items():
            _write(chosen, form, path, format_options(form, prompts) | _place_options(form, job.photo, path))
        written = {"output": 1000 * (time.perf_counter() - began)}
    except FastSAMError as error:
        reason = str(error).removeprefix(f"cannot read {source_name(source)}: ")
        return methodcaller("failed", name, reason)
    except BrokenPipeError:
        raise
    except Exception as error:  # a defect, or no memory left: the other photos can still be done
        return methodcaller("failed", name, f"unexpected {type(error).__name__}: {error}")
    return methodcaller(
        "done",
        name,
        objects=len(chosen),
        image_size=chosen.image_size,
        outputs=job.outputs,
        milliseconds={**found.speed, **written},
    )


def select(found: Segmentation, prompts: Prompts, arguments: argparse.Namespace) -> Segmentation:
    """The rows that the prompts choose: of the points, the boxes, the texts; all rows without prompts."""
    from fastsam_onnx.results.segmentation import join_answers

    answers = []
    if prompts.points:
        answers.append((found.point_prompt(prompts.points, prompts.labels, pick=arguments.pick), 1))
    if prompts.boxes:
        answers.append((found.box_prompt(prompts.boxes, match=arguments.match), len(prompts.boxes)))
    if prompts.texts:
        top_k = 1 if arguments.similarity is None else None
        texts = found.text_prompt(prompts.texts, top_k=top_k, threshold=arguments.similarity)
        answers.append((texts, len(prompts.texts)))
    return join_answers(answers) if answers else found


def _write(found: Segmentation, form: str, path: Path, options: dict[str, Any]) -> None:
    if path == STDOUT:
        write_stdout(formats.encode(found, form, **options))
        return
    make_folder(path.parent)
    formats.save(found, path, format=form, **options)


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


def _place_options(form: str, photo: Photo, path: Path) -> dict[str, Any]:
    """What a format wants to know of the photo's place and name."""
    if photo.path is not None and form == "labelme" and path != STDOUT:
        return {"image_path": _relative(photo.path, path.parent)}
    if photo.path is not None and form == "coco":
        stem = photo.path.stem
        return {"image_id": int(stem) if stem.isascii() and stem.isdigit() else stem}
    return {}


def _left_to_do(job: Job, report: Report) -> Job | None:
    """The job without the results that exist. None, and reported, if it is settled so.

    A photo that was named is settled by any of its results, because the caller expects new ones.
    """
    existing = {form: path for form, path in job.outputs.items() if path != STDOUT and os.access(path, os.F_OK)}
    if existing and job.photo.folder is None:
        first = next(iter(existing.values()))
        report.failed(photo_name(job.photo), f"{first} exists; --overwrite replaces it")
        return None
    if len(existing) == len(job.outputs):
        report.skipped(photo_name(job.photo), job.outputs)
        return None
    return Job(job.photo, {form: path for form, path in job.outputs.items() if form not in existing})


def read_prompts(arguments: argparse.Namespace) -> Prompts:
    """The prompts of the arguments and of their file.

    Raises:
        PromptError: They can mean nothing.
        OptionError: There are texts, but no CLIP.
    """
    points = (*arguments.point, *arguments.background)
    labels = (1,) * len(arguments.point) + (0,) * len(arguments.background)
    prompts = Prompts(points, labels, tuple(arguments.box), tuple(arguments.text))
    if arguments.prompts is not None:
        prompts += cli_inputs.read_prompts(arguments.prompts)
    prompts.check()
    if prompts.texts and not arguments.clip:
        raise OptionError(
            "--text needs CLIP: --clip clip-vit-b-32-int8 downloads one (156 MB) once, --clip FOLDER takes another"
        )
    return prompts


def _one_for_stdout(photos: Sequence[Photo], as_json: bool) -> Photo:
    if len(photos) != 1 or photos[0].folder is not None:
        raise OptionError("standard output takes the result of one photo; name a folder with --output")
    if as_json:
        raise OptionError("--json and a result cannot both go to standard output; name a file or folder with --output")
    return photos[0]


def _format_for_stdout(chosen: list[str] | None) -> str:
    form, *others = chosen or ["overlay"]
    kind = formats.FORMATS[form]
    if others or kind.folder:
        reason = f"{form} is a folder of files" if kind.folder else f"there are {', '.join(chosen or [])}"
        raise OptionError(f"standard output takes one file, but {reason}; name a folder with --output")
    if ".png" in kind.suffixes[0] and sys.stdout.isatty():
        raise OptionError("a picture is no text for a terminal; redirect standard output, or name a file with --output")
    return form


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

    given = {name: getattr(arguments, name) for name in ("imgsz", "conf", "iou", "max_det")}
    given["threads"] = threads or arguments.threads
    return FastSAM(model, clip=clip, **{name: value for name, value in given.items() if value is not None})


def _stdin_bytes() -> bytes:
    if sys.stdin.isatty():
        raise ImageError("a terminal gives no photo; redirect a file to standard input")
    return sys.stdin.buffer.read()


def photo_name(photo: Photo) -> str:
    """What messages call it."""
    return "-" if photo.path is None else str(photo.path)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # Windows: on another drive
        return path.resolve().as_posix()
