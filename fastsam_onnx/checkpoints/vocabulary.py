"""Heads of YOLOE: texts that have become weights, and a vocabulary of thousands of names that needs no prompt.

Wang et al. 2025, https://arxiv.org/abs/2503.07465: re-parameterised text prompts (section 3.2), and lazy prompt-free
contrast (section 3.4), where a layer tells cells with an object from the others.
"""

from __future__ import annotations

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.convolutions import linear
from fastsam_onnx.checkpoints.layers import Layer

DEFAULT_CONF = 0.001
"""Score of an object's cell at least, if the checkpoint does not say."""


def check_texts(builder: Builder, layer: Layer) -> None:
    """Refuse a head that still needs a text model.

    Raises:
        ModelError: If it does.
    """
    if not layer.flag("is_fused", default=False):
        raise builder.refusal(
            f"{layer.name} is a {layer.kind} whose classes are not set, so it needs a text model: set them with "
            "set_classes() first"
        )
    for name in ("savpe.", "cv4.", "one2one_cv4.", "reprta."):
        builder.unused(f"{layer.name}.{name}")


def with_vocabulary(
    builder: Builder, sides: FeatureMap, scores: FeatureMap, layer: Layer, index: int
) -> tuple[FeatureMap, FeatureMap, str | None]:
    """Logits of boxes and of the vocabulary's names, and 1 at cells that may have an object, else 0 (None: all may)."""
    level = layer.child("lrpc").child(str(index))
    made = builder.draw(sides, level.child("loc"))
    vocabulary = level.child("vocab")
    objects = None
    if level.flag("enabled"):
        names = linear(builder, scores, vocabulary)
        writer, likely = builder.writer, builder.draw(scores, level.child("pf"))
        conf = layer.number("conf") if "conf" in layer.attributes else DEFAULT_CONF
        passed = writer.add("Greater", writer.add("Sigmoid", likely.name), writer.constant(conf))
        objects = writer.add("Cast", passed, to=1)
    else:
        names = builder.draw(scores, vocabulary)
        builder.unused(f"{level.name}.pf.")
    return made, names, objects
