"""`fastsam-onnx segment` for videos and raw frames: an overlay, masks, JSON lines, a table, or frames to pipe."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.cli.common import (
    STDOUT,
    check_new,
    check_outputs,
    make_folder,
    open_clip,
    open_model,
    open_stdin,
    wanted_classes,
    write_stdout,
)
from fastsam_onnx.cli.pace import Pace, masked, overlays
from fastsam_onnx.cli.photos import STDIN_STEM, ends_as_folder, format_of_file, is_pattern
from fastsam_onnx.cli.prompts import are_located, prompt_files, read_prompts
from fastsam_onnx.cli.report import RunReport, score_below, why_it_failed
from fastsam_onnx.cli.screen import Progress, Screen
from fastsam_onnx.cli.written import check_written, written_objects, written_options
from fastsam_onnx.errors import FastSAMError, ImageError, OptionError
from fastsam_onnx.files import complete_file, exists, is_file, is_folder
from fastsam_onnx.formats import to_dict
from fastsam_onnx.formats.registry import format_of_mark
from fastsam_onnx.formats.table import COLUMNS, line_of, rows_of
from fastsam_onnx.images.load import ImageSource, MissingPicture
from fastsam_onnx.images.sources import is_picture_name
from fastsam_onnx.images.video import DEFAULT_FPS, Frame, is_video, open_video
from fastsam_onnx.images.video_writer import VIDEO_CODECS, check_codec, video_writer
from fastsam_onnx.log import warn
from fastsam_onnx.stream import Failure

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.prompts import Prompts
    from fastsam_onnx.results.segmentation import Segmentation


Sink = Callable[[Frame, "Segmentation | Failure"], object]
MOST_NUMBERS = 10
"""Numbers of missing frames that a line tells."""
NOTHING = np.zeros((0, 0, 3), np.uint8)
"""The picture of a frame that is under way: it must not be kept twice."""
TEXTS = {"json": ".jsonl", "csv": ".csv"}
"""Formats that are lines of text, and how their files end."""
SUFFIXES = {"overlay": ".overlay.mp4", "mask": ".mask.mp4", **TEXTS}
PICTURED = ("overlay", "mask")
"""Formats that are videos."""
DEFAULT_FORMATS = ("overlay", "json")


@dataclass(frozen=True)
class FrameSource:
    """A video, or raw frames on standard input.

    Attributes:
        path: Path of the video; None for standard input.
        raw_size: (width, height) of raw frames.
        fps: Frame rate of raw frames; videos know their own.
    """

    path: Path | None
    raw_size: tuple[int, int] | None = None
    fps: float = DEFAULT_FPS

    @property
    def name(self) -> str:
        """Name in messages."""
        return "-" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        """Name of its frames, before their number."""
        return STDIN_STEM if self.path is None else self.path.name

    def open(self, copies: Sequence[Path]) -> tuple[Iterator[Frame], float, int | None]:
        """The frames, frames per second of what is written, and the number of frames, if the file declares it.

        What reads frames from standard output is told their rate by the user, who has it of the video.
        """
        if self.path is not None:
            video = open_video(self.path)
            fps = video.copy_fps if copies and STDOUT not in copies else video.fps
            return video.frames(), fps, video.frame_count
        assert self.raw_size is not None
        return _raw_frames(self.raw_size, self.fps), self.fps, None


def holds_frames(arguments: argparse.Namespace) -> bool:
    """True if the inputs are videos or raw frames; a GIF is one with --track."""
    paths = [Path(text) for text in arguments.inputs if text not in ("", "-")]
    return arguments.raw is not None or any(is_video(path, or_gif=arguments.track) for path in paths)


def check_for_frames(arguments: argparse.Namespace) -> None:
    """OptionError if an option is for photos."""
    for name in ("bands", "white"):
        if getattr(arguments, name) is not None:
            raise OptionError(f"--{name} is for photos; the frames of a video are RGB of 8 bits")
    if arguments.tolerance is not None or arguments.soft or arguments.whole:
        raise OptionError("--tolerance, --soft and --whole are for outlines and cut-outs; a video gives none")
    if arguments.boxes_from is not None:
        raise OptionError("--boxes-from is for photos; the frames of a video have no labels")


def check_for_photos(arguments: argparse.Namespace) -> None:
    """OptionError if an option is for videos, or the file is not there that may have been one."""
    given = {"--track": arguments.track or None, "--at-frame": arguments.at_frame, "--codec": arguments.codec}
    asked, meant = [name for name, value in given.items() if value is not None], arguments.inputs[0]
    if not asked:
        return
    if meant != "-" and is_pattern(meant):
        raise OptionError(f"{asked[0]} is for videos, and the pattern {meant} is for photos; give the videos' names")
    if meant != "-" and not exists(meant):
        raise OptionError(f"{meant}: there is no such file")
    empty = is_file(Path(meant)) and not Path(meant).stat().st_size
    raise OptionError(f"{meant}: the file is empty" if empty else f"{asked[0]} is for videos, and {meant} is none")


def segment_frames(arguments: argparse.Namespace, screen: Screen) -> int:
    """Segment the frames of videos or of standard input.

    Returns:
        0, or 1 if some videos failed.

    Raises:
        FastSAMError: If the arguments do not fit each other, or the model cannot be opened; nothing was done.
    """
    prompts = read_prompts(arguments)
    _check_following(arguments, prompts)
    sources = _sources(arguments)
    jobs = [(source, _outputs(source, arguments, alone=len(sources) == 1)) for source in sources]
    videos = [source.path for source in sources if source.path is not None]
    check_outputs([path for _, outputs in jobs for path in outputs.values()], [*videos, *prompt_files(arguments)])
    check_written((form for _, outputs in jobs for form in outputs), arguments)
    if arguments.codec is not None:
        for _, outputs in jobs:
            _check_codec(arguments.codec, _copies(outputs))
    report = RunReport(
        screen,
        len(jobs),
        quiet=arguments.quiet,
        as_json=arguments.json,
        noun="video",
        located=are_located(prompts),
    )
    with open_model(arguments, screen) as model:
        open_clip(model.clip, prompts)
        run = partial(_run, model=model, prompts=prompts, classes=wanted_classes(arguments, model, prompts))
        for source, outputs in jobs:
            try:
                for path in outputs.values():
                    check_new(path, overwrite=arguments.overwrite)
                facts, reason = run(source, outputs, arguments=arguments, screen=screen)
            except BrokenPipeError:
                raise
            except Exception as error:
                reason = why_it_failed(error).removeprefix(f"cannot read {source.name}: ")
            if reason:
                report.failed(source.name, reason)
            else:
                report.done(source.name, outputs=outputs, **facts)
    report.end(arguments.output)
    return 1 if report.counts["failed"] else 0


def _run(
    source: FrameSource,
    outputs: dict[str, Path],
    *,
    model: FastSAM,
    prompts: Prompts,
    classes: list[int] | None,
    arguments: argparse.Namespace,
    screen: Screen,
) -> tuple[dict[str, Any], str]:
    """Take one source from its first frame to its last. Returns what `RunReport.done` tells, and what is missing."""
    began = time.perf_counter()
    frames, fps, total = source.open(_copies(outputs))
    options = {name: getattr(arguments, name) for name in ("pixel_limit", "agnostic", "tile", "track")}
    is_followed = arguments.track and prompts.asked > 0
    if not (arguments.track or arguments.tile or prompts.needs_objects or classes):
        options["redraw"] = False  # nobody sees them
    if is_followed:
        options |= {"prompts": prompts, "at_frame": arguments.at_frame or 0}
    under_way: deque[Frame] = deque()
    missing: list[Frame] = []
    count, objects, size, highest = 0, 0, (0, 0), 0.0
    with ExitStack() as stack:
        pictures = _pictures(frames, under_way)
        found_of = stack.enter_context(
            closing(model.stream(pictures, workers=arguments.jobs, on_error="yield", **options))
        )
        sinks = [
            stack.enter_context(_sink(form, path, fps, partial(_drawn, prompts, arguments), arguments.codec))
            for form, path in outputs.items()
        ]
        progress = Progress(screen)
        for found in found_of:
            frame = under_way.popleft()
            if isinstance(found, Failure):
                if not frame.missing:
                    raise _of_frame(found, frame)
                missing.append(frame)
                chosen: Segmentation | Failure = found
            else:
                kept = found if classes is None else found.of_class(*classes)
                selected = written_objects(kept if is_followed else prompts.choose(kept), arguments)
                chosen = selected = replace(selected, source=f"{source.stem}#{frame.number}")
                count, objects, size = count + 1, objects + len(selected), selected.image_size
                highest = max(highest, 0.0 if prompts.asked else score_below(found, model.options["conf"]))
            for sink in sinks:
                sink(frame, chosen)
            if not arguments.quiet:
                _show(progress, source.name, frame.number + 1, total)
        if not count:
            raise ImageError(f"cannot read {source.name}: it holds no frames that can be decoded")
    milliseconds = {"frame": 1000 * (time.perf_counter() - began) / count}
    facts = {"objects": objects, "image_size": size, "milliseconds": milliseconds, "frames": count, "highest": highest}
    return facts, _told(missing, count)


def _copies(outputs: dict[str, Path]) -> list[Path]:
    """Where videos are written."""
    return [path for form, path in outputs.items() if form in PICTURED]


def _pictures(frames: Iterator[Frame], under_way: deque[Frame]) -> Iterator[ImageSource]:
    """The pictures of frames, which are noted when they are taken."""
    for frame in frames:
        under_way.append(replace(frame, picture=NOTHING))
        yield frame.picture


def _of_frame(failure: Failure, frame: Frame) -> FastSAMError:
    """The error of a frame, which tells its number where Python's tells its array."""
    if not isinstance(failure.error, ImageError):
        return failure.error
    return ImageError(f"frame {frame.number}: {str(failure.error).removeprefix(f'cannot read {failure.source}: ')}")


def _told(missing: list[Frame], count: int) -> str:
    """The frames that are missing, in words; empty if all were there."""
    if not missing:
        return ""
    total = sum(frame.missing for frame in missing)
    numbers = [
        str(frame.number) if frame.missing == 1 else f"{frame.number} to {frame.number + frame.missing - 1}"
        for frame in missing[:MOST_NUMBERS]
    ]
    more = ", ..." if len(missing) > MOST_NUMBERS else ""
    return (
        f"{total} of {total + count} frames are missing or cannot be decoded (number {', '.join(numbers)}{more}); "
        f"the results of the others are written"
    )


def _show(progress: Progress, name: str, count: int, total: int | None) -> None:
    known = total is not None and count <= total  # a file may hold more frames than it declares
    of = f" of {total}" if known else ""
    progress.show(count, total, f"{name}: frame {count}{of}, {progress.rate(count, 'frames')}")


@contextmanager
def _sink(
    form: str, path: Path, fps: float, drawn: Callable[[str, Frame], dict[str, Any]], codec: str | None
) -> Iterator[Sink]:
    """Give a function that takes the frames and their objects to a file or to standard output.

    `drawn` gives the format's options for a frame.
    """
    with ExitStack() as stack:
        if form in PICTURED:
            if path == STDOUT:
                add: Callable[[ByteArray], object] = _write_picture
            else:
                make_folder(path.parent)
                add = stack.enter_context(video_writer(path, fps, codec))
            pace = Pace(add, fps, str(path), overlays() if form == "overlay" else masked)
            yield lambda frame, found: pace.add(frame, found, drawn(form, frame))
            if pace.left_out:
                warn("%s: %d frames came faster than %g a second and are left out", path, pace.left_out, fps)
            return
        write: Callable[[bytes], object] = write_stdout
        if path != STDOUT:
            make_folder(path.parent)
            part = stack.enter_context(complete_file(path))
            write = stack.enter_context(part.open("xb")).write
        if form == "csv":
            write(line_of(("frame", "seconds", *COLUMNS)).encode())
        text = _rows if form == "csv" else _record
        yield lambda frame, found: write(text(frame, found))


def _drawn(prompts: Prompts, arguments: argparse.Namespace, form: str, frame: Frame) -> dict[str, Any]:
    """The options of a format for a frame: prompts are shown in every frame, or in the one that they are for."""
    written = written_options(form, arguments)
    if arguments.track and frame.number != (arguments.at_frame or 0):
        return written
    return prompts.format_options(form) | written


def _check_following(arguments: argparse.Namespace, prompts: Prompts) -> None:
    """Raise an OptionError if the options of tracking do not fit each other."""
    follows = arguments.track and prompts.asked
    if arguments.at_frame is not None and not follows:
        raise OptionError("--at-frame needs --track and a prompt: it is the frame that the prompt is for")
    if follows and arguments.classes is not None:
        raise OptionError("--classes and a prompt cannot both choose what --track follows; leave one of them out")
    if follows and prompts.classify is not None:
        raise OptionError("--classify is not for what --track follows from a prompt; leave one of them out")
    if arguments.track and prompts.similar is not None:
        raise OptionError("--similar is not for what --track follows from a prompt; leave one of them out")


def _check_codec(codec: str, paths: list[Path]) -> None:
    """Raise an OptionError if no video is written, or one of them cannot have this codec."""
    if not paths:
        none = " and ".join(TEXTS)
        raise OptionError(f"--codec is for videos, and {none} are none; write one of {', '.join(PICTURED)}")
    for path in paths:
        if path == STDOUT:
            raise OptionError("--codec is for the file of a video; standard output takes frames as RGB24")
        check_codec(path, codec)


def _write_picture(picture: ByteArray) -> None:
    write_stdout(picture.tobytes())


def _rows(frame: Frame, found: Segmentation | Failure) -> bytes:
    """The lines of a table for the objects of a frame; none for a frame that could not be had."""
    objects = [] if isinstance(found, Failure) else rows_of(found)
    return "".join(line_of((frame.number, round(frame.seconds, 3), *cells)) for cells in objects).encode()


def _record(frame: Frame, found: Segmentation | Failure) -> bytes:
    """A frame and its objects as a line of JSON."""
    record: dict[str, Any] = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
    if isinstance(found, Failure):
        record |= {"error": str(found.error), "missing": frame.missing}
    else:
        record |= to_dict(found)
    return json.dumps(record).encode("ascii") + b"\n"


def _sources(arguments: argparse.Namespace) -> list[FrameSource]:
    if arguments.raw is not None:
        if arguments.inputs != ["-"]:
            raise OptionError("--raw describes frames on standard input; give - as the only input")
        width, height = arguments.raw
        if width * height > arguments.pixel_limit:
            raise OptionError(
                f"--raw must be of at most {arguments.pixel_limit} pixels (--pixel-limit), got {width}x{height}"
            )
        return [FrameSource(None, arguments.raw, arguments.fps or DEFAULT_FPS)]
    paths = list(dict.fromkeys(Path(text) for text in arguments.inputs))
    others = [str(path) for path in paths if not is_video(path, or_gif=arguments.track) and _may_be_photos(path)]
    if others:
        raise OptionError(f"a run takes either videos or photos, got {others[0]} beside a video; run them apart")
    return [FrameSource(path) for path in paths]


def _may_be_photos(path: Path) -> bool:
    """True of an input that no video can be: standard input, a folder, a pattern, what is named like a picture."""
    return str(path) == "-" or is_folder(path) or is_pattern(str(path)) or is_picture_name(path)


def _outputs(source: FrameSource, arguments: argparse.Namespace, *, alone: bool) -> dict[str, Path]:
    """Where the results go, by format."""
    output = arguments.output
    forms = list(dict.fromkeys(arguments.formats)) if arguments.formats else None
    unknown = [form for form in forms or [] if form not in SUFFIXES]
    if unknown:
        raise OptionError(f"--format must be one of {', '.join(SUFFIXES)} for a video, got {', '.join(unknown)}")
    if output == "-" or (output is None and source.path is None):
        return {_form_for_stdout(forms, arguments, alone=alone): STDOUT}
    if output is None or _is_folder_name(output):
        stem = Path(STDIN_STEM) if source.path is None else source.path.with_suffix("")
        base = stem if output is None else Path(output, stem.name)
        return {form: base.with_name(base.name + SUFFIXES[form]) for form in forms or DEFAULT_FORMATS}
    form = format_of_file(output, forms, _named(Path(output)), _endings)
    if not forms:
        _check_mark(Path(output), form)
    if not alone:
        raise OptionError(f"--output {output} is one file, the {form} of one video; name a folder")
    return {form: Path(output)}


def _form_for_stdout(forms: Sequence[str] | None, arguments: argparse.Namespace, *, alone: bool) -> str:
    form, *more = forms or ["json"]
    if more or not alone or arguments.json:
        raise OptionError("standard output takes one format of one video, and no --json; name a folder with --output")
    if sys.stdout is None:
        raise OptionError("standard output is closed; name a file with --output")
    if form in PICTURED and sys.stdout.isatty():
        raise OptionError(
            "refusing to write frames to the terminal; redirect standard output, or name a file with --output"
        )
    return form


def _is_folder_name(output: str) -> bool:
    """True for a folder. OptionError if it is neither one nor a file that a video gives."""
    suffix = Path(output).suffix.lower()
    if is_folder(Path(output)) or ends_as_folder(output) or not suffix:
        return True
    files = (*VIDEO_CODECS, *TEXTS.values())
    if suffix not in files:
        raise OptionError(f"--output {output} must be a folder or end with one of {', '.join(files)} for a video")
    return False


def _named(path: Path) -> str:
    """The format that the end of a file's name means."""
    picture = "mask" if path.stem.lower().endswith(".mask") else "overlay"
    return next((form for form, suffix in TEXTS.items() if path.suffix.lower() == suffix), picture)


def _check_mark(path: Path, form: str) -> None:
    """Refuse a video whose name says a format that no video has: clip.cutout.mp4 would be an overlay."""
    named = format_of_mark(path)
    if form in PICTURED and named not in (None, form):
        raise OptionError(
            f"--output {path} is named like the format {named}, and a video gives {', '.join(SUFFIXES)} alone; "
            f"name it otherwise, or say --format {form} if it is one"
        )


def _endings(form: str) -> Collection[str]:
    return VIDEO_CODECS if form in PICTURED else (TEXTS[form],)


def _raw_frames(size: tuple[int, int], fps: float) -> Iterator[Frame]:
    """Frames of RGB24 from standard input, to its end; one that it ends within is missing."""
    stream = open_stdin("a program's output")
    width, height = size
    number = 0
    while data := stream.read(3 * width * height):
        if len(data) < 3 * width * height:
            reason = (
                f"it ends within frame {number}, after {len(data)} of {3 * width * height} bytes; "
                f"frames must be RGB24 of {width}x{height}"
            )
            warn("-: %s", reason)
            yield Frame(number, number / fps, MissingPicture(f"{STDIN_STEM}#{number}", reason), 1)
            return
        yield Frame(number, number / fps, np.frombuffer(data, np.uint8).reshape(height, width, 3))
        number += 1
