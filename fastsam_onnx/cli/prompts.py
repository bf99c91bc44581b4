"""The prompts of the command line: of its arguments, and of a file."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.results.rules import check_boxes

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation


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
        prompts += _read_file(arguments.prompts)
    prompts.check()
    if prompts.texts and not arguments.clip:
        raise OptionError(
            "--text needs CLIP: --clip clip-vit-b-32-int8 downloads one (156 MB) once, --clip FOLDER takes another"
        )
    return prompts


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


def _read_file(path: Path) -> Prompts:
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
