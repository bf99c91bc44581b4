"""Networks of every family, built as their checkpoints describe them: their numbers, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from support.pt_families import NETWORKS, activated, head_of, yolo11, yolo12, yolo26, yoloe, yolov9
from support.pt_writer import Call, Name, Object, checkpoint, module, official, yolov8_seg

from fastsam_onnx.checkpoints.builder import FeatureMap
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.family import _sources, build
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.onnx_writer import model_parts
from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.network import Network

DATA = Path(__file__).parents[1] / "data"


def model_bytes(network: Object, *, plain: bool = False, **changes: Any) -> bytes:
    built = build(read_checkpoint(checkpoint(official(network, **changes))), plain=plain)
    return b"".join(model_parts(built.writer, built.metadata, built.parameters()))


@cache
def reference() -> dict[str, np.ndarray]:
    """tools/make_family_reference.py: PyTorch's answers in float64."""
    with np.load(DATA / "families.reference.npz") as file:
        return dict(file)


def photo() -> np.ndarray:
    """As in tools/make_family_reference.py."""
    with np.load(DATA / "tiny.reference.npz") as file:
        pictures = file["pictures"][:1].astype(np.float32) / 255
    return np.concatenate([pictures, pictures[..., :32]], axis=3)


def as_rows(candidates: np.ndarray) -> np.ndarray:
    """(rows, 6 + nm) x1, y1, x2, y2, score, class, coefficients → as `Network.run` gives them."""
    corners, far = candidates[:, :2], candidates[:, 2:4]
    return np.concatenate([(corners + far) / 2, far - corners, candidates[:, 4:5], candidates[:, 6:]], axis=1).T


@pytest.mark.parametrize("name", NETWORKS)
def test_as_pytorch_computes_it(name):
    network = Network.open(model_bytes(NETWORKS[name]()), threads=1)
    [(candidates, prototypes, _)] = network.run(photo())
    wanted = reference()[f"{name}/candidates"]
    if network.contract.nms_inside:
        assert name in ("YOLO26", "YOLOE-26")
        wanted = as_rows(wanted)
    elif name == "YOLOE prompt-free":  # ultralytics leaves out cells without an object, here their scores are 0
        candidates = candidates[:, candidates[4:8].max(axis=0) > 0][:, ::5]
    else:
        candidates = candidates[:, ::5]
    np.testing.assert_allclose(candidates[:4], wanted[:4], rtol=0, atol=0.002)
    np.testing.assert_allclose(candidates[4:], wanted[4:], rtol=0, atol=1e-4)
    # float32 has 7 digits, and processors add up in different orders: those of YOLO26 are as large as 11
    wanted_prototypes = reference()[f"{name}/prototypes"]
    np.testing.assert_allclose(prototypes[::2, ::4, ::4], wanted_prototypes, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_as_layer_by_layer(name):
    network, plain = (Network.open(model_bytes(NETWORKS[name](), plain=each), threads=1) for each in (False, True))
    [(candidates, prototypes, _)], [(wanted, wanted_prototypes, _)] = (each.run(photo()) for each in (network, plain))
    np.testing.assert_allclose(candidates[:4], wanted[:4], rtol=0, atol=2e-3)
    np.testing.assert_allclose(candidates[4:], wanted[4:], rtol=0, atol=1e-4)
    np.testing.assert_allclose(prototypes, wanted_prototypes, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_and_size_of_photos(name):
    network = Network.open(model_bytes(NETWORKS[name]()), threads=1)
    contract = network.contract
    assert (contract.batch, contract.height, contract.width) == (None, None, None)
    step = contract.stride
    tensor = np.random.default_rng(0).random((3, 3, 2 * step, 4 * step), np.float32)
    together = network.run(tensor)
    for index, (candidates, prototypes, _) in enumerate(together):
        [(alone, own, _)] = network.run(tensor[index : index + 1])
        np.testing.assert_allclose(candidates, alone, rtol=0, atol=1e-3)
        np.testing.assert_allclose(prototypes, own, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_is_valid_for_the_onnx_package(name):
    model = onnx.load_from_string(model_bytes(NETWORKS[name]()))
    onnx.checker.check_model(model, full_check=True)
    names = [output for node in model.graph.node for output in node.output]
    assert len(set(names)) == len(names)
    used = {source for node in model.graph.node for source in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


def test_the_description_and_the_names_of_yolov8_give_the_same_network():
    found = read_checkpoint(DATA / "tiny.pt")
    described, named = (build(each) for each in (found, type(found)(**{**vars(found), "network": None})))
    first, second = (b"".join(model_parts(each.writer, {}, each.parameters())) for each in (described, named))
    assert first == second


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (yolov8_seg, "YOLOv8-seg"),
        (yolov9, "YOLOv9-seg"),
        (yolo11, "YOLO11-seg"),
        (yolo12, "YOLO12-seg"),
        (yolo26, "YOLO26-seg"),
        (yoloe, "YOLOE-seg"),
    ],
)
def test_the_name_of_the_family(make, name):
    built = build(read_checkpoint(checkpoint(official(make()))))
    assert built.metadata["description"].startswith(f"{name} network")


def test_metadata_of_a_network_without_nms():
    built = build(read_checkpoint(checkpoint(official(yolo26()))))
    assert (built.metadata["end2end"], built.metadata["stride"]) == ("True", "32")


def test_the_number_of_rows_is_the_file_s_own():
    network = yolo26()
    head_of(network).attributes["max_det"] = 7
    [(candidates, *_)] = Network.open(model_bytes(network), threads=1).run(photo())
    wanted = as_rows(reference()["YOLO26/candidates"])[:, :7]  # the best come first
    np.testing.assert_allclose(candidates, wanted, rtol=0, atol=0.002)


# ---------------------------------------------------------------- refused by name


def layer(network: Object, *path: str) -> Object:
    """A layer by the names on the way to it below "model"."""
    for name in ("model", *path):
        network = network.attributes["_modules"][name]
    return network


def with_attributes(path: str, **attributes: Any) -> Callable[[Object], None]:
    return lambda network: layer(network, *path.split(".")).attributes.update(attributes)


def renamed(path: str, kind: str) -> Callable[[Object], None]:
    def change(network: Object) -> None:
        layer(network, *path.split(".")).kind = Name("ultralytics.nn.modules.block", kind)

    return change


def own_forward(network: Object) -> None:
    conv = layer(network, "0")
    conv.attributes["forward"] = Call(Name("__builtin__", "getattr"), (conv, "forward_other"))


def five_sides(network: Object) -> None:
    """A channel too many for the distances that YOLO26 gives itself."""
    convolution = layer(network, f"{len(layer(network).attributes['_modules']) - 1}", "one2one_cv2", "0", "2")
    convolution.attributes.update(
        out_channels=5, _parameters={"weight": np.zeros((5, 8, 1, 1), np.float16), "bias": np.zeros(5, np.float16)}
    )


REFUSED: dict[str, tuple[Callable[[], Object], Callable[[Object], None], str]] = {
    "an activation": (
        activated("Mish"),
        lambda _: None,
        r"model\.0\.act must be one of SiLU, ReLU, LeakyReLU, ReLU6, Hardswish, Identity, got Mish",
    ),
    "a slope": (
        activated("LeakyReLU", negative_slope="steep"),
        lambda _: None,
        r"negative_slope of the LeakyReLU model\.0\.act.*'steep'",
    ),
    "a kind of layer": (yolov8_seg, renamed("2", "GhostBlock"), r"model\.2 is of the kind GhostBlock"),
    "a layer inside": (yolo11, renamed("3.m.0", "Odd"), r"model\.3\.m\.0 is of the kind Odd"),
    "a dilation": (yolov8_seg, with_attributes("0.conv", dilation=(2, 2)), r"dilation of .*model\.0\.conv.*\(2, 2\)"),
    "a padding": (yolov8_seg, with_attributes("0.conv", padding=(0, 0)), r"padding of .*model\.0\.conv.*\(0, 0\)"),
    "an even kernel": (
        yolov8_seg,
        with_attributes("1.conv", kernel_size=(2, 2), padding=(1, 1)),
        r"kernel_size of the Conv2d model\.1\.conv must be odd and at most 31, got 2",
    ),
    "a mode of padding": (yolov8_seg, with_attributes("0.conv", padding_mode="reflect"), "must be 'zeros', got 'ref"),
    "another stride": (
        yolov8_seg,
        with_attributes("1.conv", stride=(1, 1)),
        r"strides must be \(4, 8, 16\), got \(8, 16, 32\)",
    ),
    "a stride of two lengths": (yolov8_seg, with_attributes("1.conv", stride=(1, 2)), r"stride of .*\(1, 2\)"),
    "groups": (yolov8_seg, with_attributes("1.conv", groups=3), r"model\.1\.conv has 3 groups.*8 channels"),
    "groups that do not fit the shape": (
        yolov8_seg,
        with_attributes("1.conv", groups=2),
        r"model\.1\.conv\.weight must be \(any, 4, 3, 3\), got \(8, 8, 3, 3\)",
    ),
    "a kernel": (
        yolov8_seg,
        with_attributes("1.conv", kernel_size=(5, 5), padding=(2, 2)),
        r"model\.1\.conv\.weight must be \(any, 8, 5, 5\)",
    ),
    "a mode of upsampling": (
        yolov8_seg,
        with_attributes("10", mode="bicubic"),
        "'nearest' or 'bilinear', got 'bicubic'",
    ),
    "a factor of upsampling": (yolov8_seg, with_attributes("10", scale_factor=3.0), r"scale_factor of .*got 3\.0"),
    "aligned corners": (
        lambda: yolov8_seg(upsampling="bilinear"),
        with_attributes("10", align_corners=True),
        "align_corners of .*got True",
    ),
    "a pool": (yolov8_seg, with_attributes("9.m", stride=2), r"stride of the MaxPool2d model\.9\.m must be 1, got 2"),
    "strides": (
        yolov8_seg,
        lambda network: network.attributes.update(stride=np.array([4, 8, 16], np.float32)),
        r"strides must be \(8, 16, 32\), got \(4, 8, 16\)",
    ),
    "sources that come later": (yolov8_seg, with_attributes("11", f=[-1, 13]), r"model\.11 has sources f"),
    "no sources": (yolov8_seg, with_attributes("11", f=[]), r"model\.11 has sources f"),
    "many sources": (yolov8_seg, with_attributes("11", f=[-1] * 100), r"model\.11 has sources f"),
    "sources that are text": (yolov8_seg, with_attributes("1", f="-1"), r"model\.1 has sources f"),
    "sources of other sizes": (yolov8_seg, with_attributes("11", f=[-1, 4]), r"strides \[16, 8\] are joined"),
    "two sources of a convolution": (yolov8_seg, with_attributes("1", f=[-1, 0]), "takes one layer, got 2"),
    "another axis of joining": (yolov8_seg, with_attributes("11", d=2), "d of the Concat .*got 2"),
    "a forward function of its own": (yolov8_seg, own_forward, "model.0 has a forward function .*forward_other"),
    "a forward function of the head": (
        yolo11,
        lambda network: head_of(network).attributes.update(
            forward=Call(Name("__builtin__", "getattr"), (head_of(network), "forward_other"))
        ),
        "model.8 has a forward function .*forward_other",
    ),
    "heads of attention": (yolo11, with_attributes("7.m.0.attn", num_heads=3), r"7\.m\.0\.attn has 3 heads"),
    "areas": (yolo12, with_attributes("5.m.0.0.attn", area=0), r"area of the AAttn model\.5\.m\.0\.0\.attn.*0"),
    "a shortcut that is no flag": (yolo11, with_attributes("3.m.0", add=1), r"add of the Bottleneck model\.3\.m\.0"),
    "a list of widths": (yolov9, with_attributes("7", c2s=[8, 9]), r"model\.7 must make 17 channels, got 16"),
    "a choice beyond the maps": (yolov9, with_attributes("10", idx=[0, 2]), r"model\.10 chooses map 2 of 2"),
    "a choice that overlaps classes": (
        yolo26,
        lambda network: head_of(network).attributes.update(agnostic_nms=True),
        "agnostic_nms of the Segment26",
    ),
    "a number of rows": (
        yolo26,
        lambda network: head_of(network).attributes.update(max_det=-1),
        "max_det of the Segment26 .*-1",
    ),
    "a fifth side of boxes": (yolo26, five_sides, "boxes at stride 8 must have 4 channels, got 5"),
    "texts that are not set": (
        yoloe,
        lambda network: head_of(network).attributes.update(is_fused=False),
        r"YOLOESegment whose classes are not set.*set_classes",
    ),
    "another number of classes": (
        yolo11,
        lambda network: head_of(network).attributes.update(nc=3),
        "nc of the Segment .*must be 2, got 3",
    ),
    "a detection network": (yolov8_seg, renamed("22", "Detect"), "detection network .*Detect.*segmentation"),
    "a pose network": (yolov8_seg, renamed("22", "Pose"), "pose network .*segmentation"),
    "a classification network": (yolov8_seg, renamed("22", "Classify"), "classification network .*segmentation"),
    "another head": (yolov8_seg, renamed("22", "Regress"), r"head .*must be one of Segment, .*got Regress"),
    "no layers": (
        lambda: module("ultralytics.nn.tasks.SegmentationModel", {"model": module("torch.nn.Sequential")}),
        lambda _: None,
        "got nothing",
    ),
    "a parameter too many": (
        yolo11,
        lambda network: layer(network, "5").attributes["_parameters"].update(gamma=np.zeros(8)),
        r"has model\.5\.gamma, which have no place",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_drawn_is_refused_by_name(name):
    make, change, message = REFUSED[name]
    network = make()
    change(network)
    with pytest.raises(ModelError, match=message):
        model_bytes(network)


@pytest.mark.parametrize("name", ["a kind of layer", "an activation", "texts that are not set", "another head"])
def test_the_way_that_works_is_told(name):
    make, change, _ = REFUSED[name]
    network = make()
    change(network)
    with pytest.raises(ModelError, match=r"yolo export model=FILE\.pt format=onnx"):
        model_bytes(network)


def test_a_layer_takes_layers_before_it():
    """By their numbers, or -1 for the one before, as files have them."""
    photo, made = FeatureMap("images", 3, 1), [[FeatureMap(str(number), 8, 2)] for number in range(3)]
    builder = SimpleNamespace(refusal=ModelError)

    def names(given):
        return [maps[0].name for maps in _sources(builder, Layer("Conv", "model.3", {"f": given}, {}), 3, made, photo)]

    assert [names(given) for given in (-1, 0, [2, -1], (0, 1))] == [["2"], ["0"], ["2", "2"], ["0", "1"]]
    for given in (-2, 3, True, 1.0, "1", None, [], [0, -2], [0] * 9):
        with pytest.raises(ModelError, match=r"model\.3 has sources f that make no sense"):
            names(given)
    assert _sources(builder, Layer("Conv", "model.0", {"f": -1}, {}), 0, [], photo) == [[photo]]
