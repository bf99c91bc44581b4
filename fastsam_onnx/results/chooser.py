"""What chooses among the objects of a result, as a result sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation


@runtime_checkable
class Chooser(Protocol):
    """A value that chooses among the objects of a result: `Prompts`, `LabelledBoxes`."""

    @property
    def needs_objects(self) -> bool:
        """True if the objects that a call finds matter."""

    def choose(self, found: Segmentation) -> Segmentation:
        """The objects that are meant."""
