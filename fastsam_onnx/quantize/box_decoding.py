"""The mean of a box's distances, in operators for which ONNX Runtime has fast kernels.

Beside integer convolutions this small part of a network counts: in yolov8n-seg the softmax over the bins, which are not
its last axis, took a tenth of the time, and elsewhere the product with the bins, a matrix of one column, does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.quantize.links import Links, Replacement, attributes_of, opset_of, rewritten

if TYPE_CHECKING:
    import onnx

REDUCE_MAX_TAKES_AXES = 18
"""The opset from which ReduceMax has its axes as an input; before, they are an attribute."""


def with_fast_decoding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with every softmax over channels, and every product with one column or vector, in parts.

    The convolution that weighs a softmax's channels with constants, as exports by ultralytics write the mean, is such a
    product, too: it belongs to the decoding of boxes and is not one to be computed with bytes.

    Args:
        model: The network, its nodes named; it is not changed.
    """
    return rewritten(model, partial(_replace, opset=opset_of(model)))


def _replace(graph: onnx.GraphProto, links: Links, node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto] | None:
    if node.op_type == "Softmax" and attributes_of(node).get("axis") == 1:
        return _softmax(Replacement(graph, node), node, opset)
    column = links.values(node.input[1]) if node.op_type == "MatMul" else None
    if column is not None and column.shape[1:] in ((), (1,)):
        return _weighted_sum(Replacement(graph, node), node, column, axis=-1, keepdims=column.ndim - 1)
    weights = _weights_of_mean(links, node)
    if weights is not None:
        return _weighted_sum(Replacement(graph, node), node, weights, axis=1, keepdims=1)
    return None


def _weights_of_mean(links: Links, node: onnx.NodeProto) -> Any:
    """(c, 1, 1) of a convolution of kernel 1 that makes one channel of a softmax's; None if it is not one."""
    source = links.producer.get(node.input[0]) if node.op_type == "Conv" and len(node.input) == 2 else None
    if source is None or source.op_type != "Softmax":
        return None
    weights = links.values(node.input[1])
    return weights[0] if weights is not None and weights.shape == (1, weights.shape[1], 1, 1) else None


def _softmax(new: Replacement, node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto]:
    """exp(x - max) / sum, as softmax is defined; on every machine the same, however large x is."""
    [source], [result] = node.input, node.output
    axes = new.constant("axes", np.array([1]))
    if opset >= REDUCE_MAX_TAKES_AXES:
        highest = new.add("ReduceMax", source, axes, keepdims=1)
    else:
        highest = new.add("ReduceMax", source, axes=[1], keepdims=1)
    likely = new.add("Exp", new.add("Sub", source, highest))
    new.add("Div", likely, new.add("ReduceSum", likely, axes, keepdims=1), output=result)
    return new.nodes


def _weighted_sum(
    new: Replacement, node: onnx.NodeProto, weights: Any, *, axis: int, keepdims: int
) -> list[onnx.NodeProto]:
    """A product with a matrix of one column, with a vector, or with the weights of one channel."""
    row = new.constant("row", weights.reshape(-1) if axis == -1 else weights)
    weighted = new.add("Mul", node.input[0], row)
    axes = new.constant("axes", np.array([axis]))
    new.add("ReduceSum", weighted, axes, keepdims=keepdims, output=node.output[0])
    return new.nodes
