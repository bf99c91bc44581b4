"""A folder of pictures, one per object: whole, or as it was before."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from fastsam_onnx.errors import OutputError
from fastsam_onnx.files import output_errors


def write_folder(path: Path, files: Iterator[tuple[str, bytes]], part: str) -> None:
    """Fill a temporary folder beside the target, then put it in the place of what was there.

    Args:
        path: The folder.
        files: Name and content of each file.
        part: What their names are before the number. A folder that holds others is not replaced.

    Raises:
        OutputError: If it cannot be written; what was there before is there still.
    """
    token = secrets.token_hex(8)
    with output_errors(path):
        target = Path(os.path.realpath(path))
        new, old = target.with_name(f".{token}.part"), target.with_name(f".{token}.old")
        _check_replaceable(path, target, part)
        try:
            new.mkdir()
            for name, data in files:
                (new / name).write_bytes(data)
            if target.exists():
                target.rename(old)
            new.rename(target)
        finally:
            if old.exists() and not target.exists():  # nothing has taken their place
                old.rename(target)
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(path: Path, target: Path, part: str) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"cannot write to {path}: it exists and is not a folder")
    own = re.compile(rf"{part}-\d{{4,}}\.png")
    others = sorted(entry.name for entry in target.iterdir() if not own.fullmatch(entry.name))
    if others:
        raise OutputError(
            f"cannot write to {path}: the folder holds other files ({others[0]}); name a new or empty one"
        )
