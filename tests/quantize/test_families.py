"""Networks with attention become int8 as a whole: its convolutions, and those behind it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.pt_families import NETWORKS
from support.pt_writer import checkpoint, official

from fastsam_onnx.quantize import qdq, quantize
from fastsam_onnx.quantize.box_decoding import with_fast_decoding
from fastsam_onnx.quantize.calibration import dead_leaves
from fastsam_onnx.quantize.prepare import prepared

PHOTOS = [dead_leaves(seed)[::4, ::4] for seed in range(6)]


def run(path: Path, tensor: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: tensor})


def fused(path: Path) -> Counter[str]:
    """The operators that ONNX Runtime makes of a network."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".fused.onnx"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def attention_nodes(model: onnx.ModelProto) -> int:
    return sum(node.op_type in ("Softmax", "MatMul") for node in model.graph.node)


@pytest.mark.parametrize("name", ["YOLO11", "YOLO12", "YOLO26"])
def test_convolutions_behind_attention_are_int8(name, tmp_path):
    """Before, YOLO26 had 28 of its 117 convolutions in int8: those up to the first attention."""
    source, target = tmp_path / "network.pt", tmp_path / "int8.onnx"
    source.write_bytes(checkpoint(official(NETWORKS[name]())))
    report = quantize(source, target, PHOTOS, imgsz=64, threads=1, force=True)
    network = prepared(source)
    assert attention_nodes(network) > 0
    assert attention_nodes(onnx.load(target)) == attention_nodes(network)  # itself it stays in float
    convolutions = sum(node.op_type == "Conv" for node in network.graph.node)
    in_float = 9 + report.first_in_float  # boxes, scores and coefficients of three scales
    assert len(qdq.last_convolutions(network)) == 9
    assert fused(target)["QLinearConv"] == convolutions - in_float
    onnx.save(network, tmp_path / "float32.onnx")
    tensor = np.stack([each.transpose(2, 0, 1)[:, :64, :64] for each in PHOTOS[:2]]).astype(np.float32) / 255
    answers = list(zip(run(target, tensor), run(tmp_path / "float32.onnx", tensor), strict=True))
    for values, expected in answers[1:] if name == "YOLO26" else answers:  # which gives its best candidates by rank
        assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.9


def test_the_convolution_that_decodes_boxes_is_not_to_be_int8(tmp_path):
    """Exports by ultralytics write the mean of a box's bins as a convolution without bias, behind a softmax."""
    weights = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Softmax", ["x"], ["likely"], name="softmax", axis=1),
            helper.make_node("Conv", ["likely", "bins"], ["y"], name="mean", kernel_shape=[1, 1]),
        ],
        "decoding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 4, "cells"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, "cells"])],
        [numpy_helper.from_array(weights, "bins")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    fast = with_fast_decoding(model)
    assert qdq.make_plan(fast).nodes == frozenset()
    onnx.save(model, tmp_path / "before.onnx")
    onnx.save(fast, tmp_path / "after.onnx")
    tensor = np.random.default_rng(0).standard_normal((1, 16, 4, 30)).astype(np.float32) * 4
    [expected], [values] = run(tmp_path / "before.onnx", tensor), run(tmp_path / "after.onnx", tensor)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
