"""Photos and masks: read once into memory, then cropped, scaled, mirrored and coloured into batches.

A batch is a function of (seed, step) alone, so training can stop and go on anywhere.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from fastsam_onnx.masks.mask import Mask

from .. import sets
from .network import PROTOTYPE_STRIDE

GREY = 114
SHRINK = 2  # masks are kept at half of the photo's size: still finer than any prototype they are compared with

# Sampling weights by prefix, as the README of the data suggests; labelled prefixes not named share OTHERS.
PREFIX_WEIGHTS = {"bsds": 3.0, "ade": 3.0, "coco": 3.0, "ccp": 1.0}
OTHERS_WEIGHT = 2.0
TAUGHT_FOLDERS = {"train_unlabelled": 2.0, "train_photos640": 3.0}  # photos that only the teacher has labelled
TAUGHT_SHARE = 0.25  # of the pictures

# Weight of "no object here": where everything is annotated, where a teacher looked, where some things are.
DENSE, TAUGHT, PARTIAL = 1.0, 0.3, 0.1
TEACHER_SHA256 = "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f"
TEACHER = f"MobileSAM (mobile_sam.pt, sha256 {TEACHER_SHA256}), Apache-2.0"
TAUGHT_TRUST = 0.5  # of a score: what people would draw comes before a teacher's countless parts

MIN_SIDE = 6.0  # canvas pixels; smaller objects are not asked for


@dataclass(frozen=True)
class MaskCrop:
    """One object: its pixels at 1/SHRINK of the photo's size and where they lie."""

    left: int  # in shrunken pixels
    top: int
    pixels: np.ndarray  # (h, w) uint8, 0 to 255, share of foreground
    trust: float = 1.0  # what its score is multiplied by


@dataclass(frozen=True)
class Photo:
    """One photo with its objects."""

    name: str
    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    background: float  # weight of "no object here"
    masks: tuple[MaskCrop, ...]
    folder: str = "train_labelled"  # of the others people have labelled nothing


@dataclass(frozen=True)
class Example:
    """One training picture."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    boxes: np.ndarray  # (G, 4) float32 xyxy canvas pixels
    masks: np.ndarray  # (G, H/4, W/4) uint8, 0 to 255
    trusts: np.ndarray  # (G,) float32
    background: np.ndarray  # (H/32, W/32) float32, weight of "no object here"


@dataclass(frozen=True)
class Batch:
    """Tensors of B examples and of their N objects, one example's after the other's."""

    photos: Tensor  # (B, 3, H, W) uint8 RGB
    boxes: Tensor  # (N, 4) float32 xyxy canvas pixels
    masks: Tensor  # (N, H/4, W/4) uint8
    trusts: Tensor  # (N,) float32
    owners: Tensor  # (N,) int64, the example that an object lies on
    background: Tensor  # (B, H/32, W/32) float32

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Batch:
        """The batch of examples of one size."""
        counts = torch.tensor([len(example.boxes) for example in examples])
        return cls(
            torch.from_numpy(np.stack([example.pixels for example in examples])).permute(0, 3, 1, 2),
            torch.from_numpy(np.concatenate([example.boxes for example in examples])),
            torch.from_numpy(np.concatenate([example.masks for example in examples])),
            torch.from_numpy(np.concatenate([example.trusts for example in examples])),
            torch.arange(len(examples)).repeat_interleave(counts),
            torch.from_numpy(np.stack([example.background for example in examples])),
        )

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU reads directly; called by PyTorch's loader."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))

    def to(self, device: str) -> Batch:
        """The same on a device."""
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


def decode_rle(size: list[int], counts: str) -> np.ndarray:
    """COCO's compressed run lengths to a (height, width) uint8 mask of 0 and 1."""
    return Mask.from_rle({"size": size, "counts": counts}).dense().view(np.uint8)


def crop_mask(mask: np.ndarray, trust: float = 1.0) -> MaskCrop | None:
    """A full (H, W) mask to a crop at half size; None when nothing is left."""
    height, width = mask.shape
    even = cv2.copyMakeBorder(mask, 0, height % SHRINK, 0, width % SHRINK, cv2.BORDER_REPLICATE)
    small = cv2.resize(even * 255, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    rows, columns = np.flatnonzero(small.any(1)), np.flatnonzero(small.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return MaskCrop(left, top, small[top : rows[-1] + 1, left : columns[-1] + 1].copy(), trust)


def read_photos(tar: Path) -> dict[str, np.ndarray]:
    """Every JPEG of a tar, by name, as RGB."""
    files = dict(sets.photos_of(tar))
    with ThreadPoolExecutor() as pool:
        return dict(zip(files, pool.map(decode_photo, files.values()), strict=True))


def decode_photo(jpeg: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    photo = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if photo is None:
        raise SystemExit(f"a photo of the data set, {len(jpeg)} bytes, cannot be decoded")
    return photo[..., ::-1]


def labelled(folder: Path) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Pixels and record (README of the data) of every photo of shared/data/train_labelled."""
    for tar in sets.archives(folder):
        pixels = read_photos(tar)
        for record in sets.records_of(tar):
            yield pixels[record["file"]], record


def unlabelled(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and pixels of every photo of shared/data/train_unlabelled or its like."""
    for tar in sets.archives(folder):
        yield from read_photos(tar).items()


def load_training(folder: Path, limit: int | None = None, taught: Sequence[Path] = (), workers: int = 0) -> list[Photo]:
    """Reads shared/data/train_labelled (or its first photos) into memory.

    ``taught``: what teach.py wrote; its masks come beside the drawn ones, and so do the photos of TAUGHT_FOLDERS.
    ``workers``: number of processes that decode masks; 0 is this one.
    """
    more = read_taught(taught, workers)
    pairs = list(itertools.islice(labelled(folder), limit))
    if not pairs:
        raise SystemExit(f"{folder} must hold photos-*.tar with masks-*.jsonl.gz beside them, and holds no such photo")
    photos: list[Photo] = []
    drawn = in_parallel(crop_masks, [record["masks"] for _, record in pairs], workers)
    for (pixels, record), masks in zip(pairs, drawn, strict=True):
        name = record["file"]
        background = DENSE if record["dense"] else TAUGHT if name in more else PARTIAL
        photos.append(Photo(name, pixels, background, (*masks, *more.get(name, ()))))
    if limit:
        return photos
    for other in TAUGHT_FOLDERS:
        for name, pixels in unlabelled(folder.parent / other):
            if more.get(name):
                photos.append(Photo(name, pixels, TAUGHT, more[name], other))
    return photos


def taught_records(paths: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """The teacher's masks by photo, as run lengths; those of a later file replace those of an earlier one."""
    masks: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        with gzip.open(path, "rt") as lines:
            masks |= {record["file"]: record["masks"] for record in map(json.loads, lines)}
    return masks


def read_taught(paths: Sequence[Path], workers: int = 0) -> dict[str, tuple[MaskCrop, ...]]:
    """The teacher's masks by photo."""
    masks = taught_records(paths)
    crops = in_parallel(partial(crop_masks, trust=TAUGHT_TRUST), list(masks.values()), workers)
    return dict(zip(masks, crops, strict=True))


def in_parallel(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> list[Any]:
    """The function of every item, in order, by as many processes; 0 is this one."""
    if not workers:
        return [function(item) for item in items]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(function, items, chunksize=8))


def crop_masks(records: list[dict[str, Any]], trust: float = 1.0) -> tuple[MaskCrop, ...]:
    """COCO's compressed RLEs as crops."""
    crops = (crop_mask(decode_rle(mask["size"], mask["counts"]), trust) for mask in records)
    return tuple(crop for crop in crops if crop is not None)


def load_validation(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Reads shared/data/train_validation: photos (H, W, 3) and their masks (G, H, W) uint8."""
    examples = []
    for photo, record in sets.labelled(folder):
        runs = [mask["segmentation"] for mask in record["masks"] if not mask.get("crowd")]
        if runs:
            masks = np.stack([decode_rle(run["size"], run["counts"]) for run in runs])
            examples.append((decode_photo(photo), masks))
    return examples


def sampling_weights(photos: list[Photo], taught_share: float = TAUGHT_SHARE) -> np.ndarray:
    """(n,) probabilities that honour PREFIX_WEIGHTS and its like; ``taught_share`` is that of TAUGHT_FOLDERS."""
    groups = []
    for photo in photos:
        prefix = photo.name.split("_")[0].rstrip("0123456789")
        drawn = prefix if prefix in PREFIX_WEIGHTS else "others"
        groups.append(photo.folder if photo.folder in TAUGHT_FOLDERS else drawn)
    shares = PREFIX_WEIGHTS | {"others": OTHERS_WEIGHT} | TAUGHT_FOLDERS
    counts = Counter(groups)
    weights = np.array([shares[group] / counts[group] for group in groups])
    taught = np.array([group in TAUGHT_FOLDERS for group in groups])
    for part, share in ((taught, taught_share), (~taught, 1 - taught_share)):
        weights[part] *= share / max(weights[part].sum(), 1e-9)
    return weights / weights.sum()


@dataclass(frozen=True)
class Placement:
    """Where a photo lies on a canvas: canvas = photo * scale + shift; a negative scale_x mirrors."""

    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float
    height: int  # of the canvas
    width: int

    def matrix(self, ratio: float, left: float = 0.0, top: float = 0.0) -> np.ndarray:
        """For cv2.warpAffine, whose pixel centres are integers.

        From an array whose pixels are 1/``ratio`` photo pixels and start at (left, top) of the photo.
        """
        x, y = self.scale_x * ratio, self.scale_y * ratio
        return np.array(
            [
                [x, 0, self.shift_x + left * self.scale_x + x / 2 - 0.5],
                [0, y, self.shift_y + top * self.scale_y + y / 2 - 0.5],
            ]
        )

    def shrunk(self, ratio: float) -> Placement:
        """The same place on a canvas 1/``ratio`` as large."""
        return Placement(
            self.scale_x / ratio,
            self.scale_y / ratio,
            self.shift_x / ratio,
            self.shift_y / ratio,
            int(self.height / ratio),
            int(self.width / ratio),
        )


def random_placement(
    photo: np.ndarray, height: int, width: int, smallest: float, rng: np.random.Generator
) -> Placement:
    """Scale 1 shows the whole photo as large as the canvas allows; it is drawn from ``smallest`` to 1.8.

    Where the photo is larger than the canvas a window of it is shown, else it lies somewhere on the canvas.
    """
    h, w = photo.shape[:2]
    scale = min(height / h, width / w) * math.exp(rng.uniform(math.log(smallest), math.log(1.8)))
    stretch = math.exp(rng.uniform(-0.12, 0.12))
    scale_x, scale_y = scale * stretch, scale / stretch
    shift_x, shift_y = rng.uniform() * (width - w * scale_x), rng.uniform() * (height - h * scale_y)
    if rng.random() < 0.5:
        scale_x, shift_x = -scale_x, shift_x + w * scale_x
    return Placement(scale_x, scale_y, shift_x, shift_y, height, width)


def place(photo: Photo, at: Placement, background: float) -> Example:
    """One photo on a canvas; masks and boxes follow. ``background``: weight of "no object here"."""
    return Example(
        place_pixels(photo.pixels, at),
        *place_masks(photo.masks, at),
        np.full((at.height // 32, at.width // 32), background, np.float32),
    )


def place_pixels(pixels: np.ndarray, at: Placement) -> np.ndarray:
    """The canvas (height, width, 3), grey where the photo does not reach."""
    pixels, ratio = np.ascontiguousarray(pixels), 1.0
    if at.scale_y < 0.75:  # warpAffine does not average: halve by area first
        pixels, ratio = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 2.0
    how = cv2.INTER_CUBIC if at.scale_y > 1 else cv2.INTER_LINEAR  # enlarged photos stay as sharp as can be
    return cv2.warpAffine(pixels, at.matrix(ratio), (at.width, at.height), flags=how, borderValue=(GREY,) * 3)


def place_masks(masks: tuple[MaskCrop, ...], at: Placement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (G, 4), prototype-sized masks (G, H/4, W/4) and trusts (G,) of the objects that show."""
    small = at.shrunk(PROTOTYPE_STRIDE)
    boxes, placed, trusts = [], [], []
    for mask in masks:
        box = place_box(mask, at)
        if box is not None:
            matrix = small.matrix(SHRINK, mask.left * SHRINK, mask.top * SHRINK)
            boxes.append(box)
            trusts.append(mask.trust)
            placed.append(cv2.warpAffine(mask.pixels, matrix, (small.width, small.height), flags=cv2.INTER_LINEAR))
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(placed, np.uint8).reshape(-1, small.height, small.width),
        np.array(trusts, np.float32),
    )


def place_box(mask: MaskCrop, at: Placement) -> np.ndarray | None:
    """The box (4,) xyxy of what shows of a mask on the canvas; None when that is too little."""
    ends = sorted((x - at.shift_x) / at.scale_x / SHRINK - mask.left for x in (0, at.width))
    rows, columns = mask.pixels.shape
    x1, x2 = (min(max(round(end), 0), columns) for end in ends)
    y1, y2 = (min(max(round((y - at.shift_y) / at.scale_y / SHRINK - mask.top), 0), rows) for y in (0, at.height))
    if x2 <= x1 or y2 <= y1:
        return None
    if (x2 - x1, y2 - y1) != (columns, rows):  # cut by the canvas: the rest has a tighter box
        visible = mask.pixels[y1:y2, x1:x2] > 127
        xs, ys = np.flatnonzero(visible.any(0)), np.flatnonzero(visible.any(1))
        if not len(xs) or visible.sum() < 0.05 * (mask.pixels > 127).sum():
            return None
        x1, x2, y1, y2 = x1 + xs[0], x1 + xs[-1] + 1, y1 + ys[0], y1 + ys[-1] + 1
    x = np.clip((mask.left + np.array([x1, x2])) * SHRINK * at.scale_x + at.shift_x, 0, at.width)
    y = np.clip((mask.top + np.array([y1, y2])) * SHRINK * at.scale_y + at.shift_y, 0, at.height)
    box = np.array([x.min(), y.min(), x.max(), y.max()], np.float32)
    return box if min(box[2] - box[0], box[3] - box[1]) >= MIN_SIDE else None


def mosaic(tiles: list[Example], split_y: int, split_x: int) -> Example:
    """Four examples on one canvas: top left, top right, bottom left, bottom right."""
    boxes, masks = [], []
    height, width = split_y + tiles[2].pixels.shape[0], split_x + tiles[1].pixels.shape[1]
    pixels = np.empty((height, width, 3), np.uint8)
    background = np.empty((height // 32, width // 32), np.float32)
    for tile, (top, left) in zip(tiles, ((0, 0), (0, split_x), (split_y, 0), (split_y, split_x)), strict=True):
        h, w = tile.pixels.shape[:2]
        pixels[top : top + h, left : left + w] = tile.pixels
        background[top // 32 : (top + h) // 32, left // 32 : (left + w) // 32] = tile.background
        boxes.append(tile.boxes + np.array([left, top, left, top], np.float32))
        after_y, after_x = height - top - h, width - left - w
        masks.append(np.pad(tile.masks, ((0, 0), (top // 4, after_y // 4), (left // 4, after_x // 4))))
    trusts = np.concatenate([tile.trusts for tile in tiles])
    return Example(pixels, np.concatenate(boxes), np.concatenate(masks), trusts, background)


def recolour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, tint, saturation; now and then blurred, sharpened or without colour."""
    gain = rng.uniform(0.75, 1.3) * rng.uniform(0.92, 1.08, 3)
    gamma = math.exp(rng.uniform(-0.3, 0.3))
    levels = np.linspace(0, 1, 256)[:, None] ** gamma
    offset = rng.uniform(-0.08, 0.08)
    table = np.clip((levels * gain + offset) * 255, 0, 255).astype(np.uint8)
    pixels = cv2.LUT(pixels, table[:, None, :])
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.4)
    pixels = cv2.addWeighted(pixels, saturation, grey, 1 - saturation, 0)
    focus = rng.random()
    if focus < 0.1:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.2))
    elif focus < 0.4:  # the training photos are small: users' are sharper at the same size
        soft = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.7, 1.5))
        amount = rng.uniform(0.3, 1.2)
        pixels = cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0)
    return pixels
