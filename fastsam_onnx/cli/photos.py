"""The photos that the command line names, and the names of the files that will be made of them."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.common import check_outputs, file_key
from fastsam_onnx.errors import OptionError
from fastsam_onnx.files import exists, is_address, is_file, is_folder
from fastsam_onnx.formats import FORMATS, format_of_suffix, image_id_of, suffixes_beside_photos
from fastsam_onnx.formats.registry import check_mark
from fastsam_onnx.images.sources import RESULT_SUFFIXES, is_picture_name, warn_of_passed_over
from fastsam_onnx.log import warn

STDIN_STEM = "stdin"
DEFAULT_FORMATS = ("overlay", "json")
_FILE_SUFFIX = re.compile(r"[^.]\.[a-z]{2,5}[0-9]?$", re.IGNORECASE)


@dataclass(frozen=True)
class Photo:
    """An input.

    Attributes:
        path: Path as it was given; None for standard input.
        folder: Input folder that it was found in; None if the photo was named itself.
    """

    path: Path | None
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Name in messages."""
        return "-" if self.path is None else str(self.path)


@dataclass(frozen=True)
class Job:
    """A photo and the files to make of it.

    Attributes:
        photo: The input.
        outputs: The files, by format.
        image_id: Id of the photo, another one for every photo of the run; None for standard input.
        entry: Name of the photo in the data set of the run; None if it is not to be added to one.
    """

    photo: Photo
    outputs: dict[str, Path]
    image_id: int | str | None = None
    entry: str | None = None


def find_photos(inputs: Sequence[str], *, recursive: bool) -> tuple[list[Photo], list[tuple[str, str]]]:
    """The photos that the inputs name, each once, in order; those of a folder or a pattern sorted.

    Returns:
        The photos, and (input, reason) of every folder or pattern that gives none.

    Raises:
        OptionError: If standard input is named beside others, or an input is empty.
    """
    if "" in inputs:
        raise OptionError("an input must not be empty; name a photo, a folder, or - for standard input")
    if "-" in inputs:
        if len(inputs) > 1:
            raise OptionError("- (standard input) must be the only input, got others beside it")
        return [Photo(None)], []
    photos: dict[Path, Photo] = {}
    troubles = []
    for text in inputs:
        found, reasons = _photos_of(text, recursive=recursive)
        troubles += reasons
        for photo in found:
            photos.setdefault(_place(photo), photo)
    return list(photos.values()), troubles


def _photos_of(text: str, *, recursive: bool) -> tuple[list[Photo], list[tuple[str, str]]]:
    path = Path(text)
    if is_pattern(text):
        folder = _folder_of_pattern(text)
        files = matching(text)
        warn_of_passed_over(text, files)
        found = [Photo(path, folder) for path in files if is_picture_name(path)]
        return found, [] if found else [(text, "no picture matches this pattern")]
    if not is_folder(path):
        return [Photo(path)], []
    unreadable: list[tuple[str, str]] = []
    files = sorted(_files(path, recursive=recursive, unreadable=unreadable))
    warn_of_passed_over(text, files)
    found = [Photo(file, path) for file in files if is_picture_name(file)]
    if found or unreadable:
        return found, unreadable
    return [], [(text, "no pictures in this folder" + ("" if recursive else " (--recursive searches its folders)"))]


def plan(
    photos: Sequence[Photo], formats: Sequence[str] | None, output: str | None, others: Sequence[Path] = ()
) -> list[Job]:
    """Decide the name of every file that will be written.

    Args:
        photos: All of them.
        formats: Names in `FORMATS`; by default what the suffix of `output` says, else an overlay and JSON.
        output: A file, for one photo and one format; else a folder. By default results lie beside their photos, that of
            standard input in the current folder.
        others: What the run reads and writes beside them, such as a file of prompts and the data set.

    Returns:
        One job for each photo. No file is named twice and none is read: photo.jpg gives photo.json, but beside a
        photo.png they give photo.jpg.json and photo.png.json. Photos of the same name from several folders go to
        folders of these names below the output.

    Raises:
        OptionError: If the output cannot be what it should be, or would replace what is read.
    """
    read = [*others, *(photo.path for photo in photos if photo.path is not None)]
    if output is None or is_folder_name(output):
        jobs = _plan_many(photos, DEFAULT_FORMATS if formats is None else formats, output, read)
    else:
        jobs = [_plan_one(photos, formats, output)]
    check_outputs([path for job in jobs for path in job.outputs.values()], read)
    return jobs


def _plan_one(photos: Sequence[Photo], formats: Sequence[str] | None, output: str) -> Job:
    """The job of the only photo, whose output is one file."""
    form = format_of_file(output, formats, format_of_suffix(output) or "", _endings)
    if not formats:
        check_mark(output, form)
    if len(photos) != 1 or photos[0].folder is not None:
        raise OptionError(f"--output {output} is one file, but there may be several photos; name a folder")
    return Job(photos[0], {form: Path(output)}, image_ids(photos)[0])


def image_ids(photos: Sequence[Photo]) -> list[int | str | None]:
    """An id for each photo: what its file name says, or where several say the same, its path."""
    ids: list[int | str | None] = [None if photo.path is None else image_id_of(photo.path.name) for photo in photos]
    for longer in (file_name, lambda photo: None if photo.path is None else photo.path.as_posix()):
        count = Counter(ids)
        ids = [longer(photo) if count[own] > 1 else own for photo, own in zip(photos, ids, strict=True)]
    return ids


def file_name(photo: Photo) -> str | None:
    """The photo's path in the folder that was given, with slashes; its name if it was given itself."""
    if photo.path is None:
        return None
    return photo.path.name if photo.folder is None else photo.path.relative_to(photo.folder).as_posix()


def relative_path(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes; the whole path if there is no way from there.

    Links to folders on the way are followed first, as the system does: "link/.." is not where the link stands.
    """
    try:
        return Path(os.path.relpath(_followed(path), os.path.realpath(folder))).as_posix()
    except ValueError:  # Windows: on another drive
        return path.resolve().as_posix()


def photo_options(form: str, photo: Path | None, result: Path) -> dict[str, Any]:
    """The options of a format that say where the photo of a result lies, if it is a file."""
    if form == "labelme" and photo is not None and is_file(photo):
        return {"image_path": relative_path(photo, result.parent)}
    return {}


def is_folder_name(output: str) -> bool:
    """True for a folder: one that exists, ends with a slash, or has no suffix of a file; - is standard output.

    Raises:
        OptionError: If it is neither a folder nor a file of a known format.
    """
    if output == "-":
        return False
    if ends_as_folder(output):
        return True
    named = format_of_suffix(output)
    if is_folder(Path(output)):
        return named is None or not FORMATS[named].folder
    if named is not None:
        return False
    if exists(output):
        raise OptionError(f"--output {output} is a file, and its suffix names no format; name a folder or another file")
    if has_file_suffix(output):
        accepted = sorted({ending for form in FORMATS for ending in _endings(form)})
        raise OptionError(
            f"--output {output} must be a folder or end with one of {', '.join(accepted)}; "
            f"if it is a folder, write {output}{os.sep}"
        )
    return True


def ends_as_folder(output: str) -> bool:
    """True if it ends with a slash, or what else the system takes for one."""
    return output.endswith(tuple(filter(None, (os.sep, os.altsep))))


def has_file_suffix(output: str) -> bool:
    """True for names like a.geojson, mask.bmp or clip.mp4; results.v2 and run.2026 are folders."""
    return format_of_suffix(output) is not None or _FILE_SUFFIX.search(output) is not None


def format_of_file(
    output: str, formats: Sequence[str] | None, named: str, endings: Callable[[str], Collection[str]]
) -> str:
    """The format of an output that is one file, whatever it is made of: the one that was asked for, else `named`.

    Args:
        output: Path of the file.
        formats: Those that were asked for; None if none was.
        named: The one that the file's name means.
        endings: Gives the last suffixes that files of a format may have.

    Raises:
        OptionError: If several were asked for, or such a file must not end so.
    """
    form, *others = dict.fromkeys(formats or [named])
    if others:
        raise OptionError(
            f"--output {output} is one file, but there are the formats {', '.join((form, *others))}; name a folder"
        )
    accepted = sorted(endings(form))
    if _last_suffix(output) not in accepted:
        raise OptionError(f"--output {output}: a file of the format {form} must end with {', '.join(accepted)}")
    return form


def _endings(form: str) -> set[str]:
    return {_last_suffix(suffix) for suffix in FORMATS[form].suffixes}


def _plan_many(photos: Sequence[Photo], formats: Sequence[str], output: str | None, read: Sequence[Path]) -> list[Job]:
    """Give every photo the shortest of its names that no other photo has, and none of the files that are read."""
    names = [list(_names(photo, output)) for photo in photos]
    depth = [0] * len(photos)
    inputs = {file_key(path).casefold() for path in read}
    suffixes = suffixes_beside_photos(formats)
    places = [str(_place(photo)) for photo in photos]

    def paths(index: int) -> list[Path]:
        name = names[index][depth[index]]
        return [name.with_name(name.name + suffixes[form]) for form in formats]

    def identity(index: int) -> str:
        """Two photos with the same one cannot be told apart by longer names."""
        return places[index].casefold() if depth[index] else places[index]

    # Compared without case, because some file systems do. Where only the case differs, a longer name changes nothing.
    clashing = list(range(len(photos)))
    while clashing:
        keys = [[file_key(path).casefold() for path in paths(index)] for index in range(len(photos))]
        owners: dict[str, set[str]] = {key: {""} for key in inputs}
        for index, own in enumerate(keys):
            for key in own:
                owners.setdefault(key, set()).add(identity(index))
        clashing = [
            index
            for index, own in enumerate(keys)
            if depth[index] + 1 < len(names[index]) and any(len(owners[key]) > 1 for key in own)
        ]
        for index in clashing:
            depth[index] += 1
    return [
        Job(photo, dict(zip(formats, paths(index), strict=True)), image_id)
        for index, (photo, image_id) in enumerate(zip(photos, image_ids(photos), strict=True))
    ]


def _names(photo: Photo, output: str | None) -> Iterator[Path]:
    """Where results may lie, without suffix, from the shortest name to the longest."""
    if photo.path is None:
        yield Path(output or "", STDIN_STEM)
        return
    path = photo.path
    if output is None:
        yield path.with_name(path.stem)
        yield path
        return
    inside = Path(path.name) if photo.folder is None else path.relative_to(photo.folder)
    yield Path(output, inside.with_name(path.stem))
    parts = _absolute(photo).parts[1:]
    for count in range(len(inside.parts), len(parts) + 1):
        yield Path(output, *parts[-count:])


def is_pattern(text: str) -> bool:
    """True if an input has wildcards and is neither the name of a file nor an address, which may have a ?."""
    return glob.has_magic(text) and not is_address(text) and not exists(text)


def matching(pattern: str) -> list[Path]:
    """The files that match a pattern, in order: Windows' shells leave patterns as they are."""
    found = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute patterns)
    return sorted(path for path in found if not is_folder(path))


def _folder_of_pattern(pattern: str) -> Path:
    """The part before the first wildcard."""
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _absolute(photo: Photo) -> Path:
    """Its path without "..", links as they are."""
    return Path(os.path.normpath((photo.path or Path()).absolute()))


def _place(photo: Photo) -> Path:
    """Where it lies, through links to folders; a link to a photo is one of its own."""
    return _followed(photo.path or Path())


def _followed(path: Path) -> Path:
    """An absolute path whose folders are no links."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


def _files(folder: Path, *, recursive: bool, unreadable: list[tuple[str, str]]) -> Iterator[Path]:
    """The files of a folder; nothing of folders that are hidden, or that this program wrote."""
    try:
        entries = [(entry, entry.is_dir()) for entry in folder.iterdir()]
    except OSError as error:
        unreadable.append((str(folder), f"cannot read the folder: {error.strerror or error}"))
        return
    for entry, is_subfolder in entries:
        if not is_subfolder:
            yield entry
        hidden = entry.name.startswith(".") or entry.name.lower().endswith(RESULT_SUFFIXES)
        if not (is_subfolder and recursive) or hidden:
            continue
        if entry.is_symlink():  # it may lead back
            warn("%s is a link to a folder and is not searched; name it, too", entry)
        else:
            yield from _files(entry, recursive=True, unreadable=unreadable)


def _last_suffix(name: str) -> str:
    return "." + name.lower().rpartition(".")[2]
