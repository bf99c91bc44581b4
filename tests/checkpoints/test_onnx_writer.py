"""That what is written is what the onnx package reads: nodes, attributes, shapes, parameters, texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_onnx.checkpoints.onnx_writer import GraphWriter, _varint, external_model, float_bytes, model_parts
from fastsam_onnx.errors import ModelError

WEIGHT = np.arange(2 * 3, dtype=np.float32).reshape(2, 3, 1, 1) - 2.5
BIAS = np.array([0.25, -1e30], np.float32)


def small() -> tuple[GraphWriter, list[tuple[str, np.ndarray]]]:
    """One convolution, and its parameters."""
    writer = GraphWriter("small")
    x = writer.input("x", ["batch", 3, "height", "width"])
    inputs = [x, writer.parameter("weight", WEIGHT.shape), writer.parameter("bias", BIAS.shape)]
    writer.add("Conv", *inputs, output="y", kernel_shape=[1, 1])
    writer.output("y", ["batch", 2, "height", "width"])
    return writer, [("weight", WEIGHT), ("bias", BIAS)]


def read(writer: GraphWriter, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """The graph without parameters, as the onnx package understands it."""
    return onnx.load_from_string(b"".join(model_parts(writer, metadata or {}, ())))


def test_a_model_is_valid_and_holds_what_was_given():
    writer, values = small()
    model = onnx.load_from_string(b"".join(model_parts(writer, {"stride": "32"}, values)))
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [17]
    assert (model.ir_version, model.graph.name) == (8, "small")
    assert {each.key: each.value for each in model.metadata_props} == {"stride": "32"}
    for tensor, (name, array) in zip(model.graph.initializer, values, strict=True):
        assert tensor.name == name
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), array)
    [source], [result] = model.graph.input, model.graph.output
    sides = [
        [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim] for each in (source, result)
    ]
    assert sides == [["batch", 3, "height", "width"], ["batch", 2, "height", "width"]]


def test_parameters_in_a_file_beside_it(tmp_path):
    writer, values = small()
    (tmp_path / "model.onnx").write_bytes(external_model(writer, {}, "values"))
    (tmp_path / "values").write_bytes(b"".join(float_bytes(array) for _, array in values))
    model = onnx.load(tmp_path / "model.onnx")
    for tensor, (_, array) in zip(model.graph.initializer, values, strict=True):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), array)


def test_every_kind_of_attribute():
    writer = GraphWriter("attributes")
    given_ = {"axis": -1, "alpha": 0.1, "mode": "nearest", "perm": [0, -2, 2**40], "start": 2, "zero": 0}
    writer.add("Anything", "x", **given_)
    [node] = read(writer).graph.node
    got = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    assert got == {**given_, "alpha": pytest.approx(0.1, rel=1e-7), "mode": b"nearest"}
    assert node.op_type == "Anything"


def test_nodes_of_several_outputs_and_inputs_left_out():
    writer = GraphWriter("nodes")
    names = writer.add_many("Split", "x", outputs=3, axis=1)
    last = writer.add("Resize", names[2], "", names[0])
    first, second = read(writer).graph.node
    assert list(first.output) == names
    assert len(set(names)) == 3
    assert list(second.input) == [names[2], "", names[0]]
    assert list(second.output) == [last]


def test_what_no_output_needs_is_dropped():
    writer, values = small()
    largest = writer.add("MaxPool", "x", kernel_shape=[1, 1])  # for the next one alone, which nothing takes
    writer.add("Mul", largest, writer.constant(2.0))
    factor = writer.constant(3.0)
    writer.add("Mul", "x", factor, output="z")
    writer.output("z", ["batch", 3, "height", "width"])
    writer.drop_unused()
    graph = onnx.load_from_string(b"".join(model_parts(writer, {}, values))).graph
    assert [(node.op_type, list(node.output)) for node in graph.node] == [("Conv", ["y"]), ("Mul", ["z"])]
    assert [constant.name for constant in graph.initializer] == [factor, "weight", "bias"]
    assert [each.name for each in (*graph.input, *graph.output)] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("values", "integers", "dtype"),
    [(0.5, False, np.float32), ([1.0, -2.5], False, np.float32), ([0, -1], True, np.int64), (3, True, np.int64)],
)
def test_constants(values, integers, dtype):
    writer = GraphWriter("constants")
    name = writer.constant(values, integers=integers)
    [tensor] = read(writer).graph.initializer
    array = onnx.numpy_helper.to_array(tensor)
    assert tensor.name == name
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.asarray(values, dtype))


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_metadata_of_any_text(metadata):
    model = read(GraphWriter("texts"), metadata)
    assert {each.key: each.value for each in model.metadata_props} == metadata


def test_half_a_surrogate_pair_does_not_spoil_the_file():
    # A pickle can hold such a text; no UTF-8 can.
    [pair] = read(GraphWriter("texts"), {"version": "8\ud800"}).metadata_props
    assert pair.value == "8?"


@given(st.integers(0, 2**64 - 1))
def test_varint(value):
    encoded = _varint(value)
    assert sum((byte & 0x7F) << 7 * index for index, byte in enumerate(encoded)) == value
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]


def test_more_than_protobuf_allows_is_refused_before_anything_is_computed():
    writer = GraphWriter("large")
    writer.parameter("weight", (2**29, 1))

    def values() -> Iterator[tuple[str, np.ndarray]]:
        raise AssertionError("nobody needs them")
        yield

    with pytest.raises(ModelError, match=r"2,147,\d+,\d+ bytes"):
        list(model_parts(writer, {}, values()))


@pytest.mark.parametrize("values", [[("bias", BIAS), ("weight", WEIGHT)], [("weight", WEIGHT[:1]), ("bias", BIAS)]])
def test_values_that_were_not_declared_so(values):
    writer, _ = small()
    with pytest.raises(ValueError, match=r"weight \(2, 3, 1, 1\) as declared"):
        list(model_parts(writer, {}, values))
