"""The head for small objects: box, score and mask coefficients at every cell of the prototypes' grid.

The pyramid's finest level has a place every 8 pixels, so objects of that size have hardly one. What the prototypes
are made from lies at stride 4 and knows both edges and surroundings: the head reads it. Nothing else of the network
changes, and neither does what it finds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ..network import (
    COEFFICIENTS,
    ELLIPSE,
    PROTOTYPE_STRIDE,
    ROUND,
    ConvNorm,
    SegmentEverything,
    centres,
    placed_ellipses,
)

WIDTH = 48
SCORE = 4  # its place among the values of a cell


class Answers(NamedTuple):
    """What the head says at the A cells, row-major."""

    scores: Tensor  # (B, A) logits
    boxes: Tensor  # (B, A, 4) xyxy input pixels
    coefficients: Tensor  # (B, A, COEFFICIENTS)


class Fine(nn.Module):
    """From maps (B, inputs, h, w) at stride 4 to Answers."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, WIDTH, 3)
        self.second = ConvNorm(WIDTH, WIDTH, 3)
        self.predict = nn.Conv2d(WIDTH, 4 + 1 + COEFFICIENTS, 1)
        with torch.no_grad():  # start with boxes of a few cells, no objects, round masks
            self.predict.bias[:4] = 2.0
            self.predict.bias[SCORE] = -5.0
            self.predict.bias[-ELLIPSE:] = torch.tensor(ROUND)

    def forward(self, features: Tensor) -> Answers:
        height, width = features.shape[2:]
        said = self.predict(self.second(self.first(features))).float().flatten(2).transpose(1, 2)
        distances, scores, learned, ellipses = said.split([4, 1, COEFFICIENTS - ELLIPSE, ELLIPSE], 2)
        points = centres(height, width, PROTOTYPE_STRIDE).to(said.device)
        near, far = (F.softplus(distances) * PROTOTYPE_STRIDE).split(2, 2)
        boxes = torch.cat([points - near, points + far], 2)
        size = height * PROTOTYPE_STRIDE, width * PROTOTYPE_STRIDE
        placed = placed_ellipses(ellipses, boxes.detach(), *size)
        return Answers(scores[..., 0], boxes, torch.cat([learned, placed], 2))


def fine_features(network: SegmentEverything, photos: Tensor) -> Tensor:
    """What the head reads of photos (B, 3, H, W)."""
    c2, *others = network.backbone(photos)
    return network.prototypes.features(c2, network.pyramid.down(*others)[0])
