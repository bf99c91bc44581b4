"""Measure a model on photos with ground truth.

    python -m tools.evaluate --model weights/fastsam-nano.onnx --data FOLDER --json out.json > out.md
    python -m tools.evaluate --baseline felzenszwalb --data FOLDER      # needs scikit-image

FOLDER holds the sets coco_val (COCO instances and stuff), dense (all panoptic segments) and bsds_test
(human partitions), and train_validation, on which defaults are chosen, never on the others. Everything is
class-agnostic. The figures:

AR@k        COCO's average recall: of the k best-scored objects a photo, the share of ground truths that
            are found, averaged over IoU 0.50:0.05:0.95, matched one to one as pycocotools does
            (useCats=0), by mask and by box. Small, medium and large are AR@1000 by mask of areas up to
            32^2, to 96^2 and above. The candidates are as in COCO's evaluation, nearly all (--conf 0.001,
            --max-det 1000), with the model's own NMS unless --iou or --recall-iou is given.
best        mean over the ground truths of the best IoU that any of these objects has with it.
box prompt  mean IoU of the answer to each ground truth's box, by `match` rule; no answer counts 0. "moved" is
            "candidate" with every edge moved at random, by a standard deviation of 5 % of the box's side.
            "corrections": "candidate" after one and after three more points, each of which lies deepest in what is
            missing, or in what is too much, whichever is deeper. The same of a point.
point       mean IoU of the answer to each ground truth's most interior point (the farthest from its
            edge), by `pick` rule; for "all" and "alternatives" the best of its rows counts, which is what a
            perfect choice would reach. "anywhere" is "candidate", or "alternatives", with a point drawn from all
            pixels of the ground truth. Prompts, masks per photo and time use the model's own thresholds.
F, R50      boundaries, bsds_test only: the edge map is the outlines of the masks, as strong as the best
            score there. F is the best over one threshold for the set (ODS), R50 the recall at a precision
            of at least 0.5. Edges match within 0.75 % of the diagonal, not one to one and without
            thinning: the figures lie well above those of the benchmark's own code and compare only with one
            another.

straight    of the outlines of all masks that a model finds at its own thresholds, the share that runs along the
            mask's own bounding box, the photo's frame left out; beside it the same of the ground truths. What
            is cut at a box has straight edges there; so has much that people made, and the share grows as other
            outlines become calmer and so shorter, and as more of the masks are small: a disc of 20 pixels has 0.30, one
            of 100 has 0.14. Hence "large", too: the same of masks of 96^2 pixels and more.
cut         what no truth explains of "straight": the part of all outlines that runs so on annotated ground, farther
            than 0.75 % of the diagonal from every annotated outline.

F1          of the masks found at the model's own thresholds: right are those that match a ground truth, one to one,
            with an IoU of at least 0.5; wrong are the others, but what lies mostly where nothing is annotated is
            neither, for nobody knows. Parts of an annotated object and doubles are wrong.
doubles     masks a photo, at the model's own thresholds, that have an IoU above 0.7 with a better one.

On bsds_test every human's partition is a ground truth of its own: the same objects are matched with each,
and recall is over all segments of all humans. Crowd regions are ignored as COCO does. ms is the median
time from the decoded photo to all masks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.images.load import load_image

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

SETS = ("coco_val", "dense", "bsds_test")
CHOOSING_SET = "train_validation"
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = (10, 100, 1000)
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MATCH_RULES = ("candidate", "mask", "box")
PICK_RULES = ("candidate", "alternatives", "balanced", "merge", "all", "smallest", "largest", "best")
SCORE_BINS = 1000
CORRECTIONS = {1: "one correction", 3: "three corrections"}
EDGE_TOLERANCE = 0.0075  # of the photo's diagonal
PROMPTS = (
    *(f"box, {rule}" for rule in MATCH_RULES),
    "box, moved",
    *(f"box, {name}" for name in CORRECTIONS.values()),
    *(f"point, {rule}" for rule in PICK_RULES),
    *(f"point, {name}" for name in CORRECTIONS.values()),
    "point, anywhere",
    "point, anywhere, alternatives",
    "mask, lasso",
    "mask, moved",
    "mask, scribble",
    "mask, stroke",
    *(f"lasso, {name}" for name in CORRECTIONS.values()),
    *(f"scribble, {name}" for name in CORRECTIONS.values()),
)
MOVED_SHARE = 0.05
RIGHT_IOU = 0.5
DOUBLE_IOU = 0.7


# ---------------------------------------------------------------------------------------- ground truth


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
    """The photos of one of SETS or of CHOOSING_SET."""
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
    """A tar of photos and a line of JSON for each."""
    with (
        tarfile.open(folder / "photos-000.tar") as photos,
        gzip.open(folder / "masks.jsonl.gz", "rt", encoding="utf-8") as lines,
    ):
        for line in lines:
            entry = json.loads(line)
            member = photos.extractfile(entry["file"])
            assert member is not None
            annotations = [mask | {"iscrowd": mask.get("crowd", 0)} for mask in entry["masks"]]
            yield Photo(member.read(), {folder.name: [truth_of_annotations(annotations)]})


def read_bsds(folder: Path) -> Iterator[Photo]:
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        partitions = np.load(folder / entry["labels"])["segs"]
        truths = [truth_of_partition(labels) for labels in partitions]
        edges = [partition_edges(labels) for labels in partitions]
        yield Photo(folder / entry["image"], {"bsds_test": truths}, edges)


def truth_of_partition(labels: npt.NDArray[np.uint16]) -> Truth:
    masks = [Mask.from_dense(labels == label) for label in np.unique(labels)]
    boxes = np.array([mask.box for mask in masks], np.float64)
    return Truth(masks, boxes, np.zeros(len(masks), bool))


def partition_edges(labels: npt.NDArray[np.integer[Any]]) -> BoolArray:
    """(H, W) bool: pixels whose right or lower neighbour belongs to another segment."""
    edges = np.zeros(labels.shape, bool)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return edges


def distance_from(edges: BoolArray) -> FloatArray:
    """(H, W) float32 pixels to the nearest edge; far beyond the photo's size without any."""
    return cv2.distanceTransform((~edges).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


# -------------------------------------------------------------------------------------------- overlaps


class Overlay:
    """Many ground-truth masks of one photo as one label map, for fast intersections at full size.

    The map cuts the photo into atoms, the regions that lie in the same masks; counting the atoms under a
    predicted mask once gives its intersection with every ground truth.
    """

    def __init__(self, masks: Sequence[Mask], image_size: tuple[int, int]) -> None:
        width, height = image_size
        self.areas = np.array([mask.area for mask in masks], np.float64)
        self.atoms = np.zeros((height, width), np.int32)
        self.members = np.zeros((1, len(masks)), bool)
        for column, mask in enumerate(masks):
            self._cut(column, mask)

    def _cut(self, column: int, mask: Mask) -> None:
        """Split every atom that the mask touches into the part inside and the rest."""
        count = len(self.members)
        region = self.atoms[mask.slices]
        inside = region[mask.crop]
        touched = np.flatnonzero(np.bincount(inside, minlength=count))
        renamed = np.zeros(count, np.int32)
        renamed[touched] = count + np.arange(touched.size)
        region[mask.crop] = renamed[inside]
        added = self.members[touched]
        added[:, column] = True
        self.members = np.concatenate([self.members, added])

    def intersections(self, masks: Sequence[Mask]) -> FloatArray:
        """(n, m) pixels that each mask shares with each ground truth."""
        counts = np.zeros((len(masks), len(self.members)))
        for row, mask in enumerate(masks):
            counts[row] = np.bincount(self.atoms[mask.slices][mask.crop], minlength=len(self.members))
        return np.asarray(counts @ self.members.astype(np.float64))

    def annotated_share(self, masks: Sequence[Mask], crowd: BoolArray) -> FloatArray:
        """(n,) share of each mask's pixels that lie in a ground truth, crowds left out."""
        annotated = self.members[:, ~crowd].any(axis=1)
        pixels = [self.atoms[mask.slices][mask.crop] for mask in masks]
        return np.array([float(annotated[inside].mean()) if inside.size else 0.0 for inside in pixels])

    def far_from_outlines(self, crowd: BoolArray) -> BoolArray:
        """(H, W): what lies in a ground truth, crowds left out, and not near the outline of any."""
        turned = partition_edges(self.atoms[::-1, ::-1])[::-1, ::-1]  # the pixels on the other side of each edge
        distance = distance_from(partition_edges(self.atoms) | turned)
        annotated = self.members[:, ~crowd].any(axis=1)[self.atoms]
        return np.asarray(annotated & (distance > EDGE_TOLERANCE * np.hypot(*self.atoms.shape)))

    def iou(self, masks: Sequence[Mask], crowd: BoolArray) -> FloatArray:
        """(n, m) IoU; with a crowd the share of the mask that lies in it, as COCO defines."""
        areas = np.array([mask.area for mask in masks], np.float64)
        return overlap(self.intersections(masks), areas, self.areas, crowd)


def overlap(both: FloatArray, areas: FloatArray, truth_areas: FloatArray, crowd: BoolArray) -> FloatArray:
    either = np.where(crowd[None], areas[:, None], areas[:, None] + truth_areas[None] - both)
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def box_iou(boxes: FloatArray, truth_boxes: FloatArray, crowd: BoolArray) -> FloatArray:
    """(n, m) IoU of xyxy boxes, crowds as in `Overlay.iou`."""
    first, second = boxes.astype(np.float64)[:, None], truth_boxes.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    both = np.clip(sides, 0, None).prod(-1)
    areas = (first[:, 0, 2:] - first[:, 0, :2]).prod(-1)
    truth_areas = (second[0, :, 2:] - second[0, :, :2]).prod(-1)
    return overlap(both, areas, truth_areas, crowd)


# ---------------------------------------------------------------------------------------------- recall


def match_ranks(iou: FloatArray, ignored: BoolArray, crowd: BoolArray) -> IntArray:
    """Match objects to ground truths as COCO does, at each of IOU_THRESHOLDS.

    The best-scored object chooses first: of the free ground truths that count the one of highest IoU, else an
    ignored one. Crowds can be chosen any number of times.

    Args:
        iou: (n, m), objects by falling score.
        ignored: (m,) ground truths that do not count (crowds, other sizes).
        crowd: (m,).

    Returns:
        (thresholds, m): the row of the object that took the ground truth, n where none did.
    """
    objects, truths = iou.shape
    ranks = np.full((len(IOU_THRESHOLDS), truths), objects, np.int64)
    near = np.argwhere(iou >= IOU_THRESHOLDS[0])
    candidates: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for row, column in near.tolist():
        candidates[row].append((float(iou[row, column]), column))
    for taken, threshold in zip(ranks, IOU_THRESHOLDS, strict=True):
        for row, choices in candidates.items():
            free = [
                (not ignored[column], value, column)
                for value, column in choices
                if value >= threshold and (crowd[column] or taken[column] == objects)
            ]
            if free:
                taken[max(free)[2]] = row
    return ranks


@dataclass
class Recall:
    """Counts of found ground truths by area range, threshold and number of objects, over many photos."""

    found: dict[str, FloatArray] = field(default_factory=lambda: {name: np.zeros((10, 3)) for name in AREA_RANGES})
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AREA_RANGES, 0))

    def add(self, iou: FloatArray, truth_areas: FloatArray, crowd: BoolArray) -> None:
        """Add one photo: (n, m) IoU of its objects by falling score and its ground truths."""
        iou = iou[: MAX_DETECTIONS[-1]]
        for name, (least, most) in AREA_RANGES.items():
            ignored = crowd | (truth_areas < least) | (truth_areas > most)
            if ignored.all():
                continue
            ranks = match_ranks(iou, ignored, crowd)[:, ~ignored]
            hits = [((ranks < limit) & (ranks < len(iou))).sum(1) for limit in MAX_DETECTIONS]
            self.found[name] += np.stack(hits, axis=1)
            self.counted[name] += int((~ignored).sum())

    def average(self, name: str = "all", limit: int = 1000) -> float | None:
        """AR in percent, or None without a ground truth of that size."""
        if not self.counted[name]:
            return None
        hits = self.found[name][:, MAX_DETECTIONS.index(limit)]
        return float(100 * hits.mean() / self.counted[name])


# ------------------------------------------------------------------------------------------ boundaries


@dataclass
class Boundaries:
    """Histograms, over score, of predicted and human edge pixels with a partner within the tolerance."""

    predicted: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    right: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    recalled: FloatArray = field(default_factory=lambda: np.zeros(SCORE_BINS + 1))
    human: int = 0

    def add(self, masks: Sequence[Mask], scores: FloatArray, edges: Sequence[BoolArray]) -> None:
        """Add one photo: its objects by falling score and every human's (H, W) edges."""
        height, width = edges[0].shape
        strength = edge_strength(masks, scores, (width, height))
        tolerance = EDGE_TOLERANCE * float(np.hypot(width, height))
        reach = int(tolerance)
        disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= tolerance
        distance = distance_from(np.logical_or.reduce(edges))
        drawn = strength > 0
        self.predicted += histogram(strength[drawn])
        self.right += histogram(strength[drawn & (distance <= tolerance)])
        nearby = cv2.dilate(strength, disc.astype(np.uint8))
        for edge in edges:
            self.recalled += histogram(nearby[edge])
            self.human += int(edge.sum())

    def curve(self) -> tuple[FloatArray, FloatArray]:
        """Precision and recall at falling thresholds of the score."""
        predicted, right, recalled = (counts[:0:-1].cumsum() for counts in (self.predicted, self.right, self.recalled))
        precision = np.divide(right, predicted, out=np.ones_like(right), where=predicted > 0)
        return precision, recalled / max(self.human, 1)

    def summary(self) -> dict[str, float]:
        precision, recall = self.curve()
        total = precision + recall
        measure = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
        return {"F": float(measure.max()), "R50": float(recall[precision >= 0.5].max(initial=0.0))}


def edge_strength(masks: Sequence[Mask], scores: FloatArray, image_size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W): the best score of the masks whose outline runs here, else 0; the frame is no outline."""
    width, height = image_size
    strength = np.zeros((height, width), np.float32)
    for mask, score in zip(masks, scores, strict=True):
        rows, columns = mask.slices
        y1, y2 = max(rows.start - 1, 0), min(rows.stop + 1, height)
        x1, x2 = max(columns.start - 1, 0), min(columns.stop + 1, width)
        frame = np.zeros((y2 - y1, x2 - x1), np.uint8)
        frame[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1] = mask.crop
        outline = (frame - cv2.erode(frame, np.ones((3, 3), np.uint8))).view(bool)
        part = strength[y1:y2, x1:x2]
        part[outline] = np.maximum(part[outline], np.float32(score))
    return strength


def histogram(scores: FloatArray) -> FloatArray:
    """(SCORE_BINS + 1,) counts; bin 0 holds what has no score at all."""
    bins = np.ceil(np.clip(scores, 0, 1) * SCORE_BINS).astype(np.int64)
    return np.bincount(bins, minlength=SCORE_BINS + 1).astype(np.float64)


@dataclass
class Straightness:
    """Pixel sides of outlines: all, those on the mask's own bounding box, and what no truth explains of these."""

    straight: int = 0
    cut: int = 0
    sides: int = 0

    def add(self, mask: Mask, far: BoolArray | None = None) -> None:
        """Add a mask's outline; what lies on the photo's frame does not count.

        Args:
            mask: The mask.
            far: (H, W): what lies away from all outlines that people drew.
        """
        mask = mask.tight()
        if not mask.area:
            return
        crop, (x1, y1, x2, y2), (width, height) = mask.crop, mask.bounds, mask.image_size
        places = np.zeros_like(crop) if far is None else far[mask.slices]
        for end, counts in ((0, y1 > 0), (-1, y2 < height), ((..., 0), x1 > 0), ((..., -1), x2 < width)):
            if counts:
                straight = int(crop[end].sum())
                self.straight += straight
                self.sides += straight
                self.cut += int((crop[end] & places[end]).sum())
        self.sides += int(np.diff(crop, axis=0).sum()) + int(np.diff(crop, axis=1).sum())

    def share(self) -> float | None:
        return self.straight / self.sides if self.sides else None

    def share_of_cuts(self) -> float | None:
        return self.cut / self.sides if self.sides else None


def is_large(mask: Mask) -> bool:
    """True for a mask of the area that COCO calls large."""
    return mask.area >= AREA_RANGES["large"][0]


# ------------------------------------------------------------------------------------ what people see


@dataclass
class Verdicts:
    """Masks that are right or wrong, ground truths that are missed, over many photos."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, iou: FloatArray, annotated_share: FloatArray) -> None:
        """Add one photo: (n, m) IoU of its objects by falling score and its ground truths."""
        objects, truths = iou.shape
        none = np.zeros(truths, bool)
        ranks = match_ranks(iou, none, none)[IOU_THRESHOLDS.tolist().index(RIGHT_IOU)]
        matched = np.zeros(objects, bool)
        matched[ranks[ranks < objects]] = True
        self.right += int(matched.sum())
        self.missed += truths - int(matched.sum())
        self.wrong += int((~matched & (annotated_share >= 0.5)).sum())

    def f1(self) -> float | None:
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else None


def count_doubles(masks: Sequence[Mask]) -> int:
    """The number of masks that have an IoU above DOUBLE_IOU with one before them."""
    areas = np.array([mask.area for mask in masks], np.float64)
    alike = np.minimum(areas[:, None], areas) > DOUBLE_IOU * np.maximum(areas[:, None], areas)
    pairs = np.argwhere(np.tril(alike, -1)).tolist()
    return len({row for row, other in pairs if masks[row].iou(masks[other]) > DOUBLE_IOU})


# --------------------------------------------------------------------------------------------- prompts


def prompt_ious(
    found: Segmentation, masks: Sequence[Mask], boxes: FloatArray, overlay: Overlay
) -> dict[str, FloatArray]:
    """For every rule, (m,) IoU of each ground truth with the answer to its prompt; 0 without an answer."""
    if not masks:
        return {name: np.zeros(0) for name in PROMPTS}
    points = np.array([interior_point(mask) for mask in masks])[:, None]
    answers = {f"box, {rule}": found.box_prompt(boxes, match=rule) for rule in MATCH_RULES}
    answers |= {f"point, {rule}": found.point_prompt(points, pick=rule) for rule in PICK_RULES}
    rng = np.random.default_rng(len(masks))  # the same prompts for every model
    answers["box, moved"] = found.box_prompt(moved(boxes, rng))
    anywhere = np.array([any_point(mask, rng) for mask in masks])[:, None]
    answers["point, anywhere"] = found.point_prompt(anywhere)
    answers["point, anywhere, alternatives"] = found.point_prompt(anywhere, pick="alternatives")
    ious = {name: best_by_prompt(answer, len(masks), overlay) for name, answer in answers.items()}
    sketches = {name: [rough(mask) for mask in masks] for name, rough in SKETCHES.items()}
    for name, sketched in sketches.items():
        ious[f"mask, {name}"] = best_by_prompt(found.mask_prompt(sketched), len(masks), overlay)
    firsts = {"box": boxes, "point": [None] * len(masks), "lasso": sketches["lasso"], "scribble": sketches["scribble"]}
    corrected = {
        kind: [corrected_ious(found, mask, first) for mask, first in zip(masks, each, strict=True)]
        for kind, each in firsts.items()
    }
    for kind, each in corrected.items():
        ious |= {f"{kind}, {name}": np.array(each)[:, count] for count, name in CORRECTIONS.items()}
    return ious


def corrected_ious(found: Segmentation, truth: Mask, first: FloatArray | Mask | None = None) -> list[float]:
    """IoU of the answer after each number of corrections, from none to the most of CORRECTIONS.

    The first answer is that to a box or a rough mask, or without one to the most interior point.
    """
    points = [] if first is not None else [interior_point(truth)]
    labels = [1] * len(points)
    ious = []
    for _ in range(max(CORRECTIONS) + 1):
        told = points or None, labels or None
        if first is None:
            answer = found.point_prompt(points, labels).masks
        elif isinstance(first, Mask):
            answer = found.mask_prompt(first, *told).masks
        else:
            answer = found.box_prompt(first, *told).masks
        mask = answer[0] if len(answer) else Mask.empty(found.image_size)
        ious.append(mask.iou(truth))
        wrong = [(truth.difference(mask), 1), (mask.difference(truth), 0)]
        for _, point, label in sorted((*deepest(part), label) for part, label in wrong if part.area)[-1:]:
            points.append(point)
            labels.append(label)
    return ious


def best_by_prompt(answer: Segmentation, prompts: int, overlay: Overlay) -> FloatArray:
    """(prompts,) best IoU of each prompt's rows with the ground truth that was asked for."""
    best = np.zeros(prompts)
    if len(answer):
        index = answer.prompt_index
        iou = overlay.iou(list(answer.masks), np.zeros(prompts, bool))[np.arange(len(answer)), index]
        np.maximum.at(best, index, iou)
    return best


def interior_point(mask: Mask) -> tuple[float, float]:
    """The middle of the pixel that lies deepest in the mask, the photo's frame counting as an edge."""
    return deepest(mask)[1]


def deepest(mask: Mask) -> tuple[int, tuple[float, float]]:
    """The squared depth of the pixel that lies deepest in the mask, the photo's frame counting as an edge; its middle.

    Of equals the first: squares of distances are integers, so what OpenCV's roots differ by from one run to the next
    chooses no pixel.
    """
    framed = np.pad(mask.crop, 1).view(np.uint8)
    squares = np.rint(cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) ** 2)
    row, column = np.unravel_index(int(squares.argmax()), squares.shape)
    return int(squares.max()), (mask.left + int(column) - 0.5, mask.top + int(row) - 0.5)


def lasso(mask: Mask) -> Mask:
    """The convex hull."""
    cells = mask.dense().astype(np.uint8)
    corners = cv2.convexHull(cv2.findNonZero(cells))
    return Mask.from_dense(cv2.fillConvexPoly(np.zeros_like(cells), corners, 1))


def shifted(mask: Mask) -> Mask:
    """The mask dilated by a tenth of its size, the root of its area, and shifted down and to the right by as much."""
    radius = max(round(mask.area**0.5 / 10), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    larger = Mask.from_dense(cv2.dilate(mask.dense().astype(np.uint8), disc))
    moved = larger.moved(radius, radius)
    return moved if moved.area else larger


def scribble(mask: Mask) -> Mask:
    """What lies more than half as deep in the mask as its deepest pixel."""
    depth = cv2.distanceTransform(np.pad(mask.dense().astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return Mask.from_dense(depth[1:-1, 1:-1] > depth.max() / 2)


def stroke(mask: Mask) -> Mask:
    """A line over the middle half of the row of pixels through the deepest place, as thick as 0.04 of the size."""
    x, y = (int(place) for place in interior_point(mask))
    beside = np.flatnonzero(~np.pad(mask.dense()[y], 1)) - 1
    left, right = int(beside[beside < x].max()) + 1, int(beside[beside > x].min()) - 1
    quarter = (right + 1 - left) // 4
    cells = np.zeros(mask.image_size[::-1], np.uint8)
    return Mask.from_dense(
        cv2.line(cells, (left + quarter, y), (right - quarter, y), 1, max(round(0.04 * mask.area**0.5), 1))
    )


SKETCHES = {"lasso": lasso, "moved": shifted, "scribble": scribble, "stroke": stroke}


def any_point(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """The middle of one of the mask's pixels, drawn at random."""
    rows, columns = np.nonzero(mask.crop)
    drawn = int(rng.integers(rows.size))
    return mask.left + int(columns[drawn]) + 0.5, mask.top + int(rows[drawn]) + 0.5


def moved(boxes: FloatArray, rng: np.random.Generator, share: float = MOVED_SHARE) -> FloatArray:
    """(m, 4) boxes x1, y1, x2, y2 whose edges are moved at random, by this share of their side."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    corners = (boxes + rng.normal(0, share, boxes.shape) * sides).reshape(-1, 2, 2)
    return np.sort(corners, axis=1).reshape(-1, 4)


# ---------------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class Found:
    """What a model finds in a photo.

    Attributes:
        everything: Nearly all candidates, for recall.
        chosen: With the model's own thresholds, for prompts.
        milliseconds: From the decoded photo to all masks of `chosen`.
    """

    everything: Segmentation
    chosen: Segmentation
    milliseconds: float


@dataclass(frozen=True)
class Model:
    """A way to run a model on an RGB photo, and what the report says about it."""

    find: Callable[[npt.NDArray[np.uint8]], Found]
    name: str
    settings: dict[str, Any]


def open_network(options: argparse.Namespace) -> Model:
    model = FastSAM(options.model, imgsz=options.imgsz, iou=options.iou, threads=options.threads)

    def everything(rgb: npt.NDArray[np.uint8]) -> Segmentation:
        return model(rgb, conf=options.conf, iou=options.recall_iou, max_det=options.max_det)

    def find(rgb: npt.NDArray[np.uint8]) -> Found:
        began = time.perf_counter()
        chosen = model(rgb)
        for _ in chosen.masks:  # each is made here
            pass
        milliseconds = 1000 * (time.perf_counter() - began)
        return Found(everything(rgb), chosen, milliseconds)

    name = options.model.name if options.model else "bundled model"
    return Model(find, name, dict(model.options))


def open_felzenszwalb(options: argparse.Namespace) -> Model:
    """Felzenszwalb and Huttenlocher's segmentation at seven scales; every segment is an object.

    Its score is the contrast with what surrounds it times the root of its share of the photo. There is no threshold
    that would mean anything: prompts choose among the best 300.
    """
    from skimage.measure import regionprops
    from skimage.segmentation import felzenszwalb

    def find(rgb: npt.NDArray[np.uint8]) -> Found:
        began = time.perf_counter()
        lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        size = (rgb.shape[1], rgb.shape[0])
        masks: dict[tuple[Any, ...], Mask] = {}  # a segment that stays the same over several scales is one object
        for scale in (50, 100, 200, 400, 800, 1600, 3200):
            labels = felzenszwalb(rgb, scale=scale, sigma=0.8, min_size=100)
            for region in regionprops(labels + 1):
                mask = Mask(region.image, region.bbox[1], region.bbox[0], size)
                masks[(*region.bbox, mask.crop.tobytes())] = mask
        found = list(masks.values())
        scores = np.array([contrast(lab, mask) * (mask.area / labels.size) ** 0.5 for mask in found])
        best = np.argsort(-scores, kind="stable")[: options.max_det]
        everything = Segmentation.from_masks([found[i] for i in best], scores[best], image_size=size)
        return Found(everything, everything[:300], 1000 * (time.perf_counter() - began))

    return Model(find, "felzenszwalb", {"scales": "50 to 3200", "sigma": 0.8, "min_size": 100})


def contrast(lab: FloatArray, mask: Mask) -> float:
    """Distance of the mean CIELAB colours of a mask and the 5 pixels around it; 100 and more count as 1."""
    height, width = lab.shape[:2]
    rows, columns = mask.slices
    y1, y2 = max(rows.start - 5, 0), min(rows.stop + 5, height)
    x1, x2 = max(columns.start - 5, 0), min(columns.stop + 5, width)
    inside = np.zeros((y2 - y1, x2 - x1), np.uint8)
    inside[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1] = mask.crop
    ring = cv2.dilate(inside, np.ones((11, 11), np.uint8)) - inside
    if not ring.any():
        return 0.0
    part = lab[y1:y2, x1:x2]
    return min(float(np.linalg.norm(part[inside > 0].mean(0) - part[ring > 0].mean(0))) / 100, 1.0)


# ------------------------------------------------------------------------------------------ the tables


@dataclass
class Tally:
    """What one row of the table adds up."""

    photos: int = 0
    by_mask: Recall = field(default_factory=Recall)
    by_box: Recall = field(default_factory=Recall)
    boundaries: Boundaries = field(default_factory=Boundaries)
    outlines: Straightness = field(default_factory=Straightness)
    truth_outlines: Straightness = field(default_factory=Straightness)
    large_outlines: Straightness = field(default_factory=Straightness)
    large_truth_outlines: Straightness = field(default_factory=Straightness)
    best: list[float] = field(default_factory=list)
    prompts: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PROMPTS})
    verdicts: Verdicts = field(default_factory=Verdicts)
    objects: list[int] = field(default_factory=list)
    doubles: list[int] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | None]:
        figures: dict[str, float | None] = {"photos": self.photos, "ground truths": len(self.best)}
        for limit in MAX_DETECTIONS:
            figures[f"AR@{limit}"] = self.by_mask.average(limit=limit)
        for name in ("small", "medium", "large"):
            figures[name] = self.by_mask.average(name)
        for limit in MAX_DETECTIONS:
            figures[f"box AR@{limit}"] = self.by_box.average(limit=limit)
        figures["best"] = mean(self.best)
        figures |= {name: mean(values) for name, values in self.prompts.items()}
        figures |= {"straight": self.outlines.share(), "straight, truth": self.truth_outlines.share()}
        figures["straight, large"] = self.large_outlines.share()
        figures["straight, large, truth"] = self.large_truth_outlines.share()
        figures["cut"] = self.outlines.share_of_cuts()
        figures |= {"F1": self.verdicts.f1(), "masks": mean(self.objects), "doubles": mean(self.doubles)}
        figures |= {"ms": statistics.median(self.milliseconds)}
        return figures | (self.boundaries.summary() if self.boundaries.human else {})


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def add_photo(photo: Photo, model: Model, tallies: dict[str, Tally]) -> None:
    """Run a model on a photo and add what it found to the rows that the photo belongs to."""
    found = model.find(load_image(photo.source))
    masks, chosen = list(found.everything.masks), list(found.chosen.masks)
    doubles = count_doubles(chosen)
    for row, truths in photo.truths.items():
        tally = tallies[row]
        tally.photos += 1
        tally.objects.append(len(found.chosen))
        tally.milliseconds.append(found.milliseconds)
        tally.doubles.append(doubles)
        add_truths(tally, truths, found, masks, chosen)
        if photo.edges:
            tally.boundaries.add(masks, found.everything.scores, photo.edges)


def add_truths(tally: Tally, truths: list[Truth], found: Found, masks: list[Mask], chosen: list[Mask]) -> None:
    """Recall, verdicts and prompts of one photo against all its partitions."""
    crowd = np.concatenate([truth.crowd for truth in truths])
    boxes = np.concatenate([truth.boxes for truth in truths])
    truth_masks = [mask for truth in truths for mask in truth.masks]
    overlay = Overlay(truth_masks, found.everything.image_size)
    iou = overlay.iou(masks, crowd)
    iou_of_chosen, annotated_share = overlay.iou(chosen, crowd), overlay.annotated_share(chosen, crowd)
    iou_of_boxes = box_iou(found.everything.boxes, boxes, crowd)
    end = 0
    for truth in truths:
        begin, end = end, end + len(truth.masks)
        for recall, overlaps in ((tally.by_mask, iou), (tally.by_box, iou_of_boxes)):
            recall.add(overlaps[:, begin:end], overlay.areas[begin:end], truth.crowd)
        tally.verdicts.add(iou_of_chosen[:, begin:end][:, ~truth.crowd], annotated_share)
    for mask, left_out in zip(truth_masks, crowd.tolist(), strict=True):
        if not left_out:
            tally.truth_outlines.add(mask)
            if is_large(mask):
                tally.large_truth_outlines.add(mask)
    far = overlay.far_from_outlines(crowd)
    for mask in chosen:
        tally.outlines.add(mask, far)
        if is_large(mask):
            tally.large_outlines.add(mask)
    tally.best += iou[:, ~crowd].max(axis=0, initial=0.0).tolist()
    answers = prompt_ious(found.chosen, truth_masks, boxes, overlay)
    for name, values in answers.items():
        tally.prompts[name] += values[~crowd].tolist()


def markdown(tallies: dict[str, Tally], title: str) -> str:
    """Two tables: recall, and the rest."""
    figures = {row: tally.figures() for row, tally in tallies.items()}
    recall = [
        "photos",
        "ground truths",
        *(f"AR@{limit}" for limit in MAX_DETECTIONS),
        "small",
        "medium",
        "large",
    ]
    recall += [*(f"box AR@{limit}" for limit in MAX_DETECTIONS), "best"]
    straight = ["straight", "straight, truth", "straight, large", "straight, large, truth", "cut"]
    rest = [*PROMPTS, "F1", "masks", "doubles", *straight, "ms", "F", "R50"]
    return "\n".join([title, "", *table(figures, recall), "", *table(figures, rest)])


def table(figures: dict[str, dict[str, float | None]], columns: list[str]) -> list[str]:
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row, values in figures.items():
        cells = [
            number(values.get(column), "AR" in column or column in ("small", "medium", "large")) for column in columns
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def number(value: float | None, percent: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if percent or value > 1 else f"{value:.3f}"


def main() -> int:
    options = parse_options()
    model = open_felzenszwalb(options) if options.baseline else open_network(options)
    settings = model.settings | {"AR conf": options.conf, "AR max_det": options.max_det}
    if options.recall_iou is not None:
        settings["AR iou"] = options.recall_iou
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name in options.sets:
        for count, photo in enumerate(read_set(options.data / name)):
            if count == options.limit:
                break
            add_photo(photo, model, tallies)
            print(f"\r{name} {count + 1}    ", end="", file=sys.stderr)
        if options.json:  # after every set, so that a run that is cut off leaves what it has
            rows = {row: tally.figures() for row, tally in tallies.items()}
            text = json.dumps({"model": model.name, "settings": settings, "rows": rows}, indent=1)
            options.json.write_text(text + "\n", encoding="utf-8")
    print(file=sys.stderr)
    title = f"{model.name}: {', '.join(f'{name} {value}' for name, value in settings.items())}"
    print(markdown(tallies, title))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure a model on photos with ground truth.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="an ONNX file; the bundled model by default")
    which.add_argument("--baseline", choices=["felzenszwalb"], help="a classical segmentation instead of a network")
    parser.add_argument("--data", required=True, type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="+", choices=[*SETS, CHOOSING_SET], default=list(SETS))
    parser.add_argument("--imgsz", type=int, help="the model's own by default")
    parser.add_argument("--conf", type=float, default=0.001, help="for recall; prompts take the model's own")
    parser.add_argument("--iou", type=float, help="of NMS, everywhere; the model's own by default")
    parser.add_argument("--recall-iou", type=float, help="of NMS, for recall alone, such as 0.9, to have near doubles")
    parser.add_argument("--max-det", type=int, default=1000, help="for recall; prompts take 300")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first so many photos of each set")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
