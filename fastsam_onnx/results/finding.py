"""From the network's answer for one photo to the objects in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray, IntArray
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.detections import Detections, detect
from fastsam_onnx.masks.instances import MaskLike, Masks
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.results.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.decoder import Decoder
    from fastsam_onnx.network.contract import Contract
    from fastsam_onnx.network.letterbox import Letterbox
    from fastsam_onnx.network.outputs import Output
    from fastsam_onnx.options import DetectionOptions

Shown = tuple[FloatArray, Sequence[MaskLike], IntArray]
"""Boxes (n, 4) in pixels of the photo, n masks, and the indices of the detections that they are of."""


def find_objects(
    image: ByteArray,
    letterbox: Letterbox,
    output: Output,
    *,
    contract: Contract,
    options: DetectionOptions,
    clip: Clip | None,
    decoder: Decoder | None,
    speed: Mapping[str, float],
) -> Segmentation:
    """The objects of one photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        letterbox: Place of the photo in the network's input.
        output: The network's answer.
        contract: Form of the network.
        options: Thresholds and rules.
        clip: Encoders for text prompts; None without.
        decoder: Network that draws objects and answers to prompts; None without.
        speed: Seconds of the stages before.
    """
    began = time.perf_counter()
    candidates, prototypes, classes = output
    names = contract.class_names
    detections = detect(
        candidates,
        letterbox,
        labels=classes,
        class_count=contract.class_count,
        conf=options.conf,
        iou=options.iou,
        max_det=options.max_det,
        border_snap=options.border_snap,
        agnostic=options.agnostic or names is None,
    )
    whole = image.shape[1::-1] == letterbox.image_size  # not a smaller copy
    offered = Candidates.from_output(
        candidates,
        prototypes,
        letterbox,
        contract.class_count,
        labels=classes,
        refine=options.refine,
        decoder=decoder if options.refine and whole else None,
        image=image,
    )
    boxes, masks, kept = _shown(detections, offered, options)
    embeddings = None
    if clip is not None:
        from fastsam_onnx.results.text_prompts import CropEmbeddings

        embeddings = CropEmbeddings(clip)
    stages = {**speed, "postprocess": time.perf_counter() - began}
    return Segmentation(
        boxes=boxes,
        scores=detections.scores[kept],
        masks=Masks(masks, letterbox.image_size),
        labels=None if names is None else detections.labels[kept],
        names=None if names is None else MappingProxyType(names),
        image=image,
        speed=MappingProxyType({stage: 1000 * seconds for stage, seconds in stages.items()}),
        embeddings=embeddings,
        candidates=offered,
    )


def _shown(detections: Detections, offered: Candidates, options: DetectionOptions) -> Shown:
    """What is shown of the detections."""
    boxes, coefficients = detections.boxes_xyxy, detections.coefficients
    masks = pending_masks(boxes, coefficients, offered.prototypes, offered.letterbox)
    labels = np.zeros_like(detections.labels) if options.agnostic else detections.labels
    if options.refine:
        from fastsam_onnx.masks.refine import distinct, refined

        boxes, masks = refined(boxes, coefficients, offered.prototypes, masks)
    kept = np.array([index for index, mask in enumerate(masks) if not mask.is_empty()], np.int64)
    if options.refine:
        filled = [masks[index] for index in kept.tolist()]
        kept = kept[distinct(filled, options.iou, labels[kept], keep_everything=options.is_tile)]
    boxes, masks = boxes[kept], [masks[index] for index in kept.tolist()]
    if not options.redraw or offered.closer is None:
        return boxes, masks, kept
    from fastsam_onnx.masks.redraw import cells_of, redrawn
    from fastsam_onnx.masks.refine import without_doubles

    boxes, new = redrawn(boxes, masks, offered, offered.closer)
    cells = cells_of(new, offered.letterbox.image_size)
    single = without_doubles(cells, options.iou, labels[kept])
    return boxes[single], [new[place] for place in single], kept[single]
