"""The form of a network's input and outputs, as far as a caller needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsam_onnx.arrays import ceil_div
from fastsam_onnx.errors import OptionError
from fastsam_onnx.network.layout import anchor_count
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.metadata import Metadata
from fastsam_onnx.options import DEFAULT_IMGSZ, input_size, shown


@dataclass(frozen=True)
class Contract:
    """The form of a network's input and outputs, and its own defaults.

    Attributes:
        input_name: Name of the single input.
        input_dtype: float32 or float16.
        height: Height of the input in pixels, None if dynamic.
        width: Width of the input in pixels, None if dynamic.
        batch: Number of photos that every run takes, None if any number.
        stride: Sides of a dynamic input are multiples of it.
        class_count: nc, number of scores of each candidate; 1 with NMS inside.
        coefficient_count: nm, also the number of prototypes.
        nms_inside: True if the file suppresses overlapping boxes itself, with thresholds of its own.
        objectness: True if scores are the product of an objectness and a class's score, as in YOLOv5 and YOLOv7.
        imgsz: (height, width) that the metadata recommend.
        conf: Score threshold that the metadata recommend (our own key).
        iou: NMS threshold that the metadata recommend (our own key).
        refine: True if the metadata recommend refined masks (our own key).
        redraw: True if the metadata recommend objects that the decoder draws anew (our own key).
        names: Class names by index; empty if unknown.
        metadata: The file's statements about itself, as they were understood.
        min_candidates: Number of candidates that an input must have at least, because the network chooses as many.
    """

    input_name: str
    input_dtype: np.dtype[Any]
    height: int | None
    width: int | None
    batch: int | None
    stride: int
    class_count: int
    coefficient_count: int
    nms_inside: bool
    objectness: bool
    imgsz: tuple[int, int] | None
    conf: float | None
    iou: float | None
    refine: bool | None
    redraw: bool | None
    names: dict[int, str]
    metadata: Metadata
    min_candidates: int = 0

    @property
    def fixed(self) -> bool:
        """True if the network has a size of its own, in one direction at least."""
        return self.height is not None or self.width is not None

    @property
    def class_names(self) -> dict[int, str] | None:
        """Names of the classes that objects are told apart by, by index; None if the network does not tell them apart.

        It is empty if it does, or may do so behind NMS inside, and the file has no names.
        """
        told_apart = len(self.names) != 1 if self.nms_inside else self.class_count > 1
        return self.names if told_apart else None

    @property
    def told_classes(self) -> int | None:
        """Number of classes; None if NMS inside hides it, and the file has no names."""
        return (len(self.names) or None) if self.nms_inside else self.class_count

    @property
    def description(self) -> str:
        """One line that says all this."""
        classes = "1 class" if self.told_classes == 1 else f"{self.told_classes or 'unnamed'} classes"
        width, height = (side or f"n*{self.stride}" for side in (self.width, self.height))
        batch = "any number" if self.batch is None else self.batch
        nms = ", NMS inside" if self.nms_inside else ""
        family = "YOLOv5 segmentation" if self.objectness else "YOLO segmentation"
        return (
            f"{family} network: {classes}, {self.coefficient_count} prototypes, input {self.input_dtype} "
            f"{width} x {height} px, {batch} per run{nms}"
        )

    def input_size(self, imgsz: int | tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) of the input, or of the rectangle that it may fill, for an `imgsz` as in `FastSAM`.

        Raises:
            OptionError: If it is outside its range, or not the size of a fixed network.
        """
        asked = input_size("imgsz", self.imgsz or DEFAULT_IMGSZ if imgsz is None else imgsz)
        height, width = (ceil_div(side, self.stride) * self.stride for side in asked)
        own = self.height or height, self.width or width
        if imgsz is not None and own != (height, width):
            raise OptionError(
                f"imgsz must be {own[1]}x{own[0]} (width x height), at which this network's input is fixed, "
                f"got {shown(imgsz)}"
            )
        candidates = anchor_count(own, self.stride)
        if candidates < self.min_candidates:
            raise OptionError(
                f"imgsz must be larger: this network chooses the {self.min_candidates} best candidates, and an input "
                f"of {own[1]}x{own[0]} (width x height) has {candidates}"
            )
        return own

    def letterbox(self, image_size: tuple[int, int], imgsz: tuple[int, int]) -> Letterbox:
        """The place of a photo in the input.

        Args:
            image_size: (width, height) of the photo.
            imgsz: (height, width) that the input may fill; a fixed network fills it, others take the smallest
                rectangle in it that has enough candidates.
        """
        height, width = imgsz
        smallest = Letterbox.fit(image_size, (width, height), stride=self.stride)
        candidates = anchor_count((smallest.input_size[1], smallest.input_size[0]), self.stride)
        fills = self.fixed or candidates < self.min_candidates
        return Letterbox.fit(image_size, (width, height)) if fills else smallest
