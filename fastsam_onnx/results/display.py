"""A result before a person's eyes: in a notebook's output, or in the program that opens pictures."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fastsam_onnx.arrays import middles
from fastsam_onnx.errors import OutputError
from fastsam_onnx.files import output_errors
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.preview import preview_size, shrunk_picture
from fastsam_onnx.masks.sequence import Masks

Found = TypeVar("Found", bound=Instances)


def show_jpeg(picture: bytes, owner: Any) -> None:
    """Display in a notebook, or write a temporary file and have it opened.

    Args:
        picture: A JPEG file.
        owner: The object that a notebook displays; it brings its own picture.

    Raises:
        OutputError: If nothing here shows pictures, or the file cannot be written.
    """
    if _in_notebook():
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        display(owner)  # type: ignore[no-untyped-call,unused-ignore]
        return
    with output_errors("a temporary picture"):
        path = Path(tempfile.mkdtemp(prefix="fastsam-onnx-"), "overlay.jpg")
        path.write_bytes(picture)
    if not webbrowser.open(path.as_uri()):
        raise OutputError(f"no program here shows pictures; the picture is in {path} (or write your own: found.save)")


def shrunk(found: Found) -> Found:
    """The objects and their photo in the size of a preview, of each mask as many pixels as it has there."""
    size = preview_size(*found.image_size)
    if size == found.image_size:
        return found
    columns, rows = (middles(few, many) for few, many in zip(size, found.image_size, strict=True))
    masks = [Mask(mask.sample(columns, rows), 0, 0, size).tight() for mask in found.masks.lazy]
    scale = np.divide(size, found.image_size)
    boxes = (found.boxes * np.tile(scale, 2)).astype(np.float32)
    image = None if found.image is None else shrunk_picture(found.image)
    return replace(found, masks=Masks(masks, size), boxes=boxes, image=image, candidates=None)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
