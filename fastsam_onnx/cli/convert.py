"""`fastsam-onnx convert`: results in our JSON written in another format, without the network."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.arguments import WRITING, add_command, add_shared, no_pipe_output, no_pipe_path
from fastsam_onnx.cli.common import check_kind, check_new, check_outputs, file_key, make_folder
from fastsam_onnx.cli.datasets import close_dataset, write_yolo_data
from fastsam_onnx.cli.photos import (
    Photo,
    ends_as_folder,
    has_file_suffix,
    image_ids,
    is_pattern,
    matching,
    photo_options,
)
from fastsam_onnx.cli.report import why_it_failed
from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line
from fastsam_onnx.cli.written import check_written, written_objects, written_options
from fastsam_onnx.errors import OptionError
from fastsam_onnx.files import exists, is_file, is_folder, why_unread
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET, FILE_NAME, CocoDataset
from fastsam_onnx.formats.native import read_json, with_photo
from fastsam_onnx.images.load import load_image
from fastsam_onnx.log import warn
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.options import DEFAULT_PIXEL_LIMIT

READING = ("--pixel-limit", "--bands", "--white")
"""Options that say how the photo is read."""
LEAD_TO_PHOTO = ("labelme", "yolo")
"""Formats whose files say where the photo lies, the second one's in data.yaml."""
EPILOG = f"""\
Reads what `{PROGRAM} segment --format json` wrote. photo.json gives
photo.svg beside it, or in the folder --output. Overlays and cut-outs need the
photo, and labelme's files say where it is: it is sought beside the JSON file,
or in --photos, under the name that the file says, first in a folder of the name
of that where the JSON file lies. Paths of what was written go to standard
output.

examples:
  {PROGRAM} convert photo.json --to svg
  {PROGRAM} convert results/*.json --to coco-dataset -o dataset
  {PROGRAM} convert photo.json --to overlay --photos photos/ -o pictures"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "convert",
        run,
        usage="[OPTIONS] FILE.json [FILE.json ...] --to FORMAT",
        summary="write results in another format, from their JSON files",
        epilog=EPILOG,
    )
    parser.add_argument(
        "inputs", metavar="FILE.json", nargs="+", type=no_pipe_path, help="a result in JSON, with run lengths"
    )
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        required=True,
        choices=[*formats.FORMATS, COCO_DATASET],
        help=f"one of {', '.join((*formats.FORMATS, COCO_DATASET))}",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=no_pipe_output,
        help="folder of the results (default: beside each file)",
    )
    parser.add_argument(
        "--photos", metavar="FOLDER", type=Path, help="folder of the photos (default: beside each file)"
    )
    add_shared(parser, *READING, *WRITING)


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Convert the files; one that cannot be read stops no other.

    Returns:
        0, or 1 if some failed.

    Raises:
        FastSAMError: If the arguments do not fit each other; nothing was done.
    """
    check_written([arguments.to], arguments)
    _check_read(arguments)
    folder = _folder(arguments.output)
    arguments.inputs = list(dict.fromkeys(file for path in arguments.inputs for file in _files_of(path)))
    if arguments.to == COCO_DATASET:
        return _to_dataset(arguments, folder, screen)
    suffix = formats.suffixes_beside_photos([arguments.to])[arguments.to]
    targets = [_target(path, folder, suffix) for path in arguments.inputs]
    if {*map(file_key, targets)} & {*map(file_key, arguments.inputs)}:  # labelme's name is that of our JSON
        suffix = formats.FORMATS[arguments.to].suffixes[0]
        targets = [_target(path, folder, suffix) for path in arguments.inputs]
    check_outputs(targets, arguments.inputs)
    ids = _image_ids(arguments) if arguments.to == "coco" else {}
    failed = False
    described: list[tuple[Path | None, Mapping[int, str] | None]] = []
    first: dict[Path, Path] = {}
    for index, (path, target) in enumerate(zip(arguments.inputs, targets, strict=True)):
        try:
            check_kind(target, arguments.to, overwrite=arguments.overwrite)
            check_new(target, overwrite=arguments.overwrite)
            found = _read(path, arguments)
            photo = _photo_of(found, path, arguments.photos)
            _tell_of_shared_photo(arguments.to, photo, path, first)
            if arguments.to in formats.OF_THE_PHOTO:
                found = _with_photo(found, photo, target, arguments)
            make_folder(target.parent)
            if (kind := (photo and photo.parent, found.names)) not in described:
                _tell_of_missing_photo(arguments.to, photo)
                overwrite = arguments.overwrite and not described  # the next ones add to it
                write_yolo_data(
                    *([arguments.to], arguments.output, [Photo(photo)], found.names),
                    written=targets[index:],
                    overwrite=overwrite,
                )
                described.append(kind)
            place = {"image_id": ids[path]} if path in ids else photo_options(arguments.to, photo, target)
            formats.save(found, target, format=arguments.to, **place, **written_options(arguments.to, arguments))
        except Exception as error:
            screen.explain(f"{path}: {why_it_failed(error)}")
            failed = True
        else:
            print_line(str(target))
    return 1 if failed else 0


def _folder(output: str | None) -> Path | None:
    """The folder --output; OptionError if it looks like a file, which it would not become."""
    if output is None:
        return None
    path = Path(output)
    if not is_folder(path) and not ends_as_folder(output) and has_file_suffix(output):
        raise OptionError(
            f"--output {output} must be a folder, and has the name of a file; results have the names of their JSON "
            f"files; if it is a folder, write {output}{os.sep}"
        )
    return path


def _files_of(path: Path) -> list[Path]:
    """Itself, or the files that match it."""
    return (matching(str(path)) if is_pattern(str(path)) else []) or [path]


def read_result(path: Path, pixel_limit: int = DEFAULT_PIXEL_LIMIT) -> Instances:
    """The objects of a JSON file, of a photo of at most so many pixels.

    Raises:
        OptionError: If it cannot be read, or is no result of ours.
    """
    try:
        return read_json(path.read_bytes(), pixel_limit=pixel_limit)
    except OSError as error:
        reason = "no file matches this pattern" if is_pattern(str(path)) else why_unread(path, error)
        hint = f"; give its files: {path / '*.json'}" if is_folder(path) else ""
        raise OptionError(reason + hint) from error


def _read(path: Path, arguments: argparse.Namespace) -> Instances:
    return written_objects(read_result(path, arguments.pixel_limit), arguments)


def _to_dataset(arguments: argparse.Namespace, folder: Path | None, screen: Screen) -> int:
    if folder is None:
        raise OptionError(f"--to {COCO_DATASET} needs --output FOLDER, the folder of the data set")
    make_folder(folder)
    failed = False
    added: dict[str | None, Path] = {}
    with CocoDataset(folder / FILE_NAME) as dataset:
        for path in arguments.inputs:
            try:
                found = _read(path, arguments)
                if found.source in added:
                    raise OptionError(
                        f"this run has {found.source} already, from {added[found.source]}; "
                        'a data set has a name once: give one of the files another "source"'
                    )
                if found.source in dataset and not arguments.overwrite:
                    raise OptionError(f"{dataset.path} has {found.source}; pass --overwrite to replace its objects")
                dataset.add(found, **written_options(COCO_DATASET, arguments))
                added[found.source] = path
            except Exception as error:
                screen.explain(f"{path}: {why_it_failed(error)}")
                failed = True
        if reason := close_dataset(dataset):
            screen.explain(reason)
            return 1
    if dataset.path.exists():
        print_line(str(dataset.path))
    return 1 if failed else 0


def _target(path: Path, folder: Path | None, suffix: str) -> Path:
    name = path.name.removesuffix(".json") + suffix
    return path.with_name(name) if folder is None else folder / name


def _photo_of(found: Instances, path: Path, photos: Path | None) -> Path | None:
    """The place where the photo of a JSON file is sought; None if the file says no name of one.

    Results of photos in folders lie in folders of these names, so those of the file lead to it first.
    """
    if found.source is None:
        return None
    name = Path(found.source).name
    if photos is None:
        return path.parent / name
    folders = path.parent.absolute().parts[1:]
    below = (Path(photos, *folders[start:], name) for start in range(len(folders)))
    return next(filter(is_file, below), photos / name)


def _tell_of_missing_photo(form: str, photo: Path | None) -> None:
    """Log a warning if what is written leads to a photo that is not there."""
    if form in LEAD_TO_PHOTO and photo is not None and not is_file(photo):
        warn("there is no %s, and %s needs the photos; --photos FOLDER says where they are", photo, form)


def _tell_of_shared_photo(form: str, photo: Path | None, path: Path, first: dict[Path, Path]) -> None:
    """Log a warning if results of one name, from two folders, are shown over one photo: it may be that of one alone."""
    if photo is None or form not in (*formats.OF_THE_PHOTO, *LEAD_TO_PHOTO):
        return
    other = first.setdefault(photo, path)
    if other.parent != path.parent:
        warn(
            "%s and %s are both taken for results of %s; if they are of two photos, convert them apart, each with its "
            "own --photos",
            *(other, path, photo),
        )


def _image_ids(arguments: argparse.Namespace) -> dict[Path, int | str | None]:
    """The id in COCO of each file's photo: one for one photo, another for another, as `segment` gives them.

    Two files that say the same name are of one photo, unless each has its own where photos are sought.
    """
    known: dict[Path, Photo] = {}
    for path in arguments.inputs:
        try:
            found = read_result(path, arguments.pixel_limit)
        except Exception:  # it is told when the file is converted
            continue
        photo = _photo_of(found, path, arguments.photos)
        name = Path(found.source) if found.source else None
        known[path] = Photo(photo if photo is not None and is_file(photo) else name)
    distinct = list(dict.fromkeys(known.values()))
    ids = dict(zip(distinct, image_ids(distinct), strict=True))
    _tell_of_shared_ids(known)
    return {path: ids[photo] for path, photo in known.items()}


def _tell_of_shared_ids(known: Mapping[Path, Photo]) -> None:
    """Log a warning if files of one id may be of two photos, because these are not there to be compared."""
    first: dict[Photo, Path] = {}
    for path, photo in known.items():
        other = first.setdefault(photo, path)
        if other != path and (photo.path is None or not is_file(photo.path) or other.parent != path.parent):
            warn(
                'the objects of %s and %s get one image_id; if they are of two photos, give each its own "source"',
                *(other, path),
            )
            return


def _check_read(arguments: argparse.Namespace) -> None:
    """OptionError if it is said how the photo is read, and nothing shows it."""
    for name in ("bands", "white"):
        if getattr(arguments, name) is not None and arguments.to not in formats.OF_THE_PHOTO:
            raise OptionError(
                f"--{name} is for formats that show the photo ({', '.join(formats.OF_THE_PHOTO)}), "
                f"and {arguments.to} does not"
            )


def _with_photo(found: Instances, photo: Path | None, target: Path, arguments: argparse.Namespace) -> Instances:
    form = arguments.to
    if photo is None:
        raise OptionError(f"{form} needs the photo, but the file says no name of one")
    if not exists(photo):
        raise OptionError(f"{form} needs the photo, and there is no {photo}; --photos FOLDER says where photos are")
    check_outputs([target], [photo])
    image = load_image(photo, pixel_limit=arguments.pixel_limit, bands=arguments.bands, white=arguments.white)
    return with_photo(found, image, f"the photo {photo}")
