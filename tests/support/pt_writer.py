"""Writes PyTorch checkpoints of the layout that ultralytics leaves, with the standard library and NumPy alone.

`archive` makes the zip file of any entries, `checkpoint` pickles a tree of values into one, and `yolov8_seg` is the
tree of a small segmentation network with seeded random numbers; `tests/data/tiny.pt` is
`checkpoint(official(yolov8_seg()))`, and `python tests/support/pt_writer.py` writes it again. PyTorch and ultralytics
open what is written here.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 64
# A descriptor follows the data, names are UTF-8; as torch sets them.
FLAGS = 0x0808
STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclass(frozen=True)
class Name:
    """A class or function by its name."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """The result of a call, which the reader of the pickle makes."""

    function: Name
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class View:
    """A tensor in a storage; offset and strides in elements. An array alone is a tensor with a storage of its own."""

    storage: np.ndarray
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    kind: str | None = None
    count: int | None = None


@dataclass(frozen=True)
class Parameter:
    """A trained tensor."""

    data: np.ndarray | View


@dataclass(eq=False)
class Object:
    """An object: its class and its attributes."""

    kind: Name
    attributes: dict[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------------- the zip archive


def archive(entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]], folder: str = "best/") -> bytes:
    """A zip file as torch writes it: entries stored, their data aligned, their sizes behind them."""
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    body, directory, count = bytearray(), bytearray(), 0
    for key, data in pairs:
        name = (folder + key).encode()
        header_offset = len(body)
        padding = -(header_offset + 30 + len(name) + 4) % ALIGNMENT
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        body += struct.pack("<4s5H12x2H", b"PK\3\4", 0, FLAGS, 0, 0, 0, len(name), len(extra)) + name + extra
        body += data + b"PK\7\10" + sizes
        directory += struct.pack("<4s6H", b"PK\1\2", 0, 0, FLAGS, 0, 0, 0) + sizes
        directory += struct.pack("<5H2I", len(name), 0, 0, 0, 0, 0, header_offset) + name
        count += 1
    start = len(body)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    return bytes(body + directory + end64 + locator + end)


def checkpoint(tree: Any, folder: str = "best/", **entries: bytes) -> bytes:
    """A checkpoint of any tree of values; `entries` are put beside data.pkl, such as byteorder=b"little"."""
    data, storages = pickled(tree)
    files = {f"data/{key}": storage for key, storage in storages.items()}
    return archive({"data.pkl": data, **entries, **files, "version": b"3\n"}, folder)


def raw_checkpoint(code: bytes, protocol: int = 2) -> bytes:
    """A checkpoint whose pickle is `code` between its protocol and its end, with one storage of 64 bytes."""
    return archive({"data.pkl": b"\x80" + bytes([protocol]) + code + b".", "data/0": bytes(64)})


# ---------------------------------------------------------------------------------------------- the pickle


def pickled(tree: Any) -> tuple[bytes, dict[str, bytes]]:
    """A pickle of protocol 2 as torch writes it, and the bytes of the storages that it refers to."""
    writer = _Writer()
    writer.write(tree)
    return b"\x80\x02" + bytes(writer.out) + b".", writer.storages


class _Writer:
    """Strings, names and objects are written once and remembered."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.storages: dict[str, bytes] = {}
        self._memo: dict[Any, int] = {}
        self._storage_keys: dict[int, str] = {}
        self._kept: list[Any] = []

    def write(self, value: Any) -> None:  # noqa: PLR0912 - one case for each kind of value
        match value:
            case None | bool():
                self.out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
            case int():
                self._integer(value)
            case float():
                self.out += b"G" + struct.pack(">d", value)
            case str():
                self._once(value, text(value))
            case dict():
                self.out += b"}("
                for item in itertools.chain.from_iterable(value.items()):
                    self.write(item)
                self.out += b"u"
            case list():
                self.out += b"]("
                self._all(value)
                self.out += b"e"
            case tuple():
                self.out += b"("
                self._all(value)
                self.out += b"t"
            case Name():
                self._once(value, f"c{value.module}\n{value.name}\n".encode())
            case Call():
                self.write(value.function)
                self.write(value.arguments)
                self.out += b"R"
            case Object():
                self._object(value)
            case Parameter():
                hooks = Call(Name("collections", "OrderedDict"))
                self.write(Call(Name("torch._utils", "_rebuild_parameter"), (value.data, False, hooks)))
            case View() | np.ndarray():
                self._tensor(value if isinstance(value, View) else whole(value))
            case _:
                raise TypeError(f"a pickle for tests has no {type(value).__name__}")

    def _all(self, values: Sequence[Any]) -> None:
        for value in values:
            self.write(value)

    def _integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K" + struct.pack("<B", value)
        elif -(1 << 31) <= value < 1 << 31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            self.out += b"\x8a\x08" + struct.pack("<q", value)

    def _once(self, key: Any, code: bytes) -> None:
        if key in self._memo:
            self.out += b"j" + struct.pack("<I", self._memo[key])
        else:
            self._memo[key] = len(self._memo)
            self.out += code + b"r" + struct.pack("<I", self._memo[key])

    def _object(self, value: Object) -> None:
        known = id(value) in self._memo
        if not known:
            self._kept.append(value)
            self.write(value.kind)
            self.out += b")"
        self._once(id(value), b"\x81")
        if not known:
            self.write(value.attributes)
            self.out += b"b"

    def _tensor(self, view: View) -> None:
        if id(view.storage) not in self._storage_keys:
            self._kept.append(view.storage)
            key = self._storage_keys[id(view.storage)] = str(len(self.storages))
            self.storages[key] = view.storage.tobytes()
        kind = view.kind or STORAGES[view.storage.dtype.name]
        count = view.storage.size if view.count is None else view.count
        self.write(Name("torch._utils", "_rebuild_tensor_v2"))
        self.out += b"("
        self.write(("storage", Name("torch", kind), self._storage_keys[id(view.storage)], "cpu", count))
        self.out += b"Q"
        self._all((view.offset, view.shape, view.strides, False, Call(Name("collections", "OrderedDict"))))
        self.out += b"tR"


def whole(array: np.ndarray) -> View:
    """A tensor that is all of its storage."""
    array = np.array(array, order="C")
    return View(array, 0, array.shape, tuple(stride // array.itemsize for stride in array.strides))


def tensor(array: np.ndarray, **changes: Any) -> View:
    """A tensor that is all of its storage but for the `changes`, fields of `View`."""
    return replace(whole(array), **changes)


def text(value: str) -> bytes:
    """The opcodes of a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


# ---------------------------------------------------------------------------------------------- the network

HOOKS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def module(kind: str, modules: Mapping[str, Object] | None = None, **attributes: Any) -> Object:
    """A layer: everything that `torch.nn.Module` keeps, then its own attributes."""
    path, name = kind.rsplit(".", 1)
    parameters, buffers = attributes.pop("parameters", {}), attributes.pop("buffers", {})
    hooks = {key: Call(Name("collections", "OrderedDict")) for key in HOOKS}
    return Object(
        Name(path, name),
        {
            "training": False,
            "_parameters": dict(parameters),
            "_buffers": dict(buffers),
            "_non_persistent_buffers_set": Call(Name("__builtin__", "set"), ([],)),
            "_is_full_backward_hook": None,
            **hooks,
            "_modules": dict(modules or {}),
            **attributes,
        },
    )


def container(kind: str, layers: Sequence[Object]) -> Object:
    """A `Sequential` or `ModuleList`."""
    return module(f"torch.nn.modules.container.{kind}", {str(index): each for index, each in enumerate(layers)})


def one_layer(**parameters: Any) -> Object:
    """A network of one layer, "0", that holds `parameters`."""
    return module("ultralytics.nn.tasks.SegmentationModel", {"0": module("torch.nn.Conv2d", parameters=parameters)})


SILU = {"kind": "torch.nn.modules.activation.SiLU", "inplace": True}


class Layers:
    """The blocks of YOLOv8 with random numbers: their parameters and attributes, not what they compute."""

    def __init__(
        self,
        seed: int,
        old_paths: bool = False,
        activation: Mapping[str, Any] = SILU,
        upsampling: str = "nearest",
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.activation, self.upsampling = dict(activation), upsampling
        self.blocks = "ultralytics.nn.modules" + (".{1}" if old_paths else ".{0}.{1}")

    def block(self, file: str, name: str, modules: Mapping[str, Object] | None = None, **attributes: Any) -> Object:
        return module(self.blocks.format(file, name), modules, **attributes)

    def half(self, values: Any) -> Parameter:
        return Parameter(np.asarray(values, np.float16))

    def conv2d(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        bias: Any = None,
        gain: float = 1.6,
        groups: int = 1,
    ) -> Object:
        fan = inputs // groups
        weight = self.rng.standard_normal((outputs, fan, kernel, kernel)) * (gain / (fan * kernel**2)) ** 0.5
        return self._convolution("Conv2d", weight, bias, stride=stride, padding=kernel // 2, groups=groups)

    def upsample_conv(self, channels: int) -> Object:
        weight = self.rng.standard_normal((channels, channels, 2, 2)) * (1.6 / channels) ** 0.5
        bias = self.rng.standard_normal(channels) * 0.1
        return self._convolution("ConvTranspose2d", weight, bias, stride=2, padding=0)

    def _convolution(
        self, name: str, weight: np.ndarray, bias: Any, *, stride: int, padding: int, groups: int = 1
    ) -> Object:
        transposed = name == "ConvTranspose2d"
        outputs, inputs = weight.shape[:2][:: -1 if transposed else 1]
        return module(
            f"torch.nn.modules.conv.{name}",
            parameters={"weight": self.half(weight), "bias": None if bias is None else self.half(bias)},
            in_channels=inputs * groups, out_channels=outputs, kernel_size=weight.shape[2:], stride=(stride,) * 2,
            padding=(padding,) * 2, dilation=(1, 1), transposed=transposed, output_padding=(0, 0),
            groups=groups, padding_mode="zeros", _reversed_padding_repeated_twice=[padding] * 4,
        )  # fmt: skip

    def batch_norm(self, channels: int) -> Object:
        uniform, normal = self.rng.uniform, self.rng.standard_normal
        gamma = uniform(0.6, 1.6, channels) * np.where(uniform(size=channels) < 0.04, -1, 1)
        return module(
            "torch.nn.modules.batchnorm.BatchNorm2d",
            parameters={"weight": self.half(gamma), "bias": self.half(normal(channels) * 0.35)},
            buffers={
                "running_mean": np.float16(normal(channels) * 0.1),
                "running_var": np.float16(uniform(0.5, 1.5, channels)),
                "num_batches_tracked": np.array(12345, np.int64),
            },
            num_features=channels, eps=1e-3, momentum=0.03, affine=True, track_running_stats=True,
        )  # fmt: skip

    def conv(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, linear: bool = False
    ) -> Object:
        parts = {"conv": self.conv2d(inputs, outputs, kernel, stride, groups=groups), "bn": self.batch_norm(outputs)}
        parts["act"] = module("torch.nn.modules.linear.Identity") if linear else module(**self.activation)
        return self.block("conv", "Conv", parts)

    def c2f(self, inputs: int, outputs: int, count: int = 1, *, shortcut: bool = False) -> Object:
        half = outputs // 2
        inner = []
        for _ in range(count):
            pair = {"cv1": self.conv(half, half, 3), "cv2": self.conv(half, half, 3)}
            inner.append(self.block("block", "Bottleneck", pair, add=shortcut))
        parts = {"cv1": self.conv(inputs, outputs), "cv2": self.conv((2 + count) * half, outputs)}
        return self.block("block", "C2f", {**parts, "m": container("ModuleList", inner)}, c=half)

    def sppf(self, inputs: int, outputs: int) -> Object:
        pool = module(
            "torch.nn.modules.pooling.MaxPool2d",
            kernel_size=5, stride=1, padding=2, dilation=1, return_indices=False, ceil_mode=False,
        )  # fmt: skip
        parts = {"cv1": self.conv(inputs, inputs // 2), "cv2": self.conv(inputs * 2, outputs), "m": pool}
        return self.block("block", "SPPF", parts)

    def upsample(self) -> Object:
        return module(
            "torch.nn.modules.upsampling.Upsample",
            name="Upsample", size=None, scale_factor=2.0, mode=self.upsampling, align_corners=None,
            recompute_scale_factor=None,
        )  # fmt: skip

    def concat(self) -> Object:
        return self.block("conv", "Concat", d=1)

    def branch(self, inputs: int, hidden: int, outputs: int, bias: Any, gain: float = 1.6) -> Object:
        last = self.conv2d(hidden, outputs, 1, bias=bias, gain=gain)
        return container("Sequential", [self.conv(inputs, hidden, 3), self.conv(hidden, hidden, 3), last])

    def segment(self, inputs: Sequence[int], classes: int, bins: int, hidden: int, masks: int = 32) -> Object:
        """The head: boxes (cv2), classes (cv3), mask coefficients (cv4) at three levels, and the prototypes."""
        boxes = [-(((np.arange(bins) - middle) / 4) ** 2) for middle in (3.0, 4.5, 6.5)]
        box = [self.branch(each, hidden, 4 * bins, np.tile(boxes[level], 4)) for level, each in enumerate(inputs)]
        # Class scores that spread over most of 0 to 1.
        kind = [self.branch(each, hidden, classes, np.full(classes, -1.5), gain=60) for each in inputs]
        mask = [self.branch(each, hidden, masks, self.rng.standard_normal(masks) * 0.1) for each in inputs]
        dfl = self.conv2d(bins, 1, 1)
        dfl.attributes["_parameters"]["weight"] = self.half(np.arange(bins).reshape(1, bins, 1, 1))
        prototypes = {
            "cv1": self.conv(inputs[0], hidden, 3),
            "upsample": self.upsample_conv(hidden),
            "cv2": self.conv(hidden, hidden, 3),
            "cv3": self.conv(hidden, masks),
        }
        return self.block(
            "head",
            "Segment",
            {
                "cv2": container("ModuleList", box),
                "cv3": container("ModuleList", kind),
                "dfl": self.block("block", "DFL", {"conv": dfl}, c1=bins),
                "proto": self.block("block", "Proto", prototypes),
                "cv4": container("ModuleList", mask),
            },
            nc=classes, nl=3, reg_max=bins, no=classes + 4 * bins, stride=np.array([8, 16, 32], np.float16),
            nm=masks, npr=hidden, shape=None,
            # Old heads keep a method of their class, which protocol 2 writes as a call of getattr.
            detect=Call(Name("__builtin__", "getattr"), (self._detect(), "forward")),
        )  # fmt: skip

    def _detect(self) -> Name:
        return Name(*self.blocks.format("head", "Detect").rsplit(".", 1))


def yolov8_seg(
    *,
    width: int = 8,
    classes: int = 1,
    reg_max: int = 16,
    seed: int = 1,
    old_paths: bool = False,
    activation: Mapping[str, Any] = SILU,
    upsampling: str = "nearest",
) -> Object:
    """A YOLOv8-seg network of depth n, `width` channels in every layer, and random numbers in float16."""
    make = Layers(seed, old_paths, activation, upsampling)
    wide = 2 * width
    layers = [
        make.conv(3, width, 3, 2),
        make.conv(width, width, 3, 2),
        make.c2f(width, width, 1, shortcut=True),
        make.conv(width, width, 3, 2),
        make.c2f(width, width, 2, shortcut=True),
        make.conv(width, width, 3, 2),
        make.c2f(width, width, 2, shortcut=True),
        make.conv(width, wide, 3, 2),
        make.c2f(wide, wide, 1, shortcut=True),
        make.sppf(wide, wide),
        make.upsample(),
        make.concat(),
        make.c2f(wide + width, width),
        make.upsample(),
        make.concat(),
        make.c2f(2 * width, width),
        make.conv(width, width, 3, 2),
        make.concat(),
        make.c2f(2 * width, width),
        make.conv(width, width, 3, 2),
        make.concat(),
        make.c2f(width + wide, wide),
        make.segment((width, width, wide), classes, reg_max, width),
    ]
    sources = {11: [-1, 6], 14: [-1, 4], 17: [-1, 12], 20: [-1, 9], 22: [15, 18, 21]}
    return segmentation_network(layers, sources, classes)


def segmentation_network(
    layers: Sequence[Object],
    sources: Mapping[int, Any],
    classes: int,
    *,
    strides: Sequence[int] = (8, 16, 32),
    kind: str = "SegmentationModel",
) -> Object:
    """A network of layers; each takes the one before, or those of `sources` by its number."""
    for index, layer in enumerate(layers):
        name = f"{layer.kind.module}.{layer.kind.name}"
        layer.attributes.update({"i": index, "f": sources.get(index, -1), "type": name})
    listed = [each if isinstance(each, list) else [each] for each in sources.values()]
    network = module(f"ultralytics.nn.tasks.{kind}", {"model": container("Sequential", layers)})
    network.attributes.update(
        yaml={"nc": classes, "ch": 3, "scale": "n", "yaml_file": "yolov8n-seg.yaml"},
        save=sorted({number for numbers in listed for number in numbers if number >= 0}),
        names={number: "object" if classes == 1 else f"class {number}" for number in range(classes)},
        inplace=True,
        stride=np.array(strides, np.float32),
        args=Call(Name("ultralytics.yolo.utils", "IterableSimpleNamespace")),
        task="segment",
    )
    return network


def official(network: Any, **changes: Any) -> dict[str, Any]:
    """The dictionary that a finished training leaves."""
    return {
        "epoch": -1,
        "best_fitness": None,
        "model": network,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {"task": "segment", "imgsz": 1024, "epochs": 100, "lr0": 0.01, "freeze": None, "val": True},
        "date": "2023-06-21T12:00:00",
        "version": "8.0.120",
        **changes,
    }


if __name__ == "__main__":
    (Path(__file__).parents[1] / "data" / "tiny.pt").write_bytes(checkpoint(official(yolov8_seg())))
