"""Self-training: masks that a model of ours finds on unlabelled photos, and finds again on the mirrored photo.

    python -m tools.train.pseudo weights/fastsam-nano.onnx ../shared/data/train_unlabelled/photos-000.tar ../runs/pseudo

Writes a folder like train_labelled, for ``train --extra``; its photos count as partly annotated.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import FastSAM, Mask, Segmentation
from tools.evaluate import Straightness

from .data import read_photos

AGREEMENT = 0.85  # IoU of a mask with its mirror image's
SMALLEST = 0.002  # of the photo
STRAIGHTEST = 0.25  # of the outline on the mask's own box: more looks cut off


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, help="a tar of photos; its name holds its number")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--conf", type=float, default=0.25)
    return parser.parse_args()


def mirrored(mask: Mask) -> np.ndarray:
    """(H, W) bool of the mask on the mirrored photo."""
    return mask.dense()[:, ::-1]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two (H, W) bool masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def straightness(mask: Mask) -> float:
    """The share of its outline on its own box, 0 for a mask that fills the photo."""
    outline = Straightness()
    outline.add(mask)
    return outline.share() or 0.0


def agreed(found: Segmentation, mirror: Segmentation) -> list[Mask]:
    """The masks of ``found`` that ``mirror``, of the mirrored photo, has too, largest first."""
    width, height = found.image_size
    others = [mirrored(mask) for mask in mirror.masks]
    kept = [
        mask
        for mask in found.masks
        if mask.area > SMALLEST * width * height
        and straightness(mask) <= STRAIGHTEST
        and max((iou(mask.dense(), other) for other in others), default=0.0) >= AGREEMENT
    ]
    return sorted(kept, key=lambda mask: -mask.area)


def record(name: str, photo: np.ndarray, masks: list[Mask]) -> dict[str, Any]:
    """One line of masks-*.jsonl.gz."""
    height, width = photo.shape[:2]
    rles = [mask.rle() for mask in masks]
    return {"file": name, "width": width, "height": height, "dense": False, "masks": rles}


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    model = FastSAM(options.model, imgsz=options.imgsz, conf=options.conf, iou=0.7)
    count = kept = 0
    lines = []
    for name, photo in read_photos(options.photos).items():
        masks = agreed(model(photo), model(np.ascontiguousarray(photo[:, ::-1])))
        lines.append(json.dumps(record(name, photo, masks)) + "\n")
        count, kept = count + 1, kept + len(masks)
    with gzip.open(
        options.out / options.photos.name.replace("photos", "masks").replace(".tar", ".jsonl.gz"), "wt"
    ) as f:
        f.writelines(lines)
    shutil.copyfile(options.photos, options.out / options.photos.name)
    print(f"{count} photos, {kept} masks")


if __name__ == "__main__":
    main()
