"""Transparent pictures: one of all objects, or one per object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import cutout, photo_of
from fastsam_onnx.masks.instances import Instances

CUTOUT = "object"
"""What the file of an object is called, before its number."""


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
    options.boolean("soft", soft)
    options.boolean("whole", whole)
    return (
        (f"{CUTOUT}-{index:04d}.png", cutout(instance, photo, soft=soft, whole=whole))
        for index, instance in enumerate(found)
        if instance.mask.area
    )
