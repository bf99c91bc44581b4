"""What the network is asked for: task-aligned assignment (TOOD, Feng 2021) and the four losses.

CIoU (Zheng 2020) and distribution focal loss (Li 2020) for boxes, binary cross-entropy for scores,
binary cross-entropy and dice (Milletari 2016) for masks. Scores are asked for the IoU of box and mask (mask scoring,
Huang 2019), so that what is segmented best comes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .data import Batch
from .network import PROTOTYPE_STRIDE, REG_MAX, Raw, anchor_points, decode_boxes

TOP_K = 10
ALPHA = 0.5  # exponent of the score in the alignment
BETA = 6.0  # exponent of the IoU
MASKS_PER_PHOTO = 96  # positives whose masks and scores are compared, drawn at random
MARGIN, LARGE_MARGIN = 0.1, 0.5  # around a box, shares of its sides
LARGE = 0.3  # root of a box's share of the canvas
GAINS = {"box": 7.5, "distribution": 1.5, "score": 0.5, "mask": 3.0, "dice": 4.0}


@dataclass(frozen=True)
class Assignment:
    """Which object each anchor answers for."""

    positive: Tensor  # (P,) anchor indices
    objects: Tensor  # (P,) object of each
    targets: Tensor  # (P,) the score it should say, 0 to 1


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n, 4) and (m, 4) xyxy to (n, m)."""
    corner1 = torch.maximum(a[:, None, :2], b[None, :, :2])
    corner2 = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (corner2 - corner1).clamp(min=0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return common / (area_a[:, None] + area_b[None] - common).clamp(min=1e-6)


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


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, objects: Tensor) -> Assignment:
    """Gives each object the TOP_K anchors inside its box that align best.

    ``scores`` (A,) 0 to 1, predicted ``boxes`` (A, 4), ``points`` (A, 2), ``objects`` (G, 4); all in pixels.
    An anchor that several objects want goes to the one that its box overlaps most.
    """
    if not len(objects):
        none = torch.zeros(0, dtype=torch.long, device=scores.device)
        return Assignment(none, none, scores.new_zeros(0))
    inside = torch.cat([points[None] - objects[:, None, :2], objects[:, None, 2:] - points[None]], 2).amin(2) > 0
    iou = pairwise_iou(objects, boxes) * inside  # (G, A)
    alignment = scores[None].pow(ALPHA) * iou.pow(BETA)
    best, anchors = alignment.topk(min(TOP_K, len(scores)), 1)
    chosen = torch.zeros_like(inside).scatter_(1, anchors, best > 0)
    owner = (iou * chosen).argmax(0)  # (A,)
    positive = chosen.any(0).nonzero()[:, 0]
    objects_of = owner[positive]
    own = torch.zeros_like(chosen)
    own[objects_of, positive] = True
    peak_alignment = (alignment * own).amax(1)[objects_of]
    peak_iou = (iou * own).amax(1)[objects_of]
    targets = alignment[objects_of, positive] / peak_alignment.clamp(min=1e-12) * peak_iou
    return Assignment(positive, objects_of, targets)


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


def mask_losses(
    coefficients: Tensor, prototypes: Tensor, masks: Tensor, boxes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy, dice and the IoU, each (P,), inside the boxes and their margins.

    ``coefficients`` (P, 32), ``prototypes`` (32, h, w), ``masks`` (P, h, w) 0 to 1, ``boxes`` (P, 4) pixels.
    """
    height, width = prototypes.shape[1:]
    logits = (coefficients @ prototypes.flatten(1)).unflatten(1, (height, width))
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


def background_weights(background: Tensor) -> Tensor:
    """(B, H/32, W/32) to (B, A): the weight of "nothing here" at every anchor."""
    levels = [background.repeat_interleave(k, 1).repeat_interleave(k, 2).flatten(1) for k in (4, 2, 1)]
    return torch.cat(levels, 1)


def losses(raw: Raw, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """The five terms of a batch, with their gains applied; their sum is minimised."""
    height, width = batch.photos.shape[2:]
    points, strides = (part.to(raw.scores.device) for part in anchor_points(height, width))
    scores = raw.scores.detach().sigmoid()
    wanted = torch.zeros_like(raw.scores)
    weights = background_weights(batch.background)
    picked_logits, picked_points, picked_strides, picked_objects, picked_targets = [], [], [], [], []
    entropies, dices = [], []
    # taken apart once: of every index by itself the gradient is as large as the whole
    distances_of, coefficients_of, prototypes_of = (
        part.unbind() for part in (raw.distances, raw.coefficients, raw.prototypes)
    )
    for row, objects in enumerate(batch.boxes):
        found = assign(scores[row], raw.boxes[row], points, objects)
        if not len(found.positive):
            continue
        picked_logits.append(distances_of[row][found.positive])
        picked_points.append(points[found.positive])
        picked_strides.append(strides[found.positive])
        picked_objects.append(objects[found.objects])
        picked_targets.append(found.targets)
        some = torch.randperm(len(found.positive), generator=generator)[:MASKS_PER_PHOTO]
        owners = found.objects[some.to(found.objects.device)]
        entropy, dice, mask_iou = mask_losses(
            coefficients_of[row][found.positive[some]],
            prototypes_of[row],
            batch.masks[row][owners].float() / 255,
            objects[owners],
        )
        entropies.append(entropy)
        dices.append(dice)
        weights[row, found.positive] = 0.0  # of those that were not drawn nothing is known
        weights[row, found.positive[some]] = 1.0
        wanted[row, found.positive[some]] = (found.targets[some] * mask_iou).sqrt() * batch.trusts[row][owners]

    score = F.binary_cross_entropy_with_logits(raw.scores, wanted, weights, reduction="sum") / wanted.sum().clamp(min=1)
    result = {"score": GAINS["score"] * score}
    if picked_logits:
        logits, targets = torch.cat(picked_logits), torch.cat(picked_targets)
        total = targets.sum().clamp(min=1)
        centres, steps = torch.cat(picked_points), torch.cat(picked_strides)
        objects = torch.cat(picked_objects)
        predicted = decode_boxes(logits, centres, steps)
        distances = torch.cat([centres - objects[:, :2], objects[:, 2:] - centres], 1) / steps[:, None]
        result["box"] = GAINS["box"] * ((1 - complete_iou(predicted, objects)) * targets).sum() / total
        result["distribution"] = GAINS["distribution"] * (distribution_loss(logits, distances) * targets).sum() / total
        result["mask"] = GAINS["mask"] * torch.cat(entropies).mean()
        result["dice"] = GAINS["dice"] * torch.cat(dices).mean()
    return result
