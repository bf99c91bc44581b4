"""Who produces and who consumes each tensor of an ONNX graph, and how nodes are replaced in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.errors import ModelError

if TYPE_CHECKING:
    import onnx


class Links:
    """The links of a graph as it is now; after a change, make new ones.

    Attributes:
        nodes: The nodes in order.
        constants: The initializers by name.
        inputs: Names of the network's inputs.
        outputs: Names of the network's outputs.
        producer: The node that makes a tensor, by the tensor's name.
        consumers: The nodes that take a tensor, one for each time, by the tensor's name.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at a graph."""
        self.nodes: list[onnx.NodeProto] = list(graph.node)
        self.constants = {constant.name: constant for constant in graph.initializer}
        self.inputs = {each.name for each in graph.input} - self.constants.keys()
        self.outputs = {output.name for output in graph.output}
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)

    def values(self, name: str) -> npt.NDArray[Any] | None:
        """The values of a constant; None if the tensor is not one."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def constant(self, name: str) -> npt.NDArray[Any]:
        """The values of a constant.

        Raises:
            ModelError: If the tensor is not one.
        """
        values = self.values(name)
        if values is None:
            raise ModelError(f"{name!r} must be a constant of the network")
        return values

    def sources(self, node: onnx.NodeProto) -> list[str]:
        """The activations that a node takes, without constants and inputs that are left out."""
        return [name for name in node.input if name and name not in self.constants]

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """The node that takes a tensor, if it is one node alone and the tensor is not an output."""
        consumers = self.consumers.get(name, [])
        return consumers[0] if len(consumers) == 1 and name not in self.outputs else None


class Replacement:
    """The nodes that take the place of one.

    Attributes:
        nodes: The new nodes in order.
    """

    def __init__(self, graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
        """Begin with nothing; `node` gives the new ones their names."""
        self.nodes: list[onnx.NodeProto] = []
        self._graph, self._name = graph, node.name
        self._added: Counter[str] = Counter()

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its output, by default one of its own."""
        from onnx import helper

        self._added[operator] += 1
        number = f"_{self._added[operator]}" if self._added[operator] > 1 else ""
        name = f"{self._name}_{operator}{number}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output or name], name=name, **attributes))
        return output or name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add an initializer and return its name."""
        return add_constant(self._graph, f"{self._name}_{name}", values)


Replace = Callable[["onnx.GraphProto", Links, "onnx.NodeProto"], Sequence["onnx.NodeProto"] | None]
"""Gives the nodes for the place of one, which may be none; None keeps it. May add initializers to the graph."""


def rewritten(model: onnx.ModelProto, replace: Replace) -> onnx.ModelProto:
    """A copy of a network in which nodes are replaced.

    Args:
        model: The network, its nodes named; it is not changed.
        replace: Asked for every node in order.
    """
    made = copied(model)
    links = Links(made.graph)
    nodes: list[onnx.NodeProto] = []
    for node in links.nodes:
        new = replace(made.graph, links, node)
        nodes += [node] if new is None else new
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    drop_unused(made.graph)
    return made


def drop_unused(graph: onnx.GraphProto) -> None:
    """Take away the constants that no node uses, of which ONNX Runtime's log else warns."""
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a network, to change."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that a node states, by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard's operators that a network uses."""
    return int(max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")))


def add_constant(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> str:
    """Add an initializer, integers as they are and others as float32, and return its name."""
    from onnx import numpy_helper

    array = values if values.dtype.kind == "i" else values.astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own."""
    taken, seen = {node.name for node in graph.node}, {""}
    for index, node in enumerate(graph.node):
        if node.name in seen:
            node.name = next(name for number in count(index) if (name := f"{node.op_type}_{number}") not in taken)
            taken.add(node.name)
        seen.add(node.name)
