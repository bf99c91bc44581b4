"""Attention between the cells of a small feature map, and the stages that hold it.

Position-sensitive attention is that of YOLOv10 (Wang et al. 2024, https://arxiv.org/abs/2405.14458, section 3.2), used
by YOLO11 and YOLO26 too: queries and keys are half as wide as values, and a depthwise convolution of the values tells
positions.
"""

from __future__ import annotations

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.convolutions import halves
from fastsam_onnx.checkpoints.layers import Layer


def attention(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Every cell looks at every other, once for each head (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""
    writer = builder.writer
    heads, key, value = (layer.integer(name) for name in ("num_heads", "key_dim", "head_dim"))
    joined = builder.draw(source, layer.child("qkv"))
    if source.channels != heads * value or joined.channels != heads * (2 * key + value):
        raise builder.refusal(
            f"{layer.name} has {heads} heads of {key} and {value} channels, which do not fit {source.channels} and "
            f"{joined.channels} channels"
        )
    cells = writer.add("Reshape", joined.name, writer.constant([0, heads, 2 * key + value, -1], integers=True))
    sizes = writer.constant([key, key, value], integers=True)
    queries, keys, values = writer.add_many("Split", cells, sizes, outputs=3, axis=2)
    looked = attend(builder, queries, keys, values, scale=layer.number("scale"), axes=4)
    size = writer.add("Shape", source.name)
    looked, values = (writer.add("Reshape", name, size) for name in (looked, values))
    placed = builder.draw(source._replace(name=values), layer.child("pe"))
    return builder.draw(builder.add(source._replace(name=looked), placed, layer), layer.child("proj"))


def attend(builder: Builder, queries: str, keys: str, values: str, *, scale: float, axes: int) -> str:
    """(..., channels, cells) each → (..., channels, cells): values weighted by the fit of queries and keys."""
    writer = builder.writer
    order = [*range(axes - 2), axes - 1, axes - 2]
    scaled = writer.add("Mul", queries, writer.constant(scale))
    fit = writer.add("MatMul", writer.add("Transpose", scaled, perm=order), keys)
    weights = writer.add("Softmax", fit, axis=-1)
    return writer.add("MatMul", values, writer.add("Transpose", weights, perm=order))


def psa_block(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Attention and two 1x1 convolutions, each with a shortcut around it or none."""
    shortcut = layer.flag("add")
    for name in ("attn", "ffn"):
        made = builder.draw(source, layer.child(name))
        source = builder.add(source, made, layer) if shortcut else made
    return source


def c2psa(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """One half of the channels goes through attention, the other past it."""
    first, second = halves(builder, source, layer.child("cv1"))
    made = builder.draw(second, layer.child("m"))
    return builder.draw(builder.join(first, made), layer.child("cv2"))


BLOCKS = {"Attention": attention, "PSABlock": psa_block, "C2PSA": c2psa}
