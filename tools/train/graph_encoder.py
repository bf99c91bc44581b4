"""SAM's encoder as an ONNX graph: one function per block of encoder.py, for any size of photo.

Convolutions see (B, C, H, W), all else (B, H, W, C). Windows are filled up inside the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import TensorProto
from torch import Tensor, nn

from .encoder import DEVIATION, HEAD, LOUDER, MEAN, Attention, Block, Conv, Inverted, SamBackbone, SamEncoder, Shrink
from .nodes import Graph, Rows, conv_norm, residual


def array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()


def convolution(graph: Graph, x: str, layer: Conv) -> str:
    """(B, C, H, W) to the same."""
    x = graph.add(
        "Conv",
        x,
        graph.weight(array(layer.weight)),
        graph.bias(array(layer.bias)),
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=[*layer.padding, *layer.padding],
        group=layer.groups,
    )
    graph.layers[x] = layer
    return x


def gelu(graph: Graph, x: str) -> str:
    """In the form that runtimes know and make one operator of."""
    share = graph.add("Erf", graph.add("Div", x, graph.constant(math.sqrt(2))))
    doubled = graph.add("Mul", x, graph.add("Add", share, graph.constant(1.0)))
    return graph.add("Mul", doubled, graph.constant(0.5))


def tokens(graph: Graph, x: str) -> str:
    """(B, C, H, W) to (B, H, W, C)."""
    return graph.add("Transpose", x, perm=[0, 2, 3, 1])


def planes(graph: Graph, x: str) -> str:
    """(B, H, W, C) to (B, C, H, W)."""
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


def layer_norm(graph: Graph, x: str, layer: nn.LayerNorm) -> str:
    """Over the last axis."""
    weight, bias = (graph.bias(array(values)) for values in (layer.weight, layer.bias))
    x = graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps)
    graph.layers[x] = layer
    return x


def linear(graph: Graph, x: str, layer: nn.Linear) -> str:
    """(n, inputs) to (n, outputs)."""
    x = gemm(graph, x, array(layer.weight), array(layer.bias))
    graph.layers[x] = layer
    return x


def some_rows(graph: Graph, x: str, part: Rows) -> str:
    """(n, inputs) to (n, rows)."""
    weight, bias = (array(values)[part.rows] * part.factor for values in (part.layer.weight, part.layer.bias))
    x = gemm(graph, x, weight, bias)
    graph.layers[x] = part
    return x


def gemm(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """(n, inputs) to (n, outputs); ``weight`` (outputs, inputs)."""
    return graph.add("Gemm", x, graph.weight(np.ascontiguousarray(weight.T), channel=1), graph.bias(bias))


def inverted(graph: Graph, x: str, block: Inverted) -> str:
    y = gelu(graph, convolution(graph, x, block.conv1))
    y = gelu(graph, convolution(graph, y, block.conv2))
    return gelu(graph, graph.add("Add", x, convolution(graph, y, block.conv3)))


def shrink(graph: Graph, x: str, block: Shrink) -> str:
    x = gelu(graph, convolution(graph, x, block.conv1))
    return convolution(graph, gelu(graph, convolution(graph, x, block.conv2)), block.conv3)


class Windows:
    """Cuts (B, H, W, C) into windows and puts them together again; the sizes are worked out once for a stage."""

    def __init__(self, graph: Graph, x: str, side: int, width: int) -> None:
        """``x``: any (B, H, W, ``width``) of the stage."""
        self.graph, self.side, self.width = graph, side, width
        each = graph.numbers(side)
        self.size = graph.add("Shape", x, start=1, end=3)
        more = graph.add("Mod", graph.add("Sub", graph.numbers(0, 0), self.size), each)
        self.counts = graph.add("Div", graph.add("Add", self.size, more), each)  # rows and columns of windows
        none = graph.numbers(0)
        self.pads = graph.add("Concat", graph.numbers(0, 0, 0, 0, 0), more, none, axis=0)
        rows, columns = graph.split(self.counts, [1, 1], 0)
        self.filled = graph.add("Mul", self.counts, each)
        self.cut_shape = graph.add("Concat", graph.numbers(-1), rows, each, columns, each, graph.numbers(width), axis=0)
        self.joined_shape = graph.add(
            "Concat", graph.numbers(-1), rows, columns, each, each, graph.numbers(width), axis=0
        )
        self.whole_shape = graph.add("Concat", graph.numbers(-1), self.filled, graph.numbers(width), axis=0)

    def cut(self, x: str) -> str:
        """(B, H, W, C) to (tokens, C), window after window."""
        graph = self.graph
        x = graph.add("Reshape", graph.add("Pad", x, self.pads), self.cut_shape)
        return graph.add("Reshape", graph.add("Transpose", x, perm=[0, 1, 3, 2, 4, 5]), graph.numbers(-1, self.width))

    def join(self, x: str) -> str:
        """Back to (B, H, W, C)."""
        graph = self.graph
        x = graph.add("Transpose", graph.add("Reshape", x, self.joined_shape), perm=[0, 1, 3, 2, 4, 5])
        x = graph.add("Reshape", x, self.whole_shape)
        return graph.add("Slice", x, graph.numbers(0, 0), self.size, graph.numbers(1, 2))


def bias_of(graph: Graph, module: Attention) -> str:
    """(heads, tokens, tokens): what is added to the logits; distances are stored in a byte each."""
    distances = graph.initializer(array(module.distances).astype(np.uint8))
    table = graph.weight(array(module.attention_biases))
    added = graph.add("Gather", table, graph.add("Cast", distances, to=TensorProto.INT64), axis=1)
    graph.layers[added] = module.attention_biases
    return added


def attention(graph: Graph, x: str, module: Attention, side: int) -> str:
    """(tokens, C) of whole windows to the same."""
    heads, count = module.heads, side * side
    x = layer_norm(graph, x, module.norm)
    parts = []
    for index, perm in enumerate(([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])):  # queries, keys, values
        rows = [3 * HEAD * head + HEAD * index + channel for head in range(heads) for channel in range(HEAD)]
        factor = HEAD**-0.5 if index == 0 else 1.0
        y = some_rows(graph, x, Rows(module.qkv, rows, factor))
        split = graph.add("Reshape", y, graph.numbers(-1, count, heads, HEAD))
        parts.append(graph.add("Transpose", split, perm=perm))
    query, key, value = parts
    shares = graph.add("Softmax", graph.add("Add", graph.add("MatMul", query, key), bias_of(graph, module)), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", shares, value), perm=[0, 2, 1, 3])
    flat = graph.add("Reshape", mixed, graph.numbers(-1, heads * HEAD))
    return linear(graph, flat, module.proj)


def block(graph: Graph, x: str, module: Block, windows: Windows) -> str:
    y = attention(graph, windows.cut(x), module.attn, module.window)
    x = graph.add("Add", x, windows.join(y))
    x = tokens(graph, convolution(graph, planes(graph, x), module.local_conv))
    y = graph.add("Reshape", layer_norm(graph, x, module.mlp.norm), graph.numbers(-1, windows.width))
    y = linear(graph, gelu(graph, linear(graph, y, module.mlp.fc1)), module.mlp.fc2)
    return graph.add("Add", x, graph.add("Reshape", y, graph.add("Shape", x)))


def encoder(graph: Graph, x: str, module: SamEncoder) -> list[str]:
    """Maps (B, C, H, W) of strides 4, 8, 16 and 16."""
    mean, deviation = (np.reshape(each, (1, 3, 1, 1)) for each in (MEAN, DEVIATION))
    scale, shift = 255 / deviation, -mean / deviation
    x = graph.add("Add", graph.add("Mul", x, graph.constant(scale)), graph.constant(shift))
    first, _, second = module.patch_embed.seq
    x = convolution(graph, gelu(graph, convolution(graph, x, first)), second)
    maps = []
    for index, stage in enumerate(module.layers):
        x = inverted_stage(graph, x, stage.blocks) if index == 0 else window_stage(graph, x, stage.blocks)
        maps.append(x)
        if isinstance(stage.downsample, Shrink):
            x = shrink(graph, x, stage.downsample)
    reduce, norm1, mix, norm2 = module.neck
    y = graph.add("MatMul", tokens(graph, x), graph.weight(np.ascontiguousarray(array(reduce.weight).T), channel=1))
    graph.layers[y] = reduce
    y = planes(graph, layer_norm(graph, y, norm1))
    y = layer_norm(graph, tokens(graph, convolution(graph, y, mix)), norm2)
    return [*maps[:3], planes(graph, y)]


def inverted_stage(graph: Graph, x: str, blocks: Sequence[Inverted]) -> str:
    for module in blocks:
        x = inverted(graph, x, module)
    return x


def window_stage(graph: Graph, x: str, blocks: Sequence[Block]) -> str:
    x = tokens(graph, x)
    windows = Windows(graph, x, blocks[0].window, blocks[0].mlp.fc1.in_features)
    for module in blocks:
        x = block(graph, x, module, windows)
    return planes(graph, x)


def sam_backbone(graph: Graph, x: str, module: SamBackbone) -> list[str]:
    c2, c3, c4, top = encoder(graph, x, module.encoder)
    c4 = graph.add("Concat", c4, graph.add("Mul", top, graph.constant(LOUDER)), axis=1)
    reduce, halve, mix = module.deeper
    c5 = residual(graph, conv_norm(graph, conv_norm(graph, c4, reduce), halve), mix)
    return [c2, c3, c4, c5]
