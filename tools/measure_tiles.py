"""Compare tiles with a single pass on large pictures with known objects: recall by size, time and memory.

    python -m tools.measure_tiles --data FOLDER > tiles.md

Two kinds of pictures are made of FOLDER's photos. "pasted": each photo of sa1b_photos with 40 objects of coco_val laid
over it, cut out along their masks, of 12 to 96 pixels a side, at random places that do not overlap; only these are
known. "mosaic": 24 photos of `dense` in 6 columns, 3840 x 2560 pixels, where nearly every pixel is annotated.

Recall is the share of the known objects, in per cent, that some mask meets with IoU of 0.5 or more, one to one, by
area: small to 32^2 pixels, medium to 96^2, large above. Every way runs in a process of its own with the model's own
thresholds; seconds are the sum of the calls, in which no way makes its masks, MB the peak of the resident memory after
the first of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import FastSAM, Mask
from fastsam_onnx.images.load import load_image
from tools.evaluate.overlay import Overlay
from tools.evaluate.recall import Recall
from tools.evaluate.truth import read_coco, read_set
from tools.sets import folder_of

WAYS: dict[str, dict[str, Any]] = {
    "single pass": {},
    "single pass, imgsz 1024": {"imgsz": 1024},
    "tile=1024": {"tile": 1024},
    "tile=640": {"tile": 640},
    "tile=512": {"tile": 512},
}
OBJECTS = 40
SIDES = (12, 96)
CELL, COLUMNS, PHOTOS = 640, 6, 24


@dataclass(frozen=True)
class Picture:
    """A picture and what is known to be in it."""

    image: npt.NDArray[np.uint8]
    masks: list[Mask]


def pasted(data: Path) -> Iterator[Picture]:
    rng = np.random.default_rng(0)
    objects = list(cut_objects(data))
    for path in sorted(folder_of(data, "sa1b_photos").glob("*.jpg")):
        image = load_image(path).copy()
        yield Picture(image, paste(image, objects, rng))


def cut_objects(data: Path) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]:
    """Pixels and masks of single objects, at the size they have in their photos."""
    for photo in read_coco(folder_of(data, "coco_val"), {"coco_val": "instances_val2017.json"}):
        image = load_image(photo.source)
        [truth] = photo.truths["coco_val"]
        for mask, crowd in zip(truth.masks, truth.crowd, strict=True):
            tight = mask.tight()
            if not crowd and all(SIDES[0] <= side <= SIDES[1] for side in tight.crop.shape):
                yield image[tight.slices], tight.crop


def paste(
    image: npt.NDArray[np.uint8],
    objects: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]],
    rng: np.random.Generator,
) -> list[Mask]:
    height, width = image.shape[:2]
    taken = np.zeros((height, width), bool)
    masks: list[Mask] = []
    while len(masks) < OBJECTS:
        pixels, crop = objects[rng.integers(len(objects))]
        top, left = (int(rng.integers(side - part)) for side, part in zip((height, width), crop.shape, strict=True))
        mask = Mask(crop, left, top, (width, height))
        if taken[mask.slices].any():
            continue
        taken[mask.slices] = True
        soft = cv2.GaussianBlur(np.pad(crop, 1).astype(np.float32), (3, 3), 0)[1:-1, 1:-1, None]
        under = image[mask.slices]
        under[:] = np.round(soft * pixels + (1 - soft) * under)
        masks.append(mask)
    return masks


def mosaic(data: Path) -> Iterator[Picture]:
    photos = [photo for photo, _ in zip(read_set(data / "dense"), range(PHOTOS), strict=False)]
    size = (COLUMNS * CELL, -(-len(photos) // COLUMNS) * CELL)
    image, masks = np.full((size[1], size[0], 3), 114, np.uint8), []
    for number, photo in enumerate(photos):
        top, left = number // COLUMNS * CELL, number % COLUMNS * CELL
        pixels = load_image(photo.source)
        image[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        [truth] = photo.truths["dense"]
        for mask, crowd in zip(truth.masks, truth.crowd, strict=True):
            if mask.area and not crowd:
                masks.append(Mask(mask.crop, mask.left + left, mask.top + top, size))
    yield Picture(image, masks)


KINDS = {"pasted": pasted, "mosaic": mosaic}


def measure(kind: str, way: str, data: Path) -> list[str]:
    """A row of the table."""
    model, recall = FastSAM(), Recall(limits=(10, 100, 100_000))  # tiles find more than COCO's thousand
    seconds, objects = 0.0, 0
    model(np.zeros((64, 64, 3), np.uint8))
    peaks = []
    for picture in KINDS[kind](data):
        began = time.perf_counter()
        found = model(picture.image, **WAYS[way])
        seconds += time.perf_counter() - began
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        objects += len(found)
        known = Overlay(picture.masks, found.image_size)
        nothing = np.zeros(len(picture.masks), bool)
        recall.add(known.iou(list(found.masks), nothing), known.areas, nothing)
    shares = [
        f"{100 * recall.found[name][0, 2] / recall.counted[name]:.1f} of {recall.counted[name]}"
        if recall.counted[name]
        else "-"
        for name in ("small", "medium", "large")
    ]
    return [kind, way, *shares, str(objects), f"{seconds:.1f}", str(peaks[0])]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tiles with a single pass.")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    print("| pictures | way | small | medium | large | masks | seconds | MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    context = multiprocessing.get_context("spawn")
    for kind in options.kinds:
        for way in WAYS:
            with context.Pool(1) as pool:
                row = pool.apply(measure, (kind, way, options.data))
            print(f"| {' | '.join(row)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
