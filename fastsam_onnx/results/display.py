"""A result before a person's eyes: in a notebook's output, or in the program that opens pictures."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from fastsam_onnx.errors import OutputError


def show_jpeg(picture: bytes, owner: Any) -> None:
    """Display in a notebook, or write a temporary file and have it opened.

    Args:
        picture: A JPEG file.
        owner: The object that a notebook displays; it brings its own picture.

    Raises:
        OutputError: If nothing here shows pictures.
    """
    if _in_notebook():
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        display(owner)  # type: ignore[no-untyped-call,unused-ignore]
        return
    path = Path(tempfile.mkdtemp(prefix="fastsam-onnx-"), "overlay.jpg")
    path.write_bytes(picture)
    if not webbrowser.open(path.as_uri()):
        raise OutputError(f"no program here shows pictures; the picture is in {path} (or write your own: found.save)")


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
