"""Tiny ONNX files of the YOLOv8-seg family, built on the spot: a few kilobytes each, the same bytes every time.

`tiny` computes its outputs from the picture, `bright_object` finds the one thing in it that is bright; `known` answers
with numbers that the test chose; `constant` has any inputs and outputs, for files that are something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
BINS = 16
Shape = Sequence[int | str]


class _Graph:
    """Nodes and initializers as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._count = 0

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        self._count += 1
        name = output or f"{operator}_{self._count}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"node_{self._count}", **attributes))
        return name

    def constant(self, values: object, dtype: type = np.float32) -> str:
        self._count += 1
        name = f"constant_{self._count}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def _needed(self, outputs: Mapping[str, object]) -> list[onnx.NodeProto]:
        """The nodes that outputs depend on, so that nothing in a file is without use."""
        wanted, kept = set(outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        return kept[::-1]

    def save(
        self,
        inputs: Mapping[str, tuple[int, Shape]],
        outputs: Mapping[str, tuple[int, Shape]],
        metadata: Mapping[str, str] | None,
    ) -> bytes:
        nodes = self._needed(outputs)
        used = {source for node in nodes for source in node.input}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(name, kind, list(shape)) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, kind, list(shape)) for name, (kind, shape) in outputs.items()],
            [values for values in self.initializers if values.name in used],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tiny_onnx")
        model.ir_version = 8
        if metadata:
            helper.set_model_props(model, dict(metadata))
        return model.SerializeToString()


def ultralytics_metadata(nc: int = 1, imgsz: tuple[int, int] = (64, 64), *, nms: bool | None = None) -> dict[str, str]:
    """The keys that an export by ultralytics carries and that somebody reads; all values are strings."""
    return {
        "description": "Ultralytics tiny-seg model",
        "stride": "32",
        "task": "segment",
        "batch": "1",
        "imgsz": str(list(imgsz)),
        "names": str({0: "object"} if nc == 1 else {index: f"class {index}" for index in range(nc)}),
        "args": str({"batch": 1, "nms": nms, "dynamic": True, "opset": 17}),
        "channels": "3",
        "end2end": "False",
    }


def tiny(
    nc: int = 1,
    nm: int = 32,
    *,
    height: int | None = None,
    width: int | None = None,
    batch: int | None = None,
    transposed: bool = False,
    nms_inside: bool = False,
    nms_rows: int = 20,
    nms_unrolled: int | None = None,
    symbolic_channels: bool = False,
    swapped_outputs: bool = False,
    fp16: bool = False,
    six_outputs: bool = False,
    six_outputs_joined: bool = False,
    raw_heads: bool = False,
    detection_only: bool = False,
    metadata: Mapping[str, str] | None = None,
    seed: int = 0,
) -> bytes:
    """A network with fixed random weights whose results depend on the picture.

    The input is averaged over cells of 8, 16 and 32 pixels; 1x1 convolutions make box sizes (1 to 3 cells around
    the cell's centre), scores (sigmoid) and coefficients; prototypes come from cells of 4 pixels.

    Args:
        nc: Classes.
        nm: Prototypes and coefficients.
        height: Of the input, None if dynamic.
        width: Of the input, None if dynamic.
        batch: Fixed batch size, None if dynamic.
        transposed: Candidates as (B, N, 4+nc+nm).
        nms_inside: Candidates as (B, nms_rows, 6+nm): the best by score, nothing suppressed, rows of score 0.25 and
            less all zero.
        nms_rows: See `nms_inside`.
        nms_unrolled: The rows of more photos than this are zero.
        symbolic_channels: The candidates' channels have a name instead of a number.
        swapped_outputs: Prototypes come first.
        fp16: Input and outputs are float16.
        six_outputs: (B, 4+nc, N), three feature maps, (B, nm, N), prototypes, as from an export of the bare module.
        six_outputs_joined: The same, and the first one holds the coefficients too.
        raw_heads: Ten outputs before decoding.
        detection_only: Candidates without coefficients, no prototypes.
        metadata: See `ultralytics_metadata`; none by default.
        seed: Of the weights.
    """
    graph = _Graph()
    kind = TensorProto.FLOAT16 if fp16 else TensorProto.FLOAT
    first = graph.add("Cast", "images", to=TensorProto.FLOAT) if fp16 else "images"
    picture = graph.add("Sub", first, graph.constant(0.5))
    rng = np.random.default_rng(seed)
    heads = [_Head(graph, picture, stride, (nc, nm), rng) for stride in STRIDES]
    prototypes = _convolution(graph, _cells(graph, picture, 4), nm, 3.0, rng)

    b, h, w = batch or "batch", height or "height", width or "width"
    fixed = isinstance(h, int) and isinstance(w, int)
    anchors: int | str = sum((h // s) * (w // s) for s in STRIDES) if fixed else "anchors"

    def at(stride: int) -> tuple[int | str, int | str]:
        return (h // stride, w // stride) if fixed else (f"height/{stride}", f"width/{stride}")

    predictions = graph.add("Concat", *(head.predictions for head in heads), axis=2)
    weights = graph.add("Concat", *(head.coefficients for head in heads), axis=2)
    candidates = graph.add("Concat", predictions, weights, axis=1)
    channels: int | str = "channels" if symbolic_channels else 4 + nc + nm
    shape: Shape = (b, channels, anchors)
    if symbolic_channels:
        candidates = _hide_channels(graph, candidates, 4 + nc + nm)
    if nms_inside:
        candidates, shape = _best_rows(graph, candidates, nc, nm, nms_rows), (b, nms_rows, 6 + nm)
        if nms_unrolled is not None:
            candidates = _of_the_first(graph, candidates, nms_unrolled)
    elif transposed:
        candidates, shape = graph.add("Transpose", candidates, perm=[0, 2, 1]), (b, anchors, channels)

    made: dict[str, tuple[str, Shape]] = {"output0": (candidates, shape), "output1": (prototypes, (b, nm, *at(4)))}
    if detection_only:
        made = {"output0": (predictions, (b, 4 + nc, anchors))}
    elif six_outputs or six_outputs_joined:
        if six_outputs:
            made["output0"] = (predictions, (b, 4 + nc, anchors))
        bare = {f"map{head.stride}": (head.features(graph), (b, 4 * BINS + nc, *at(head.stride))) for head in heads}
        made = {"output0": made["output0"], **bare, "coefficients": (weights, (b, nm, anchors)), **made}
    elif raw_heads:
        made = {"prototypes": made["output1"]}
        for head in heads:
            made[f"boxes{head.stride}"] = (head.bins, (b, 4 * BINS, *at(head.stride)))
            made[f"classes{head.stride}"] = (head.logits, (b, nc, *at(head.stride)))
            made[f"weights{head.stride}"] = (head.coefficient_map, (b, nm, *at(head.stride)))
    if swapped_outputs:
        made = dict(reversed(made.items()))
    for name, (source, _) in made.items():
        graph.add("Cast", source, output=name, to=kind)
    outputs = {name: (kind, dims) for name, (_, dims) in made.items()}
    return graph.save({"images": (kind, (b, 3, h, w))}, outputs, metadata)


class _Head:
    """What one stride contributes; attributes are names of values in the graph."""

    def __init__(
        self, graph: _Graph, picture: str, stride: int, sizes: tuple[int, int], rng: np.random.Generator
    ) -> None:
        nc, nm = sizes
        self.stride = stride
        pooled = _cells(graph, picture, stride)
        self.logits = _convolution(graph, pooled, nc, 8.0, rng, bias=-0.5)
        self.coefficient_map = _convolution(graph, pooled, nm, 3.0, rng)
        self.bins = _convolution(graph, pooled, 4 * BINS, 1.0, rng)
        half, size = graph.constant(0.5 * stride), graph.constant(float(stride))
        mean = graph.add("ReduceMean", pooled, axes=[1], keepdims=1)
        ones = graph.add("Exp", graph.add("Mul", mean, graph.constant(0.0)))
        centres = [
            graph.add("Sub", graph.add("Mul", graph.add("CumSum", ones, graph.constant(axis, np.int64)), size), half)
            for axis in (3, 2)
        ]
        spread = graph.add("Sigmoid", _convolution(graph, pooled, 2, 6.0, rng))
        sides = graph.add("Add", graph.add("Mul", spread, graph.constant(2.0 * stride)), size)
        scores = graph.add("Sigmoid", self.logits)
        self.predictions = _flat(graph, graph.add("Concat", *centres, sides, scores, axis=1), 4 + nc)
        self.coefficients = _flat(graph, self.coefficient_map, nm)

    def features(self, graph: _Graph) -> str:
        """The feature map of an export of the bare module: bins and logits."""
        return graph.add("Concat", self.bins, self.logits, axis=1)


def _cells(graph: _Graph, picture: str, size: int) -> str:
    return graph.add("AveragePool", picture, kernel_shape=[size, size], strides=[size, size])


def _convolution(
    graph: _Graph, source: str, channels: int, gain: float, rng: np.random.Generator, *, bias: float = 0.0
) -> str:
    weights = rng.normal(0, gain, (channels, 3, 1, 1))
    biases = rng.normal(bias, 0.3, channels)
    return graph.add("Conv", source, graph.constant(weights), graph.constant(biases), kernel_shape=[1, 1])


def _flat(graph: _Graph, source: str, channels: int) -> str:
    return graph.add("Reshape", source, graph.constant([0, channels, -1], np.int64))


def _hide_channels(graph: _Graph, candidates: str, count: int) -> str:
    """The same values through a reshape whose channel count is computed when run, so that nothing can infer it."""
    whole = graph.add("Shape", "images")
    three = graph.add("Gather", whole, graph.constant([1], np.int64))
    channels = graph.add("Add", three, graph.constant([count - 3], np.int64))
    shape = graph.add("Concat", graph.constant([0], np.int64), channels, graph.constant([-1], np.int64), axis=0)
    return graph.add("Reshape", candidates, shape)


def _best_rows(graph: _Graph, candidates: str, nc: int, nm: int, rows: int) -> str:
    """(B, C, N) → (B, rows, 6+nm): x1, y1, x2, y2, score, class, coefficients."""

    def part(source: str, begin: int, end: int) -> str:
        bounds = [graph.constant([value], np.int64) for value in (begin, end, 2)]
        return graph.add("Slice", source, *bounds)

    turned = graph.add("Transpose", candidates, perm=[0, 2, 1])
    scores = graph.add("ReduceMax", part(turned, 4, 4 + nc), axes=[2], keepdims=0)
    graph.nodes.append(
        helper.make_node("TopK", [scores, graph.constant([rows], np.int64)], ["top", "top_index"], axis=1)
    )
    index = graph.add("Unsqueeze", "top_index", graph.constant([2], np.int64))
    chosen = graph.add("GatherND", turned, index, batch_dims=1)
    half = graph.add("Mul", part(chosen, 2, 4), graph.constant(0.5))
    corners = [graph.add(operator, part(chosen, 0, 2), half) for operator in ("Sub", "Add")]
    classes = graph.add("Cast", graph.add("ArgMax", part(chosen, 4, 4 + nc), axis=2, keepdims=1), to=TensorProto.FLOAT)
    score = graph.add("Unsqueeze", "top", graph.constant([2], np.int64))
    full = graph.add("Concat", *corners, score, classes, part(chosen, 4 + nc, 4 + nc + nm), axis=2)
    good = graph.add("Cast", graph.add("Greater", score, graph.constant(0.25)), to=TensorProto.FLOAT)
    return graph.add("Mul", full, good)


def _of_the_first(graph: _Graph, rows: str, count: int) -> str:
    """The same rows, zero but for the first photos of a batch."""
    ones = graph.add("Exp", graph.add("Mul", graph.add("ReduceMean", rows, axes=[1, 2]), graph.constant(0.0)))
    place = graph.add("CumSum", ones, graph.constant(0, np.int64))
    return graph.add("Mul", rows, graph.add("Cast", graph.add("Less", place, graph.constant(count + 0.5)), to=1))


def known(
    boxes_xywh: object,
    scores: object,
    coefficients: object,
    prototypes: object,
    *,
    transposed: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A network that finds the same in every picture: what it is told to.

    The batch is dynamic; the input is fixed at four times the prototypes' size.

    Args:
        boxes_xywh: (N, 4) cx, cy, w, h in input pixels.
        scores: (N,) or (N, nc), 0 to 1.
        coefficients: (N, nm).
        prototypes: (nm, h, w).
        transposed: Candidates as (B, N, 4 + nc + nm).
        metadata: Written into the file.
    """
    per_class = np.asarray(scores)
    if per_class.ndim == 1:
        per_class = per_class[:, None]
    parts = [np.asarray(part, np.float32) for part in (boxes_xywh, per_class, coefficients)]
    candidates = np.concatenate(parts, axis=1)
    planes = np.asarray(prototypes, np.float32)
    nm, h, w = planes.shape
    graph = _Graph()
    zero = graph.add("Mul", graph.add("ReduceMean", "images", axes=[1, 2, 3], keepdims=1), graph.constant(0.0))
    flat_zero = graph.add("Squeeze", zero, graph.constant([3], np.int64))
    held = candidates if transposed else candidates.T
    graph.add("Add", flat_zero, graph.constant(held[None]), output="output0")
    graph.add("Add", zero, graph.constant(planes[None]), output="output1")
    kind = TensorProto.FLOAT
    return graph.save(
        {"images": (kind, ("batch", 3, 4 * h, 4 * w))},
        {
            "output0": (kind, ("batch", *held.shape)),
            "output1": (kind, ("batch", nm, h, w)),
        },
        metadata,
    )


def bright_object() -> bytes:
    """A network that finds what is brighter than half: one object, score 0.9, however many islands; sizes are dynamic.

    Its box is the first and the last bright row and column of the input, its mask the mean brightness of cells of 4.
    """
    graph = _Graph()
    half = graph.constant(0.5)
    grey = graph.add("ReduceMean", "images", axes=[1], keepdims=1)
    bright = graph.add("Cast", graph.add("Greater", grey, half), to=TensorProto.FLOAT)
    edges = []
    for across, along in ((2, 3), (3, 2)):
        seen = graph.add("ReduceMax", bright, axes=[across], keepdims=1)
        first, last = (graph.add("ArgMax", seen, axis=along, keepdims=1, select_last_index=side) for side in (0, 1))
        low, high = (graph.add("Cast", edge, to=TensorProto.FLOAT) for edge in (first, last))
        edges.append((low, graph.add("Add", high, graph.constant(1.0))))
    middles = [graph.add("Mul", graph.add("Add", *pair), half) for pair in edges]
    sides = [graph.add("Sub", high, low) for low, high in edges]
    there = graph.add("ReduceMax", bright, axes=[2, 3], keepdims=1)
    score = graph.add("Mul", there, graph.constant(0.9))
    joined = graph.add("Concat", *middles, *sides, score, graph.add("Add", score, half), axis=1)
    graph.add("Squeeze", joined, graph.constant([3], np.int64), output="output0")
    graph.add("Sub", _cells(graph, grey, 4), half, output="output1")
    kind = TensorProto.FLOAT
    return graph.save(
        {"images": (kind, ("batch", 3, "height", "width"))},
        {"output0": (kind, ("batch", 6, 1)), "output1": (kind, ("batch", 1, "height/4", "width/4"))},
        None,
    )


def constant(
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, tuple[int, ...]],
    *,
    input_kind: int = TensorProto.FLOAT,
    output_kind: int = TensorProto.FLOAT,
    value: float = 0,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A file with any inputs and outputs; the inputs are ignored, the outputs are `value`."""
    graph = _Graph()
    dtype = helper.tensor_dtype_to_np_dtype(output_kind)
    for name, shape in outputs.items():
        graph.add("Identity", graph.constant(np.full(shape, value), dtype), output=name)
    return graph.save(
        {name: (input_kind, shape) for name, shape in inputs.items()},
        {name: (output_kind, shape) for name, shape in outputs.items()},
        metadata,
    )


def toy_decoder(maps: int = 1 + 3 + 2, colour: int = 0) -> bytes:
    """A decoder that answers with what is red (or 1: green) in its view, and promises the more the more of it is."""
    graph = _Graph()
    bright = graph.add("Gather", "photo", graph.constant(colour, np.int64), axis=1)
    level = graph.add("Sub", bright, graph.constant(0.5))
    graph.add("Mul", level, graph.constant(10.0), output="logits")
    graph.add("ReduceMean", "logits", axes=[1, 2], keepdims=0, output="promise")
    photo: tuple[int, Shape] = (TensorProto.FLOAT, ("batch", 3, 96, 96))
    return graph.save(
        {"photo": photo, "maps": (TensorProto.FLOAT, ("batch", maps, 48, 48))},
        {"logits": (TensorProto.FLOAT, ("batch", 96, 96)), "promise": (TensorProto.FLOAT, ("batch",))},
        None,
    )
