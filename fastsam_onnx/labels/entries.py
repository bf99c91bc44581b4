"""What the readers of label files have in common: an entry for each photo, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.files import why_unread
from fastsam_onnx.log import warn

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""
MOST_COORDINATE = 1e9
NO_AREA = "boxes without area inside their photo"


class LeftOut:
    """Counts what is left out of the labels, to tell it once."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, what: str, place: str) -> None:
        """One more; `what` in the plural."""
        self._counts[what] = self._counts.get(what, 0) + 1
        self._first.setdefault(what, place)

    def tell(self) -> None:
        """Log a warning of each kind."""
        for what, count in self._counts.items():
            warn("%s are left out: %d; the first is %s", what, count, self._first[what])


@dataclass
class Entry:
    """The boxes of a photo while they are read.

    Attributes:
        name: The photo's path as the labels know it.
        place: Where they are read, for messages.
        size: (width, height), as in `LabelledBoxes`.
        image_id: COCO's id of the photo; None without.
        boxes: The boxes so far.
        classes: Index or name of each one's class.
    """

    name: str
    place: str
    size: tuple[int, int] | None
    image_id: int | str | None = None
    boxes: list[Box] = field(default_factory=list)
    classes: list[int | str] = field(default_factory=list)

    def add(self, box: Box, kind: int | str, where: str, left_out: LeftOut) -> None:
        """Add a box, cut to the photo if its size is known, unless it has no area there."""
        x1, y1, x2, y2 = box
        if self.size is not None:
            width, height = self.size
            x1, x2 = (min(max(x, 0.0), float(width)) for x in (x1, x2))
            y1, y2 = (min(max(y, 0.0), float(height)) for y in (y1, y2))
        if x1 < x2 and y1 < y2:
            self.boxes.append((x1, y1, x2, y2))
            self.classes.append(kind)
        else:
            left_out.add(NO_AREA, where)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        PromptError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PromptError(f"cannot read the labels {path}: {why_unread(path, error)}") from error


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; line ends are those of Unix.

    Raises:
        PromptError: If it cannot be read, or is something else.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(f"{path} must be text in UTF-8, got {error}; save it again in UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        PromptError: As in `read_text`, or if it is no JSON.
    """
    return options.json_value(str(path), read_text(path), error=PromptError)


def list_of(name: str, value: Any) -> list[Any]:
    """The value, which must be a list; PromptError otherwise."""
    if not isinstance(value, list):
        raise PromptError(f"{name} must be a list, got {options.shown(value)}")
    return value


def object_of(name: str, value: Any) -> dict[str, Any]:
    """The value, which must be an object of JSON; PromptError otherwise."""
    if not isinstance(value, dict):
        raise PromptError(f"{name} must be an object, got {options.shown(value)}")
    return value


def text_of(name: str, value: Any) -> str:
    """The value, which must be a text that is not empty; PromptError otherwise."""
    if not isinstance(value, str) or not value:
        raise PromptError(f"{name} must be a text, got {options.shown(value)}")
    return value


def coordinates(name: str, value: Any) -> list[float]:
    """The value, which must be a list of finite numbers; PromptError otherwise."""
    return [
        options.number(f"a number of {name}", each, -MOST_COORDINATE, MOST_COORDINATE, error=PromptError)
        for each in list_of(name, value)
    ]


def side(name: str, value: Any) -> int | None:
    """A side of a photo in pixels; None if the value says that it is not known, by nothing or 0.

    Raises:
        PromptError: If it is something else.
    """
    if value is None:
        return None
    given = options.number(name, value, 0, MOST_COORDINATE, error=PromptError)
    if given % 1:
        raise PromptError(f"{name} must be a number of pixels, got {options.shown(value)}")
    return int(given) or None


def size_of(width: int | None, height: int | None) -> tuple[int, int] | None:
    """(width, height); None if one of them is not known."""
    return None if width is None or height is None else (width, height)


def around(values: Sequence[float]) -> Box:
    """The box around points x, y, x, y, ..."""
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
