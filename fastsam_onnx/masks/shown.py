"""Which of the objects of a result are shown, by what the command line, the server and the function are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from fastsam_onnx.masks.instances import Instances

Result = TypeVar("Result", bound=Instances)


@dataclass(frozen=True)
class Shown:
    """What is left of the objects, in this order.

    Attributes:
        min_area: Objects of fewer pixels are left out, also where `disjoint` leaves them fewer.
        parts: False if those that lie in a larger one are left out.
        disjoint: True if each pixel is to be in one object at most.
    """

    min_area: int = 0
    parts: bool = True
    disjoint: bool = False

    def of(self, found: Result) -> Result:
        """The objects that are left."""
        found = self._large(found)
        if not self.parts:
            found = found.without_parts()
        return self._large(found.disjoint()) if self.disjoint else found

    def _large(self, found: Result) -> Result:
        return found[found.areas >= self.min_area] if self.min_area else found
