"""The network that is drawn around a checkpoint's parameters: its numbers, its sizes, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support import pt_writer

from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.family import build
from fastsam_onnx.checkpoints.onnx_writer import external_model, model_parts
from fastsam_onnx.checkpoints.parameters import BATCH_NORM, folded
from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.network import Network

DATA = Path(__file__).parents[1] / "data"
HEAD = "model.22"
Arrays = dict[str, np.ndarray]


def model_bytes(checkpoint: Checkpoint) -> bytes:
    built = build(checkpoint)
    return b"".join(model_parts(built.writer, built.metadata, built.parameters()))


def network_of(checkpoint: Checkpoint) -> Network:
    return Network.open(model_bytes(checkpoint), threads=1)


def made(**options: Any) -> Checkpoint:
    """A small random checkpoint; see `pt_writer.yolov8_seg`."""
    return read_checkpoint(pt_writer.checkpoint(pt_writer.official(pt_writer.yolov8_seg(**options))))


@pytest.fixture
def tiny() -> Checkpoint:
    return read_checkpoint(DATA / "tiny.pt")


def changed(checkpoint: Checkpoint, change: Callable[[Arrays], None]) -> Checkpoint:
    """The same with other arrays, as a plain `state_dict`; `change` may replace, add and delete them."""
    arrays = dict(checkpoint.arrays)
    change(arrays)
    return replace(checkpoint, arrays=arrays, network=None)


def pictures(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((2, 3, height, width), np.float32)


# ---------------------------------------------------------------- numbers


def test_as_pytorch_computes_it(tiny):
    # tools/make_tiny_reference.py. Prototypes up to 2 are stored as float16: half a unit there is 0.001.
    with np.load(DATA / "tiny.reference.npz") as file:
        reference = dict(file)
    results = network_of(tiny).run(reference["pictures"].astype(np.float32) / 255)
    for (candidates, prototypes, _), wanted, maps in zip(
        results, reference["candidates"], reference["prototypes"], strict=True
    ):
        np.testing.assert_allclose(candidates[:4], wanted[:4], rtol=0, atol=0.002)
        np.testing.assert_allclose(candidates[4:], wanted[4:], rtol=0, atol=1e-5)
        np.testing.assert_allclose(prototypes, maps.astype(np.float32), rtol=0, atol=0.002)


@pytest.mark.parametrize("name", ["fastsam-s-random", "fastsam-n-reg26-random", "tiny-oldpaths-random"])
def test_the_stand_ins_of_official_files(shared, name):
    # Limits from shared/models/README.md: scores 5e-4, coefficients 1e-3; float16 storage of prototypes up to 39.
    network = Network.open(shared / "models" / f"{name}.pt", threads=1)
    with np.load(shared / "models" / f"{name}.reference.npz") as reference:
        for size in [key.removeprefix("input_") for key in reference if key.startswith("input_")]:
            [(candidates, prototypes, _)] = network.run(reference[f"input_{size}"].astype(np.float32) / 255)
            wanted = reference[f"det_{size}"][0]
            np.testing.assert_allclose(candidates[:4], wanted[:4], rtol=0, atol=0.1)
            np.testing.assert_allclose(candidates[4:5], wanted[4:5], rtol=0, atol=5e-4)
            np.testing.assert_allclose(candidates[5:], wanted[5:], rtol=0, atol=1e-3)
            np.testing.assert_allclose(prototypes, reference[f"proto_{size}"][0].astype(np.float32), rtol=0, atol=0.05)


def decided(bins: int, distances: tuple[int, int, int, int], logit: float) -> Callable[[Arrays], None]:
    """Make the last convolutions of the head say the same everywhere: these distances, score logit, coefficients."""

    def change(arrays: Arrays) -> None:
        for level in range(3):
            for branch in ("cv2", "cv3", "cv4"):
                name = f"{HEAD}.{branch}.{level}.2"
                arrays[f"{name}.weight"] = np.zeros_like(arrays[f"{name}.weight"])
            sides = np.full((4, bins), -60, np.float32)
            sides[range(4), distances] = 60
            arrays[f"{HEAD}.cv2.{level}.2.bias"] = sides.reshape(-1)
            arrays[f"{HEAD}.cv3.{level}.2.bias"] = np.array([logit], np.float32)
            arrays[f"{HEAD}.cv4.{level}.2.bias"] = np.arange(32, dtype=np.float32)

    return change


@pytest.mark.parametrize("bins", [8, 16, 26])
def test_boxes_are_decoded_from_distances(bins):
    # Distances 1, 2, 3 and 5 cells to the left, top, right and bottom of the centre (column + 0.5, row + 0.5): the box
    # is 4 by 7 cells, and its centre one cell to the right and 1.5 below. In pixels all of it times the stride.
    checkpoint = changed(made(reg_max=bins), decided(bins, (1, 2, 3, 5), math.log(3)))
    for candidates, *_ in network_of(checkpoint).run(pictures()):
        expected = [
            ((column + 1.5) * stride, (row + 2) * stride, 4 * stride, 7 * stride)
            for stride in (8, 16, 32)
            for row in range(64 // stride)
            for column in range(96 // stride)
        ]
        np.testing.assert_allclose(candidates[:4].T, expected, rtol=1e-5)
        np.testing.assert_allclose(candidates[4], 0.75, rtol=1e-6)  # sigmoid(log 3) = 3 / 4
        np.testing.assert_allclose(candidates[5:].T, np.broadcast_to(np.arange(32), (126, 32)), rtol=1e-6)


def test_a_distance_is_the_mean_of_its_distribution():
    # Bins 2 and 5 with logits log 1 and log 3, the others impossible: 2 * 1/4 + 5 * 3/4 = 4.25 on every side.
    def change(arrays: Arrays) -> None:
        decided(16, (0, 0, 0, 0), 0)(arrays)
        for level in range(3):
            sides = np.full((4, 16), -100, np.float32)
            sides[:, 2], sides[:, 5] = 0, math.log(3)
            arrays[f"{HEAD}.cv2.{level}.2.bias"] = sides.reshape(-1)

    [(candidates, *_), _] = network_of(changed(made(), change)).run(pictures())
    np.testing.assert_allclose(candidates[2:4, 0], 8.5 * 8, rtol=1e-6)
    np.testing.assert_allclose(candidates[:2, 0], 0.5 * 8, rtol=1e-6)


# ---------------------------------------------------------------- parameters


def test_folding_by_hand():
    # gamma -2, variance 0.24, eps 0.01: scale -2 / 0.5 = -4. Weight 3 becomes -12; bias 1 - (-4) * 0.5 = 3.
    arrays = {
        "a.conv.weight": np.full((1, 1, 1, 1), 3, np.float16),
        "a.bn.weight": np.array([-2.0]),
        "a.bn.bias": np.array([1.0]),
        "a.bn.running_mean": np.array([0.5]),
        "a.bn.running_var": np.array([0.24]),
    }
    np.testing.assert_allclose(folded("a.conv.weight", arrays, 0.01), [[[[-12]]]], rtol=1e-7)
    np.testing.assert_allclose(folded("a.conv.bias", arrays, 0.01), [3], rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_folding_is_rounded_once(dtype):
    rng = np.random.default_rng(0)
    arrays = {f"a.bn.{key}": rng.uniform(0.1, 2, 64).astype(dtype) for key in BATCH_NORM}
    arrays["a.conv.weight"] = rng.normal(size=(64, 40, 3, 3)).astype(dtype)
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    scale = wide["a.bn.weight"] / np.sqrt(wide["a.bn.running_var"] + 1e-3)
    weight = folded("a.conv.weight", arrays, 1e-3)
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, (wide["a.conv.weight"] * scale.reshape(-1, 1, 1, 1)).astype(np.float32))
    bias = (wide["a.bn.bias"] - scale * wide["a.bn.running_mean"]).astype(np.float32)
    np.testing.assert_array_equal(folded("a.conv.bias", arrays, 1e-3), bias)


def test_the_epsilon_is_the_file_s_own_or_ultralytics(tiny):
    same, unknown, other = (replace(tiny, eps=eps) for eps in (1e-3, None, 0.1))
    assert model_bytes(same) == model_bytes(unknown)
    assert model_bytes(same) != model_bytes(other)


def test_a_checkpoint_that_is_folded_already(tiny):
    def fold(arrays: Arrays) -> None:
        for name in [name for name in arrays if name.endswith(".conv.weight") and ".dfl." not in name]:
            prefix = name.removesuffix(".conv.weight")
            values = [folded(f"{prefix}.conv.{kind}", arrays, 1e-3) for kind in ("weight", "bias")]
            for key in [key for key in arrays if key.startswith(f"{prefix}.bn.")]:
                del arrays[key]
            arrays[f"{prefix}.conv.weight"], arrays[f"{prefix}.conv.bias"] = values

    assert model_bytes(changed(tiny, fold)) == model_bytes(tiny)


@pytest.mark.parametrize("key", ["conv.weight", "bn.weight", "bn.running_var"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_no_numbers(tiny, key, value):
    name = f"model.4.m.1.cv2.{key}"

    def spoil(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[1] = value

    if key == "bn.running_var" and value == np.inf:  # a channel that is always the same: 0, and no harm
        assert model_bytes(changed(tiny, spoil))
        return
    with pytest.raises(ModelError, match=r"model\.4\.m\.1\.cv2\.conv\.(weight|bias) is NaN or infinite"):
        model_bytes(changed(tiny, spoil))


def test_a_negative_variance(tiny):
    def spoil(arrays: Arrays) -> None:
        arrays["model.0.bn.running_var"] = -np.ones_like(arrays["model.0.bn.running_var"])

    with pytest.raises(ModelError, match=r"model\.0\.conv\.weight is NaN.*variances"):
        model_bytes(changed(tiny, spoil))


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(("width", "classes", "bins"), [(8, 1, 16), (4, 80, 16), (16, 3, 26), (2, 1, 2)])
def test_any_width_number_of_classes_and_bins(width, classes, bins):
    network = network_of(made(width=width, classes=classes, reg_max=bins))
    contract = network.contract
    assert (contract.class_count, contract.coefficient_count) == (classes, 32)
    assert (contract.height, contract.width, contract.batch, contract.stride) == (None, None, None, 32)
    for height, long in ((32, 32), (64, 96), (160, 32)):
        anchors = height * long * (1 / 64 + 1 / 256 + 1 / 1024)
        for candidates, prototypes, _ in network.run(pictures(height, long)):
            assert candidates.shape == (4 + classes + 32, anchors)
            assert prototypes.shape == (32, height // 4, long // 4)


def deepened(arrays: Arrays, layer: str, more: int) -> None:
    """Append bottlenecks to a C2f whose last convolution says 0, and whose results nobody looks at."""
    width = arrays[f"{layer}.m.0.cv1.conv.weight"].shape[0]
    last = max(int(name.split(".")[3]) for name in arrays if name.startswith(f"{layer}.m."))
    for index in range(last + 1, last + 1 + more):
        for name in [name for name in arrays if name.startswith(f"{layer}.m.0.")]:
            silent = name.endswith(("cv2.bn.weight", "cv2.bn.bias"))
            arrays[name.replace(".m.0.", f".m.{index}.")] = np.zeros_like(arrays[name]) if silent else arrays[name]
    joined = arrays[f"{layer}.cv2.conv.weight"]
    unseen = np.zeros((len(joined), more * width, 1, 1), joined.dtype)
    arrays[f"{layer}.cv2.conv.weight"] = np.concatenate([joined, unseen], axis=1)


def test_any_depth(tiny):
    # Depths of l and x: 3, 6, 6, 3 in the backbone and 3 in the neck, where n has 1, 2, 2, 1 and 1.
    def change(arrays: Arrays) -> None:
        for layer, more in ((2, 2), (4, 4), (6, 4), (8, 2), (12, 2), (15, 2), (18, 2), (21, 2)):
            deepened(arrays, f"model.{layer}", more)

    deep = changed(tiny, change)
    assert len(build(deep).writer.parameters) == len(build(tiny).writer.parameters) + 4 * 20
    shallow_results, results = (network_of(each).run(pictures()) for each in (tiny, deep))
    for shallow, ours in zip(shallow_results, results, strict=True):
        for wanted, got in zip(shallow[:2], ours[:2], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)
    assert len(external_model(build(deep).writer, {}, "parameters")) < 150_000


def test_the_file_is_valid_for_the_onnx_package(tiny):
    model = onnx.load_from_string(model_bytes(tiny))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert [each.name for each in inferred.graph.output] == ["output0", "output1"]
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


def test_the_same_bytes_every_time(tiny):
    assert model_bytes(tiny) == model_bytes(tiny)


# ---------------------------------------------------------------- metadata


def test_metadata_as_ultralytics_writes_them(tiny):
    metadata = build(tiny).metadata
    assert {key: metadata[key] for key in ("stride", "task", "batch", "imgsz", "names", "channels", "version")} == {
        "stride": "32",
        "task": "segment",
        "batch": "1",
        "imgsz": "[1024, 1024]",
        "names": "{0: 'object'}",
        "channels": "3",
        "version": "8.0.120",
    }
    contract = network_of(tiny).contract
    assert contract.imgsz == (1024, 1024)
    assert contract.names == {0: "object"}


@pytest.mark.parametrize(
    ("imgsz", "expected"),
    [(640, "[640, 640]"), ([384, 640], "[384, 640]"), ("640", None), (None, None), (True, None), (-1, None)],
)
def test_the_size_of_training_photos(tiny, imgsz, expected):
    assert build(replace(tiny, train_args={"imgsz": imgsz})).metadata.get("imgsz") == expected


def test_a_plain_state_dict_says_nothing_but_what_it_is(tiny):
    bare = replace(tiny, names={}, train_args={}, version=None, stride=None, eps=None)
    assert set(build(tiny).metadata) - set(build(bare).metadata) == {"version", "imgsz", "names"}
    contract = network_of(bare).contract
    assert (contract.imgsz, contract.names) == (None, {})


def test_class_names_of_any_text(tiny):
    names = {0: 'it\'s "π"\n\ud800'}
    assert network_of(replace(tiny, names=names)).contract.names == names


# ---------------------------------------------------------------- other networks


def without(*prefixes: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        for name in [name for name in arrays if name.startswith(prefixes)]:
            del arrays[name]

    return change


def resized(name: str, *shape: int) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: np.zeros(shape, np.float32)})


def renumbered(arrays: Arrays) -> None:
    """As in YOLO11, whose head is layer 23."""
    for name in [name for name in arrays if name.startswith(HEAD)]:
        arrays[name.replace(HEAD, "model.23")] = arrays.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(f"{HEAD}.proto", f"{HEAD}.cv4"), "no prototypes.*detection or pose network"),
        (renumbered, "layer 22.*24 layers"),
        (lambda arrays: arrays.clear(), "no numbered layers"),
        (without("model.4.cv2.bn.running_mean"), r"lacks model\.4\.cv2\.bn\.running_mean"),
        (without("model.6"), r"lacks model\.6\.cv1\.conv\.weight"),
        (without(f"{HEAD}.dfl"), r"lacks model\.22\.dfl\.conv\.weight"),
        (resized("model.2.m.0.cv3.conv.weight", 4, 4, 1, 1), r"has model\.2\.m\.0\.cv3\.conv\.weight, which"),
        (resized("model.23.conv.weight", 4, 4, 1, 1), r"has model\.23\.conv\.weight, which have no place"),
        (resized("model.2.m.2.cv1.conv.weight", 4, 4, 3, 3), r"has model\.2\.m\.2\.cv1\.conv\.weight"),
        (
            resized("model.0.conv.weight", 8, 3, 6, 6),
            r"model\.0\.conv\.weight must be \(any, 3, 3, 3\), got \(8, 3, 6, 6\)",
        ),
        (resized("model.0.conv.weight", 8, 4, 3, 3), r"\(any, 3, 3, 3\), got \(8, 4, 3, 3\)"),
        (resized("model.1.conv.weight", 8, 1, 3, 3), r"model\.1\.conv\.weight .*got \(8, 1, 3, 3\)"),
        (resized("model.0.conv.weight", 0, 3, 3, 3), r"\(0, 3, 3, 3\)"),
        (resized("model.0.conv.weight", 8, 27), r"\(8, 27\)"),
        (resized("model.9.cv2.bn.bias", 3), r"model\.9\.cv2\.bn\.bias .*got \(3,\)"),
        (resized(f"{HEAD}.dfl.conv.weight", 1, 17, 1, 1), "17 bins.*stride 8 .*68 channels, got 64"),
        (resized(f"{HEAD}.cv3.1.2.weight", 2, 8, 1, 1), r"cv3\.1\.2\.bias .*got \(1,\)"),
        (resized(f"{HEAD}.proto.upsample.weight", 8, 8, 4, 4), r"upsample\.weight .*got \(8, 8, 4, 4\)"),
    ],
)
def test_other_networks_are_refused_by_name(tiny, change, message):
    with pytest.raises(ModelError, match=message) as caught:
        build(changed(tiny, change))
    assert "YOLOv8-seg" in str(caught.value)


def widened(name: str) -> Callable[[Arrays], None]:
    """One output channel more, for a convolution and its bias or batch normalisation."""

    def change(arrays: Arrays) -> None:
        for key in [key for key in arrays if key.startswith(f"{name}.") and arrays[key].ndim]:
            arrays[key] = np.concatenate([arrays[key], arrays[key][:1]])

    return change


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.2.cv1", "even number of channels, got 9"),
        ("model.2.m.0.cv2", "a shortcut, so it must keep 4 channels, got 5"),
        (f"{HEAD}.cv4.2.2", r"each of 32 prototypes, got 33"),
        (f"{HEAD}.cv3.2.2", "same number of classes at each stride"),
        (f"{HEAD}.cv2.0.2", "16 bins.*stride 8 .*64 channels, got 65"),
    ],
)
def test_channels_that_do_not_fit_together(tiny, name, message):
    with pytest.raises(ModelError, match=message):
        build(changed(tiny, widened(name)))


def test_other_strides(tiny):
    with pytest.raises(ModelError, match=r"strides must be \(8, 16, 32\), got \(8, 16, 32, 64\)"):
        build(replace(tiny, stride=(8, 16, 32, 64)))
