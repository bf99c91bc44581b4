"""Opset and precision, told without the package onnx, which here says what is right."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import tiny_onnx

from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.onnx_header import external_bytes, read_onnx_header
from fastsam_onnx.weights.bundled import bundled_model


@pytest.mark.parametrize("opset", [12, 17, 20])
@pytest.mark.parametrize(("dtype", "precision"), [(np.float32, "float32"), (np.float16, "float16"), (np.int8, "int8")])
def test_opset_and_precision(tmp_path, opset, dtype, precision):
    parameters = [numpy_helper.from_array(np.zeros((40, 3, 3), dtype), "most")]
    parameters += [numpy_helper.from_array(np.zeros((5, 5), np.float32), "few")]
    parameters += [numpy_helper.from_array(np.zeros(9999, np.int64), "no weights")]
    graph = helper.make_graph([], "graph", [], [], parameters)
    opsets = [helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="pytorch")
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    header = read_onnx_header(tmp_path / "a.onnx")
    assert (header.opset, header.precision, header.producer) == (opset, precision, "pytorch")


def test_files_that_hold_its_parameters(tmp_path):
    parameters = [numpy_helper.from_array(np.zeros((40, 3)), name) for name in "ab"]
    model = helper.make_model(helper.make_graph([], "graph", [], [], parameters))
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    assert read_onnx_header(tmp_path / "a.onnx").external_files == ("a.data",)
    assert external_bytes(tmp_path / "a.onnx") == {"a.data": (tmp_path / "a.data").stat().st_size}
    (tmp_path / "a.data").unlink()
    with pytest.raises(ModelError, match=r"a\.onnx has parameters in a file that cannot be found.*a\.data"):
        external_bytes(tmp_path / "a.onnx")
    header = (tmp_path / "a.onnx").read_bytes()
    (tmp_path / "b.onnx").write_bytes(header.replace(b"a.data", b"a\0data"))
    with pytest.raises(ModelError, match=r"b\.onnx has parameters in a file that cannot be found"):
        external_bytes(tmp_path / "b.onnx")


def test_the_bundled_model():
    model = onnx.load(bundled_model())
    header = read_onnx_header(bundled_model())
    assert header.opset == next(each.version for each in model.opset_import if each.domain == "")
    eighths = sum(np.prod(each.dims) for each in model.graph.initializer if each.data_type == TensorProto.INT8)
    floats = sum(np.prod(each.dims) for each in model.graph.initializer if each.data_type == TensorProto.FLOAT)
    assert header.precision == ("int8" if eighths > floats else "float32")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_an_error(tmp_path, share):
    whole = tiny_onnx.tiny()
    (tmp_path / "a.onnx").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"a\.onnx is not an ONNX file"):
        read_onnx_header(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"\xff" * 20, b"\x3b", b"\x08"])
def test_no_onnx(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_onnx_header(tmp_path / "a.onnx")
