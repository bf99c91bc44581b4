"""What is asked of the photos of a run: prompts, the same of each, or the boxes that --boxes-from has of each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.common import STDOUT, check_outputs
from fastsam_onnx.cli.photos import Photo
from fastsam_onnx.cli.prompts import are_located, read_prompts
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.coco_dataset import COCO_DATASET, FILE_NAME
from fastsam_onnx.formats.yolo import DATA_FILE
from fastsam_onnx.log import warn
from fastsam_onnx.results.prompts import Prompts

if TYPE_CHECKING:
    from fastsam_onnx.labels import LabelledBoxes, Labels

OTHERS = {
    "points": "--point or --background",
    "pick": "--pick",
    "box": "--box",
    "box_points": "--box-point or --box-background",
    "match": "--match",
    "mask": "--mask",
    "mask_points": "--mask-point or --mask-background",
    "text": "--text",
    "negative": "--negative",
    "similarity": "--similarity",
    "classify": "--classify",
    "other": "--other",
    "similar": "--similar",
    "prompts": "--prompts",
    "classes": "--classes",
}
"""Arguments that choose objects, too, and their options."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the photos of a run.

    Attributes:
        prompts: Those that are put to each photo.
        labels: Boxes of each photo, in place of prompts; None without.
    """

    prompts: Prompts
    labels: Labels | None = None

    def of(self, photo: Photo) -> Prompts | LabelledBoxes:
        """What is put to a photo."""
        if self.labels is None or photo.path is None:
            return self.prompts
        return self.labels.of(photo.path)

    @property
    def names(self) -> dict[int, str] | None:
        """Names of the classes that the objects get, by index; None if they keep those of the network."""
        return self.prompts.names if self.labels is None else dict(self.labels.names)

    @property
    def categories(self) -> dict[int, str] | None:
        """Names of the classes by COCO's ids; None where classes have no ids."""
        if self.labels is None or self.labels.category_ids is None:
            return None
        return {id_: self.labels.names[index] for index, id_ in enumerate(self.labels.category_ids)}

    @property
    def image_ids(self) -> list[int]:
        """The numbers that labels give their photos."""
        given = () if self.labels is None else (boxes.image_id for _, boxes in self.labels.photos)
        return [each for each in given if isinstance(each, int)]

    @property
    def files(self) -> Sequence[Path]:
        """The files of labels that are read."""
        return () if self.labels is None else self.labels.files

    @property
    def is_located(self) -> bool:
        """True if there are points or boxes, which are in pixels of a photo."""
        return self.labels is not None or are_located(self.prompts)

    @property
    def is_for_some(self) -> bool:
        """True if some objects are asked for, not all."""
        return self.labels is not None or self.prompts.asked > 0

    def format_options(self, form: str, put: Prompts | LabelledBoxes, image_size: tuple[int, int]) -> dict[str, Any]:
        """Options of a format that come from what was put to a photo."""
        if isinstance(put, Prompts):
            return put.format_options(form)
        if form == "overlay":
            return {"boxes": put.in_photo(image_size)}
        given: dict[str, Any] = {}
        if (form == "coco" and put.image_id is not None) or (form == COCO_DATASET and isinstance(put.image_id, int)):
            given["image_id"] = put.image_id
        if form == "coco" and self.labels is not None and self.labels.category_ids is not None:
            given["category_id"] = self.labels.category_ids
        return given

    def check_kept(self, outputs: Iterable[Path]) -> None:
        """Raise an OptionError if a result would replace a file of labels."""
        check_outputs(outputs, self.files)


def read_asked(arguments: argparse.Namespace, photos: Sequence[Photo]) -> Asked:
    """What the arguments ask of the photos; photos without labels are told by a warning.

    Raises:
        PromptError: If prompts can mean nothing, labels cannot be read, or no photo has labels.
        ImageError, OptionError: As in `read_prompts`, or if there are labels beside other prompts, or the output is a
            file of labels.
    """
    if arguments.boxes_from is None:
        return Asked(read_prompts(arguments))
    from fastsam_onnx.labels import read_labels

    for name, option in OTHERS.items():
        if getattr(arguments, name) not in (None, []):
            raise OptionError(f"--boxes-from asks for the object in each box of the labels; leave out {option}")
    if arguments.tile is not None:
        raise OptionError(
            "--boxes-from takes no --tile: each mask is drawn from the photo's own pixels around its box, also in "
            "large photos, while tiles have whole objects alone to choose from; leave out --tile"
        )
    paths = [photo.path for photo in photos if photo.path is not None]
    if len(paths) < len(photos):
        raise OptionError("--boxes-from needs photos with names, got standard input")
    labels = read_labels(arguments.boxes_from)
    check_outputs(_of_the_run(arguments), labels.files)
    if lacking := labels.lacking(paths):
        warn("photos without labels get no objects: %d of %d; the first is %s", len(lacking), len(paths), lacking[0])
    return Asked(Prompts(), labels)


def _of_the_run(arguments: argparse.Namespace) -> list[Path]:
    """The files of the whole run that would replace others."""
    forms, output = arguments.formats or (), arguments.output
    if output is None or output == STDOUT.name:
        return []
    data = [Path(output, DATA_FILE)] if "yolo" in forms and arguments.overwrite else []
    return data + ([Path(output, FILE_NAME)] if COCO_DATASET in forms else [])
