"""One island of a mask as its outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsam_onnx.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Polygon:
    """One island of a mask: its outline and the outlines of its holes. Equal if all their points are.

    Attributes:
        exterior: (k, 2) float32 x, y in image pixels, clockwise on the screen, not closed (the first point is not
            repeated).
        holes: The same for every hole, counter-clockwise.
    """

    exterior: FloatArray
    holes: tuple[FloatArray, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polygon):
            return NotImplemented
        rings, others = ((one.exterior, *one.holes) for one in (self, other))
        return len(rings) == len(others) and all(map(np.array_equal, rings, others))

    def __hash__(self) -> int:
        return hash((len(self.exterior), len(self.holes)))
