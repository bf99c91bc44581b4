"""The network of a checkpoint: YOLOv8-seg, of any width and depth, drawn around the parameters that are there.

What each block computes was taken from public descriptions, and how wide and deep it is from the names and shapes of
the checkpoint's own parameters; every block below names its source. As a whole the network is that of the FastSAM
paper (Zhao et al. 2023, https://arxiv.org/abs/2306.12156), YOLOv8 with the mask branch of YOLACT; public drawings of
YOLOv8 show its 23 layers, whose numbers are part of the parameters' names, and which earlier layers each one takes.
Everything is checked while it is drawn, so a checkpoint of another network is refused by the name of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.checkpoints.onnx_writer import GraphWriter
from fastsam_onnx.errors import ModelError

if TYPE_CHECKING:
    from fastsam_onnx.checkpoints.checkpoint import Checkpoint

Arrays = Mapping[str, npt.NDArray[Any]]

STRIDES = (8, 16, 32)
DEFAULT_EPS = 1e-3
"""Of batch normalisation, in every network that ultralytics trains."""
SIDES = 4
"""Of a box: left, top, right, bottom."""
LAST = 22
"""The number of the last layer, the head."""
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
EXPECTED = "expected is a YOLOv8-seg network, as FastSAM is, of any width, depth and number of classes"


@dataclass(frozen=True)
class Assembled:
    """A network, drawn and ready to be written.

    Attributes:
        writer: Its nodes.
        metadata: What an export by ultralytics says about itself, as far as the checkpoint tells.
        arrays: The checkpoint's.
        eps: Of batch normalisation.
    """

    writer: GraphWriter
    metadata: Mapping[str, str]
    arrays: Arrays
    eps: float

    def parameters(self) -> Iterator[tuple[str, FloatArray]]:
        """Name and float32 values of each parameter, one after the other, so that they need not be there at once.

        Raises:
            ModelError: If a parameter is NaN or infinite.
        """
        for name, shape in self.writer.parameters.items():
            yield name, _folded(name, self.arrays, self.eps).reshape(shape)


def assemble(checkpoint: Checkpoint) -> Assembled:
    """Draw the network of a checkpoint.

    Batch normalisation goes into the convolutions before it (Jacob et al. 2018, https://arxiv.org/abs/1712.05877,
    section 3.2): in float64, rounded to float32 once.

    The network takes `images`, (batch, 3, height, width) float32, RGB, 0 to 1, and gives `output0`, (batch,
    4 + nc + nm, anchors): cx, cy, w, h in input pixels, scores, coefficients; and `output1`, (batch, nm, height/4,
    width/4): prototypes. These are the names and layouts of ultralytics' exports.

    Raises:
        ModelError: If the checkpoint is of another network; the message names the parameter that tells.
    """
    net = _Drawing(checkpoint.arrays)
    _check_kind(net.arrays)
    strides = checkpoint.stride
    if strides is not None and tuple(strides) != STRIDES:
        raise ModelError(f"the checkpoint's strides are {strides}; {EXPECTED}, whose strides are {STRIDES}")
    levels = _neck(net, *_backbone(net))
    _segment(net, levels)
    net.check_complete()
    eps = DEFAULT_EPS if checkpoint.eps is None else checkpoint.eps
    return Assembled(net.writer, _metadata(checkpoint), net.arrays, eps)


# --- Layers ---


class _Map(NamedTuple):
    """A feature map: its name in the graph, and how many channels it has."""

    name: str
    channels: int


class _Drawing:
    """The graph so far, and which parameters it has used."""

    def __init__(self, arrays: Arrays) -> None:
        self.writer = GraphWriter("YOLOv8-seg")
        self.arrays = arrays
        self._used: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self.arrays

    def shape(self, name: str, expected: tuple[int | None, ...]) -> tuple[int, ...]:
        """Take a parameter; None is any side. Its shape."""
        self._used.add(name)
        if name not in self.arrays:
            raise ModelError(f"the checkpoint lacks {name}; {EXPECTED}")
        shape = self.arrays[name].shape
        fits = len(shape) == len(expected) and all(
            side == wanted if wanted is not None else side > 0 for side, wanted in zip(shape, expected, strict=False)
        )
        if not fits:
            wanted = ", ".join("any" if side is None else str(side) for side in expected)
            raise ModelError(f"{name} is {shape}, ({wanted}) fits here; {EXPECTED}")
        return shape

    def parameter(self, name: str, shape: tuple[int, ...]) -> str:
        return self.writer.parameter(name, shape)

    def check_complete(self) -> None:
        """Every parameter has found its place, or the network is another one."""
        left = sorted(name for name in self.arrays if name not in self._used and not _is_bookkeeping(name))
        if left:
            more = f" and {len(left) - 1} others" if len(left) > 1 else ""
            raise ModelError(f"the checkpoint has {left[0]}{more}, which have no place in this network; {EXPECTED}")


def _convolution(net: _Drawing, source: _Map, name: str, *, kernel: int = 1, stride: int = 1) -> _Map:
    """A convolution with a bias: its own, or what the batch normalisation that follows it leaves."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    shape = net.shape(weight, (None, source.channels, kernel, kernel))
    norm = name.removesuffix("conv") + "bn"
    if name.endswith(".conv") and not net.has(bias):
        for key in BATCH_NORM:
            net.shape(f"{norm}.{key}", shape[:1])
    else:
        net.shape(bias, shape[:1])
    inputs = [source.name, net.parameter(weight, shape), net.parameter(bias, shape[:1])]
    made = net.writer.add("Conv", *inputs, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[stride] * 2)
    return _Map(made, shape[0])


def _conv(net: _Drawing, source: _Map, name: str, *, kernel: int = 1, stride: int = 1) -> _Map:
    """Convolution, batch normalisation, SiLU: x * sigmoid(x) (Elfwing et al. 2017, https://arxiv.org/abs/1702.03118)."""
    made = _convolution(net, source, f"{name}.conv", kernel=kernel, stride=stride)
    gate = net.writer.add("Sigmoid", made.name)
    return _Map(net.writer.add("Mul", made.name, gate), made.channels)


def _bottleneck(net: _Drawing, source: _Map, name: str, *, shortcut: bool) -> _Map:
    """Two 3x3 convolutions, and around them a shortcut (He et al. 2015, https://arxiv.org/abs/1512.03385)."""
    made = _conv(net, _conv(net, source, f"{name}.cv1", kernel=3), f"{name}.cv2", kernel=3)
    if not shortcut:
        return made
    if made.channels != source.channels:
        raise ModelError(f"{name} makes {made.channels} channels of {source.channels} around a shortcut; {EXPECTED}")
    return _Map(net.writer.add("Add", source.name, made.name), made.channels)


def _c2f(net: _Drawing, source: _Map, name: str, *, shortcut: bool) -> _Map:
    """Half of the channels goes through bottlenecks, and the results of all of them are joined.

    A partial stage (CSPNet, Wang et al. 2019, https://arxiv.org/abs/1911.11929) with the gathering of ELAN (Wang et
    al. 2022, https://arxiv.org/abs/2211.04800). How many bottlenecks there are tells how deep the network is.
    """
    first = _conv(net, source, f"{name}.cv1")
    if first.channels % 2:
        raise ModelError(f"{name}.cv1 has {first.channels} channels, which have no half; {EXPECTED}")
    halves = net.writer.add_many("Split", first.name, outputs=2, axis=1)
    gathered = [_Map(half, first.channels // 2) for half in halves]
    index = 0
    while net.has(f"{name}.m.{index}.cv1.conv.weight"):
        gathered.append(_bottleneck(net, gathered[-1], f"{name}.m.{index}", shortcut=shortcut))
        index += 1
    return _conv(net, _join(net, *gathered), f"{name}.cv2")


def _sppf(net: _Drawing, source: _Map, name: str) -> _Map:
    """Spatial pyramid pooling (He et al. 2014, https://arxiv.org/abs/1406.4729) as YOLOv5 made it fast.

    Three 5x5 maxima in a row see 5, 9 and 13 pixels.
    """
    pooled = [_conv(net, source, f"{name}.cv1")]
    for _ in range(3):
        last = pooled[-1]
        largest = net.writer.add("MaxPool", last.name, kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1])
        pooled.append(_Map(largest, last.channels))
    return _conv(net, _join(net, *pooled), f"{name}.cv2")


def _upsample(net: _Drawing, source: _Map) -> _Map:
    """Twice the size, each pixel four times."""
    scales = net.writer.constant([1.0, 1.0, 2.0, 2.0])
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _Map(net.writer.add("Resize", source.name, "", scales, **how), source.channels)


def _join(net: _Drawing, *maps: _Map) -> _Map:
    joined = net.writer.add("Concat", *(each.name for each in maps), axis=1)
    return _Map(joined, sum(each.channels for each in maps))


# --- The network ---


def _backbone(net: _Drawing) -> tuple[_Map, _Map, _Map]:
    """Layers 0 to 9: the photo at strides 8, 16 and 32."""
    made = _Map(net.writer.input("images", ["batch", 3, "height", "width"]), 3)
    made = _conv(net, made, "model.0", kernel=3, stride=2)
    stages = []
    for down in (1, 3, 5, 7):
        made = _conv(net, made, f"model.{down}", kernel=3, stride=2)
        made = _c2f(net, made, f"model.{down + 1}", shortcut=True)
        stages.append(made)
    return stages[1], stages[2], _sppf(net, made, "model.9")


def _neck(net: _Drawing, fine: _Map, middle: _Map, coarse: _Map) -> tuple[_Map, _Map, _Map]:
    """Layers 10 to 21: down to the fine map and up again, so that every stride knows of the others.

    A path aggregation network (Liu et al. 2018, https://arxiv.org/abs/1803.01534).
    """
    between = _c2f(net, _join(net, _upsample(net, coarse), middle), "model.12", shortcut=False)
    first = _c2f(net, _join(net, _upsample(net, between), fine), "model.15", shortcut=False)
    down = _conv(net, first, "model.16", kernel=3, stride=2)
    second = _c2f(net, _join(net, down, between), "model.18", shortcut=False)
    down = _conv(net, second, "model.19", kernel=3, stride=2)
    third = _c2f(net, _join(net, down, coarse), "model.21", shortcut=False)
    return first, second, third


def _segment(net: _Drawing, levels: tuple[_Map, _Map, _Map]) -> None:
    """Layer 22: at every place of every stride a box, a score per class, and coefficients; and the prototypes."""
    head, writer = f"model.{LAST}", net.writer
    prototypes = _prototypes(net, levels[0], f"{head}.proto")
    candidates = []
    for index, (level, stride) in enumerate(zip(levels, STRIDES, strict=True)):
        logits = _branch(net, level, f"{head}.cv2.{index}")
        boxes = _boxes(net, logits, stride, f"{head}.dfl.conv.weight")
        scores = _branch(net, level, f"{head}.cv3.{index}")
        coefficients = _branch(net, level, f"{head}.cv4.{index}")
        if coefficients.channels != prototypes.channels:
            raise ModelError(
                f"{head}.cv4.{index} makes {coefficients.channels} coefficients for {prototypes.channels} prototypes; "
                + EXPECTED
            )
        likely = _Map(writer.add("Sigmoid", scores.name), scores.channels)
        rest = _flat(net, _join(net, likely, coefficients))
        candidates.append(_join(net, boxes, rest))
    if len({each.channels for each in candidates}) > 1:
        raise ModelError(f"{head}.cv3 has another number of classes at each stride; {EXPECTED}")
    writer.add("Concat", *(each.name for each in candidates), output="output0", axis=2)
    writer.output("output0", ["batch", candidates[0].channels, "anchors"])
    writer.add("Identity", prototypes.name, output="output1")
    writer.output("output1", ["batch", prototypes.channels, "height/4", "width/4"])


def _branch(net: _Drawing, level: _Map, name: str) -> _Map:
    """What the head says about one stride: two 3x3 convolutions and a linear one."""
    first = _conv(net, level, f"{name}.0", kernel=3)
    second = _conv(net, first, f"{name}.1", kernel=3)
    return _convolution(net, second, f"{name}.2")


def _prototypes(net: _Drawing, fine: _Map, name: str) -> _Map:
    """Masks from which all masks are mixed (YOLACT, Bolya et al. 2019, https://arxiv.org/abs/1904.02689).

    They are twice as large as the fine map, by a transposed convolution.
    """
    made = _conv(net, fine, f"{name}.cv1", kernel=3)
    shape = net.shape(f"{name}.upsample.weight", (made.channels, None, 2, 2))
    bias = net.shape(f"{name}.upsample.bias", shape[1:2])
    inputs = [net.parameter(f"{name}.upsample.weight", shape), net.parameter(f"{name}.upsample.bias", bias)]
    larger = _Map(net.writer.add("ConvTranspose", made.name, *inputs, kernel_shape=[2, 2], strides=[2, 2]), shape[1])
    return _conv(net, _conv(net, larger, f"{name}.cv2", kernel=3), f"{name}.cv3")


def _boxes(net: _Drawing, logits: _Map, stride: int, weights: str) -> _Map:
    """(B, 4 * bins, h, w) → (B, 4, h * w): cx, cy, w, h in input pixels.

    For each side of the box the network gives a distribution over distances from the centre of the cell, 0, 1, ... in
    cells, and its mean counts (Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388). The FastSAM
    paper raised the number of bins from 16 to 26; how many there are is seen in the parameters.
    """
    writer = net.writer
    _, bins, _, _ = net.shape(weights, (1, None, 1, 1))
    if logits.channels != SIDES * bins:
        raise ModelError(f"{weights} has {bins} bins, the boxes at stride {stride} {logits.channels}; {EXPECTED}")
    split = writer.add("Reshape", logits.name, writer.constant([0, SIDES, bins, -1], whole=True))
    likely = writer.add("Softmax", writer.add("Transpose", split, perm=[0, 1, 3, 2]), axis=3)
    weighted = writer.add("Mul", likely, net.parameter(weights, (bins,)))  # a MatMul by one column is far slower
    distances = writer.add("ReduceSum", weighted, writer.constant([3], whole=True), keepdims=0)
    before, after = writer.add_many("Split", distances, outputs=2, axis=1)
    shift = writer.add("Mul", writer.add("Sub", after, before), writer.constant(0.5))
    centres = writer.add("Add", _cell_centres(net, logits), shift)
    sides = writer.add("Add", before, after)
    cells = writer.add("Concat", centres, sides, axis=1)
    return _Map(writer.add("Mul", cells, writer.constant(float(stride))), SIDES)


def _cell_centres(net: _Drawing, level: _Map) -> str:
    """(1, 2, h * w): x and y of every cell's centre, in cells, row by row."""
    writer = net.writer
    size = writer.add("Shape", level.name, start=2)
    one, half = writer.constant(1.0), writer.constant(0.5)
    planes = []
    for axis, shape in ((1, [1, -1]), (0, [-1, 1])):
        count = writer.add("Gather", size, writer.constant(axis, whole=True))
        positions = writer.add("Range", half, writer.add("Cast", count, to=1), one)
        column_or_row = writer.add("Reshape", positions, writer.constant(shape, whole=True))
        plane = writer.add("Expand", column_or_row, size)
        planes.append(writer.add("Reshape", plane, writer.constant([1, 1, -1], whole=True)))
    return writer.add("Concat", *planes, axis=1)


def _flat(net: _Drawing, source: _Map) -> _Map:
    """(B, c, h, w) → (B, c, h * w)."""
    flat = net.writer.add("Reshape", source.name, net.writer.constant([0, source.channels, -1], whole=True))
    return _Map(flat, source.channels)


# --- The parameters ---


def _folded(name: str, arrays: Arrays, eps: float) -> FloatArray:
    """A parameter as the graph uses it: batch normalisation is part of the convolution.

    gamma * (w * x - mean) / sqrt(variance + eps) + beta = (scale * w) * x + (beta - scale * mean)
    """
    prefix, _, kind = name.rpartition(".conv.")
    if not prefix or f"{prefix}.bn.weight" not in arrays or f"{prefix}.conv.bias" in arrays:
        made = arrays[name].astype(np.float32)
    else:
        gamma, beta, mean, variance = (arrays[f"{prefix}.bn.{key}"].astype(np.float64) for key in BATCH_NORM)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scale = gamma / np.sqrt(variance + eps)
            if kind == "bias":
                made = (beta - scale * mean).astype(np.float32)
            else:
                weight = arrays[name]
                made = np.empty(weight.shape, np.float32)
                # Computed in float64 a buffer at a time: no array of that width.
                np.multiply(weight, scale[:, None, None, None], out=made, dtype=np.float64, casting="same_kind")
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(made.sum(dtype=np.float64)):
            raise ModelError(f"{name} is NaN or infinite, or the variances beside it are negative: the file is damaged")
    return made


def _is_bookkeeping(name: str) -> bool:
    """Whether a value serves training alone."""
    return name.endswith(".num_batches_tracked")


def _check_kind(arrays: Arrays) -> None:
    """Say it in one word where that can be."""
    head = f"model.{LAST}"
    if any(name.startswith(f"{head}.proto.") for name in arrays):
        return
    if any(name.startswith(f"{head}.dfl.") for name in arrays):
        raise ModelError(f"the checkpoint has no prototypes: a detection or pose network, no segmentation; {EXPECTED}")
    layers = {int(number) for name in arrays if (number := name.removeprefix("model.").split(".")[0]).isdigit()}
    found = f"{max(layers) + 1} layers" if layers else "no layers that are numbered"
    raise ModelError(f"the checkpoint has {found}, and its head is not layer {LAST}; {EXPECTED}")


# --- The metadata ---


def _metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """The keys of ultralytics' exports, as far as the checkpoint tells; all values are texts."""
    imgsz = _image_size(checkpoint.train_args.get("imgsz"))
    metadata = {
        "description": "YOLOv8-seg network, written by fastsam-onnx from a checkpoint",
        "version": checkpoint.version,
        "stride": str(max(STRIDES)),
        "task": "segment",
        "batch": "1",
        "channels": "3",
        "imgsz": str(imgsz) if imgsz else None,
        "names": str(checkpoint.names) if checkpoint.names else None,
        "args": str({"batch": 1, "dynamic": True, "half": False, "nms": False}),
        "end2end": "False",
    }
    return {key: value for key, value in metadata.items() if value is not None}


def _image_size(trained: Any) -> list[int] | None:
    """[height, width] of the photos in training; None if the checkpoint does not say."""
    sides = list(trained) if isinstance(trained, list | tuple) else [trained, trained]
    usable = len(sides) == 2 and all(type(side) is int and 0 < side <= 2**16 for side in sides)
    return sides if usable else None
