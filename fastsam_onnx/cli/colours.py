"""Colours that objects keep from one frame of a video to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.mask import Mask

SAME_ABOVE = 0.25
"""IoU of masks above which two objects of neighbouring frames are one; a ball that moves by half its width has 0.24."""
KEPT_FRAMES = 5
"""Number of frames that an object may be away before its colour is given to another."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """An object as it was last seen.

    Attributes:
        mask: Its pixels.
        colour: Index of its colour.
        frames_ago: Number of frames since then.
    """

    mask: Mask
    colour: int
    frames_ago: int


class SteadyColours:
    """Gives the objects of each frame the colours that they had in the frames before, by the overlap of masks."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []

    def of_frame(self, masks: Sequence[Mask]) -> IntArray:
        """The colours of the next frame's objects.

        Args:
            masks: Of a frame of the same size as those before.

        Returns:
            (n,) int64 indices of colours, each once; those of new objects are the lowest free ones.
        """
        colours = self._kept(masks)
        taken = {seen.colour for seen in self._seen} | set(colours.values())
        for index in range(len(masks)):
            if index not in colours:
                colours[index] = next(colour for colour in range(len(taken) + 1) if colour not in taken)
                taken.add(colours[index])
        shown = set(colours.values())
        away = [
            _Seen(seen.mask, seen.colour, seen.frames_ago + 1)
            for seen in self._seen
            if seen.colour not in shown and seen.frames_ago < KEPT_FRAMES
        ]
        self._seen = [_Seen(mask, colours[index], 0) for index, mask in enumerate(masks)] + away
        return np.array([colours[index] for index in range(len(masks))], np.int64)

    def _kept(self, masks: Sequence[Mask]) -> dict[int, int]:
        """The colours of objects that were seen, by their index: pairs of the largest IoU first."""
        old = [seen.mask for seen in self._seen]
        near = np.argwhere(_box_iou(_boxes(masks), _boxes(old)) > SAME_ABOVE / 2).tolist()
        pairs = sorted(((masks[new].iou(old[last]), new, last) for new, last in near), key=lambda pair: -pair[0])
        colours: dict[int, int] = {}
        given: set[int] = set()
        for iou, new, last in pairs:
            colour = self._seen[last].colour
            if iou > SAME_ABOVE and new not in colours and colour not in given:
                colours[new] = colour
                given.add(colour)
        return colours


def _boxes(masks: Sequence[Mask]) -> FloatArray:
    return np.array([mask.box for mask in masks], np.float32).reshape(-1, 4)


def _box_iou(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float32]:
    """(n, m) IoU of boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    iou: npt.NDArray[np.float32] = both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1)
    return iou
