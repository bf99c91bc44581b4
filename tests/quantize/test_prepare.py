"""Which networks can be made ready for quantizing, and float32 of those in float16."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastsam_onnx.errors import ModelError
from fastsam_onnx.quantize.prepare import has_halves, make_float32, prepared


def test_only_types_are_changed_not_numbers_that_look_like_one():
    """10 is the number of float16: a convolution of ten groups keeps them."""
    assert TensorProto.FLOAT16 == 10
    weights = np.arange(10, dtype=np.float16).reshape(10, 1, 1, 1)
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["half", "weights"], ["conv"], group=10),
        helper.make_node("Cast", ["conv"], ["number"], to=TensorProto.INT64),
        helper.make_node("Cast", ["number"], ["again"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["again"], ["y"], to=TensorProto.FLOAT),
    ]
    [x, y] = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 10, 2, 2]) for name in "xy")
    network = helper.make_model(helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weights, "weights")]))
    assert has_halves(network)
    make_float32(network)
    assert not has_halves(network)
    kinds = [(node.op_type, *(attribute.i for attribute in node.attribute)) for node in network.graph.node]
    assert kinds == [
        ("Identity",),
        ("Conv", 10),
        ("Cast", TensorProto.INT64),
        ("Cast", TensorProto.FLOAT),
        ("Identity",),
    ]
    [widened] = network.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(widened), weights.astype(np.float32), strict=True)


@pytest.mark.parametrize("opset", [12, 13])
def test_the_first_opset_is_that_with_a_scale_per_channel(opset, tmp_path):
    """By the standard, QuantizeLinear has its axis since opset 13."""
    [x, y] = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2, 2]) for name in "xy")
    weights = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "weights")
    graph = helper.make_graph([helper.make_node("Conv", ["x", "weights"], ["y"])], "g", [x], [y], [weights])
    path = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7), path)
    if opset == 13:
        assert [node.op_type for node in prepared(path).graph.node] == ["Conv"]
    else:
        with pytest.raises(ModelError, match=r"network\.onnx must be of opset 13 or later, got 12"):
            prepared(path)
