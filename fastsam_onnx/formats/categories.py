"""The class of every object, for formats that must name one."""

from __future__ import annotations

from collections.abc import Mapping

from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.classes import class_name
from fastsam_onnx.masks.instances import Instances

MOST_LISTED = 100_000
"""Many times the number of classes of any network."""
OBJECT = "object"
"""The class where a network tells no classes apart."""


def category_names(found: Instances) -> list[str]:
    """The name of each object's class."""
    if found.labels is None:
        return [OBJECT] * len(found)
    return [class_name(label, found.names or {}) for label in found.labels.tolist()]


def category_indices(found: Instances) -> list[int]:
    """The index of each object's class, counted from 0."""
    return [0] * len(found) if found.labels is None else list(found.labels.tolist())


def listed_categories(names: Mapping[int, str] | None) -> list[str]:
    """The names of a network's classes by their index; "object" alone for a network that tells none apart.

    Raises:
        OptionError: If an index is so high that the list would fill the memory.
    """
    if not names:
        return [OBJECT]
    if max(names) >= MOST_LISTED:
        raise OptionError(
            f"a list of classes names every index up to the highest, at most {MOST_LISTED - 1}, got {max(names)}"
        )
    return [class_name(index, names) for index in range(max(names) + 1)]
