"""Trains the head for small objects of a finished network; can be stopped and started again at any moment.

    python -m tools.train.fine.train --network ../runs/nano/state.pt --data DATA --out ../runs/fine

Only objects whose box has sides of at most LARGEST pixels of the canvas are asked for; the others are background.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ..beside import Beside
from ..data import TAUGHT_SHARE, Batch, load_training
from ..export import head_of_file, load_mean
from ..losses import Assignment, assign, background_weights, complete_iou, drawn, mask_logits, mask_losses, padded
from ..network import PROTOTYPE_STRIDE, SegmentEverything, centres
from ..precision import autocast
from ..reopen import reopened
from ..sampler import SHORT_SIDES, Sampler
from ..train import batches, is_network_file
from .network import Answers, Fine, fine_features

LARGEST = 48.0  # canvas pixels
MASKS_PER_PHOTO = 64
CLIP = 10.0
GAINS = {"box": 2.0, "score": 0.5, "mask": 1.0, "dice": 1.0}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--network", type=Path, required=True, help="state.pt of the finished network, or its file")
    parser.add_argument("--start", type=Path, help="a network's file whose head is to learn on")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_labelled")
    parser.add_argument("--taught", type=Path, nargs="+", default=[], help="the teacher's labels, from teach.py")
    parser.add_argument("--taught-share", type=float, default=TAUGHT_SHARE)
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt and log.jsonl")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--canvases", type=int, nargs="+", default=(448, 640, 640), choices=SHORT_SIDES)
    parser.add_argument("--pixels", type=int, default=1_146_880)
    parser.add_argument("--limit", type=int, help="train on this many photos only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    return parser.parse_args()


def small_only(boxes: Tensor) -> Tensor:
    """Boxes (..., 4), those without sides of at most LARGEST without area, so that nothing answers for them."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes * (sides.amax(-1, keepdim=True) <= LARGEST)


def losses(said: Answers, prototypes: Tensor, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Box, mask and score of the small objects of a batch, with their gains."""
    weights = background_weights(batch.background, (PROTOTYPE_STRIDE,))
    wanted, terms = torch.zeros_like(said.scores), {}
    if len(batch.boxes):
        objects, numbers = padded(batch)
        found = assigned(said, small_only(objects), prototypes.shape[2:])
        numbers = numbers.gather(1, found.objects)
        some = drawn(found.positive.float(), MASKS_PER_PHOTO, generator)
        picked = found.positive.gather(1, some)
        if picked.any():
            rows, anchors = torch.arange(len(some))[:, None].expand_as(some)[picked], some[picked]
            numbers, targets = numbers[rows, anchors], found.targets[rows, anchors]
            boxes = batch.boxes[numbers]
            iou = complete_iou(said.boxes[rows, anchors], boxes)
            terms["box"] = ((1 - iou) * targets).sum() / targets.sum().clamp(min=1)
            logits = mask_logits(said.coefficients, prototypes, some)[picked]
            entropy, dice, mask_iou = mask_losses(logits, batch.masks[numbers].float() / 255, boxes)
            terms |= {"mask": entropy.mean(), "dice": dice.mean()}
            weights[found.positive] = 0.0  # of those that were not drawn nothing is known
            weights[rows, anchors] = 1.0
            wanted[rows, anchors] = (targets * mask_iou).sqrt() * batch.trusts[numbers]
    score = F.binary_cross_entropy_with_logits(said.scores, wanted, weights, reduction="sum")
    terms["score"] = score / wanted.sum().clamp(min=1)
    return {name: GAINS[name] * term for name, term in terms.items()}


def assigned(said: Answers, objects: Tensor, grid: torch.Size) -> Assignment:
    """`losses.assign` picture by picture: a picture of few objects need not carry the many of another."""
    rows, columns = grid
    points = centres(rows, columns, PROTOTYPE_STRIDE)
    scores, boxes = said.scores.detach().sigmoid(), said.boxes.detach()
    parts = []
    for row in range(len(objects)):
        own = (objects[row, :, 2] > objects[row, :, 0]).nonzero()[:, 0]
        own = own if len(own) else torch.zeros(1, dtype=torch.long)
        one = assign(scores[row : row + 1], boxes[row : row + 1], points, objects[row : row + 1, own])
        parts.append(Assignment(one.positive, own[one.objects], one.targets))
    return Assignment(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("positive", "objects", "targets"))
    )


class Training(Beside):
    """The head, and the network that it belongs to, which does not learn."""

    def __init__(self, network: SegmentEverything, head: Fine | None, rate: float) -> None:
        """``head``: what a file had; without one it begins at random."""
        fresh = Fine(network.prototypes.predict.in_channels) if head is None else head
        super().__init__(fresh, rate, CLIP, still=head is not None)
        self.whole = network.requires_grad_(False).to(memory_format=torch.channels_last)

    def learn(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.set_rate(progress)
        photos = (batch.photos.float() / 255).contiguous(memory_format=torch.channels_last)
        with autocast("cpu"):
            with torch.no_grad():
                features = fine_features(self.whole, photos)
                prototypes = self.whole.prototypes(features)
            said = self.network(features)
        terms = losses(said, prototypes, batch, torch.Generator().manual_seed(self.step))
        self.descend(sum(terms.values()))
        return {name: float(term.detach()) for name, term in terms.items()}


def finished(path: Path) -> SegmentEverything:
    """The network of a file, or the averaged one of a state."""
    if is_network_file(path):
        return reopened(path)
    return load_mean(torch.load(path, map_location="cpu", weights_only=True))


def first_head(start: Path | None) -> Fine | None:
    """The head for small objects that learns on; None for a new one."""
    return None if start is None else head_of_file(start)


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    photos = load_training(options.data / "train_labelled", options.limit, options.taught)
    sampler = Sampler(
        photos, options.seed, pixels=options.pixels, canvases=options.canvases, taught_share=options.taught_share
    )
    training = Training(finished(options.network), first_head(options.start), options.rate)
    training.go_on(options.out)
    print(f"{len(photos)} photos, from step {training.step}", flush=True)
    training.learn_all(batches(sampler, training.step, 10**9, options.workers), options)


if __name__ == "__main__":
    main()
