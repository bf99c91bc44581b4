"""What a student is asked for by its teacher: every anchor's score, box and mask, on any picture, without labels.

The two networks have the same anchors, bins and prototype grid, so each answer has its counterpart: no assignment.
Distributions of distances as in localization distillation (Zheng 2022); masks are compared where the teacher's own
boxes lie, and some way beyond, as in losses.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .losses import box_weights, complete_iou, drawn, margins, mask_logits
from .network import REG_MAX, Raw, anchor_points, decode_boxes

LIKELY = 0.02  # the teacher's score from which its box is looked at
MASKS_PER_PHOTO = 48  # anchors whose masks are compared, drawn by the teacher's score
GAINS = {"score": 0.5, "box": 7.5, "distribution": 3.0, "mask": 3.0, "dice": 4.0}


def divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence (n,) of distance distributions (n, 4 * REG_MAX), mean of the four sides."""
    log_p, log_q = (part.unflatten(1, (4, REG_MAX)).log_softmax(2) for part in (logits, wanted))
    return (log_q.exp() * (log_q - log_p)).sum(2).mean(1)


def box_terms(raw: Raw, teacher: Raw, shares: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Boxes and their distributions where the teacher sees something, weighted by its score ``shares`` (B, A)."""
    rows, anchors = (shares > LIKELY).nonzero(as_tuple=True)
    if not len(rows):
        return {}
    points, strides = (part.to(shares.device)[anchors] for part in anchor_points(height, width))
    logits, weights = raw.distances[rows, anchors], shares[rows, anchors]
    iou = complete_iou(decode_boxes(logits, points, strides), teacher.boxes[rows, anchors])
    apart = divergence(logits, teacher.distances[rows, anchors])
    total = weights.sum().clamp(min=1)
    return {"box": ((1 - iou) * weights).sum() / total, "distribution": (apart * weights).sum() / total}


def mask_terms(said: Tensor, wanted: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice, each (P,), of logits (P, h, w) to the teacher's, near its boxes (P, 4)."""
    height, width = said.shape[1:]
    weights = box_weights(boxes, height, width, margins(boxes, height, width))
    wanted = wanted.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(said, wanted, weights, reduction="none").sum((1, 2))
    entropy = entropy / weights.sum((1, 2)).clamp(min=1)
    said, wanted = said.sigmoid() * weights, wanted * weights
    # squares: a soft target, too, is met exactly
    dice = 1 - (2 * (said * wanted).sum((1, 2)) + 1) / ((said * said).sum((1, 2)) + (wanted * wanted).sum((1, 2)) + 1)
    return entropy, dice


def imitation(raw: Raw, teacher: Raw, height: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The five terms, with their gains; ``height`` and ``width`` are those of the photos."""
    shares = teacher.scores.sigmoid()
    score = F.binary_cross_entropy_with_logits(raw.scores, shares, reduction="sum") / shares.sum().clamp(min=1)
    terms = {"score": score, **box_terms(raw, teacher, shares, height, width)}
    some = drawn(shares, MASKS_PER_PHOTO, generator)
    boxes = teacher.boxes.gather(1, some[..., None].expand(-1, -1, 4))
    entropy, dice = mask_terms(
        mask_logits(raw.coefficients, raw.prototypes, some).flatten(0, 1),
        mask_logits(teacher.coefficients, teacher.prototypes, some).flatten(0, 1),
        boxes.flatten(0, 1),
    )
    terms |= {"mask": entropy.mean(), "dice": dice.mean()}
    return {name: GAINS[name] * term for name, term in terms.items()}
