"""Scales of bytes, and sums of bytes that no processor rounds otherwise."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastsam_onnx.quantize import qdq
from fastsam_onnx.quantize.calibration import Activation
from fastsam_onnx.quantize.links import Links
from fastsam_onnx.quantize.scales import NOTHING, _clear, choose_scales, clearance, parts, scale_of, zero_of

RANGES = [(-4.0, 7.0), (-6.5, 2.5), (-8.0, 9.0), (0.0, 3.0), (-0.9, 0.8), (-5.0, 5.0)]
PAIRS = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")


def seen(low, high):
    return Activation(low, high, np.zeros(2))


def network(nodes):
    constants = {f"w{number}": np.ones((2, 2, 1, 1), np.float32) for number in range(5)}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def conv(number, source, output):
    return helper.make_node("Conv", [source, f"w{number}"], [output], name=f"conv{number}")


def residual():
    """Two sums, one of which is part of the other; a branch of the first is the half of a split."""
    return network([
        conv(0, "x", "a"),
        helper.make_node("MaxPool", ["a"], ["half"], name="pool", kernel_shape=[1, 1]),
        conv(1, "a", "b"),
        helper.make_node("Add", ["half", "b"], ["first"], name="add1"),
        conv(2, "first", "c"),
        helper.make_node("Add", ["first", "c"], ["second"], name="add2"),
        conv(3, "second", "y"),
    ])  # fmt: skip


def scales_of(model, plan, values):
    return choose_scales(Links(model.graph), plan.nodes, plan.tensors, values, shared=plan.shared, clamped=plan.clamped)


def chosen_for(model, ranges):
    plan = qdq.make_plan(model)
    values = {name: seen(*each) for name, each in zip(plan.tensors, ranges * 2, strict=False)}
    return plan, values, scales_of(model, plan, values)


def add_with_onnx_runtime(one, other, of_sum):
    """The sums of all pairs of bytes, (256, 256)."""
    names = ["one", "one_scale", "one_zero", "other", "other_scale", "other_zero", "scale", "zero"]
    steps = [value for each in (one, other, of_sum) for value in (np.float32(each[0]), np.uint8(each[1]))]
    constants = dict(zip([name for name in names if name not in ("one", "other")], steps, strict=True))
    graph = helper.make_graph(
        [helper.make_node("QLinearAdd", names, ["sum"], domain="com.microsoft")],
        "add",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [256, 256]) for name in ("one", "other")],
        [helper.make_tensor_value_info("sum", TensorProto.UINT8, [256, 256])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = [each.astype(np.uint8) for each in PAIRS]
    return session.run(None, dict(zip(("one", "other"), values, strict=True)))[0]


def exact_sum(a, b, one, other, of_sum):
    """By fractions, from the numbers as float32 keeps them."""
    scales = [Fraction(float(np.float32(each[0]))) for each in (one, other, of_sum)]
    value = ((int(a) - one[1]) * scales[0] + (int(b) - other[1]) * scales[1]) / scales[2] + of_sum[1]
    return min(max(round(value), 0), 255)


@pytest.mark.parametrize("shift", range(len(RANGES)))
def test_every_sum_of_two_bytes_is_clear_and_rounded_right(shift):
    ranges = RANGES[shift:] + RANGES[:shift]
    _, _, scales = chosen_for(residual(), ranges)
    for one, other, of_sum in (("half", "b", "first"), ("first", "c", "second")):
        three = scales[one], scales[other], scales[of_sum]
        assert clearance(parts(three[0], three[2]), parts(three[1], three[2]), three[2][1]) >= 1
        sums = add_with_onnx_runtime(*three)
        exact = np.array([(each - three[k][1]) * three[k][0] / three[2][0] for k, each in enumerate(PAIRS)]).sum(0)
        np.testing.assert_array_equal(sums, np.clip(np.rint(exact + three[2][1]), 0, 255))
        for a, b in np.random.default_rng(shift).integers(0, 256, (20, 2)):
            assert sums[a, b] == exact_sum(a, b, *three)


def test_ranges_grow_a_little_and_never_shrink():
    plan, values, scales = chosen_for(residual(), RANGES)
    for name in plan.tensors:
        owner = plan.shared.get(name, name)
        own = scale_of(values[owner].low, values[owner].high)
        assert own <= scales[name][0] <= 1.01 * own
        assert scales[name][1] == zero_of(values[owner].low, scales[name][0])
    assert scales["half"] == scales["a"]
    assert scales["second"][0] == scale_of(values["second"].low, values["second"].high)


def clamped_sum():
    """A sum of a convolution and what that looks at, clamped."""
    return network([
        conv(0, "x", "a"),
        conv(1, "a", "b"),
        helper.make_node("Add", ["a", "b"], ["sum"], name="add"),
        helper.make_node("Relu", ["sum"], ["clamped"], name="relu"),
        conv(2, "clamped", "y"),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("b", "counted"),
    [((-100.0, 5.0), (-7.0, 5.0)), ((-3.0, 5.0), (-3.0, 5.0)), ((1.0, 5.0), (0.0, 5.0))],
)
def test_what_a_clamped_sum_takes_below_0_counts_as_far_as_the_other_part_goes_above(b, counted):
    """Of a, -4 to 7, something else depends, so it has all of its values; the sum has those of its clamp."""
    model = clamped_sum()
    plan = qdq.make_plan(model)
    assert plan.clamped == {"sum": "clamped"}
    ranges = {"x": (0.0, 1.0), "a": (-4.0, 7.0), "b": b, "clamped": (0.0, 9.0), "y": (0.0, 1.0)}
    assert set(plan.tensors) == ranges.keys()
    values = {name: seen(*each) for name, each in ranges.items()}
    scales = scales_of(model, plan, values)
    for name, (low, high) in {"a": (-4.0, 7.0), "b": counted, "clamped": (0.0, 9.0)}.items():
        assert scale_of(low, high) <= scales[name][0] <= 1.01 * scale_of(low, high)
        assert scales[name][1] == zero_of(low, scales[name][0])
    three = scales["a"], scales["b"], scales["clamped"]
    assert clearance(parts(three[0], three[2]), parts(three[1], three[2]), three[2][1]) >= 1


def test_sums_that_are_not_of_bytes_change_nothing():
    model = residual()
    plan = qdq.make_plan(model, ["add1", "add2"])
    values = {name: seen(*each) for name, each in zip(plan.tensors, RANGES * 2, strict=False)}
    scales = scales_of(model, plan, values)
    for name in set(plan.tensors) - plan.shared.keys():
        assert scales[name][0] == scale_of(values[name].low, values[name].high)


def test_clearance_by_hand():
    """Parts 0.25 and 0.5 of a step: their sums are 0.25, 0.5 and 0.75; the second lies in the middle."""
    zero, quarter, half = np.zeros(1), np.array([0.0, 0.25]), np.array([0.0, 0.5])
    assert clearance(quarter, half, 100) == 0
    assert clearance(quarter, zero, 100) == pytest.approx(0.25 / 2e-5, rel=1e-2)
    wide = np.array([0.0, 254.75])  # of as many steps: twice as much is enough
    assert clearance(wide, zero, 0) == pytest.approx(0.25 / 4e-5, rel=1e-2)
    assert clearance(np.array([300.5]), zero, 0) > 1  # more than a byte holds: 255, however it is rounded


def test_the_zero_point_is_the_nearest_byte():
    assert [zero_of(low, 1.0) for low in (0.5, 0.0, -0.4, -0.6, -127.6, -300)] == [0, 0, 0, 1, 128, 255]


def test_the_first_scale_that_is_clear_is_taken():
    """Each is 2e-5 of the first above the one before."""
    of_sum, found = (0.09, 128), 0
    for low, high in RANGES:
        start = scale_of(low, high), zero_of(low, scale_of(low, high))
        scale, _ = _clear(start, seen(low, high), NOTHING, of_sum)
        tried = [float(np.float32(start[0] * (1 + step * 2e-5))) for step in range(500)]
        clear = [each for each in tried if clearance(parts((each, zero_of(low, each)), of_sum), NOTHING, 128) >= 1]
        assert scale == clear[0]
        found += len(clear) > 1
    assert found == len(RANGES)
