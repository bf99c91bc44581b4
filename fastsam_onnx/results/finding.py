"""From the network's answer for one photo to the objects in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray, IntArray
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.detections import Detections, detect
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.pending import PendingMask, pending_masks
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.decoder import Closer, Decoder
    from fastsam_onnx.network.contract import Contract
    from fastsam_onnx.network.letterbox import Letterbox
    from fastsam_onnx.network.outputs import Output
    from fastsam_onnx.options import DetectionOptions

LOOKED_AT = 3
"""Detections whose masks are looked at for each object that may be shown: masks tell of doubles that boxes do not."""
SECOND_WEIGHT = 0.1
"""What the score of an object counts for the mask that it had before it was drawn anew."""
PLAIN_SPAN = 4
"""Levels of 256 that no eye tells apart, also where a camera's or a codec's noise is in them."""

Drawn_co = TypeVar("Drawn_co", bound=MaskLike, covariant=True)


class _Shown(NamedTuple, Generic[Drawn_co]):
    """Objects: boxes (n, 4) in pixels of the photo, (n,) scores, (n,) classes, n masks."""

    boxes_xyxy: FloatArray
    scores: FloatArray
    labels: IntArray
    masks: Sequence[Drawn_co]

    def of(self, places: IntArray) -> _Shown[Drawn_co]:
        """Some of the objects."""
        masks = [self.masks[place] for place in places.tolist()]
        return _Shown(self.boxes_xyxy[places], self.scores[places], self.labels[places], masks)

    def best(self, count: int | None = None) -> _Shown[Drawn_co]:
        """Those with the highest scores, best first; all by default."""
        return self.of(np.argsort(-self.scores, kind="stable")[:count])


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
    plain = options.refine and not options.is_tile and is_plain(image)
    detections = detect(
        candidates[:, :0] if plain else candidates,
        letterbox,
        labels=classes,
        class_count=contract.class_count,
        conf=options.conf,
        iou=options.iou,
        max_det=options.max_det * (LOOKED_AT if options.refine else 1),
        border_snap=options.border_snap,
        agnostic=options.agnostic or names is None,
        rivals=options.refine,
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
    shown = _shown(detections, offered, options)
    embeddings = None
    if clip is not None:
        from fastsam_onnx.results.text_prompts import CropEmbeddings

        embeddings = CropEmbeddings(clip)
    stages = {**speed, "postprocess": time.perf_counter() - began}
    return Segmentation(
        boxes=shown.boxes_xyxy,
        scores=shown.scores,
        masks=Masks(shown.masks, letterbox.image_size),
        labels=None if names is None else shown.labels,
        names=None if names is None else dict(names),
        image=image if whole else None,
        speed={stage: 1000 * seconds for stage, seconds in stages.items()},
        embeddings=embeddings,
        candidates=offered,
    )


def is_plain(image: ByteArray) -> bool:
    """True of a picture (H, W, 3) in which nobody sees anything: all pixels are within PLAIN_SPAN of one another."""
    height, width, _ = image.shape
    few = image[:: max(height // 16, 1), :: max(width // 16, 1)]  # of nearly every photo these tell
    return all(int((part.max((0, 1)) - part.min((0, 1))).max()) <= PLAIN_SPAN for part in (few, image))


def _shown(detections: Detections, offered: Candidates, options: DetectionOptions) -> _Shown[MaskLike]:
    """What is shown of the detections."""
    masks = pending_masks(detections.boxes_xyxy, detections.coefficients, offered.prototypes, offered.letterbox)
    if options.covered:
        detections, masks = _lowered(detections, masks, offered.prototypes, options)
    boxes = detections.boxes_xyxy
    if options.refine:
        from fastsam_onnx.masks.refine import refined

        boxes, masks = refined(boxes, detections.coefficients, offered.prototypes, masks)
    filled = np.array([index for index, mask in enumerate(masks) if not mask.is_empty()], np.int64)
    objects = _Shown(boxes, detections.scores, detections.labels, masks).of(filled).best()
    if options.refine:
        objects = _told_apart(objects, options)
    objects = objects.best(options.max_det)
    if not options.redraw or offered.closer is None:
        return objects
    return _drawn_anew(objects, offered, offered.closer, options)


def _lowered(
    detections: Detections, masks: Sequence[PendingMask], prototypes: FloatArray, options: DetectionOptions
) -> tuple[Detections, list[PendingMask]]:
    """Those whose scores exceed the threshold also where it counts that they lie on better ones, and their masks."""
    from fastsam_onnx.masks.adding import added, lowered

    best_first = np.argsort(-detections.scores, kind="stable")
    _, height, width = prototypes.shape
    shares = added([masks[place] for place in best_first.tolist()], (height, width))
    scores = lowered(detections.scores[best_first], shares, options.covered)
    kept = scores > np.float32(options.conf)
    places = best_first[kept]
    return replace(detections.of(places), scores=scores[kept]), [masks[place] for place in places.tolist()]


def _told_apart(objects: _Shown[PendingMask], options: DetectionOptions) -> _Shown[PendingMask]:
    """Those that show something of their own."""
    from fastsam_onnx.masks.refine import told_apart

    labels = None if options.agnostic else objects.labels
    return objects.of(told_apart(objects.masks, options.iou, labels, keep_everything=options.is_tile))


def _drawn_anew(
    old: _Shown[PendingMask], offered: Candidates, closer: Closer, options: DetectionOptions
) -> _Shown[MaskLike]:
    """The objects drawn anew, none twice; with a low score also as they were, where that is something else."""
    from fastsam_onnx.masks.redraw import cells_of, redrawn
    from fastsam_onnx.masks.refine import without_doubles

    boxes, masks = redrawn(old.boxes_xyxy, old.masks, offered, closer)
    weighed = old.scores * np.float32(SECOND_WEIGHT)
    changed = np.array([mask is not before for mask, before in zip(masks, old.masks, strict=True)], bool)
    second = old._replace(scores=weighed).of(np.flatnonzero(changed & (weighed > np.float32(options.conf))))
    both = _Shown(
        np.concatenate([boxes, second.boxes_xyxy]),
        np.concatenate([old.scores, second.scores]),
        np.concatenate([old.labels, second.labels]),
        [*masks, *second.masks],
    )
    objects = both.best()
    cells = cells_of(objects.masks, offered.letterbox.image_size)
    single = without_doubles(cells, options.iou, None if options.agnostic else objects.labels)
    return objects.of(single[: options.max_det])
