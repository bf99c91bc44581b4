"""Rounded weights: what a convolution makes of what it sees changes less than with each rounded alone."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from fastsam_onnx.quantize import qdq
from fastsam_onnx.quantize.calibration import Activation, observe_activations
from fastsam_onnx.quantize.patches import LARGEST_PATCH, PATCHES, PatchCovariances
from fastsam_onnx.quantize.rounding import Rounder, rounded
from tests.quantize.test_recipe import network_of


def error(weights: np.ndarray, whole: np.ndarray, covariance: np.ndarray) -> float:
    """The variance that rounding adds to what is made, over all outputs."""
    groups, size = covariance.shape[:2]
    left = (weights - whole).reshape(groups, -1, size)
    return float(np.einsum("gok,gkl,gol->", left, covariance, left))


def alike(groups: int, size: int, seed: int) -> np.ndarray:
    """(groups, size, size) of neighbours that are alike: correlation 0.95 to the power of the distance."""
    spread = np.random.default_rng(seed).uniform(0.5, 2, (groups, size))
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return 0.95**distance * spread[:, :, None] * spread[:, None, :]


def test_the_second_of_two_that_are_the_same_makes_up_for_the_first():
    covariance = np.ones((1, 2, 2))
    weights = np.array([0.4, 0.4]).reshape(1, 2, 1, 1)
    assert rounded(weights, np.ones(1), 63, None).ravel().tolist() == [0, 0]
    # damped by 1 %, the second takes over 1 / 1.01 of the error of 0.4: 0.796, which rounds to 1
    assert rounded(weights, np.ones(1), 63, covariance).ravel().tolist() == [0, 1]


@pytest.mark.parametrize(("groups", "outputs", "inputs", "kernel"), [(1, 8, 6, 3), (12, 12, 1, 3), (2, 8, 5, 1)])
def test_the_error_is_smaller_than_rounding_each_alone(groups, outputs, inputs, kernel):
    weights = np.random.default_rng(0).normal(0, 20, (outputs, inputs, kernel, kernel))
    covariance = alike(groups, inputs * kernel * kernel, 1)
    alone, together = (rounded(weights, np.ones(outputs), 127, each) for each in (None, covariance))
    assert together.dtype == np.int8
    assert together.shape == weights.shape
    assert error(weights, together, covariance) < 0.5 * error(weights, alone, covariance)
    assert np.abs(together - weights).max() < 10  # near the weights still


def test_what_never_varies_is_rounded_alone():
    weights = np.random.default_rng(0).normal(0, 20, (4, 3, 1, 1))
    covariance = np.zeros((1, 3, 3))
    np.testing.assert_array_equal(rounded(weights, np.ones(4), 63, covariance), rounded(weights, np.ones(4), 63, None))


def test_no_weight_is_beyond_the_limit():
    weights = np.random.default_rng(0).normal(0, 100, (16, 9, 1, 1))
    assert np.abs(rounded(weights, np.ones(16), 63, alike(1, 9, 0))).max() == 63


def test_each_is_rounded_once():
    rounder = Rounder()
    weights, step = np.ones((2, 1, 1, 1)), np.ones(2, np.float32)
    first = rounder("conv", weights, step, 63)
    assert rounder("conv", weights + 1, step, 63) is first
    assert rounder("conv", weights + 1, step, 127) is not first


def test_covariances_are_those_of_what_a_convolution_sees():
    """Stride 2, dilation 2 along the rows, padding, two groups: against all places, written out."""
    weights = np.ones((4, 2, 3, 2), np.float32)
    attributes = {"strides": [2, 1], "dilations": [2, 1], "pads": [1, 0, 1, 1], "group": 2, "kernel_shape": [3, 2]}
    model = network_of([helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes)], {"w": weights}, 4)
    rng = np.random.default_rng(0)
    base = rng.normal(5, 1, (1, 4, 1, 1)) + rng.normal(0, 1, (1, 4, 40, 30)).cumsum(axis=3)
    photo = base.astype(np.float32)
    patches = PatchCovariances(model, frozenset({"conv"}))
    for _ in range(40):
        patches.add({"x": photo})
    found = patches.result()["conv"]
    padded = np.pad(photo[0], ((0, 0), (1, 1), (0, 1)))
    places = [padded[:, i : i + 5 : 2, j : j + 2] for i in range(0, 38, 2) for j in range(30)]
    expected = np.stack([np.cov(np.stack([each[g : g + 2].ravel() for each in places]).T) for g in (0, 2)])
    assert found.shape == expected.shape == (2, 12, 12)
    # 40 * 256 places are drawn of 570: the mean over them is within some per cent
    assert np.abs(found - expected).max() < 0.1 * expected.max()
    assert PATCHES == 256


def test_large_patches_are_left_out():
    shape = (1, LARGEST_PATCH + 1, 1, 1)
    model = network_of([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], {"w": np.ones(shape)}, shape[1])
    assert PatchCovariances(model, frozenset({"conv"})).result() == {}


def test_observing_hands_every_run_to_the_patches():
    model = network_of(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
            helper.make_node("Conv", ["a", "v"], ["y"], name="second"),
        ],
        {"w": np.full((1, 1, 1, 1), 3.0), "v": np.ones((1, 1, 1, 1))},
        1,
    )
    plan = qdq.make_plan(model)
    patches = PatchCovariances(model, plan.nodes)
    photos = [np.random.default_rng(seed).normal(0, 1, (1, 1, 20, 20)).astype(np.float32) for seed in range(8)]
    observe_activations(model, plan.tensors, [{"x": photo} for photo in photos], patches=patches)
    found = patches.result()
    assert found["first"].item() == pytest.approx(1, abs=0.1)
    assert found["second"].item() == pytest.approx(9, abs=0.9)  # three times the values


@pytest.mark.parametrize(("group", "channels", "largest"), [(4, 4, 127), (2, 4, 63), (1, 4, 63), (1, 1, 63)])
def test_depthwise_weights_have_8_bits(group, channels, largest):
    weights = np.random.default_rng(0).normal(0, 1, (channels, channels // group, 3, 3))
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[3, 3], group=group)
    model = network_of([node], {"w": weights}, channels)
    seen = {name: Activation(-1, 1, np.zeros(channels)) for name in ("x", "y")}
    made = qdq.quantized(model, qdq.make_plan(model), seen, bits=7)
    [whole] = [each for each in made.graph.initializer if each.name == "conv_weights_q"]
    assert np.abs(np.frombuffer(whole.raw_data, np.int8)).max() == largest


def test_another_step_is_another_rounding():
    rounder, weights = Rounder(), np.full((1, 1, 1, 1), 6.0)
    assert [int(rounder("conv", weights, np.array([step]), 63)[0, 0, 0, 0]) for step in (1.0, 2.0, 1.0)] == [6, 3, 6]


def test_a_group_that_never_varies_takes_nothing_from_the_others():
    covariance = np.stack([np.ones((2, 2)), np.zeros((2, 2))])
    weights = np.full((2, 2, 1, 1), 0.4)
    assert rounded(weights, np.ones(2), 63, covariance).reshape(2, 2).tolist() == [[0, 1], [0, 0]]


def test_a_covariance_that_is_none_by_a_little_is_damped_more():
    """Its lower eigenvalue is -0.05, so 1 % of the variance is too little, and 10 % are enough."""
    covariance = np.array([[[1, 1.05], [1.05, 1]]])
    weights = np.array([0.4, 0.4]).reshape(1, 2, 1, 1)
    assert rounded(weights, np.ones(1), 63, covariance).ravel().tolist() == [0, 1]


def test_covariances_of_several_photos_are_those_around_their_common_mean():
    """One photo is 0 all over and one is 2: around 1 both vary by 1."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[1, 1])
    patches = PatchCovariances(network_of([node], {"w": np.ones((1, 1, 1, 1), np.float32)}, 1), frozenset({"conv"}))
    for value in (0, 2):
        patches.add({"x": np.full((1, 1, 9, 7), value, np.float32)})
    np.testing.assert_allclose(patches.result()["conv"], [[[1]]])


def test_padding_is_above_left_below_and_right():
    """A column of ones with one of zeros on its left: half of what is seen is 0, so it varies by 1 / 4."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[1, 1], pads=[0, 1, 0, 0])
    patches = PatchCovariances(network_of([node], {"w": np.ones((1, 1, 1, 1), np.float32)}, 1), frozenset({"conv"}))
    patches.add({"x": np.ones((1, 1, 20, 1), np.float32)})
    assert patches.result()["conv"][0, 0, 0] == pytest.approx(0.25, abs=0.03)  # of 256 places; 1 / 21 were a row above
