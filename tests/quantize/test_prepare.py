"""A network of float16 as one of float32."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fastsam_onnx.quantize.prepare import has_halves, make_float32


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
