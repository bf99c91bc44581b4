"""Layers that are computed together, or in another order: the same numbers, fewer products."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from support import pt_writer
from support.pt_families import NETWORKS

from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.family import build
from fastsam_onnx.checkpoints.onnx_writer import model_parts
from fastsam_onnx.checkpoints.subpixel import ADDED, pixel_kernel
from fastsam_onnx.network.network import Network

SIDE = 64


def made(network: pt_writer.Object) -> Checkpoint:
    return read_checkpoint(pt_writer.checkpoint(pt_writer.official(network)))


def model_bytes(checkpoint: Checkpoint, **options: Any) -> bytes:
    built = build(checkpoint, (SIDE, SIDE), **options)
    return b"".join(model_parts(built.writer, built.metadata, built.parameters()))


def operators(model: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


def products(model: bytes) -> int:
    """Number of products of all convolutions."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), data_prop=True).graph
    shapes = {
        each.name: [side.dim_value for side in each.type.tensor_type.shape.dim]
        for each in (*graph.value_info, *graph.input, *graph.output)
    }
    weights = {each.name: list(each.dims) for each in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):  # the weights once for each cell of one side
            side = node.output[0] if node.op_type == "Conv" else node.input[0]
            total += int(np.prod(weights[node.input[1]])) * int(np.prod(shapes[side][2:]))
    return total


def outputs(model: bytes) -> list[np.ndarray]:
    tensor = np.random.default_rng(1).random((1, 3, SIDE, SIDE), np.float32)
    [answer] = Network.open(model, threads=1).run(tensor)
    return [answer.candidates, answer.prototypes]


def test_pixel_kernel_by_hand():
    # One channel each. The transposed convolution makes of a cell x the pixels x * [[1, 2], [3, 4]] + 10; the 3x3
    # convolution weighs its nine places 1, 10, 100 in the rows, times 1, 2, 3 in the columns.
    transposed, bias = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([10.0])
    kernel = (np.array([1.0, 10.0, 100.0])[:, None] * [1.0, 2.0, 3.0])[None, None]
    upper_left = pixel_kernel(transposed, bias, kernel, 0, 0)
    assert upper_left.shape == (1, 1 + ADDED, 2, 2)
    # Its row sees a row of 3, 4 above it, in the cells above, and rows of 1, 2 and 3, 4 in its own cells; its column 2
    # or 4 to the left, in the cells there, and 1, 2 or 3, 4 in its own.
    above, left_above = 1 * (2 * 3 + 3 * 4), 1 * (1 * 4)
    own, left = 10 * (2 * 1 + 3 * 2) + 100 * (2 * 3 + 3 * 4), 10 * (1 * 2) + 100 * (1 * 4)
    np.testing.assert_allclose(upper_left[0, 0], [[left_above, above], [left, own]])
    # Of the bias, 10 a place: one row of three above, two below; one column of three to the left, two to the right.
    np.testing.assert_allclose(upper_left[0, 1:].sum(axis=0), 10 * np.outer([1, 110], [1, 5]))
    lower_right = pixel_kernel(transposed, bias, kernel, 1, 1)
    np.testing.assert_allclose(lower_right[0, 1:].sum(axis=0), 10 * np.outer([11, 100], [3, 3]))


@pytest.mark.parametrize(
    "name", ["YOLOv8 with ReLU", "YOLOv8 with LeakyReLU", "YOLOv8 with ReLU6", "YOLOv8 with Hardswish", "YOLO11"]
)
def test_prototypes_up_to_the_border(name):
    """With a large bias of the transposed convolution, which is not where there are no pixels."""
    checkpoint = made(NETWORKS[name]())
    [key] = [key for key in checkpoint.arrays if key.endswith(".proto.upsample.bias")]
    bias = np.linspace(-20, 20, len(checkpoint.arrays[key]), dtype=np.float32)
    checkpoint = replace(checkpoint, arrays={**checkpoint.arrays, key: bias})
    together, plain = model_bytes(checkpoint), model_bytes(checkpoint, plain=True)
    assert operators(plain)["ConvTranspose"] == operators(together)["DepthToSpace"] == 1
    assert operators(plain)["DepthToSpace"] == operators(together)["ConvTranspose"] == 0
    for got, wanted in zip(outputs(together), outputs(plain), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_raw_heads_are_of_plain_layers():
    raw = operators(model_bytes(made(pt_writer.yolov8_seg()), raw=True))
    assert (raw["ConvTranspose"], raw["DepthToSpace"]) == (1, 0)


def test_fewer_products():
    checkpoint = made(pt_writer.yolov8_seg(width=32))
    of = {key.removesuffix(".weight"): values.shape for key, values in checkpoint.arrays.items()}
    (c, source, *_), (_, m, *_) = of["model.22.proto.cv1.conv"], of["model.22.proto.upsample"]
    o = of["model.22.proto.cv2.conv"][0]
    cells = (SIDE // 8) ** 2
    before = 4 * c * m * cells + 9 * m * o * 4 * cells
    after = 9 * source * ADDED * cells + 4 * 4 * (c + ADDED) * o * cells
    coarse = of["model.9.cv2.conv"][0] * of["model.12.cv1.conv"][0] * (SIDE // 32) ** 2
    fine = of["model.12.cv2.conv"][0] * of["model.15.cv1.conv"][0] * (SIDE // 16) ** 2
    saved = before - after + 3 * (coarse + fine)  # each cell once, not four times
    assert products(model_bytes(checkpoint, plain=True)) - products(model_bytes(checkpoint)) == saved
    assert after < 0.5 * before


def test_a_1x1_convolution_comes_before_its_source_is_enlarged():
    checkpoint = made(pt_writer.yolov8_seg())
    together, plain = (onnx.load_from_string(model_bytes(checkpoint, plain=each)).graph for each in (False, True))
    widths = []
    for graph in (together, plain):
        weights = {each.name: each.dims for each in graph.initializer}
        makers = {node.output[0]: node for node in graph.node}
        enlarged = [makers[node.input[0]] for node in graph.node if node.op_type == "Resize"]
        widths.append([weights[node.input[1]][2:] if node.op_type == "Conv" else node.op_type for node in enlarged])
    assert widths == [[[1, 1]] * 4, ["Mul", "Mul"]]  # twice two halves of channels
    kinds = [Counter(node.op_type for node in graph.node) for graph in (together, plain)]
    assert kinds[0]["Concat"] == kinds[1]["Concat"] - 2 + 1  # two of the neck less, one of the four pixels more


def test_halves_are_made_apart_and_not_cut():
    checkpoint = made(pt_writer.yolov8_seg())
    together, plain = (operators(model_bytes(checkpoint, plain=each)) for each in (False, True))
    assert plain["Split"] - together["Split"] == 8  # of the eight stages C2f
    assert together["Split"] == 3  # of the boxes' distances, before and after, at each stride
