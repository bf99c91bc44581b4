"""Chooses the input size, the lift of the masks and the default thresholds of an exported network on train_validation.

    python -m tools.train.choose weights/fastsam-nano.onnx --data ../shared/data

Quality is the mean of AR@100, AR@1000 and box-prompt IoU. Size: the smallest that keeps KEEP_SIZE of the best quality,
for time grows with its square. Lift: logits say how likely a pixel is, and where that is unsure the best IoU lies
below one half, most so in the middle of a box; of the lifts that keep KEEP_LIFTED of the best quality the one that
raises the sides of boxes least, for masks that reach these are cut straight. Thresholds: of those that keep KEEP of
the best quality with at most 300 detections a photo, the ones with the fewest, for every detection more is clutter.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch

from .data import load_validation
from .network import ELLIPSE, lift_of, placed_ellipses
from .validate import Run, examine, figures

SIZES = (320, 384, 448, 512, 576, 640, 768)
CONFS = (0.001, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
IOUS = (0.7, 0.8, 0.9)
LIFTS = tuple((everywhere, middle) for everywhere in (0.0, 0.3, 0.6) for middle in (0.0, 0.7))
KEEP = 0.95
KEEP_SIZE = 0.98
KEEP_LIFTED = 0.995


def open_network(path: Path, threads: int) -> Run:
    """The file's two outputs as a function of a photo (1, 3, H, W)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(session.run(None, {"images": photo}))

    return run


def lifted(run: Run, everywhere: float, middle: float) -> Run:
    """The network with its mask logits raised: by a constant, and by ``middle`` in the middle of each box."""
    ellipse = torch.tensor(lift_of(everywhere, middle))

    def raised(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        output0, output1 = run(photo)
        centres, sizes = torch.from_numpy(output0[0, :4].T).split(2, 1)
        boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], 1)
        placed = placed_ellipses(ellipse.expand(len(boxes), ELLIPSE), boxes, *photo.shape[2:])
        output0 = output0.copy()
        output0[0, -ELLIPSE:] += placed.T.numpy()
        return output0, output1

    return raised


def quality(values: dict[str, float]) -> float:
    """One number: the mean of AR@100, AR@1000 and box-prompt IoU, in per cent."""
    return (values["AR@100"] + values["AR@1000"] + values["box"]) / 3


def good_enough(results: dict[Any, dict[str, float]], keep: float) -> list[Any]:
    """The settings that keep a share of the best quality."""
    least = keep * max(quality(values) for values in results.values())
    return [setting for setting, values in results.items() if quality(values) >= least]


def report(values: dict[str, float], **given: float) -> None:
    """One line of JSON."""
    rounded = {name: round(value, 2) for name, value in values.items()}
    print(json.dumps({**given, **rounded, "quality": round(quality(values), 2)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of train_validation")
    parser.add_argument("--photos", type=int, default=200, help="use the first so many")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = open_network(options.model, options.threads)
    examples = load_validation(options.data / "train_validation")[: options.photos]

    by_size = {}
    for size in options.sizes:
        by_size[size] = figures(examine(run, examples, size))
        report(by_size[size], imgsz=size)
    imgsz = min(good_enough(by_size, KEEP_SIZE))

    by_lift = {}
    for lift in LIFTS:
        by_lift[lift] = figures(examine(lifted(run, *lift), examples, imgsz))
        report(by_lift[lift], imgsz=imgsz, everywhere=lift[0], middle=lift[1])
    lift = min(good_enough(by_lift, KEEP_LIFTED), key=lambda pair: pair[0] - pair[1] / 3)  # its mean along a side

    by_thresholds = {}
    for iou in IOUS:
        examined = examine(lifted(run, *lift), examples, imgsz, conf=min(CONFS), iou=iou, most=300)
        for conf in CONFS:
            by_thresholds[conf, iou] = figures(examined, conf)
            report(by_thresholds[conf, iou], imgsz=imgsz, iou=iou, conf=conf)
    conf, iou = min(good_enough(by_thresholds, KEEP), key=lambda pair: by_thresholds[pair]["found"])
    print(f"--imgsz {imgsz} --conf {conf} --iou {iou} --lift {lift[0]} {lift[1]}")


if __name__ == "__main__":
    main()
