"""Objects that others are compared with: "all like this one"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import PromptError
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.options import shown

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation
    from fastsam_onnx.results.text_prompts import CropEmbeddings

Example = int | Instance | Mask | Instances
"""An object of a result by its index, or one of any origin, or several of them."""


@dataclass(frozen=True)
class Examples:
    """Objects of one photo that others are compared with.

    Attributes:
        masks: Each with at least one pixel.
        image: (H, W, 3) uint8 RGB, their photo.
        embeddings: CLIP, with the vectors that it gave of objects of that photo so far; None where there is none.
    """

    masks: Sequence[MaskLike]
    image: ByteArray
    embeddings: CropEmbeddings | None


def listed_examples(example: Any, found: Segmentation, image: ByteArray) -> Examples:
    """The examples and what is known of them.

    Args:
        example: As in `Segmentation.similar`.
        found: The result whose objects are compared with them.
        image: (H, W, 3) uint8 RGB, its photo.

    Raises:
        PromptError: If it is something else, one has no pixels, or is of a photo that is not known, as far as that can
            be told.
        ObjectIndexError: If there is no object of this index.
    """
    photo, embeddings = image, found.embeddings
    if isinstance(example, int | np.integer) and not isinstance(example, bool):
        masks: Sequence[MaskLike] = found[[int(example)]].masks.lazy  # as it is held, so that its vector is known
    elif isinstance(example, Instances):
        masks = example.masks.lazy
        if example.image is not None and not _is_one_photo(example.image, image):
            photo, embeddings = example.image, getattr(example, "embeddings", None)
    elif isinstance(example, Instance | Mask):
        masks = [example.mask if isinstance(example, Instance) else example]
    else:
        raise PromptError(f"an example must be an index, an Instance, a Mask, or a result, got {shown(example)}")
    if photo is image:
        _check_sizes(example, masks, found.image_size)
    for index, mask in enumerate(masks):
        if not mask.area:
            raise PromptError(f"example {index} has no pixels, so nothing can be like it")
    return Examples(masks, photo, embeddings)


def _check_sizes(example: Any, masks: Sequence[MaskLike], image_size: tuple[int, int]) -> None:
    own = [example.image_size] if isinstance(example, Instances) else []
    for one in [*own, *(mask.image_size for mask in masks if isinstance(mask, Mask))]:
        if one != image_size:
            raise PromptError(
                f"an example must be of a photo of the same size, {image_size[0]}x{image_size[1]}, or a result with a "
                f"photo of its own, got a mask of {one[0]}x{one[1]}"
            )


def _is_one_photo(one: ByteArray, other: ByteArray) -> bool:
    return one is other or np.array_equal(one, other)
