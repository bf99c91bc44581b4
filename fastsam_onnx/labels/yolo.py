"""YOLO's label files: a line for each box or outline, in shares of the photo; and the files that name the classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.files import is_file
from fastsam_onnx.formats.categories import MOST_LISTED
from fastsam_onnx.formats.yolo import DATA_FILE
from fastsam_onnx.formats.yolo_names import names_of_data
from fastsam_onnx.labels.boxes import OF_SHARES
from fastsam_onnx.labels.entries import Box, Entry, LeftOut, around, read_text

NAMES_FILES = ("classes.txt", "obj.names")
"""Files with the name of a class a line: of labelImg and Label Studio, and of Darknet."""
OTHERS = re.compile(
    r"(predefined_)?classes|labels|train|val|valid|test|trainval|autosplit_.*|readme.*|licen[cs]e.*|notes"
)
"""Names of files, without suffix, that lie beside labels and hold none."""
FOLDERS_ABOVE = 3
BEYOND = 0.01
"""Share by which a value may lie outside the photo: what rounding leaves."""


def read_yolo(path: Path, name: str, names: Mapping[int, str] | None, left_out: LeftOut) -> Entry | None:
    """The boxes of a label file.

    Args:
        path: The file.
        name: The photo's, for the entry.
        names: Names of the classes by index; None if nothing names them.
        left_out: Counts boxes without area.

    Returns:
        None if the file holds no labels, by its name and its first line, or by its first line.

    Raises:
        PromptError: If it cannot be read, or a line holds something else.
    """
    lines = [(number, line.split()) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    first = lines[0][1] if lines else []
    is_prose = bool(first) and all(options.plain_number(value) is None for value in first)
    if is_prose or (is_beside_labels(path) and len(first) < 5):
        return None
    entry = Entry(name, str(path), OF_SHARES)
    for number, values in lines:
        where = f"{path}, line {number}"
        numbers = [_number(value, where) for value in values]
        index = _index(numbers[0], values[0], names, where)
        entry.add(_box(numbers[1:], where), index, where, left_out)
    return entry


def is_beside_labels(path: Path) -> bool:
    """True if files of this name lie beside labels and hold none."""
    return OTHERS.fullmatch(path.stem.lower()) is not None


def _number(text: str, where: str) -> float:
    value = options.plain_number(text)
    if value is None:
        raise PromptError(
            f'{where}: a line must be "class x y width height", numbers with spaces between, got {options.shown(text)}'
        )
    return value


def _index(value: float, text: str, names: Mapping[int, str] | None, where: str) -> int:
    """The index of a class."""
    if not (0 <= value < MOST_LISTED and value % 1 == 0):
        raise PromptError(
            f"{where}: a line must begin with the index of its class, an integer from 0 to {MOST_LISTED - 1}, "
            f"got {options.shown(text)}"
        )
    index = int(value)
    if names is not None and index not in names:
        raise PromptError(
            f"{where}: class {index} has no name, and the highest that has one is {max(names)}; add it to the file "
            "that names them"
        )
    return index


def _box(values: Sequence[float], where: str) -> Box:
    """The box of a line behind its class, in shares of the photo."""
    is_box = len(values) in (4, 5)  # the fifth is a confidence
    if not is_box and (len(values) < 6 or len(values) % 2):
        raise PromptError(
            f"{where}: a line must have 5 numbers (class x y width height), 6 (and a confidence), or an odd number of "
            f"them from 7 on (class x y x y x y ..., an outline), got {len(values) + 1}; keypoints are not read"
        )
    for value in values:
        if not -BEYOND <= value <= 1 + BEYOND:
            raise PromptError(
                f"{where}: a value must be a share of the photo's width or height, from 0 to 1, got {value:g}; divide "
                "pixels by these"
            )
    if not is_box:
        return around(values)
    x, y, width, height = values[:4]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def find_names(folder: Path, files: Sequence[Path]) -> tuple[dict[int, str] | None, list[Path]]:
    """The names of the classes by index, and the files that have them; None and [] if nothing names them.

    A folder's data.yaml counts before its classes.txt and obj.names; the labels' folder before those of the files in
    it, and these before up to three folders above.

    Raises:
        PromptError: If the files of several folders differ, or one cannot be read, or is of keypoints.
    """
    inside = [each for each in dict.fromkeys(path.parent for path in files) if each != folder]
    above = list(folder.absolute().parents)[:FOLDERS_ABOVE]
    for group in ([folder], inside, *([each] for each in above)):
        known = [(path, names) for each in group if (path := _names_file(each)) and (names := _read_names(path))]
        for path, names in known:
            if names != known[0][1]:
                raise PromptError(
                    f"{known[0][0]} and {path} name the classes differently; name one folder with one of them"
                )
        if known:
            return known[0][1], [path for path, _ in known]
    return None, []


def _names_file(folder: Path) -> Path | None:
    return next((folder / name for name in (DATA_FILE, *NAMES_FILES) if is_file(folder / name)), None)


def _read_names(path: Path) -> dict[int, str]:
    text = read_text(path)
    if path.name != DATA_FILE:
        return dict(enumerate(line.strip() for line in text.rstrip().split("\n") if text.strip()))
    if re.search(r"^kpt_shape:", text, re.MULTILINE):
        raise PromptError(f"{path} has kpt_shape: its labels are keypoints; give labels of boxes or outlines")
    names = names_of_data(text)
    if names is None:
        raise PromptError(
            f"{path}: how it names classes is not understood; write a line for each below names:, such as   0: cat"
        )
    return names
