"""Masks that are put to a photo as prompts, from what callers have, and from picture files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import array_of
from fastsam_onnx.errors import PromptError
from fastsam_onnx.images.load import has_transparency, load_image
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.rle import LARGEST_SIDE
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.options import integer, pair, shown

MaskPrompt = Mask | Instance | Mapping[str, Any] | npt.ArrayLike
"""A mask, an object, COCO's run lengths, {"size", "polygons"}, or (H, W) bool or 0 and another number in it."""
MaskPrompts = MaskPrompt | Instances | Sequence[MaskPrompt]


def listed_masks(masks: MaskPrompts) -> list[Mask]:
    """Masks as a list, whatever they are given as.

    Args:
        masks: As in `Segmentation.mask_prompt`.

    Raises:
        PromptError: If they are something else, or one has no pixels.
    """
    listed = [_mask_of(each) for each in _separate(masks)]
    for index, mask in enumerate(listed):
        if not mask.area:
            size = "{}x{}".format(*mask.image_size)
            raise PromptError(f"mask {index}, of {size}, has no pixels, so it means nothing; leave it out")
    return listed


def limited_masks(masks: MaskPrompts, pixels: int) -> list[Mask]:
    """`listed_masks` from a stranger: a few bytes of run lengths can ask for gigabytes.

    Args:
        masks: As in `Segmentation.mask_prompt`.
        pixels: Maximum number of pixels of the photos that all masks with run lengths are of, together.

    Raises:
        PromptError: If they are malformed, or of more pixels.
    """
    total = 0
    for one in _separate(masks):
        if isinstance(one, Mapping):
            size = one.get("size")
            if not isinstance(size, list | tuple) or len(size) != 2:
                raise PromptError(f"a mask's size must be [height, width], got {shown(size)}")
            total += math.prod(integer("a side of a mask", side, 0, LARGEST_SIDE, error=PromptError) for side in size)
    if total > pixels:
        raise PromptError(f"masks must be of photos of at most {pixels} pixels together, got {total}")
    return listed_masks(masks)


def check_masks(masks: MaskPrompts, image_size: tuple[int, int]) -> list[Mask]:
    """`listed_masks` of a photo.

    Args:
        masks: As in `Segmentation.mask_prompt`.
        image_size: (width, height) of the photo.

    Raises:
        PromptError: If they are malformed, or one has another size than the photo.
    """
    width, height = image_size
    masks = _plain(masks)
    if isinstance(masks, np.ndarray) and masks.ndim == 3 and masks.shape[1:] != (height, width):
        raise PromptError(
            f"masks must be of the photo's shape, ({height}, {width}), or (k, {height}, {width}) for k of them, got "
            f"{masks.shape}"
        )
    listed = listed_masks(masks)
    for index, mask in enumerate(listed):
        if mask.image_size != image_size:
            own = "{}x{}".format(*mask.image_size)
            raise PromptError(f"a mask must have the size of the photo, {width}x{height}, got {own} (mask {index})")
    return listed


def read_mask(path: Path) -> Mask:
    """The mask in a picture of two values: black, and another one for the object.

    Raises:
        PromptError: If it has other values, such as a photo or a picture that was stored with loss, is transparent, or
            black all over.
        ImageError: If it cannot be read.
    """
    picture = load_image(path)
    if has_transparency(path):
        raise PromptError(
            f"the mask {path} is transparent in places, which may be the object or what surrounds it; put it on black, "
            "the object in another colour"
        )
    if not picture.any():
        raise PromptError(f"the mask {path} is black all over, so it means nothing; leave it out")
    values = np.unique(picture.reshape(-1, 3), axis=0)
    if len(values) > 2 or values[0].any():
        raise PromptError(
            f"the mask {path} must be a picture of two values, black and another one (a PNG without soft edges), got "
            f"{len(values)} colours from {values[0].tolist()} to {values[-1].tolist()}"
        )
    return Mask.from_dense(picture.any(axis=2))


def _separate(masks: Any) -> list[Any]:
    """One mask or several as a list."""
    masks = _plain(masks)
    if isinstance(masks, Instances):
        return list(masks.masks)
    if isinstance(masks, Masks):
        return list(masks)
    if isinstance(masks, np.ndarray):
        return list(masks) if masks.ndim == 3 else [masks]
    if isinstance(masks, list | tuple):
        return [masks] if masks and _is_row(masks[0]) else list(masks)
    return [masks]


def _plain(masks: Any) -> Any:
    """The array of what makes one of itself, such as a tensor; a `Mask` and all else as they are."""
    if isinstance(masks, Mask) or not hasattr(masks, "__array__"):
        return masks
    try:
        return array_of(masks)
    except ValueError as error:
        raise PromptError(
            f"a mask must be (H, W) numbers, a Mask, an object, COCO's run lengths, or outlines: {error}"
        ) from error


def _is_row(value: Any) -> bool:
    """True for a flat list of numbers, a row of a mask; of an array too."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, list | tuple) and not any(isinstance(each, list | tuple) for each in value)


def _of_polygons(given: Mapping[str, Any]) -> Mask:
    """The mask of outlines, {"size": [height, width], "polygons": [...]}."""
    height, width = pair("size", given.get("size"), maximum=LARGEST_SIDE)
    return Mask.from_polygons(given["polygons"], (width, height))


def _mask_of(given: Any) -> Mask:
    if isinstance(given, Mask):
        return given
    if isinstance(given, Instance):
        return given.mask
    if isinstance(given, Mapping) and {"counts", "polygons"} <= given.keys():
        raise PromptError("a mask must have run lengths (counts) or outlines (polygons), got both; leave one out")
    try:
        if isinstance(given, Mapping):
            return _of_polygons(given) if "polygons" in given else Mask.from_rle(given)
        return Mask.from_dense(given)
    except ValueError as error:
        raise PromptError(
            f"a mask must be (H, W) numbers, a Mask, an object, COCO's run lengths, or outlines: {error}"
        ) from error
