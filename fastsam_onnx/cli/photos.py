"""The photos that the command line names, and the names of the files that will be made of them."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.images.sources import RESULT_SUFFIXES, is_picture_name

STDIN_STEM = "stdin"
DEFAULT_FORMATS = ("overlay", "json")


@dataclass(frozen=True)
class Photo:
    """An input.

    Attributes:
        path: As it was given; None for standard input.
        folder: The input folder that it was found in; None if it was named itself.
    """

    path: Path | None
    folder: Path | None = None


@dataclass(frozen=True)
class Job:
    """A photo and the files to make of it, by format."""

    photo: Photo
    outputs: dict[str, Path]


def find_photos(inputs: Sequence[str], *, recursive: bool) -> tuple[list[Photo], list[tuple[str, str]]]:
    """The photos that the inputs name, each once, in order; those of a folder or a pattern sorted.

    Returns:
        The photos, and (input, reason) of every folder or pattern that gives none.

    Raises:
        OptionError: Standard input is named beside others, or an input is empty.
    """
    if "" in inputs:
        raise OptionError("an input is an empty text; name a photo, a folder, or - for standard input")
    if "-" in inputs:
        if len(inputs) > 1:
            raise OptionError("- (standard input) is one photo and stands alone; found other inputs beside it")
        return [Photo(None)], []
    photos: dict[Path, Photo] = {}
    troubles = []
    for text in inputs:
        path = Path(text)
        if _is_pattern(text):
            matching = _matching(text)
            troubles += [] if matching else [(text, "no pictures match this pattern")]
            for picture in matching:
                photos.setdefault(_absolute(picture), Photo(picture, _folder_of_pattern(text)))
            continue
        if not _is_folder(path):
            photos.setdefault(_absolute(path), Photo(path))
            continue
        unreadable: list[tuple[str, str]] = []
        found = sorted(_pictures(path, recursive=recursive, unreadable=unreadable))
        troubles += unreadable
        if not found and not unreadable:
            troubles.append((text, "no pictures in this folder" + ("" if recursive else " (--recursive looks deeper)")))
        for picture in found:
            photos.setdefault(_absolute(picture), Photo(picture, path))
    return list(photos.values()), troubles


def plan(photos: Sequence[Photo], formats: Sequence[str] | None, output: str | None) -> list[Job]:
    """Decide the name of every file that will be written.

    Args:
        photos: All of them.
        formats: Names in `FORMATS`; by default what the suffix of `output` says, else an overlay and JSON.
        output: A file, for one photo and one format; else a folder. By default results lie beside their photos, that of
            standard input in the current folder.

    Returns:
        One job for each photo. No file is named twice and none is an input: photo.jpg gives photo.json, but beside a
        photo.png they give photo.jpg.json and photo.png.json. Photos of the same name from several folders go to
        folders of these names below the output.

    Raises:
        OptionError: The output cannot be what it should be, or would replace an input.
    """
    single = len(photos) == 1 and photos[0].folder is None
    named = None if output is None else _format_of_output(output)
    if output is None or named is None:
        if output is not None and os.access(output, os.F_OK) and not _is_folder(Path(output)):
            raise OptionError(
                f"--output {output} is a file whose suffix names no format; name a folder, or another file"
            )
        return _plan_many(photos, formats or DEFAULT_FORMATS, output)
    if not single:
        raise OptionError(f"--output {output} looks like one file, but there may be several photos; name a folder")
    chosen = list(formats or [named])
    if len(chosen) > 1:
        raise OptionError(
            f"--output {output} is one file, but there are the formats {', '.join(chosen)}; name a folder"
        )
    accepted = sorted({_last_suffix(suffix) for suffix in FORMATS[chosen[0]].suffixes})
    if _last_suffix(output) not in accepted:
        raise OptionError(f"--output {output}: the format {chosen[0]} is written as {', '.join(accepted)}")
    if _key(Path(output)) in _input_keys(photos):
        raise OptionError(f"--output {output} is the photo itself; name another file")
    return [Job(photos[0], {chosen[0]: Path(output)})]


def _plan_many(photos: Sequence[Photo], formats: Sequence[str], output: str | None) -> list[Job]:
    """Give every photo the shortest of its names that nobody else has."""
    names = [list(_names(photo, output)) for photo in photos]
    depth = [0] * len(photos)
    inputs = _input_keys(photos)

    def paths(index: int) -> list[Path]:
        name = names[index][depth[index]]
        return [name.with_name(name.name + FORMATS[form].suffixes[0]) for form in formats]

    # Compared without case, because some file systems do; where only the case differs at the end, it has to do.
    clashing = list(range(len(photos)))
    while clashing:
        keys = [[_key(path).casefold() for path in paths(index)] for index in range(len(photos))]
        taken = Counter(key for own in keys for key in own) + Counter(key.casefold() for key in inputs)
        clashing = [
            index
            for index, own in enumerate(keys)
            if depth[index] + 1 < len(names[index]) and any(taken[key] > 1 for key in own)
        ]
        for index in clashing:
            depth[index] += 1
    jobs = [Job(photo, dict(zip(formats, paths(index), strict=True))) for index, photo in enumerate(photos)]
    _check_distinct(jobs, inputs)
    return jobs


def _check_distinct(jobs: Iterable[Job], inputs: frozenset[str]) -> None:
    seen = set(inputs)
    for job in jobs:
        for path in job.outputs.values():
            if _key(path) in seen:
                raise OptionError(
                    f"{path} would be written twice or over an input; rename the photo {job.photo.path} "
                    "or give it an --output of its own"
                )
            seen.add(_key(path))


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
    parts = _absolute(path).parts[1:]
    for count in range(len(inside.parts), len(parts) + 1):
        yield Path(output, *parts[-count:])


def _is_pattern(text: str) -> bool:
    """Whether an input holds wildcards and is no file's own name."""
    return glob.has_magic(text) and not os.access(text, os.F_OK)


def _matching(pattern: str) -> list[Path]:
    found = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute patterns)
    return sorted(path for path in found if is_picture_name(path) and not _is_folder(path))


def _folder_of_pattern(pattern: str) -> Path:
    """The part before the first wildcard."""
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _is_folder(path: Path) -> bool:
    """Whether it is one, as far as one may look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _absolute(path: Path) -> Path:
    """Without "..", links as they are."""
    return Path(os.path.normpath(path.absolute()))


def _key(path: Path) -> str:
    """The file that a path leads to, through links."""
    return os.path.normcase(os.path.realpath(path))


def _input_keys(photos: Iterable[Photo]) -> frozenset[str]:
    return frozenset(_key(photo.path) for photo in photos if photo.path is not None)


def _pictures(folder: Path, *, recursive: bool, unreadable: list[tuple[str, str]]) -> Iterator[Path]:
    """Pictures by their suffix; nothing hidden, and nothing that this program wrote."""
    try:
        entries = [(entry, entry.is_dir()) for entry in folder.iterdir()]
    except OSError as error:
        unreadable.append((str(folder), f"cannot read the folder: {error.strerror or error}"))
        return
    for entry, is_folder in entries:
        if not is_folder and is_picture_name(entry):
            yield entry
        hidden = entry.name.startswith(".") or entry.name.lower().endswith(RESULT_SUFFIXES)
        if is_folder and recursive and not hidden and not entry.is_symlink():
            yield from _pictures(entry, recursive=True, unreadable=unreadable)


def _format_of_output(output: str) -> str | None:
    """The format that the suffix of a file names; None for a folder."""
    if output.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        return None
    name = Path(output).name.lower()
    fits = [(len(suffix), form) for form, kind in FORMATS.items() for suffix in kind.suffixes if name.endswith(suffix)]
    form = max(fits)[1] if fits else None
    return None if form and _is_folder(Path(output)) and not FORMATS[form].folder else form


def _last_suffix(name: str) -> str:
    return "." + name.lower().rpartition(".")[2]
