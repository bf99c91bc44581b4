"""Who makes and who takes each tensor of an ONNX graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx


class Links:
    """A graph as it is now; whoever changes it makes new ones.

    Attributes:
        nodes: In order.
        constants: The initializers by name.
        photos: Names of the network's inputs.
        results: Names of the network's outputs.
        maker: The node that makes a tensor.
        takers: The nodes that take a tensor, one for each time.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at a graph."""
        self.nodes: list[onnx.NodeProto] = list(graph.node)
        self.constants = {constant.name: constant for constant in graph.initializer}
        self.photos = {each.name for each in graph.input} - self.constants.keys()
        self.results = {output.name for output in graph.output}
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def values(self, name: str) -> npt.NDArray[Any] | None:
        """The values of a constant; None if it is none."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def sources(self, node: onnx.NodeProto) -> list[str]:
        """The activations that a node takes; constants and left-out inputs are none."""
        return [name for name in node.input if name and name not in self.constants]

    def only_taker(self, name: str) -> onnx.NodeProto | None:
        """The node that a tensor is for, if it is for one node alone."""
        takers = self.takers.get(name, [])
        return takers[0] if len(takers) == 1 and name not in self.results else None


def add_constant(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> str:
    """Add an initializer, whole numbers as they are and others as float32, and return its name."""
    from onnx import numpy_helper

    array = values if values.dtype.kind == "i" else values.astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own."""
    seen: Counter[str] = Counter()
    for index, node in enumerate(graph.node):
        if not node.name or seen[node.name]:
            node.name = f"{node.op_type}_{index}"
        seen[node.name] += 1
