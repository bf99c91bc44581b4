"""The trained network as an ONNX graph: one function per block of network.py, parameters put straight in.

Batch norms are folded into the convolutions, boxes are decoded and anchors made inside the graph, for any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from .encoder import SamBackbone
from .fine.network import Fine
from .graph_encoder import sam_backbone
from .network import (
    COEFFICIENTS,
    ELLIPSE,
    FRAME,
    LEAST_HALF,
    PROTOTYPE_STRIDE,
    REG_MAX,
    STRIDES,
    TAPS,
    Backbone,
    ConvNorm,
    Head,
    InvertedResidual,
    SegmentEverything,
)
from .nodes import Graph, Shapes, Stored, conv_norm, part, prediction, product, residual, total


def inverted_residual(graph: Graph, x: str, block: InvertedResidual) -> str:
    y = conv_norm(graph, x, block.expand) if isinstance(block.expand, ConvNorm) else x
    y = conv_norm(graph, conv_norm(graph, y, block.depthwise), block.project)
    return graph.add("Add", x, y) if block.skip else y


def lite_backbone(graph: Graph, x: str, module: Backbone) -> list[str]:
    x = graph.add("Add", graph.add("Mul", x, graph.constant(255 / 128)), graph.constant(-127 / 128))
    x = conv_norm(graph, x, module.stem)
    found = []
    for index, block in enumerate(module.blocks):
        x = inverted_residual(graph, x, block)
        if index in TAPS:
            found.append(x)
    return found


def merge(graph: Graph, maps: Sequence[str], module: nn.Module) -> str:
    return residual(graph, conv_norm(graph, graph.add("Concat", *maps, axis=1), module.squeeze), module.mix)


def context(graph: Graph, x: str, module: nn.Module) -> str:
    views = [conv_norm(graph, x, module.reduce)]
    for _ in range(3):
        views.append(graph.add("MaxPool", views[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]))
    return conv_norm(graph, graph.add("Concat", *views, axis=1), module.join)


def enlarge(graph: Graph, x: str) -> str:
    return graph.add(
        "Resize",
        x,
        "",
        graph.constant([1.0, 1.0, 2.0, 2.0]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def pyramid(graph: Graph, c3: str, c4: str, c5: str, module: nn.Module) -> list[str]:
    top5 = context(graph, c5, module.context)
    top4 = merge(graph, [c4, enlarge(graph, top5)], module.down4)
    p3 = merge(graph, [c3, enlarge(graph, top4)], module.down3)
    p4 = merge(graph, [top4, conv_norm(graph, p3, module.reduce3)], module.up4)
    p5 = merge(graph, [top5, conv_norm(graph, p4, module.reduce4)], module.up5)
    return [p3, p4, p5]


def head(graph: Graph, level: str, module: Head) -> list[str]:
    """Distances, score, coefficients, each (B, channels, places)."""
    branches = (module.box, module.score, module.mask)
    box, score, mask = (conv_norm(graph, conv_norm(graph, level, b.first), b.second) for b in branches)
    inputs = (box, score, graph.add("Concat", mask, box, axis=1))
    outputs = []
    for branch, x, channels in zip(branches, inputs, (4 * REG_MAX, 1, COEFFICIENTS), strict=True):
        said = prediction(graph, x, branch.predict)
        outputs.append(graph.add("Reshape", said, graph.numbers(0, channels, -1)))
    return outputs


def centres(graph: Graph, shape: str, axis: int) -> str:
    """0.5, 1.5, ... as far as ``shape`` (2,) says along an axis."""
    end = graph.add("Gather", shape, graph.constant(axis, np.int64))
    steps = graph.add("Range", graph.constant(0, np.int64), end, graph.constant(1, np.int64))
    return graph.add("Add", graph.add("Cast", steps, to=TensorProto.FLOAT), graph.constant(0.5))


def anchors(graph: Graph, level: str, stride: int) -> tuple[str, str, str]:
    """Centres x and y in input pixels and the stride, each (places,), of a level of any size."""
    shape = graph.add("Shape", level, start=2)  # height, width
    lines = []
    for axis, form in enumerate(([-1, 1], [1, -1])):
        line = graph.add("Mul", centres(graph, shape, axis), graph.constant(float(stride)))
        grid = graph.add("Expand", graph.add("Reshape", line, graph.numbers(*form)), shape)
        lines.append(graph.add("Reshape", grid, graph.numbers(-1)))
    y, x = lines
    strides = graph.add("Expand", graph.constant(float(stride)), graph.add("Shape", x))
    return x, y, strides


def expected_distances(graph: Graph, logits: str) -> str:
    """Logits (B, 4 * REG_MAX, A) to left, top, right, bottom (B, 4, A) in strides."""
    split = graph.add("Reshape", logits, graph.numbers(0, 4, REG_MAX, -1))
    shares = graph.add("Softmax", graph.add("Transpose", split, perm=[0, 1, 3, 2]), axis=3)
    weighted = graph.add("Mul", shares, graph.constant(np.arange(REG_MAX)))  # a MatMul by one column is far slower
    return graph.add("ReduceSum", weighted, graph.numbers(3), keepdims=0)


def boxes(graph: Graph, distances: str, levels: Sequence[str], steps: Sequence[int]) -> str:
    """Distances (B, 4, A) in strides to centre x, centre y, width, height (B, 4, A) in input pixels."""
    parts = [anchors(graph, level, stride) for level, stride in zip(levels, steps, strict=True)]
    x, y, strides = (graph.add("Concat", *lines, axis=0) for lines in zip(*parts, strict=True))
    distances = graph.add("Mul", distances, strides)
    near, far = graph.split(distances, [2, 2], 1)
    rows = graph.numbers(0)
    points = graph.add("Concat", graph.add("Unsqueeze", x, rows), graph.add("Unsqueeze", y, rows), axis=0)
    half = graph.add("Mul", graph.add("Sub", far, near), graph.constant(0.5))
    return graph.add("Concat", graph.add("Add", points, half), graph.add("Add", near, far), axis=1)


def prototypes(graph: Graph, c2: str, p3: str, module: nn.Module) -> tuple[str, str, str]:
    """The prototypes (B, 32, H/4, W/4), rows and columns of one (2,), and the maps that they are made from."""
    x = enlarge(graph, conv_norm(graph, p3, module.coarse))
    x = graph.add("Add", x, conv_norm(graph, c2, module.detail))
    features = conv_norm(graph, x, module.refine)
    learned = prediction(graph, features, module.predict)
    shape = graph.add("Shape", learned, start=2)
    return graph.add("Concat", learned, *ellipse_prototypes(graph, learned, shape), axis=1), shape, features


def ellipse_prototypes(graph: Graph, learned: str, shape: str) -> list[str]:
    """The ELLIPSE fixed prototypes, each (B, 1, H/4, W/4), beside the learned ones of ``shape`` (2,)."""
    whole = graph.add("Concat", graph.add("Shape", learned, end=1), graph.numbers(1), shape, axis=0)
    middle = graph.add("Mul", graph.add("Cast", shape, to=TensorProto.FLOAT), graph.constant(0.5))
    planes = []
    for axis, form in enumerate(([1, 1, -1, 1], [1, 1, 1, -1])):
        line = graph.add("Sub", centres(graph, shape, axis), part(graph, middle, axis, 0))
        line = graph.add("Mul", line, graph.constant(1 / FRAME))
        wide = graph.add("Reshape", line, graph.numbers(*form))
        planes.append(graph.add("Expand", wide, whole))
    y, x = planes
    one = graph.add("Expand", graph.constant(1.0), whole)
    return [one, x, y, *(product(graph, *pair) for pair in ((x, x), (x, y), (y, y)))]


def placed_ellipses(graph: Graph, ellipses: str, box: str, shape: str) -> str:
    """network.placed_ellipses for (B, ELLIPSE, A), boxes (B, 4, A) as centre and size, and (2,) rows and columns."""
    k0, k1, k2, k3, k4, k5 = graph.split(ellipses, [1] * ELLIPSE, 1)
    sizes = graph.add("Cast", shape, to=TensorProto.FLOAT)
    scales, offsets = [], []
    for index in (0, 1):  # x, y
        half = graph.add("Mul", part(graph, box, 2 + index, 1), graph.constant(0.5))
        half = graph.add("Max", half, graph.constant(LEAST_HALF))
        middle = graph.add("Mul", part(graph, sizes, 1 - index, 0), graph.constant(PROTOTYPE_STRIDE / 2))
        away = graph.add("Sub", middle, part(graph, box, index, 1))
        scales.append(graph.add("Div", graph.constant(FRAME * PROTOTYPE_STRIDE), half))
        offsets.append(graph.add("Div", away, half))
    (a, c), (b, d), two = scales, offsets, graph.constant(2.0)
    k3_b, k4_b, k4_d, k5_d = (product(graph, *pair) for pair in ((k3, b), (k4, b), (k4, d), (k5, d)))
    by_b = product(graph, total(graph, k1, k3_b, k4_d), b)
    by_d = product(graph, total(graph, k2, k5_d), d)
    parts = [
        total(graph, k0, by_b, by_d),
        product(graph, total(graph, k1, product(graph, k3_b, two), k4_d), a),
        product(graph, total(graph, k2, product(graph, k5_d, two), k4_b), c),
        product(graph, k3, a, a),
        product(graph, k4, a, c),
        product(graph, k5, c, c),
    ]
    return graph.add("Concat", *parts, axis=1)


def fine_candidates(graph: Graph, features: str, shape: str, module: Fine) -> str:
    """Candidates (B, 37, A) of the head for small objects, as `draw` gives those of the others."""
    said = prediction(graph, conv_norm(graph, conv_norm(graph, features, module.first), module.second), module.predict)
    flat = graph.add("Reshape", said, graph.numbers(0, 4 + 1 + COEFFICIENTS, -1))
    distances, score, coefficients = graph.split(flat, [4, 1, COEFFICIENTS], 1)
    box = boxes(graph, graph.add("Softplus", distances), [features], [PROTOTYPE_STRIDE])
    return candidates(graph, box, score, coefficients, shape)


def candidates(graph: Graph, box: str, scores: str, coefficients: str, shape: str) -> str:
    """Boxes, scores and coefficients, the ellipses placed, as rows of one array (B, 37, A)."""
    learned, ellipses = graph.split(coefficients, [COEFFICIENTS - ELLIPSE, ELLIPSE], 1)
    parts = [box, graph.add("Sigmoid", scores), learned, placed_ellipses(graph, ellipses, box, shape)]
    return graph.add("Concat", *parts, axis=1)


def build(
    network: SegmentEverything, name: str, metadata: dict[str, str], stored: Stored, fine: Fine | None = None
) -> onnx.ModelProto:
    """The network as ONNX: ``images`` to ``output0`` and ``output1`` as YOLOv8-seg has them.

    ``fine``: its head for small objects, whose candidates come after the others.
    """
    shapes: Shapes = {
        "output0": ["batch", 4 + 1 + COEFFICIENTS, "anchors"],
        "output1": ["batch", COEFFICIENTS, "mask_height", "mask_width"],
    }
    return draw(network, name, stored, fine).model({"images": ["batch", 3, "height", "width"]}, shapes, metadata)


def draw(network: SegmentEverything, name: str, stored: Stored, fine: Fine | None = None) -> Graph:
    """The nodes of the network."""
    graph = Graph(name, stored)
    backbone = sam_backbone if isinstance(network.backbone, SamBackbone) else lite_backbone
    c2, c3, c4, c5 = backbone(graph, "images", network.backbone)
    levels = pyramid(graph, c3, c4, c5, network.pyramid)
    outputs = [head(graph, level, module) for level, module in zip(levels, network.heads, strict=True)]
    logits, scores, coefficients = (graph.add("Concat", *parts, axis=2) for parts in zip(*outputs, strict=True))
    planes, shape, features = prototypes(graph, c2, levels[0], network.prototypes)
    box = boxes(graph, expected_distances(graph, logits), levels, STRIDES)
    found = candidates(graph, box, scores, coefficients, shape)
    if fine:
        found = graph.add("Concat", found, fine_candidates(graph, features, shape, fine), axis=2)
    graph.rename(found, "output0")
    graph.rename(planes, "output1")
    return graph
