"""What one row of the tables adds up, photo by photo, and its figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fastsam_onnx import Mask
from fastsam_onnx.images.load import load_image
from tools.evaluate.answers import PROMPTS, prompt_ious
from tools.evaluate.models import Found, Model
from tools.evaluate.outlines import Boundaries, Straightness
from tools.evaluate.overlay import Overlay, box_iou
from tools.evaluate.recall import MAX_DETECTIONS, Recall, is_large
from tools.evaluate.truth import Photo, Truth
from tools.evaluate.verdicts import Verdicts, count_doubles


@dataclass
class Tally:
    """What one row of the table adds up."""

    photos: int = 0
    by_mask: Recall = field(default_factory=Recall)
    by_box: Recall = field(default_factory=Recall)
    boundaries: Boundaries = field(default_factory=Boundaries)
    outlines: Straightness = field(default_factory=Straightness)
    truth_outlines: Straightness = field(default_factory=Straightness)
    large_outlines: Straightness = field(default_factory=Straightness)
    large_truth_outlines: Straightness = field(default_factory=Straightness)
    best: list[float] = field(default_factory=list)
    prompts: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PROMPTS})
    verdicts: Verdicts = field(default_factory=Verdicts)
    objects: list[int] = field(default_factory=list)
    doubles: list[int] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | None]:
        figures: dict[str, float | None] = {"photos": self.photos, "ground truths": len(self.best)}
        for limit in MAX_DETECTIONS:
            figures[f"AR@{limit}"] = self.by_mask.average(limit=limit)
        for name in ("small", "medium", "large"):
            figures[name] = self.by_mask.average(name)
        for limit in MAX_DETECTIONS:
            figures[f"box AR@{limit}"] = self.by_box.average(limit=limit)
        figures["best"] = mean(self.best)
        figures |= {name: mean(values) for name, values in self.prompts.items()}
        figures |= {"straight": self.outlines.share(), "straight, truth": self.truth_outlines.share()}
        figures["straight, large"] = self.large_outlines.share()
        figures["straight, large, truth"] = self.large_truth_outlines.share()
        figures["cut"] = self.outlines.share_of_cuts()
        figures |= {"F1": self.verdicts.f1(), "masks": mean(self.objects), "doubles": mean(self.doubles)}
        figures |= {"ms": statistics.median(self.milliseconds)}
        return figures | (self.boundaries.summary() if self.boundaries.human else {})


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def add_photo(photo: Photo, model: Model, tallies: dict[str, Tally], *, prompts: bool) -> None:
    """Run a model on a photo and add what it found and answered to the rows that the photo belongs to."""
    found = model.find(load_image(photo.source))
    masks, chosen = list(found.everything.masks), list(found.chosen.masks)
    doubles = count_doubles(chosen)
    for row, truths in photo.truths.items():
        tally = tallies[row]
        tally.photos += 1
        tally.objects.append(len(found.chosen))
        tally.milliseconds.append(found.milliseconds)
        tally.doubles.append(doubles)
        add_truths(tally, truths, found, masks, chosen, prompts=prompts)
        if photo.edges:
            tally.boundaries.add(masks, found.everything.scores, photo.edges)


def add_truths(
    tally: Tally, truths: list[Truth], found: Found, masks: list[Mask], chosen: list[Mask], *, prompts: bool
) -> None:
    """Recall, verdicts and prompts of one photo against all its partitions."""
    crowd = np.concatenate([truth.crowd for truth in truths])
    boxes = np.concatenate([truth.boxes for truth in truths])
    truth_masks = [mask for truth in truths for mask in truth.masks]
    overlay = Overlay(truth_masks, found.everything.image_size)
    iou = overlay.iou(masks, crowd)
    iou_of_chosen, annotated_share = overlay.iou(chosen, crowd), overlay.annotated_share(chosen, crowd)
    iou_of_boxes = box_iou(found.everything.boxes, boxes, crowd)
    end = 0
    for truth in truths:
        begin, end = end, end + len(truth.masks)
        for recall, overlaps in ((tally.by_mask, iou), (tally.by_box, iou_of_boxes)):
            recall.add(overlaps[:, begin:end], overlay.areas[begin:end], truth.crowd)
        tally.verdicts.add(iou_of_chosen[:, begin:end][:, ~truth.crowd], annotated_share)
    for mask, left_out in zip(truth_masks, crowd.tolist(), strict=True):
        if not left_out:
            tally.truth_outlines.add(mask)
            if is_large(mask):
                tally.large_truth_outlines.add(mask)
    far = overlay.far_from_outlines(crowd)
    for mask in chosen:
        tally.outlines.add(mask, far)
        if is_large(mask):
            tally.large_outlines.add(mask)
    tally.best += iou[:, ~crowd].max(axis=0, initial=0.0).tolist()
    answers = prompt_ious(found.chosen, truth_masks, boxes, overlay) if prompts else {}
    for name, values in answers.items():
        tally.prompts[name] += values[~crowd].tolist()
