"""`fastsam-onnx segment` for videos and raw frames: an overlay video, JSON lines, or frames for another program."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.cli.common import STDOUT, format_options, make_folder, open_model, write_stdout
from fastsam_onnx.cli.photos import STDIN_STEM
from fastsam_onnx.cli.prompts import Prompts, read_prompts, select
from fastsam_onnx.cli.report import Report, rate
from fastsam_onnx.cli.screen import Screen
from fastsam_onnx.draw import overlay
from fastsam_onnx.errors import FastSAMError, ImageError, OptionError, OutputError
from fastsam_onnx.files import complete_file
from fastsam_onnx.formats.registry import to_dict
from fastsam_onnx.images.video import VIDEO_SUFFIXES, is_video, open_video, video_writer

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.segmentation import Segmentation

Sink = Callable[[int, "Segmentation"], object]

SUFFIXES = {"overlay": ".overlay.mp4", "json": ".jsonl"}
PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True)
class Clip:
    """A video, or raw frames on standard input.

    Attributes:
        path: None for standard input.
        raw_size: (width, height) of raw frames.
        fps: Of raw frames; videos know their own.
    """

    path: Path | None
    raw_size: tuple[int, int] | None = None
    fps: float | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "-" if self.path is None else str(self.path)

    def open(self) -> tuple[Iterator[ByteArray], float, int | None]:
        """The frames, how many a second, and about how many there are, if that is known."""
        if self.path is not None:
            video = open_video(self.path)
            return video.frames(), video.fps, video.frame_count
        assert self.raw_size is not None
        assert self.fps is not None
        return _raw_frames(self.raw_size), self.fps, None


def holds_frames(arguments: argparse.Namespace) -> bool:
    """Whether the inputs are videos or raw frames."""
    return arguments.raw is not None or any(is_video(Path(text)) for text in arguments.inputs if text not in ("", "-"))


def segment_frames(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the command.

    Returns:
        0, or 1 if some videos failed.

    Raises:
        FastSAMError: The arguments do not fit each other, or the model cannot be opened; nothing was done.
    """
    prompts = read_prompts(arguments)
    clips = _clips(arguments)
    jobs = [(clip, _outputs(clip, arguments, alone=len(clips) == 1)) for clip in clips]
    paths = [path for _, outputs in jobs for path in outputs.values()]
    if len(set(paths)) < len(paths):
        raise OptionError("two of the videos would get results of the same name; run them one by one")
    report = Report(screen, len(jobs), quiet=arguments.quiet, as_json=arguments.json, noun="video")
    with open_model(arguments, screen) as model:
        for clip, outputs in jobs:
            try:
                _check_new(outputs, overwrite=arguments.overwrite)
                facts = _run(clip, outputs, model=model, prompts=prompts, arguments=arguments, screen=screen)
                report.done(clip.name, outputs=outputs, **facts)
            except BrokenPipeError:
                raise
            except FastSAMError as error:
                report.failed(clip.name, str(error).removeprefix(f"cannot read {clip.name}: "))
    report.end()
    return 1 if report.counts["failed"] else 0


def _run(
    clip: Clip,
    outputs: dict[str, Path],
    *,
    model: FastSAM,
    prompts: Prompts,
    arguments: argparse.Namespace,
    screen: Screen,
) -> dict[str, Any]:
    """Take one clip from its first frame to its last; gives what is to be reported."""
    began = time.perf_counter()
    frames, fps, total = clip.open()
    options = {"pixel_limit": arguments.pixel_limit, "tile": arguments.tile}
    count, objects, size = 0, 0, (0, 0)
    with ExitStack() as stack:
        stream = stack.enter_context(closing(model.stream(frames, workers=arguments.jobs, **options)))
        sinks = [stack.enter_context(_sink(form, path, fps, prompts)) for form, path in outputs.items()]
        progress = _Progress(screen, clip.name, total, quiet=arguments.quiet)
        for found in stream:
            chosen = select(found, prompts, arguments)
            for sink in sinks:
                sink(count, chosen)
            count, objects, size = count + 1, objects + len(chosen), chosen.image_size
            progress.show(count)
        if not count:
            raise ImageError(f"cannot read {clip.name}: it holds no frames that can be decoded")
    milliseconds = {"frame": 1000 * (time.perf_counter() - began) / count}
    return {"objects": objects, "image_size": size, "milliseconds": milliseconds, "frames": count}


@contextmanager
def _sink(form: str, path: Path, fps: float, prompts: Prompts) -> Iterator[Sink]:
    """Give a function that takes the frames' number and objects to a file or to standard output."""
    options = format_options(form, prompts)
    if path == STDOUT:
        yield lambda frame, found: write_stdout(
            overlay(found, **options).tobytes() if form == "overlay" else _line(frame, fps, found)
        )
        return
    make_folder(path.parent)
    if form == "overlay":
        with video_writer(path, fps) as add:
            yield lambda _, found: add(overlay(found, **options))
        return
    with complete_file(path) as part, part.open("xb") as file:
        yield lambda frame, found: file.write(_line(frame, fps, found))


def _line(frame: int, fps: float, found: Segmentation) -> bytes:
    record = {"frame": frame, "seconds": round(frame / fps, 3), **to_dict(found)}
    return json.dumps(record).encode("ascii") + b"\n"


class _Progress:
    """Frames done, how fast, and how long still, ten times a second."""

    def __init__(self, screen: Screen, name: str, total: int | None, *, quiet: bool) -> None:
        self._screen, self._name, self._total, self._quiet = screen, name, total, quiet
        self._began = self._shown = time.perf_counter()

    def show(self, count: int) -> None:
        now = time.perf_counter()
        if self._quiet or now - self._shown < PROGRESS_EVERY_S:
            return
        self._shown = now
        speed = rate(count, now - self._began, "frames")
        if self._total is None or count > self._total:  # a file may hold more frames than it says
            self._screen.progress(None, f"{self._name}: frame {count}, {speed}", None)
            return
        left = (now - self._began) / count * (self._total - count)
        self._screen.progress(count / self._total, f"{self._name}: frame {count} of {self._total}, {speed}", left)


def _clips(arguments: argparse.Namespace) -> list[Clip]:
    if arguments.raw is not None:
        if arguments.inputs != ["-"]:
            raise OptionError("--raw says what frames on standard input are; give - as the one input")
        return [Clip(None, arguments.raw, arguments.fps)]
    paths = list(dict.fromkeys(Path(text) for text in arguments.inputs))
    others = [str(path) for path in paths if str(path) == "-" or not is_video(path)]
    if others:
        raise OptionError(
            f"videos and other inputs are taken in runs of their own; beside a video there is {others[0]}"
        )
    return [Clip(path) for path in paths]


def _outputs(clip: Clip, arguments: argparse.Namespace, *, alone: bool) -> dict[str, Path]:
    """Where the results go, by format."""
    output = arguments.output
    forms = list(dict.fromkeys(arguments.formats)) if arguments.formats else None
    unknown = [form for form in forms or [] if form not in SUFFIXES]
    if unknown:
        raise OptionError(f"of a video the formats {' and '.join(SUFFIXES)} are written; found {', '.join(unknown)}")
    if output == "-" or (output is None and clip.path is None):
        return {_form_for_stdout(forms, arguments, alone=alone): STDOUT}
    form = None if output is None else _form_of_file(output)
    if form is None:
        stem = Path(STDIN_STEM) if clip.path is None else clip.path.with_suffix("")
        base = stem if output is None else Path(output, stem.name)
        return {form: base.with_name(base.name + SUFFIXES[form]) for form in forms or SUFFIXES}
    if not alone or (forms or [form]) != [form]:
        raise OptionError(f"--output {output} is one file for {form} of one video; name a folder")
    if clip.path is not None and os.path.realpath(output) == os.path.realpath(clip.path):
        raise OptionError(f"--output {output} is the video itself; name another file")
    return {form: Path(output)}


def _form_for_stdout(forms: Sequence[str] | None, arguments: argparse.Namespace, *, alone: bool) -> str:
    form, *more = forms or ["json"]
    if more or not alone or arguments.json:
        raise OptionError("standard output takes one format of one video, and no --json; name a folder with --output")
    if form == "overlay" and sys.stdout.isatty():
        raise OptionError("frames are no text for a terminal; redirect standard output, or name a file with --output")
    return form


def _form_of_file(output: str) -> str | None:
    """The format that the suffix of a file names; None for a folder."""
    path = Path(output)
    suffix = path.suffix.lower()
    if path.is_dir() or output.endswith(tuple(filter(None, (os.sep, os.altsep)))) or not suffix:
        return None
    if suffix in VIDEO_SUFFIXES:
        return "overlay"
    if suffix == ".jsonl":
        return "json"
    raise OptionError(f"--output {output}: of a video {', '.join((*VIDEO_SUFFIXES, '.jsonl'))} or a folder is written")


def _check_new(outputs: dict[str, Path], *, overwrite: bool) -> None:
    for path in outputs.values():
        if path != STDOUT and not overwrite and os.access(path, os.F_OK):
            raise OutputError(f"{path} exists; --overwrite replaces it")


def _raw_frames(size: tuple[int, int]) -> Iterator[ByteArray]:
    """Frames of RGB24 from standard input, to its end."""
    if sys.stdin.isatty():
        raise ImageError("a terminal gives no frames; redirect a program's output to standard input")
    width, height = size
    number = 0
    while data := sys.stdin.buffer.read(3 * width * height):
        if len(data) < 3 * width * height:
            raise ImageError(
                f"cannot read -: it ends within frame {number}, after {len(data)} of {3 * width * height} bytes; "
                f"is it RGB24 of {width}x{height}?"
            )
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        number += 1
