"""Sets of photos with ground truth, each as it lies on disk."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask
from tools import sets
from tools.evaluate.outlines import partition_edges

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]

SETS = ("coco_val", "dense", "bsds_test")
CHOOSING_SET = "train_validation"


@dataclass(frozen=True)
class Truth:
    """One annotation of one photo: the objects of COCO, or one human's partition.

    Attributes:
        masks: m masks.
        boxes: (m, 4) xyxy image pixels.
        crowd: (m,) regions of many objects: whatever lies there is neither right nor wrong.
    """

    masks: list[Mask]
    boxes: FloatArray
    crowd: BoolArray


@dataclass(frozen=True)
class Photo:
    """A photo and its ground truth, by the name of the table's row; several truths are averaged over."""

    source: Path | bytes
    truths: dict[str, list[Truth]]
    edges: list[BoolArray] = field(default_factory=list)


def read_set(folder: Path) -> Iterator[Photo]:
    """The photos of one of SETS or of CHOOSING_SET.

    Raises:
        SystemExit: If the folder is not there.
    """
    sets.folder_of(folder.parent, folder.name)
    if folder.name == "coco_val":
        rows = {"coco_val": "instances_val2017.json", "coco_val stuff": "stuff_val2017.json"}
        return read_coco(folder, rows)
    if folder.name == "dense":
        return read_coco(folder, {"dense": "segments.json"})
    if folder.name == CHOOSING_SET:
        return read_packed(folder)
    return read_bsds(folder)


def read_coco(folder: Path, rows: dict[str, str]) -> Iterator[Photo]:
    files = {row: json.loads((folder / name).read_text(encoding="utf-8")) for row, name in rows.items()}
    annotations: dict[str, dict[int, list[dict[str, Any]]]] = {row: defaultdict(list) for row in rows}
    for row, content in files.items():
        for annotation in content["annotations"]:
            annotations[row][annotation["image_id"]].append(annotation)
    for image in next(iter(files.values()))["images"]:
        truths = {row: [truth_of_annotations(annotations[row][image["id"]])] for row in rows}
        yield Photo(folder / "images" / image["file_name"], truths)


def truth_of_annotations(annotations: list[dict[str, Any]]) -> Truth:
    boxes = np.array([annotation["bbox"] for annotation in annotations], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    crowd = np.array([annotation["iscrowd"] for annotation in annotations], bool)
    return Truth([Mask.from_rle(annotation["segmentation"]) for annotation in annotations], boxes, crowd)


def read_packed(folder: Path) -> Iterator[Photo]:
    for photo, record in sets.labelled(folder):
        annotations = [mask | {"iscrowd": mask.get("crowd", 0)} for mask in record["masks"]]
        yield Photo(photo, {folder.name: [truth_of_annotations(annotations)]})


def read_bsds(folder: Path) -> Iterator[Photo]:
    for path, humans in partitions(folder):
        truths = [truth_of_partition(labels) for labels in humans]
        edges = [partition_edges(labels) for labels in humans]
        yield Photo(path, {"bsds_test": truths}, edges)


def partitions(folder: Path) -> Iterator[tuple[Path, npt.NDArray[np.uint16]]]:
    """Every photo of bsds_test, and the segment of each pixel (humans, H, W)."""
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        yield folder / entry["image"], np.load(folder / entry["labels"])["segs"]


def truth_of_partition(labels: npt.NDArray[np.uint16]) -> Truth:
    masks = [Mask.from_dense(labels == label) for label in np.unique(labels)]
    boxes = np.array([mask.box for mask in masks], np.float64)
    return Truth(masks, boxes, np.zeros(len(masks), bool))
