"""Makes the file of the small network compute in int8 where that is faster, and notes it in the manifest beside it.

    python -m tools.train.integer weights/fastsam-small.onnx --data DATA

Two kinds of nodes become integer: the products of the encoder's attention, whose results stay float32, so that what
follows is what it was; and the convolutions behind the encoder, from bytes to bytes, by the package's own `quantize`.
Both are calibrated on training photos; weights of 7 bits are right on every processor. The other weights stay as they
are stored. The file comes from ``export --stored int8``; what it holds besides (decoder, defaults) stays in it. Where
the encoder did not learn on, ``--encoder-of FILE`` takes the integers of its products from the file that it came from:
rounded once more they would move away from what they stand for.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from fastsam_onnx import FastSAM
from fastsam_onnx.files import write_file
from fastsam_onnx.quantize import calibration, qdq
from fastsam_onnx.quantize.byte_moves import with_byte_moves
from fastsam_onnx.quantize.links import copied, drop_unused
from fastsam_onnx.quantize.patches import PatchCovariances
from fastsam_onnx.quantize.pictures import network_inputs
from fastsam_onnx.quantize.qdq import SMALLEST_STEP
from fastsam_onnx.quantize.rounding import Rounder, rounded
from fastsam_onnx.quantize.scales import scale_of, zero_of
from fastsam_onnx.runtime import QUANTIZATION

from .data import load_training
from .manifest import note
from .reopen import constants

PHOTOS = 48
BITS = 7
WEIGHTS = (
    f"int8 (QDQ, {BITS} bits, per channel): products of the encoder and all behind it; the encoder's convolutions int8 "
    "per channel, made float32 when opened; small ones float16; batch norms folded"
)
ROWS = 256  # of each product's first factor that are looked at, a photo

Runs = Sequence[Mapping[str, np.ndarray]]
Rounded = tuple[np.ndarray, np.ndarray]


@dataclass
class Seen:
    """What the first factor of a product was."""

    low: float = np.inf
    high: float = -np.inf
    count: int = 0
    sum: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Looks at (n, k)."""
        self.low, self.high = min(self.low, float(rows.min())), max(self.high, float(rows.max()))
        some = rows[rng.integers(0, len(rows), ROWS)].astype(np.float64)
        self.count += ROWS
        self.sum = self.sum + some.sum(axis=0)
        self.squares = self.squares + some.T @ some

    @property
    def mean(self) -> np.ndarray:
        """(k,)."""
        return np.asarray(self.sum / self.count)

    @property
    def covariance(self) -> np.ndarray:
        """(1, k, k)."""
        return np.asarray(self.squares / self.count - np.outer(self.mean, self.mean))[None]


class SharedRounder(Rounder):
    """Rounds weights that levels of the head share once for all: of what each does to a channel only the step knows."""

    def __init__(self, covariances: Mapping[str, np.ndarray], stored: Mapping[str, str]) -> None:
        """``stored``: the name of the weights in the file, by the node's."""
        groups: dict[str, list[np.ndarray]] = {}
        for name, covariance in covariances.items():
            groups.setdefault(stored.get(name, name), []).append(covariance)
        super().__init__({group: np.mean(values, axis=0) for group, values in groups.items()})
        self.stored = stored
        self.done: dict[str, np.ndarray] = {}

    def __call__(self, name: str, weights: np.ndarray, step: np.ndarray, limit: int) -> np.ndarray:
        group = self.stored.get(name, name)
        if group not in self.done:
            self.done[group] = super().__call__(group, weights, step, limit)
        whole = self.done[group]
        if ((whole * weights).sum(axis=(1, 2, 3)) < 0).any():
            raise SystemExit(f"{name}: its level turns the sign of a channel, so that it cannot share {group}")
        return whole


def stored_weights(graph: onnx.GraphProto) -> dict[str, str]:
    """The initializers of int8 that nodes take their weights from, by the nodes' names."""
    made = {node.output[0]: node for node in graph.node}
    found = {}
    for node in graph.node:
        source = made.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        while source is not None and source.op_type in ("Mul", "Cast"):
            found[node.name] = source.input[0]
            source = made.get(source.input[0])
    return found


def integer_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the encoder's products, where stored in int8, and of the convolutions behind its last norm."""
    stored = stored_weights(graph)
    products = [node.name for node in graph.node if node.op_type == "Gemm" and node.name in stored]
    if not products:
        raise SystemExit("no product has weights that are stored in int8: not the small network, or integer already")
    last = max(place for place, node in enumerate(graph.node) if node.op_type == "LayerNormalization")
    return products + [node.name for node in graph.node[last:] if node.op_type == "Conv"]


def unpacked(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """The network with the weights of some nodes in float32."""
    made = copied(model)
    found = constants(made.graph)
    for node in made.graph.node:
        if node.name not in names:
            continue
        weight = found[node.name][0]
        node.input[1] = f"{node.name}_exact"
        values = np.ascontiguousarray(weight.T if node.op_type == "Gemm" else weight, np.float32)
        made.graph.initializer.append(numpy_helper.from_array(values, node.input[1]))
    drop_unpacking(made.graph)
    return made


def drop_unpacking(graph: onnx.GraphProto) -> None:
    """Takes away the nodes that nothing takes any more, and their constants."""
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        kept = [node for node in graph.node if used.intersection(node.output)]
        if len(kept) == len(graph.node):
            return drop_unused(graph)
        del graph.node[:]
        graph.node.extend(kept)


def observe_products(model: onnx.ModelProto, runs: Runs) -> dict[str, Seen]:
    """What every product's first factor was, by its name."""
    names = sorted({node.input[0] for node in model.graph.node if node.op_type == "Gemm"})
    copy = copied(model)
    copy.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    seen, rng = {name: Seen() for name in names}, np.random.default_rng(0)
    for inputs in runs:
        for name, rows in zip(names, session.run(names, dict(inputs)), strict=True):
            seen[name].add(rows, rng)
    return seen


def check_same(name: str, known: np.ndarray, weight: np.ndarray) -> None:
    """SystemExit if weights that are taken from another file are not those of this network, as far as 8 bits tell."""
    step = np.abs(weight).max(axis=1, keepdims=True) / 127
    if known.shape != weight.shape or (np.abs(known - weight) > step).any():
        raise SystemExit(f"{name} has learned on, or belongs to another network")


def rounded_products(graph: onnx.GraphProto) -> dict[str, Rounded]:
    """The integers (k, n) and steps (k,) of a graph's integer products, by their nodes' names."""
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    found = {}
    for node in graph.node:
        if node.op_type == "Gemm" and (source := made.get(node.input[1])) is not None:
            whole, step = (values[each] for each in source.input[:2])
            found[node.name] = np.ascontiguousarray(whole.T), step
    return found


class Products:
    """The graph whose products become integer."""

    def __init__(self, model: onnx.ModelProto, seen: Mapping[str, Seen], known: Mapping[str, Rounded]) -> None:
        self.model, self.seen, self.known = copied(model), seen, known
        self.values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.paired: set[str] = set()

    def run(self) -> onnx.ModelProto:
        """Each product of bytes, its result in float32."""
        for node in self.model.graph.node:
            if node.op_type == "Gemm" and f"{node.name}_exact" in node.input:
                self.product(node)
            self.nodes.append(node)
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        drop_unused(self.model.graph)
        return self.model

    def product(self, node: onnx.NodeProto) -> None:
        source, weight, bias = node.input[0], self.values[node.input[1]].T, self.values[node.input[2]]
        seen = self.seen[source]
        scale = scale_of(seen.low, seen.high)
        self.pair(source, scale, zero_of(seen.low, scale))
        if self.known:
            whole, step = self.known[node.name]
            check_same(node.name, whole * step[:, None], weight)
        else:
            limit = 2 ** (BITS - 1) - 1
            step = np.maximum(np.abs(weight).max(axis=1) / limit, SMALLEST_STEP).astype(np.float32)
            whole = rounded(weight[:, :, None, None], step, limit, seen.covariance)[:, :, 0, 0]
        offset = bias - (whole * step[:, None] - weight) @ seen.mean  # rounded weights shift the mean
        steps = np.rint(offset / (np.float32(scale) * step).astype(np.float64)).astype(np.int32)
        name = node.name
        self.dequantize(f"{name}_weights", whole.T, step, axis=1)
        self.dequantize(f"{name}_bias", steps, np.float32(scale) * step, axis=0)
        del node.input[:]
        node.input.extend([f"{source}_bytes", f"{name}_weights", f"{name}_bias"])

    def pair(self, source: str, scale: float, zero: int) -> None:
        """The activation as bytes, once."""
        if source in self.paired:
            return
        self.paired.add(source)
        values: dict[str, np.ndarray] = {"scale": np.array(scale, np.float32), "zero": np.array(zero, np.uint8)}
        step = [self.constant(f"{source}_{name}", value) for name, value in values.items()]
        for operator, taken, given in (("Quantize", source, "q"), ("Dequantize", f"{source}_q", "bytes")):
            name = f"{source}_{given}"
            self.nodes.append(helper.make_node(f"{operator}Linear", [taken, *step], [name], name=name))

    def dequantize(self, name: str, values: np.ndarray, step: np.ndarray, axis: int) -> None:
        parts = {"q": values, "scale": step, "zero": np.zeros(step.shape, values.dtype)}  # all are asked for
        inputs = [self.constant(f"{name}_{part}", array) for part, array in parts.items()]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}_dequantize", axis=axis))

    def constant(self, name: str, values: np.ndarray) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def integer(model: onnx.ModelProto, runs: Runs, encoder: onnx.GraphProto | None = None) -> onnx.ModelProto:
    """The network with integer products and convolutions, calibrated on runs; ``encoder``: whose products it has."""
    stored, names = stored_weights(model.graph), integer_nodes(model.graph)
    last = qdq.last_convolutions(unpacked(model, names))  # they decide over boxes, scores and masks
    exact = unpacked(model, set(names).difference(last))
    plan = qdq.make_plan(exact)
    patches = PatchCovariances(exact, plan.nodes)
    seen = calibration.observe_activations(exact, plan.tensors, runs, patches=patches)
    products = observe_products(exact, runs)
    rounder = SharedRounder(patches.result(), stored)
    made = qdq.quantized(exact, plan, seen, bits=BITS, rounder=rounder)
    known = {} if encoder is None else rounded_products(encoder)
    made = with_byte_moves(Products(made, products, known).run())
    share(made.graph)
    made.metadata_props.add(key=QUANTIZATION, value=f"int8 QDQ, {BITS}-bit weights, encoder's convolutions in float")
    return made


def share(graph: onnx.GraphProto) -> None:
    """Stores equal constants once."""
    first: dict[bytes, str] = {}
    names = {}
    for each in graph.initializer:
        content = onnx.TensorProto()
        content.CopyFrom(each)
        content.name = ""
        names[each.name] = first.setdefault(content.SerializeToString(), each.name)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    drop_unused(graph)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the network's file, which is rewritten; its manifest lies beside it")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_labelled")
    parser.add_argument("--encoder-of", type=Path, metavar="FILE", help="the integer file whose encoder it has")
    options = parser.parse_args()
    model, encoder = onnx.load(options.model), options.encoder_of and onnx.load(options.encoder_of).graph
    photos = [photo.pixels for photo in load_training(options.data / "train_labelled", PHOTOS)]
    with FastSAM(options.model) as reference:
        name = model.graph.input[0].name
        runs = [{name: tensor} for tensor in network_inputs(reference, photos, lambda *_: None)]
    data = integer(model, runs, encoder).SerializeToString()
    write_file(options.model, [data])
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    note(options.model.with_suffix(".json"), data, date=today, weights=WEIGHTS)
    print(f"{options.model}: {len(data)} bytes")


if __name__ == "__main__":
    main()
