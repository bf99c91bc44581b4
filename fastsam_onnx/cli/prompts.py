"""The prompts of the command line: those of its arguments and those of a file, as one value."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.files import why_unread
from fastsam_onnx.results.mask_prompts import listed_masks, read_mask
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.rules import check_boxes

LabelledPoint = tuple[float, float, float]
"""x, y, and 1 for foreground or 0 for background."""


def read_prompts(arguments: argparse.Namespace) -> Prompts:
    """The prompts of the arguments and of their files.

    Raises:
        PromptError: If they can mean nothing.
        ImageError: If the picture of a mask cannot be read.
        OptionError: If there are texts, but no CLIP, or an option without the prompts that it belongs to.
    """
    options = {
        "pick": arguments.pick,
        "match": arguments.match,
        "negative": arguments.negative or None,
        "threshold": arguments.similarity,
        "classify": arguments.classify,
        "other": arguments.other,
        "similar": arguments.similar,
    }
    given = {name: value for name, value in options.items() if value is not None}
    points, labels = _labelled(arguments.points)
    box_points, box_labels = _labelled(arguments.box_points)
    mask_points, mask_labels = _labelled(arguments.mask_points)
    masks = [read_mask(path) for path in arguments.mask]
    prompts = Prompts(
        points,
        labels,
        arguments.box or None,
        arguments.text or None,
        masks=masks or None,
        box_points=box_points,
        box_labels=box_labels,
        mask_points=mask_points,
        mask_labels=mask_labels,
        **given,
    )
    for path in arguments.prompts:
        prompts = prompts.joined(_read_file(path))
    if arguments.similarity is not None and prompts.top_k == Prompts.top_k:  # else a file says how many
        prompts = replace(prompts, top_k=None)
    _check_needs(arguments, prompts)
    prompts.check()
    if arguments.other is not None and prompts.threshold is None:
        raise OptionError("--other needs --similarity: without it every object fits one of the names")
    if prompts.needs_clip and not arguments.clip:
        needing = "--text" if prompts.texts else "--classify" if prompts.classify is not None else "--similar"
        raise OptionError(
            f"{needing} needs --clip: --clip clip-vit-b-32-int8 downloads a model (156 MB) once, "
            "--clip FOLDER opens one"
        )
    return prompts


def _check_needs(arguments: argparse.Namespace, prompts: Prompts) -> None:
    """Raise an OptionError if there is an option without the prompts, also of a file, that it belongs to."""
    fitted = prompts.masks if prompts.boxes is None else prompts.boxes
    compared = prompts.classify if prompts.texts is None else prompts.texts
    for name, value, kind, needed in (
        ("--pick", arguments.pick, prompts.points, "--point: it chooses among the objects at the points"),
        ("--match", arguments.match, fitted, "--box or --mask: it says what is compared with it"),
        ("--negative", arguments.negative or None, prompts.texts, "--text: it is what the objects must fit less"),
        (
            "--similarity",
            arguments.similarity,
            compared,
            "--text or --classify: it is how similar objects must be to the text",
        ),
        ("--other", arguments.other, prompts.classify, "--classify: it is the class of what fits none of its names"),
    ):
        if value is not None and kind is None:
            raise OptionError(f"{name} needs {needed}")
    count = 0 if prompts.boxes is None else len(check_boxes(prompts.boxes))
    _check_corrections("box", arguments.box_points, count)
    count = 0 if prompts.masks is None else len(listed_masks(prompts.masks))
    _check_corrections("mask", arguments.mask_points, count)


def _check_corrections(kind: str, points: Sequence[LabelledPoint], count: int) -> None:
    """Raise an OptionError if there are points that correct, but not one box or mask alone, also of a file."""
    if points and count != 1:
        name = f"--{kind}-point" if points[0][2] else f"--{kind}-background"
        raise OptionError(
            f"{name} needs --{kind}, once: it is a point that corrects its answer"
            + (f"; got {count}; for several give {kind}_points with --prompts, a group for each" if count else "")
        )


def _labelled(points: Sequence[LabelledPoint]) -> tuple[list[tuple[float, float]] | None, list[int] | None]:
    """Points and their labels, in the order in which they were given; None and None without any."""
    if not points:
        return None, None
    return [(x, y) for x, y, _ in points], [int(label) for _, _, label in points]


def are_located(prompts: Prompts) -> bool:
    """True if there are points or boxes, which are in pixels of a photo."""
    return prompts.points is not None or prompts.boxes is not None


def prompt_files(arguments: argparse.Namespace) -> list[Path]:
    """The files that `read_prompts` reads."""
    return [*arguments.mask, *arguments.prompts]


def _read_file(path: Path) -> Prompts:
    try:
        prompts = Prompts.from_json(path.read_text(encoding="utf-8-sig"))
        _ = prompts.count  # what is malformed is told of the file
        return prompts
    except OSError as error:
        raise PromptError(f"cannot read the prompts file {path}: {why_unread(path, error)}") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"the prompts file {path} must be JSON in UTF-8: {error}") from error
    except PromptError as error:
        raise PromptError(f"the prompts file {path}: {error}") from error
