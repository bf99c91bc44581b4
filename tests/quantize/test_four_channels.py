"""Three channels as four: the same bytes, and other convolutions stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastsam_onnx.quantize.four_channels import with_four_channels


def convolution_of_bytes(channels: int, group: int = 1, *, shared: bool = False) -> onnx.ModelProto:
    """A 3x3 convolution of stride 2 in pairs, with zero points that are not zero; any batch, height and width."""
    rng = np.random.default_rng(0)
    constants = {
        "step": np.float32(1 / 128), "zero": np.uint8(127), "y_step": np.float32(0.05), "y_zero": np.uint8(100),
        "w_q": rng.integers(-63, 64, (6, channels // group, 3, 3), np.int8), "w_step": np.full(6, 0.01, np.float32),
        "w_zero": np.zeros(6, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["x_q"], name="x_quantize"),
        helper.make_node("DequantizeLinear", ["x_q", "step", "zero"], ["x_bytes"], name="x_dequantize"),
        helper.make_node("DequantizeLinear", ["w_q", "w_step", "w_zero"], ["w"], name="w_dequantize", axis=0),
        helper.make_node(
            "Conv", ["x_bytes", "w"], ["made"], name="conv", pads=[0, 0, 1, 1], strides=[2, 2], group=group
        ),
        helper.make_node("QuantizeLinear", ["made", "y_step", "y_zero"], ["y_q"], name="y_quantize"),
        helper.make_node("DequantizeLinear", ["y_q", "y_step", "y_zero"], ["y"], name="y_dequantize"),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "rows", "columns"])]
    if shared:
        nodes.append(helper.make_node("Relu", ["x_bytes"], ["z"], name="relu"))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", "c", "h", "w"]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        outputs,
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("shape", [(1, 3, 32, 48), (2, 3, 7, 5)])
def test_the_same_bytes_at_any_size(shape, level):
    plain = convolution_of_bytes(3)
    wider = with_four_channels(plain)
    onnx.checker.check_model(wider, full_check=True)
    [weights] = [numpy_helper.to_array(each) for each in wider.graph.initializer if each.name.endswith("_wider")]
    assert weights.shape == (6, 4, 3, 3)
    assert not weights[:, 3].any()
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    photo = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    before, after = (
        ort.InferenceSession(each.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(
            None, {"x": photo}
        )
        for each in (plain, wider)
    )
    np.testing.assert_array_equal(after[0], before[0])


@pytest.mark.parametrize(
    "plain",
    [
        convolution_of_bytes(4),
        convolution_of_bytes(3, group=3),
        convolution_of_bytes(6, group=2),
        convolution_of_bytes(3, shared=True),
    ],
    ids=["four already", "depthwise", "two groups of three", "something else takes the photo too"],
)
def test_others_stay(plain):
    assert with_four_channels(plain).graph.node == plain.graph.node
