"""The class of every object, for formats that must name one."""

from __future__ import annotations

from fastsam_onnx.masks.instances import Instances

OBJECT = "object"
"""The class where a network tells no classes apart."""


def category_names(found: Instances) -> list[str]:
    """The name of each object's class."""
    return [OBJECT] * len(found)


def all_categories(found: Instances) -> list[str]:
    """The names of all classes that the network knows, in its order."""
    return [OBJECT]
