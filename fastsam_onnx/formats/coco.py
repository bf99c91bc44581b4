"""COCO's results, for pycocotools and everything that reads what it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.categories import category_indices
from fastsam_onnx.formats.text import Json, expected_facts, rounded_score, track_facts, xywh
from fastsam_onnx.log import warn
from fastsam_onnx.masks.instances import Instances, check_found

_FRAME_SUFFIX = re.compile(r"\.[^#]*#[0-9]+")
_MOST_DIGITS = 255
"""As long as the names of files are; Python reads 4300 at most."""
LARGEST_ID = 2**53
"""Up to here every reader of JSON has exact integers."""


def to_coco(
    found: Instances,
    *,
    image_id: int | str | None = None,
    category_id: int | Sequence[int] | None = None,
    file_name: str | None = None,
) -> list[Json]:
    """COCO's results format, as pycocotools' `loadRes` reads it.

    Args:
        found: The objects.
        image_id: The photo's id in the data set; by default what its file name says, see `image_id_of`, or 0 without a
            name, of which a warning is logged. Photos of the same name from several folders need ids of their own.
        category_id: The id of all objects' class, or a list with the id of each class by its index: COCO numbers its 80
            classes from 1 to 90, with gaps. By default the index that the network's file gives each one's class (0 is
            the first), or 1 if the network does not tell classes apart.
        file_name: Name of the photo in the data set, for readers that go by names; by default the photo's own.

    Returns:
        A list of {"image_id", "file_name" (where it is known), "category_id", "segmentation" (compressed RLE), "bbox"
        [x, y, width, height] (the detector's box), "score", "area", "predicted_iou" (of a mask that a decoder drew, as
        SA-1B has it), "track_id" (of an object that was tracked, as TAO has it)}.

    Raises:
        OptionError: If an id is neither an integer nor, for the photo, a text, or a class has no id in the list.
    """
    check_found(found)
    name = found.source if file_name is None else options.text("file_name", file_name)
    if image_id is None:
        if not name:
            warn("a photo without a name gets the image_id 0; of several photos give each its own: image_id=")
        image_id = 0 if not name else image_id_of(name)
    elif not isinstance(image_id, str):
        image_id = options.integer("an image_id that is not text", image_id, 0)
    photo = {"image_id": image_id} if not name else {"image_id": image_id, "file_name": name}
    return [
        {
            **photo,
            "category_id": category,
            "segmentation": instance.mask.rle(),
            "bbox": xywh(instance.box),
            "score": rounded_score(instance.score),
            "area": instance.mask.area,
            **expected_facts(instance),
            **track_facts(instance),
        }
        for instance, category in zip(found, _categories(found, category_id), strict=True)
    ]


def _categories(found: Instances, category_id: int | Sequence[int] | None) -> list[int]:
    """The id of each object's class."""
    labels = category_indices(found)
    if category_id is None:
        return [1] * len(found) if found.labels is None else labels
    if isinstance(category_id, np.ndarray):
        category_id = category_id.tolist()
    if not isinstance(category_id, list | tuple):
        return [options.integer("category_id", category_id, 0)] * len(found)
    ids = [options.integer("category_id", one, 0) for one in category_id]
    if labels and max(labels) >= len(ids):
        raise OptionError(f"category_id must have an id for each class, got {len(ids)} for class {max(labels)}")
    return [ids[label] for label in labels]


def image_id_of(name: str) -> int | str:
    """The id that a photo's file name says: 139 for 000000000139.jpg, as COCO names its photos; "dog" for dog.jpg.

    A number above 2**53, as dates with microseconds are, stays a text: not every reader of JSON would keep it. A frame
    of a video has its whole name, clip.mp4#12: those of one video are different photos.

    Raises:
        OptionError: If it is neither a text nor a path.
    """
    path = PurePath(name if isinstance(name, PurePath) else options.text("name", name))
    if _FRAME_SUFFIX.fullmatch(path.suffix):
        return path.name
    stem = path.stem
    is_number = stem.isascii() and stem.isdigit() and len(stem) <= _MOST_DIGITS and int(stem) <= LARGEST_ID
    return int(stem) if is_number else stem
