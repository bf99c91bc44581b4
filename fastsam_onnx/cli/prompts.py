"""The prompts of the command line: those of its arguments and those of a file, as one value."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.files import why_unread
from fastsam_onnx.results.mask_prompts import read_mask
from fastsam_onnx.results.prompts import Prompts


def read_prompts(arguments: argparse.Namespace) -> Prompts:
    """The prompts of the arguments and of their file.

    Raises:
        PromptError: If they can mean nothing.
        ImageError: If the picture of a mask cannot be read.
        OptionError: If there are texts, but no CLIP, or an option without the prompts that it belongs to.
    """
    options = {
        "pick": arguments.pick,
        "match": arguments.match,
        "threshold": arguments.similarity,
        "classify": arguments.classify,
        "other": arguments.other,
        "similar": arguments.similar,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if "threshold" in given:
        given["top_k"] = None
    points, labels = _labelled(arguments.point, arguments.background)
    box_points, box_labels = _labelled(arguments.box_point, arguments.box_background)
    mask_points, mask_labels = _labelled(arguments.mask_point, arguments.mask_background)
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
    if arguments.prompts is not None:
        prompts = prompts.joined(_read_file(arguments.prompts))
    _check_needs(arguments, prompts)
    prompts.check()
    if prompts.needs_clip and not arguments.clip:
        needing = "--text" if prompts.texts else "--classify" if prompts.classify is not None else "--similar"
        raise OptionError(
            f"{needing} needs --clip: --clip clip-vit-b-32-int8 downloads a model (156 MB) once, "
            "--clip FOLDER opens one"
        )
    return prompts


def _check_needs(arguments: argparse.Namespace, prompts: Prompts) -> None:
    """Raise an OptionError if there is an option without the prompts, also of a file, that it belongs to."""
    box_points = arguments.box_point or arguments.box_background or None
    mask_points = arguments.mask_point or arguments.mask_background or None
    fitted = prompts.masks if prompts.boxes is None else prompts.boxes
    compared = prompts.classify if prompts.texts is None else prompts.texts
    for name, value, kind, needed in (
        ("--pick", arguments.pick, prompts.points, "--point: it chooses among the objects at the points"),
        ("--box-point", box_points, prompts.boxes, "--box: it is a point in the box"),
        ("--mask-point", mask_points, prompts.masks, "--mask: it is a point on what the mask means"),
        ("--match", arguments.match, fitted, "--box or --mask: it says what is compared with it"),
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


def _labelled(
    foreground: list[tuple[float, ...]], background: list[tuple[float, ...]]
) -> tuple[list[tuple[float, ...]] | None, list[int] | None]:
    """Points and their labels; None and None without any."""
    labels = [1] * len(foreground) + [0] * len(background)
    return [*foreground, *background] or None, labels or None


def prompt_files(arguments: argparse.Namespace) -> list[Path]:
    """The files that `read_prompts` reads."""
    return [*arguments.mask, *([] if arguments.prompts is None else [arguments.prompts])]


def _read_file(path: Path) -> Prompts:
    try:
        return Prompts.from_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PromptError(f"cannot read the prompts file {path}: {why_unread(path, error)}") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"the prompts file {path} must be JSON in UTF-8: {error}") from error
    except PromptError as error:
        raise PromptError(f"the prompts file {path}: {error}") from error
