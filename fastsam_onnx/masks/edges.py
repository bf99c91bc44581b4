"""Soft edges of a photo, as FastSAM's paper makes them: the slopes of all masks' probabilities, put together, thinned.

Where a mask's probability falls steeply there is an edge, the more so where several masks agree. All of it happens at
about four pixels for a cell of the prototype grid, since the network knows no finer detail, so that memory and time do
not grow with the photo but for the result itself.

The constants were chosen on photos of BSDS in train_labelled (tools/evaluate_edges.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import FloatArray, ceil_div
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.pending import PendingMask, Places

EdgesOf = Literal["candidates", "objects"]

CONF = 0.005
"""Candidates with a score above this have a say: nearly all, as in the paper."""
IOU = 0.9
MOST = 1000
SCORE_POWER = 0.25
"""Weight of a mask's score beside its slope, an exponent."""
SURE_SIDE = 96.0
"""Longer side, in pixels of the network's input, below which a candidate has less of a say, by the root of it.

Small masks are many where a surface has a pattern, and people draw the surface.
"""
HALF = 0.85
"""Slope, in probability for each cell of the grid, that is an edge of strength 0.5."""
CELL = 4
"""Pixels for each cell of the grid, about, where edges are looked for."""
MAX_SIDE = 2048
"""Longest side, about, where edges of masks without a grid are looked for."""
LEAST_SIDE = 3
"""Smaller photos have no slopes, nor have smaller masks of a network, which are cut at their boxes."""
SMOOTHING = 0.5
"""Standard deviations in pixels of the blur of strengths, and of that which directions are measured on."""
DIRECTION_SMOOTHING = 1.5
RIDGE = 1.02
"""A pixel that both neighbours across the edge exceed by less than this factor stays."""


def soft_edges(found: Instances, *, of: EdgesOf = "candidates", thin: bool = True) -> FloatArray:
    """The strength of an edge at every pixel.

    Args:
        found: The objects.
        of: "candidates": of everything that the network offered; of the objects where there is nothing else, as in a
            selection and in results of tiles and of tracking. "objects": of the objects alone.
        thin: True to keep the ridges of edges alone (non-maximum suppression), which suits thresholds; False for all
            of their slopes.

    Returns:
        (H, W) float32, 0 to 1; above 0.5 is the balance of precision and recall on photos of BSDS.

    Raises:
        OptionError: If `of` is not known, or `thin` not a bool.
    """
    options.choice("of", of, get_args(EdgesOf))
    thin = options.boolean("thin", thin)
    if of == "candidates" and found.candidates is not None:
        masks, weights = _offered(found.candidates)
    else:
        masks, weights = found.masks.lazy, _weights(found.scores)
    lattice = Lattice.from_masks(masks, found.image_size)
    if min(lattice.shape) < LEAST_SIDE:  # a strip, which would be made as wide as the lattice's step is long
        width, height = found.image_size
        return np.zeros((height, width), np.float32)
    slopes = lattice.slopes(zip(masks, weights.tolist(), strict=True))
    if thin:
        slopes = ridges(slopes)
    return lattice.to_photo(slopes / (slopes + np.float32(HALF)))


@dataclass(frozen=True)
class Lattice:
    """Every k-th pixel of a photo: where edges are looked for.

    Attributes:
        image_size: (width, height) of the photo.
        step: k.
        cell: Pixels of the lattice for each cell of the prototype grid.
    """

    image_size: tuple[int, int]
    step: int
    cell: float

    @classmethod
    def from_masks(cls, masks: Sequence[MaskLike], image_size: tuple[int, int]) -> Lattice:
        """The lattice that fits the grid of the masks, if they have one, else the photo."""
        grids = {(mask.x, mask.y): None for mask in masks if isinstance(mask, PendingMask)}
        if not masks or len(grids) != 1 or not all(isinstance(mask, PendingMask) for mask in masks):
            return cls(image_size, ceil_div(max(image_size), MAX_SIDE), CELL)
        [(x, y)] = grids
        # Along the longer side: the shorter one of a strip may have too few cells to tell.
        pixels = _pixels_per_cell(x if image_size[0] >= image_size[1] else y)
        step = max(round(pixels / CELL), 1)
        return cls(image_size, step, pixels / step)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        width, height = self.image_size
        return ceil_div(height, self.step), ceil_div(width, self.step)

    def slopes(self, masks: Iterable[tuple[MaskLike, float]]) -> FloatArray:
        """(h, w) float32: at each pixel the geometric mean of the steepest slope and the sum of all.

        Args:
            masks: Masks and what their slopes weigh.
        """
        import cv2

        total, steepest = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        for mask, weight in masks:
            probabilities, left, top = self._probabilities(mask)
            height, width = probabilities.shape
            if isinstance(mask, PendingMask) and min(height, width) < LEAST_SIDE:
                continue
            across, down = (
                cv2.Sobel(probabilities, cv2.CV_32F, *axis, scale=self.cell / 8, borderType=cv2.BORDER_REPLICATE)
                for axis in ((1, 0), (0, 1))
            )
            slope = cv2.magnitude(across, down) * np.float32(weight)
            place = slice(top, top + height), slice(left, left + width)
            total[place] += slope
            np.maximum(steepest[place], slope, out=steepest[place])
        return np.asarray(np.sqrt(total * steepest) * self._fading(), np.float32)

    def _fading(self) -> FloatArray:
        """(h, w) float32: 1, but towards the photo's frame, where masks end without an edge, down to 0."""
        rows, columns = (np.arange(side, dtype=np.float32) for side in self.shape)
        down, across = (np.clip(np.minimum(one, one[::-1]) / CELL, 0, 1) for one in (rows, columns))
        return np.asarray(down[:, None] * across, np.float32)

    def to_photo(self, strengths: FloatArray) -> FloatArray:
        """(H, W): the lattice's values at the photo's pixels."""
        import cv2

        if self.step == 1:
            return strengths
        width, height = self.image_size
        rows, columns = (side * self.step for side in self.shape)
        larger = cv2.resize(strengths, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return np.asarray(larger[:height, :width], np.float32)

    def _probabilities(self, mask: MaskLike) -> tuple[FloatArray, int, int]:
        """(h, w) float32 probabilities of a mask on the lattice, and the column and row where they begin.

        A mask that the network cut at its box has no edge there, so nothing outside the box is looked at.
        """
        if not isinstance(mask, PendingMask):
            return self._shares(mask)
        (left, right), (top, bottom) = self._span(mask.columns), self._span(mask.rows)
        columns, rows = (np.arange(*span) * self.step + self.step // 2 for span in ((left, right), (top, bottom)))
        logits = mask.logits_at(columns, rows)
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32), left, top

    def _shares(self, mask: MaskLike) -> tuple[FloatArray, int, int]:
        """As `_probabilities`, of a mask that is sure of its pixels: the share of pixels that are set.

        One pixel of the lattice around it belongs to it, because it ends there, but for the photo's frame.
        """
        step, (height, width) = self.step, self.shape
        made = mask.render()
        x1, y1, x2, y2 = made.bounds
        left, top = max(x1 // step - 1, 0), max(y1 // step - 1, 0)
        right, bottom = min(ceil_div(x2, step) + 1, width), min(ceil_div(y2, step) + 1, height)
        frame = np.zeros(((bottom - top) * step, (right - left) * step), bool)
        frame[y1 - top * step : y2 - top * step, x1 - left * step : x2 - left * step] = made.crop
        shares = frame.reshape(bottom - top, step, right - left, step).mean(axis=(1, 3), dtype=np.float32)
        return shares, left, top

    def _span(self, pixels: tuple[int, int]) -> tuple[int, int]:
        """The pixels of the lattice whose middles lie in pixels [first, end) of the photo."""
        first, end = (ceil_div(edge - self.step // 2, self.step) for edge in pixels)
        return first, max(end, first)


def ridges(slopes: FloatArray) -> FloatArray:
    """The slopes (h, w) where they are not smaller than beside them, across the edge; 0 elsewhere."""
    import cv2

    height, width = slopes.shape
    smooth = cv2.GaussianBlur(slopes, (0, 0), SMOOTHING)
    bent = cv2.GaussianBlur(slopes, (0, 0), DIRECTION_SMOOTHING)
    xx, yy, xy = (cv2.Sobel(bent, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
    along = np.arctan2(2 * xy, xx - yy) / 2  # the direction in which the surface bends least downwards
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    across_x, across_y = -np.sin(along), np.cos(along)
    result = smooth.copy()
    for side in (-1, 1):
        places = (x + side * across_x).astype(np.float32), (y + side * across_y).astype(np.float32)
        beside = cv2.remap(smooth, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        result[smooth * np.float32(RIDGE) < beside] = 0
    return np.asarray(result, np.float32)


def _offered(candidates: Candidates) -> tuple[Sequence[MaskLike], FloatArray]:
    """The masks of nearly all candidates, best first, and their weights."""
    kept = candidates.best(CONF, IOU, MOST)
    sides = candidates.boxes_xywh[kept, 2:].max(axis=1)
    return candidates.masks(kept), _weights(candidates.scores[kept]) * np.sqrt(np.clip(sides / SURE_SIDE, 0, 1))


def _weights(scores: FloatArray) -> FloatArray:
    """What the slopes of masks with these scores weigh."""
    return np.asarray(scores**SCORE_POWER)


def _pixels_per_cell(places: Places) -> float:
    """Pixels of the photo for each cell of the grid, along one axis."""
    first, last = (float(places.before[end] + places.share[end]) for end in (0, -1))
    return (len(places.before) - 1) / (last - first) if last > first else 1.0
