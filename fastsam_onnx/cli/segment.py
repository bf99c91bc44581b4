"""`fastsam-onnx segment`: every input taken all the way from a photo to its files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx import options
from fastsam_onnx.cli.arguments import (
    VALUE,
    add_command,
    add_model,
    add_output,
    add_prompts,
    add_shared,
    argument_type,
    class_names,
    frame_size,
    integer,
)
from fastsam_onnx.cli.boxes_from import Asked, read_asked
from fastsam_onnx.cli.common import (
    STDOUT,
    check_kind,
    check_new,
    make_folder,
    open_clip,
    open_model,
    open_stdin,
    wanted_classes,
    write_stdout,
)
from fastsam_onnx.cli.datasets import (
    DESCRIPTION,
    check_named,
    close_dataset,
    entry_names,
    open_dataset,
    write_yolo_data,
)
from fastsam_onnx.cli.photos import Job, Photo, file_name, find_photos, photo_options, plan
from fastsam_onnx.cli.prompts import prompt_files
from fastsam_onnx.cli.report import RunReport, doubtful_masks, score_below, why_it_failed
from fastsam_onnx.cli.screen import PROGRAM, Screen
from fastsam_onnx.cli.video import check_for_frames, check_for_photos, holds_frames, segment_frames
from fastsam_onnx.cli.written import check_written, leaving_out, written_objects, written_options
from fastsam_onnx.errors import FastSAMError, OptionError, OutputError
from fastsam_onnx.files import exists
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET, CocoDataset, dataset_entry
from fastsam_onnx.images.load import source_name
from fastsam_onnx.images.video import DEFAULT_FPS
from fastsam_onnx.images.video_writer import CODECS
from fastsam_onnx.log import warn
from fastsam_onnx.options import MAX_TILE, MIN_TILE
from fastsam_onnx.stream import default_workers, ordered_map

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.prompts import Prompts
    from fastsam_onnx.results.segmentation import Segmentation

EPILOG = f"""\
formats:
{{formats}}

Results lie beside their photos, or in the folder --output: photo.jpg gives
photo.overlay.png and photo.json. Photos that would share a name, because only
their suffix or their folder differs, get longer ones.

Existing files are kept unless you pass --overwrite. A photo that you named
counts as failed if one of its results exists; a photo from a folder is
skipped, so that an interrupted run can be resumed. Names alone tell: a photo
that was replaced since needs --overwrite, photos of another folder need
another --output. A photo.json that another program wrote, such as labelme,
is never replaced. A file appears when it is complete. A data set (--format
coco-dataset) gets the photos that it lacks; until the run ends they are kept
in its journal, instances.json.journal, which the next run goes on from. In
folders, hidden files and earlier results (*.overlay.png, *.labels.png,
*.mask.png, *.masks, *.cutout.png, *.cutout.webp, *.cutouts, *.layers.psd,
*.colours.png, *.voc.png, *.edges.png) are not taken for photos; videos, and
pictures that are not read (raw files of cameras, PSD), are passed over, with a
warning.

A video gives a video with overlays and without sound, clip.overlay.mp4, and
one JSON object a line for each frame, clip.jsonl; --format mask gives a video
of its objects white on black, clip.mask.mp4, --format csv a table of them with
frame and seconds, clip.csv. --output is a folder, or one of these files, known
by its suffix (.mp4, .mov, .mkv, .avi, .mask.mp4, .jsonl, .csv), or - for the
lines or, with --format overlay or mask, for frames as RGB24.
With --raw WxH, standard input holds such frames, and results go to standard
output by default.

Coordinates are pixels of the upright photo, counted from its upper left
corner. All points together ask for one object; every box, mask and text asks
for one more. "prompt_index" in the results counts these: 0 for the points, if
there are any, then the boxes, the masks and the texts.

Labels (--boxes-from) are those of the photo of their name: of set/images/a.jpg
they are set/labels/a.txt. Names of YOLO's classes come from data.yaml,
classes.txt or obj.names there or up to three folders above. Objects have the
classes of the labels, also in data.yaml and in a data set. COCO's ids stay.

examples:
  {PROGRAM} segment photo.jpg
  {PROGRAM} segment photos/ -o results --format coco --format cutouts
  {PROGRAM} segment photo.jpg --point 620,360 --background 9,9 -o dog.png
  {PROGRAM} segment photo.jpg --point 620,360 --soft -o dog.cutout.png
  {PROGRAM} segment photo.jpg --box 57,20,123,95 --format json -o -
  {PROGRAM} segment photos --boxes-from labels --format yolo -o masks
  {PROGRAM} segment photo.jpg --text "a yellow dog" --clip clip-vit-b-32-int8
  {PROGRAM} segment - --format svg < photo.jpg > photo.svg
  {PROGRAM} segment --json photos/ | jq .objects
  {PROGRAM} segment clip.mp4 -o clip-objects.mp4
  {PROGRAM} segment clip.mp4 --track --point 620,360 --at-frame 12
  {PROGRAM} segment clip.mp4 --track --point 620,360 -o person.mask.mp4
  {PROGRAM} segment clip.mp4 --track -o tracks.csv
  ffmpeg -i clip.mp4 -f rawvideo -pix_fmt rgb24 - |
    {PROGRAM} segment --raw 1280x720 - > clip.jsonl
  {PROGRAM} segment -- -photo-with-a-dash.jpg"""

PROMPTED = """\
Without any, every object is written. Points, boxes and masks consider all
that the network offers, also what is below --conf, unless --pick, --match,
--classes or --tile says otherwise."""


def add(commands: Any) -> None:
    """Add the command."""
    listing = "\n".join(f"  {name:9}{kind.suffixes[0]:15}{kind.what}" for name, kind in formats.FORMATS.items())
    listing += f"\n  {COCO_DATASET}\n{'':26}{DESCRIPTION}"
    parser = add_command(
        commands,
        "segment",
        run,
        usage="[OPTIONS] INPUT [INPUT ...]",
        summary="find the objects in photos and write them to files",
        epilog=EPILOG.format(formats=listing),
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a photo (of several pages or frames the first), a folder of photos, a pattern such as 'shots/*.jpg', a "
        "video (with --track also a GIF), or - for standard input",
    )
    _add_photos(parser)
    _add_frames(parser)
    _add_classes(parser)
    add_model(parser.add_argument_group("model"))
    add_prompts(parser.add_argument_group("prompts", PROMPTED))
    add_output(parser.add_argument_group("output"))


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recursive", action="store_true", help="search the folders inside a folder, too")
    add_shared(parser, "--pixel-limit", "--bands", "--white")
    parser.add_argument(
        "--tile",
        metavar="SIZE",
        type=argument_type(partial(options.integer_from_text, VALUE, minimum=MIN_TILE, maximum=MAX_TILE)),
        help="for large photos: search tiles of this side in photo pixels as well, and join what they cut",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=integer,
        help=f"number of photos processed at the same time (default here: {default_workers()})",
    )


def _add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--raw", metavar="WxH", type=frame_size, help="standard input holds RGB24 frames of this size (see below)"
    )
    parser.add_argument(
        "--fps",
        metavar="N",
        type=argument_type(partial(options.number_from_text, VALUE, minimum=0.01, maximum=1000)),
        help=f"frames per second of --raw (default: {DEFAULT_FPS:g})",
    )
    parser.add_argument(
        "--codec",
        choices=CODECS,
        help="codec of videos that are written; h264 and vp9 play in browsers (default: mpeg4; mjpeg in .avi)",
    )
    parser.add_argument(
        "--track",
        action="store_true",
        help="give the objects of a video numbers that stay, track_id in the lines and written in the overlay; with "
        "prompts: follow what they mean in one frame through the frames after it",
    )
    parser.add_argument(
        "--at-frame",
        metavar="N",
        type=argument_type(partial(options.integer_from_text, VALUE, minimum=0)),
        help="with --track: the frame that the prompts are for, counted from 0 (default: 0)",
    )


def _add_classes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        type=class_names,
        action="extend",
        help="keep objects of these classes, such as person,dog, before any prompt; repeatable; for models that "
        "tell classes apart",
    )
    parser.add_argument(
        "--no-agnostic",
        dest="agnostic",
        action="store_false",
        help="let --iou compare boxes of one class alone, as detectors do: one thing may be found as two classes; for "
        "models that tell classes apart",
    )


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the command.

    Returns:
        0, or 1 if some inputs failed.

    Raises:
        FastSAMError: If the arguments do not fit each other, or the model cannot be opened; nothing was done.
    """
    if arguments.fps is not None and arguments.raw is None:
        raise OptionError("--fps needs --raw: a video knows its own frame rate")
    of_frames = holds_frames(arguments)
    (check_for_frames if of_frames else check_for_photos)(arguments)
    return segment_frames(arguments, screen) if of_frames else _segment_photos(arguments, screen)


def _segment_photos(arguments: argparse.Namespace, screen: Screen) -> int:
    photos, troubles = find_photos(arguments.inputs, recursive=arguments.recursive)
    asked = read_asked(arguments, photos)
    chosen = list(dict.fromkeys(arguments.formats)) if arguments.formats else None
    with open_dataset(chosen, arguments.output, asked.categories, asked.image_ids) as dataset:
        if dataset is not None:
            chosen = [form for form in chosen or () if form != COCO_DATASET]
        jobs = _planned(photos, chosen, dataset, arguments)
        asked.check_kept(path for job in jobs for path in job.outputs.values())
        check_written(_forms(jobs, dataset), arguments)
        report = RunReport(
            screen,
            len(jobs) + len(troubles),
            quiet=arguments.quiet,
            as_json=arguments.json,
            located=asked.is_located,
        )
        for name, reason in troubles:
            report.failed(name, reason)
        jobs = [job for job in jobs if _is_of_its_kind(job, report, overwrite=arguments.overwrite)]
        if not arguments.overwrite:
            jobs = [left for job in jobs if (left := _left_to_do(job, dataset, report)) is not None]
        if jobs:
            with open_model(arguments, screen) as model:
                open_clip(model.clip, asked.prompts)
                classes = wanted_classes(arguments, model, asked.prompts)
                names = asked.names or model.contract.class_names
                _write_yolo_data(jobs, photos, names, asked, arguments)
                report.start()
                process = partial(
                    _process, model=model, asked=asked, classes=classes, dataset=dataset, arguments=arguments
                )
                with closing(_processed(process, jobs, arguments.jobs or default_workers())) as done:
                    for tell in done:
                        tell(report)
        if dataset is not None and (reason := close_dataset(dataset)):
            report.failed(str(dataset.path), reason)
    report.end(arguments.output)
    return 1 if report.counts["failed"] else 0


def _write_yolo_data(
    jobs: Sequence[Job],
    photos: Sequence[Photo],
    names: Mapping[int, str] | None,
    asked: Asked,
    arguments: argparse.Namespace,
) -> None:
    labels = [job.outputs["yolo"] for job in jobs if "yolo" in job.outputs]
    write_yolo_data(
        *(arguments.formats, arguments.output, photos, names),
        read=asked.files,
        written=labels,
        overwrite=arguments.overwrite,
    )


def _processed(
    process: Callable[[Job], Callable[[RunReport], None]], jobs: Sequence[Job], workers: int
) -> Generator[Callable[[RunReport], None], None, None]:
    """What `process` gives for each job. Standard input is read in this thread: signals end no wait of another."""
    if any(job.photo.path is None for job in jobs):
        return (process(job) for job in jobs)
    return ordered_map(process, jobs, workers=workers)


def _planned(
    photos: list[Photo], chosen: list[str] | None, dataset: CocoDataset | None, arguments: argparse.Namespace
) -> list[Job]:
    """What is to be written of each photo, and its entry in the data set if there is one."""
    if dataset is not None:
        check_named(photos)
    elif arguments.output == "-" or (arguments.output is None and arguments.inputs == ["-"]):
        return [Job(_one_for_stdout(photos, arguments.json), {_format_for_stdout(chosen): STDOUT})]
    taken = () if dataset is None else (dataset.path, dataset.journal)
    jobs = plan(photos, chosen, arguments.output, [*prompt_files(arguments), *taken])
    if dataset is None:
        return jobs
    return [replace(job, entry=name) for job, name in zip(jobs, entry_names(photos, dataset), strict=True)]


def _forms(jobs: Sequence[Job], dataset: CocoDataset | None) -> list[str]:
    """The formats that are written."""
    return [form for job in jobs for form in job.outputs] + ([] if dataset is None else [COCO_DATASET])


def _process(
    job: Job,
    *,
    model: FastSAM,
    asked: Asked,
    classes: list[int] | None,
    dataset: CocoDataset | None,
    arguments: argparse.Namespace,
) -> Callable[[RunReport], None]:
    """Take one photo all the way; an error in it stops no other photo. Returns the call that reports it."""
    name = job.photo.name
    source: Path | bytes | None = job.photo.path
    try:
        if source is None:
            source = open_stdin("a file").read()
        reading: dict[str, Any] = {
            name: getattr(arguments, name) for name in ("pixel_limit", "bands", "white", "agnostic", "tile")
        }
        put = asked.of(job.photo)
        _check_needs(job, source, asked.prompts, reading)
        if classes is None and arguments.tile is None and not put.needs_objects:
            reading["redraw"] = False  # nobody sees them
        found = model(source, **reading)
        answers = put.choose(found if classes is None else found.of_class(*classes))
        chosen = written_objects(answers, arguments)
        doubtful = {} if asked.labels is None else _doubts(name, answers, chosen, leaving_out(arguments))
        began = time.perf_counter()
        for form, path in job.outputs.items():
            given = written_options(form, arguments) | _place_options(form, job, path)
            _write(chosen, form, path, given | asked.format_options(form, put, chosen.image_size))
        entry = None
        if job.entry is not None:
            given = written_options(COCO_DATASET, arguments)
            entry = dataset_entry(
                chosen, job.entry, **given, **asked.format_options(COCO_DATASET, put, chosen.image_size)
            )
        written = {"output": 1000 * (time.perf_counter() - began)}
    except BrokenPipeError:
        raise
    except Exception as error:
        reason = why_it_failed(error).removeprefix(f"cannot read {source_name(source)}: ")
        return methodcaller("failed", name, reason)
    done = methodcaller(
        "done",
        name,
        objects=len(chosen),
        image_size=chosen.image_size,
        outputs=_outputs(job, dataset),
        milliseconds={**found.speed, **written},
        highest=0.0 if asked.is_for_some else score_below(found, model.options["conf"]),
        doubtful=doubtful,
    )
    return done if dataset is None or entry is None else partial(_added, dataset, entry, name, done)


def _check_needs(job: Job, source: Path | bytes, prompts: Prompts, reading: Mapping[str, Any]) -> None:
    """OptionError if a large photo, of which a few rows are in memory at a time, is needed after its tiles.

    Then all would be computed for nothing.
    """
    from fastsam_onnx.images.rows import open_rows

    if reading["tile"] is None or isinstance(source, bytes):
        return
    needing = [form for form in job.outputs if form in formats.OF_THE_PHOTO]
    if prompts.needs_clip:
        needing.append("texts")
    if needing and open_rows(source, **{name: reading[name] for name in ("pixel_limit", "bands", "white")}) is not None:
        raise OptionError(
            f"it is so large that it is read a few rows at a time, and {', '.join(needing)} "
            f"{'need' if len(needing) > 1 else 'needs'} all of it; leave out --tile, or say --format json"
        )


def _doubts(name: str, answers: Segmentation, chosen: Segmentation, asked: str) -> dict[int, float]:
    """The `doubtful_masks` among the answers to a photo's labels; those that are left out are told by a warning."""
    lost = len(answers) - len(chosen)
    if lost:
        warn("%s: %d of %d masks are left out by %s", name, lost, len(answers), asked)
    return doubtful_masks(answers, chosen)


def _added(
    dataset: CocoDataset, entry: dict[str, Any], name: str, done: Callable[[RunReport], None], report: RunReport
) -> None:
    """Add a photo to the data set, in the order of the photos, and report it."""
    try:
        dataset.append(entry)
    except FastSAMError as error:
        report.failed(name, str(error))
    else:
        done(report)


def _outputs(job: Job, dataset: CocoDataset | None) -> dict[str, Path]:
    """The files that a photo goes to, by format."""
    return job.outputs if dataset is None else {**job.outputs, COCO_DATASET: dataset.path}


def _write(found: Segmentation, form: str, path: Path, options: dict[str, Any]) -> None:
    if path == STDOUT:
        write_stdout(formats.encode(found, form, **options))
        return
    make_folder(path.parent)
    formats.save(found, path, format=form, **options)


def _place_options(form: str, job: Job, path: Path) -> dict[str, Any]:
    """Options of a format that come from the photo's place and name."""
    if form == "coco" and job.photo.path is not None:
        return {"image_id": job.image_id, "file_name": file_name(job.photo)}
    return {} if path == STDOUT else photo_options(form, job.photo.path, path)


def _is_of_its_kind(job: Job, report: RunReport, *, overwrite: bool) -> bool:
    """False, and reported, if a result is there that is another format's."""
    try:
        for form, path in job.outputs.items():
            check_kind(path, form, overwrite=overwrite)
    except OutputError as error:
        report.failed(job.photo.name, str(error))
        return False
    return True


def _left_to_do(job: Job, dataset: CocoDataset | None, report: RunReport) -> Job | None:
    """The job without the results that exist. None, and reported, if that settles it.

    A photo that was named fails if any of its results exists, because the caller expects new ones.
    """
    is_added = dataset is not None and job.entry in dataset
    if job.photo.folder is None:
        try:
            if dataset is not None and is_added:
                raise OutputError(f"{dataset.path} has this photo; pass --overwrite to replace its objects")
            for path in job.outputs.values():
                check_new(path, overwrite=False)
        except OutputError as error:
            report.failed(job.photo.name, str(error))
            return None
        return job
    missing = {form: path for form, path in job.outputs.items() if not exists(path)}
    entry = None if is_added else job.entry
    if not missing and entry is None:
        report.skipped(job.photo.name, _outputs(job, dataset))
        return None
    report.keeps(len(job.outputs) - len(missing))
    return replace(job, outputs=missing, entry=entry)


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
        given = f"{form}, a folder of files" if kind.folder else ", ".join(chosen or [])
        raise OptionError(f"standard output takes one file, got {given}; name a folder with --output")
    if sys.stdout is None:
        raise OptionError("standard output is closed; name a file with --output")
    if ".png" in kind.suffixes[0] and sys.stdout.isatty():
        raise OptionError(
            "refusing to write a picture to the terminal; redirect standard output, or name a file with --output"
        )
    return form
