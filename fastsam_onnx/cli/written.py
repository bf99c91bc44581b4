"""What is written of results, --min-area, --no-parts, --disjoint, and how: --tolerance, --soft, --whole, --grow."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET
from fastsam_onnx.masks.shown import Result, Shown


def check_written(forms: Iterable[str], arguments: argparse.Namespace) -> None:
    """OptionError if there is an option of formats, and nothing that is written has it."""
    asked = list(dict.fromkeys(forms))
    for name in _given(arguments):
        what, having = formats.WRITTEN[name][0], _having(name)
        if asked and not set(asked).intersection(having):
            raise OptionError(
                f"--{name} is for {what}, and {', '.join(asked)} have none; write one of {', '.join(having)}"
            )


def leaving_out(arguments: argparse.Namespace) -> str:
    """The options of `written_objects` that are given."""
    given = {"--min-area": arguments.min_area, "--no-parts": not arguments.parts, "--disjoint": arguments.disjoint}
    return ", ".join(name for name, value in given.items() if value)


def written_objects(found: Result, arguments: argparse.Namespace) -> Result:
    """The objects that --min-area, --no-parts and --disjoint leave."""
    return Shown(arguments.min_area, arguments.parts, arguments.disjoint).of(found)


def written_options(form: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of a format that say how it is written, as far as they were given."""
    return {name: value for name, value in _given(arguments).items() if form in _having(name)}


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in formats.WRITTEN}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _having(name: str) -> tuple[str, ...]:
    """The formats that have an option; a data set consists of outlines."""
    forms = formats.WRITTEN[name][1]
    return (*forms, COCO_DATASET) if forms == formats.OUTLINES else forms
