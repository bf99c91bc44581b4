"""Area attention: the map is cut into strips of the same size, and cells look at those of their own strip.

YOLO12, Tian et al. 2025, https://arxiv.org/abs/2502.12524, sections 3.2 and 3.3.
"""

from __future__ import annotations

from fastsam_onnx.checkpoints.attention import attend
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer


def area_attention(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Attention within each area; a depthwise convolution of the values tells positions."""
    writer = builder.writer
    areas, heads, width = (layer.integer(name) for name in ("area", "num_heads", "head_dim"))
    joined = builder.draw(source, layer.child("qkv"))
    if joined.channels != 3 * heads * width:
        raise builder.refusal(
            f"{layer.name} has {heads} heads of {width} channels, which do not fit {joined.channels} channels"
        )
    inner = joined._replace(channels=heads * width)
    cells = writer.add("Reshape", joined.name, writer.constant([0, heads, 3 * width, areas, -1], integers=True))
    sizes = writer.constant([width] * 3, integers=True)
    parts = writer.add_many("Split", cells, sizes, outputs=3, axis=2)
    queries, keys, values = (writer.add("Transpose", part, perm=[0, 3, 1, 2, 4]) for part in parts)
    strips = attend(builder, queries, keys, values, scale=width**-0.5, axes=5)
    looked = writer.add("Transpose", strips, perm=[0, 2, 3, 1, 4])
    grid = writer.add("Shape", joined.name, start=2)
    size = writer.add("Concat", writer.constant([0, heads * width], integers=True), grid, axis=0)
    looked, values = (writer.add("Reshape", name, size) for name in (looked, parts[2]))
    placed = builder.draw(inner._replace(name=values), layer.child("pe"))
    return builder.draw(builder.add(inner._replace(name=looked), placed, layer), layer.child("proj"))


def area_block(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Attention and two 1x1 convolutions, each with a shortcut around it."""
    for name in ("attn", "mlp"):
        source = builder.add(source, builder.draw(source, layer.child(name)), layer)
    return source


def a2c2f(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """All channels go through the blocks, and the results of all of them are joined.

    The larger networks add the source to that, with a weight for each channel (R-ELAN).
    """
    gathered = [builder.draw(source, layer.child("cv1"))]
    for block in layer.child("m").children.values():
        gathered.append(builder.draw(gathered[-1], block))
    made = builder.draw(builder.join(*gathered), layer.child("cv2"))
    gamma = f"{layer.name}.gamma"
    if not builder.has(gamma):
        return made
    shape = (*builder.shape(gamma, (made.channels,)), 1, 1)
    weighted = builder.writer.add("Mul", made.name, builder.parameter(gamma, shape))
    return builder.add(source, made._replace(name=weighted), layer)


BLOCKS = {"AAttn": area_attention, "ABlock": area_block, "A2C2f": a2c2f}
