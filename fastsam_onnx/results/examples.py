"""Objects that others are compared with: "all like this one"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastsam_onnx.errors import PromptError
from fastsam_onnx.masks.instances import Instance, Instances
from fastsam_onnx.masks.mask import Mask, MaskLike
from fastsam_onnx.options import shown

Example = int | Instance | Mask | Instances
"""An object of a result by its index, or one of any origin, or several of them."""


def listed_examples(example: Any, found: Instances) -> Sequence[MaskLike]:
    """The masks of examples.

    Args:
        example: As in `Segmentation.similar`.
        found: The result whose objects are compared with them.

    Raises:
        PromptError: If it is something else, one has no pixels, or is of another photo, as far as that is known.
        ObjectIndexError: If there is no object of this index.
    """
    if isinstance(example, int | np.integer) and not isinstance(example, bool):
        masks: Sequence[MaskLike] = found[[int(example)]].masks.lazy  # as it is held, so that its vector is known
    elif isinstance(example, Instances):
        masks = example.masks.lazy
    elif isinstance(example, Instance | Mask):
        masks = [example.mask if isinstance(example, Instance) else example]
    else:
        raise PromptError(f"an example must be an index, an Instance, a Mask, or a result, got {shown(example)}")
    size = example.image_size if isinstance(example, Instances) else found.image_size
    for one in [size, *(mask.image_size for mask in masks if isinstance(mask, Mask))]:
        if one != found.image_size:
            ours = "{}x{}".format(*found.image_size)
            raise PromptError(f"an example must be of a photo of the same size, {ours}, got {one[0]}x{one[1]}")
    if isinstance(example, Instances) and not _may_be_one_photo(example, found):
        raise PromptError(
            f"an example must be of the same photo, {found.source or 'this one'}, got one of "
            f"{example.source or 'another'}: its mask would be cut out of the wrong photo"
        )
    for index, mask in enumerate(masks):
        if not mask.area:
            raise PromptError(f"example {index} has no pixels, so nothing can be like it")
    return masks


def _may_be_one_photo(one: Instances, other: Instances) -> bool:
    if one.image is None or other.image is None or one.image is other.image:
        return True
    return np.array_equal(one.image, other.image)
