"""The class of every object, for formats that must name one."""

from __future__ import annotations

from fastsam_onnx.masks.instances import Instances

OBJECT = "object"
"""The class where a network tells no classes apart."""


def category_names(found: Instances) -> list[str]:
    """The name of each object's class."""
    return [OBJECT] * len(found)


def category_indices(found: Instances) -> list[int]:
    """The index of each object's class, counted from 0."""
    return [0] * len(found)
