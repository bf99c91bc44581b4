"""The network of a checkpoint as ONNX: the layers that the file describes, one after the other, with its parameters.

The pickle of an ultralytics checkpoint says what its layers are and which earlier ones each takes; a plain `state_dict`
does not, and is taken for YOLOv8-seg. The computation of each kind of layer follows public descriptions; every block
names its source. All that is drawn is what the file says, checked against the shapes of its parameters; a network that
has anything else is refused by the name of that layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastsam_onnx.checkpoints import area_attention, attention, convolutions, csp, elan, pooling, yolov8
from fastsam_onnx.checkpoints.builder import Builder, BuiltNetwork, FeatureMap
from fastsam_onnx.checkpoints.checkpoint import Checkpoint
from fastsam_onnx.checkpoints.elan import branch_in, branch_out
from fastsam_onnx.checkpoints.heads import COEFFICIENTS, segment
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.metadata import metadata_of
from fastsam_onnx.checkpoints.parameters import DEFAULT_EPS
from fastsam_onnx.errors import ModelError, OptionError

BLOCKS = {
    **convolutions.BLOCKS,
    **csp.BLOCKS,
    **pooling.BLOCKS,
    **attention.BLOCKS,
    **area_attention.BLOCKS,
    **elan.BLOCKS,
}
FAMILIES = {"A2C2f": "YOLO12", "RepNCSPELAN4": "YOLOv9", "ELAN1": "YOLOv9", "C2PSA": "YOLO11", "C2f": "YOLOv8"}
"""Family of a network by a kind of layer that only it has."""
OTHER_HEADS = {
    "Detect": "detection",
    "v10Detect": "detection",
    "WorldDetect": "detection",
    "YOLOEDetect": "detection",
    "RTDETRDecoder": "detection",
    "Pose": "pose",
    "Pose26": "pose",
    "OBB": "rotated box",
    "OBB26": "rotated box",
    "Classify": "classification",
}
ADVICE = (
    "a network that is not read from its checkpoint may work as ONNX: where ultralytics is installed run "
    "yolo export model=FILE.pt format=onnx, and give FILE.onnx"
)
MAX_SOURCES = 8
Maps = Sequence[FeatureMap]


def build(
    checkpoint: Checkpoint, size: tuple[int, int] | None = None, *, raw: bool = False, plain: bool = False
) -> BuiltNetwork:
    """Build the network of a checkpoint.

    The network takes `images`, (batch, 3, height, width) float32, RGB, 0 to 1, and gives `output0`, (batch,
    4 + nc + nm, anchors): cx, cy, w, h in input pixels, scores, coefficients; and `output1`, (batch, nm, height/4,
    width/4): prototypes. Networks that need no NMS give `output0` as (batch, rows, 6 + nm): x1, y1, x2, y2, score,
    class, coefficients. These are the names and layouts of ultralytics' exports.

    Args:
        checkpoint: The checkpoint.
        size: (height, width) of the only input that the network takes; None for any.
        raw: True to end before the decoding of boxes; see `heads.segment`. Its layers are plain.
        plain: True to draw every layer as the checkpoint has it; by default some together or in another order, where
            that takes fewer products and differs by rounding alone.

    Raises:
        OptionError: If the size is not a multiple of the network's largest stride.
        ModelError: If it is another network; the message names the layer or parameter that shows it.
    """
    network = checkpoint.network
    layers = list((network or yolov8.describe(checkpoint.arrays)).child("model").children.values())
    _check_head(layers)
    eps = DEFAULT_EPS if checkpoint.eps is None else checkpoint.eps
    name = _family(layers)
    builder = Builder(name, checkpoint.arrays, eps, BLOCKS, ADVICE if network else yolov8.EXPECTED, plain=plain or raw)
    height, width = size or ("height", "width")
    batch = 1 if raw and size else "batch"  # compilers of accelerators want every side as a number
    photo = FeatureMap(builder.writer.input("images", [batch, 3, height, width]), 3, 1)
    sources = _draw(builder, layers, photo)
    strides = tuple(source.stride for source in sources)
    if checkpoint.stride is not None and checkpoint.stride != strides:
        raise builder.refusal(f"the checkpoint's strides must be {strides}, got {checkpoint.stride}")
    if size and any(side % max(strides) for side in size):
        raise OptionError(f"imgsz must be multiples of {max(strides)}, got {size[1]}x{size[0]}")
    end_to_end = segment(builder, sources, layers[-1], raw=raw)
    builder.check_complete()
    builder.writer.drop_unused()
    metadata = metadata_of(checkpoint, name, strides, size, end_to_end=end_to_end)
    return BuiltNetwork(builder.writer, metadata, builder.values)


def _draw(builder: Builder, layers: Sequence[Layer], photo: FeatureMap) -> list[FeatureMap]:
    """Draw all layers but the head; the maps that the head takes."""
    made: list[Maps] = []
    for index, layer in enumerate(layers[:-1]):
        sources = _sources(builder, layer, index, made, photo)
        if layer.kind == "CBFuse":
            made.append([branch_in(builder, sources, layer)])
            continue
        maps = [_only(builder, each, layer) for each in sources]
        if layer.kind == "Concat":
            layer.must_be("d", 1, default=1)
            made.append([builder.join(*maps)])
        elif len(maps) != 1:
            raise builder.refusal(f"{layer.name} is a {layer.kind}, which takes one layer, got {len(maps)}")
        elif layer.kind == "CBLinear":
            made.append(branch_out(builder, maps[0], layer))
        else:
            made.append([builder.draw(maps[0], layer)])
    head = layers[-1]
    return [_only(builder, each, head) for each in _sources(builder, head, len(layers) - 1, made, photo)]


def _sources(builder: Builder, layer: Layer, index: int, made: Sequence[Maps], photo: FeatureMap) -> list[Maps]:
    """The maps that a layer takes, by its attribute f: numbers of layers, or -1 for the one before."""
    numbers = layer.attributes.get("f")
    numbers = numbers if isinstance(numbers, list | tuple) else [numbers]
    if not 0 < len(numbers) <= MAX_SOURCES or not all(
        type(number) is int and -1 <= number < index for number in numbers
    ):
        raise builder.refusal(f"{layer.name} has sources f that make no sense")
    return [([photo] if not made else made[number]) for number in numbers]


def _only(builder: Builder, maps: Maps, layer: Layer) -> FeatureMap:
    if len(maps) != 1:
        raise builder.refusal(f"{layer.name} takes one map of each of its sources, got {len(maps)}")
    return maps[0]


def _check_head(layers: Sequence[Layer]) -> None:
    kind = layers[-1].kind if layers else "nothing"
    if kind in COEFFICIENTS:
        return
    if kind in OTHER_HEADS:
        raise ModelError(
            f"it is a {OTHER_HEADS[kind]} network (its head is {kind}); a segmentation network is needed, such as "
            "yolov8n-seg.pt or FastSAM-s.pt"
        )
    raise ModelError(f"the head of the network must be one of {', '.join(COEFFICIENTS)}, got {kind}; {ADVICE}")


def _family(layers: Sequence[Layer]) -> str:
    """Name of the network, such as "YOLO11-seg"."""
    kinds = {layer.kind for layer in layers}
    head = layers[-1].kind
    if head.startswith("YOLOE"):
        return "YOLOE-seg"
    family = "YOLO26" if head.endswith("26") else next((FAMILIES[kind] for kind in FAMILIES if kind in kinds), "YOLO")
    return f"{family}-seg"
