"""The layers of YOLOv8-seg, of any width and depth, for checkpoints that hold parameters but no description of them.

The network is that of the FastSAM paper (Zhao et al. 2023, https://arxiv.org/abs/2306.12156), YOLOv8 with the mask
branch of YOLACT; public drawings of YOLOv8 show its 23 layers, whose numbers are part of the parameters' names, and
which earlier layers each one takes. The number of blocks in a stage is seen in the names.
"""

from __future__ import annotations

from typing import Any

from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.parameters import Arrays
from fastsam_onnx.errors import ModelError

EXPECTED = (
    "parameters without a description of their layers (a plain state_dict, safetensors) must be those of YOLOv8-seg, "
    "as FastSAM is; give other networks as the .pt file of their training, or as ONNX (yolo export model=FILE.pt "
    "format=onnx)"
)
HEAD = 22
"""Index of the last layer, the head."""
LEVELS = 3


def describe(arrays: Arrays) -> Layer:
    """The network that parameters of these names belong to.

    Raises:
        ModelError: If they are of another kind of network.
    """
    _check_kind(arrays)
    layers: list[Layer] = []

    def add(layer: Layer, sources: Any = -1) -> None:
        layers.append(Layer(layer.kind, layer.name, {**layer.attributes, "f": sources}, layer.children))

    def name() -> str:
        return f"model.{len(layers)}"

    def stage(*, shortcut: bool) -> None:
        add(_c2f(name(), arrays, shortcut=shortcut))

    add(_conv(name(), 3, 2))
    for _ in range(4):
        add(_conv(name(), 3, 2))
        stage(shortcut=True)
    add(_sppf(name()))
    for finer in (6, 4):
        add(_layer("Upsample", name(), size=None, scale_factor=2.0, mode="nearest"))
        add(_layer("Concat", name(), d=1), [-1, finer])
        stage(shortcut=False)
    for coarser in (12, 9):
        add(_conv(name(), 3, 2))
        add(_layer("Concat", name(), d=1), [-1, coarser])
        stage(shortcut=False)
    add(_segment(name()), [15, 18, 21])
    return Layer("SegmentationModel", "", {}, {"model": _layer("Sequential", "model", *layers)})


def _layer(kind: str, name: str, *children: Layer, **attributes: Any) -> Layer:
    return Layer(kind, name, attributes, {child.name.rpartition(".")[2]: child for child in children})


def _conv2d(name: str, kernel: int, stride: int = 1) -> Layer:
    sides = {"kernel_size": (kernel,) * 2, "stride": (stride,) * 2, "padding": (kernel // 2,) * 2}
    return _layer("Conv2d", name, **sides, dilation=(1, 1), groups=1, padding_mode="zeros")


def _conv(name: str, kernel: int = 1, stride: int = 1) -> Layer:
    parts = (
        _conv2d(f"{name}.conv", kernel, stride),
        _layer("BatchNorm2d", f"{name}.bn"),
        _layer("SiLU", f"{name}.act"),
    )
    return _layer("Conv", name, *parts)


def _c2f(name: str, arrays: Arrays, *, shortcut: bool) -> Layer:
    blocks: list[Layer] = []
    while f"{name}.m.{len(blocks)}.cv1.conv.weight" in arrays:
        own = f"{name}.m.{len(blocks)}"
        blocks.append(_layer("Bottleneck", own, _conv(f"{own}.cv1", 3), _conv(f"{own}.cv2", 3), add=shortcut))
    parts = _conv(f"{name}.cv1"), _conv(f"{name}.cv2"), _layer("ModuleList", f"{name}.m", *blocks)
    return _layer("C2f", name, *parts)


def _sppf(name: str) -> Layer:
    pool = _layer("MaxPool2d", f"{name}.m", kernel_size=5, stride=1, padding=2, dilation=1, ceil_mode=False)
    return _layer("SPPF", name, _conv(f"{name}.cv1"), _conv(f"{name}.cv2"), pool)


def _segment(name: str) -> Layer:
    parts = [
        _layer("ModuleList", f"{name}.{part}", *(_branch(f"{name}.{part}.{level}") for level in range(LEVELS)))
        for part in ("cv2", "cv3", "cv4")
    ]
    larger = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0), "output_padding": (0, 0)}
    proto = _layer(
        "Proto",
        f"{name}.proto",
        _conv(f"{name}.proto.cv1", 3),
        _layer("ConvTranspose2d", f"{name}.proto.upsample", **larger, dilation=(1, 1), groups=1),
        _conv(f"{name}.proto.cv2", 3),
        _conv(f"{name}.proto.cv3"),
    )
    return _layer("Segment", name, *parts, _layer("DFL", f"{name}.dfl"), proto)


def _branch(name: str) -> Layer:
    return _layer("Sequential", name, _conv(f"{name}.0", 3), _conv(f"{name}.1", 3), _conv2d(f"{name}.2", 1))


def _check_kind(arrays: Arrays) -> None:
    """Refuse other kinds of networks by their kind, where the names of their parameters show it."""
    head = f"model.{HEAD}"
    if any(name.startswith(f"{head}.proto.") for name in arrays):
        return
    if any(name.startswith(f"{head}.dfl.") for name in arrays):
        raise ModelError(
            f"the checkpoint has no prototypes, so it is a detection or pose network, not segmentation; {EXPECTED}"
        )
    layers = {int(number) for name in arrays if (number := name.removeprefix("model.").split(".")[0]).isdigit()}
    found = f"{max(layers) + 1} layers" if layers else f"no numbered layers ({next(iter(arrays), 'nothing'):.80}, ...)"
    raise ModelError(f"the head of the checkpoint must be layer {HEAD}, got {found}; {EXPECTED}")
