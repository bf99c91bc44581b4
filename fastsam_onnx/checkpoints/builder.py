"""The graph while it is built: its nodes, the parameters that it has used, and a function for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.checkpoints.layers import Layer, shown
from fastsam_onnx.checkpoints.onnx_writer import GraphWriter
from fastsam_onnx.checkpoints.parameters import Arrays, plain
from fastsam_onnx.checkpoints.values import Global
from fastsam_onnx.errors import ModelError

FORWARDS = ("forward", "forward_fuse", "forward_split")
"""Methods that compute the same for a layer; old files keep one of them by name."""


class FeatureMap(NamedTuple):
    """A feature map: its name in the graph, its number of channels, and the pixels of the photo per cell."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class BuiltNetwork:
    """A network, ready to be written.

    Attributes:
        writer: Nodes of the graph.
        metadata: Metadata of an export by ultralytics, as far as the checkpoint has them.
        values: Functions that compute the parameters, by name.
    """

    writer: GraphWriter
    metadata: Mapping[str, str]
    values: Mapping[str, Callable[[], FloatArray]]

    def parameters(self) -> Iterator[tuple[str, FloatArray]]:
        """Name and float32 values of each parameter, one at a time, so that they need not be in memory together.

        Raises:
            ModelError: If a parameter is NaN or infinite.
        """
        for name, shape in self.writer.parameters.items():
            yield name, self.values[name]().reshape(shape)


class Builder:
    """A graph in the making."""

    def __init__(
        self, name: str, arrays: Arrays, eps: float, blocks: Mapping[str, Block], advice: str, *, plain: bool = False
    ) -> None:
        """Begin.

        Args:
            name: Name of the graph.
            arrays: Parameters and buffers of the checkpoint.
            eps: Epsilon of the batch normalisations.
            blocks: Function that draws a layer, by the layer's kind.
            advice: End of messages that refuse a network: what is accepted or what to do.
            plain: True to draw every layer as the checkpoint has it, where others compute the same faster.
        """
        self.plain = plain
        self.writer = GraphWriter(name)
        self.arrays = arrays
        self.eps = eps
        self.values: dict[str, Callable[[], FloatArray]] = {}
        self._blocks = blocks
        self._advice = advice
        self._used: set[str] = set()
        self._joined: dict[str, tuple[FeatureMap, ...]] = {}
        self._smaller: dict[str, FeatureMap] = {}

    def draw(self, source: FeatureMap, layer: Layer) -> FeatureMap:
        """Append the nodes of a layer.

        Raises:
            ModelError: If it is of an unknown kind, or contradicts its parameters.
        """
        block = self._blocks.get(layer.kind)
        if block is None:
            raise self.refusal(f"{layer.name} is of the kind {layer.kind}, which is not supported")
        self.check_forward(layer)
        return block(self, source, layer)

    def check_forward(self, layer: Layer) -> None:
        """Refuse a layer that computes something else than its kind.

        Raises:
            ModelError: If it has a forward function of its own.
        """
        forward = layer.attributes.get("forward")
        usual = [f"{layer.kind}.{name}" for name in FORWARDS]
        if forward is not None and not (isinstance(forward, Global) and forward.name in usual):
            raise self.refusal(f"{layer.name} has a forward function of its own, {shown(forward)}")

    def has(self, name: str) -> bool:
        """True if the checkpoint has a parameter of this name."""
        return name in self.arrays

    def shape(self, name: str, expected: tuple[int | None, ...]) -> tuple[int, ...]:
        """Use a parameter and return its shape; None stands for any side.

        Raises:
            ModelError: If it is missing or of another shape.
        """
        self._used.add(name)
        if name not in self.arrays:
            raise self.refusal(f"the checkpoint lacks {name}")
        shape = self.arrays[name].shape
        fits = len(shape) == len(expected) and all(
            side == wanted if wanted is not None else side > 0 for side, wanted in zip(shape, expected, strict=False)
        )
        if not fits:
            wanted = ", ".join("any" if side is None else str(side) for side in expected)
            raise self.refusal(f"the shape of {name} must be ({wanted}), got {shape}")
        return shape

    def parameter(self, name: str, shape: tuple[int, ...], values: Callable[[], FloatArray] | None = None) -> str:
        """Declare a parameter of the graph, the checkpoint's own or what `values` computes; return its name."""
        self.values[name] = values or partial(plain, name, self.arrays)
        return self.writer.parameter(name, shape)

    def unused(self, prefix: str) -> None:
        """Mark parameters as serving training alone."""
        self._used.update(name for name in self.arrays if name.startswith(prefix))

    def check_complete(self) -> None:
        """Refuse a network that has more parameters than were used.

        Raises:
            ModelError: If it has.
        """
        left = sorted(name for name in self.arrays if name not in self._used and not _is_bookkeeping(name))
        if left:
            more = f" and {len(left) - 1} others" if len(left) > 1 else ""
            raise self.refusal(f"the checkpoint has {left[0]}{more}, which have no place in this network")

    def refusal(self, reason: str) -> ModelError:
        """The error for a network that cannot be built."""
        return ModelError(f"{reason}; {self._advice}")

    def join(self, *maps: FeatureMap) -> FeatureMap:
        """Concatenate channels.

        Raises:
            ModelError: If the maps have different strides.
        """
        strides = [each.stride for each in maps]
        if len(set(strides)) != 1:
            raise self.refusal(f"feature maps of the strides {strides} are joined, which must be equal")
        joined = self.writer.add("Concat", *(each.name for each in maps), axis=1)
        self._joined[joined] = maps
        return FeatureMap(joined, sum(each.channels for each in maps), strides[0])

    def parts(self, source: FeatureMap) -> tuple[FeatureMap, ...]:
        """The maps that were joined to this one; it alone if it was not made so."""
        return self._joined.get(source.name, (source,))

    def split(self, source: FeatureMap, *channels: int) -> list[FeatureMap]:
        """Cut a map into maps of these numbers of channels."""
        sizes = self.writer.constant(channels, integers=True)
        names = self.writer.add_many("Split", source.name, sizes, outputs=len(channels), axis=1)
        return [FeatureMap(name, count, source.stride) for name, count in zip(names, channels, strict=True)]

    def halves(self, source: FeatureMap, layer: Layer) -> list[FeatureMap]:
        """Cut a map into two equal ones.

        Raises:
            ModelError: If it has an odd number of channels.
        """
        channels = self.half(source.channels, layer)
        names = self.writer.add_many("Split", source.name, outputs=2, axis=1)
        return [FeatureMap(name, channels, source.stride) for name in names]

    def half(self, channels: int, layer: Layer) -> int:
        """Half the number of channels that a layer makes.

        Raises:
            ModelError: If it is odd.
        """
        if channels % 2:
            raise self.refusal(f"{layer.name} must have an even number of channels, got {channels}")
        return channels // 2

    def enlarge(self, source: FeatureMap, stride: int, layer: Layer) -> FeatureMap:
        """Repeat cells until the map has a stride, or leave it if it has.

        Raises:
            ModelError: If cells cannot be repeated so.
        """
        factor, rest = divmod(source.stride, stride)
        if rest or not factor:
            raise self.refusal(f"{layer.name} cannot make a map of stride {stride} from one of stride {source.stride}")
        if factor == 1:
            return source
        scales = self.writer.constant([1.0, 1.0, float(factor), float(factor)])
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        larger = source._replace(name=self.writer.add("Resize", source.name, "", scales, **how), stride=stride)
        self._smaller[larger.name] = source
        return larger

    def is_enlarged(self, source: FeatureMap) -> bool:
        """True if cells of a map, or of one that was joined to it, were repeated and need not have been."""
        return not self.plain and any(part.name in self._smaller for part in self.parts(source))

    def before_enlarging(self, source: FeatureMap) -> FeatureMap:
        """The map whose cells were repeated to make this one; itself if it was not made so."""
        return self._smaller.get(source.name, source)

    def add(self, first: FeatureMap, second: FeatureMap, layer: Layer) -> FeatureMap:
        """Add two maps, as a shortcut does.

        Raises:
            ModelError: If they have different sizes.
        """
        if first[1:] != second[1:]:
            raise self.refusal(
                f"{layer.name} has a shortcut, so it must keep {first.channels} channels, got {second.channels}"
            )
        return first._replace(name=self.writer.add("Add", first.name, second.name))


Block = Callable[[Builder, FeatureMap, Layer], FeatureMap]


def _is_bookkeeping(name: str) -> bool:
    """True for values that serve training alone."""
    return name.endswith(".num_batches_tracked")
