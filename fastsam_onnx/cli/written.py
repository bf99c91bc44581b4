"""How results are written: --tolerance of outlines, --soft and --whole of cut-outs, for the formats that have them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET

OUTLINES = (*formats.OUTLINES, COCO_DATASET)
CUTOUTS, CUTOUT_OPTIONS = "cutouts", ("soft", "whole")


def check_written(forms: Iterable[str], arguments: argparse.Namespace) -> None:
    """OptionError if there is an option for outlines or cut-outs, and nothing that is written has any."""
    given = list(dict.fromkeys(forms))
    if arguments.tolerance is not None and given and not set(given).intersection(OUTLINES):
        raise OptionError(
            f"--tolerance is for outlines, and {', '.join(given)} have none; write one of {', '.join(OUTLINES)}"
        )
    for name in CUTOUT_OPTIONS:
        if getattr(arguments, name) and given and CUTOUTS not in given:
            raise OptionError(f"--{name} is for cut-outs, and {', '.join(given)} have none; write {CUTOUTS}")


def written_options(form: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of a format that say how outlines or cut-outs are written, as far as they were given."""
    if arguments.tolerance is not None and form in OUTLINES:
        return {"tolerance": arguments.tolerance}
    return {name: True for name in CUTOUT_OPTIONS if form == CUTOUTS and getattr(arguments, name)}
