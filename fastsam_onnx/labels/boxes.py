"""The boxes of one photo, each with its class, as a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import IntArray
from fastsam_onnx.errors import PromptError
from fastsam_onnx.log import warn
from fastsam_onnx.masks.classes import class_name
from fastsam_onnx.masks.instances import check_found
from fastsam_onnx.results.rules import check_boxes

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation

OF_SHARES = (1, 1)
"""The size of a photo whose boxes are shares of its width and height."""


@dataclass(frozen=True, eq=False)
class LabelledBoxes:
    """The boxes of one photo, and the class of each: `found.prompt(boxes)` gives an object for each box.

    Attributes:
        boxes_xyxy: (n, 4) float64 x1, y1, x2, y2, read-only.
        labels: (n,) int64 index of each one's class, read-only.
        names: Name of each class by index.
        size: (width, height) of the photo in the units of the boxes: (1, 1) if they are shares of it, else pixels; None
            for pixels of a photo whose size is not known.
        place: Where they were read, for messages; "" if they were not.
        image_id: COCO's id of the photo, for `to_coco(image_id=)` and `dataset_entry(image_id=)`; None without.

    Raises:
        PromptError: If the boxes or the size are malformed, or there is not an index for each box.
    """

    boxes_xyxy: npt.NDArray[np.float64]
    labels: IntArray
    names: Mapping[int, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    place: str = ""
    image_id: int | str | None = None

    def __post_init__(self) -> None:
        boxes, labels = check_boxes(self.boxes_xyxy).copy(), _check_labels(self.labels)
        if labels.shape != boxes.shape[:1]:
            raise PromptError(f"{len(boxes)} boxes need labels of shape ({len(boxes)},), got {labels.shape}")
        if not isinstance(self.names, Mapping):
            raise PromptError(f"names must be names of classes by index, such as {{0: 'cat'}}, got {self.names!r:.200}")
        if self.size is not None:
            object.__setattr__(self, "size", _check_size(self.size))
        for name, values in (("boxes_xyxy", boxes), ("labels", labels)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("boxes_xyxy", "labels"):  # read-only again after pickling
            self.__dict__[name].flags.writeable = False

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.boxes_xyxy)

    @property
    def needs_objects(self) -> bool:
        """False: what a call finds by itself is not looked at, so that `redraw=False` changes nothing but the time."""
        return False

    def in_photo(self, image_size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """(n, 4) float64 x1, y1, x2, y2: the boxes in pixels of the photo.

        Args:
            image_size: (width, height) of the upright photo.

        Raises:
            PromptError: If they are of a photo of another size.
        """
        if self.size == OF_SHARES:
            return self.boxes_xyxy * np.array([*image_size, *image_size], np.float64)
        if self.size is not None and self.size != tuple(image_size):
            raise PromptError(self._another_size(image_size))
        return self.boxes_xyxy

    def choose(self, found: Segmentation) -> Segmentation:
        """An object for each box, in the order of the boxes, with its class; `prompt_index` tells which box.

        A box that nothing answers is told by a warning.

        Args:
            found: The objects of the photo, and what its network offered.

        Raises:
            PromptError: As in `in_photo`.
            ModelError: If the network's decoder cannot be used.
        """
        check_found(found)
        answers = found.box_prompt(self.in_photo(found.image_size))
        answered = answers.prompt_index
        assert answered is not None  # answers to prompts have it
        self._tell_of_unanswered(answered, found.source)
        return replace(answers, labels=self.labels[answered], names=dict(self.names))

    def _tell_of_unanswered(self, answered: IntArray, source: str | None) -> None:
        lacking = np.setdiff1d(np.arange(len(self)), answered)
        if not len(lacking):
            return
        first = int(lacking[0])
        warn(
            "%s: %d of %d boxes have no answer and are left out; the first is %s, of the class %r",
            *(self.place or source or "a photo", len(lacking), len(self)),
            *(self.boxes_xyxy[first].round(4).tolist(), class_name(int(self.labels[first]), self.names)),
        )

    def _another_size(self, image_size: tuple[int, int]) -> str:
        assert self.size is not None
        given, real = ("x".join(map(str, size)) for size in (self.size, image_size))
        place = f"{self.place}: " if self.place else ""
        told = f"{place}the boxes are of a photo of {given} pixels, and this one has {real}"
        if self.size == tuple(image_size)[::-1]:
            return (
                f"{told}: size and boxes are those of the photo before it was turned upright; draw them in the upright "
                "photo, or take its orientation out of the file"
            )
        return f"{told}; give the photo that they were drawn in, or boxes of this one"


def _check_labels(labels: Any) -> IntArray:
    """Indices of classes as (n,) int64, a copy."""
    given = options.numbers("labels", labels, error=PromptError)
    if given.ndim != 1 or ((given < 0) | (given > options.MOST_INDEX) | (given % 1 != 0)).any():
        raise PromptError(f"labels must be indices of classes, integers from 0 on, got {options.shown(labels)}")
    return given.astype(np.int64)


def _check_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise PromptError(f"size must be (width, height) or None, got {options.shown(size)}")
    width, height = (options.integer("a side of size", side, error=PromptError) for side in size)
    return width, height
