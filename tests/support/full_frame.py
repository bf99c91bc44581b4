"""Masks as the design describes them, the whole frame at once in float64: what crops are compared with."""

from __future__ import annotations

import numpy as np


def full_frame_logits(coefficients, prototypes, letterbox):
    """Decision 6 as it is written, float64: every pixel's place on the grid, bilinear between the four neighbours."""
    (width, height), (input_width, input_height) = letterbox.image_size, letterbox.input_size
    (content_width, content_height), (grid_height, grid_width) = letterbox.content_size, prototypes.shape[1:]

    def places(side, content, padding, cells_per_input):
        inputs = (np.arange(side) + 0.5) * content / side + padding
        low, high = padding * cells_per_input, (padding + content) * cells_per_input - 1
        if low > high:
            low = high = (low + high) / 2
        return np.clip(inputs * cells_per_input - 0.5, low, high)

    def neighbours(place, cells):
        first = np.floor(place).astype(int)
        share = place - first
        return np.clip(first, 0, cells - 1), np.clip(first + 1, 0, cells - 1), share

    x = places(width, content_width, letterbox.left, grid_width / input_width)
    y = places(height, content_height, letterbox.top, grid_height / input_height)
    logits = np.tensordot(coefficients.astype(np.float64), prototypes.astype(np.float64), axes=1)
    left, right, share_x = neighbours(x, grid_width)
    above, below, share_y = neighbours(y, grid_height)
    lines = logits[:, :, left] * (1 - share_x) + logits[:, :, right] * share_x
    return lines[:, above] * (1 - share_y)[:, None] + lines[:, below] * share_y[:, None]


def full_frame_masks(boxes_xyxy, coefficients, prototypes, letterbox):
    """(n, H, W) bool: the logits above 0, inside the boxes."""
    x, y = np.arange(letterbox.image_size[0]), np.arange(letterbox.image_size[1])[:, None]
    logits = full_frame_logits(coefficients, prototypes, letterbox)
    inside = [(x >= x1) & (x < x2) & (y >= y1) & (y < y2) for x1, y1, x2, y2 in boxes_xyxy.astype(np.float64)]
    return (logits > 0) & np.array(inside).reshape(logits.shape)
