"""Puts the decoder's averaged weights into the file of its network.

    python -m tools.train.decoder.export weights/fastsam-nano.onnx ../runs/decoder/state.pt --data DATA

It travels in the file's metadata, as text: a network and the decoder that knows its prototypes never part. It is
computed in int8, by the package's own `quantize`, calibrated on prompts about training photos; weights of 7 bits are
right on every processor. What looks at the photo and at the maps stays in float, for their ranges differ a hundred
times, and so does what draws the mask. Of several states, each begun where the one before ended, the mean is taken:
it draws calmer than either (Wortsman 2022, "Model soups"). A network's file is such a state, too.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper

from fastsam_onnx import FastSAM
from fastsam_onnx.files import write_file
from fastsam_onnx.masks.decoder_file import CORRECTOR_KEY, KEY, file_of, text_of
from fastsam_onnx.masks.views import COARSE, SIDE
from fastsam_onnx.quantize import calibration, qdq
from fastsam_onnx.quantize.byte_moves import with_byte_moves
from fastsam_onnx.quantize.patches import PatchCovariances
from fastsam_onnx.quantize.rounding import Rounder
from fastsam_onnx.runtime import QUANTIZATION

from ..graph import enlarge
from ..manifest import note
from ..network import ConvNorm
from ..nodes import Columns, Graph, Rows, conv_norm, prediction
from ..reopen import constants, fill, neutral
from ..train import is_network_file
from .data import Prompt, Prompts, load_scenes
from .network import MAPS, STEM, Decoder, Residual, Up, blocks_of

MOST_APART = 1e-3  # of logits, from PyTorch
SCENES = 60  # photos that are asked about
CALIBRATED, MEASURED = 240, 120  # prompts
BITS = 7
BLOCKS_KEY = "blocks"  # of the decoder's own metadata


def load_mean(states: Sequence[dict[str, Any]]) -> Decoder:
    """The averaged decoder of training states; of several their mean."""
    values = [state["mean"] for state in states]
    network = Decoder(blocks_of(values[0]))
    network.load_state_dict({name: sum(each[name] for each in values) / len(values) for name in values[0]})
    return network.eval()


@torch.no_grad()
def fold_levels(network: Decoder) -> Decoder:
    """The same with its inputs' levels in the first convolution of the maps."""
    level, join = network.level, network.join
    scale = torch.rsqrt(level.running_var + level.eps)
    weight, bias = join.folded()
    maps = weight[:, -MAPS:, 0, 0]
    bias = bias - maps @ (level.running_mean * scale)
    weight[:, -MAPS:, 0, 0] = maps * scale
    join.conv.weight.copy_(weight)
    join.norm.weight.fill_(1)
    join.norm.bias.copy_(bias)
    neutral(join.norm)
    neutral(level)
    return network


def block(graph: Graph, x: str, module: Residual) -> str:
    return graph.add("Relu", graph.add("Add", x, conv_norm(graph, conv_norm(graph, x, module.first), module.second)))


def up(graph: Graph, coarse: str, fine: str, module: Up) -> str:
    return block(graph, graph.add("Add", fine, enlarge(graph, conv_norm(graph, coarse, module.narrow))), module.block)


def linear(graph: Graph, x: str, module: torch.nn.Linear) -> str:
    weight, bias = (part.detach().numpy() for part in (module.weight, module.bias))
    x = graph.add("Gemm", x, graph.weight(weight), graph.bias(bias), transB=1)
    graph.layers[x] = module
    return x


def mean_of(graph: Graph, x: str) -> str:
    return graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)


def join(graph: Graph, photo: str, maps: str, layer: ConvNorm) -> str:
    """The convolution of both, as a sum: to put them side by side takes twice as long as to multiply them."""
    (weight, bias), at = (part.detach().numpy() for part in layer.folded()), STEM
    parts = [graph.add("Conv", photo, graph.weight(weight[:, :at]), kernel_shape=[1, 1])]
    parts += [graph.add("Conv", maps, graph.weight(weight[:, at:]), graph.bias(bias), kernel_shape=[1, 1])]
    graph.layers[parts[0]], graph.layers[parts[1]] = Columns(layer, 0, at), Columns(layer, at, weight.shape[1])
    return graph.add("Relu", graph.add("Add", *parts))


def pixels_first(graph: Graph, x: str, layer: torch.nn.Conv2d) -> str:
    """A convolution before a pixel shuffle, its outputs pixel by pixel: whole pixels move many times as fast."""
    order = torch.arange(len(layer.weight)).reshape(-1, 4).T.flatten()
    weight, bias = (part.detach()[order].numpy() for part in (layer.weight, layer.bias))
    x = graph.add("Conv", x, graph.weight(weight), graph.bias(bias), kernel_shape=[1, 1])
    graph.layers[x] = Rows(layer, order.tolist(), 1.0)
    return x


def build(network: Decoder) -> onnx.ModelProto:
    """The decoder, its levels folded, as a graph of float32."""
    return draw(network).model(
        {"photo": ["batch", 3, SIDE, SIDE], "maps": ["batch", MAPS, COARSE, COARSE]},
        {"logits": ["batch", SIDE, SIDE], "promise": ["batch"]},
        {BLOCKS_KEY: json.dumps(network.blocks)},
    )


def draw(network: Decoder) -> Graph:
    """The nodes of the decoder."""
    graph = Graph("decoder", "float32")
    x = join(graph, conv_norm(graph, "photo", network.stem), "maps", network.join)
    seen = []
    for level, stage in enumerate(network.stages):
        for module in stage:
            x = block(graph, x, module)
        seen.append(x)
        if level < len(network.downs):
            x = conv_norm(graph, x, network.downs[level])
    for module, fine in zip(network.ups, reversed(seen[:-1]), strict=True):
        x = up(graph, x, fine, module)
    spread = graph.add("DepthToSpace", pixels_first(graph, x, network.spread), blocksize=2, mode="DCR")
    joined = graph.add("Concat", graph.add("Relu", spread), conv_norm(graph, "photo", network.detail), axis=1)
    mask = prediction(graph, conv_norm(graph, joined, network.last), network.mask)
    summary = graph.add("Concat", mean_of(graph, seen[-1]), mean_of(graph, x), axis=1)
    promise = linear(graph, graph.add("Relu", linear(graph, summary, network.think)), network.promise)
    graph.rename(graph.add("Squeeze", mask, graph.numbers(1)), "logits")
    graph.rename(graph.add("Squeeze", promise, graph.numbers(1)), "promise")
    return graph


def apart(data: bytes, network: Decoder) -> float:
    """Largest difference between the file and PyTorch."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    photo, maps = (
        rng.random((2, 3, SIDE, SIDE), np.float32),
        rng.normal(0, 2, (2, MAPS, COARSE, COARSE)).astype(np.float32),
    )
    found = session.run(None, {"photo": photo, "maps": maps})
    with torch.no_grad():
        wanted = network(torch.from_numpy(photo), torch.from_numpy(maps))
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=True))


def questions(model: FastSAM, data: Path) -> list[dict[str, np.ndarray]]:
    """Prompts about training photos, as the decoder takes them, the same every time."""
    scenes, weights = load_scenes(data, model, [], SCENES)
    prompts = visited(Prompts(scenes, weights, 1, 0))
    return [{"photo": one.photo[None], "maps": one.maps[None]} for one in prompts]


def visited(maker: Prompts) -> list[Prompt]:
    """Prompts to calibrate on and to measure, the same every time."""
    rng, made = np.random.default_rng(0), list[Prompt]()
    while len(made) < CALIBRATED + MEASURED:
        made += maker.visit(rng)
    return made[: CALIBRATED + MEASURED]


def in_float(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from the photo and the maps to where these are joined, and to the photo's fine edges."""
    widths = {each.name: each.dims[1] for each in graph.initializer if len(each.dims) == 4}
    named, made = [], set[str]()
    for node in graph.node:
        looks = node.op_type == "Conv" and widths[node.input[1]] in (3, STEM, MAPS)
        if looks or (node.op_type in ("Add", "Relu") and made.issuperset(node.input)):
            named.append(node.name)
            made.update(node.output)
    return named


def integer(exact: onnx.ModelProto, asked: list[dict[str, np.ndarray]]) -> bytes:
    """The decoder in int8, calibrated on questions."""
    plan = qdq.make_plan(exact, [*in_float(exact.graph), *qdq.last_convolutions(exact)])
    patches = PatchCovariances(exact, plan.nodes)
    seen = calibration.observe_activations(exact, plan.tensors, asked, patches=patches)
    made = with_byte_moves(qdq.quantized(exact, plan, seen, bits=BITS, rounder=Rounder(patches.result())))
    made.metadata_props.add(key=QUANTIZATION, value=f"int8 QDQ, {BITS}-bit weights")
    return made.SerializeToString()


def in_bytes(network: Decoder, asked: list[dict[str, np.ndarray]]) -> bytes:
    """The decoder in int8, calibrated on the first questions; prints how near it is to PyTorch, on the others.

    Raises:
        SystemExit: If the graph in float32 is not the network.
    """
    exact = build(fold_levels(copy.deepcopy(network)))
    far = apart(exact.SerializeToString(), network)
    if far > MOST_APART:
        raise SystemExit(f"the graph is {far} from PyTorch")
    made = integer(exact, asked[:CALIBRATED])
    overlap, distance = agreement(exact.SerializeToString(), made, asked[CALIBRATED:])
    print(
        f"float32 graph {far:.1e} from PyTorch; int8: masks have an IoU of {overlap:.4f}, promises {distance:.4f} away"
    )
    return made


def origin(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of weights from these states."""
    trainings = [training for state in states for training in state["trainings"]]
    return {"trainings": trainings, "device": "cpu", "weights": f"int8 (QDQ, {BITS} bits, per channel)"}


def agreement(exact: bytes, made: bytes, asked: list[dict[str, np.ndarray]]) -> tuple[float, float]:
    """Mean IoU of the masks of two decoders, and the mean distance of their promises."""
    options = {"providers": ["CPUExecutionProvider"]}
    one, other = (onnxruntime.InferenceSession(data, **options) for data in (exact, made))
    overlaps, apart = [], []
    for inputs in asked:
        (first, promise), (second, other_promise) = one.run(None, inputs), other.run(None, inputs)
        overlaps.append(((first > 0) & (second > 0)).sum() / max(((first > 0) | (second > 0)).sum(), 1))
        apart.append(abs(1 / (1 + np.exp(-promise)) - 1 / (1 + np.exp(-other_promise))).mean())
    return float(np.mean(overlaps)), float(np.mean(apart))


def metadata(path: Path) -> dict[str, str]:
    """What a file's metadata say."""
    return {prop.key: prop.value for prop in onnx.load(path).metadata_props}


def stored(path: Path) -> str:
    """The decoder in the metadata of a network's file, see `fastsam_onnx.masks.decoder_file`.

    Raises:
        SystemExit: If the file has none.
    """
    if KEY not in (about := metadata(path)):
        raise SystemExit(f"{path} has no decoder")
    return about[KEY]


def reopened(path: Path) -> Decoder:
    """The decoder of a network's file, to learn on; its batch norms, folded in, must keep their statistics.

    Raises:
        SystemExit: If the file has none, or one of before 28 November, whose graph was another.
    """
    return of_file(file_of(stored(path)), path)


def of_file(file: bytes, path: Path) -> Decoder:
    """The decoder, or the corrector, of an ONNX file's bytes, which stand in a network's file.

    Raises:
        SystemExit: If it is of before 28 November, whose graph was another.
    """
    decoder = onnx.load_from_string(file)
    about = {prop.key: prop.value for prop in decoder.metadata_props}
    if BLOCKS_KEY not in about:
        raise SystemExit(
            f"{path} has a decoder that does not state its blocks: read it with the code of its own commit"
        )
    network = Decoder(json.loads(about[BLOCKS_KEY])).eval()
    fill(draw(network).layers, constants(decoder.graph))
    return network


def put(path: Path, decoder: bytes, change: str | None = None) -> bytes:
    """Writes a decoder, and what makes its corrector of it, into the file of its network; returns the file."""
    model = onnx.load(path)
    props = {prop.key: prop.value for prop in model.metadata_props}
    props[KEY] = text_of(decoder)
    props.pop(CORRECTOR_KEY, None)
    if change is not None:
        props[CORRECTOR_KEY] = change
    del model.metadata_props[:]
    helper.set_model_props(model, props)
    data = model.SerializeToString()
    write_file(path, [data])
    return data


def read_state(path: Path) -> dict[str, Any]:
    """The averaged decoder of a training, or that of a file, with the trainings behind it."""
    if is_network_file(path):
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["decoder"]
        return {"mean": reopened(path).state_dict(), "trainings": about["trainings"]}
    state = torch.load(path, map_location="cpu", weights_only=True)
    trained = {"steps": state["step"], "minutes": round(state["spent"] / 60, 1)}
    start = Path(state["options"]["start"])
    if is_network_file(start):
        trained["start"] = start.name
    return {"mean": state["mean"], "trainings": [trained]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the network's file, which is rewritten; its manifest lies beside it")
    parser.add_argument(
        "states", type=Path, nargs="+", help="state.pt of a training, or of several in a row; a file with a decoder"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of train_labelled")
    options = parser.parse_args()
    states = [read_state(path) for path in options.states]
    network = load_mean(states)
    with FastSAM(options.model) as model:
        asked = questions(model, options.data)
    decoder = in_bytes(network, asked)
    data = put(options.model, decoder)
    parameters = sum(each.numel() for each in network.parameters())
    about = {**origin(states), "parameters": parameters, "bytes": len(decoder)}
    note(options.model.with_suffix(".json"), data, decoder=about)
    print(f"decoder {len(decoder)} bytes, with its network {len(data)}")


if __name__ == "__main__":
    main()
