"""The mean of a box's distances, in operators for which ONNX Runtime has fast kernels.

Beside integer convolutions this small part of a network counts: in yolov8n-seg the softmax over the bins, which are not
its last axis, took a tenth of the time, and elsewhere the product with the bins, a matrix of one column, does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.quantize.links import Links, add_constant

if TYPE_CHECKING:
    import onnx


def with_fast_decoding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with every softmax over channels, and every product with one column or vector, in parts.

    Args:
        model: The network, its nodes named; it is not changed.
    """
    import onnx
    from onnx import helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    links = Links(made.graph)
    nodes: list[onnx.NodeProto] = []
    for node in links.nodes:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        column = links.values(node.input[1]) if node.op_type == "MatMul" else None
        if node.op_type == "Softmax" and attributes.get("axis") == 1:
            nodes += _softmax(made.graph, node)
        elif column is not None and column.shape[1:] in ((), (1,)):
            nodes += _weighted_sum(made.graph, node, column)
        else:
            nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _softmax(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """exp(x - max) / sum, as softmax is defined; on every machine the same, however large x is."""
    [source], [result] = node.input, node.output
    axes = add_constant(graph, f"{node.name}_axes", np.array([1]))
    parts = _Parts(node.name)
    highest = parts.add("ReduceMax", source, axes=[1], keepdims=1)
    likely = parts.add("Exp", parts.add("Sub", source, highest))
    parts.add("Div", likely, parts.add("ReduceSum", likely, axes, keepdims=1), output=result)
    return parts.nodes


def _weighted_sum(graph: onnx.GraphProto, node: onnx.NodeProto, column: Any) -> list[onnx.NodeProto]:
    """A product with a matrix of one column, or with a vector."""
    weights = add_constant(graph, f"{node.name}_row", column.reshape(-1))
    axes = add_constant(graph, f"{node.name}_axes", np.array([-1]))
    parts = _Parts(node.name)
    parts.add(
        "ReduceSum", parts.add("Mul", node.input[0], weights), axes, keepdims=column.ndim - 1, output=node.output[0]
    )
    return parts.nodes


class _Parts:
    """The nodes that take the place of one."""

    def __init__(self, name: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._name = name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        name = f"{self._name}_{operator}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output or name], name=name, **attributes))
        return output or name
