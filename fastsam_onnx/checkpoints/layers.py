"""The network of a checkpoint as it describes itself: layers inside layers, each with a class name and attributes.

A pickle keeps them as objects; here they are read-only values, and an attribute is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastsam_onnx.checkpoints.values import Global
from fastsam_onnx.errors import ModelError

MAX_SIDE = 1 << 16
"""Above every number of channels of the family."""
MAX_KERNEL = 31
"""Above every kernel of the family; the largest is 13."""


@dataclass(frozen=True)
class Layer:
    """One module of the network.

    Attributes:
        kind: Name of its class, such as "Conv2d".
        name: Path of its parameters, such as "model.0.conv".
        attributes: Values that the file keeps for it, of any type.
        children: Modules inside it by name, in order.
    """

    kind: str
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, Layer] = field(default_factory=dict)

    def child(self, name: str) -> Layer:
        """A module inside this one; ModelError without it."""
        if name not in self.children:
            raise ModelError(f"the checkpoint lacks {self.name}.{name}, which a {self.kind} has")
        return self.children[name]

    def integer(self, name: str, minimum: int = 1, default: int | None = None) -> int:
        """An integer attribute, at least `minimum`; ModelError if it is not one."""
        return int(self._read(name, default, lambda value: _is_side(value, minimum)))

    def number(self, name: str) -> float:
        """A numeric attribute; ModelError if it is not one."""
        return float(self._read(name, None, lambda value: type(value) in (int, float) and abs(value) < MAX_SIDE))

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A True or False attribute; ModelError if it is not one."""
        return bool(self._read(name, default, lambda value: type(value) is bool))

    def side(self, name: str) -> int:
        """The one length of a square attribute, 3 or (3, 3); ModelError if it is not one."""
        value = self._read(name, None, _is_square)
        return int(value[0] if isinstance(value, tuple) else value)

    def kernel(self) -> int:
        """The side of a square kernel with a cell in its middle; ModelError if it has none, or is huge."""
        side = self.side("kernel_size")
        if side % 2 == 0 or side > MAX_KERNEL:
            raise ModelError(
                f"kernel_size of the {self.kind} {self.name} must be odd and at most {MAX_KERNEL}, got {side}"
            )
        return side

    def must_be(self, name: str, *accepted: Any, default: Any = None) -> None:
        """Refuse a network of which an attribute is not one of the accepted values."""
        found = self.attributes.get(name, default)
        if not any(type(found) is type(value) and found == value for value in accepted):
            listed = " or ".join(map(repr, accepted))
            raise ModelError(f"{name} of the {self.kind} {self.name} must be {listed}, got {shown(found)}")

    def must_be_kind(self, kind: str) -> None:
        """Refuse a network in which this layer is of another kind."""
        if self.kind != kind:
            raise ModelError(f"{self.name} must be a layer of the kind {kind}, got {self.kind}")

    def _read(self, name: str, default: Any, fits: Callable[[Any], bool]) -> Any:
        value = self.attributes.get(name, default)
        if not fits(value):
            raise ModelError(f"{name} of the {self.kind} {self.name} makes no sense: {shown(value)}")
        return value


def shown(value: Any) -> str:
    """A value of a file in a message: short, and never by recursion into what it holds."""
    if isinstance(value, Global):
        return f"{str(value)!r:.120}"
    if value is None or isinstance(value, int | float | str):
        return f"{value!r:.60}"
    if isinstance(value, tuple | list) and len(value) <= 4 and all(isinstance(item, int | float) for item in value):
        return repr(value)
    return f"a {type(value).__name__}"


def _is_side(value: Any, minimum: int) -> bool:
    return type(value) is int and minimum <= value < MAX_SIDE


def _is_square(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and all(_is_side(side, 1) for side in value) and value[0] == value[1]
    return _is_side(value, 1)
