"""Bytes moved by whole pixels: the same bytes at any size, and nothing that is not the same is touched."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastsam_onnx.quantize.byte_moves import with_byte_moves

NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
DOUBLE = np.array([1, 1, 2, 2], np.float32)


def bytes_through(
    operator: str, *inputs: str, scale_after: str = "scale", scales: np.ndarray = DOUBLE, **attributes: object
) -> onnx.ModelProto:
    """QuantizeLinear, DequantizeLinear, an operator, QuantizeLinear, DequantizeLinear; any batch, height and width."""
    pairs = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x_q"], name="x_quantize"),
        helper.make_node("DequantizeLinear", ["x_q", "scale", "zero"], ["x_bytes"], name="x_dequantize"),
        helper.make_node(operator, ["x_bytes", *inputs], ["moved"], name="moving", **attributes),
        helper.make_node("QuantizeLinear", ["moved", scale_after, "zero"], ["moved_q"], name="moved_quantize"),
        helper.make_node("DequantizeLinear", ["moved_q", scale_after, "zero"], ["y"], name="moved_dequantize"),
    ]
    constants = {"scale": np.float32(0.5), "other": np.float32(0.7), "zero": np.uint8(3), "scales": scales}
    graph = helper.make_graph(
        pairs,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "rows", "columns"])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def run(model: onnx.ModelProto, tensor: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": tensor})[0]


MOVES = {
    "enlarging": lambda: bytes_through("Resize", "", "scales", **NEAREST),
    "depth to space": lambda: bytes_through("DepthToSpace", blocksize=2, mode="DCR"),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [(1, 8, 6, 4), (2, 8, 1, 5), (3, 8, 7, 7)])
def test_the_same_bytes_at_any_size(name, shape):
    plain = MOVES[name]()
    moved = with_byte_moves(plain)
    onnx.checker.check_model(moved, full_check=True)
    found = Counter(node.op_type for node in moved.graph.node)
    assert found["Resize"] == found["DepthToSpace"] == 0
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1
    tensor = np.random.default_rng(0).normal(20, 30, shape).astype(np.float32)
    expected = run(plain, tensor)
    np.testing.assert_array_equal(run(moved, tensor), expected)
    pixels, height, width = np.prod(shape), *shape[2:]
    assert expected.shape[2:] == (2 * height, 2 * width)
    assert expected.size == pixels * (4 if name == "enlarging" else 1)


def test_enlarging_of_two_by_two_pixels_by_hand():
    moved = with_byte_moves(MOVES["enlarging"]())
    tensor = np.repeat(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), 8, axis=1)
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    np.testing.assert_array_equal(run(moved, tensor)[0], [expected] * 8)


@pytest.mark.parametrize(
    "plain",
    [
        bytes_through("Resize", "", "scales", scales=np.array([1, 1, 3, 3], np.float32), **NEAREST),
        bytes_through("Resize", "", "scales", **{**NEAREST, "nearest_mode": "ceil"}),
        bytes_through("Resize", "", "scales", **{**NEAREST, "mode": "linear"}),
        bytes_through("Resize", "", "scales", scale_after="other", **NEAREST),
        bytes_through("DepthToSpace", blocksize=2, mode="CRD"),
        bytes_through("DepthToSpace", blocksize=2, scale_after="other"),
    ],
    ids=["by three", "ceil", "linear", "another scale", "column first", "depth to another scale"],
)
def test_other_moves_stay(plain):
    assert with_byte_moves(plain).graph.node == plain.graph.node
