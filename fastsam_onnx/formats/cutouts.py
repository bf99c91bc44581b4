"""Transparent pictures: one of all objects, or one per object and the folder that holds them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import cutout, photo_of
from fastsam_onnx.errors import OutputError
from fastsam_onnx.files import output_errors
from fastsam_onnx.masks.instances import Instances

_CUTOUT_NAME = re.compile(r"object-\d{4,}\.png")


def to_cutout(
    found: Instances, *, image: npt.ArrayLike | None = None, soft: bool = False, whole: bool = False
) -> ByteArray:
    """(h, w, 4) uint8 RGBA of all objects together, see `draw.cutout`; without any pixels, in the photo's size.

    Args:
        found: The objects.
        image: (H, W, 3) uint8 RGB, the photo; by default the one that `found` carries.
        soft: True for edges as soft as the photo's, as in `draw.cutout`.
        whole: True for a picture of the photo's size.

    Raises:
        OptionError: If no photo is known, or it does not fit, or `soft` or `whole` is neither True nor False.
    """
    photo = photo_of(found, image)
    cut = cutout(found, photo, soft=soft, whole=whole)
    return cut if cut.size else cutout(found, photo, whole=True)


def to_cutouts(
    found: Instances, *, image: npt.ArrayLike | None = None, soft: bool = False, whole: bool = False
) -> Iterator[tuple[str, ByteArray]]:
    """File name and (h, w, 4) uint8 RGBA of every object, see `draw.cutout`; masks without pixels are left out.

    Args:
        found: The objects.
        image: (H, W, 3) uint8 RGB, the photo; by default the one that `found` carries.
        soft: True for edges as soft as the photo's, as in `draw.cutout`.
        whole: True for pictures of the photo's size.

    Raises:
        OptionError: If no photo is known, or it does not fit, or `soft` or `whole` is neither True nor False.
    """
    photo = photo_of(found, image)
    for index, instance in enumerate(found):
        cut = cutout(instance, photo, soft=soft, whole=whole)
        if instance.mask.area and cut.size:
            yield f"object-{index:04d}.png", cut


def write_folder(path: Path, files: Iterator[tuple[str, bytes]]) -> None:
    """Fill a temporary folder beside the target, then put it in the place of what was there."""
    token = secrets.token_hex(8)
    with output_errors(path):
        target = Path(os.path.realpath(path))
        part, old = target.with_name(f".{token}.part"), target.with_name(f".{token}.old")
        _check_replaceable(path, target)
        try:
            part.mkdir()
            for name, data in files:
                (part / name).write_bytes(data)
            if target.exists():
                target.rename(old)
            part.rename(target)
        finally:
            if old.exists() and not target.exists():  # nothing has taken their place
                old.rename(target)
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(path: Path, target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"cannot write the cut-outs to {path}: it exists and is not a folder")
    others = sorted(entry.name for entry in target.iterdir() if not _CUTOUT_NAME.fullmatch(entry.name))
    if others:
        raise OutputError(
            f"cannot write the cut-outs to {path}: the folder holds other files ({others[0]}); name a new or empty one"
        )
