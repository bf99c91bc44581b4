"""What the command line is given: numbers, prompts, photos, and the names of the files that will be written."""

from __future__ import annotations

import argparse
import glob
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.images.sources import RESULT_SUFFIXES, is_picture_name
from fastsam_onnx.results.rules import check_boxes
from fastsam_onnx.tiling.find import MIN_TILE

STDIN_STEM = "stdin"
DEFAULT_FORMATS = ("overlay", "json")


@dataclass(frozen=True)
class Prompts:
    """What is asked for, in pixels of the upright photo.

    Attributes:
        points: x, y; all for one object.
        labels: 1 foreground or 0 background, one for each point.
        boxes: x1, y1, x2, y2; each asks for an object of its own.
        texts: Each asks for an object of its own.
    """

    points: tuple[tuple[float, ...], ...] = ()
    labels: tuple[int, ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()
    texts: tuple[str, ...] = ()

    def __add__(self, other: Prompts) -> Prompts:
        return Prompts(
            self.points + other.points, self.labels + other.labels, self.boxes + other.boxes, self.texts + other.texts
        )

    def check(self) -> None:
        """Raise PromptError unless these can mean something."""
        if self.points and 1 not in self.labels:
            raise PromptError("background points alone mean no object; give a foreground point with --point X,Y too")
        if self.boxes:
            check_boxes(self.boxes)
        if not all(text.strip() for text in self.texts):
            raise PromptError('a text prompt says something, such as --text "a photo of a dog"; found an empty one')


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


def coordinates(text: str, form: str) -> tuple[float, ...]:
    """An argument type: "620,360" for the form "X,Y"."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}, numbers in image pixels and no spaces")
    return numbers


def fraction(text: str) -> float:
    """An argument type: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return number


def cosine(text: str) -> float:
    """An argument type: a number from -1 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -1 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from -1 to 1")
    return number


def whole(text: str) -> int:
    """An argument type: a whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def tile_side(text: str) -> int:
    """An argument type: a whole number of at least `MIN_TILE`."""
    number = whole(text)
    if number < MIN_TILE:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; tiles have sides of at least {MIN_TILE} pixels")
    return number


def input_size(text: str) -> int | tuple[int, int]:
    """An argument type: "1024", or "1280x736" for width x height; the value is one number or (height, width)."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels (1024) nor WIDTHxHEIGHT (1280x736)")
    width, height = match.groups()
    return int(width) if height is None else (int(height), int(width))


def frame_size(text: str) -> tuple[int, int]:
    """An argument type: "1280x720", width x height."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels (1280x720)")
    return int(match[1]), int(match[2])


def frames_per_second(text: str) -> float:
    """An argument type: a number above 0, at most 1000."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of frames per second, above 0 and at most 1000")
    return number


def read_prompts(path: Path) -> Prompts:
    """The list of points and rectangles that rembg and samexporter share.

    `[{"type": "point", "data": [x, y], "label": 1}, {"type": "rectangle", "data": [x1, y1, x2, y2]}]`; other keys, a
    rectangle's label too, mean nothing here. A point without a label is foreground.

    Raises:
        PromptError: The file cannot be read, or is something else.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PromptError(f"cannot read the prompts file {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PromptError(f"the prompts file {path} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise PromptError(f"the prompts file {path} holds no list of points and rectangles, but {_kind(entries)}")
    prompts = Prompts()
    for index, entry in enumerate(entries):
        try:
            prompts += _prompt(entry)
        except PromptError as error:
            raise PromptError(f"the prompts file {path}, entry {index}: {error}") from None
    return prompts


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


def _prompt(entry: Any) -> Prompts:
    kind = entry.get("type") if isinstance(entry, dict) else None
    if kind == "point":
        label = entry.get("label", 1)
        if isinstance(label, bool) or label not in (0, 1):
            raise PromptError(f'"label" is 1 for foreground or 0 for background; found {label!r}')
        return Prompts(points=(_data(entry, "x, y"),), labels=(int(label),))
    if kind == "rectangle":
        return Prompts(boxes=(_data(entry, "x1, y1, x2, y2"),))
    raise PromptError(
        f'accepted are {{"type": "point", "data": [x, y], "label": 1}} and '
        f'{{"type": "rectangle", "data": [x1, y1, x2, y2]}}; found {json.dumps(entry)[:200]}'
    )


def _data(entry: dict[str, Any], form: str) -> tuple[float, ...]:
    data = entry.get("data")
    numbers = data if isinstance(data, list) else []
    if len(numbers) != form.count(",") + 1 or not all(
        type(number) in (int, float) and -1e9 < number < 1e9 for number in numbers
    ):
        raise PromptError(f'"data" is [{form}], numbers in image pixels; found {json.dumps(data)[:200]}')
    return tuple(float(number) for number in numbers)


def _kind(value: Any) -> str:
    return {dict: "an object", str: "a string", type(None): "null"}.get(type(value), "a number or truth value")
