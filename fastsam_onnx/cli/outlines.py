"""--tolerance: how outlines are simplified, in the formats that have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET

OUTLINES = (*formats.OUTLINES, COCO_DATASET)


def check_outlines(forms: Iterable[str], tolerance: float | None) -> None:
    """OptionError if outlines are to be simplified and nothing that is written has any."""
    given = list(dict.fromkeys(forms))
    if tolerance is not None and given and not set(given).intersection(OUTLINES):
        raise OptionError(
            f"--tolerance is for outlines, and {', '.join(given)} have none; write one of {', '.join(OUTLINES)}"
        )


def outline_options(form: str, tolerance: float | None) -> dict[str, Any]:
    """The options of a format that say how outlines are simplified; none if it has none, or nothing was said."""
    return {} if tolerance is None or form not in OUTLINES else {"tolerance": tolerance}
