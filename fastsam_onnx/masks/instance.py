"""One object."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from fastsam_onnx import elsewhere
from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.masks.mask import Mask


@elsewhere.telling(elsewhere.OBJECT)
@dataclass(frozen=True, eq=False)
class Instance:
    """One object. Objects are equal if all that is known of them is.

    Attributes:
        mask: Its pixels.
        box: (4,) float32 x1, y1, x2, y2 in image pixels.
        score: 0 to 1.
        prompt_index: Index of the prompt that it answers; None where there was no prompt.
        similarity: Cosine of its vector and that of the text that it answers, -1 to 1; None where there was no text.
        label: Index of its class; None where the network does not tell classes apart.
        name: Name of its class, its index as text if the network's file has none; None where there is no class.
        track_id: Number that it has in every frame of a video, from 1; None where objects were not tracked.
    """

    mask: Mask
    box: FloatArray
    score: float
    prompt_index: int | None = None
    similarity: float | None = None
    label: int | None = None
    name: str | None = None
    track_id: int | None = None

    @property
    def predicted_iou(self) -> float | None:
        """IoU of its mask with the thing that it shows, as the decoder that drew it expects; None of other masks."""
        return self.mask.predicted_iou

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instance):
            return NotImplemented
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        same = (
            bool(np.array_equal(one, two)) if np.ndarray in (type(one), type(two)) else one == two for one, two in pairs
        )
        return all(same) and self.predicted_iou == other.predicted_iou

    def __hash__(self) -> int:
        return hash((self.mask, self.score))

    def _repr_png_(self) -> bytes | None:
        return self.mask._repr_png_()
