"""Models to be measured: a network, and Felzenszwalb's segmentation as a baseline."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import FastSAM, Mask, Segmentation

FloatArray = npt.NDArray[np.floating[Any]]


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
    settings = dict(model.options) | {"AR conf": options.conf, "AR max_det": options.max_det}
    if options.recall_iou is not None:
        settings["AR iou"] = options.recall_iou
    return Model(find, name, settings)


def open_felzenszwalb(options: argparse.Namespace) -> Model:
    """Felzenszwalb and Huttenlocher's segmentation at seven scales; every segment is an object.

    Its score is the contrast with what surrounds it times the root of its share of the photo. There is no threshold
    that would mean anything: prompts choose among the best 300.
    """
    from skimage.measure import regionprops
    from skimage.segmentation import felzenszwalb

    def find(rgb: npt.NDArray[np.uint8]) -> Found:
        began = time.perf_counter()
        lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
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

    settings = {"scales": "50 to 3200", "sigma": 0.8, "min_size": 100, "AR max_det": options.max_det}
    return Model(find, "felzenszwalb", settings)


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
