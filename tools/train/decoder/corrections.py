"""Corrections: points where the decoder is wrong, of which it learns as people make them, one after another.

Segment Anything learns from clicks in the same way (Kirillov 2023, appendix A): drawn, clicked where that is wrong,
drawn again, with what was drawn among the inputs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.masks.mask import depth_map
from fastsam_onnx.masks.views import COARSE, EXTRA_MAPS, SIDE, logits_of, spots

from ..precision import autocast

FIRST, BOX, POINTS = -EXTRA_MAPS, -2, -1  # of the maps: the best candidate, or the answer so far
MOST = 3
SHARES = (0.55, 0.22, 0.14, 0.09)  # of the prompts that may be corrected: not at all, once, twice, three times
MIDDLES = 0.5  # of the points lie deepest in what is wrong, the others anywhere in it
SEEN = 0.75  # of the corrected prompts have the answer so far among their maps
SEEN_ROUGH = 0.5  # of corrected rough masks likewise; the others keep the mask among their maps
LEAST_WRONG = 6  # fine cells: nobody corrects less


def number(rng: np.random.Generator) -> int:
    """How often an answer is corrected."""
    return int(rng.choice(MOST + 1, p=SHARES))


@torch.no_grad()
def corrected(
    decoder: nn.Module,
    photo: Tensor,
    maps: Tensor,
    answer: Tensor,
    corrections: Tensor,
    *,
    first: nn.Module | None = None,
) -> Tensor:
    """The maps of a batch with the points of each prompt's number of corrections (n,).

    ``first`` draws the first answers to boxes, which a corrector learns to correct; it draws all others itself. Then
    every answer so far is seen, but of rough masks, which have neither box nor point, half of them: the package shows
    it the mask beside the answer.
    """
    maps = maps.clone()
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    boxes, rough = maps[:, BOX].any(2).any(1), ~maps[:, [BOX, POINTS]].any(3).any(2).any(1)
    shares = SEEN if first is None else torch.where(rough, SEEN_ROUGH, 1.0).numpy()
    seen = rng.random(len(maps)) < shares
    for done in range(MOST):
        rows = torch.nonzero(corrections > done)[:, 0]
        if not len(rows):
            break
        of_boxes = decoder if done or first is None else first
        drawings = drawn(decoder, of_boxes, photo[rows], maps[rows], boxes[rows])
        for row, drawing in zip(rows.tolist(), drawings, strict=True):
            if seen[row]:
                maps[row, FIRST] = torch.from_numpy(logits_of(drawing))
            wrong = point(drawing, answer[row].numpy() > 0.5, maps[row, BOX].numpy(), rng)
            maps[row, POINTS] += torch.from_numpy(wrong)
    return maps


def drawn(decoder: nn.Module, of_boxes: nn.Module, photo: Tensor, maps: Tensor, boxes: Tensor) -> BoolArray:
    """(n, SIDE, SIDE) what ``of_boxes`` draws of the prompts that are boxes, and the decoder of all others."""
    drawings = np.zeros((len(photo), SIDE, SIDE), bool)
    if of_boxes is decoder:
        boxes = torch.zeros_like(boxes)  # all in one run
    for network, chosen in ((of_boxes, boxes), (decoder, ~boxes)):
        if chosen.any():
            with autocast("cpu"):
                logits, _ = network(photo[chosen], maps[chosen])
            drawings[chosen.numpy()] = (logits > 0).numpy()
    return drawings


def point(drawn: BoolArray, answer: BoolArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(COARSE, COARSE) a spot where the drawing (SIDE, SIDE) is wrong, with its sign; zeros where it is hardly wrong.

    Of a box that was asked for, ``box`` (COARSE, COARSE), only its inside counts; 0 everywhere if none was.
    """
    inside = np.kron(box > 0.5, np.ones((2, 2), bool)) if box.any() else np.ones((SIDE, SIDE), bool)
    cell = wrong_cell(drawn & inside, answer & inside, rng)
    if cell is None:
        return np.zeros((COARSE, COARSE), np.float32)
    row, column = cell
    centre = np.array([[column + 0.5, row + 0.5]]) * COARSE / SIDE
    return spots(centre, [1.0 if answer[row, column] else -1.0])


def wrong_cell(drawn: BoolArray, answer: BoolArray, rng: np.random.Generator) -> tuple[int, int] | None:
    """Row and column where a drawing (SIDE, SIDE) is wrong: deepest, or anywhere; None where it is hardly wrong."""
    wrong = drawn != answer
    if np.count_nonzero(wrong) < LEAST_WRONG:
        return None
    if rng.random() < MIDDLES:
        place = max(deepest(wrong & answer), deepest(wrong & drawn))[1]
    else:
        place = int(rng.choice(np.flatnonzero(wrong)))
    return divmod(place, SIDE)


def deepest(part: BoolArray) -> tuple[float, int]:
    """How deep the cell lies that lies deepest in a part, and its place in it, flat."""
    depth = depth_map(part)
    place = int(depth.argmax())
    return float(depth.flat[place]), place
