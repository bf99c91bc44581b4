"""What the options of a call change: objects, what is found of what people drew, and time, beside the default.

    python -m tools.measure_options --data DATA [--set dense] [--photos 40]

Every way looks at each photo in turn, so that a busy machine is busy for all.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import FastSAM, Segmentation
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.images.load import load_image

from .evaluate.truth import Truth, read_set

WAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("fastsam-nano", {}),
    "conf=0.05": ("fastsam-nano", {"conf": 0.05}),
    "imgsz=960": ("fastsam-nano", {"imgsz": 960}),
    "conf=0.05, imgsz=960": ("fastsam-nano", {"conf": 0.05, "imgsz": 960}),
    "small": ("fastsam-small", {}),
    "small, conf=0.05": ("fastsam-small", {"conf": 0.05}),
    "conf=0.2": ("fastsam-nano", {"conf": 0.2}),
    "conf=0.3": ("fastsam-nano", {"conf": 0.3}),
    "redraw=False": ("fastsam-nano", {"redraw": False}),
    "imgsz=448": ("fastsam-nano", {"imgsz": 448}),
}
SMALL = 32 * 32 / (640 * 480)
"""Share of the photo below which a thing is small."""
FOUND_IOU = 0.5


@dataclass
class Counts:
    """What one way found in all photos."""

    objects: int = 0
    found: int = 0
    drawn: int = 0
    small_found: int = 0
    small_drawn: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, found: Segmentation, truth: Truth) -> None:
        """Add a photo."""
        width, height = found.image_size
        drawn = [mask for mask, is_crowd in zip(truth.masks, truth.crowd, strict=True) if not is_crowd]
        masks = list(found.masks)
        hit = np.array([any(mask.iou(one) > FOUND_IOU for mask in masks) for one in drawn], bool)
        small = np.array([one.area < SMALL * width * height for one in drawn], bool)
        self.objects += len(masks)
        self.found += int(hit.sum())
        self.drawn += len(drawn)
        self.small_found += int((hit & small).sum())
        self.small_drawn += int(small.sum())


def look(model: FastSAM, image: ByteArray, options: Mapping[str, Any]) -> tuple[Segmentation, float]:
    """A call with its masks, and the seconds that it took."""
    began = time.perf_counter()
    found = model(image, **options)
    _ = found.areas
    return found, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--set", default="dense")
    parser.add_argument("--photos", type=int, default=40)
    given = parser.parse_args()
    models = {name: FastSAM(name) for name in ("fastsam-nano", "fastsam-small")}
    counts = {way: Counts() for way in WAYS}
    for photo in itertools.islice(read_set(given.data / given.set), given.photos):
        image, truth = load_image(photo.source), photo.truths[given.set][0]
        for way, (name, options) in WAYS.items():
            found, seconds = look(models[name], image, options)
            counts[way].add(found, truth)
            counts[way].seconds.append(seconds)
    print("| call | found | small ones | objects | time |\n| --- | --- | --- | --- | --- |")
    for way, one in counts.items():
        ratio = statistics.median(np.divide(one.seconds, counts["default"].seconds).tolist())
        cells = one.found / one.drawn, one.small_found / max(one.small_drawn, 1)
        print(f"| {way} | {cells[0]:.3f} | {cells[1]:.3f} | {one.objects / given.photos:.0f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
