"""Networks that learn on from a file: the weights of its nodes go back where they came from.

A file holds all that was learned: the network, its head for small objects, its decoder. Weights of int8 come back as
what they stand for. Batch norms lie folded in the file, so they are neutral in the network and must keep their
statistics while it learns; masks stay lifted and scores of small objects lowered, as they are in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .fine.network import Fine
from .graph import draw
from .models import NAMES, make
from .network import ConvNorm, SegmentEverything
from .nodes import Columns, Layer, Rows, Stored

Arrays = tuple[np.ndarray, ...]


def reopened(path: Path) -> SegmentEverything:
    """The network of a file.

    Raises:
        SystemExit: If it is none that this code draws.
    """
    return reopened_with_head(path)[0]


def reopened_with_head(path: Path) -> tuple[SegmentEverything, Fine | None]:
    """The network of a file, and its head for small objects if it has one.

    Raises:
        SystemExit: If the network is none that this code draws.
    """
    graph = onnx.load(path).graph
    name, found = graph.name.removeprefix("fastsam-"), constants(graph)
    if name not in NAMES:
        raise SystemExit(f"{path} holds {graph.name!r}; tools/train draws {', '.join(NAMES)}")
    network = make(name).eval()
    head = Fine(network.prototypes.predict.in_channels).eval()
    for stored in get_args(Stored):  # which the numbers of nodes depend on
        plain, whole = (draw(network, name, stored, each).layers for each in (None, head))
        if plain.keys() <= found.keys():
            has_head = whole.keys() <= found.keys()
            fill(whole if has_head else plain, found)
            return network, head if has_head else None
    raise SystemExit(f"{path} is not the {name} network that this code draws: other nodes")


@torch.no_grad()
def fill(layers: Mapping[str, Layer], found: Mapping[str, Arrays]) -> None:
    """Puts the weights of nodes into the layers that they are of."""
    first: dict[int, Tensor] = {}  # weights of convolutions, which levels of the head share
    for node, layer in layers.items():
        values = [torch.from_numpy(value.astype(np.float32)) for value in found[node]]
        if isinstance(layer, ConvNorm):
            weight, bias = values
            fill_norm(layer, weight, bias, first)
        elif isinstance(layer, Columns):
            layer.layer.conv.weight[:, layer.first : layer.end] = values[0]
            neutral(layer.layer.norm)
            layer.layer.norm.weight.fill_(1)
            if len(values) > 1:
                layer.layer.norm.bias.copy_(values[1])
        elif isinstance(layer, Rows):
            for own, value in zip((layer.layer.weight, layer.layer.bias), values, strict=True):
                own[layer.rows] = value / layer.factor
        else:
            owns = [layer] if isinstance(layer, nn.Parameter) else [layer.weight, layer.bias]
            for own, value in zip(owns, values, strict=False):  # a node has its indices, too; a layer may have no bias
                own.copy_(value)


def fill_norm(layer: ConvNorm, weight: Tensor, bias: Tensor, first: dict[int, Tensor]) -> None:
    """A convolution with its norm folded in; of shared convolutions the norm takes what is its own."""
    weight = weight[:, : layer.conv.weight.shape[1]]  # quantize gives the photo a fourth channel, of zeros
    shared = first.setdefault(id(layer.conv), weight)
    layer.conv.weight.copy_(shared)
    neutral(layer.norm)
    layer.norm.weight.copy_(factors(weight, shared))
    layer.norm.bias.copy_(bias)


def factors(weight: Tensor, shared: Tensor) -> Tensor:
    """What makes each channel of shared weights (outputs, inputs, height, width) those of one layer."""
    return (weight * shared).sum((1, 2, 3)) / shared.square().sum((1, 2, 3)).clamp(min=1e-12)


def neutral(norm: nn.BatchNorm2d) -> None:
    """Statistics that change nothing."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)


def constants(graph: onnx.GraphProto) -> dict[str, Arrays]:
    """The constant inputs of every node that has some, by the node's name; weights of products (outputs, inputs)."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        inputs = tuple(values[name] for name in node.input if name in values)
        if len(inputs) == len(node.input) and node.op_type in UNPACKED:
            values[node.output[0]] = UNPACKED[node.op_type](node, inputs)
        if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0)):
            inputs = tuple(value.T for value in inputs)
        if inputs:
            found[node.name] = inputs
    return found


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute of a node."""
    return next((each.i for each in node.attribute if each.name == name), default)


def dequantized(node: onnx.NodeProto, inputs: Arrays) -> np.ndarray:
    """What a DequantizeLinear of constants says."""
    steps, scale = inputs[0].astype(np.float32), inputs[1]
    zero = inputs[2].astype(np.float32) if len(inputs) > 2 else np.zeros_like(scale)
    shape = [1] * steps.ndim
    if scale.ndim:
        shape[attribute(node, "axis", 1)] = -1
    return (steps - zero.reshape(shape)) * scale.reshape(shape)


UNPACKED = {  # how weights come out of what is stored
    "DequantizeLinear": dequantized,
    "Cast": lambda node, inputs: inputs[0],
    "Mul": lambda node, inputs: inputs[0].astype(np.float32) * inputs[1],
}
