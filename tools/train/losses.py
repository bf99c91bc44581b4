"""What the network is asked for: task-aligned assignment (TOOD, Feng 2021) and the four losses.

CIoU (Zheng 2020) and distribution focal loss (Li 2020) for boxes, binary cross-entropy for scores,
binary cross-entropy and dice (Milletari 2016) for masks. Scores are asked for the IoU of box and mask (mask scoring,
Huang 2019), so that what is segmented best comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .data import Batch
from .network import PROTOTYPE_STRIDE, REG_MAX, STRIDES, Raw, anchor_points, decode_boxes

TOP_K = 10
ALPHA = 0.5  # exponent of the score in the alignment
BETA = 6.0  # exponent of the IoU
MASKS_PER_PHOTO = 96  # positives whose masks and scores are compared, drawn at random
MARGIN, LARGE_MARGIN = 0.1, 0.5  # around a box, shares of its sides
LARGE = 0.3  # root of a box's share of the canvas
GAINS = {"box": 7.5, "distribution": 1.5, "score": 0.5, "mask": 3.0, "dice": 4.0}


@dataclass(frozen=True)
class Assignment:
    """Which object each of A anchors answers for, in B pictures."""

    positive: Tensor  # (B, A) bool
    objects: Tensor  # (B, A) the object among the picture's own; 0 where there is none
    targets: Tensor  # (B, A) the score it should say, 0 to 1


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """(..., n, 4) and (..., m, 4) xyxy to (..., n, m)."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    x = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    y = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    common = x.clamp(min=0) * y.clamp(min=0)
    area_a, area_b = ((c[..., 2] - c[..., 0]) * (c[..., 3] - c[..., 1]) for c in (a, b))
    return common / (area_a + area_b - common).clamp(min=1e-6)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """CIoU of paired boxes (n, 4) xyxy: IoU less the distance of centres and the difference of aspects."""
    corner1, corner2 = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    common = (corner2 - corner1).clamp(min=0).prod(1)
    size_a, size_b = (a[:, 2:] - a[:, :2]).clamp(min=1e-3), (b[:, 2:] - b[:, :2]).clamp(min=1e-3)
    iou = common / (size_a.prod(1) + size_b.prod(1) - common)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    distance = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1) / hull.square().sum(1)
    angles = torch.atan(size_a[:, 0] / size_a[:, 1]) - torch.atan(size_b[:, 0] / size_b[:, 1])
    aspect = 4 / math.pi**2 * angles.square()
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect).clamp(min=1e-6)
    return iou - distance - weight * aspect


def distribution_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy to the two bins around each distance: (n, 4 * REG_MAX), (n, 4) strides to (n,)."""
    distances = distances.clamp(0, REG_MAX - 1.01)
    lower = distances.floor()
    share = distances - lower  # of the upper bin
    log_p = logits.unflatten(1, (4, REG_MAX)).log_softmax(2)
    index = lower.long()[..., None]
    below = log_p.gather(2, index)[..., 0]
    above = log_p.gather(2, index + 1)[..., 0]
    return -(below * (1 - share) + above * share).mean(1)


def padded(batch: Batch) -> tuple[Tensor, Tensor]:
    """Boxes (B, G, 4) of the objects of each picture, zeros beyond its own, and their numbers (B, G) in the batch."""
    counts = torch.bincount(batch.owners, minlength=len(batch.photos))
    starts = counts.cumsum(0) - counts
    places = torch.arange(len(batch.owners), device=counts.device) - starts[batch.owners]
    boxes = batch.boxes.new_zeros(len(counts), int(counts.max()), 4)
    boxes[batch.owners, places] = batch.boxes
    return boxes, starts[:, None] + torch.arange(boxes.shape[1], device=counts.device)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, objects: Tensor) -> Assignment:
    """Gives each object the TOP_K anchors inside its box that align best.

    ``scores`` (B, A) 0 to 1, predicted ``boxes`` (B, A, 4), ``points`` (A, 2), ``objects`` (B, G, 4); all in pixels.
    An object without area has no anchors. An anchor that several want goes to the one that its box overlaps most.
    """
    x1, y1, x2, y2 = objects[..., None].unbind(2)  # (B, G, 1) each
    x, y = points.unbind(1)
    inside = (x > x1) & (x < x2) & (y > y1) & (y < y2)  # (B, G, A)
    iou = pairwise_iou(objects, boxes) * inside
    alignment = scores[:, None].pow(ALPHA) * iou.pow(BETA)
    best, anchors = alignment.topk(min(TOP_K, scores.shape[1]), 2)
    chosen = torch.zeros_like(inside).scatter_(2, anchors, best > 0)
    owner = (iou * chosen).argmax(1)  # (B, A)
    positive = chosen.any(1)
    own = torch.zeros_like(chosen).scatter_(1, owner[:, None], positive[:, None])
    peak_alignment = (alignment * own).amax(2).gather(1, owner)
    peak_iou = (iou * own).amax(2).gather(1, owner)
    mine = alignment.gather(1, owner[:, None])[:, 0]
    return Assignment(positive, owner, mine / peak_alignment.clamp(min=1e-12) * peak_iou * positive)


def margins(boxes: Tensor, height: int, width: int) -> Tensor:
    """(P, 1): how far beyond its box a mask is compared, as a share of the sides.

    A tenth, so that masks end by themselves; half for large objects, whose boxes are uncertain: what is cut off by one
    can be taken back only if the mask is right there too.
    """
    grid = boxes / PROTOTYPE_STRIDE
    share = ((grid[:, 2:] - grid[:, :2]).prod(1, keepdim=True) / (height * width)).sqrt()
    return torch.where(share > LARGE, LARGE_MARGIN, MARGIN)


def box_weights(boxes: Tensor, height: int, width: int, margin: Tensor | float = MARGIN) -> Tensor:
    """(P, h, w) of 0 and 1: the cells of boxes grown by ``margin`` of the sides and one cell."""
    grid = boxes / PROTOTYPE_STRIDE
    margin = margin * (grid[:, 2:] - grid[:, :2]) + 1
    low, high = grid[:, :2] - margin, grid[:, 2:] + margin
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    in_x = (x >= low[:, :1]) & (x < high[:, :1])
    in_y = (y >= low[:, 1:]) & (y < high[:, 1:])
    return (in_y[:, :, None] & in_x[:, None, :]).float()


def mask_losses(logits: Tensor, masks: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy, dice and the IoU, each (P,), inside the boxes and their margins.

    ``logits`` (P, h, w), ``masks`` (P, h, w) 0 to 1, ``boxes`` (P, 4) pixels.
    """
    height, width = logits.shape[1:]
    near = box_weights(boxes, height, width, MARGIN)
    weights = box_weights(boxes, height, width, margins(boxes, height, width))
    entropy = F.binary_cross_entropy_with_logits(logits, masks, weights, reduction="none").sum((1, 2))
    entropy = entropy / weights.sum((1, 2)).clamp(min=1)
    said = logits.sigmoid() * weights
    wanted = masks * weights
    dice = 1 - (2 * (said * wanted).sum((1, 2)) + 1) / (said.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    with torch.no_grad():
        found, true = (logits > 0) * near, (masks > 0.5) * near  # what is shown is cropped
        common = (found * true).sum((1, 2))
        iou = common / (found.sum((1, 2)) + true.sum((1, 2)) - common).clamp(min=1)
    return entropy, dice, iou


def drawn(shares: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(B, count) anchors drawn by their ``shares`` (B, A), each once; those of share 0 come last."""
    # the order of u ** (1 / share) is a draw without replacement (Efraimidis and Spirakis 2006)
    keys = torch.rand(shares.shape, generator=generator, device=shares.device).log() / shares.clamp(min=1e-30)
    return keys.topk(min(count, shares.shape[1]), 1).indices


def background_weights(background: Tensor, strides: Sequence[int] = STRIDES) -> Tensor:
    """(B, H/32, W/32) to (B, A): the weight of "nothing here" at every anchor of levels of these strides."""
    factors = [STRIDES[-1] // stride for stride in strides]
    levels = [background.repeat_interleave(k, 1).repeat_interleave(k, 2).flatten(1) for k in factors]
    return torch.cat(levels, 1)


def losses(raw: Raw, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """The five terms of a batch, with their gains applied; their sum is minimised."""
    wanted, weights = torch.zeros_like(raw.scores), background_weights(batch.background)
    terms: dict[str, Tensor] = {}
    if len(batch.boxes):
        points, strides = (part.to(raw.scores.device) for part in anchor_points(*batch.photos.shape[2:]))
        objects, numbers = padded(batch)
        found = assign(raw.scores.detach().sigmoid(), raw.boxes, points, objects)
        numbers = numbers.gather(1, found.objects)  # (B, A) of the batch's objects
        terms |= box_terms(raw, found, batch.boxes[numbers[found.positive]], points, strides)
        some = drawn(found.positive.float(), MASKS_PER_PHOTO, generator)
        some_numbers, positive = numbers.gather(1, some), found.positive.gather(1, some)
        some_numbers = some_numbers.where(positive, 0)
        logits = mask_logits(raw.coefficients, raw.prototypes, some)[positive]
        masks = batch.masks[some_numbers[positive]].float() / 255
        entropy, dice, mask_iou = mask_losses(logits, masks, batch.boxes[some_numbers[positive]])
        if len(entropy):
            terms |= {"mask": entropy.mean(), "dice": dice.mean()}
        rows, columns = torch.arange(len(some), device=some.device)[:, None].expand_as(some)[positive], some[positive]
        weights[found.positive] = 0.0  # of those that were not drawn nothing is known
        weights[rows, columns] = 1.0
        trusts = batch.trusts[some_numbers[positive]]
        wanted[rows, columns] = (found.targets[rows, columns] * mask_iou).sqrt() * trusts
    score = F.binary_cross_entropy_with_logits(raw.scores, wanted, weights, reduction="sum")
    terms["score"] = score / wanted.sum().clamp(min=1)
    return {name: GAINS[name] * term for name, term in terms.items()}


def box_terms(raw: Raw, found: Assignment, objects: Tensor, points: Tensor, strides: Tensor) -> dict[str, Tensor]:
    """Boxes and their distributions at the P positive anchors, whose ``objects`` are (P, 4)."""
    anchors = found.positive.nonzero()[:, 1]
    if not len(anchors):
        return {}
    logits, targets = raw.distances[found.positive], found.targets[found.positive]
    centres, steps = points[anchors], strides[anchors]
    total = targets.sum().clamp(min=1)
    distances = torch.cat([centres - objects[:, :2], objects[:, 2:] - centres], 1) / steps[:, None]
    iou = complete_iou(decode_boxes(logits, centres, steps), objects)
    return {
        "box": ((1 - iou) * targets).sum() / total,
        "distribution": (distribution_loss(logits, distances) * targets).sum() / total,
    }


def mask_logits(coefficients: Tensor, prototypes: Tensor, anchors: Tensor) -> Tensor:
    """(B, K, h, w) of the anchors (B, K): (B, A, 32) coefficients times (B, 32, h, w) prototypes."""
    chosen = coefficients.gather(1, anchors[..., None].expand(-1, -1, coefficients.shape[2]))
    return (chosen @ prototypes.flatten(2)).unflatten(2, prototypes.shape[2:])
