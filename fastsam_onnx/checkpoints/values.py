"""Values of a pickle that Python has no type for here: names, objects and tensors, as descriptions of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle asks for; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Storage:
    """The elements of one or more tensors: an entry of the archive.

    Attributes:
        key: Name of the entry below "data/".
        dtype: NumPy's name of the element type, or "bfloat16".
        count: Number of elements.
    """

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in its storage; offset and strides in elements, all within the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Record:
    """An object of the pickle: the name of its class, what it was made from, its attributes."""

    kind: Global
    arguments: tuple[Any, ...]
    attributes: dict[str, Any] | None = None

    def get(self, name: str) -> Any:
        """An attribute, or None."""
        return None if self.attributes is None else self.attributes.get(name)
