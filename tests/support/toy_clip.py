"""A CLIP of a few kilobytes that means something: pictures and colour words land in one space.

The image encoder averages the normalised pixels; the text encoder adds up the colours of the words, reading from left
to right, and takes the sum at the first end token, as CLIP does. A picture of a red thing on CLIP's mean colour and the
text "a red dog" so point the same way. The tokenizer is of CLIP's kind, with the words below.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from support.tiny_onnx import _Graph

from fastsam_onnx import Mask
from fastsam_onnx.clip.preprocessing import MEAN, STD
from fastsam_onnx.clip.tokens import tokenizer_of_merges

COLOURS = {
    "green": (20, 180, 20),  # before red, or its "re" would be merged first and the word fall apart
    "red": (220, 20, 20),
    "blue": (30, 30, 230),
    "yellow": (230, 220, 20),
    "purple": (150, 20, 170),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}
OTHER_WORDS = ("a", "the", "photo", "of", "dog", "thing", "and")
SIDE = 32
BIAS = 0.01
FLOAT, HALF, INT64, INT32, UINT8, BOOL = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.UINT8,
    TensorProto.BOOL,
)


def bands(colours: Sequence[str]) -> tuple[np.ndarray, list[Mask]]:
    """A grey photo, 60 pixels wide, with bands of colours, 40 x 18 pixels each, one every 20 rows, and their masks."""
    height = 20 * len(colours)
    photo = np.full((height, 60, 3), 128, np.uint8)
    masks = [Mask(np.ones((18, 40), bool), 10, 20 * row + 1, (60, height)) for row in range(len(colours))]
    for mask, colour in zip(masks, colours, strict=True):
        photo[mask.slices] = COLOURS[colour]
    return photo, masks


def merges() -> list[tuple[str, str]]:
    """Every word grows from its first letter to its last."""
    pairs: dict[tuple[str, str], None] = {}
    for word in (*COLOURS, *OTHER_WORDS):
        symbols = [*word[:-1], f"{word[-1]}</w>"]
        for end in range(1, len(symbols)):
            pairs["".join(symbols[:end]), symbols[end]] = None
    return list(pairs)


def direction(colour: Sequence[int]) -> np.ndarray:
    """(4,) where the image encoder puts a picture of one colour: the normalised colour and the bias."""
    return np.array([*(np.array(colour) / 255 - MEAN) / STD, BIAS])


def write(
    folder: Path,
    *,
    layout: str = "split",
    batch: int | None = None,
    length: int | None = None,
    ids_kind: int = INT64,
    pixels_kind: int = FLOAT,
    mask: bool = False,
    normalised: bool = False,
    projected: bool = True,
    text_width: int = 4,
    names: tuple[str, str] = ("image_embeds", "text_embeds"),
    dynamic: bool = False,
    mask_kind: int | None = None,
) -> Path:
    """Write the files of a CLIP to a new folder.

    Args:
        folder: To be made.
        layout: "split" (vision_model.onnx and text_model.onnx), "onnx folder" (the same in a folder onnx), "immich"
            (visual/model.onnx and textual/model.onnx), "single" (model.onnx is both, and compares).
        batch: Fixed, None for any.
        length: Of the ids, None for any.
        ids_kind: int64 or int32.
        pixels_kind: float32, float16, or uint8 NHWC with the normalisation inside.
        mask: The text encoder wants an attention mask, and sums what it allows.
        mask_kind: Type of the mask, that of the ids by default.
        normalised: Vectors have length 1.
        projected: Else the outputs are last_hidden_state and pooler_output.
        text_width: Of the texts' vectors; 4 fits.
        names: Of the outputs.
        dynamic: Vectors are rounded to the 256 steps of what all vectors of a run span; of separate files.
    """
    vision, text = ("vision_model.onnx", "text_model.onnx")
    if layout == "onnx folder":
        vision, text = f"onnx/{vision}", f"onnx/{text}"
    elif layout == "immich":
        vision, text = "visual/model.onnx", "textual/model.onnx"
    image_half = _image_half(batch, pixels_kind, normalised)
    text_half = _text_half(
        batch=batch,
        length=length,
        kind=ids_kind,
        mask_kind=(mask_kind or ids_kind) if mask else None,
        normalised=normalised,
        width=text_width,
    )
    outputs = names if projected else ("pooler_output", "pooler_output")
    if layout == "single":
        files = {"model.onnx": _both(image_half, text_half, names)}
    else:
        files = {vision: _alone(image_half, outputs[0], dynamic), text: _alone(text_half, outputs[1], dynamic)}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    place = folder / "textual" if layout == "immich" else folder
    tokenizer_of_merges(merges()).save(str(place / "tokenizer.json"))
    return folder


def write_settings(folder: Path, **settings: Any) -> None:
    """Write preprocessor_config.json."""
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")


Ports = dict[str, tuple[int, Sequence[int | str]]]
Part = tuple[_Graph, Ports, str, int]
"""A graph, its inputs, the name of its vectors, their width."""


def _image_half(batch: int | None, kind: int, normalised: bool, graph: _Graph | None = None) -> Part:
    graph = graph or _Graph()
    inside = kind == UINT8
    shape = (batch or "batch", SIDE, SIDE, 3) if inside else (batch or "batch", 3, SIDE, SIDE)
    pixels = graph.add("Cast", "pixel_values", to=FLOAT)
    means = graph.add("ReduceMean", pixels, axes=[1, 2] if inside else [2, 3], keepdims=0)
    if inside:
        share = graph.add("Mul", means, graph.constant(1 / 255))
        means = graph.add("Div", graph.add("Sub", share, graph.constant(MEAN)), graph.constant(STD))
    turn = np.zeros((3, 4))
    turn[:, :3] = np.eye(3)
    vectors = graph.add("Add", graph.add("MatMul", means, graph.constant(turn)), graph.constant([0, 0, 0, BIAS]))
    return graph, {"pixel_values": (kind, shape)}, _unit(graph, vectors, normalised), 4


def _text_half(
    *,
    batch: int | None,
    length: int | None,
    kind: int,
    mask_kind: int | None,
    normalised: bool,
    width: int,
    graph: _Graph | None = None,
) -> Part:
    graph = graph or _Graph()
    ports: Ports = {"input_ids": (kind, (batch or "texts", length or "length"))}
    vectors = graph.add("Gather", graph.constant(_table(width)), graph.add("Cast", "input_ids", to=INT64))
    if mask_kind is not None:
        ports["attention_mask"] = (mask_kind, ports["input_ids"][1])
        allowed = graph.add("Cast", "attention_mask", to=FLOAT)
        vectors = graph.add("Mul", vectors, graph.add("Unsqueeze", allowed, graph.constant([2], np.int64)))
    so_far = graph.add("CumSum", vectors, graph.constant(1, np.int64))
    end = graph.add("ArgMax", graph.add("Cast", "input_ids", to=INT32), axis=1, keepdims=1)
    return graph, ports, _unit(graph, graph.add("GatherND", so_far, end, batch_dims=1), normalised), width


def _table(width: int) -> np.ndarray:
    """(ids, width): colours at the ids of their words, the bias at the start's, something odd at the end's."""
    tokenizer = tokenizer_of_merges(merges())
    table = np.zeros((tokenizer.get_vocab_size(), width))
    for word, colour in COLOURS.items():
        table[tokenizer.token_to_id(f"{word}</w>")] = np.resize(direction(colour), width)
    table[-2, 3] = BIAS
    return table


def _unit(graph: _Graph, vectors: str, normalised: bool) -> str:
    return graph.add("LpNormalization", vectors, axis=1, p=2) if normalised else vectors


def _alone(part: Part, output: str, dynamic: bool) -> bytes:
    graph, ports, vectors, width = part
    if dynamic:
        steps = ["steps", "step", "zero"]
        graph.nodes.append(helper.make_node("DynamicQuantizeLinear", [vectors], steps))
        vectors = graph.add("DequantizeLinear", *steps)
    graph.add("Identity", vectors, output=output)
    batch = next(iter(ports.values()))[1][0]
    return graph.save(ports, {output: (FLOAT, (batch, width))}, None)


def _both(image: Part, text: Part, names: tuple[str, str]) -> bytes:
    """One graph with both halves and the comparison."""
    graph = _Graph()
    _, pixels, image_vectors, width = _image_half(None, image[1]["pixel_values"][0], False, graph)
    kind, (_, length) = text[1]["input_ids"]
    fixed = length if isinstance(length, int) else None
    mask_kind = text[1]["attention_mask"][0] if "attention_mask" in text[1] else None
    _, ids, text_vectors, _ = _text_half(
        batch=None, length=fixed, kind=kind, mask_kind=mask_kind, normalised=False, width=width, graph=graph
    )
    graph.add("Identity", image_vectors, output=names[0])
    graph.add("Identity", text_vectors, output=names[1])
    turned = graph.add("Transpose", text_vectors, perm=[1, 0])
    graph.add("MatMul", image_vectors, turned, output="logits_per_image")
    outputs = {
        names[0]: (FLOAT, ("batch", width)),
        names[1]: (FLOAT, ("texts", width)),
        "logits_per_image": (FLOAT, ("batch", "texts")),
    }
    return graph.save(ids | pixels, outputs, None)
