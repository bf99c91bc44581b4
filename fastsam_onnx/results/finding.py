"""From the network's answer for one photo to the objects in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.detections import detect
from fastsam_onnx.masks.instances import Masks
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.results.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.decoder import Decoder
    from fastsam_onnx.network.contract import Contract
    from fastsam_onnx.network.letterbox import Letterbox
    from fastsam_onnx.network.outputs import Output
    from fastsam_onnx.options import DetectionOptions


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
        decoder: Network that draws answers to prompts; None without.
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
    boxes, coefficients = detections.boxes_xyxy, detections.coefficients
    masks = pending_masks(boxes, coefficients, prototypes, letterbox)
    if options.refine:
        from fastsam_onnx.masks.refine import distinct, refined

        boxes, masks = refined(boxes, coefficients, prototypes, masks)
    kept = [index for index, mask in enumerate(masks) if not mask.is_empty()]
    if options.refine:
        groups = None if options.agnostic else detections.labels[kept]
        kept = [kept[place] for place in distinct([masks[index] for index in kept], options.iou, groups)]
    embeddings = None
    if clip is not None:
        from fastsam_onnx.results.text_prompts import CropEmbeddings

        embeddings = CropEmbeddings(clip)
    whole = image.shape[1::-1] == letterbox.image_size  # not a smaller copy
    stages = {**speed, "postprocess": time.perf_counter() - began}
    return Segmentation(
        boxes=boxes[kept],
        scores=detections.scores[kept],
        masks=Masks((masks[index] for index in kept), letterbox.image_size),
        labels=None if names is None else detections.labels[kept],
        names=None if names is None else MappingProxyType(names),
        image=image,
        speed=MappingProxyType({stage: 1000 * seconds for stage, seconds in stages.items()}),
        embeddings=embeddings,
        candidates=Candidates.from_output(
            candidates,
            prototypes,
            letterbox,
            contract.class_count,
            labels=classes,
            refine=options.refine,
            decoder=decoder if options.refine and whole else None,
            image=image,
        ),
    )
