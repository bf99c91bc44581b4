"""Masks as crops against the full-frame computation: the same pixels, the time, the memory.

    python -m tools.check_masks MODEL PHOTO [PHOTO ...] [--objects 150] [--megapixels 12]

The full frame is design decision 6 written out in NumPy for the whole photo, one mask after another. First every photo
is brought to 24 aspect ratios, odd sizes among them, and the pixels are compared; then the first photo is scaled to the
given size and both ways are timed in turn. Linux: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fastsam_onnx.images.load import load_image
from fastsam_onnx.masks.detections import Detections, detect
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.network import Network
from tools.benchmark import memory

SIDES = [
    (640, 480), (480, 640), (641, 479), (500, 333), (333, 500), (427, 640), (101, 57), (57, 101),
    (375, 1242), (1242, 375), (999, 17), (17, 999), (640, 1), (1, 640), (3, 900), (31, 33),
    (32, 32), (33, 31), (1023, 767), (720, 1280), (1280, 720), (1201, 1200), (65, 511), (1500, 1499),
]  # fmt: skip


def full_frame(
    weights: np.ndarray, box: np.ndarray, prototypes: np.ndarray, letterbox: Letterbox
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool mask and float32 logits of the whole photo."""
    logits = np.tensordot(weights, prototypes, 1)
    (width, height), (grid_height, grid_width) = letterbox.image_size, logits.shape
    x0, x1, fx = places(width, letterbox.content_size[0], letterbox.left, letterbox.input_size[0], grid_width)
    y0, y1, fy = places(height, letterbox.content_size[1], letterbox.top, letterbox.input_size[1], grid_height)
    lines = logits[y0] * (1 - fy)[:, None] + logits[y1] * fy[:, None]
    values = lines[:, x0] * (1 - fx) + lines[:, x1] * fx
    column, row = np.arange(width), np.arange(height)[:, None]
    inside = (column >= box[0]) & (column < box[2]) & (row >= box[1]) & (row < box[3])
    return (values > 0) & inside, values


def places(
    side: int, content: int, padding: int, input_side: int, cells: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of the photo: the grid points before and after it, and the share of the latter."""
    place = ((np.arange(side) + 0.5) * content / side + padding) * (cells / input_side) - 0.5
    low, high = padding * cells / input_side, (padding + content) * cells / input_side - 1
    if low > high:
        low = high = (low + high) / 2
    place = np.clip(np.clip(place, low, high), 0, cells - 1)
    first = np.floor(place).astype(int)
    return first, np.minimum(first + 1, cells - 1), (place - first).astype(np.float32)


def find(network: Network, image: np.ndarray, objects: int, imgsz: int) -> tuple[Detections, np.ndarray, Letterbox]:
    letterbox = Letterbox.fit((image.shape[1], image.shape[0]), (imgsz, imgsz), stride=network.contract.stride)
    [(candidates, prototypes, _)] = network.run(letterbox.tensor(image))
    found = detect(
        candidates, letterbox, class_count=network.contract.class_count, conf=0.0005, iou=0.9, max_det=objects
    )
    return found, prototypes, letterbox


def compare_pixels(network: Network, photos: list[np.ndarray]) -> None:
    pixels = differing = far = masks = 0
    for image in photos:
        for width, height in SIDES:
            found, prototypes, letterbox = find(network, cv2.resize(image, (width, height)), 20, 640)
            rows = pending_masks(found.boxes_xyxy, found.coefficients, prototypes, letterbox)
            for row, box, weights in zip(rows, found.boxes_xyxy, found.coefficients, strict=True):
                expected, values = full_frame(weights, box, prototypes, letterbox)
                wrong = row.render().dense() != expected
                edge = cv2.morphologyEx((values > 0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
                pixels, differing, far, masks = (
                    pixels + wrong.size, differing + int(wrong.sum()), far + int((wrong & (edge == 0)).sum()), masks + 1
                )  # fmt: skip
    print(
        f"pixels: {masks} masks of {len(photos)} photos at {len(SIDES)} aspect ratios: {differing} of {pixels} pixels"
        f" differ ({100 * differing / pixels:.6f} %), {far} of them further than one pixel from the boundary"
    )


def compare_times(network: Network, image: np.ndarray, objects: int, megapixels: float, rounds: int) -> None:
    scale = (megapixels * 1e6 / (image.shape[0] * image.shape[1])) ** 0.5
    large = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    letterbox = Letterbox.fit((large.shape[1], large.shape[0]), (1024, 1024), stride=network.contract.stride)
    [(candidates, prototypes, _)] = network.run(letterbox.tensor(large))

    def detections() -> Detections:
        return detect(
            candidates, letterbox, class_count=network.contract.class_count, conf=0.0005, iou=0.9, max_det=objects
        )

    def as_crops() -> list[Mask]:
        found = detections()
        return [row.render() for row in pending_masks(found.boxes_xyxy, found.coefficients, prototypes, letterbox)]

    def as_frames() -> None:
        found = detections()
        for weights, box in zip(found.coefficients, found.boxes_xyxy, strict=True):
            full_frame(weights, box, prototypes, letterbox)

    memory.give_back()
    before = memory.resident()
    memory.clear_peak()
    kept = as_crops()
    peak = memory.peak()
    share = sum(mask.crop.size for mask in kept) / (large.shape[0] * large.shape[1])
    crops, frames = [], []
    for _ in range(rounds):
        crops.append(timed(as_crops))
        frames.append(timed(as_frames))
    ratio = statistics.median(b / a for a, b in zip(crops, frames, strict=True))
    print(
        f"time: {len(kept)} objects in {large.shape[1]}x{large.shape[0]}, boxes {share:.1f} times the photo:"
        f" post-processing and all masks {1000 * statistics.median(crops):.0f} ms as crops,"
        f" {1000 * statistics.median(frames):.0f} ms full-frame, ratio {ratio:.1f}"
    )
    print(f"memory: {peak - before:.0f} MB above the network's own while all crops are kept")


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--objects", type=int, default=150)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    photos = [load_image(photo) for photo in arguments.photos]
    with Network.open(Path(arguments.model)) as network:
        compare_pixels(network, photos)
        compare_times(network, photos[0], arguments.objects, arguments.megapixels, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
