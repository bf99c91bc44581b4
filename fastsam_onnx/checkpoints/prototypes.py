"""Prototypes: masks from which all masks are mixed (YOLACT, Bolya et al. 2019, https://arxiv.org/abs/1904.02689)."""

from __future__ import annotations

from collections.abc import Sequence

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.subpixel import fits, subpixel_prototypes


def prototypes(builder: Builder, levels: Sequence[FeatureMap], layer: Layer) -> FeatureMap:
    """Twice as large as the finest map. Those of YOLO26 see the coarser maps too."""
    made = levels[0]
    if layer.kind == "Proto26":
        made = _fused(builder, levels, layer)
    else:
        layer.must_be_kind("Proto")
    if not builder.plain and fits(layer):
        return subpixel_prototypes(builder, made, layer)
    for name in ("cv1", "upsample", "cv2", "cv3"):
        made = builder.draw(made, layer.child(name))
    return made


def _fused(builder: Builder, levels: Sequence[FeatureMap], layer: Layer) -> FeatureMap:
    """The finest map and, made as large as it, what 1x1 convolutions make of the others."""
    made, others = levels[0], layer.child("feat_refine").children.values()
    if len(others) != len(levels) - 1:
        raise builder.refusal(f"{layer.name}.feat_refine must have {len(levels) - 1} layers, got {len(others)}")
    for level, refine in zip(levels[1:], others, strict=True):
        larger = builder.enlarge(builder.draw(level, refine), made.stride, refine)
        made = builder.add(made, larger, refine)
    builder.unused(f"{layer.name}.semseg.")  # an aid of training
    return builder.draw(made, layer.child("feat_fuse"))
