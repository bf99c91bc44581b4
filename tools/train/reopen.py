"""A network that learns on from its ONNX file: the weights of its convolutions go back where they came from.

Batch norms lie folded in the file, so they are neutral in the network and must keep their statistics while it learns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .graph import draw
from .models import make
from .network import ConvNorm, SegmentEverything


def reopened(path: Path) -> SegmentEverything:
    """The nano of a file in float32 or int8.

    Raises:
        SystemExit: If the file's convolutions are not those of tools/train's nano.
    """
    network = make("nano").eval()
    layers, found = draw(network, "fastsam-nano", "float32").layers, convolutions(path)
    if not layers.keys() <= found.keys():  # a head for small objects may come after them
        raise SystemExit(
            f"{path} is not the nano that this code draws: {len(layers.keys() - found.keys())} are missing"
        )
    first: dict[int, Tensor] = {}  # weights of convolutions, which levels of the head share
    for name, layer in layers.items():
        weight, bias = (torch.from_numpy(values) for values in found[name])
        fill(layer, weight, bias, first)
    return network


@torch.no_grad()
def fill(layer: ConvNorm | nn.Conv2d, weight: Tensor, bias: Tensor, first: dict[int, Tensor]) -> None:
    """Puts a convolution with its norm folded in into a layer; of shared ones the norm takes what is its own."""
    if isinstance(layer, nn.Conv2d):
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
        return
    weight = weight[:, : layer.conv.weight.shape[1]]  # quantize gives the photo a fourth channel, of zeros
    shared = first.setdefault(id(layer.conv), weight)
    layer.conv.weight.copy_(shared)
    layer.norm.running_mean.zero_()
    layer.norm.running_var.fill_(1 - layer.norm.eps)
    layer.norm.weight.copy_((weight * shared).sum((1, 2, 3)) / shared.square().sum((1, 2, 3)).clamp(min=1e-12))
    layer.norm.bias.copy_(bias)


def convolutions(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution of a file, in float32, by the convolution's name."""
    graph = onnx.load(path).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in values for name in node.input):
            values[node.output[0]] = dequantized(node, [values[name] for name in node.input])
    kept = (node for node in graph.node if node.op_type == "Conv")
    return {node.name: tuple(values[name].astype(np.float32) for name in node.input[1:]) for node in kept}


def dequantized(node: onnx.NodeProto, inputs: list[np.ndarray]) -> np.ndarray:
    """What a DequantizeLinear of constants says."""
    steps, scale = inputs[0].astype(np.float32), inputs[1]
    zero = inputs[2].astype(np.float32) if len(inputs) > 2 else np.zeros_like(scale)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [1] * steps.ndim
    if scale.ndim:
        shape[axis] = -1
    return (steps - zero.reshape(shape)) * scale.reshape(shape)
