"""Masks while you click in CVAT, or of every object of a task: an AI function of CVAT that needs no GPU.

    pip install fastsam-onnx cvat-cli
    cvat-cli function create-native "FastSAM" --function-file examples/cvat_function.py
    cvat-cli function run-agent ID --function-file examples/cvat_function.py
    cvat-cli task auto-annotate TASK --function-file examples/cvat_function.py -p kind=str:detector

docs/annotation.md says more.
"""

from __future__ import annotations

from collections.abc import Sequence

import cvat_sdk.auto_annotation as cvataa
import PIL.Image
from cvat_sdk import models
from cvat_sdk.masks import encode_mask

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.formats.rings import ring_with_holes


class Interactor:
    """A box, points, or a box and points in it become the mask of one object."""

    spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, model: FastSAM) -> None:
        self._model = model

    def preprocess_image(self, context: cvataa.InteractionFunctionContext, image: PIL.Image.Image) -> Segmentation:
        """What the network finds, kept by CVAT for the next click."""
        return self._model(image, redraw=False)  # answers are drawn anew, and nobody sees the others

    def detect(
        self, context: cvataa.InteractionFunctionContext, pp_image: Segmentation, prompts: cvataa.InteractionPrompts
    ) -> list[cvataa.InteractionResultShape]:
        """The object that is meant, if there is one."""
        points = [*prompts.pos_points, *prompts.neg_points]
        labels = [1] * len(prompts.pos_points) + [0] * len(prompts.neg_points)
        if prompts.bounding_box is None:
            answer = pp_image.point_prompt(points, labels) if prompts.pos_points else pp_image[:0]
        else:
            x, y = zip(*prompts.bounding_box, *prompts.pos_points, strict=True)  # who clicks beyond it means more
            answer = pp_image.box_prompt((min(x), min(y), max(x), max(y)), points or None, labels or None)
        return [cvataa.InteractionResultShape(type="mask", points=encode_mask(one.dense())) for one in answer.masks]


class Detector:
    """Every object, with the network's classes as labels; without classes all are "object"."""

    def __init__(self, model: FastSAM) -> None:
        self._model = model
        names = model.contract.class_names or {0: "object"}
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(name, index, type="mask") for index, name in names.items()]
        )

    def detect(
        self, context: cvataa.DetectionFunctionContext, image: PIL.Image.Image
    ) -> Sequence[models.LabeledShapeRequest]:
        """The objects as masks, or as polygons if CVAT asks for these."""
        found = self._model(image, conf=context.conf_threshold)
        shapes = []
        for one in found:
            if context.conv_mask_to_poly:
                shapes += [cvataa.polygon(one.label or 0, points) for points in _polygons(one.mask)]
            else:
                shapes.append(cvataa.mask(one.label or 0, encode_mask(one.mask.dense())))
        return shapes


def _polygons(mask: Mask) -> list[list[float]]:
    """One for each part, holes joined to it by cuts of no width: CVAT's polygons know none."""
    return [ring_with_holes(part).ravel().tolist() for part in mask.polygons(tolerance=1)]


def create(kind: str = "interactor", model: str = "fastsam-nano") -> Interactor | Detector:
    """What CVAT asks for.

    Args:
        kind: "interactor" or "detector".
        model: Path or name.
    """
    if kind not in ("interactor", "detector"):
        raise ValueError(f"kind must be interactor or detector, got {kind!r}")
    return Interactor(FastSAM(model)) if kind == "interactor" else Detector(FastSAM(model))
